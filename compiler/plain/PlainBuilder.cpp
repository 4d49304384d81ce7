// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "compiler/plain/PlainBuilder.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace cria;
using namespace mlir;

Value PlainBuilder::index(int64_t value) {
  return create<arith::ConstantIndexOp>(value);
}

Value PlainBuilder::f32(double value) {
  return create<arith::ConstantOp>(getF32FloatAttr(float(value)));
}

Value PlainBuilder::f32(const APFloat &value) {
  return create<arith::ConstantOp>(FloatAttr::get(getF32Type(), value));
}

Value PlainBuilder::extractIndex(Value tensor, ValueRange indices) {
  Value element = create<tensor::ExtractOp>(tensor, indices);
  return create<arith::IndexCastOp>(getIndexType(), element);
}

Value PlainBuilder::toF32(Value value) {
  if (value.getType().isF32())
    return value;
  return create<arith::ExtFOp>(getF32Type(), value);
}

Value PlainBuilder::fromF32(Value value, Type type) {
  if (type.isF32())
    return value;
  return create<arith::TruncFOp>(type, value);
}

Value PlainBuilder::apply(AffineExpr expr, ValueRange dims) {
  return create<affine::AffineApplyOp>(AffineMap::get(dims.size(), 0, expr),
                                       dims);
}

PlainBuilder::Sizes PlainBuilder::sizes(Value tensor) {
  return tensor::getMixedSizes(*this, getLoc(), tensor);
}

PlainBuilder::Sizes PlainBuilder::sizes(ArrayRef<int64_t> values) {
  return getAsIndexOpFoldResult(getContext(), values);
}

Value PlainBuilder::empty(ArrayRef<OpFoldResult> sizes) {
  return create<tensor::EmptyOp>(sizes, getF32Type());
}

Value PlainBuilder::filled(ArrayRef<OpFoldResult> sizes, double value) {
  Value init = empty(sizes);
  return create<linalg::FillOp>(f32(value), init).getResult(0);
}

AffineMap PlainBuilder::select(unsigned rank, ArrayRef<unsigned> dims) {
  SmallVector<AffineExpr> exprs;
  for (unsigned dim : dims)
    exprs.push_back(getAffineDimExpr(dim));
  return AffineMap::get(rank, 0, exprs, getContext());
}

Value PlainBuilder::splitLast(Value tensor, ArrayRef<int64_t> parts) {
  auto type = cast<RankedTensorType>(tensor.getType());
  Sizes split = sizes(tensor);
  SmallVector<int64_t> shape(type.getShape());
  split.pop_back();
  shape.pop_back();
  SmallVector<ReassociationIndices> groups;
  for (size_t i = 0; i < shape.size(); ++i)
    groups.push_back({int64_t(i)});
  groups.emplace_back();
  for (int64_t part : parts) {
    groups.back().push_back(shape.size());
    shape.push_back(part);
    split.push_back(getIndexAttr(part));
  }
  return create<tensor::ExpandShapeOp>(type.clone(shape), tensor, groups,
                                       split);
}

Value PlainBuilder::mergeLast(Value tensor, unsigned from) {
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<ReassociationIndices> groups;
  for (unsigned i = 0; i < from; ++i)
    groups.push_back({int64_t(i)});
  groups.emplace_back();
  for (int64_t i = from; i < type.getRank(); ++i)
    groups.back().push_back(i);
  return create<tensor::CollapseShapeOp>(tensor, groups);
}

Value PlainBuilder::asType(Value tensor, Type type) {
  if (tensor.getType() == type)
    return tensor;
  return create<tensor::CastOp>(type, tensor);
}

static Value buildGeneric(PlainBuilder &b, ArrayRef<PlainBuilder::Input> inputs,
                          Value init, AffineMap initMap,
                          ArrayRef<utils::IteratorType> iterators,
                          PlainBuilder::Body body) {
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  for (const PlainBuilder::Input &input : inputs) {
    operands.push_back(input.tensor);
    maps.push_back(input.map);
  }
  maps.push_back(initMap);
  auto build = [&](OpBuilder &builder, Location loc, ValueRange args) {
    PlainBuilder inner(builder, loc);
    Value result = body(inner, args);
    linalg::YieldOp::create(inner, loc, result);
  };
  return b
      .create<linalg::GenericOp>(init.getType(), operands, init, maps,
                                 iterators, build)
      .getResult(0);
}

Value PlainBuilder::elements(ArrayRef<OpFoldResult> sizes,
                             ArrayRef<Input> inputs, Body body) {
  Value init = empty(sizes);
  SmallVector<utils::IteratorType> iterators(sizes.size(),
                                             utils::IteratorType::parallel);
  return buildGeneric(*this, inputs, init, getMultiDimIdentityMap(sizes.size()),
                      iterators, body);
}

Value PlainBuilder::elementwise(ValueRange inputs, Body body) {
  Sizes shape = sizes(inputs.front());
  AffineMap identity = getMultiDimIdentityMap(shape.size());
  SmallVector<Input> mapped;
  for (Value input : inputs)
    mapped.push_back({input, identity});
  return elements(shape, mapped, body);
}

Value PlainBuilder::reduce(unsigned loops, ArrayRef<unsigned> reductions,
                           ArrayRef<Input> inputs, Value init, Body body) {
  SmallVector<utils::IteratorType> iterators(loops,
                                             utils::IteratorType::parallel);
  for (unsigned dim : reductions)
    iterators[dim] = utils::IteratorType::reduction;
  SmallVector<unsigned> kept;
  for (unsigned dim = 0; dim < loops; ++dim)
    if (iterators[dim] == utils::IteratorType::parallel)
      kept.push_back(dim);
  return buildGeneric(*this, inputs, init, select(loops, kept), iterators,
                      body);
}

Value PlainBuilder::reduceLast(Value tensor, Value init, Body body) {
  unsigned rank = cast<RankedTensorType>(tensor.getType()).getRank();
  return reduce(rank, {rank - 1}, {{tensor, getMultiDimIdentityMap(rank)}},
                init, body);
}

Value PlainBuilder::loop(unsigned dim) { return create<linalg::IndexOp>(dim); }
