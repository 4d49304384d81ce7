// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/plain/PlainPatterns.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace cria {
#define GEN_PASS_DEF_LOWERREMAINING
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {
struct LowerRemaining : cria::impl::LowerRemainingBase<LowerRemaining> {
  void runOnOperation() override {
    // Inside a rows op a norm is part of a kernel, not work of its own.
    SmallVector<Operation *> remaining;
    getOperation()->walk([&](Operation *op) {
      if (isa<NormOp, RopeOp, PositionOp, ActivationOp, GluOp, KvAppendOp,
              SoftcapOp, ClipOp, AddOp, ScaleOp, RelativeBiasOp, SelectRowsOp>(
              op) &&
          isa<RankedTensorType>(op->getResult(0).getType()) &&
          !op->getParentOfType<RowsOp>())
        remaining.push_back(op);
    });
    for (Operation *op : remaining)
      remark::missed(
          op->getLoc(),
          remark::RemarkOpts::name("LowerRemaining").category("cria-fuse"))
          << op->getName().getStringRef()
          << " has no fused kernel here; it runs by its plain lowering";
    RewritePatternSet patterns(&getContext());
    populatePlainPatterns(patterns);
    GreedyRewriteConfig config;
    config.setStrictness(GreedyRewriteStrictness::ExistingOps);
    if (failed(applyOpPatternsGreedily(remaining, std::move(patterns), config)))
      return signalPassFailure();
  }
};
} // namespace
