// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops on rows: norm, rope, position, select_rows.

#include "compiler/plain/PlainBuilder.h"
#include "compiler/plain/PlainPatterns.h"
#include "compiler/target/RopeFrequencies.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

using namespace cria;
using namespace mlir;

// --- norm -------------------------------------------------------------------

/// The mean of `body` over the last dimension of x.
static Value mean(PlainBuilder &b, Value x, PlainBuilder::Body body) {
  auto type = cast<RankedTensorType>(x.getType());
  PlainBuilder::Sizes outer = b.sizes(x);
  outer.pop_back();
  Value sum = b.reduceLast(
      x, b.filled(outer, 0.0), [&](PlainBuilder &b, ValueRange args) -> Value {
        return b.create<arith::AddFOp>(args[1], body(b, args[0]));
      });
  Value count = b.f32(double(type.getShape().back()));
  return b.elementwise(sum, [&](PlainBuilder &b, ValueRange args) -> Value {
    return b.create<arith::DivFOp>(args[0], count);
  });
}

namespace {

struct LowerNorm : OpRewritePattern<NormOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(NormOp op,
                                PatternRewriter &rewriter) const override {
    auto type = cast<RankedTensorType>(op.getX().getType());
    if (type.isDynamicDim(1))
      return rewriter.notifyMatchFailure(op, "the width is dynamic");
    PlainBuilder b(rewriter, op.getLoc());
    Value x = op.getX(), weight = op.getWeight(), bias = op.getBias();
    bool perHead = op.isPerHead();
    int64_t head = perHead ? op.headSize() : type.getDimSize(1);
    int64_t heads = type.getDimSize(1) / head;
    if (perHead)
      x = b.splitLast(x, {heads, head});
    unsigned rank = perHead ? 3 : 2;
    AffineMap every = b.getMultiDimIdentityMap(rank);
    AffineMap row = every.getMajorSubMap(rank - 1);
    AffineMap column = b.select(rank, {rank - 1});
    // Of each head its own, not of all the same.
    if (weight &&
        cast<RankedTensorType>(weight.getType()).getDimSize(0) != head) {
      weight = b.splitLast(weight, {heads, head});
      if (bias)
        bias = b.splitLast(bias, {heads, head});
      column = b.select(rank, {rank - 2, rank - 1});
    }

    if (op.isCentered()) {
      Value center =
          mean(b, x, [](PlainBuilder &, ValueRange args) { return args[0]; });
      x = b.elements(b.sizes(x), {{x, every}, {center, row}},
                     [](PlainBuilder &b, ValueRange args) -> Value {
                       return b.create<arith::SubFOp>(args[0], args[1]);
                     });
    }
    Value square = mean(b, x, [](PlainBuilder &b, ValueRange args) -> Value {
      return b.create<arith::MulFOp>(args[0], args[0]);
    });
    Value eps = b.f32(op.getEps());
    Value root =
        b.elementwise(square, [&](PlainBuilder &b, ValueRange args) -> Value {
          return b.create<math::SqrtOp>(b.create<arith::AddFOp>(args[0], eps));
        });

    SmallVector<PlainBuilder::Input> inputs{{x, every}, {root, row}};
    if (weight)
      inputs.push_back({weight, column});
    if (bias)
      inputs.push_back({bias, column});
    Value result = b.elements(
        b.sizes(x), inputs, [&](PlainBuilder &b, ValueRange args) -> Value {
          Value value = b.create<arith::DivFOp>(args[0], args[1]);
          if (weight) {
            Value factor = args[2];
            if (op.getPlusOne())
              factor = b.create<arith::AddFOp>(b.f32(1.0), factor);
            value = b.create<arith::MulFOp>(value, factor);
          }
          if (bias)
            value = b.create<arith::AddFOp>(value, args[inputs.size() - 1]);
          return value;
        });
    rewriter.replaceOp(op, perHead ? b.mergeLast(result, 1) : result);
    return success();
  }
};

} // namespace

// --- rope -------------------------------------------------------------------

static Value constantVector(PlainBuilder &b, ArrayRef<float> values) {
  auto type = RankedTensorType::get(values.size(), b.getF32Type());
  return b.create<arith::ConstantOp>(DenseElementsAttr::get(type, values));
}

static Value constantVector(PlainBuilder &b, ArrayRef<double> values) {
  auto type = RankedTensorType::get(values.size(), b.getF64Type());
  return b.create<arith::ConstantOp>(DenseElementsAttr::get(type, values));
}

