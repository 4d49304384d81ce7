// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "dialect/CriaOps.h"

#include "mlir/IR/BuiltinOps.h"

namespace cria {
#define GEN_PASS_DEF_ASSIGNLAYOUTS
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

/// The layout that the CPU kernels read for each element kind.
static WeightType packedType(WeightType type) {
  WeightLayout layout = type.isQuantized() ? WeightLayout::n16k4
                        : type.getElement() == ElementKind::bf16
                            ? WeightLayout::n16k2
                            : WeightLayout::n16;
  // Codes are unsigned in n16k4, as vpdpbusd wants its first operand.
  OffsetKind offset = type.isQuantized() && type.getOffset() == OffsetKind::none
                          ? OffsetKind::zero_point
                          : type.getOffset();
  return WeightType::get(type.getContext(), type.getShape(), type.getElement(),
                         type.getBlock(), offset, layout);
}

namespace {
struct AssignLayouts : cria::impl::AssignLayoutsBase<AssignLayouts> {
  void runOnOperation() override {
    getOperation()->walk([](ParamOp param) {
      if (auto type = dyn_cast<WeightType>(param.getType()))
        param.setType(packedType(type));
    });
    getOperation()->walk([](LoadOp load) {
      if (auto type = dyn_cast<WeightType>(load.getResult().getType()))
        load.getResult().setType(packedType(type));
    });
  }
};
} // namespace
