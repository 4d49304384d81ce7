// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/gpu/TeamBuilder.h"
#include "compiler/target/GpuTarget.h"

namespace cria {
#define GEN_PASS_DEF_FORMTEAMS
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

bool takes(WeightType weight) {
  // A product of bf16 has 16 columns.
  if (weight.getLayout() == WeightLayout::n16k2)
    return weight.getElement() == ElementKind::bf16 && weight.getK() % 16 == 0;
  return weight.getLayout() == WeightLayout::n16k4 &&
         (weight.getElement() == ElementKind::q4 ||
          weight.getElement() == ElementKind::q8);
}

struct FormTeams : cria::impl::FormTeamsBase<FormTeams> {
  void runOnOperation() override {
    auto team = IntegerAttr::get(IntegerType::get(&getContext(), 64), kGpuTeam);
    getOperation().walk([&](FusedLinearOp op) {
      if (takes(op.getWeightType()) && !op.getBf16())
        op->setAttr(kTeamAttr, team);
    });
  }
};

} // namespace
