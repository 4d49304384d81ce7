// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"

namespace cria {
#define GEN_PASS_DEF_FUSEGLU
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

/// Extras follow the tile of rows as the weights do, whatever the epilogue
/// makes of them; a rope's do not, and two weights have their own meaning.
static bool isSimple(FusedLinearOp linear) {
  return linear.getWeights().size() == 1 &&
         llvm::all_of(linear.getExtraKinds(), [](Attribute kind) {
           return cast<ExtraKindAttr>(kind).getValue() != ExtraKind::rope;
         });
}

/// Clones the epilogue of `linear` to the end of `body`, with `accumulator`
/// and its extras as new arguments.
static Value inlineEpilogue(OpBuilder &b, FusedLinearOp linear, Block *body,
                            Value accumulator) {
  Block &epilogue = linear.getEpilogue().front();
  IRMapping map;
  map.map(epilogue.getArgument(0), accumulator);
  for (BlockArgument extra : epilogue.getArguments().drop_front())
    map.map(extra, body->addArgument(extra.getType(), extra.getLoc()));
  for (Operation &op : epilogue.without_terminator())
    b.clone(op, map);
  return map.lookup(cast<YieldOp>(epilogue.getTerminator()).getValues()[0]);
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
        if (!isSimple(gate) || !isSimple(up))
          why = "gate or up is rotated or a GLU itself";
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
      SmallVector<Value> extras(gate.getExtras());
      llvm::append_range(extras, up.getExtras());
      SmallVector<Attribute> kinds(gate.getExtraKinds().getValue());
      llvm::append_range(kinds, up.getExtraKinds());
      auto fused = FusedLinearOp::create(
          rewriter, loc, TypeRange{init.getType()}, gate.getActs(),
          ValueRange{gate.getWeights()[0], up.getWeights()[0]}, extras, Value(),
          Value(), init, rewriter.getArrayAttr(kinds), gate.getOutAttr(),
          UnitAttr(), UnitAttr());
      Type lanes = VectorType::get(CriaDialect::kLanes, rewriter.getF32Type());
      Block *body = rewriter.createBlock(&fused.getEpilogue(), {},
                                         TypeRange{lanes, lanes}, {loc, loc});
      Value gateTile =
          inlineEpilogue(rewriter, gate, body, body->getArgument(0));
      Value upTile = inlineEpilogue(rewriter, up, body, body->getArgument(1));
      Value activated = ActivationOp::create(rewriter, loc, lanes,
                                             glu.getKindAttr(), gateTile);
      Value tile = arith::MulFOp::create(rewriter, loc, activated, upTile);
      YieldOp::create(rewriter, loc, tile);
      rewriter.replaceOp(glu, fused.getResults());
      rewriter.eraseOp(gate);
      rewriter.eraseOp(up);
    }
  }
};
} // namespace
