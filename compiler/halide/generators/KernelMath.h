// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Arithmetic that the Halide generators share with compiler/vector: each
// function gives the bits of its namesake there. Generators that use it need
// the target feature strict_float, without which Halide lets LLVM reassociate.

#ifndef CRIA_COMPILER_HALIDE_GENERATORS_KERNELMATH_H
#define CRIA_COMPILER_HALIDE_GENERATORS_KERNELMATH_H

#include "Halide.h"

#include <functional>
#include <string>
#include <vector>

namespace cria::halide {

constexpr int kLanes = 16;
constexpr int kQuantBlock = 32;

/// An LLVM intrinsic on f32. Halide knows it as a pure function of scalars and
/// takes vectors apart for it; LLVM's SLP vectoriser puts them together again
/// (test/halide has the instructions).
inline Halide::Expr intrinsic(const char *name,
                              const std::vector<Halide::Expr> &operands) {
  return Halide::Internal::Call::make(Halide::Float(32), name, operands,
                                      Halide::Internal::Call::PureExtern);
}

/// a * b + c, rounded once. Halide 21 has none of its own under strict_float.
inline Halide::Expr fma(const Halide::Expr &a, const Halide::Expr &b,
                        const Halide::Expr &c) {
  return intrinsic("llvm.fma.f32", {a, b, c});
}

/// 0, which is not known before the kernel is linked (HalideKernels.cpp): it
/// asks all caches for the line at an address. Halide's own prefetches need a
/// region whose place can be computed, and a page's is read from a table.
inline Halide::Expr prefetchLine(const Halide::Expr &address) {
  return Halide::Internal::Call::make(Halide::Int(32), "cria_prefetch_line",
                                      {address},
                                      Halide::Internal::Call::PureExtern);
}

/// x, which stays out of the products that ContractFma.h fuses: for a kernel
/// that is contracted, where a product is rounded before it is added.
inline Halide::Expr rounded(const Halide::Expr &x) {
  return intrinsic("cria_rounded", {x});
}

inline Halide::Expr asInt(const Halide::Expr &x) {
  return Halide::reinterpret<int32_t>(x);
}
inline Halide::Expr asFloat(const Halide::Expr &x) {
  return Halide::reinterpret<float>(x);
}

/// The larger one, y if they do not compare.
inline Halide::Expr larger(const Halide::Expr &x, const Halide::Expr &y) {
  return Halide::select(x > y, x, y);
}

/// See AttentionBuilder::expNonPositive.
inline Halide::Expr expNonPositive(const Halide::Expr &x) {
  using Halide::Expr;
  const float magic = 12582912.0f;
  const float coefficients[] = {0.00836941972f, 0.0416684560f, 0.166665152f,
                                0.499999940f,   1.0f,          1.0f};
  const float ln2High = 0.693147180559945309f;
  const auto ln2Low = static_cast<float>(ln2High - 0.693147180559945309);
  Expr shifted = fma(x, 1.44269504088896341f, magic);
  Expr n = shifted - magic;
  Expr r = fma(n, -ln2High, x);
  r = fma(n, ln2Low, r);
  Expr y = 0.00138131320f;
  for (float c : coefficients)
    y = fma(y, r, c);
  y = asFloat((asInt(shifted) << 23) + asInt(y));
  return Halide::select(x < -87.0f, 0.0f, y);
}

/// f16, bf16, f32 or i8 to f32, exact.
inline Halide::Expr extendToF32(const Halide::Expr &x) {
  if (x.type().is_bfloat())
    return asFloat(Halide::cast<uint32_t>(Halide::reinterpret<uint16_t>(x))
                   << 16);
  return Halide::cast<float>(x);
}

/// f32 to `type`, to nearest even.
inline Halide::Expr truncateFromF32(const Halide::Expr &x, Halide::Type type) {
  using Halide::Expr;
  if (!type.is_bfloat())
    return Halide::cast(type, x);
  auto word = [](uint32_t value) {
    return Halide::cast<uint32_t>(Expr(value));
  };
  Expr bits = Halide::reinterpret<uint32_t>(x);
  Expr high = bits >> 16;
  Expr rounded = (bits + (high & word(1)) + word(0x7fff)) >> 16;
  Expr isNan = (bits & word(0x7fffffff)) > word(0x7f800000);
  Expr narrow = Halide::select(isNan, high | word(0x40), rounded);
  return Halide::reinterpret(type, Halide::cast<uint16_t>(narrow));
}

using Combine =
    std::function<Halide::Expr(const Halide::Expr &, const Halide::Expr &)>;

/// Combines `from` at lanes 0 to count - 1 as a tree: upper half with lower
/// half. The first argument of `from` and of the functions that are appended
/// to `steps`, to be scheduled, is the lane; the others are `vars`.
inline Halide::Expr treeOf(Halide::Func from, int count, const Combine &combine,
                           const std::vector<Halide::Expr> &at,
                           const std::vector<Halide::Var> &vars,
                           std::vector<Halide::Func> &steps) {
  using namespace Halide;
  Var lane("lane");
  std::string name = from.name();
  for (int half = count / 2; half >= 1; half /= 2) {
    Func step(name + "_" + std::to_string(half));
    std::vector<Var> own{lane};
    own.insert(own.end(), vars.begin(), vars.end());
    std::vector<Expr> low{lane}, high{lane + half};
    low.insert(low.end(), vars.begin(), vars.end());
    high.insert(high.end(), vars.begin(), vars.end());
    step(own) = combine(from(low), from(high));
    steps.push_back(step);
    from = step;
  }
  std::vector<Expr> last{0};
  last.insert(last.end(), at.begin(), at.end());
  return from(last);
}

/// See sumLanes in KernelUtils.h. `lanes` has the lane of a half and the half
/// as its first arguments: in one vector of 16, LLVM would keep sums a second
/// time for the upper half.
inline Halide::Expr sumHalves(Halide::Func lanes,
                              const std::vector<Halide::Expr> &at,
                              const std::vector<Halide::Var> &vars,
                              std::vector<Halide::Func> &steps) {
  using namespace Halide;
  Var lane("lane");
  Func both(lanes.name() + "_8");
  std::vector<Var> own{lane};
  own.insert(own.end(), vars.begin(), vars.end());
  std::vector<Expr> low{lane, 0}, high{lane, 1};
  low.insert(low.end(), vars.begin(), vars.end());
  high.insert(high.end(), vars.begin(), vars.end());
  both(own) = lanes(low) + lanes(high);
  steps.push_back(both);
  auto add = [](const Expr &x, const Expr &y) { return x + y; };
  return treeOf(both, kLanes / 2, add, at, vars, steps);
}

} // namespace cria::halide

#endif // CRIA_COMPILER_HALIDE_GENERATORS_KERNELMATH_H
