// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/halide/BindHalide.h"
#include "compiler/Passes.h"
#include "compiler/vector/KernelUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace cria {
#define GEN_PASS_DEF_BINDHALIDE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

struct BindHalide : cria::impl::BindHalideBase<BindHalide> {
  using BindHalideBase::BindHalideBase;

  std::string bind(Operation *op, StringRef provider) {
    if (!refusal.empty())
      return refusal;
    auto func = op->getParentOfType<FunctionOpInterface>();
    auto version = func->getAttrOfType<StringAttr>("cria.version");
    HalideBinding binding = {
        provider, version && version.getValue() == "decode",
        HalideCut{tokens, panels, blockTokens, prefetch}, sums[func]};
    ImplicitLocOpBuilder b(op->getLoc(), op);
    if (auto linear = dyn_cast<FusedLinearOp>(op))
      return bindLinear(b, linear, binding);
    if (auto rows = dyn_cast<RowsOp>(op))
      return bindRows(b, rows, binding);
    if (auto rows = dyn_cast<HeadRowsOp>(op))
      return bindHeadRows(b, rows, binding);
    if (auto attention = dyn_cast<FusedAttentionOp>(op))
      return bindAttention(b, attention, binding);
    if (auto partials = dyn_cast<AttentionPartialsOp>(op))
      return bindAttention(b, partials, binding);
    if (auto merge = dyn_cast<AttentionMergeOp>(op))
      return bindAttention(b, merge, binding);
    return "no generator is for this kind of op";
  }

  static std::string label(Operation *op) {
    std::string name = scheduleName(op);
    return name.empty() ? op->getName().getStringRef().str() : name;
  }

  llvm::DenseMap<Operation *, Value> sums; // by function

  void runOnOperation() override {
    sums.clear();
    SmallVector<std::pair<Operation *, StringRef>> asked;
    WalkResult walked = getOperation()->walk([&](Operation *op) {
      FailureOr<StringRef> provider = takeProvider(op);
      if (failed(provider))
        return WalkResult::interrupt();
      if (*provider != kCriaProvider)
        asked.emplace_back(op, *provider);
      return WalkResult::advance();
    });
    if (walked.wasInterrupted())
      return signalPassFailure();
    for (auto [op, provider] : asked) {
      if (failed(checkBufferized(op)))
        return signalPassFailure();
      std::string why = bind(op, provider);
      if (why.empty())
        op->erase();
      else
        emitRemark(op->getLoc()) << label(op) << ": provider " << provider
                                 << " is not used: " << why;
    }
  }
};

} // namespace