/// Past the original context, dynamic NTK raises the base with the length
/// p + 1; RopeFrequencies.h has the formula. All in f64, then rounded.
static Value ntkFrequency(PlainBuilder &b, RopeAttr rope, Value length,
                          Value log2, Value exponent) {
  auto f64 = [&](double value) -> Value {
    return b.create<arith::ConstantOp>(b.getF64FloatAttr(value));
  };
  double factor = rope.getFactor().convertToDouble();
  Value ratio = b.create<arith::DivFOp>(
      b.create<arith::MulFOp>(
          f64(factor), b.create<arith::SIToFPOp>(b.getF64Type(), length)),
      f64(double(rope.getOriginalContext())));
  Value stretch = b.create<arith::SubFOp>(ratio, f64(factor - 1.0));
  Value power =
      b.create<arith::MulFOp>(exponent, b.create<math::Log2Op>(stretch));
  Value frequency =
      b.create<math::Exp2Op>(b.create<arith::SubFOp>(log2, power));
  return b.create<arith::TruncFOp>(b.getF32Type(), frequency);
}

/// Cosines and sines, n x dims/2.
static std::pair<Value, Value> ropeTables(PlainBuilder &b, RopeOp op) {
  RopeAttr rope = op.getRope();
  RopeFrequencies normal = computeRopeFrequencies(rope, /*longContext=*/false);
  AffineMap row = b.select(2, {0}), pair = b.select(2, {1});
  SmallVector<PlainBuilder::Input> inputs{
      {op.getPositions(), row}, {constantVector(b, normal.invFreq), pair}};
  bool ntk = rope.getScaling() == RopeScaling::ntk;
  bool longRope = rope.getScaling() == RopeScaling::longrope;
  RopeFrequencies stretched;
  if (longRope) {
    stretched = computeRopeFrequencies(rope, /*longContext=*/true);
    inputs.push_back({constantVector(b, stretched.invFreq), pair});
  }
  if (ntk) {
    inputs.push_back({constantVector(b, normal.ntkLog2), pair});
    inputs.push_back({constantVector(b, normal.ntkExponent), pair});
  }

  PlainBuilder::Sizes sizes = b.sizes(op.getPositions());
  sizes.push_back(b.getIndexAttr(rope.getDims() / 2));
  // Which frequencies hold depends on the length that the token sees, p + 1.
  auto isLong = [&](PlainBuilder &b, Value position) -> Value {
    return b.create<arith::CmpIOp>(
        arith::CmpIPredicate::sge, position,
        b.create<arith::ConstantIntOp>(b.getI32Type(),
                                       rope.getOriginalContext()));
  };
  Value angles =
      b.elements(sizes, inputs, [&](PlainBuilder &b, ValueRange args) -> Value {
        Value frequency = args[1];
        if (longRope)
          frequency =
              b.create<arith::SelectOp>(isLong(b, args[0]), args[2], frequency);
        if (ntk) {
          Value length = b.create<arith::AddIOp>(
              args[0], b.create<arith::ConstantIntOp>(b.getI32Type(), 1));
          frequency = b.create<arith::SelectOp>(
              isLong(b, args[0]),
              ntkFrequency(b, rope, length, args[2], args[3]), frequency);
        }
        Value position = b.create<arith::SIToFPOp>(b.getF32Type(), args[0]);
        return b.create<arith::MulFOp>(position, frequency);
      });

  auto table = [&](bool cosine) {
    return b.elements(
        sizes,
        {{angles, b.getMultiDimIdentityMap(2)}, {op.getPositions(), row}},
        [&](PlainBuilder &b, ValueRange args) -> Value {
          Value value = cosine ? b.create<math::CosOp>(args[0]).getResult()
                               : b.create<math::SinOp>(args[0]).getResult();
          Value factor = b.f32(normal.attentionFactor);
          if (longRope && stretched.attentionFactor != normal.attentionFactor)
            factor = b.create<arith::SelectOp>(
                isLong(b, args[1]), b.f32(stretched.attentionFactor), factor);
          return b.create<arith::MulFOp>(value, factor);
        });
  };
  Value cos = table(/*cosine=*/true);
  return {cos, table(/*cosine=*/false)};
}

