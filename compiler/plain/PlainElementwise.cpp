// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elementwise ops: activation, glu, softcap, add, scale.

#include "compiler/plain/PlainBuilder.h"
#include "compiler/plain/PlainPatterns.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

using namespace cria;
using namespace mlir;

static Value activate(PlainBuilder &b, ActivationKind kind, Value x) {
  auto mul = [&](Value l, Value r) -> Value {
    return b.create<arith::MulFOp>(l, r);
  };
  auto add = [&](Value l, Value r) -> Value {
    return b.create<arith::AddFOp>(l, r);
  };
  switch (kind) {
  case ActivationKind::relu:
    return b.create<arith::MaximumFOp>(x, b.f32(0.0));
  case ActivationKind::relu2: {
    Value positive = b.create<arith::MaximumFOp>(x, b.f32(0.0));
    return mul(positive, positive);
  }
  case ActivationKind::gelu: {
    // x Phi(x), with Phi(x) = (1 + erf(x / sqrt(2))) / 2.
    Value erf = b.create<math::ErfOp>(mul(x, b.f32(std::sqrt(0.5))));
    return mul(mul(b.f32(0.5), x), add(b.f32(1.0), erf));
  }
  case ActivationKind::gelu_tanh: {
    Value cube = mul(mul(x, x), x);
    Value inner = add(x, mul(b.f32(0.044715), cube));
    // sqrt(2 / pi)
    Value tanh = b.create<math::TanhOp>(mul(b.f32(0.7978845608028654), inner));
    return mul(mul(b.f32(0.5), x), add(b.f32(1.0), tanh));
  }
  case ActivationKind::silu: {
    Value exp = b.create<math::ExpOp>(b.create<arith::NegFOp>(x));
    return b.create<arith::DivFOp>(x, add(b.f32(1.0), exp));
  }
  }
  llvm_unreachable("all kinds are covered");
}

namespace {

struct LowerActivation : OpRewritePattern<ActivationOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ActivationOp op,
                                PatternRewriter &rewriter) const override {
    if (!isa<RankedTensorType>(op.getX().getType()))
      return rewriter.notifyMatchFailure(op, "not on a tensor");
    PlainBuilder b(rewriter, op.getLoc());
    rewriter.replaceOp(
        op, b.elementwise(op.getX(), [&](PlainBuilder &b, ValueRange args) {
          return activate(b, op.getKind(), args[0]);
        }));
    return success();
  }
};

struct LowerGlu : OpRewritePattern<GluOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(GluOp op,
                                PatternRewriter &rewriter) const override {
    PlainBuilder b(rewriter, op.getLoc());
    rewriter.replaceOp(
        op, b.elementwise({op.getGate(), op.getUp()},
                          [&](PlainBuilder &b, ValueRange args) -> Value {
                            return b.create<arith::MulFOp>(
                                activate(b, op.getKind(), args[0]), args[1]);
                          }));
    return success();
  }
};

struct LowerSoftcap : OpRewritePattern<SoftcapOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SoftcapOp op,
                                PatternRewriter &rewriter) const override {
    PlainBuilder b(rewriter, op.getLoc());
    Value cap = b.f32(op.getCap());
    rewriter.replaceOp(
        op, b.elementwise(op.getX(),
                          [&](PlainBuilder &b, ValueRange args) -> Value {
                            Value ratio = b.create<arith::DivFOp>(args[0], cap);
                            Value tanh = b.create<math::TanhOp>(ratio);
                            return b.create<arith::MulFOp>(cap, tanh);
                          }));
    return success();
  }
};

struct LowerClip : OpRewritePattern<ClipOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ClipOp op,
                                PatternRewriter &rewriter) const override {
    PlainBuilder b(rewriter, op.getLoc());
    Value most = b.f32(op.getBound()),
          least = b.f32(-op.getBound().convertToDouble());
    rewriter.replaceOp(
        op, b.elementwise(
                op.getX(), [&](PlainBuilder &b, ValueRange args) -> Value {
                  return b.create<arith::MinimumFOp>(
                      b.create<arith::MaximumFOp>(args[0], least), most);
                }));
    return success();
  }
};

struct LowerAdd : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AddOp op,
                                PatternRewriter &rewriter) const override {
    PlainBuilder b(rewriter, op.getLoc());
    rewriter.replaceOp(
        op, b.elementwise({op.getA(), op.getB()},
                          [](PlainBuilder &b, ValueRange args) -> Value {
                            return b.create<arith::AddFOp>(args[0], args[1]);
                          }));
    return success();
  }
};

struct LowerScale : OpRewritePattern<ScaleOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ScaleOp op,
                                PatternRewriter &rewriter) const override {
    PlainBuilder b(rewriter, op.getLoc());
    Value factor = b.f32(op.getFactor());
    rewriter.replaceOp(
        op, b.elementwise(op.getX(),
                          [&](PlainBuilder &b, ValueRange args) -> Value {
                            return b.create<arith::MulFOp>(args[0], factor);
                          }));
    return success();
  }
};

} // namespace

void cria::populatePlainElementwisePatterns(RewritePatternSet &patterns) {
  patterns.add<LowerActivation, LowerGlu, LowerSoftcap, LowerClip, LowerAdd,
               LowerScale>(patterns.getContext());
}
