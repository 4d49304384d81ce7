// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/vector/LinearEpilogue.h"

#include "compiler/vector/KernelUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace cria;

/// The lanes' cosines (part 0) or sines (part 1) of a token, from a table of
/// n x 2 x head_dim.
static Value loadRope(ImplicitLocOpBuilder &b, Value table, Value token,
                      Value lane, int64_t part) {
  int64_t headDim = cast<MemRefType>(table.getType()).getDimSize(2);
  Value index = constIndex(b, part);
  Value offset = arith::RemUIOp::create(b, lane, constIndex(b, headDim));
  if (headDim % kLanes == 0)
    return loadLanes(b, table, {token, index, offset});
  // The group straddles heads: the lanes wrap around.
  Value lanes = splat(b, 0.0f);
  for (int64_t i = 0; i < kLanes; ++i) {
    Value wrapped = arith::RemUIOp::create(b, addIndex(b, offset, i),
                                           constIndex(b, headDim));
    Value element =
        memref::LoadOp::create(b, table, ValueRange{token, index, wrapped});
    lanes = vector::InsertOp::create(b, element, lanes, i);
  }
  return lanes;
}

/// Stores 16 f32 of a token to `op`'s cache, which may be of keys or values.
/// Lanes at or past `numRows` are not stored.
static void storeToCache(ImplicitLocOpBuilder &b, FusedLinearOp op, Value tile,
                         Value token, Value lane, Value numRows) {
  Value cache = op.getInit();
  auto type = cast<MemRefType>(cache.getType());
  bool isKey = op.getOut() == OutKind::key;
  int64_t headDim = type.getDimSize(4);
  tile = truncateFromF32(b, tile, type.getElementType());

  Value slot = arith::IndexCastUIOp::create(
      b, b.getIndexType(),
      memref::LoadOp::create(b, op.getSlots(), ValueRange{token}));
  auto divide = [&](Value value, int64_t by) -> Value {
    return arith::DivUIOp::create(b, value, constIndex(b, by));
  };
  auto remainder = [&](Value value, int64_t by) -> Value {
    return arith::RemUIOp::create(b, value, constIndex(b, by));
  };
  Value page = divide(slot, CriaDialect::kPageTokens);
  Value position = remainder(slot, CriaDialect::kPageTokens);
  // [layer][page][head][position / 16][d][position % 16], or
  // [layer][page][head][position][d].
  auto indices = [&](Value head, Value d) -> SmallVector<Value> {
    if (isKey)
      return {op.getLayer(),
              page,
              head,
              divide(position, kLanes),
              d,
              remainder(position, kLanes)};
    return {op.getLayer(), page, head, position, d};
  };

  bool straddles = headDim % kLanes != 0;
  if (!straddles && !isKey) {
    storeLanes(b, tile, cache,
               indices(divide(lane, headDim), remainder(lane, headDim)));
    return;
  }
  for (int64_t i = 0; i < kLanes; ++i) {
    Value row = addIndex(b, lane, i);
    auto scatter = [&] {
      Value element = vector::ExtractOp::create(b, tile, i);
      Value head = divide(straddles ? row : lane, headDim);
      Value d = straddles ? remainder(row, headDim)
                          : addIndex(b, remainder(lane, headDim), i);
      memref::StoreOp::create(b, element, cache, indices(head, d));
    };
    if (!straddles) {
      scatter();
      continue;
    }
    // The last group may have lanes past N.
    Value exists =
        arith::CmpIOp::create(b, arith::CmpIPredicate::ult, row, numRows);
    auto branch = scf::IfOp::create(b, TypeRange(), exists, false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    scatter();
  }
}

void cria::emitEpilogue(ImplicitLocOpBuilder &b, FusedLinearOp op, Value token,
                        Value lane, Value mask, Value numRows,
                        ArrayRef<Value> accumulators) {
  Block &region = op.getEpilogue().front();
  SmallVector<Value> values(accumulators);
  for (auto [i, extra] : llvm::enumerate(op.getExtras())) {
    switch (op.getExtraKind(i)) {
    case ExtraKind::elementwise:
      values.push_back(loadLanes(b, extra, {token, lane}, mask));
      break;
    case ExtraKind::bias:
      values.push_back(loadLanes(b, extra, {lane}, mask));
      break;
    case ExtraKind::rope:
      values.push_back(loadRope(b, extra, token, lane, 0));
      values.push_back(loadRope(b, extra, token, lane, 1));
      break;
    }
  }
  if (op.getAccumulate())
    values.push_back(loadLanes(b, op.getInit(), {token, lane}, mask));

  IRMapping map;
  map.map(region.getArguments(), values);
  for (Operation &inner : region.without_terminator()) {
    if (auto activation = dyn_cast<ActivationOp>(inner))
      map.map(activation.getResult(),
              expandActivation(b, activation.getKind(),
                               map.lookup(activation.getX())));
    else
      b.clone(inner, map);
  }
  Value tile = map.lookup(region.getTerminator()->getOperand(0));
  if (op.getOut() == OutKind::rows)
    storeLanes(b, tile, op.getInit(), {token, lane}, mask);
  else
    storeToCache(b, op, tile, token, lane, numRows);
}

LogicalResult cria::checkLinear(FusedLinearOp op) {
  WeightType type = op.getWeightType();
  if (type.getLayout() == WeightLayout::rows)
    return op.emitOpError("weight ")
           << type << " has layout rows; pack it to n16, n16k2 or n16k4";
  for (Value extra : op.getExtras())
    if (auto table = cast<MemRefType>(extra.getType());
        table.getRank() == 3 && table.isDynamicDim(2))
      return op.emitOpError("rope table ")
             << table << " needs a static head_dim";
  auto init = cast<MemRefType>(op.getInit().getType());
  if (op.getOut() != OutKind::rows && init.isDynamicDim(4))
    return op.emitOpError("cache ") << init << " needs a static head_dim";
  return success();
}
