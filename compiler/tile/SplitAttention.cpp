// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/target/Tiles.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace cria {
#define GEN_PASS_DEF_SPLITATTENTION
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

constexpr int64_t kChunk = CriaDialect::kChunkTokens;

/// Writes the two ways through one attention.
class Splitter {
public:
  Splitter(FusedAttentionOp op, int64_t context)
      : op(op), context(context), b(op.getLoc(), op) {}

  LogicalResult run() {
    measure();
    OpBuilder::InsertionGuard guard(b);
    auto branch = scf::IfOp::create(b, op->getResultTypes(), isWorthIt(),
                                    /*withElseRegion=*/true);
    op->replaceAllUsesWith(branch);
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, op->getResults());
    op->moveBefore(branch.elseBlock()->getTerminator());
    b.setInsertionPointToStart(branch.thenBlock());
    FailureOr<Value> partials = emitPartials();
    if (failed(partials))
      return failure();
    emitMerge(*partials);
    return success();
  }

private:
  Value idx(int64_t v) { return arith::ConstantIndexOp::create(b, v); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulIOp::create(b, x, y); }
  Value ceilDiv(Value x, Value y) {
    return arith::CeilDivUIOp::create(b, x, y);
  }

  /// Chunks that token i sees.
  Value chunksOf(Value i) {
    Value position = arith::IndexCastOp::create(
        b, b.getIndexType(),
        tensor::ExtractOp::create(b, op.getPositions(), i));
    auto chunk = [&](Value p) -> Value {
      return arith::DivUIOp::create(b, p, idx(kChunk));
    };
    Value count = add(chunk(position), idx(1));
    if (std::optional<uint64_t> window = op.getWindow()) {
      Value low = add(position, idx(1 - static_cast<int64_t>(*window)));
      low = arith::MaxSIOp::create(b, low, idx(0));
      count = arith::SubIOp::create(b, count, chunk(low));
    }
    return count;
  }

  /// Most chunks that any token can see.
  int64_t capacity() {
    int64_t most = llvm::divideCeil(context, kChunk);
    if (std::optional<uint64_t> window = op.getWindow())
      most = std::min<int64_t>(most, (*window - 1 + kChunk - 1) / kChunk + 1);
    return most;
  }

  scf::ForOp loopOverTokens(ValueRange init) {
    return scf::ForOp::create(b, idx(0), tokens, idx(1), init);
  }

  /// Chunks of all tokens together, and of the longest one.
  void measure() {
    tokens = b.createOrFold<tensor::DimOp>(op.getQ(), 0);
    scf::ForOp loop = loopOverTokens({idx(0), idx(0)});
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value count = chunksOf(loop.getInductionVar());
    Value sum = add(loop.getRegionIterArg(0), count);
    Value most = arith::MaxUIOp::create(b, loop.getRegionIterArg(1), count);
    scf::YieldOp::create(b, ValueRange{sum, most});
    total = loop.getResult(0);
    longest = loop.getResult(1);
  }

  /// Whole heads leave the slowest thread with more chunks to read than an
  /// even split would, by as many as the split costs.
  Value isWorthIt() {
    Value threads = NumThreadsOp::create(b);
    Value kvHeads = idx(op.getKvHeads());
    Value whole = mul(ceilDiv(mul(tokens, kvHeads), threads), longest);
    Value even = ceilDiv(mul(total, kvHeads), threads);
    return arith::CmpIOp::create(b, arith::CmpIPredicate::uge, whole,
                                 add(even, idx(kSplitGain)));
  }

  /// One list of all tokens' heads' chunks, so that static ranges of it are
  /// equal work even where tokens differ in length.
  FailureOr<Value> emitPartials() {
    SmallVector<OpFoldResult> shape{
        getAsOpFoldResult(tokens), b.getIndexAttr(op.getHeads()),
        b.getIndexAttr(capacity()),
        b.getIndexAttr(op.getHeadDim() + CriaDialect::kPartialExtra)};
    Value empty = tensor::EmptyOp::create(b, shape, b.getF32Type());
    Value work = mul(total, idx(op.getKvHeads()));
    SmallVector<OpFoldResult> zero{b.getIndexAttr(0)}, one{b.getIndexAttr(1)},
        end{work};
    auto forall = scf::ForallOp::create(b, zero, end, one, ValueRange(empty),
                                        /*mapping=*/std::nullopt);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(forall.getBody());
    // The token whose part of the list holds w: the last that starts before.
    Value w = forall.getInductionVars()[0];
    scf::ForOp find = loopOverTokens({idx(0), idx(0), w, idx(1)});
    {
      OpBuilder::InsertionGuard inner(b);
      b.setInsertionPointToStart(find.getBody());
      ValueRange carried = find.getRegionIterArgs();
      Value i = find.getInductionVar(), start = carried[0];
      Value count = chunksOf(i);
      Value here =
          arith::CmpIOp::create(b, arith::CmpIPredicate::uge, w, start);
      auto choose = [&](Value x, Value y) -> Value {
        return arith::SelectOp::create(b, here, x, y);
      };
      Value past = arith::SubIOp::create(b, w, start);
      scf::YieldOp::create(
          b, ValueRange{add(start, mul(count, idx(op.getKvHeads()))),
                        choose(i, carried[1]), choose(past, carried[2]),
                        choose(count, carried[3])});
    }
    Value token = find.getResult(1), rest = find.getResult(2),
          count = find.getResult(3);
    Value head = arith::DivUIOp::create(b, rest, count);
    Value chunk = arith::RemUIOp::create(b, rest, count);

    auto whole = AttentionPartialsOp::create(
        b, empty.getType(), op.getQ(), op.getKeys(), op.getValues(),
        op.getPositions(), op.getSequences(), op.getTables(), op.getSlopes(),
        op.getBias(), op.getLayer(), /*first=*/idx(0),
        forall.getRegionIterArgs()[0], op.getHeadsAttr(), op.getKvHeadsAttr(),
        op.getHeadDimAttr(), op.getScaleAttr(), op.getWindowAttr(),
        op.getSoftcapAttr());
    SmallVector<OpFoldResult> offsets{token, head, chunk},
        sizes(3, b.getIndexAttr(1)), resultOffsets, resultSizes;
    b.setInsertionPointAfter(whole);
    FailureOr<TilingResult> tile =
        whole.getTiledImplementation(b, offsets, sizes);
    if (failed(tile) || failed(whole.getResultTilePosition(
                            b, 0, offsets, sizes, resultOffsets, resultSizes)))
      return failure();
    SmallVector<OpFoldResult> strides(resultOffsets.size(), b.getIndexAttr(1));
    b.setInsertionPointToStart(forall.getTerminator().getBody());
    tensor::ParallelInsertSliceOp::create(b, tile->tiledValues[0],
                                          forall.getRegionIterArgs()[0],
                                          resultOffsets, resultSizes, strides);
    whole.erase();
    return forall.getResult(0);
  }

  void emitMerge(Value partials) {
    auto merge = AttentionMergeOp::create(
        b, op->getResultTypes(), partials, op.getPositions(), op.getSinks(),
        op.getInit(), op.getHeadsAttr(), op.getHeadDimAttr(),
        op.getWindowAttr());
    scf::YieldOp::create(b, merge.getResults());
  }

  FusedAttentionOp op;
  int64_t context;
  ImplicitLocOpBuilder b;
  Value tokens, total, longest;
};

struct SplitAttention : cria::impl::SplitAttentionBase<SplitAttention> {
  void runOnOperation() override {
    func::FuncOp func = getOperation();
    auto version = func->getAttrOfType<StringAttr>("cria.version");
    if (!version || version.getValue() != "decode")
      return;
    auto context =
        func->getParentOp()->getAttrOfType<IntegerAttr>("cria.context");
    if (!context || context.getInt() < 1) {
      // Partials need a bound.
      func->getParentOp()->emitError(
          "needs the attribute cria.context (positions of a sequence)");
      return signalPassFailure();
    }
    // All chunks at once are one: nothing to split.
    if (context.getInt() <= kChunk)
      return;
    SmallVector<FusedAttentionOp> ops;
    func.walk([&](FusedAttentionOp op) { ops.push_back(op); });
    for (FusedAttentionOp op : ops)
      if (failed(Splitter(op, context.getInt()).run()))
        return signalPassFailure();
  }
};
} // namespace
