// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Activations with the bits of cria's own: expandActivation in
// compiler/vector/KernelUtils.cpp, whose exp, tanh and erf are MLIR's
// approximations (cria-expand-math). Of kernels that are contracted, so that
// `a * b + c` is an FMA; `sum` is for what is not.

#ifndef CRIA_COMPILER_HALIDE_GENERATORS_ACTIVATIONS_H
#define CRIA_COMPILER_HALIDE_GENERATORS_ACTIVATIONS_H

#include "compiler/halide/generators/KernelMath.h"

#include <cstdint>
#include <string>
#include <vector>

namespace cria::halide {

/// a + b, where neither is a product that would be fused with the other.
inline Halide::Expr sum(const Halide::Expr &a, const Halide::Expr &b) {
  auto apart = [](const Halide::Expr &x) {
    return x.as<Halide::Internal::Mul>() ? rounded(x) : x;
  };
  return apart(a) + apart(b);
}

inline Halide::Expr negated(const Halide::Expr &x) {
  return asFloat(asInt(x) ^ Halide::Expr(INT32_MIN));
}

/// x, but `most` where it is above, and `least` where it is below: a NaN stays.
inline Halide::Expr clamped(const Halide::Expr &x, float least, float most) {
  Halide::Expr raised = Halide::select(x < least, least, x);
  return Halide::select(raised > most, most, raised);
}

/// c[0] + x (c[1] + x (c[2] + ...)), from the last on.
inline Halide::Expr polynomial(const Halide::Expr &x,
                               const std::vector<Halide::Expr> &c) {
  Halide::Expr value = c.back();
  for (size_t i = c.size() - 1; i-- > 0;)
    value = x * value + c[i];
  return value;
}

/// MLIR's ExpApproximation (Cephes).
inline Halide::Expr expOf(const Halide::Expr &value) {
  using Halide::Expr;
  Expr x = clamped(value, -87.8f, 88.8f);
  Expr n = clamped(Halide::floor(x * 1.44269502f + 0.5f), -127.0f, 127.0f);
  Expr r = n * -0.693359375f + x;
  r = n * 2.12194442e-4f + r;
  Expr y = polynomial(r, {0.5f, 0.166666657f, 0.0416657962f, 0.00833345205f,
                          0.00139819994f, 1.98756912e-4f});
  y = y * (r * r) + r;
  Expr power = asFloat((Halide::cast<int32_t>(n) + 127) << 23);
  return (y + 1.0f) * power;
}

/// MLIR's TanhApproximation (Eigen).
inline Halide::Expr tanhOf(const Halide::Expr &value) {
  using Halide::Expr;
  Expr x = clamped(value, -7.99881172f, 7.99881172f);
  Expr isTiny = asFloat(asInt(value) & 0x7fffffff) < 4.0e-4f;
  Expr square = x * x;
  Expr above =
      x * polynomial(square, {0.00489352457f, 6.37261954e-4f, 1.48572235e-5f,
                              5.12229725e-8f, -8.60467184e-11f, 2.00018794e-13f,
                              -2.76076837e-16f});
  Expr below = polynomial(
      square, {0.00489352504f, 0.00226843474f, 1.18534706e-4f, 1.19825836e-6f});
  return Halide::select(isTiny, x, above / below);
}

/// MLIR's ErfPolynomialApproximation: a quotient for each of three ranges.
inline Halide::Expr erfOf(const Halide::Expr &value) {
  using Halide::Expr;
  Expr isNegative = value < 0.0f;
  Expr x = Halide::select(isNegative, negated(value), value);
  Expr isFirst = x < 0.8f, isEarly = x < 2.0f;
  auto range = [&](float first, float second, float third) {
    return Halide::select(isEarly, Halide::select(isFirst, first, second),
                          third);
  };
  Expr above =
      polynomial(x, {range(0.0f, 0.0f, -0.00330093061f),
                     range(1.12837911f, 1.12750685f, 0.00351961935f),
                     range(-0.523018539f, -0.364721417f, -0.00141373626f),
                     range(0.209741712f, 0.118407398f, 2.53447099e-4f),
                     range(0.0258146804f, 0.0370645523f, -1.71048032e-5f)});
  Expr below =
      polynomial(x, {1.0f, range(-0.463513821f, -0.327607f, -2.0606916f),
                     range(0.519230127f, 0.448369086f, 1.62705934f),
                     range(-0.131808966f, -0.0883462652f, -0.583389878f),
                     range(0.0739796459f, 0.0572442785f, 0.0821908935f)});
  Expr y = Halide::select(isEarly, 0.0f, 1.0f) + above / below;
  y = Halide::select(x >= 3.75f, 1.0f, y);
  return Halide::select(isNegative, negated(y), y);
}

/// Of an activation's name in a program (HalideEpilogue.cpp), or "tanh"; of
/// another, nothing.
inline Halide::Expr activation(const std::string &name, const Halide::Expr &x) {
  if (name == "tanh")
    return tanhOf(x);
  if (name == "silu")
    return x / sum(1.0f, expOf(negated(x)));
  if (name == "gelu")
    return x * 0.5f * sum(1.0f, erfOf(x * 0.70710678118654752f));
  if (name == "gelutanh") {
    Halide::Expr cube = x * x * x;
    return x * 0.5f *
           sum(1.0f, tanhOf((cube * 0.044715f + x) * 0.79788456080286536f));
  }
  if (name != "relu" && name != "relusquared")
    return {};
  // NaN stays NaN.
  Halide::Expr positive = Halide::select(x < 0.0f, 0.0f, x);
  return name == "relu" ? positive : positive * positive;
}

} // namespace cria::halide

#endif // CRIA_COMPILER_HALIDE_GENERATORS_ACTIVATIONS_H
