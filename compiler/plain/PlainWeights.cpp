// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights: decoding of every layout, embed and linear. The index arithmetic
// restates the table of WeightType on purpose instead of sharing code with the
// packer: one is the oracle of the other.

#include "compiler/plain/PlainBuilder.h"
#include "compiler/plain/PlainPatterns.h"

using namespace cria;
using namespace mlir;

namespace {

/// Indices into the storage for element (d0, d1) = (n, k).
struct Address {
  /// Of the code, or of the element of a float weight.
  SmallVector<AffineExpr> element;
  /// Of the block's scale and minimum.
  SmallVector<AffineExpr> block;
  /// q4 and q6: 0 for the low nibble, 1 for the high one.
  AffineExpr nibble;
  /// q6: of the byte with the high two bits, the place of these in it, and of
  /// the i8 of the scale.
  SmallVector<AffineExpr> high;
  AffineExpr highPair;
  SmallVector<AffineExpr> subscale;
};

} // namespace

static Address getAddress(WeightType type) {
  MLIRContext *context = type.getContext();
  AffineExpr n = getAffineDimExpr(0, context);
  AffineExpr k = getAffineDimExpr(1, context);
  AffineExpr group = n.floorDiv(16), lane = n % 16;
  switch (type.getLayout()) {
  case WeightLayout::rows:
    if (!type.isQuantized())
      return {{n, k}, {}, {}, {}, {}, {}};
    if (type.getElement() == ElementKind::q8)
      return {{n, k.floorDiv(32), k % 32}, {n, k.floorDiv(32)}, {}, {}, {}, {}};
    // Byte j of a block holds codes j and j + 16; of q6, byte 16 + j the high
    // bits of codes j, j + 8, j + 16 and j + 24.
    if (type.getElement() == ElementKind::q6)
      return {{n, k.floorDiv(32), k % 16},
              {n, k.floorDiv(256)},
              (k % 32).floorDiv(16),
              {n, k.floorDiv(32), k % 8 + 16},
              (k % 32).floorDiv(8),
              {n, k.floorDiv(32), (k % 32).floorDiv(16)}};
    return {{n, k.floorDiv(32), k % 16},
            {n, k.floorDiv(32)},
            (k % 32).floorDiv(16),
            {},
            {},
            {}};
  case WeightLayout::n16:
    return {{group, k, lane}, {}, {}, {}, {}, {}};
  case WeightLayout::n16k2:
    return {{group, k.floorDiv(2), lane, k % 2}, {}, {}, {}, {}, {}};
  case WeightLayout::n16k4: {
    SmallVector<AffineExpr> block{group, k.floorDiv(32), lane};
    if (type.getElement() == ElementKind::q8)
      return {{group, k.floorDiv(32), (k % 32).floorDiv(4), lane, k % 4},
              block,
              {},
              {},
              {},
              {}};
    // Vector v of a block holds the k groups v (low) and v + 4 (high); of q6,
    // vector 4 + v the high bits of groups v, v + 2, v + 4 and v + 6.
    if (type.getElement() == ElementKind::q6)
      return {{group, k.floorDiv(32), (k % 16).floorDiv(4), lane, k % 4},
              {group, k.floorDiv(256), lane},
              (k % 32).floorDiv(16),
              {group, k.floorDiv(32), (k % 8).floorDiv(4) + 4, lane, k % 4},
              (k % 32).floorDiv(8),
              {group, k.floorDiv(32), (k % 32).floorDiv(16), lane}};
    return {{group, k.floorDiv(32), (k % 16).floorDiv(4), lane, k % 4},
            block,
            (k % 32).floorDiv(16),
            {},
            {},
            {}};
  }
  }
  llvm_unreachable("all layouts are covered");
}

/// Whether stored codes are signed: rows of q8 with offset none, and with
/// zero_point, where the storage has code - 128.
static bool hasSignedCodes(WeightType type) {
  return type.getElement() == ElementKind::q8 &&
         type.getLayout() == WeightLayout::rows &&
         type.getOffset() != OffsetKind::min;
}

