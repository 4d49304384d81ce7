// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/vector/AttentionBuilder.h"
#include "dialect/CacheLayout.h"

using namespace mlir;
using namespace cria;

AttentionBuilder::AttentionBuilder(Operation *op, int64_t headDim,
                                   std::optional<uint64_t> window)
    : b(op->getLoc(), op), headDim(headDim),
      window(static_cast<int64_t>(window.value_or(0))) {
  vecType = VectorType::get(kLanes, b.getF32Type());
  intVecType = VectorType::get(kLanes, b.getI32Type());
}

Value AttentionBuilder::f32(double v, Type type) {
  TypedAttr attr = b.getF32FloatAttr(static_cast<float>(v));
  if (auto vec = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vec, cast<Attribute>(attr));
  return arith::ConstantOp::create(b, attr);
}

Value AttentionBuilder::fmax(Value x, Value y) {
  Value more = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x, y);
  return arith::SelectOp::create(b, more, x, y);
}

Value AttentionBuilder::loadVector(Value memref, ValueRange at, int64_t width) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  Value v =
      vector::LoadOp::create(b, VectorType::get(width, element), memref, at);
  auto type = VectorType::get(width, b.getF32Type());
  if (element.isInteger())
    return arith::SIToFPOp::create(b, type, v);
  return element.isF32() ? v : arith::ExtFOp::create(b, type, v);
}

Value AttentionBuilder::loadScales(Value cache, ValueRange page, Value t) {
  Type element = cast<MemRefType>(cache.getType()).getElementType();
  int64_t size = CacheLayout{element.getIntOrFloatBitWidth()}.scaleElements();
  auto parts = VectorType::get(kLanes * size, element);
  Values at(page);
  at.push_back(add(mul(t, size), kPage * headDim));
  return vector::BitCastOp::create(b, vecType,
                                   vector::LoadOp::create(b, parts, cache, at));
}

AttentionBuilder::Values
AttentionBuilder::loop(Value from, Value to, int64_t step, ValueRange init,
                       function_ref<Values(Value, ValueRange)> body) {
  auto forOp = scf::ForOp::create(
      b, from, to,
      arith::ConstantOp::create(b, b.getIntegerAttr(from.getType(), step)),
      init, [&](OpBuilder &, Location, Value iv, ValueRange carried) {
        OpBuilder::InsertionGuard guard(b);
        // The nested builder's block.
        b.setInsertionPointToEnd(iv.getParentBlock());
        Values next = body(iv, carried);
        scf::YieldOp::create(b, next);
      });
  return Values(forOp.getResults());
}

void AttentionBuilder::loop(Value from, Value to, int64_t step,
                            function_ref<void(Value)> f) {
  loop(from, to, step, {}, [&](Value iv, ValueRange) {
    f(iv);
    return Values();
  });
}

void AttentionBuilder::eachColumn(
    int64_t most, function_ref<void(Value, int64_t, int64_t)> f) {
  int64_t full = headDim / kLanes, tail = headDim % kLanes;
  int64_t vectors = std::max<int64_t>(1, std::min(full, most));
  while (full % vectors)
    --vectors;
  if (full)
    loop(idx(0), idx(full * kLanes), vectors * kLanes,
         [&](Value column) { f(column, kLanes, vectors); });
  if (tail)
    f(idx(full * kLanes), tail, 1);
}

void AttentionBuilder::prefetch(Value cache, ValueRange page, ValueRange from,
                                int64_t elements, bool intoL1) {
  auto type = cast<MemRefType>(cache.getType());
  int64_t line = 64 * 8 / type.getElementTypeBitWidth();
  Values at(page);
  at.resize(type.getRank() - 1, idx(0));
  at.push_back(Value());
  for (Value start : from)
    for (int64_t e = 0; e < elements; e += line) {
      at.back() = add(start, e);
      memref::PrefetchOp::create(b, cache, at, /*isWrite=*/false,
                                 /*localityHint=*/intoL1 ? 3 : 2,
                                 /*isDataCache=*/true);
    }
}

Value AttentionBuilder::reduce(Value v,
                               function_ref<Value(Value, Value)> combine) {
  for (int64_t n = kLanes / 2; n > 1; n /= 2) {
    Value low = vector::ExtractStridedSliceOp::create(b, v, {0}, {n}, {1});
    Value high = vector::ExtractStridedSliceOp::create(b, v, {n}, {n}, {1});
    v = combine(low, high);
  }
  return combine(vector::ExtractOp::create(b, v, 0),
                 vector::ExtractOp::create(b, v, 1));
}

