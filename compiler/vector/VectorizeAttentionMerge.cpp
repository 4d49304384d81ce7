// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.attention_merge on memrefs to vector loops; see VectorPasses.td.

#include "compiler/Passes.h"
#include "compiler/vector/AttentionBuilder.h"
#include "compiler/vector/KernelUtils.h"

namespace cria {
#define GEN_PASS_DEF_VECTORIZEATTENTIONMERGE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

class Emitter : AttentionBuilder {
public:
  explicit Emitter(AttentionMergeOp op)
      : AttentionBuilder(op, op.getHeadDim(), op.getWindow()), op(op) {}

  void emit() {
    Value tokens = memref::DimOp::create(b, op.getInit(), 0);
    loop(idx(0), tokens, 1, [&](Value token) {
      Value position = loadIndex(op.getPositions(), token);
      Value chunks = add(div(position, kChunkTokens), 1);
      if (window)
        chunks = sub(chunks, div(lowest(position), kChunkTokens));
      loop(idx(0), idx(op.getHeads()), 1,
           [&](Value head) { emitHead(token, head, chunks); });
    });
  }

private:
  static constexpr int64_t kChunkTokens = CriaDialect::kChunkTokens;

  void emitHead(Value token, Value head, Value chunks) {
    // Column and width of the output's vectors; the last one may be narrower.
    SmallVector<std::pair<int64_t, int64_t>> columns;
    for (int64_t c = 0; c < headDim; c += AttentionBuilder::kLanes)
      columns.push_back({c, std::min(AttentionBuilder::kLanes, headDim - c)});
    Values init{vec(-kInfinity), vec(0.0)};
    for (auto [column, width] : columns)
      init.push_back(f32(0.0, VectorType::get(width, b.getF32Type())));

    Values last =
        loop(idx(0), chunks, 1, init, [&](Value chunk, ValueRange carried) {
          auto part = [&](int64_t column, int64_t width) {
            return loadVector(op.getPartials(),
                              {token, head, chunk, idx(column)}, width);
          };
          Value top = loadSplat(
              op.getPartials(),
              {token, head, chunk, idx(headDim + AttentionBuilder::kLanes)},
              vecType);
          Merge merge = mergeFactors(carried[0], top);
          auto next = [&](Value old, int64_t column, int64_t width) {
            // All lanes of a factor are equal: a narrow vector takes some.
            auto narrow = [&](Value factor) -> Value {
              if (width == AttentionBuilder::kLanes)
                return factor;
              return vector::ExtractStridedSliceOp::create(b, factor, {0},
                                                           {width}, {1});
            };
            return merged(old, narrow(merge.oldFactor), part(column, width),
                          narrow(merge.newFactor));
          };
          Values values{merge.max,
                        next(carried[1], headDim, AttentionBuilder::kLanes)};
          for (auto [old, column] : llvm::zip(carried.drop_front(2), columns))
            values.push_back(next(old, column.first, column.second));
          return values;
        });
    Value sink = op.getSinks() ? load(op.getSinks(), head) : Value();
    Value factor = resultFactor(last[1], last[0], sink);
    Value begin = mul(head, headDim);
    for (auto [output, column] : llvm::zip(llvm::drop_begin(last, 2), columns))
      storeVector(
          fmul(output, broadcast(factor, cast<VectorType>(output.getType()))),
          op.getInit(), {token, add(begin, column.first)});
  }

  AttentionMergeOp op;
};

struct VectorizeAttentionMergePass
    : public cria::impl::VectorizeAttentionMergeBase<
          VectorizeAttentionMergePass> {
  void runOnOperation() override {
    SmallVector<AttentionMergeOp> ops;
    getOperation()->walk([&](AttentionMergeOp op) { ops.push_back(op); });
    for (AttentionMergeOp op : ops) {
      if (failed(checkBufferized(op)))
        return signalPassFailure();
      Emitter(op).emit();
      op.erase();
    }
  }
};

} // namespace
