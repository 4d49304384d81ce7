// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.rows on memrefs becomes one loop over rows: the norm's sums over 16
// lanes, then the normalised row in pieces of 16 lanes, stored as f32 or
// quantised in blocks of 32.

#include "compiler/Passes.h"
#include "compiler/gpu/TeamBuilder.h"
#include "compiler/vector/KernelUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

#include <numeric>
#include <optional>

namespace cria {
#define GEN_PASS_DEF_VECTORIZEROWS
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// Emits the loop for one cria.rows.
class RowsKernel {
public:
  RowsKernel(ImplicitLocOpBuilder &b, RowsOp op, bool asPairs)
      : b(b), op(op), k(cast<MemRefType>(op.getX().getType()).getDimSize(1)),
        asPairs(asPairs) {
    if (auto groups = op->getAttrOfType<IntegerAttr>(kTeamAttr)) {
      team.emplace(b);
      teamGroups = groups.getInt();
    }
  }

  void emit();

private:
  /// The first of the row's parts of `size` columns that the group takes.
  Value firstPart(int64_t size) {
    if (!team)
      return constIndex(b, 0);
    return arith::MulIOp::create(b, team->group, constIndex(b, size));
  }
  Value addGroups(Value sum);
  /// Lanes [index, index + 16) of a row, of which `mask` (null: all) exist;
  /// the others are zero.
  using Lanes = llvm::function_ref<Value(Value index, Value mask)>;

  Value add(Value p, Value q) { return arith::AddFOp::create(b, p, q); }
  Value mul(Value p, Value q) { return arith::MulFOp::create(b, p, q); }
  Value number(float value) {
    return arith::ConstantOp::create(b, b.getF32FloatAttr(value));
  }
  Value param(Value regionArgument);
  void emitRow(Value row);
  void finish(Value row, Lanes normalised);
  Value reduce(int64_t size,
               llvm::function_ref<Value(Value, Value, Value)> body);
  void forEachPiece(int64_t size, llvm::function_ref<void(Value, Value)> body);
  Value inverseRoot(Value sumOfSquares, int64_t size);
  Value normalise(Value x, Value index, Value mask);
  void normalisePerHead(Value row, Value target, Value targetRow);
  void storePairs(Value row, Lanes lanes);
  void quantise(Value row, Lanes lanes);
  void quantiseBlock(Value row, Value block, int64_t valid, Lanes lanes);
  void storeSums(Value row, Value block, Value d, ArrayRef<Value> halves);

  ImplicitLocOpBuilder &b;
  RowsOp op;
  int64_t k;
  bool asPairs; // of bf16
  /// Of a GPU: its groups of 16 threads take pieces and blocks of the row in
  /// turn, and sums are added group by group, after the lanes of each.
  std::optional<TeamBuilder> team;
  int64_t teamGroups = 1;
  NormOp norm;        // null without one
  Value factor;       // of the region's scale, in every lane, or null
  Value weight, bias; // the norm's, as memrefs; may be null
  Value headBuffer;   // see emit
  Value mean, scale;  // of the row at hand, in every lane; may be null
};

} // namespace

/// The memref that a region argument stands for (argument 0 is the row).
Value RowsKernel::param(Value regionArgument) {
  if (!regionArgument)
    return {};
  return op.getParams()[cast<BlockArgument>(regionArgument).getArgNumber() - 1];
}

void RowsKernel::emit() {
  norm = op.getNorm();
  if (ScaleOp scaleOp = op.getScale())
    factor = splat(b, scaleOp.getFactor().convertToFloat());
  if (norm) {
    weight = param(norm.getWeight());
    bias = param(norm.getBias());
    // Heads need not be multiples of a quantisation block, so a per-head norm
    // goes through a buffer, outside of all loops.
    if (norm.getKind() == NormKind::per_head) {
      OpBuilder::InsertionGuard guard(b);
      auto func = op->getParentOfType<FunctionOpInterface>();
      b.setInsertionPointToStart(&func.getFunctionBody().front());
      headBuffer =
          memref::AllocaOp::create(b, MemRefType::get({1, k}, b.getF32Type()));
    }
  }
  buildLoop(b, constIndex(b, 0), dimSize(b, op.getX(), 0), 1, {},
            [&](Value row, ValueRange) {
              emitRow(row);
              return SmallVector<Value>();
            });
}

