// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/bufferize/BufferRoots.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotModuleBufferize.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"

namespace cria {
#define GEN_PASS_DEF_BUFFERIZE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace mlir::bufferization;
using namespace cria;

namespace {
struct Bufferize : cria::impl::BufferizeBase<Bufferize> {
  void runOnOperation() override {
    // One allocation a destination: a buffer that served several would tie
    // together what a thread has for itself and what all share. Ops of which
    // one at most runs write one destination.
    SmallVector<tensor::EmptyOp> empties;
    getOperation().walk(
        [&](tensor::EmptyOp empty) { empties.push_back(empty); });
    for (tensor::EmptyOp empty : empties) {
      SmallVector<std::pair<Operation *, SmallVector<Operation *>>> groups{
          {empty, {}}};
      for (OpOperand &use : llvm::make_early_inc_range(empty->getUses())) {
        Operation *user = use.getOwner();
        auto fits = [&](const auto &group) {
          Operation *at = group.first->getBlock()->findAncestorOpInBlock(*user);
          return at && group.first->isBeforeInBlock(at) &&
                 llvm::all_of(group.second, [&](Operation *other) {
                   return insideMutuallyExclusiveRegions(user, other);
                 });
        };
        auto group = llvm::find_if(groups, fits);
        if (group == groups.end()) {
          // In front of a branch, for its other region may have a user too.
          Operation *at = user;
          while (isa<scf::IfOp, scf::IndexSwitchOp>(at->getParentOp()))
            at = at->getParentOp();
          OpBuilder b(at);
          groups.push_back({b.clone(*empty), {}});
          group = std::prev(groups.end());
        }
        group->second.push_back(user);
        use.set(group->first->getResult(0));
      }
    }

    OneShotBufferizationOptions options;
    options.bufferizeFunctionBoundaries = true;
    options.setFunctionBoundaryTypeConversion(
        LayoutMapOption::IdentityLayoutMap);
    options.bufferAlignment = 64;
    options.allowReturnAllocsFromLoops = false;
    // A loaded param is a row of a stacked array: contiguous, at any offset.
    options.unknownTypeConverterFn =
        [](TensorType tensor, Attribute space,
           const BufferizationOptions &) -> BaseMemRefType {
      auto identity =
          MemRefType::get(tensor.getShape(), tensor.getElementType());
      auto layout =
          StridedLayoutAttr::get(tensor.getContext(), ShapedType::kDynamic,
                                 identity.getStridesAndOffset().first);
      return MemRefType::get(tensor.getShape(), tensor.getElementType(), layout,
                             space);
    };
    // The row ops inside a prologue are symbolic; they never become memory.
    options.opFilter.denyOperation([](Operation *op) {
      // Loads stay as well: cria-resolve-weights makes arguments of them.
      if (isa<LoadOp>(op) || isa_and_nonnull<RowsOp>(op->getParentOp()))
        return true;
      // A prologue's rows are tensors for good: done once its operands are.
      return isa<RowsOp>(op) &&
             llvm::none_of(op->getOperandTypes(), llvm::IsaPred<TensorType>);
    });
    BufferizationState state;
    if (failed(runOneShotModuleBufferize(getOperation(), options, state)))
      return signalPassFailure();
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (func->hasAttr("cria.entry") && !func.isExternal() &&
          failed(dropResults(func)))
        return signalPassFailure();
  }

  /// Entries return the caches and the logits that they were given: prove it
  /// and return nothing.
  LogicalResult dropResults(func::FuncOp func) {
    auto ret = cast<func::ReturnOp>(func.getBody().front().getTerminator());
    if (!carriesBuffersInPlace(func))
      return func.emitError("a loop does not update its buffers in place");
    for (auto [i, value] : llvm::enumerate(ret.getOperands())) {
      Value root = bufferRoot(value);
      if (!isa<BlockArgument>(root) ||
          cast<BlockArgument>(root).getOwner() != &func.getBody().front())
        return ret.emitError()
               << "result " << i
               << " of an entry is not one of its arguments updated in place";
    }
    ret.getOperandsMutable().clear();
    func.setFunctionType(FunctionType::get(
        &getContext(), func.getFunctionType().getInputs(), {}));
    func.removeResAttrsAttr();
    return success();
  }
};
} // namespace
