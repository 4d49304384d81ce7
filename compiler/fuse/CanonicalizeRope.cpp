// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "dialect/CriaOps.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Debug.h"

#define DEBUG_TYPE "cria-canonicalize-rope"

namespace cria {
#define GEN_PASS_DEF_CANONICALIZEROPE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

/// The params whose rows must be permuted so that `rope` may rotate
/// neighbours, or none where something other than a linear or a per-head norm
/// stands between the params and the rope.
static FailureOr<SmallVector<LoadOp>> paramsFeeding(RopeOp rope) {
  SmallVector<LoadOp> loads;
  Value x = rope.getX();
  auto take = [&](Value v) {
    auto load = v.getDefiningOp<LoadOp>();
    if (load)
      loads.push_back(load);
    return static_cast<bool>(load);
  };
  if (auto norm = x.getDefiningOp<NormOp>()) {
    if (norm.getKind() != NormKind::per_head || !norm.getWeight() ||
        !norm->hasOneUse() || !take(norm.getWeight()))
      return failure();
    x = norm.getX();
  }
  auto linear = x.getDefiningOp<LinearOp>();
  if (!linear || !linear->hasOneUse() || !take(linear.getWeight()) ||
      (linear.getBias() && !take(linear.getBias())))
    return failure();
  return loads;
}

static RopeAttr interleaved(RopeAttr r) {
  return RopeAttr::get(r.getContext(), RopePairs::interleaved, r.getBase(), r.getDims(),
                       r.getScaling(), r.getFactor(), r.getOriginalContext(), r.getMaxContext(),
                       r.getBetaFast(), r.getBetaSlow(), r.getLowFreqFactor(),
                       r.getHighFreqFactor(), r.getAttentionFactor(), r.getTruncate(),
                       r.getShortFactors(), r.getLongFactors());
}

namespace {
struct CanonicalizeRope : cria::impl::CanonicalizeRopeBase<CanonicalizeRope> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    // Queries and keys meet in a dot product, so all ropes change or none.
    SmallVector<std::pair<RopeOp, SmallVector<LoadOp>>> ropes;
    llvm::SmallPtrSet<Operation *, 8> counted;
    bool all = true;
    module.walk([&](RopeOp rope) {
      if (rope.getRope().getPairs() == RopePairs::interleaved)
        return;
      auto loads = paramsFeeding(rope);
      if (failed(loads)) {
        LLVM_DEBUG(llvm::dbgs() << "kept half pairs: no linear feeds " << rope << "\n");
        all = false;
        return;
      }
      for (LoadOp load : *loads)
        counted.insert(load);
      ropes.push_back({rope, *loads});
    });
    if (!all || ropes.empty())
      return;
    // A param that is also read elsewhere would be permuted there too.
    bool shared = false;
    SymbolTable symbols(module);
    llvm::DenseMap<Operation *, RopeOp> params;
    for (auto &[rope, loads] : ropes)
      for (LoadOp load : loads) {
        if (!load->hasOneUse())
          shared = true;
        params[symbols.lookup(load.getParam())] = rope;
      }
    module.walk([&](LoadOp load) {
      if (!counted.contains(load) && params.count(symbols.lookup(load.getParam())))
        shared = true;
    });
    if (shared)
      return;
    Builder b(&getContext());
    for (auto [op, rope] : params) {
      auto param = cast<ParamOp>(op);
      param.setPermuteHeadsAttr(b.getI64IntegerAttr(rope.getHeadDim()));
      param.setPermuteDimsAttr(b.getI64IntegerAttr(rope.getRope().getDims()));
    }
    for (auto &[rope, loads] : ropes)
      rope.setRopeAttr(interleaved(rope.getRope()));
  }
};
} // namespace