void RowsKernel::emitRow(Value row) {
  Value x = op.getX();
  if (headBuffer) {
    Value zero = constIndex(b, 0);
    normalisePerHead(row, headBuffer, zero);
    return finish(row, [&](Value index, Value mask) {
      return loadLanes(b, headBuffer, {zero, index}, mask);
    });
  }

  auto load = [&](Value index, Value mask) {
    return loadLanes(b, x, {row, index}, mask);
  };
  mean = scale = {};
  if (norm && norm.getKind() == NormKind::layer) {
    Value sum = reduce(k, [&](Value index, Value mask, Value acc) {
      return add(acc, load(index, mask));
    });
    mean = broadcast(b, arith::DivFOp::create(b, sum, number(k)));
  }
  if (norm) {
    Value squares = reduce(k, [&](Value index, Value mask, Value acc) -> Value {
      Value lanes = load(index, mask);
      if (mean) {
        lanes = arith::SubFOp::create(b, lanes, mean);
        if (mask)
          lanes = arith::SelectOp::create(b, mask, lanes, splat(b, 0.0f));
      }
      return math::FmaOp::create(b, lanes, lanes, acc);
    });
    scale = inverseRoot(squares, k);
  }
  finish(row, [&](Value index, Value mask) {
    return normalise(load(index, mask), index, mask);
  });
}

/// Scales the normalised row, adds what was there, and stores it.
void RowsKernel::finish(Value row, Lanes normalised) {
  auto lanes = [&](Value index, Value mask) {
    Value x = normalised(index, mask);
    if (factor)
      x = mul(x, factor);
    if (op.getAccumulate())
      x = add(loadLanes(b, op.getInits()[0], {row, index}, mask), x);
    return x;
  };
  if (op.isQuantized())
    return quantise(row, lanes);
  if (asPairs)
    return storePairs(row, lanes);
  forEachPiece(k, [&](Value index, Value mask) {
    storeLanes(b, lanes(index, mask), op.getInits()[0], {row, index}, mask);
  });
}

/// Calls `body` with the start of every 16 columns of [0, size), and a mask
/// for the last ones where there are fewer.
void RowsKernel::forEachPiece(int64_t size,
                              llvm::function_ref<void(Value, Value)> body) {
  int64_t full = size / kLanes * kLanes;
  if (full > 0)
    buildLoop(b, firstPart(kLanes), constIndex(b, full), kLanes * teamGroups,
              {}, [&](Value index, ValueRange) {
                body(index, {});
                return SmallVector<Value>();
              });
  if (full < size)
    body(constIndex(b, full), tailMask(b, size - full));
}

/// Sum over [0, size) with 16 running sums; `body` gets the columns' start,
/// their mask (or null) and the running sums.
Value RowsKernel::reduce(int64_t size,
                         llvm::function_ref<Value(Value, Value, Value)> body) {
  int64_t full = size / kLanes * kLanes;
  Value acc = splat(b, 0.0f);
  if (full > 0)
    acc = buildLoop(b, firstPart(kLanes), constIndex(b, full),
                    kLanes * teamGroups, acc,
                    [&](Value index, ValueRange carried) -> SmallVector<Value> {
                      return {body(index, {}, carried[0])};
                    })[0];
  if (full < size)
    acc = body(constIndex(b, full), tailMask(b, size - full), acc);
  return addGroups(sumLanes(b, acc));
}

Value RowsKernel::addGroups(Value sum) {
  if (!team)
    return sum;
  // All lanes of a group put the same.
  team->put(team->group, sum);
  team->sync();
  for (int64_t i = 0; i < teamGroups; ++i) {
    Value part = team->get(constIndex(b, i));
    sum = i ? add(sum, part) : part;
  }
  team->sync(); // before the next sum
  return sum;
}

/// 1 / sqrt(sum / size + eps) in every lane. Division and square root are
/// exact on every ISA, an estimate with Newton steps would not be.
Value RowsKernel::inverseRoot(Value sumOfSquares, int64_t size) {
  Value meanSquare = arith::DivFOp::create(b, sumOfSquares, number(size));
  Value eps = number(norm.getEps().convertToFloat());
  Value root = math::SqrtOp::create(b, add(meanSquare, eps));
  return broadcast(b, arith::DivFOp::create(b, number(1.0f), root));
}

/// x after mean, scale, weight and bias; `index` is x's column in the norm's
/// parameters.
Value RowsKernel::normalise(Value x, Value index, Value mask) {
  if (!norm)
    return x;
  if (mean)
    x = arith::SubFOp::create(b, x, mean);
  x = mul(x, scale);
  if (weight) {
    Value w = loadLanes(b, weight, {index}, mask);
    x = mul(x, norm.getPlusOne() ? add(w, splat(b, 1.0f)) : w);
  }
  if (bias)
    x = add(x, loadLanes(b, bias, {index}, mask));
  if (mask && mean)
    x = arith::SelectOp::create(b, mask, x, splat(b, 0.0f));
  return x;
}

