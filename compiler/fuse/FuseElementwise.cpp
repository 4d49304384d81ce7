// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace cria {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

static Value splat(OpBuilder &b, Location loc, VectorType type, float value) {
  return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, value));
}

/// The op's meaning on one tile of lanes.
static Value onLanes(OpBuilder &b, Operation *op, Value tile) {
  Location loc = op->getLoc();
  auto type = cast<VectorType>(tile.getType());
  if (auto activation = dyn_cast<ActivationOp>(op))
    return ActivationOp::create(b, loc, type, activation.getKindAttr(), tile);
  if (auto scale = dyn_cast<ScaleOp>(op))
    return arith::MulFOp::create(
        b, loc, tile, splat(b, loc, type, scale.getFactor().convertToFloat()));
  if (auto clip = dyn_cast<ClipOp>(op)) {
    float bound = clip.getBound().convertToFloat();
    Value least = splat(b, loc, type, -bound);
    Value most = splat(b, loc, type, bound);
    return arith::MinimumFOp::create(
        b, loc, arith::MaximumFOp::create(b, loc, tile, least), most);
  }
  auto cap = cast<SoftcapOp>(op).getCap().convertToFloat();
  Value scaled = arith::DivFOp::create(b, loc, tile, splat(b, loc, type, cap));
  Value tanh = math::TanhOp::create(b, loc, scaled);
  return arith::MulFOp::create(b, loc, tanh, splat(b, loc, type, cap));
}

namespace {
struct FuseElementwise : cria::impl::FuseElementwiseBase<FuseElementwise> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<ActivationOp, ScaleOp, SoftcapOp, ClipOp>(op) &&
          isa<RankedTensorType>(op->getOperand(0).getType()))
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (Operation *op : ops) {
      StringRef why;
      if (FusedLinearOp linear = fusableProducer(op->getOperand(0), &why))
        fuseEpilogue(rewriter, linear, op, EpilogueChange(),
                     [&](OpBuilder &b, Value tile, ValueRange) {
                       return onLanes(b, op, tile);
                     });
      else
        missedFusion(op, "FuseElementwise", why);
    }
  }
};
} // namespace
