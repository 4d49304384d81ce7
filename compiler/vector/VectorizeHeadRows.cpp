// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.head_rows on memrefs to vector loops; see Passes.td.

#include "compiler/Passes.h"
#include "compiler/vector/KernelUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace cria {
#define GEN_PASS_DEF_VECTORIZEHEADROWS
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// Emits the loops for one cria.head_rows.
class HeadRowsKernel {
public:
  HeadRowsKernel(ImplicitLocOpBuilder &b, HeadRowsOp op)
      : b(b), op(op), headDim(op.getHeadDim()),
        columns(cast<MemRefType>(op.getX().getType()).getDimSize(1)) {}

  void emit();

private:
  Value mul(Value p, Value q) { return arith::MulFOp::create(b, p, q); }
  /// Lanes [index, index + 16) of a head that starts at `column`.
  Value load(Value token, Value column, Value index, Value mask) {
    return loadLanes(b, op.getX(),
                     {token, arith::AddIOp::create(b, column, index)}, mask);
  }
  void forEachPiece(llvm::function_ref<void(Value, int64_t)> body);
  Value average(Value token, Value column,
                llvm::function_ref<Value(Value, Value, Value)> body);
  Value mean(Value token, Value column);
  Value inverseRoot(Value token, Value column, Value mean);
  Value parameter(Value vector, Value column, Value index, Value mask);
  Value rotate(Value x, Value token, Value index, Value mask);
  void store(Value x, Value token, Value head, Value column, Value index,
             int64_t exist);

  ImplicitLocOpBuilder &b;
  HeadRowsOp op;
  int64_t headDim, columns;
  Value page, place; // of the token at hand, with a cache
};

} // namespace

/// Calls `body` with the start of every 16 elements of a head and how many of
/// them exist.
void HeadRowsKernel::forEachPiece(
    llvm::function_ref<void(Value, int64_t)> body) {
  int64_t full = headDim / kLanes * kLanes;
  if (full > 0)
    buildLoop(b, constIndex(b, 0), constIndex(b, full), kLanes, {},
              [&](Value index, ValueRange) {
                body(index, kLanes);
                return SmallVector<Value>();
              });
  if (full < headDim)
    body(constIndex(b, full), headDim - full);
}

/// A sum over the head at `column`, divided by its size. There are 16 running
/// sums, as in cria.rows; `body` gets 16 elements, the mask of the last ones
/// (or null) and the running sums.
Value HeadRowsKernel::average(
    Value token, Value column,
    llvm::function_ref<Value(Value, Value, Value)> body) {
  int64_t full = headDim / kLanes * kLanes;
  auto step = [&](Value index, Value mask, Value acc) -> Value {
    return body(load(token, column, index, mask), mask, acc);
  };
  Value acc = splat(b, 0.0f);
  if (full > 0)
    acc = buildLoop(b, constIndex(b, 0), constIndex(b, full), kLanes, acc,
                    [&](Value index, ValueRange carried) -> SmallVector<Value> {
                      return {step(index, {}, carried[0])};
                    })[0];
  if (full < headDim)
    acc = step(constIndex(b, full), tailMask(b, headDim - full), acc);
  Value size = arith::ConstantOp::create(b, b.getF32FloatAttr(headDim));
  return arith::DivFOp::create(b, sumLanes(b, acc), size);
}

Value HeadRowsKernel::mean(Value token, Value column) {
  return broadcast(b, average(token, column, [&](Value x, Value, Value acc) {
                     return arith::AddFOp::create(b, acc, x);
                   }));
}

/// 1 / sqrt(mean of squares + eps) in every lane, as in cria.rows: of what
/// `mean` leaves, where that is not null.
Value HeadRowsKernel::inverseRoot(Value token, Value column, Value mean) {
  Value square =
      average(token, column, [&](Value x, Value mask, Value acc) -> Value {
        if (mean) {
          x = arith::SubFOp::create(b, x, mean);
          if (mask)
            x = arith::SelectOp::create(b, mask, x, splat(b, 0.0f));
        }
        return math::FmaOp::create(b, x, x, acc);
      });
  auto number = [&](float value) -> Value {
    return arith::ConstantOp::create(b, b.getF32FloatAttr(value));
  };
  Value total =
      arith::AddFOp::create(b, square, number(op.getEps()->convertToFloat()));
  Value root = math::SqrtOp::create(b, total);
  return broadcast(b, arith::DivFOp::create(b, number(1.0f), root));
}

