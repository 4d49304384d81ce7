// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "compiler/vector/KernelUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace cria {

Value constIndex(ImplicitLocOpBuilder &b, int64_t value) {
  return arith::ConstantIndexOp::create(b, value);
}

Value dimSize(ImplicitLocOpBuilder &b, Value memref, int64_t dim) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(dim))
    return constIndex(b, type.getDimSize(dim));
  return memref::DimOp::create(b, memref, dim);
}

Value addIndex(ImplicitLocOpBuilder &b, Value value, int64_t offset) {
  if (offset == 0)
    return value;
  if (std::optional<int64_t> constant = getConstantIntValue(value))
    return constIndex(b, *constant + offset);
  return arith::AddIOp::create(b, value, constIndex(b, offset));
}

SmallVector<Value>
buildLoop(ImplicitLocOpBuilder &b, Value lower, Value upper, int64_t step,
          ValueRange init,
          llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  std::optional<int64_t> from = getConstantIntValue(lower);
  std::optional<int64_t> to = getConstantIntValue(upper);
  if (from && to && *from < *to && *to - *from <= step)
    return body(lower, init);
  auto loop =
      scf::ForOp::create(b, lower, upper, constIndex(b, step), init,
                         [](OpBuilder &, Location, Value, ValueRange) {});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(loop.getBody());
  scf::YieldOp::create(
      b, body(loop.getInductionVar(), ValueRange(loop.getRegionIterArgs())));
  return llvm::to_vector_of<Value>(loop.getResults());
}

VectorType vectorOf(int64_t lanes, Type element) {
  return VectorType::get({lanes}, element);
}

Value splat(ImplicitLocOpBuilder &b, float value, int64_t lanes) {
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(vectorOf(lanes, b.getF32Type()), value));
}

Value splatInt(ImplicitLocOpBuilder &b, Type element, int64_t value,
               int64_t lanes) {
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(vectorOf(lanes, element),
                                b.getIntegerAttr(element, value)));
}

Value broadcast(ImplicitLocOpBuilder &b, Value scalar, int64_t lanes) {
  return vector::BroadcastOp::create(b, vectorOf(lanes, scalar.getType()),
                                     scalar);
}

Value loadLanes(ImplicitLocOpBuilder &b, Value memref, ValueRange indices,
                Value mask, int64_t lanes) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  VectorType type = vectorOf(lanes, element);
  if (!mask)
    return vector::LoadOp::create(b, type, memref, indices);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  return vector::MaskedLoadOp::create(b, type, memref, indices, mask, zero);
}

void storeLanes(ImplicitLocOpBuilder &b, Value value, Value memref,
                ValueRange indices, Value mask) {
  if (mask)
    vector::MaskedStoreOp::create(b, memref, indices, mask, value);
  else
    vector::StoreOp::create(b, value, memref, indices);
}

void prefetchLine(ImplicitLocOpBuilder &b, Value memref, ValueRange indices,
                  bool intoL1) {
  memref::PrefetchOp::create(b, memref, indices, /*isWrite=*/false,
                             /*localityHint=*/intoL1 ? 3 : 2,
                             /*isDataCache=*/true);
}

Value tailMask(ImplicitLocOpBuilder &b, int64_t count, int64_t lanes) {
  SmallVector<bool> bits(lanes, false);
  std::fill_n(bits.begin(), std::min(count, lanes), true);
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(vectorOf(lanes, b.getI1Type()), bits));
}

Value sumLanes(ImplicitLocOpBuilder &b, Value vector) {
  for (int64_t half = kLanes / 2; half >= 1; half /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t i = 0; i < half; ++i) {
      low.push_back(i);
      high.push_back(half + i);
    }
    Value a = vector::ShuffleOp::create(b, vector, vector, low);
    Value c = vector::ShuffleOp::create(b, vector, vector, high);
    vector = arith::AddFOp::create(b, a, c);
  }
  return vector::ExtractOp::create(b, vector, int64_t(0));
}

/// `like` with another element type: a scalar, or a vector of that shape.
static Type withElement(Type like, Type element) {
  if (auto type = dyn_cast<VectorType>(like))
    return type.clone(element);
  return element;
}

/// An integer constant of `type`, splat where that is a vector.
static Value intConstant(ImplicitLocOpBuilder &b, Type type, int64_t value) {
  Attribute scalar = b.getIntegerAttr(getElementTypeOrSelf(type), value);
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, scalar));
  return arith::ConstantOp::create(b, cast<TypedAttr>(scalar));
}

