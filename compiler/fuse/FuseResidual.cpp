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
static bool diesAt(Value residual, Operation *source, Operation *add) {
  for (Operation *user : residual.getUsers()) {
    if (user == add || isa<tensor::DimOp>(user))
      continue;
    if (user == source)
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

/// The norm whose rows `add` may take in: nothing else reads them.
static NormOp fusableNorm(Value v) {
  auto norm = v.getDefiningOp<NormOp>();
  if (norm && norm->hasOneUse() && !norm.isPerHead())
    return norm;
  return {};
}

/// The norm whose rows take the sum's place in what follows (GPT-1), or null:
/// besides it, only prologues of linears read the sum.
static NormOp loneNorm(AddOp add) {
  NormOp found;
  for (Operation *user : add->getUsers()) {
    if (isa<RowsOp, tensor::DimOp>(user))
      continue;
    auto norm = dyn_cast<NormOp>(user);
    if (!norm || found || norm.isPerHead())
      return {};
    found = norm;
  }
  return found;
}

/// x + (a + b) of a parallel block, with both a and b from linears, becomes
/// (x + a) + b: each sum in the epilogue of one linear, in place.
static void reassociate(IRRewriter &rewriter, AddOp add) {
  for (auto [sum, x] :
       {std::pair(add.getB(), add.getA()), std::pair(add.getA(), add.getB())}) {
    auto inner = sum.getDefiningOp<AddOp>();
    if (!inner || !inner->hasOneUse() || fusableProducer(x) ||
        !fusableProducer(inner.getA()) || !fusableProducer(inner.getB()))
      continue;
    // Where the later linear's sum is, all three are known.
    rewriter.setInsertionPoint(add);
    Value first =
        AddOp::create(rewriter, inner.getLoc(), add.getType(), x, inner.getA());
    rewriter.replaceOpWithNewOp<AddOp>(add, add.getType(), first, inner.getB());
    rewriter.eraseOp(inner);
    return;
  }
}

namespace {
struct FuseResidual : cria::impl::FuseResidualBase<FuseResidual> {
  /// Adds the norm of a block's output to the residual, in place.
  static bool addToNorm(IRRewriter &rewriter, AddOp add, Value normed,
                        Value residual) {
    NormOp norm = fusableNorm(normed);
    if (!norm || !diesAt(residual, norm, add))
      return false;
    rewriter.setInsertionPoint(add);
    rewriter.replaceOp(
        add, plainRows(rewriter, residual, norm, ScaleOp(), add).getResults());
    rewriter.eraseOp(norm);
    return true;
  }

  void runOnOperation() override {
    SmallVector<AddOp> adds;
    IRRewriter rewriter(&getContext());
    getOperation()->walk([&](AddOp add) { adds.push_back(add); });
    for (AddOp add : adds)
      reassociate(rewriter, add);
    adds.clear();
    getOperation()->walk([&](AddOp add) {
      if (!isa<RowsOp>(add->getParentOp()))
        adds.push_back(add);
    });
    for (AddOp add : adds) {
      StringRef why;
      FusedLinearOp linear = fusableProducer(add.getB(), &why);
      Value residual = add.getA();
      if (!linear) {
        linear = fusableProducer(add.getA());
        residual = add.getB();
      }
      if (!linear) {
        if (!addToNorm(rewriter, add, add.getB(), add.getA()) &&
            !addToNorm(rewriter, add, add.getA(), add.getB()))
          missedFusion(add, "FuseResidual", why);
        continue;
      }
      // A norm of the sum takes the residual's place: the sum has its own.
      NormOp after = loneNorm(add);
      if (after && !diesAt(residual, linear, after))
        after = NormOp();
      EpilogueChange change;
      if (!after && diesAt(residual, linear, add)) {
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
      if (after) {
        rewriter.setInsertionPoint(after);
        rewriter.replaceOp(after,
                           plainRows(rewriter, residual, after).getResults());
      }
    }
  }
};
} // namespace
