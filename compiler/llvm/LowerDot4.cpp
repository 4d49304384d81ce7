// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.dot4 becomes what the target multiplies bytes with. Every form is
// exact for all inputs that the op allows, so all agree bit for bit.

#include "compiler/Passes.h"
#include "compiler/llvm/DotParts.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"

#include <array>

namespace cria {
#define GEN_PASS_DEF_LOWERDOT4
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

/// Whether a fits a signed byte, and pairs of products 16 bits.
static bool isSmall(Dot4Op op) { return op.getABits() < 8; }

/// Half `index` of the result of `chain`, where each op's acc is the next
/// one's result. vpmaddubsw adds pairs of products in 16 bits and saturates.
/// A chain of 4-bit codes stays below: 8 * 15 * 128 * 2 < 2^15, and one of two
/// of 6 bits: 2 * 63 * 128 * 2. 8-bit codes (chains of one) are split into bit
/// 7 and the rest: 128 * -128 * 2 = -2^15 and 127 * 128 * 2 fit.
static Value dotAvx2(ImplicitLocOpBuilder &b, ArrayRef<Dot4Op> chain,
                     int64_t index) {
  VectorType i16 = VectorType::get({16}, b.getI16Type());
  VectorType i32 = VectorType::get({8}, b.getI32Type());
  auto pairs = [&](Value x, Value y) {
    return callIntrinsic(b, "llvm.x86.avx2.pmadd.ub.sw", i16, {x, y});
  };
  SmallVector<Value> parts;
  if (isSmall(chain.front())) {
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

/// Quarter `index` of the result of `op`: products of even and of odd bytes as
/// words, which pmaddwd adds in twos of a row.
static Value dotSse2(ImplicitLocOpBuilder &b, Dot4Op op, int64_t index) {
  VectorType i16 = VectorType::get({8}, b.getI16Type());
  VectorType i32 = VectorType::get({4}, b.getI32Type());
  Value eight = intSplat(b, i16, 8);
  Value x = vector::BitCastOp::create(b, i16, quarterOf(b, op.getA(), index));
  Value y = vector::BitCastOp::create(b, i16, quarterOf(b, op.getB(), index));
  Value evenX = arith::AndIOp::create(b, x, intSplat(b, i16, 255));
  Value oddX = arith::ShRUIOp::create(b, x, eight);
  Value evenY =
      arith::ShRSIOp::create(b, arith::ShLIOp::create(b, y, eight), eight);
  Value oddY = arith::ShRSIOp::create(b, y, eight);
  Value acc = quarterOf(b, op.getAcc(), index);
  for (auto [p, q] : {std::pair(evenX, evenY), {oddX, oddY}})
    acc = arith::AddIOp::create(
        b, acc, callIntrinsic(b, "llvm.x86.sse2.pmadd.wd", i32, {p, q}));
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

/// sdot and usdot take their second operand by element: a word out of four in
/// a register. So where the words of `ops` lie side by side in memory, four
/// come with one load instead of a broadcast each:
///
///   %w = memref.load %m[%i, %k + 4 n + j]                     j = 0, 1, 2, 3
///   %b = vector.bitcast (vector.broadcast %w)
///
/// becomes
///
///   %v = vector.load %m[%i, %k + 4 n] : vector<4xi32>
///   %b = vector.bitcast (vector.shuffle %v [j, j, ...])
static void loadFourWords(ArrayRef<Dot4Op> ops) {
  struct Word {
    memref::LoadOp load;
    int64_t offset;
  };
  // By what may be common to neighbours: %k, and their block.
  llvm::MapVector<std::pair<Value, Block *>, SmallVector<Word>> groups;
  for (Dot4Op op : ops) {
    auto cast = op.getB().getDefiningOp<vector::BitCastOp>();
    auto broadcast =
        cast ? cast.getSource().getDefiningOp<vector::BroadcastOp>() : nullptr;
    auto load = broadcast
                    ? broadcast.getSource().getDefiningOp<memref::LoadOp>()
                    : nullptr;
    if (!load || !load.getType().isInteger(32) || !load->hasOneUse() ||
        load.getIndices().empty() ||
        !load.getMemRefType().isLastDimUnitStride())
      continue;
    Value base = load.getIndices().back();
    int64_t offset = 0;
    if (auto sum = base.getDefiningOp<arith::AddIOp>())
      if (std::optional<int64_t> by = getConstantIntValue(sum.getRhs())) {
        base = sum.getLhs();
        offset = *by;
      }
    groups[{base, load->getBlock()}].push_back({load, offset});
  }
  auto isBefore = [](Operation *x, Operation *y) {
    return x->isBeforeInBlock(y);
  };
  auto mayStore = [](Operation &op) {
    return !isMemoryEffectFree(&op) && !isa<memref::PrefetchOp>(op) &&
           !hasSingleEffect<MemoryEffects::Read>(&op);
  };
  for (auto &[key, words] : groups) {
    SmallVector<std::array<Operation *, 4>> fours;
    for (Word word : words) {
      std::array<Operation *, 4> four = {};
      for (Word other : words)
        if (int64_t j = other.offset - word.offset;
            word.offset % 4 == 0 && j >= 0 && j < 4 &&
            word.load.getMemRef() == other.load.getMemRef() &&
            llvm::equal(word.load.getIndices().drop_back(),
                        other.load.getIndices().drop_back()))
          four[j] = other.load;
      if (four[0] == word.load && llvm::all_of(four, [](auto *x) { return x; }))
        fours.push_back(four);
    }
    for (const std::array<Operation *, 4> &four : fours) {
      Operation *first = *llvm::min_element(four, isBefore);
      Operation *last = *llvm::max_element(four, isBefore);
      if (llvm::any_of(
              llvm::make_range(first->getIterator(), last->getIterator()),
              mayStore))
        continue;
      auto zeroth = cast<memref::LoadOp>(four[0]);
      ImplicitLocOpBuilder b(zeroth.getLoc(), first);
      SmallVector<Value> indices(zeroth.getIndices());
      // Made anew, as its own may come later than the first of the four.
      if (indices.back() != key.first) {
        auto sum = indices.back().getDefiningOp<arith::AddIOp>();
        indices.back() =
            arith::AddIOp::create(b, key.first,
                                  arith::ConstantIndexOp::create(
                                      b, *getConstantIntValue(sum.getRhs())));
      }
      Value loaded = vector::LoadOp::create(
          b, VectorType::get({4}, b.getI32Type()), zeroth.getMemRef(), indices);
      for (auto [j, load] : llvm::enumerate(four)) {
        auto broadcast = cast<vector::BroadcastOp>(*load->user_begin());
        b.setInsertionPoint(broadcast);
        SmallVector<int64_t> lanes(16, j);
        broadcast.replaceAllUsesWith(
            vector::ShuffleOp::create(b, loaded, loaded, lanes).getResult());
        broadcast.erase();
        load->erase();
      }
    }
  }
}

/// `acc + sum of x y` over bytes in fours, both signed unless `name` is usdot.
static Value dotNeon(ImplicitLocOpBuilder &b, StringRef name, Value acc,
                     Value x, Value y) {
  return callIntrinsic(b, ("llvm.aarch64.neon." + name + ".v4i32.v16i8").str(),
                       acc.getType(), {acc, x, y});
}

/// Quarter `index` of the result of `chain` with sdot, whose bytes are signed
/// both. Codes of 4 and 6 bits are that as well; from 8-bit ones 128 is taken,
/// which flips bit 7, and `128 b` comes back as `-(-128 b)`.
static Value dotSigned(ImplicitLocOpBuilder &b, ArrayRef<Dot4Op> chain,
                       int64_t index) {
  VectorType bytes = VectorType::get({16}, b.getI8Type());
  Dot4Op first = chain.back();
  Value acc = quarterOf(b, first.getAcc(), index);
  Value excess;
  if (!isSmall(chain.front()))
    excess = intSplat(b, cast<VectorType>(acc.getType()), 0);
  for (Dot4Op op : llvm::reverse(chain)) {
    Value x = quarterOf(b, op.getA(), index);
    Value y = quarterOf(b, op.getB(), index);
    if (excess) {
      Value least = intSplat(b, bytes, -128);
      x = arith::XOrIOp::create(b, x, least);
      excess = dotNeon(b, "sdot", excess, least, y);
    }
    acc = dotNeon(b, "sdot", acc, x, y);
  }
  return excess ? Value(arith::SubIOp::create(b, acc, excess)) : acc;
}

/// Quarter `index` of the result of `chain` without dot products. In 16 bits,
/// 4-bit codes add up over the chain and over pairs: 8 * 15 * 128 * 2 < 2^15,
/// 6-bit ones over chains of two.
/// Of 8-bit codes one product fits: 255 * -128.
static Value dotNeonBase(ImplicitLocOpBuilder &b, ArrayRef<Dot4Op> chain,
                         int64_t index) {
  VectorType i16 = VectorType::get({8}, b.getI16Type());
  VectorType i32 = VectorType::get({4}, b.getI32Type());
  // Sums of two neighbours of both, those of `low` first.
  auto addPairs = [&](Value low, Value high) {
    VectorType type = cast<VectorType>(low.getType());
    return callIntrinsic(b,
                         type == i16 ? "llvm.aarch64.neon.addp.v8i16"
                                     : "llvm.aarch64.neon.addp.v4i32",
                         type, {low, high});
  };
  auto widenPairs = [&](Value acc, Value pairs) -> Value {
    Value wide =
        callIntrinsic(b, "llvm.aarch64.neon.saddlp.v4i32.v8i16", i32, {pairs});
    return acc ? Value(arith::AddIOp::create(b, acc, wide)) : wide;
  };
  Value sums[2];
  for (Dot4Op op : llvm::reverse(chain)) {
    Value x = quarterOf(b, op.getA(), index);
    Value y = quarterOf(b, op.getB(), index);
    for (int64_t half : {0, 1}) {
      Value p = halfOf(b, x, half), q = halfOf(b, y, half);
      Value &sum = sums[half];
      if (isSmall(op)) {
        Value products =
            callIntrinsic(b, "llvm.aarch64.neon.smull.v8i16", i16, {p, q});
        sum = sum ? Value(arith::AddIOp::create(b, sum, products)) : products;
      } else {
        sum = widenPairs(
            sum, arith::MulIOp::create(b, arith::ExtUIOp::create(b, i16, p),
                                       arith::ExtSIOp::create(b, i16, q)));
      }
    }
  }
  Dot4Op first = chain.back();
  Value acc = quarterOf(b, first.getAcc(), index);
  Value fours = addPairs(sums[0], sums[1]);
  if (isSmall(chain.front()))
    return widenPairs(acc, fours);
  return arith::AddIOp::create(b, acc, fours);
}

constexpr StringLiteral kIsas[] = {"generic",    "sse2", "avx2",    "avxvnni",
                                   "avx512vnni", "neon", "dotprod", "i8mm"};

namespace {

struct LowerDot4 : cria::impl::LowerDot4Base<LowerDot4> {
  using LowerDot4Base::LowerDot4Base;

  void runOnOperation() override {
    if (!llvm::is_contained(kIsas, isa)) {
      getOperation()->emitError("cria-lower-dot4: isa = ")
          << isa.getValue() << " is not one of "
          << llvm::join(ArrayRef(kIsas), ", ");
      return signalPassFailure();
    }
    SmallVector<Dot4Op> ops;
    getOperation()->walk([&](Dot4Op op) { ops.push_back(op); });
    if (isa == "dotprod" || isa == "i8mm")
      loadFourWords(ops);
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

  /// Sums of several ops of this kind cost less than each by itself.
  bool isChained(Dot4Op op) const {
    if (isa == "avx2")
      return isSmall(op);
    return isa == "neon" || (isa == "dotprod" && !isSmall(op));
  }

  /// `op` and the chained ops whose sums nothing but it uses, last first.
  SmallVector<Dot4Op> chainOf(Dot4Op op) {
    size_t most = op.getABits() == 6 ? 2 : 8; // see dotAvx2 and dotNeonBase
    SmallVector<Dot4Op> chain = {op};
    while (isChained(op) && chain.size() < most) {
      auto previous = chain.back().getAcc().getDefiningOp<Dot4Op>();
      if (!previous || previous.getABits() != op.getABits() ||
          !previous->hasOneUse() || previous->getBlock() != op->getBlock())
        break;
      chain.push_back(previous);
    }
    return chain;
  }

  Value lower(ImplicitLocOpBuilder &b, ArrayRef<Dot4Op> chain) {
    if (isa == "avx2")
      return inHalves(b, [&](int64_t i) { return dotAvx2(b, chain, i); });
    if (isa == "neon")
      return inQuarters(b, [&](int64_t i) { return dotNeonBase(b, chain, i); });
    if (isa == "dotprod")
      return inQuarters(b, [&](int64_t i) { return dotSigned(b, chain, i); });
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
    if (isa == "sse2")
      return inQuarters(b, [&](int64_t i) { return dotSse2(b, op, i); });
    if (isa == "i8mm")
      return inQuarters(b, [&](int64_t i) {
        return dotNeon(b, "usdot", quarterOf(b, op.getAcc(), i),
                       quarterOf(b, op.getA(), i), quarterOf(b, op.getB(), i));
      });
    return dotGeneric(b, op);
  }
};

} // namespace
