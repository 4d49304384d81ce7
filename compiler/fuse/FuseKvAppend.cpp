// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace cria {
#define GEN_PASS_DEF_FUSEKVAPPEND
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {
struct FuseKvAppend : cria::impl::FuseKvAppendBase<FuseKvAppend> {
  void runOnOperation() override {
    SmallVector<KvAppendOp> appends;
    getOperation()->walk([&](KvAppendOp append) { appends.push_back(append); });
    IRRewriter rewriter(&getContext());
    for (KvAppendOp append : appends) {
      FusedLinearOp linear = fusableProducer(append.getX());
      int64_t headDim = cast<RankedTensorType>(append.getCache().getType()).getDimSize(4);
      if (!linear || headDim % CriaDialect::kLanes != 0)
        continue;
      EpilogueChange change;
      change.init = append.getCache();
      change.out = append.getRole() == CacheRole::key ? OutKind::key : OutKind::value;
      change.layer = append.getLayer();
      change.slots = append.getSlots();
      fuseEpilogue(rewriter, linear, append, change,
                   [](OpBuilder &, Value tile, ValueRange) { return tile; });
    }
  }
};
} // namespace
