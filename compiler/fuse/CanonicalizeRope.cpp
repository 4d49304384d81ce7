// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"

#include "mlir/IR/BuiltinOps.h"

namespace cria {
#define GEN_PASS_DEF_CANONICALIZEROPE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

/// The params whose rows must be permuted so that `rope` may rotate
/// neighbours, or none where something other than a linear, a clip or a
/// norm stands between the params and the rope. The sums of a norm over whole
/// rows or heads are those of any order.
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
    if (!norm->hasOneUse() || (norm.getWeight() && !take(norm.getWeight())) ||
        (norm.getBias() && !take(norm.getBias())))
      return failure();
    x = norm.getX();
  }
  if (auto clip = x.getDefiningOp<ClipOp>(); clip && clip->hasOneUse())
    x = clip.getX();
  auto linear = x.getDefiningOp<LinearOp>();
  if (!linear || !linear->hasOneUse() || !take(linear.getWeight()) ||
      (linear.getBias() && !take(linear.getBias())))
    return failure();
  return loads;
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
        missedFusion(rope, "CanonicalizeRope",
                     "half pairs stay: its input is not one linear's alone, "
                     "through at most a norm");
        all = false;
        return;
      }
      for (LoadOp load : *loads)
        counted.insert(load);
      ropes.push_back({rope, *loads});
    });
    if (!all || ropes.empty())
      return;
    // A param that is also read elsewhere would be permuted there too, and
    // one permutation has to serve all its readers.
    bool shared = false;
    SymbolTable symbols(module);
    llvm::DenseMap<Operation *, RopeOp> params;
    for (auto &[rope, loads] : ropes)
      for (LoadOp load : loads) {
        auto param = symbols.lookup<ParamOp>(load.getParam());
        auto [it, isNew] = params.insert({param, rope});
        if (!load->hasOneUse() || param.getPermuteHeads() ||
            it->second.getHeadDim() != rope.getHeadDim() ||
            it->second.getRope().getDims() != rope.getRope().getDims()) {
          missedFusion(rope, "CanonicalizeRope",
                       "half pairs stay: a param that feeds it is permuted "
                       "otherwise or read twice");
          shared = true;
        }
      }
    module.walk([&](LoadOp load) {
      if (counted.contains(load) ||
          !params.count(symbols.lookup(load.getParam())))
        return;
      missedFusion(load, "CanonicalizeRope",
                   "half pairs stay: this reads a param that feeds a rope");
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
