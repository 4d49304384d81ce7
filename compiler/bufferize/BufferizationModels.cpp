// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/bufferize/BufferizationModels.h"
#include "dialect/CriaDialect.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace cria;

namespace {
/// A kernel op keeps its form: operands become memrefs, results go away.
template <typename OpTy>
struct KernelModel
    : DstBufferizableOpInterfaceExternalModel<KernelModel<OpTy>, OpTy> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    if (!cast<DestinationStyleOpInterface>(op).isDpsInit(&operand))
      return true;
    // A cache keeps what is not overwritten; an accumulator is read. Every
    // other destination is written whole.
    if (auto out = op->getAttrOfType<OutKindAttr>("out"))
      if (out.getValue() != OutKind::rows)
        return true;
    return op->hasAttr("accumulate");
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto dps = cast<DestinationStyleOpInterface>(op);
    SmallVector<Value> operands, results;
    rewriter.setInsertionPoint(op);
    for (OpOperand &operand : op->getOpOperands()) {
      if (!isa<TensorType>(operand.get().getType())) {
        operands.push_back(operand.get());
        continue;
      }
      FailureOr<Value> buffer =
          getBuffer(rewriter, operand.get(), options, state);
      if (failed(buffer))
        return failure();
      operands.push_back(*buffer);
      if (dps.isDpsInit(&operand))
        results.push_back(*buffer);
    }
    // Prologues and epilogues work on rows and lanes, never on memory: their
    // bodies move as they are.
    OperationState newOp(op->getLoc(), op->getName(), operands, TypeRange(),
                         op->getAttrs());
    newOp.propertiesAttr = op->getPropertiesAsAttribute();
    for (Region &region : op->getRegions())
      newOp.addRegion()->takeBody(region);
    rewriter.create(newOp);
    replaceOpWithBufferizedValues(rewriter, op, results);
    return success();
  }
};
} // namespace

void cria::registerBufferizationModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, CriaDialect *) {
    RopeTableOp::attachInterface<KernelModel<RopeTableOp>>(*context);
    EmbedRowsOp::attachInterface<KernelModel<EmbedRowsOp>>(*context);
    RowsOp::attachInterface<KernelModel<RowsOp>>(*context);
    HeadRowsOp::attachInterface<KernelModel<HeadRowsOp>>(*context);
    FusedLinearOp::attachInterface<KernelModel<FusedLinearOp>>(*context);
    FusedAttentionOp::attachInterface<KernelModel<FusedAttentionOp>>(*context);
    AttentionPartialsOp::attachInterface<KernelModel<AttentionPartialsOp>>(
        *context);
    AttentionMergeOp::attachInterface<KernelModel<AttentionMergeOp>>(*context);
  });
}
