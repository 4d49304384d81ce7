// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.embed_rows on memrefs becomes a loop over tokens that decodes one row
// of the weight each, whatever its layout.

#include "compiler/Passes.h"
#include "compiler/vector/KernelUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace cria {
#define GEN_PASS_DEF_VECTORIZEEMBED
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// Emits the loop for one embed_rows.
class EmbedKernel {
public:
  EmbedKernel(ImplicitLocOpBuilder &b, EmbedRowsOp op)
      : b(b), op(op), weight(cast<WeightType>(op.getWeight().getType())) {}

  void emit();

private:
  void emitFloatRows(Value row, Value source);
  void emitFloatLanes(Value row, Value group, Value lane);
  void emitQuantised(Value row, Value source);
  void emitBlock(Value row, Value source, Value block, int64_t valid);
  std::pair<Value, Value> loadCodes(Value source, Value block);

  ImplicitLocOpBuilder &b;
  EmbedRowsOp op;
  WeightType weight;
  SmallVector<Value> parts;
};

} // namespace

void EmbedKernel::emit() {
  parts = weightComponents(b, op.getWeight());
  buildLoop(b, constIndex(b, 0), dimSize(b, op.getTokens(), 0), 1, {},
            [&](Value row, ValueRange) {
              Value source = arith::IndexCastUIOp::create(
                  b, b.getIndexType(),
                  memref::LoadOp::create(b, op.getTokens(), ValueRange{row}));
              if (weight.isQuantized())
                emitQuantised(row, source);
              else if (weight.getLayout() == WeightLayout::rows)
                emitFloatRows(row, source);
              else
                emitFloatLanes(
                    row,
                    arith::DivUIOp::create(b, source, constIndex(b, kLanes)),
                    arith::RemUIOp::create(b, source, constIndex(b, kLanes)));
              return SmallVector<Value>();
            });
}

/// Layout rows: 16 columns at a time.
void EmbedKernel::emitFloatRows(Value row, Value source) {
  int64_t k = weight.getK(), full = k / kLanes * kLanes;
  auto piece = [&](Value column, Value mask) {
    Value lanes = loadLanes(b, parts[0], {source, column}, mask);
    storeLanes(b, extendToF32(b, lanes), op.getInit(), {row, column}, mask);
  };
  if (full > 0)
    buildLoop(b, constIndex(b, 0), constIndex(b, full), kLanes, {},
              [&](Value column, ValueRange) {
                piece(column, {});
                return SmallVector<Value>();
              });
  if (full < k)
    piece(constIndex(b, full), tailMask(b, k - full));
}

/// Layouts n16 and n16k2: a row's elements are apart, one at a time.
void EmbedKernel::emitFloatLanes(Value row, Value group, Value lane) {
  buildLoop(b, constIndex(b, 0), constIndex(b, weight.getK()), 1, {},
            [&](Value column, ValueRange) {
              SmallVector<Value> index = {group, column, lane};
              if (weight.getLayout() == WeightLayout::n16k2) {
                Value two = constIndex(b, 2);
                index = {group, arith::DivUIOp::create(b, column, two), lane,
                         arith::RemUIOp::create(b, column, two)};
              }
              Value element = memref::LoadOp::create(b, parts[0], index);
              memref::StoreOp::create(b, extendToF32(b, element), op.getInit(),
                                      ValueRange{row, column});
              return SmallVector<Value>();
            });
}

void EmbedKernel::emitQuantised(Value row, Value source) {
  int64_t full = weight.getK() / kQuantBlock;
  if (full > 0)
    buildLoop(b, constIndex(b, 0), constIndex(b, full), 1, {},
              [&](Value block, ValueRange) {
                emitBlock(row, source, block, kQuantBlock);
                return SmallVector<Value>();
              });
  if (int64_t left = weight.getK() % kQuantBlock)
    emitBlock(row, source, constIndex(b, full), left);
}

