// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/vector/LinearOperands.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace cria {

LinearWeight::LinearWeight(ImplicitLocOpBuilder &b, Value weight) {
  auto type = cast<WeightType>(weight.getType());
  SmallVector<Value> parts = weightComponents(b, weight);
  auto collapse = [&](ArrayRef<ReassociationIndices> dims) {
    return memref::CollapseShapeOp::create(b, parts[0], dims);
  };
  if (!type.isQuantized()) {
    elements = parts[0];
    // bf16: the pairs of 16 rows as one dimension of 32.
    if (type.getLayout() == WeightLayout::n16k2)
      elements = collapse({{0}, {1}, {2, 3}});
    return;
  }
  codes = collapse({{0}, {1}, {2}, {3, 4}});
  scales = parts[1];
  if (type.getElement() == ElementKind::q6)
    subscales = parts[2];
  if (type.getOffset() == OffsetKind::min)
    mins = parts[2];
}

Value addressOfRow(ImplicitLocOpBuilder &b, Value memref, Value row) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t bytes = type.getElementTypeBitWidth() / 8;
  int64_t stride = type.getStridesAndOffset().first.front();
  auto mul = [&](Value x, Value y) -> Value {
    return arith::MulIOp::create(b, x, y);
  };
  Value element = constIndex(b, bytes);
  auto layout = memref::ExtractStridedMetadataOp::create(b, memref);
  Value start = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  start = arith::AddIOp::create(b, start, mul(layout.getOffset(), element));
  Value rowBytes = ShapedType::isDynamic(stride)
                       ? mul(layout.getStrides().front(), element)
                       : constIndex(b, stride * bytes);
  return arith::AddIOp::create(b, start, mul(row, rowBytes));
}

LinearRows::LinearRows(ImplicitLocOpBuilder &b, FusedLinearOp op) {
  Value init = op.getInit();
  auto type = cast<MemRefType>(init.getType());
  if (op.getOut() == OutKind::rows) {
    known = type.getDimSize(1);
    count = dimSize(b, init, 1);
  } else {
    int64_t headDim = type.getDimSize(4);
    known = type.isDynamicDim(2) ? ShapedType::kDynamic
                                 : type.getDimSize(2) * headDim;
    count = ShapedType::isDynamic(known)
                ? Value(arith::MulIOp::create(b, dimSize(b, init, 2),
                                              constIndex(b, headDim)))
                : constIndex(b, known);
  }
  groups = ShapedType::isDynamic(known)
               ? Value(arith::DivUIOp::create(b, addIndex(b, count, kLanes - 1),
                                              constIndex(b, kLanes)))
               : constIndex(b, llvm::divideCeil(known, kLanes));
}

Value LinearRows::mask(ImplicitLocOpBuilder &b, Value first) const {
  if (!ShapedType::isDynamic(known) && known % kLanes == 0)
    return {};
  Value left = arith::SubIOp::create(b, count, first);
  return vector::CreateMaskOp::create(b, vectorOf(kLanes, b.getI1Type()),
                                      ValueRange{left});
}

bool hasWideCodes(FusedLinearOp op) {
  WeightType weight = op.getWeightType();
  return weight.isQuantized() &&
         cast<MemRefType>(op.getActs()[0].getType()).getDimSize(1) ==
             llvm::divideCeilSigned(weight.getK(), kQuantBlock) * kQuantBlock /
                 2;
}

} // namespace cria
