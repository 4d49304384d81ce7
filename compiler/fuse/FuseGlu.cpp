// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace cria {
#define GEN_PASS_DEF_FUSEGLU
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

/// True where the epilogue hands its accumulator through.
static bool isPlain(FusedLinearOp linear) {
  Block &body = linear.getEpilogue().front();
  return linear.getWeights().size() == 1 && linear.getExtras().empty() &&
         cast<YieldOp>(body.getTerminator()).getValues()[0] ==
             body.getArgument(0);
}

namespace {
struct FuseGlu : cria::impl::FuseGluBase<FuseGlu> {
  void runOnOperation() override {
    SmallVector<GluOp> glus;
    getOperation()->walk([&](GluOp glu) { glus.push_back(glu); });
    IRRewriter rewriter(&getContext());
    for (GluOp glu : glus) {
      StringRef why, whyUp;
      FusedLinearOp gate = fusableProducer(glu.getGate(), &why);
      FusedLinearOp up = fusableProducer(glu.getUp(), &whyUp);
      if (gate)
        why = whyUp;
      if (gate && up) {
        if (!isPlain(gate) || !isPlain(up))
          why = "gate or up has an epilogue";
        else if (gate.getActs() != up.getActs())
          why = "gate and up read different rows";
        else if (gate.getWeightType() != up.getWeightType())
          why = "gate and up have weights of different types";
      }
      if (!why.empty()) {
        missedFusion(glu, "FuseGlu", why);
        continue;
      }
      rewriter.setInsertionPoint(glu);
      Location loc =
          rewriter.getFusedLoc({gate.getLoc(), up.getLoc(), glu.getLoc()});
      Value init = emptyRows(rewriter, loc, gate.getActs()[0], gate.getN(),
                             rewriter.getF32Type());
      auto fused = FusedLinearOp::create(
          rewriter, loc, TypeRange{init.getType()}, gate.getActs(),
          ValueRange{gate.getWeights()[0], up.getWeights()[0]}, ValueRange{},
          Value(), Value(), init, rewriter.getArrayAttr({}), gate.getOutAttr(),
          UnitAttr());
      Type lanes = VectorType::get(CriaDialect::kLanes, rewriter.getF32Type());
      Block *body = rewriter.createBlock(&fused.getEpilogue(), {},
                                         TypeRange{lanes, lanes}, {loc, loc});
      Value activated = ActivationOp::create(
          rewriter, loc, lanes, glu.getKindAttr(), body->getArgument(0));
      Value tile =
          arith::MulFOp::create(rewriter, loc, activated, body->getArgument(1));
      YieldOp::create(rewriter, loc, tile);
      rewriter.replaceOp(glu, fused.getResults());
      rewriter.eraseOp(gate);
      rewriter.eraseOp(up);
    }
  }
};
} // namespace