Value extendToF32(ImplicitLocOpBuilder &b, Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  if (element.isF32())
    return value;
  Type f32 = withElement(value.getType(), b.getF32Type());
  if (element.isF16())
    return arith::ExtFOp::create(b, f32, value);
  assert(element.isBF16() && "no such weight or cache element");
  Type i32 = withElement(value.getType(), b.getI32Type());
  Value bits = arith::BitcastOp::create(
      b, withElement(value.getType(), b.getI16Type()), value);
  bits = arith::ExtUIOp::create(b, i32, bits);
  bits = arith::ShLIOp::create(b, bits, intConstant(b, i32, 16));
  return arith::BitcastOp::create(b, f32, bits);
}

Value truncateFromF32(ImplicitLocOpBuilder &b, Value value, Type element) {
  if (element.isF32())
    return value;
  Type narrow = withElement(value.getType(), element);
  if (element.isF16())
    return arith::TruncFOp::create(b, narrow, value);
  assert(element.isBF16() && "no such weight or cache element");
  Type i32 = withElement(value.getType(), b.getI32Type());
  auto constant = [&](int64_t v) { return intConstant(b, i32, v); };
  Value bits = arith::BitcastOp::create(b, i32, value);
  Value high = arith::ShRUIOp::create(b, bits, constant(16));
  // Half an ulp less one, plus the last kept bit: ties go to even.
  Value odd = arith::AndIOp::create(b, high, constant(1));
  Value bias = arith::AddIOp::create(b, odd, constant(0x7fff));
  Value rounded = arith::ShRUIOp::create(
      b, arith::AddIOp::create(b, bits, bias), constant(16));
  // The sum would carry a NaN's payload into the sign.
  Value isNan =
      arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, value, value);
  Value quiet = arith::OrIOp::create(b, high, constant(0x40));
  Value result = arith::SelectOp::create(b, isNan, quiet, rounded);
  result = arith::TruncIOp::create(
      b, withElement(value.getType(), b.getI16Type()), result);
  return arith::BitcastOp::create(b, narrow, result);
}

SmallVector<Value> weightComponents(ImplicitLocOpBuilder &b, Value weight) {
  SmallVector<Type> types;
  for (const WeightType::Component &component :
       cast<WeightType>(weight.getType()).getStorage())
    types.push_back(component.type);
  return llvm::to_vector_of<Value>(
      WeightDataOp::create(b, types, weight).getResults());
}

Value expandActivation(ImplicitLocOpBuilder &b, ActivationKind kind, Value x) {
  int64_t lanes = cast<VectorType>(x.getType()).getNumElements();
  auto constant = [&](float v) { return splat(b, v, lanes); };
  auto mul = [&](Value p, Value q) -> Value {
    return arith::MulFOp::create(b, p, q);
  };
  auto add = [&](Value p, Value q) -> Value {
    return arith::AddFOp::create(b, p, q);
  };
  switch (kind) {
  case ActivationKind::relu2: {
    Value positive = expandActivation(b, ActivationKind::relu, x);
    return mul(positive, positive);
  }
  case ActivationKind::relu: {
    // Not maximumf: a compare and a select give NaN and -0 the same fate
    // everywhere (NaN stays NaN).
    Value negative =
        arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, constant(0.0f));
    return arith::SelectOp::create(b, negative, constant(0.0f), x);
  }
  case ActivationKind::gelu: {
    Value phi = math::ErfOp::create(b, mul(x, constant(0.70710678118654752f)));
    return mul(mul(x, constant(0.5f)), add(constant(1.0f), phi));
  }
  case ActivationKind::gelu_tanh: {
    Value cube = mul(mul(x, x), x);
    Value inner = mul(constant(0.79788456080286536f),
                      math::FmaOp::create(b, constant(0.044715f), cube, x));
    Value tanh = math::TanhOp::create(b, inner);
    return mul(mul(x, constant(0.5f)), add(constant(1.0f), tanh));
  }
  case ActivationKind::silu: {
    Value minus = arith::NegFOp::create(b, x);
    Value e = math::ExpOp::create(b, minus);
    return arith::DivFOp::create(b, x, add(constant(1.0f), e));
  }
  }
  llvm_unreachable("every activation kind is handled");
}

LogicalResult checkBufferized(Operation *op) {
  for (Type type : op->getOperandTypes())
    if (isa<TensorType>(type))
      return op->emitOpError("is vectorized after bufferization, and operand "
                             "type ")
             << type << " is a tensor; run one-shot-bufferize first";
  return success();
}

} // namespace cria
