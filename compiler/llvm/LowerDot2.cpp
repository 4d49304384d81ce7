// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/vector/KernelUtils.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace cria {
#define GEN_PASS_DEF_LOWERDOT2
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

/// Columns 2i, or 2i + 1 with `odd`, as f32: either half of a 32-bit word is
/// the upper half of its f32.
static Value halves(ImplicitLocOpBuilder &b, Value pairs, bool odd) {
  Type i32 = b.getI32Type();
  Value words = vector::BitCastOp::create(b, vectorOf(kLanes, i32), pairs);
  Value bits;
  if (odd)
    bits =
        arith::AndIOp::create(b, words, splatInt(b, i32, int32_t(0xffff0000)));
  else
    bits = arith::ShLIOp::create(b, words, splatInt(b, i32, 16));
  return arith::BitcastOp::create(b, vectorOf(kLanes, b.getF32Type()), bits);
}

static Value dotGeneric(ImplicitLocOpBuilder &b, Dot2Op op) {
  Value sum = op.getAcc();
  for (bool odd : {false, true})
    sum = math::FmaOp::create(b, halves(b, op.getA(), odd),
                              halves(b, op.getB(), odd), sum);
  return sum;
}

namespace {

struct LowerDot2 : cria::impl::LowerDot2Base<LowerDot2> {
  using LowerDot2Base::LowerDot2Base;

  void runOnOperation() override {
    if (isa != "generic" && isa != "avx512bf16") {
      getOperation()->emitError("cria-lower-dot2: isa = ")
          << isa.getValue() << " is not one of generic, avx512bf16";
      return signalPassFailure();
    }
    SmallVector<Dot2Op> ops;
    getOperation()->walk([&](Dot2Op op) { ops.push_back(op); });
    for (Dot2Op op : ops) {
      ImplicitLocOpBuilder b(op.getLoc(), op);
      Value result;
      if (isa == "avx512bf16")
        result = LLVM::CallIntrinsicOp::create(
                     b, op.getType(),
                     b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps.512"),
                     ValueRange{op.getAcc(), op.getA(), op.getB()})
                     ->getResult(0);
      else
        result = dotGeneric(b, op);
      op.replaceAllUsesWith(result);
      op.erase();
    }
  }
};

} // namespace