Value AttentionBuilder::lowest(Value position) {
  if (!window)
    return idx(0);
  return maxIndex(add(position, 1 - window), idx(0));
}

Value AttentionBuilder::sixteenFrom(Value first) {
  auto lanes = llvm::to_vector(llvm::seq<int32_t>(0, kLanes));
  Value iota = arith::ConstantOp::create(
      b, DenseElementsAttr::get(intVecType, ArrayRef<int32_t>(lanes)));
  return add(splatIndex(first), iota);
}

Value AttentionBuilder::sees(Value position, Value sixteen) {
  Value seen = cmp(arith::CmpIPredicate::sle, sixteen, splatIndex(position));
  if (!window)
    return seen;
  Value inWindow =
      cmp(arith::CmpIPredicate::sge, sixteen, splatIndex(lowest(position)));
  return arith::AndIOp::create(b, seen, inWindow);
}

/// x = n ln 2 + r; a minimax polynomial on |r| <= ln 2 / 2 (relative error
/// 4e-9 before rounding); n goes straight into the exponent's bits.
Value AttentionBuilder::expNonPositive(Value x) {
  constexpr float coefficients[] = {
      0.00138131320f, 0.00836941972f, 0.0416684560f, 0.166665152f,
      0.499999940f,   1.0f,           1.0f};
  Type type = x.getType();
  bool isVector = isa<VectorType>(type);
  Type intType = isVector ? Type(intVecType) : b.getI32Type();
  auto number = [&](double v) { return f32(v, type); };
  // Adding 1.5 * 2^23 rounds to an integer, kept in the low mantissa bits.
  Value magic = number(12582912.0);
  Value shifted = fma(x, number(1.44269504088896341), magic);
  Value n = fsub(shifted, magic);
  constexpr float ln2High = 0.693147180559945309f;
  Value r = fma(n, number(-ln2High), x);
  r = fma(n, number(ln2High - 0.693147180559945309), r);
  Value y = number(coefficients[0]);
  for (float c : ArrayRef(coefficients).drop_front())
    y = fma(y, r, number(c));
  TypedAttr mantissaBits = b.getI32IntegerAttr(23);
  if (isVector)
    mantissaBits =
        DenseElementsAttr::get(intVecType, cast<Attribute>(mantissaBits));
  Value bits =
      arith::ShLIOp::create(b, arith::BitcastOp::create(b, intType, shifted),
                            arith::ConstantOp::create(b, mantissaBits));
  bits = add(bits, arith::BitcastOp::create(b, intType, y));
  y = arith::BitcastOp::create(b, type, bits);
  Value tiny =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, number(-87.0));
  return arith::SelectOp::create(b, tiny, number(0.0), y);
}

Value AttentionBuilder::capped(Value scores, std::optional<double> cap) {
  if (!cap)
    return scores;
  auto number = [&](double v) { return f32(v, scores.getType()); };
  Value ratio = fmul(scores, number(1.0 / *cap));
  return fmul(math::TanhOp::create(b, ratio), number(*cap));
}

Value AttentionBuilder::addByDistance(Value scores, Value slopes, Value bias,
                                      Value head, Value position, Value from) {
  if (slopes) {
    Value here = broadcast(
        arith::IndexCastOp::create(b, b.getI32Type(), position), intVecType);
    Value past =
        arith::SIToFPOp::create(b, vecType, sub(sixteenFrom(from), here));
    scores = fma(loadSplat(slopes, head, vecType), past, scores);
  }
  if (bias) {
    // A row: 16 times the last distance, D distances from there down to 0.
    int64_t last = cast<MemRefType>(bias.getType()).getDimSize(1) - kLanes;
    Value at = add(sub(from, position), idx(last - 1));
    at = minIndex(maxIndex(at, idx(0)), idx(last));
    scores = fadd(scores, loadVector(bias, {head, at}));
  }
  return scores;
}

AttentionBuilder::Merge AttentionBuilder::mergeFactors(Value old, Value chunk) {
  Value max = fmax(old, chunk);
  return {max, expNonPositive(fsub(old, max)),
          expNonPositive(fsub(chunk, max))};
}

Value AttentionBuilder::resultFactor(Value sum, Value max, Value sink) {
  Value total = reduce(sum, [&](Value x, Value y) { return fadd(x, y); });
  total = broadcast(total, vecType);
  Value factor = vec(1.0);
  if (sink) {
    Merge merge = mergeFactors(max, broadcast(sink, vecType));
    factor = merge.oldFactor;
    total = fma(factor, total, merge.newFactor);
  }
  return vector::ExtractOp::create(b, arith::DivFOp::create(b, factor, total),
                                   0);
}
