// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/fuse/FuseUtils.h"

#include "mlir/IR/Remarks.h"
#include "llvm/Support/Debug.h"

#define DEBUG_TYPE "cria-fuse"

using namespace mlir;

Value cria::emptyRows(OpBuilder &b, Location loc, Value like,
                      ArrayRef<int64_t> columns, Type element) {
  SmallVector<OpFoldResult> sizes{tensor::getMixedSize(b, loc, like, 0)};
  for (int64_t c : columns)
    sizes.push_back(b.getIndexAttr(c));
  return tensor::EmptyOp::create(b, loc, sizes, element);
}

cria::FusedLinearOp cria::fusableProducer(Value v, StringRef *why) {
  auto linear = v.getDefiningOp<FusedLinearOp>();
  StringRef reason =
      !linear          ? "its input comes from no fused linear"
      : !v.hasOneUse() ? "its input is used elsewhere as well"
      : linear.getOut() != OutKind::rows ? "its input is stored in a cache"
      : linear.getAccumulate() ? "a residual closed its input's epilogue"
                               : "";
  if (why)
    *why = reason;
  return reason.empty() ? linear : FusedLinearOp();
}

cria::RopeAttr cria::interleaved(RopeAttr r) {
  return RopeAttr::get(
      r.getContext(), RopePairs::interleaved, r.getBase(), r.getDims(),
      r.getScaling(), r.getFactor(), r.getOriginalContext(), r.getMaxContext(),
      r.getBetaFast(), r.getBetaSlow(), r.getLowFreqFactor(),
      r.getHighFreqFactor(), r.getAttentionFactor(), r.getTruncate(),
      r.getShortFactors(), r.getLongFactors());
}

void cria::missedFusion(Operation *op, StringRef pass, StringRef why) {
  LLVM_DEBUG(llvm::dbgs() << pass << ": " << why << ": " << *op << "\n");
  remark::missed(op->getLoc(),
                 remark::RemarkOpts::name(pass).category("cria-fuse"))
      << remark::reason("{0}", why.str());
}

void cria::fuseEpilogue(RewriterBase &rewriter, FusedLinearOp linear,
                        Operation *consumer, const EpilogueChange &change,
                        EpilogueFn epilogue) {
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(consumer);
  Location loc = rewriter.getFusedLoc({linear.getLoc(), consumer->getLoc()});
  SmallVector<Value> extras(linear.getExtras());
  SmallVector<Attribute> kinds(linear.getExtraKinds().getValue());
  if (change.extra) {
    extras.push_back(change.extra);
    kinds.push_back(
        ExtraKindAttr::get(rewriter.getContext(), change.extraKind));
  }
  Value init = change.init ? change.init : linear.getInit();
  auto fused = FusedLinearOp::create(
      rewriter, loc, TypeRange{init.getType()}, linear.getActs(),
      linear.getWeights(), extras, change.layer, change.slots, init,
      rewriter.getArrayAttr(kinds),
      OutKindAttr::get(rewriter.getContext(), change.out),
      change.accumulate ? rewriter.getUnitAttr() : UnitAttr());

  rewriter.inlineRegionBefore(linear.getEpilogue(), fused.getEpilogue(),
                              fused.getEpilogue().end());
  Block &body = fused.getEpilogue().front();
  Type lanes = VectorType::get(CriaDialect::kLanes, rewriter.getF32Type());
  SmallVector<Value> added;
  unsigned extraArgs = !change.extra                         ? 0
                       : change.extraKind == ExtraKind::rope ? 2
                                                             : 1;
  for (unsigned i = 0; i < extraArgs + change.accumulate; ++i)
    added.push_back(body.addArgument(lanes, loc));
  auto yield = cast<YieldOp>(body.getTerminator());
  rewriter.setInsertionPoint(yield);
  Value stored = epilogue(rewriter, yield.getValues()[0], added);
  rewriter.modifyOpInPlace(yield,
                           [&] { yield.getValuesMutable()[0].set(stored); });

  rewriter.replaceOp(consumer, fused.getResults());
  rewriter.eraseOp(linear);
}