/// Lanes of a vector of one head's parameters, or of all heads'.
Value HeadRowsKernel::parameter(Value vector, Value column, Value index,
                                Value mask) {
  bool ofAll = cast<MemRefType>(vector.getType()).getDimSize(0) != headDim;
  Value at = ofAll ? arith::AddIOp::create(b, column, index) : index;
  return loadLanes(b, vector, {at}, mask);
}

/// Neighbours rotate: x * cos + swap(x) * signed sin. head_dim is even, so a
/// pair is never cut.
Value HeadRowsKernel::rotate(Value x, Value token, Value index, Value mask) {
  SmallVector<int64_t> swap;
  for (int64_t i = 0; i < kLanes; ++i)
    swap.push_back(i ^ 1);
  auto table = [&](int64_t part) {
    return loadLanes(b, op.getRope(), {token, constIndex(b, part), index},
                     mask);
  };
  Value swapped = vector::ShuffleOp::create(b, x, x, swap);
  return math::FmaOp::create(b, swapped, table(1), mul(x, table(0)));
}

void HeadRowsKernel::store(Value x, Value token, Value head, Value column,
                           Value index, int64_t exist) {
  Value mask = exist < kLanes ? tailMask(b, exist) : Value();
  if (op.getOut() == OutKind::rows)
    return storeLanes(b, x, op.getInit(),
                      {token, arith::AddIOp::create(b, column, index)}, mask);
  x = truncateFromF32(
      b, x, cast<MemRefType>(op.getInit().getType()).getElementType());
  if (op.getOut() == OutKind::value)
    return storeLanes(b, x, op.getInit(),
                      {op.getLayer(), page, head, place, index}, mask);
  // Positions are the lanes of a key's block: one element goes to each row.
  Value lanes = constIndex(b, kLanes);
  Value block = arith::DivUIOp::create(b, place, lanes);
  Value lane = arith::RemUIOp::create(b, place, lanes);
  for (int64_t i = 0; i < exist; ++i)
    memref::StoreOp::create(b, vector::ExtractOp::create(b, x, i), op.getInit(),
                            ValueRange{op.getLayer(), page, head, block,
                                       addIndex(b, index, i), lane});
}

void HeadRowsKernel::emit() {
  auto emitHead = [&](Value token, Value head) {
    Value column = arith::MulIOp::create(b, head, constIndex(b, headDim));
    Value center, scale;
    if (op.getCenter())
      center = mean(token, column);
    if (op.getWeight())
      scale = inverseRoot(token, column, center);
    forEachPiece([&](Value index, int64_t exist) {
      Value mask = exist < kLanes ? tailMask(b, exist) : Value();
      Value x = load(token, column, index, mask);
      if (op.getWeight()) {
        if (center)
          x = arith::SubFOp::create(b, x, center);
        Value w = parameter(op.getWeight(), column, index, mask);
        if (op.getPlusOne())
          w = arith::AddFOp::create(b, w, splat(b, 1.0f));
        x = mul(mul(x, scale), w);
        if (op.getBias())
          x = arith::AddFOp::create(
              b, x, parameter(op.getBias(), column, index, mask));
      }
      if (op.getRope())
        x = rotate(x, token, index, mask);
      store(x, token, head, column, index, exist);
    });
  };
  buildLoop(b, constIndex(b, 0), dimSize(b, op.getX(), 0), 1, {},
            [&](Value token, ValueRange) {
              if (op.getOut() != OutKind::rows) {
                Value slot = arith::IndexCastUIOp::create(
                    b, b.getIndexType(),
                    memref::LoadOp::create(b, op.getSlots(), token));
                Value tokens = constIndex(b, CriaDialect::kPageTokens);
                page = arith::DivUIOp::create(b, slot, tokens);
                place = arith::RemUIOp::create(b, slot, tokens);
              }
              buildLoop(b, constIndex(b, 0), constIndex(b, columns / headDim),
                        1, {}, [&](Value head, ValueRange) {
                          emitHead(token, head);
                          return SmallVector<Value>();
                        });
              return SmallVector<Value>();
            });
}

namespace {

struct VectorizeHeadRows
    : cria::impl::VectorizeHeadRowsBase<VectorizeHeadRows> {
  void runOnOperation() override {
    SmallVector<HeadRowsOp> ops;
    getOperation()->walk([&](HeadRowsOp op) { ops.push_back(op); });
    for (HeadRowsOp op : ops) {
      if (failed(checkBufferized(op)))
        return signalPassFailure();
      ImplicitLocOpBuilder b(op.getLoc(), op);
      HeadRowsKernel(b, op).emit();
      op.erase();
    }
  }
};

} // namespace