namespace {

struct LowerRope : OpRewritePattern<RopeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RopeOp op,
                                PatternRewriter &rewriter) const override {
    auto type = cast<RankedTensorType>(op.getX().getType());
    RopeAttr rope = op.getRope();
    if (type.isDynamicDim(1))
      return rewriter.notifyMatchFailure(op, "the width is dynamic");
    if (rope.getOriginalContext() > std::numeric_limits<int32_t>::max())
      return rewriter.notifyMatchFailure(op, "original_context is over 2^31-1");
    PlainBuilder b(rewriter, op.getLoc());
    auto [cos, sin] = ropeTables(b, op);
    int64_t headDim = op.getHeadDim(), pairs = rope.getDims() / 2;
    Value x = b.splitLast(op.getX(), {type.getDimSize(1) / headDim, headDim});

    // Pair i is elements (i, i + dims/2) or (2i, 2i + 1) of a head; elements
    // from dims on are left as they are.
    bool half = rope.getPairs() == RopePairs::half;
    PlainBuilder::Sizes sizes = b.sizes(x);
    sizes.back() = b.getIndexAttr(pairs);
    PlainBuilder::Sizes strides(3, b.getIndexAttr(1));
    strides.back() = b.getIndexAttr(half ? 1 : 2);
    PlainBuilder::Sizes first(3, b.getIndexAttr(0)), second = first;
    second.back() = b.getIndexAttr(half ? pairs : 1);
    Value u = b.create<tensor::ExtractSliceOp>(x, first, sizes, strides);
    Value v = b.create<tensor::ExtractSliceOp>(x, second, sizes, strides);

    AffineMap every = b.getMultiDimIdentityMap(3), table = b.select(3, {0, 2});
    SmallVector<PlainBuilder::Input> inputs{
        {u, every}, {v, every}, {cos, table}, {sin, table}};
    Value rotatedU = b.elements(
        sizes, inputs, [](PlainBuilder &b, ValueRange args) -> Value {
          return b.create<arith::SubFOp>(
              b.create<arith::MulFOp>(args[0], args[2]),
              b.create<arith::MulFOp>(args[1], args[3]));
        });
    Value rotatedV = b.elements(
        sizes, inputs, [](PlainBuilder &b, ValueRange args) -> Value {
          return b.create<arith::AddFOp>(
              b.create<arith::MulFOp>(args[1], args[2]),
              b.create<arith::MulFOp>(args[0], args[3]));
        });
    Value result =
        b.create<tensor::InsertSliceOp>(rotatedU, x, first, sizes, strides);
    result = b.create<tensor::InsertSliceOp>(rotatedV, result, second, sizes,
                                             strides);
    rewriter.replaceOp(op, b.mergeLast(result, 1));
    return success();
  }
};

// --- position, select_rows --------------------------------------------------

struct LowerPosition : OpRewritePattern<PositionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(PositionOp op,
                                PatternRewriter &rewriter) const override {
    auto type = cast<RankedTensorType>(op.getX().getType());
    if (type.isDynamicDim(1))
      return rewriter.notifyMatchFailure(op, "the width is dynamic");
    PlainBuilder b(rewriter, op.getLoc());
    AffineMap every = b.getMultiDimIdentityMap(2);
    PlainBuilder::Input positions{op.getPositions(), b.select(2, {0})};
    if (op.getKind() == PositionKind::learned) {
      rewriter.replaceOp(
          op, b.elements(b.sizes(op.getX()), {{op.getX(), every}, positions},
                         [&](PlainBuilder &b, ValueRange args) -> Value {
                           Value position = b.create<arith::IndexCastOp>(
                               b.getIndexType(), args[1]);
                           Value learned = b.create<tensor::ExtractOp>(
                               op.getTable(), ValueRange{position, b.loop(1)});
                           return b.create<arith::AddFOp>(args[0], learned);
                         }));
      return success();
    }

    // Columns 2j and 2j + 1 turn with the same wavelength.
    int64_t width = type.getDimSize(1);
    SmallVector<float> wavelengths;
    for (int64_t j = 0; j < width; ++j)
      wavelengths.push_back(
          float(std::pow(10000.0, double(j / 2 * 2) / double(width))));
    Value divisors = constantVector(b, wavelengths);
    Value angles = b.elements(
        b.sizes(op.getX()), {positions, {divisors, b.select(2, {1})}},
        [](PlainBuilder &b, ValueRange args) -> Value {
          Value position = b.create<arith::SIToFPOp>(b.getF32Type(), args[0]);
          return b.create<arith::DivFOp>(position, args[1]);
        });
    rewriter.replaceOp(
        op,
        b.elements(b.sizes(op.getX()), {{op.getX(), every}, {angles, every}},
                   [](PlainBuilder &b, ValueRange args) -> Value {
                     Value odd = b.create<arith::CmpIOp>(
                         arith::CmpIPredicate::ne,
                         b.apply(b.getAffineDimExpr(0) % 2, b.loop(1)),
                         b.index(0));
                     Value encoding = b.create<arith::SelectOp>(
                         odd, b.create<math::CosOp>(args[1]),
                         b.create<math::SinOp>(args[1]));
                     return b.create<arith::AddFOp>(args[0], encoding);
                   }));
    return success();
  }
};

struct LowerSelectRows : OpRewritePattern<SelectRowsOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SelectRowsOp op,
                                PatternRewriter &rewriter) const override {
    PlainBuilder b(rewriter, op.getLoc());
    PlainBuilder::Sizes sizes = b.sizes(op.getX());
    sizes.front() = b.sizes(op.getRows()).front();
    Value result = b.elements(
        sizes, {{op.getRows(), b.select(2, {0})}},
        [&](PlainBuilder &b, ValueRange args) -> Value {
          Value row = b.create<arith::IndexCastOp>(b.getIndexType(), args[0]);
          return b.create<tensor::ExtractOp>(op.getX(),
                                             ValueRange{row, b.loop(1)});
        });
    rewriter.replaceOp(op, b.asType(result, op.getType()));
    return success();
  }
};

} // namespace

void cria::populatePlainRowPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerNorm, LowerRope, LowerPosition, LowerSelectRows>(
      patterns.getContext());
}
