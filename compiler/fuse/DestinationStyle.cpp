// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

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
    biases.clear();
    SmallVector<Operation *> ops;
    func.walk([&](Operation *op) {
      // Inside a rows op a norm is part of a kernel, not work of its own.
      if (isa<EmbedOp, AttentionOp, PositionOp>(op) ||
          (isa<NormOp, ScaleOp>(op) && !isa<RowsOp>(op->getParentOp())))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      OpBuilder b(op);
      Location loc = op->getLoc();
      auto type = cast<RankedTensorType>(op->getResult(0).getType());
      Value init = emptyRows(b, loc, op->getOperand(0), type.getDimSize(1),
                             b.getF32Type());
      Value result;
      auto norm = dyn_cast<NormOp>(op);
      if (norm && norm.isPerHead()) {
        result = headRows(b, loc, norm.getX(), norm.headSize(), Value(), norm)
                     .getResults()[0];
      } else if (norm) {
        result = plainRows(b, init, norm).getResults()[0];
      }
      if (auto position = dyn_cast<PositionOp>(op))
        result = position.getKind() == PositionKind::learned
                     ? learnedPositions(b, position)
                     : sinusoidalPositions(b, position);
      if (auto scale = dyn_cast<ScaleOp>(op))
        result = plainRows(b, init, NormOp(), scale).getResults()[0];
      if (auto embed = dyn_cast<EmbedOp>(op))
        result = EmbedRowsOp::create(b, loc, TypeRange{init.getType()},
                                     embed.getTokens(), embed.getWeight(), init)
                     .getResults()[0];
      else if (auto a = dyn_cast<AttentionOp>(op))
        result = FusedAttentionOp::create(
                     b, loc, TypeRange{init.getType()}, a.getQ(), a.getKeys(),
                     a.getValues(), a.getPositions(), a.getSequences(),
                     a.getTables(), a.getSinks(), alibiSlopesOf(b, a),
                     biasOf(b, a), a.getLayer(), init, a.getHeadsAttr(),
                     a.getKvHeadsAttr(), a.getHeadDimAttr(), a.getScaleAttr(),
                     a.getWindowAttr(), a.getSoftcapAttr())
                     .getResults()[0];
      op->replaceAllUsesWith(ValueRange{result});
      op->erase();
    }
    for (auto &[bias, rows] : biases)
      if (Operation *op = bias.getDefiningOp(); op && op->use_empty())
        op->erase();
    if (func->hasAttr("cria.entry") && !func.isExternal())
      giveLogitsADestination(func);
  }

  /// Once for all layers that share it.
  Value biasOf(OpBuilder &b, AttentionOp attention) {
    Value bias = attention.getBias();
    if (!bias)
      return {};
    Value &rows = biases[bias];
    if (!rows)
      rows = biasRows(b, attention);
    return rows;
  }

  llvm::DenseMap<Value, Value> biases;

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