void RowsKernel::normalisePerHead(Value row, Value target, Value targetRow) {
  int64_t size = cast<MemRefType>(weight.getType()).getDimSize(0);
  Value x = op.getX();
  buildLoop(b, constIndex(b, 0), constIndex(b, k), size, {},
            [&](Value head, ValueRange) {
              auto load = [&](Value index, Value mask) {
                Value column = arith::AddIOp::create(b, head, index);
                return loadLanes(b, x, {row, column}, mask);
              };
              Value squares =
                  reduce(size, [&](Value index, Value mask, Value acc) {
                    Value lanes = load(index, mask);
                    return Value(math::FmaOp::create(b, lanes, lanes, acc));
                  });
              scale = inverseRoot(squares, size);
              forEachPiece(size, [&](Value index, Value mask) {
                Value lanes = normalise(load(index, mask), index, mask);
                Value column = arith::AddIOp::create(b, head, index);
                storeLanes(b, lanes, target, {targetRow, column}, mask);
              });
              return SmallVector<Value>();
            });
}

/// Rounds a row to bf16; two columns are a word.
void RowsKernel::storePairs(Value row, Lanes lanes) {
  forEachPiece(k, [&](Value index, Value mask) {
    Value pairs = truncateFromF32(b, lanes(index, mask), b.getBF16Type());
    Value words = vector::BitCastOp::create(
        b, vectorOf(kLanes / 2, b.getF32Type()), pairs);
    Value word = arith::DivUIOp::create(b, index, constIndex(b, 2));
    storeLanes(b, words, op.getInits()[0], {row, word},
               mask ? tailMask(b, llvm::divideCeil(k % kLanes, 2), kLanes / 2)
                    : Value());
  });
}

void RowsKernel::quantise(Value row, Lanes lanes) {
  int64_t full = k / kQuantBlock;
  if (full > 0)
    buildLoop(b, firstPart(1), constIndex(b, full), teamGroups, {},
              [&](Value block, ValueRange) {
                quantiseBlock(row, block, kQuantBlock, lanes);
                return SmallVector<Value>();
              });
  if (k % kQuantBlock != 0)
    quantiseBlock(row, constIndex(b, full), k % kQuantBlock, lanes);
}

