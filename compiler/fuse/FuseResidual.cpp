// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace cria {
#define GEN_PASS_DEF_FUSERESIDUAL
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

/// True where nothing reads `residual` after `add`, so that the sum may take
/// its place in memory. `add` may be in a branch; a loop would read again what
/// comes from outside of it.
static bool diesAt(Value residual, FusedLinearOp linear, AddOp add) {
  for (Operation *user : residual.getUsers()) {
    if (user == add)
      continue;
    if (user == linear)
      return false; // it reads what it would overwrite
    Operation *here = add;
    while (true) {
      Block *block = here->getBlock();
      Operation *there = block->findAncestorOpInBlock(*user);
      if (there && there != here && !there->isBeforeInBlock(here))
        return false;
      // Before it, or in another region of the same branch.
      if (there || block == residual.getParentBlock())
        break;
      here = block->getParentOp();
    }
  }
  for (Operation *op = add; op->getBlock() != residual.getParentBlock();
       op = op->getParentOp())
    if (!isa<scf::IfOp, scf::IndexSwitchOp>(op->getParentOp()))
      return false;
  return true;
}

namespace {
struct FuseResidual : cria::impl::FuseResidualBase<FuseResidual> {
  void runOnOperation() override {
    SmallVector<AddOp> adds;
    getOperation()->walk([&](AddOp add) { adds.push_back(add); });
    IRRewriter rewriter(&getContext());
    for (AddOp add : adds) {
      StringRef why;
      FusedLinearOp linear = fusableProducer(add.getB(), &why);
      Value residual = add.getA();
      if (!linear) {
        linear = fusableProducer(add.getA());
        residual = add.getB();
      }
      if (!linear) {
        missedFusion(add, "FuseResidual", why);
        continue;
      }
      EpilogueChange change;
      if (diesAt(residual, linear, add)) {
        change.init = residual;
        change.accumulate = true;
      } else {
        change.extra = residual;
        change.extraKind = ExtraKind::elementwise;
      }
      fuseEpilogue(rewriter, linear, add, change,
                   [&](OpBuilder &b, Value tile, ValueRange added) -> Value {
                     return arith::AddFOp::create(b, add.getLoc(), added[0],
                                                  tile);
                   });
    }
  }
};
} // namespace
