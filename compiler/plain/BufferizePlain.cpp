// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria-bufferize-plain: the plain lowering on memrefs, with the caches updated
// in place.

#include "compiler/Passes.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotModuleBufferize.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace cria {
#define GEN_PASS_DEF_BUFFERIZEPLAIN
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace cria;
using namespace mlir;

/// The buffer that `value` is: casts keep it, and so do a loop that yields the
/// buffer it was given and a branch whose regions all yield one buffer.
static Value resolveBuffer(Value value) {
  if (auto cast = value.getDefiningOp<memref::CastOp>())
    return resolveBuffer(cast.getSource());
  if (auto choice = value.getDefiningOp();
      isa_and_nonnull<scf::IfOp, scf::IndexSwitchOp>(choice)) {
    unsigned index = cast<OpResult>(value).getResultNumber();
    auto yielded = [&](Region &region) {
      return resolveBuffer(region.front().getTerminator()->getOperand(index));
    };
    Value first = yielded(choice->getRegion(0));
    return llvm::all_of(
               choice->getRegions(),
               [&](Region &region) { return yielded(region) == first; })
               ? first
               : value;
  }
  auto loop = value.getDefiningOp<scf::ForOp>();
  if (!loop)
    return value;
  unsigned index = cast<OpResult>(value).getResultNumber();
  if (resolveBuffer(loop.getYieldedValues()[index]) !=
      loop.getRegionIterArg(index))
    return value;
  return resolveBuffer(loop.getInitArgs()[index]);
}

namespace {

class BufferizePlain : public cria::impl::BufferizePlainBase<BufferizePlain> {
  void runOnOperation() override;
  LogicalResult dropResults(func::FuncOp entry);
};

} // namespace

LogicalResult BufferizePlain::dropResults(func::FuncOp entry) {
  auto terminator =
      cast<func::ReturnOp>(entry.getBody().back().getTerminator());
  for (auto [index, operand] : llvm::enumerate(terminator.getOperands())) {
    auto name = entry.getResultAttrOfType<StringAttr>(index, "cria.arg");
    if (!name)
      return entry.emitOpError() << "is an entry whose result " << index
                                 << " has no cria.arg to name its argument";
    auto argument = dyn_cast<BlockArgument>(resolveBuffer(operand));
    if (!argument || argument.getOwner() != &entry.getBody().front() ||
        entry.getArgAttr(argument.getArgNumber(), "cria.arg") != name)
      return entry.emitOpError()
             << "does not write its result " << index << " in place to " << name
             << ": a copy would be needed";
  }
  BitVector all(entry.getNumResults(), true);
  terminator->setOperands({});
  return entry.eraseResults(all);
}

void BufferizePlain::runOnOperation() {
  using namespace bufferization;
  OneShotBufferizationOptions options;
  options.bufferizeFunctionBoundaries = true;
  options.setFunctionBoundaryTypeConversion(LayoutMapOption::IdentityLayoutMap);
  // The hidden state goes round the loop over layers in fresh buffers.
  options.allowReturnAllocsFromLoops = true;
  // memref.copy of strided slices would call MLIR's own runtime library.
  options.memCpyFn = [](OpBuilder &b, Location loc, Value from, Value to) {
    linalg::CopyOp::create(b, loc, from, to);
    return success();
  };
  ModuleOp module = getOperation();
  BufferizationState state;
  if (failed(runOneShotModuleBufferize(module, options, state)))
    return signalPassFailure();
  for (auto func : module.getOps<func::FuncOp>())
    if (func->hasAttr("cria.entry") && failed(dropResults(func)))
      return signalPassFailure();
}
