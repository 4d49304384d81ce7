// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/fuse/FuseUtils.h"

#include "mlir/IR/IRMapping.h"
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

cria::NormOp cria::headNorm(Value x, int64_t headDim) {
  auto norm = x.getDefiningOp<NormOp>();
  if (!norm || !norm.isPerHead() || !norm->hasOneUse())
    return {};
  return norm.headSize() == headDim ? norm : NormOp();
}

cria::HeadRowsOp cria::headRows(OpBuilder &b, Location loc, Value x,
                                int64_t headDim, Value table, NormOp norm) {
  auto type = cast<RankedTensorType>(x.getType());
  Value init = emptyRows(b, loc, x, type.getDimSize(1), b.getF32Type());
  return HeadRowsOp::create(
      b, loc, TypeRange{init.getType()}, x, norm ? norm.getWeight() : Value(),
      norm ? norm.getBias() : Value(), table, Value(), Value(), init,
      b.getI64IntegerAttr(headDim), norm ? norm.getEpsAttr() : FloatAttr(),
      norm ? norm.getPlusOneAttr() : UnitAttr(),
      norm && norm.isCentered() ? b.getUnitAttr() : UnitAttr(),
      OutKindAttr::get(b.getContext(), OutKind::rows));
}

cria::RowsOp cria::plainRows(OpBuilder &b, Value init, NormOp norm,
                             ScaleOp scale, AddOp add) {
  Value x = norm ? norm.getX() : scale.getX();
  Location loc = add ? add.getLoc() : norm ? norm.getLoc() : scale.getLoc();
  SmallVector<Value> params;
  if (norm)
    for (Value param : {norm.getWeight(), norm.getBias()})
      if (param)
        params.push_back(param);
  auto rows = RowsOp::create(b, loc, TypeRange{init.getType()}, x, params, init,
                             IntegerAttr(), add ? b.getUnitAttr() : UnitAttr(),
                             UnitAttr());
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&rows.getPrologue());
  int64_t k = cast<RankedTensorType>(init.getType()).getDimSize(1);
  auto rowType = RankedTensorType::get({1, k}, b.getF32Type());
  Value chain = body->addArgument(rowType, loc);
  IRMapping map;
  for (Value param : params)
    map.map(param, body->addArgument(param.getType(), loc));
  if (norm) {
    map.map(norm.getX(), chain);
    Operation *row = b.clone(*norm, map);
    row->getResult(0).setType(rowType);
    chain = row->getResult(0);
  }
  if (scale)
    chain = ScaleOp::create(b, scale.getLoc(), rowType, chain,
                            scale.getFactorAttr());
  if (add)
    chain = AddOp::create(b, add.getLoc(), rowType,
                          body->addArgument(rowType, loc), chain);
  YieldOp::create(b, loc, chain);
  return rows;
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
      change.accumulate ? rewriter.getUnitAttr() : UnitAttr(), UnitAttr());

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
