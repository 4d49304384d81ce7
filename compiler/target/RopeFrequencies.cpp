// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "compiler/target/RopeFrequencies.h"

#include <algorithm>
#include <cmath>

using namespace cria;

namespace {

constexpr double kPi = 3.14159265358979323846;

/// 2j / dims as transformers rounds it.
double roundedExponent(int64_t j, int64_t dims) {
  return static_cast<double>(static_cast<float>(2 * j) /
                             static_cast<float>(dims));
}

/// base^(2j / dims), the wavelength of pair j over 2 pi. transformers takes
/// the power in float32 as well; this is that, correctly rounded.
float wavelengthOver2Pi(double base, int64_t j, int64_t dims) {
  return static_cast<float>(std::pow(
      static_cast<double>(static_cast<float>(base)), roundedExponent(j, dims)));
}

/// YaRN, Peng et al. 2023, section 3.2: low dimensions keep their frequency,
/// high ones are divided by factor, with a linear ramp between.
void scaleYarn(RopeAttr rope, RopeFrequencies &result) {
  int64_t dims = rope.getDims();
  double base = rope.getBase().convertToDouble();
  double factor = rope.getFactor().convertToDouble();
  double context = static_cast<double>(rope.getOriginalContext());
  // The pair (as a real number) that turns `rotations` times in the context.
  auto correction = [&](double rotations) {
    return static_cast<double>(dims) *
           std::log(context / (rotations * 2 * kPi)) / (2 * std::log(base));
  };
  double low = correction(rope.getBetaFast().convertToDouble());
  double high = correction(rope.getBetaSlow().convertToDouble());
  if (rope.getTruncate()) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dims - 1));
  if (low == high)
    high += 0.001;
  for (auto [j, freq] : llvm::enumerate(result.invFreq)) {
    float power = wavelengthOver2Pi(base, j, dims);
    float extrapolated = 1.0f / power;
    float interpolated = 1.0f / (static_cast<float>(factor) * power);
    float ramp = (static_cast<float>(j) - static_cast<float>(low)) /
                 static_cast<float>(high - low);
    float keep = 1.0f - std::min(std::max(ramp, 0.0f), 1.0f);
    freq = interpolated * (1.0f - keep) + extrapolated * keep;
  }
  double attention = rope.getAttentionFactor().convertToDouble();
  if (attention == 0.0)
    attention = factor <= 1.0 ? 1.0 : 0.1 * std::log(factor) + 1.0;
  result.attentionFactor = static_cast<float>(attention);
}

/// Llama 3.1: wavelengths past the trained context are stretched by factor,
/// those far below it are kept, the rest are interpolated.
void scaleLlama3(RopeAttr rope, RopeFrequencies &result) {
  float factor = static_cast<float>(rope.getFactor().convertToDouble());
  double low = rope.getLowFreqFactor().convertToDouble();
  double high = rope.getHighFreqFactor().convertToDouble();
  double context = static_cast<double>(rope.getOriginalContext());
  float lowWavelength = static_cast<float>(context / low);
  float highWavelength = static_cast<float>(context / high);
  for (float &freq : result.invFreq) {
    float wavelength = (1.0f / freq) * static_cast<float>(2 * kPi);
    if (wavelength > lowWavelength) {
      freq = freq / factor;
    } else if (!(wavelength < highWavelength)) {
      float smooth = ((1.0f / wavelength) * static_cast<float>(context) -
                      static_cast<float>(low)) /
                     static_cast<float>(high - low);
      freq = (1.0f - smooth) * freq / factor + smooth * freq;
    }
  }
}

/// LongRoPE, Ding et al. 2024: one searched divisor a pair.
void scaleLongRope(RopeAttr rope, bool longContext, RopeFrequencies &result) {
  double base = rope.getBase().convertToDouble();
  llvm::ArrayRef<double> factors =
      longContext ? rope.getLongFactors() : rope.getShortFactors();
  for (auto [j, freq] : llvm::enumerate(result.invFreq))
    freq = 1.0f / (static_cast<float>(factors[j]) *
                   wavelengthOver2Pi(base, j, rope.getDims()));
  double attention = rope.getAttentionFactor().convertToDouble();
  if (attention == 0.0) {
    double original = static_cast<double>(rope.getOriginalContext());
    double factor = static_cast<double>(rope.getMaxContext()) / original;
    // An original context of 1 would divide by log 1.
    attention = factor <= 1.0 || original <= 1.0
                    ? 1.0
                    : std::sqrt(1.0 + std::log(factor) / std::log(original));
  }
  result.attentionFactor = static_cast<float>(attention);
}

} // namespace

RopeFrequencies cria::computeRopeFrequencies(RopeAttr rope, bool longContext) {
  int64_t dims = rope.getDims();
  double base = rope.getBase().convertToDouble();
  RopeFrequencies result;
  for (int64_t j = 0; j < dims / 2; ++j)
    result.invFreq.push_back(1.0f / wavelengthOver2Pi(base, j, dims));

  switch (rope.getScaling()) {
  case RopeScaling::none:
    break;
  case RopeScaling::linear:
    for (float &freq : result.invFreq)
      freq /= static_cast<float>(rope.getFactor().convertToDouble());
    break;
  case RopeScaling::ntk:
    for (int64_t j = 0; j < dims / 2; ++j) {
      double exponent = roundedExponent(j, dims);
      result.ntkLog2.push_back(-exponent * std::log2(base));
      // With two dims the only pair has frequency 1 at any base.
      result.ntkExponent.push_back(dims == 2
                                       ? 0.0
                                       : exponent * static_cast<double>(dims) /
                                             static_cast<double>(dims - 2));
    }
    break;
  case RopeScaling::yarn:
    scaleYarn(rope, result);
    break;
  case RopeScaling::llama3:
    scaleLlama3(rope, result);
    break;
  case RopeScaling::longrope:
    scaleLongRope(rope, longContext, result);
    break;
  }
  return result;
}
