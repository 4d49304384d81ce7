// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace cria {
#define GEN_PASS_DEF_FUSERESIDUAL
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {
struct FuseResidual : cria::impl::FuseResidualBase<FuseResidual> {
  void runOnOperation() override {
    SmallVector<AddOp> adds;
    getOperation()->walk([&](AddOp add) { adds.push_back(add); });
    IRRewriter rewriter(&getContext());
    for (AddOp add : adds) {
      FusedLinearOp linear = fusableProducer(add.getB());
      Value residual = add.getA();
      if (!linear) {
        linear = fusableProducer(add.getA());
        residual = add.getB();
      }
      if (!linear)
        continue;
      EpilogueChange change;
      change.init = residual;
      change.accumulate = true;
      fuseEpilogue(rewriter, linear, add, change,
                   [&](OpBuilder &b, Value tile, ValueRange added) -> Value {
                     return arith::AddFOp::create(b, add.getLoc(), added[0], tile);
                   });
    }
  }
};
} // namespace
