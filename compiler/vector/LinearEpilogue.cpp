// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/vector/LinearEpilogue.h"

#include "compiler/vector/KernelUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace cria;

Value cria::loadRope(ImplicitLocOpBuilder &b, Value table, Value token,
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

void cria::storeToCache(ImplicitLocOpBuilder &b, FusedLinearOp op, Value tile,
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