/// Decodes a block, of which `valid` columns exist.
void EmbedKernel::emitBlock(Value row, Value source, Value block,
                            int64_t valid) {
  bool isRows = weight.getLayout() == WeightLayout::rows;
  auto perBlock = [&](Value memref) {
    SmallVector<Value> index = {source, block};
    if (!isRows) {
      Value lanes = constIndex(b, kLanes);
      index = {arith::DivUIOp::create(b, source, lanes), block,
               arith::RemUIOp::create(b, source, lanes)};
    }
    Value scalar = memref::LoadOp::create(b, memref, index);
    return broadcast(b, extendToF32(b, scalar));
  };
  Value scale = perBlock(parts[1]);
  Value min =
      weight.getOffset() == OffsetKind::min ? perBlock(parts[2]) : Value();

  // q8 in rows is signed already, less the zero point.
  bool isSigned = isRows && weight.getElement() == ElementKind::q8 && !min;
  VectorType i32 = vectorOf(kLanes, b.getI32Type());
  VectorType f32 = vectorOf(kLanes, b.getF32Type());
  auto [low, high] = loadCodes(source, block);
  Value column = arith::MulIOp::create(b, block, constIndex(b, kQuantBlock));
  for (auto [from, codes] : {std::pair(int64_t(0), low), {kLanes, high}}) {
    int64_t exist = std::min(valid - from, kLanes);
    if (exist <= 0)
      break;
    Value wide = isSigned ? Value(arith::ExtSIOp::create(b, i32, codes))
                          : Value(arith::ExtUIOp::create(b, i32, codes));
    if (int64_t zero = isSigned ? 0 : weight.getZeroPoint())
      wide = arith::SubIOp::create(b, wide, splatInt(b, b.getI32Type(), zero));
    Value value = arith::SIToFPOp::create(b, f32, wide);
    value = min ? Value(math::FmaOp::create(b, scale, value, min))
                : Value(arith::MulFOp::create(b, scale, value));
    storeLanes(b, value, op.getInit(), {row, addIndex(b, column, from)},
               exist < kLanes ? tailMask(b, exist) : Value());
  }
}

/// A block's codes 0..15 and 16..31, as bytes.
std::pair<Value, Value> EmbedKernel::loadCodes(Value source, Value block) {
  bool isQ4 = weight.getElement() == ElementKind::q4;
  Type i8 = b.getI8Type();
  // 16 bytes: 16 codes of q8, 32 of q4.
  SmallVector<Value> bytes;
  for (int64_t half = 0; half < (isQ4 ? 1 : 2); ++half) {
    if (weight.getLayout() == WeightLayout::rows) {
      Value start = constIndex(b, half * kLanes);
      bytes.push_back(loadLanes(b, parts[0], {source, block, start}));
      continue;
    }
    Value lanes = constIndex(b, kLanes), zero = constIndex(b, 0);
    Value group = arith::DivUIOp::create(b, source, lanes);
    Value lane = arith::RemUIOp::create(b, source, lanes);
    Value all = splatInt(b, i8, 0);
    for (int64_t v = 0; v < 4; ++v) {
      Value four = loadLanes(
          b, parts[0], {group, block, constIndex(b, 4 * half + v), lane, zero},
          {}, 4);
      all = vector::InsertStridedSliceOp::create(
          b, four, all, ArrayRef<int64_t>{4 * v}, ArrayRef<int64_t>{1});
    }
    bytes.push_back(all);
  }
  if (!isQ4)
    return {bytes[0], bytes[1]};
  return {arith::AndIOp::create(b, bytes[0], splatInt(b, i8, 15)),
          arith::ShRUIOp::create(b, bytes[0], splatInt(b, i8, 4))};
}

namespace {

struct VectorizeEmbed : cria::impl::VectorizeEmbedBase<VectorizeEmbed> {
  void runOnOperation() override {
    SmallVector<EmbedRowsOp> ops;
    getOperation()->walk([&](EmbedRowsOp op) { ops.push_back(op); });
    for (EmbedRowsOp op : ops) {
      if (failed(checkBufferized(op)))
        return signalPassFailure();
      ImplicitLocOpBuilder b(op.getLoc(), op);
      EmbedKernel(b, op).emit();
      op.erase();
    }
  }
};

} // namespace
