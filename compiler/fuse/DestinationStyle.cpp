// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"

namespace cria {
#define GEN_PASS_DEF_DESTINATIONSTYLE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {
struct DestinationStyle : cria::impl::DestinationStyleBase<DestinationStyle> {
  void runOnOperation() override {
    func::FuncOp func = getOperation();
    SmallVector<Operation *> ops;
    func.walk([&](Operation *op) {
      // Inside a rows op a norm is part of a kernel, not work of its own.
      if (isa<EmbedOp, AttentionOp>(op) ||
          (isa<NormOp>(op) && !isa<RowsOp>(op->getParentOp())))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      OpBuilder b(op);
      Location loc = op->getLoc();
      auto type = cast<RankedTensorType>(op->getResult(0).getType());
      Value init = emptyRows(b, loc, op->getOperand(0), type.getDimSize(1),
                             b.getF32Type());
      Value result;
      if (auto norm = dyn_cast<NormOp>(op))
        result = normRows(b, norm, init);
      if (auto embed = dyn_cast<EmbedOp>(op))
        result = EmbedRowsOp::create(b, loc, TypeRange{init.getType()},
                                     embed.getTokens(), embed.getWeight(), init)
                     .getResults()[0];
      else if (auto a = dyn_cast<AttentionOp>(op))
        result = FusedAttentionOp::create(
                     b, loc, TypeRange{init.getType()}, a.getQ(), a.getKeys(),
                     a.getValues(), a.getPositions(), a.getSequences(),
                     a.getTables(), a.getSinks(), a.getLayer(), init,
                     a.getHeadsAttr(), a.getKvHeadsAttr(), a.getHeadDimAttr(),
                     a.getScaleAttr(), a.getWindowAttr(), a.getSoftcapAttr())
                     .getResults()[0];
      op->replaceAllUsesWith(ValueRange{result});
      op->erase();
    }
    if (func->hasAttr("cria.entry") && !func.isExternal())
      giveLogitsADestination(func);
  }

  /// A norm that no linear took in: rows in f32.
  Value normRows(OpBuilder &b, NormOp norm, Value init) {
    Location loc = norm.getLoc();
    SmallVector<Value> params;
    for (Value param : {norm.getWeight(), norm.getBias()})
      if (param)
        params.push_back(param);
    auto rows = RowsOp::create(b, loc, TypeRange{init.getType()}, norm.getX(),
                               params, init, IntegerAttr());
    OpBuilder::InsertionGuard guard(b);
    Block *body = b.createBlock(&rows.getPrologue());
    int64_t k = cast<RankedTensorType>(init.getType()).getDimSize(1);
    auto rowType = RankedTensorType::get({1, k}, b.getF32Type());
    IRMapping map;
    map.map(norm.getX(), body->addArgument(rowType, loc));
    for (Value param : params)
      map.map(param, body->addArgument(param.getType(), loc));
    Operation *row = b.clone(*norm, map);
    row->getResult(0).setType(rowType);
    YieldOp::create(b, loc, row->getResult(0));
    return rows.getResults()[0];
  }

  /// The caller owns the logits: a function argument becomes the destination
  /// of the op that makes them.
  void giveLogitsADestination(func::FuncOp func) {
    auto ret = cast<func::ReturnOp>(func.getBody().front().getTerminator());
    if (ret.getNumOperands() == 0)
      return;
    Value logits = ret.getOperand(0);
    auto linear = logits.getDefiningOp<FusedLinearOp>();
    if (!linear || !linear.getInit().getDefiningOp<tensor::EmptyOp>())
      return;
    unsigned index = func.getNumArguments();
    DictionaryAttr attrs = DictionaryAttr::get(
        &getContext(),
        NamedAttribute(StringAttr::get(&getContext(), "cria.arg"),
                       StringAttr::get(&getContext(), "logits")));
    if (failed(
            func.insertArgument(index, logits.getType(), attrs, func.getLoc())))
      return signalPassFailure();
    Value empty = linear.getInit();
    linear.getInitMutable().assign(func.getArgument(index));
    if (empty.use_empty())
      empty.getDefiningOp()->erase();
  }
};
} // namespace
