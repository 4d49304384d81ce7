// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.dot4 becomes what the target multiplies bytes with. Every form is
// exact for all inputs that the op allows, so all agree bit for bit.

#include "compiler/Passes.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <numeric>

namespace cria {
#define GEN_PASS_DEF_LOWERDOT4
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

static Value intSplat(ImplicitLocOpBuilder &b, VectorType type, int64_t value) {
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(
             type, b.getIntegerAttr(type.getElementType(), value)));
}

static Value callIntrinsic(ImplicitLocOpBuilder &b, StringRef name, Type result,
                           ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, result, b.getStringAttr(name),
                                       operands)
      ->getResult(0);
}

static bool isNibble(Dot4Op op) { return op.getABits() <= 4; }

/// Half `index` (0 or 1) of a vector.
static Value halfOf(ImplicitLocOpBuilder &b, Value vector, int64_t index) {
  int64_t size = cast<VectorType>(vector.getType()).getNumElements() / 2;
  SmallVector<int64_t> lanes(size);
  std::iota(lanes.begin(), lanes.end(), index * size);
  return vector::ShuffleOp::create(b, vector, vector, lanes);
}

/// Joins the two 256-bit halves that `body(index)` computes.
static Value inHalves(ImplicitLocOpBuilder &b,
                      llvm::function_ref<Value(int64_t)> body) {
  Value low = body(0), high = body(1);
  SmallVector<int64_t> all(16);
  std::iota(all.begin(), all.end(), 0);
  return vector::ShuffleOp::create(b, low, high, all);
}

/// Half `index` of the result of `chain`, where each op's acc is the next
/// one's result. vpmaddubsw adds pairs of products in 16 bits and saturates.
/// A chain of 4-bit codes stays below: 8 * 15 * 128 * 2 < 2^15. 8-bit codes
/// (chains of one) are split into bit 7 and the rest: 128 * -128 * 2 = -2^15
/// and 127 * 128 * 2 fit.
static Value dotAvx2(ImplicitLocOpBuilder &b, ArrayRef<Dot4Op> chain,
                     int64_t index) {
  VectorType i16 = VectorType::get({16}, b.getI16Type());
  VectorType i32 = VectorType::get({8}, b.getI32Type());
  auto pairs = [&](Value x, Value y) {
    return callIntrinsic(b, "llvm.x86.avx2.pmadd.ub.sw", i16, {x, y});
  };
  SmallVector<Value> parts;
  if (isNibble(chain.front())) {
    Value sum;
    for (Dot4Op op : llvm::reverse(chain)) {
      Value next =
          pairs(halfOf(b, op.getA(), index), halfOf(b, op.getB(), index));
      sum = sum ? Value(arith::AddIOp::create(b, sum, next)) : next;
    }
    parts = {sum};
  } else {
    Dot4Op op = chain.front();
    Value x = halfOf(b, op.getA(), index), y = halfOf(b, op.getB(), index);
    auto bytes = cast<VectorType>(x.getType());
    for (int64_t bits : {0x7f, -128})
      parts.push_back(
          pairs(arith::AndIOp::create(b, x, intSplat(b, bytes, bits)), y));
  }
  Dot4Op first = chain.back();
  Value acc = halfOf(b, first.getAcc(), index);
  for (Value part : parts)
    acc = arith::AddIOp::create(b, acc,
                                callIntrinsic(b, "llvm.x86.avx2.pmadd.wd", i32,
                                              {part, intSplat(b, i16, 1)}));
  return acc;
}

/// Products of even and of odd bytes in 16 bits (255 * -128 fits), whose
/// halves are then added in 32.
static Value dotGeneric(ImplicitLocOpBuilder &b, Dot4Op op) {
  VectorType i16 = VectorType::get({32}, b.getI16Type());
  VectorType i32 = VectorType::get({16}, b.getI32Type());
  Value eight = intSplat(b, i16, 8), sixteen = intSplat(b, i32, 16);
  Value x = vector::BitCastOp::create(b, i16, op.getA());
  Value y = vector::BitCastOp::create(b, i16, op.getB());
  Value evenX = arith::AndIOp::create(b, x, intSplat(b, i16, 255));
  Value oddX = arith::ShRUIOp::create(b, x, eight);
  Value evenY =
      arith::ShRSIOp::create(b, arith::ShLIOp::create(b, y, eight), eight);
  Value oddY = arith::ShRSIOp::create(b, y, eight);
  Value acc = op.getAcc();
  for (auto [p, q] : {std::pair(evenX, evenY), {oddX, oddY}}) {
    Value products =
        vector::BitCastOp::create(b, i32, arith::MulIOp::create(b, p, q));
    Value high = arith::ShRSIOp::create(b, products, sixteen);
    Value low = arith::ShRSIOp::create(
        b, arith::ShLIOp::create(b, products, sixteen), sixteen);
    acc = arith::AddIOp::create(b, acc, low);
    acc = arith::AddIOp::create(b, acc, high);
  }
  return acc;
}

namespace {

struct LowerDot4 : cria::impl::LowerDot4Base<LowerDot4> {
  using LowerDot4Base::LowerDot4Base;

  void runOnOperation() override {
    if (isa != "generic" && isa != "avx2" && isa != "avxvnni" &&
        isa != "avx512vnni") {
      getOperation()->emitError("cria-lower-dot4: isa = ")
          << isa.getValue()
          << " is not one of generic, avx2, avxvnni, avx512vnni";
      return signalPassFailure();
    }
    SmallVector<Dot4Op> ops;
    getOperation()->walk([&](Dot4Op op) { ops.push_back(op); });
    llvm::DenseSet<Operation *> done;
    for (Dot4Op op : llvm::reverse(ops)) {
      if (done.contains(op))
        continue;
      SmallVector<Dot4Op> chain = chainOf(op);
      ImplicitLocOpBuilder b(op.getLoc(), op);
      op.replaceAllUsesWith(lower(b, chain));
      for (Dot4Op link : chain) {
        done.insert(link);
        link.erase();
      }
    }
  }

  /// `op`, and with avx2 the ops whose sums nothing but it uses, last first.
  SmallVector<Dot4Op> chainOf(Dot4Op op) {
    constexpr size_t kMaxChain = 8; // see dotAvx2
    SmallVector<Dot4Op> chain = {op};
    while (isa == "avx2" && isNibble(op) && chain.size() < kMaxChain) {
      auto previous = chain.back().getAcc().getDefiningOp<Dot4Op>();
      if (!previous || !isNibble(previous) || !previous->hasOneUse() ||
          previous->getBlock() != op->getBlock())
        break;
      chain.push_back(previous);
    }
    return chain;
  }

  Value lower(ImplicitLocOpBuilder &b, ArrayRef<Dot4Op> chain) {
    if (isa == "avx2")
      return inHalves(b, [&](int64_t i) { return dotAvx2(b, chain, i); });
    Dot4Op op = chain.front();
    if (isa == "avx512vnni")
      return callIntrinsic(b, "llvm.x86.avx512.vpdpbusd.512",
                           op.getAcc().getType(),
                           {op.getAcc(), op.getA(), op.getB()});
    if (isa == "avxvnni")
      return inHalves(b, [&](int64_t i) {
        Value acc = halfOf(b, op.getAcc(), i);
        return callIntrinsic(
            b, "llvm.x86.avx512.vpdpbusd.256", acc.getType(),
            {acc, halfOf(b, op.getA(), i), halfOf(b, op.getB(), i)});
      });
    return dotGeneric(b, op);
  }
};

} // namespace
