// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Conversions between f16 and f32 as integer arithmetic, for targets where
// LLVM would call a library. Bit for bit what F16C does, NaNs included.

#include "compiler/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace cria {
#define GEN_PASS_DEF_EXPANDF16
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;

namespace {

/// Integer arithmetic on 32-bit scalars, or on vectors of a given shape.
struct Bits {
  Bits(ImplicitLocOpBuilder &b, Type like) : b(b), like(like) {}

  Type type(Type element) {
    if (auto vector = dyn_cast<VectorType>(like))
      return vector.clone(element);
    return element;
  }
  Value constant(int64_t value) {
    Type i32 = type(b.getI32Type());
    auto scalar = b.getI32IntegerAttr(int32_t(value));
    if (auto vector = dyn_cast<VectorType>(i32))
      return arith::ConstantOp::create(
          b, DenseElementsAttr::get(vector, Attribute(scalar)));
    return arith::ConstantOp::create(b, scalar);
  }
  Value land(Value x, int64_t y) {
    return arith::AndIOp::create(b, x, constant(y));
  }
  Value lor(Value x, Value y) { return arith::OrIOp::create(b, x, y); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, x, y); }
  Value shl(Value x, int64_t y) {
    return arith::ShLIOp::create(b, x, constant(y));
  }
  Value shr(Value x, int64_t y) {
    return arith::ShRUIOp::create(b, x, constant(y));
  }
  Value less(Value x, int64_t y) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, x, constant(y));
  }
  Value select(Value c, Value x, Value y) {
    return arith::SelectOp::create(b, c, x, y);
  }
  Value cast(Type element, Value x) {
    return arith::BitcastOp::create(b, type(element), x);
  }

  ImplicitLocOpBuilder &b;
  Type like;
};

struct ExpandExt : OpRewritePattern<arith::ExtFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::ExtFOp op,
                                PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getIn()).isF16() ||
        !getElementTypeOrSelf(op.getOut()).isF32())
      return rewriter.notifyMatchFailure(op, "not f16 to f32");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Bits bits(b, op.getType());
    Type i32 = b.getI32Type(), f32 = b.getF32Type();
    Value half = arith::ExtUIOp::create(b, bits.type(i32),
                                        bits.cast(b.getI16Type(), op.getIn()));
    Value sign = bits.shl(bits.land(half, 0x8000), 16);
    Value magnitude = bits.land(half, 0x7fff);
    Value shifted = bits.shl(magnitude, 13);
    // The exponent bias goes from 15 to 127.
    Value normal = bits.add(shifted, bits.constant(112 << 23));
    // A subnormal is an integer times 2^-24.
    Value scaled = arith::MulFOp::create(
        b, arith::SIToFPOp::create(b, bits.type(f32), magnitude),
        bits.cast(f32, bits.constant(0x33800000)));
    Value subnormal = bits.cast(i32, scaled);
    Value infinite = bits.lor(shifted, bits.constant(0x7f800000));
    Value quiet = bits.lor(infinite, bits.constant(0x00400000));
    Value special = bits.select(bits.less(magnitude, 0x7c01), infinite, quiet);
    Value result =
        bits.select(bits.less(magnitude, 0x0400), subnormal,
                    bits.select(bits.less(magnitude, 0x7c00), normal, special));
    rewriter.replaceOp(op, bits.cast(f32, bits.lor(result, sign)));
    return success();
  }
};

struct ExpandTrunc : OpRewritePattern<arith::TruncFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::TruncFOp op,
                                PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getIn()).isF32() ||
        !getElementTypeOrSelf(op.getOut()).isF16())
      return rewriter.notifyMatchFailure(op, "not f32 to f16");
    if (op.getRoundingmode().value_or(arith::RoundingMode::to_nearest_even) !=
        arith::RoundingMode::to_nearest_even)
      return rewriter.notifyMatchFailure(op, "rounds otherwise than to even");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Bits bits(b, op.getType());
    Type i32 = b.getI32Type(), i16 = b.getI16Type(), f32 = b.getF32Type();
    Value word = bits.cast(i32, op.getIn());
    Value sign = bits.land(bits.shr(word, 16), 0x8000);
    Value magnitude = bits.land(word, 0x7fffffff);
    // Half an ulp less one, plus the last kept bit: ties go to even. A carry
    // moves into the exponent, as it should.
    Value odd = bits.land(bits.shr(magnitude, 13), 1);
    Value normal =
        bits.shr(bits.add(bits.add(magnitude, odd),
                          bits.constant(0xfff - (int64_t(112) << 23))),
                 13);
    // The ulp of 0.5 is 2^-24, f16's smallest: the addition rounds.
    Value half = bits.constant(0x3f000000);
    Value sum = arith::AddFOp::create(b, bits.cast(f32, magnitude),
                                      bits.cast(f32, half));
    Value subnormal = arith::SubIOp::create(b, bits.cast(i32, sum), half);
    Value nan = bits.lor(bits.land(bits.shr(magnitude, 13), 0x3ff),
                         bits.constant(0x7e00));
    Value special = bits.select(bits.less(magnitude, 0x7f800001),
                                bits.constant(0x7c00), nan);
    // Below 2^-14; below 65520, the first that rounds to infinity.
    Value result = bits.select(
        bits.less(magnitude, 0x38800000), subnormal,
        bits.select(bits.less(magnitude, 0x477ff000), normal, special));
    Value narrow =
        arith::TruncIOp::create(b, bits.type(i16), bits.lor(result, sign));
    rewriter.replaceOp(op, bits.cast(b.getF16Type(), narrow));
    return success();
  }
};

struct ExpandF16 : cria::impl::ExpandF16Base<ExpandF16> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<ExpandExt, ExpandTrunc>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
