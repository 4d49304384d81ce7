// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.dot2_i16 becomes what the target multiplies 16-bit integers with. All
// forms are exact, so all agree bit for bit.

#include "compiler/Passes.h"
#include "compiler/llvm/DotParts.h"
#include "dialect/CriaOps.h"

#include "llvm/ADT/StringExtras.h"

namespace cria {
#define GEN_PASS_DEF_LOWERDOT2I16
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

/// With `name`, which multiplies and adds two neighbours.
static Value addPairs(ImplicitLocOpBuilder &b, StringRef name, Value acc,
                      Value x, Value y) {
  return arith::AddIOp::create(b, acc,
                               callIntrinsic(b, name, acc.getType(), {x, y}));
}

/// Quarter `index`: products of the lower and of the upper half, of which addp
/// adds neighbours.
static Value dotNeon(ImplicitLocOpBuilder &b, Dot2I16Op op, int64_t index) {
  VectorType i32 = VectorType::get({4}, b.getI32Type());
  Value x = quarterOf(b, op.getA(), index), y = quarterOf(b, op.getB(), index);
  auto products = [&](int64_t half) {
    return callIntrinsic(b, "llvm.aarch64.neon.smull.v4i32", i32,
                         {halfOf(b, x, half), halfOf(b, y, half)});
  };
  Value low = products(0), high = products(1);
  return addPairs(b, "llvm.aarch64.neon.addp.v4i32",
                  quarterOf(b, op.getAcc(), index), low, high);
}

static Value dotGeneric(ImplicitLocOpBuilder &b, Dot2I16Op op) {
  auto i32 = cast<VectorType>(op.getType());
  Value sixteen = intSplat(b, i32, 16);
  Value x = vector::BitCastOp::create(b, i32, op.getA());
  Value y = vector::BitCastOp::create(b, i32, op.getB());
  Value acc = op.getAcc();
  for (bool odd : {false, true}) {
    auto part = [&](Value words) -> Value {
      if (!odd)
        words = arith::ShLIOp::create(b, words, sixteen);
      return arith::ShRSIOp::create(b, words, sixteen);
    };
    Value p = part(x), q = part(y);
    acc = arith::AddIOp::create(b, acc, arith::MulIOp::create(b, p, q));
  }
  return acc;
}

constexpr StringLiteral kIsas[] = {"generic", "sse2",       "avx2", "avx512bw",
                                   "avxvnni", "avx512vnni", "neon"};

namespace {

struct LowerDot2I16 : cria::impl::LowerDot2I16Base<LowerDot2I16> {
  using LowerDot2I16Base::LowerDot2I16Base;

  void runOnOperation() override {
    if (!llvm::is_contained(kIsas, isa)) {
      getOperation()->emitError("cria-lower-dot2-i16: isa = ")
          << isa.getValue() << " is not one of "
          << llvm::join(ArrayRef(kIsas), ", ");
      return signalPassFailure();
    }
    SmallVector<Dot2I16Op> ops;
    getOperation()->walk([&](Dot2I16Op op) { ops.push_back(op); });
    for (Dot2I16Op op : ops) {
      ImplicitLocOpBuilder b(op.getLoc(), op);
      op.replaceAllUsesWith(lower(b, op));
      op.erase();
    }
  }

  Value lower(ImplicitLocOpBuilder &b, Dot2I16Op op) {
    Value acc = op.getAcc(), x = op.getA(), y = op.getB();
    if (isa == "avx512vnni")
      return callIntrinsic(b, "llvm.x86.avx512.vpdpwssd.512", acc.getType(),
                           {acc, x, y});
    if (isa == "avxvnni")
      return inHalves(b, [&](int64_t i) {
        Value half = halfOf(b, acc, i);
        return callIntrinsic(b, "llvm.x86.avx512.vpdpwssd.256", half.getType(),
                             {half, halfOf(b, x, i), halfOf(b, y, i)});
      });
    if (isa == "avx512bw")
      return addPairs(b, "llvm.x86.avx512.pmaddw.d.512", acc, x, y);
    if (isa == "avx2")
      return inHalves(b, [&](int64_t i) {
        return addPairs(b, "llvm.x86.avx2.pmadd.wd", halfOf(b, acc, i),
                        halfOf(b, x, i), halfOf(b, y, i));
      });
    if (isa == "sse2")
      return inQuarters(b, [&](int64_t i) {
        return addPairs(b, "llvm.x86.sse2.pmadd.wd", quarterOf(b, acc, i),
                        quarterOf(b, x, i), quarterOf(b, y, i));
      });
    if (isa == "neon")
      return inQuarters(b, [&](int64_t i) { return dotNeon(b, op, i); });
    return dotGeneric(b, op);
  }
};

} // namespace
