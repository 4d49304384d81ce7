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

#include <numeric>

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
  Value loadWords(Value source, Value block, int64_t first, int64_t count);
  std::pair<Value, Value> highBits(Value source, Value block);

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
  auto load = [&](Value memref, ArrayRef<Value> place) -> Value {
    Value lanes = constIndex(b, kLanes);
    SmallVector<Value> index = {source};
    if (!isRows)
      index = {arith::DivUIOp::create(b, source, lanes)};
    index.append(place.begin(), place.end());
    if (!isRows)
      index.push_back(arith::RemUIOp::create(b, source, lanes));
    return memref::LoadOp::create(b, memref, index);
  };
  auto perBlock = [&](Value memref) {
    return broadcast(b, extendToF32(b, load(memref, {block})));
  };
  SmallVector<Value> scales; // of the block's halves
  if (weight.getElement() == ElementKind::q6) {
    constexpr int64_t kBlocks = CriaDialect::kSuperBlock / kQuantBlock;
    Value super = arith::DivUIOp::create(b, block, constIndex(b, kBlocks));
    Value factor = extendToF32(b, load(parts[1], {super}));
    for (int64_t half : {0, 1}) {
      Value code = load(parts[2], {block, constIndex(b, half)});
      Value scale = arith::SIToFPOp::create(b, b.getF32Type(), code);
      scales.push_back(broadcast(b, arith::MulFOp::create(b, factor, scale)));
    }
  } else {
    scales.assign(2, perBlock(parts[1]));
  }
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
    Value scale = scales[from / kLanes];
    value = min ? Value(math::FmaOp::create(b, scale, value, min))
                : Value(arith::MulFOp::create(b, scale, value));
    storeLanes(b, value, op.getInit(), {row, addIndex(b, column, from)},
               exist < kLanes ? tailMask(b, exist) : Value());
  }
}

/// Bytes 4 first and on of a row's share of a block's codes, in the order of
/// layout rows; n16k4 has them four at a time.
Value EmbedKernel::loadWords(Value source, Value block, int64_t first,
                             int64_t count) {
  if (weight.getLayout() == WeightLayout::rows)
    return loadLanes(b, parts[0], {source, block, constIndex(b, 4 * first)}, {},
                     4 * count);
  Value lanes = constIndex(b, kLanes), zero = constIndex(b, 0);
  Value group = arith::DivUIOp::create(b, source, lanes);
  Value lane = arith::RemUIOp::create(b, source, lanes);
  Value all = splatInt(b, b.getI8Type(), 0, 4 * count);
  for (int64_t v = 0; v < count; ++v) {
    Value four =
        loadLanes(b, parts[0],
                  {group, block, constIndex(b, first + v), lane, zero}, {}, 4);
    all = vector::InsertStridedSliceOp::create(
        b, four, all, ArrayRef<int64_t>{4 * v}, ArrayRef<int64_t>{1});
  }
  return all;
}

/// The high two bits of a block of q6, codes 0..15 and 16..31, in bits 4 and
/// 5: byte j has those of codes j, j + 8, j + 16 and j + 24.
std::pair<Value, Value> EmbedKernel::highBits(Value source, Value block) {
  Value stored = loadWords(source, block, 4, 2);
  Type i8 = b.getI8Type();
  SmallVector<int64_t> both(16);
  std::iota(both.begin(), both.end(), 0);
  auto half = [&](int64_t shift) -> Value {
    SmallVector<Value> eights;
    for (int64_t at : {shift, shift + 2}) {
      Value bits = arith::ShRUIOp::create(b, stored, splatInt(b, i8, at, 8));
      bits = arith::AndIOp::create(b, bits, splatInt(b, i8, 3, 8));
      eights.push_back(arith::ShLIOp::create(b, bits, splatInt(b, i8, 4, 8)));
    }
    return vector::ShuffleOp::create(b, eights[0], eights[1], both);
  };
  return {half(0), half(4)};
}

/// A block's codes 0..15 and 16..31, as bytes.
std::pair<Value, Value> EmbedKernel::loadCodes(Value source, Value block) {
  Type i8 = b.getI8Type();
  Value bytes = loadWords(source, block, 0, 4);
  if (weight.getElement() == ElementKind::q8)
    return {bytes, loadWords(source, block, 4, 4)};
  Value low = arith::AndIOp::create(b, bytes, splatInt(b, i8, 15));
  Value high = arith::ShRUIOp::create(b, bytes, splatInt(b, i8, 4));
  if (weight.getElement() == ElementKind::q6) {
    auto [lowBits, moreBits] = highBits(source, block);
    low = arith::OrIOp::create(b, low, lowBits);
    high = arith::OrIOp::create(b, high, moreBits);
  }
  return {low, high};
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