Value cria::decodeWeight(OpBuilder &builder, Location loc, WeightType type,
                         ValueRange storage, Value n, Value k) {
  PlainBuilder b(builder, loc);
  Address address = getAddress(type);
  auto load = [&](Value tensor, ArrayRef<AffineExpr> exprs) -> Value {
    SmallVector<Value> indices;
    for (AffineExpr expr : exprs)
      indices.push_back(b.apply(expr, {n, k}));
    return b.create<tensor::ExtractOp>(tensor, indices);
  };

  Value code = load(storage[0], address.element);
  if (!type.isQuantized())
    return b.toF32(code);

  // The bits `mask` of `byte` from bit `at` on.
  auto bits = [&](Value byte, AffineExpr at, int64_t mask) -> Value {
    Value shift =
        b.create<arith::IndexCastOp>(b.getI8Type(), b.apply(at, {n, k}));
    return b.create<arith::AndIOp>(
        b.create<arith::ShRUIOp>(byte, shift),
        b.create<arith::ConstantIntOp>(b.getI8Type(), mask));
  };
  bool isQ6 = type.getElement() == ElementKind::q6;
  if (isQ6 || type.getElement() == ElementKind::q4)
    code = bits(code, address.nibble * 4, 15);
  if (isQ6) {
    Value high = bits(load(storage[0], address.high), address.highPair * 2, 3);
    Value four = b.create<arith::ConstantIntOp>(b.getI8Type(), 4);
    code = b.create<arith::OrIOp>(code, b.create<arith::ShLIOp>(high, four));
  }
  // Codes and zero points are below 2^9, so f32 holds them exactly.
  Value value;
  if (hasSignedCodes(type)) {
    value = b.create<arith::SIToFPOp>(b.getF32Type(), code);
  } else {
    value = b.create<arith::UIToFPOp>(b.getF32Type(), code);
    if (type.getOffset() == OffsetKind::zero_point)
      value = b.create<arith::SubFOp>(value, b.f32(type.getZeroPoint()));
  }
  Value scale = b.toF32(load(storage[1], address.block));
  if (isQ6) // exact
    scale = b.create<arith::MulFOp>(
        scale, b.create<arith::SIToFPOp>(b.getF32Type(),
                                         load(storage[2], address.subscale)));
  value = b.create<arith::MulFOp>(scale, value);
  if (type.getOffset() == OffsetKind::min)
    value = b.create<arith::AddFOp>(value,
                                    b.toF32(load(storage[2], address.block)));
  return value;
}

Value cria::dequantize(OpBuilder &builder, Location loc, WeightType type,
                       ValueRange storage) {
  PlainBuilder b(builder, loc);
  return b.elements(b.sizes({type.getK(), type.getN()}), {},
                    [&](PlainBuilder &b, ValueRange) {
                      return decodeWeight(b, b.getLoc(), type, storage,
                                          /*n=*/b.loop(1), /*k=*/b.loop(0));
                    });
}

/// The storage that `weight` stands for, or failure.
static FailureOr<ValueRange> getStorage(PatternRewriter &rewriter,
                                        Operation *op, Value weight) {
  auto cast = weight.getDefiningOp<UnrealizedConversionCastOp>();
  auto type = mlir::cast<WeightType>(weight.getType());
  if (!cast || type.isStacked() || ShapedType::isDynamic(type.getN()) ||
      cast.getInputs().size() != type.getStorage().size())
    return rewriter.notifyMatchFailure(
        op, "the weight is no cast of one static layer's storage");
  return ValueRange(cast.getInputs());
}

namespace {

struct LowerEmbed : OpRewritePattern<EmbedOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(EmbedOp op,
                                PatternRewriter &rewriter) const override {
    FailureOr<ValueRange> storage = getStorage(rewriter, op, op.getWeight());
    if (failed(storage))
      return failure();
    auto type = cast<WeightType>(op.getWeight().getType());
    PlainBuilder b(rewriter, op.getLoc());
    PlainBuilder::Sizes sizes = b.sizes(op.getTokens());
    sizes.push_back(b.getIndexAttr(type.getK()));
    Value rows = b.elements(
        sizes, {{op.getTokens(), b.select(2, {0})}},
        [&](PlainBuilder &b, ValueRange args) {
          Value token = b.create<arith::IndexCastOp>(b.getIndexType(), args[0]);
          return decodeWeight(b, b.getLoc(), type, *storage, token, b.loop(1));
        });
    rewriter.replaceOp(op, b.asType(rows, op.getType()));
    return success();
  }
};

struct LowerLinear : OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(LinearOp op,
                                PatternRewriter &rewriter) const override {
    FailureOr<ValueRange> storage = getStorage(rewriter, op, op.getWeight());
    if (failed(storage))
      return failure();
    auto type = cast<WeightType>(op.getWeight().getType());
    PlainBuilder b(rewriter, op.getLoc());
    Value weight = dequantize(b, b.getLoc(), type, *storage);

    PlainBuilder::Sizes sizes = b.sizes(op.getX());
    sizes.back() = b.getIndexAttr(type.getN());
    // Loops (i, k, j): every sum runs over k in order, and the innermost loop
    // walks along rows, so vectorising it reorders nothing.
    Value result = b.reduce(
        3, {1},
        {{op.getX(), b.select(3, {0, 1})}, {weight, b.select(3, {1, 2})}},
        b.filled(sizes, 0.0), [](PlainBuilder &b, ValueRange args) -> Value {
          Value product = b.create<arith::MulFOp>(args[0], args[1]);
          return b.create<arith::AddFOp>(args[2], product);
        });
    if (Value bias = op.getBias())
      result = b.elements(
          sizes, {{result, b.select(2, {0, 1})}, {bias, b.select(2, {1})}},
          [](PlainBuilder &b, ValueRange args) -> Value {
            return b.create<arith::AddFOp>(args[0], args[1]);
          });
    rewriter.replaceOp(op, b.asType(result, op.getType()));
    return success();
  }
};

} // namespace

void cria::populatePlainWeightPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerEmbed, LowerLinear>(patterns.getContext());
}
