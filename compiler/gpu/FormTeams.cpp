// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/gpu/TeamAttention.h"
#include "compiler/gpu/TeamBuilder.h"
#include "compiler/gpu/TeamPartials.h"
#include "compiler/target/GpuTarget.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace cria {
#define GEN_PASS_DEF_FORMTEAMS
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// By tiles of prompts.
bool takesTiles(WeightType weight) {
  // A product of bf16 has 16 columns.
  if (weight.getLayout() == WeightLayout::n16k2)
    return weight.getElement() == ElementKind::bf16 && weight.getK() % 16 == 0;
  return weight.getLayout() == WeightLayout::n16k4 &&
         (weight.getElement() == ElementKind::q4 ||
          weight.getElement() == ElementKind::q8);
}

bool takes(WeightType weight) {
  if (weight.getLayout() == WeightLayout::n16)
    return weight.getElement() == ElementKind::f16 && weight.getK() % 16 == 0;
  return takesTiles(weight) || (weight.getLayout() == WeightLayout::n16k4 &&
                                weight.getElement() == ElementKind::q6);
}

/// Whole blocks, and nothing that goes by heads.
bool takes(RowsOp op) {
  NormOp norm = op.getNorm();
  int64_t k = cast<ShapedType>(op.getX().getType()).getDimSize(1);
  return k % CriaDialect::kQuantBlock == 0 &&
         !(norm && norm.getKind() == NormKind::per_head);
}

struct FormTeams : cria::impl::FormTeamsBase<FormTeams> {
  using FormTeamsBase::FormTeamsBase;

  /// Rows that were to be rounded to bf16 for linears of which one is not to
  /// take them so.
  void keepRowsExact(bool isPrefill) {
    getOperation().walk([&](RowsOp rows) {
      if (!rows.getBf16())
        return;
      auto users = llvm::to_vector(rows->getUsers());
      if (isPrefill && takes(rows) && llvm::all_of(users, [](Operation *user) {
            return takesTiles(cast<FusedLinearOp>(user).getWeightType());
          }))
        return;
      rows.setBf16(false);
      for (Operation *user : users)
        cast<FusedLinearOp>(user).setBf16(false);
    });
  }

  void runOnOperation() override {
    auto team = IntegerAttr::get(IntegerType::get(&getContext(), 64), kGpuTeam);
    auto version = getOperation()->getAttrOfType<StringAttr>("cria.version");
    bool isPrefill = version && version.getValue() == "prefill";
    keepRowsExact(isPrefill);
    getOperation().walk([&](FusedLinearOp op) {
      if (!takes(op.getWeightType()))
        return;
      op->setAttr(kTeamAttr, team);
      auto weights = static_cast<int64_t>(op.getWeights().size());
      int64_t rows = op.getBf16() ? gemmRoundedRows : gemmRows;
      int64_t tokens = op.getActs().size() > 1 ? gemmCodeTokens : gemmTokens;
      if (!isPrefill || !takesTiles(op.getWeightType()))
        return;
      op->setAttr(kGemmAttr, DenseI64ArrayAttr::get(&getContext(),
                                                    {tokens, rows / weights}));
      if (wgmma && op.getBf16())
        op->setAttr(kWgmmaAttr, UnitAttr::get(&getContext()));
    });
    getOperation().walk([&](FusedAttentionOp op) {
      if (isForTensorCores(op))
        op->setAttr(kTeamAttr, team);
    });
    getOperation().walk([&](AttentionPartialsOp op) {
      if (!isForTensorCores(op) && !isForTeam(op))
        return;
      op->setAttr(kTeamAttr, team);
      // Whole heads are for threads, which are too few to wait for memory.
      if (auto choice = op->getParentOfType<scf::IfOp>()) {
        OpBuilder b(choice);
        choice.getConditionMutable().assign(
            arith::ConstantOp::create(b, op.getLoc(), b.getBoolAttr(true)));
      }
    });
    getOperation().walk([&](RowsOp op) {
      if (takes(op))
        op->setAttr(kTeamAttr, team);
    });
  }
};

} // namespace