/// Quantises one block, of which `valid` columns exist.
void RowsKernel::quantiseBlock(Value row, Value block, int64_t valid,
                               Lanes lanes) {
  Type i32 = b.getI32Type();
  VectorType ints = vectorOf(kLanes, i32);
  auto constant = [&](int64_t v) { return splatInt(b, i32, v); };

  Value column = arith::MulIOp::create(b, block, constIndex(b, kQuantBlock));
  SmallVector<Value> halves;
  for (int64_t from = 0; from < kQuantBlock; from += kLanes) {
    int64_t exist = std::min(valid - from, kLanes);
    if (exist <= 0)
      halves.push_back(splat(b, 0.0f));
    else
      halves.push_back(lanes(addIndex(b, column, from),
                             exist < kLanes ? tailMask(b, exist) : Value()));
  }

  // |x| as integers: they order as the floats do, the maximum is exact in any
  // order, and a NaN comes out on top and so is not lost.
  SmallVector<Value> sizes;
  for (Value half : halves)
    sizes.push_back(arith::AndIOp::create(
        b, arith::BitcastOp::create(b, ints, half), constant(0x7fffffff)));
  Value largest = vector::ReductionOp::create(
      b, vector::CombiningKind::MAXSI,
      arith::MaxSIOp::create(b, sizes[0], sizes[1]));
  Value amax = arith::BitcastOp::create(b, b.getF32Type(), largest);
  // Codes of 16 bits take two bytes; 32512 = 127 * 256 keeps the high one in
  // a signed byte.
  bool isWide = cast<MemRefType>(op.getInits()[0].getType()).getDimSize(1) ==
                llvm::divideCeilSigned(k, kQuantBlock) * kQuantBlock / 2;
  float limit = isWide ? 32512.0f : 127.0f;
  Value d = arith::DivFOp::create(b, amax, number(limit));
  // Below 2^-100 the inverse could overflow; such a block counts as zero.
  Value isTiny = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, amax,
                                       number(0x1p-100f));
  Value inverse = arith::SelectOp::create(
      b, isTiny, number(0.0f), arith::DivFOp::create(b, number(limit), amax));
  Value factor = broadcast(b, inverse);

  // Adding 1.5 * 2^23 rounds to the nearest integer, ties to even, into the
  // low bits of the sum: no library call on any target, and no undefined
  // conversion for NaN.
  constexpr float kMagic = 12582912.0f;
  constexpr int64_t kMagicBits = 0x4b400000;
  SmallVector<Value> codes;
  for (Value half : halves) {
    Value shifted = add(mul(half, factor), splat(b, kMagic));
    Value bits = arith::BitcastOp::create(b, ints, shifted);
    codes.push_back(arith::SubIOp::create(b, bits, constant(kMagicBits)));
  }
  SmallVector<int64_t> both(kQuantBlock);
  std::iota(both.begin(), both.end(), 0);
  constexpr int64_t kWords = kQuantBlock / 4;
  Value word = arith::MulIOp::create(
      b, block, constIndex(b, isWide ? 2 * kWords : kWords));
  auto storeBytes = [&](ValueRange pair, int64_t at) {
    SmallVector<Value> bytes;
    for (Value lanes : pair)
      bytes.push_back(
          arith::TruncIOp::create(b, vectorOf(kLanes, b.getI8Type()), lanes));
    Value words = vector::BitCastOp::create(
        b, vectorOf(kWords, i32),
        vector::ShuffleOp::create(b, bytes[0], bytes[1], both));
    storeLanes(b, words, op.getInits()[0], {row, addIndex(b, word, at)});
  };
  if (isWide) {
    SmallVector<Value> high;
    for (Value lanes : codes)
      high.push_back(arith::ShRSIOp::create(
          b, arith::AddIOp::create(b, lanes, constant(128)), constant(8)));
    storeBytes(high, 0);
  }
  storeBytes(codes, isWide ? kWords : 0);
  memref::StoreOp::create(b, d, op.getInits()[1], ValueRange{row, block});

  storeSums(row, block, d, codes);
}

/// Stores what inits[2] has of a block whose codes are `halves`.
void RowsKernel::storeSums(Value row, Value block, Value d,
                           ArrayRef<Value> halves) {
  auto total = [&](Value lanes) -> Value {
    Value sum =
        vector::ReductionOp::create(b, vector::CombiningKind::ADD, lanes);
    if (!op.getZeroPoint())
      return mul(d, arith::SIToFPOp::create(b, b.getF32Type(), sum));
    return arith::MulIOp::create(
        b, sum,
        arith::ConstantOp::create(
            b, b.getI32IntegerAttr(-int32_t(*op.getZeroPoint()))));
  };
  Value sums = op.getInits()[2];
  bool perHalf = cast<MemRefType>(sums.getType()).getDimSize(1) >
                 llvm::divideCeilSigned(k, kQuantBlock);
  if (!perHalf) {
    Value both = arith::AddIOp::create(b, halves[0], halves[1]);
    memref::StoreOp::create(b, total(both), sums, ValueRange{row, block});
    return;
  }
  Value first = arith::MulIOp::create(b, block, constIndex(b, 2));
  for (auto [i, half] : llvm::enumerate(halves))
    memref::StoreOp::create(b, total(half), sums,
                            ValueRange{row, addIndex(b, first, i)});
}

namespace {

struct VectorizeRows : cria::impl::VectorizeRowsBase<VectorizeRows> {
  using VectorizeRowsBase::VectorizeRowsBase;

  void runOnOperation() override {
    SmallVector<RowsOp> ops;
    getOperation()->walk([&](RowsOp op) { ops.push_back(op); });
    for (RowsOp op : ops) {
      if (failed(checkBufferized(op)) || failed(checkShapes(op)))
        return signalPassFailure();
      ImplicitLocOpBuilder b(op.getLoc(), op);
      RowsKernel(b, op, dot2 && op.getBf16()).emit();
      op.erase();
    }
  }

  static LogicalResult checkShapes(RowsOp op) {
    if (!op->getParentOfType<FunctionOpInterface>())
      return op.emitOpError("is outside of any function");
    if (cast<MemRefType>(op.getX().getType()).isDynamicDim(1))
      return op.emitOpError("x ")
             << op.getX().getType() << " needs a static number of columns";
    for (Value param : op.getParams())
      if (!cast<MemRefType>(param.getType()).hasStaticShape())
        return op.emitOpError("param ")
               << param.getType() << " needs a static size";
    return success();
  }
};

} // namespace
