// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/bufferize/BufferRoots.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;

Value cria::bufferRoot(Value buffer) {
  while (true) {
    if (auto view = buffer.getDefiningOp<ViewLikeOpInterface>()) {
      buffer = view.getViewSource();
      continue;
    }
    // In-place loops carry the same buffer round.
    if (auto arg = dyn_cast<BlockArgument>(buffer))
      if (auto loop = dyn_cast<scf::ForOp>(arg.getOwner()->getParentOp()))
        if (OpOperand *init = loop.getTiedLoopInit(arg)) {
          buffer = init->get();
          continue;
        }
    if (auto result = dyn_cast<OpResult>(buffer))
      if (auto loop = dyn_cast<scf::ForOp>(result.getOwner())) {
        buffer = loop.getInitArgs()[result.getResultNumber()];
        continue;
      }
    // The regions of a branch hand on one buffer, or it is none of ours.
    if (auto result = dyn_cast<OpResult>(buffer))
      if (isa<scf::IfOp, scf::IndexSwitchOp>(result.getOwner())) {
        SmallVector<Value> yielded;
        for (Region &region : result.getOwner()->getRegions())
          yielded.push_back(
              bufferRoot(region.front().getTerminator()->getOperand(
                  result.getResultNumber())));
        if (llvm::all_equal(yielded)) {
          buffer = yielded.front();
          continue;
        }
      }
    return buffer;
  }
}

bool cria::isBufferRoot(Value root) {
  if (auto arg = dyn_cast<BlockArgument>(root))
    return isa<FunctionOpInterface>(arg.getOwner()->getParentOp());
  return isa<memref::AllocOp, memref::AllocaOp, memref::GetGlobalOp,
             bufferization::ToBufferOp>(root.getDefiningOp());
}

bool cria::carriesBuffersInPlace(Operation *root) {
  WalkResult result = root->walk([](scf::ForOp loop) {
    for (auto [init, yielded] :
         llvm::zip_equal(loop.getInitArgs(), loop.getYieldedValues()))
      if (isa<BaseMemRefType>(init.getType()) &&
          bufferRoot(init) != bufferRoot(yielded))
        return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return !result.wasInterrupted();
}

SmallVector<cria::BufferAccess> cria::bufferAccesses(Operation *op) {
  SmallVector<BufferAccess> accesses;
  auto add = [&](Value root, bool write) {
    BufferAccess access{root, write};
    if (!llvm::is_contained(accesses, access))
      accesses.push_back(access);
  };
  op->walk([&](Operation *nested) {
    auto effects = dyn_cast<MemoryEffectOpInterface>(nested);
    if (!effects || isa<memref::AllocOp>(nested))
      return;
    SmallVector<MemoryEffects::EffectInstance> instances;
    effects.getEffects(instances);
    for (const auto &instance : instances) {
      if (!instance.getValue() ||
          !isa<BaseMemRefType>(instance.getValue().getType()))
        continue;
      if (isa<MemoryEffects::Read>(instance.getEffect()))
        add(bufferRoot(instance.getValue()), false);
      if (isa<MemoryEffects::Write>(instance.getEffect()))
        add(bufferRoot(instance.getValue()), true);
    }
  });
  return accesses;
}
