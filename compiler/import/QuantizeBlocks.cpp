// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/QuantizeBlocks.h"

#include "llvm/ADT/bit.h"
#include <algorithm>
#include <cmath>

#ifdef __GNUC__
// Vectors stay inside of this file, in inlined functions.
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

namespace cria {
namespace {

constexpr float halfMost = 65504.0f;

// One block a lane. A target without such vectors splits them.
using Floats = float __attribute__((vector_size(4 * blockLanes)));
using Doubles = double __attribute__((vector_size(8 * blockLanes)));
static_assert(sizeof(Floats) == 64);

// By reference: vectors in registers have a calling convention per ISA.
#define CRIA_INLINE static inline __attribute__((always_inline))

/// 16 scales or minima as f16 will hold them.
CRIA_INLINE void roundToHalf(Floats &v) {
  // Veltkamp's splitting leaves the 11 bits of an f16's significand.
  Floats wide = v * 8193.0f;
  Floats normal = wide - (wide - v);
  // 0.75 has the ulp 2^-24, that of f16's subnormal numbers.
  Floats small = (v + 0.75f) - 0.75f;
  Floats size = v < 0.0f ? -v : v;
  Floats result = size < 0x1p-14f ? small : normal;
  result = result > halfMost ? Floats{} + halfMost : result;
  v = result < -halfMost ? Floats{} - halfMost : result;
}

struct Levels {
  float low, high; // codes less the zero point
  bool hasMin;
};

constexpr Levels levelsOf(BlockKind kind) {
  switch (kind) {
  case BlockKind::q4Min:
    return {0, 15, true};
  case BlockKind::q4Zero:
    return {-8, 7, false};
  case BlockKind::q8:
    // Not -128, so that a kernel may negate codes.
    return {-127, 127, false};
  case BlockKind::q6:
    return {-32, 31, false};
  case BlockKind::q8Min:
    break;
  }
  return {0, 255, true};
}

/// A scale and minimum for each lane, its error, and that of the best so far.
struct Choice {
  Floats scale, minimum, error;
};

/// The nearest codes: 12582912 is 1.5 * 2^23, whose ulp is 1.
CRIA_INLINE void nearest(const Levels &levels, const Floats &x,
                         const Floats &minimum, const Floats &inverse,
                         Floats &code) {
  Floats v = (x - minimum) * inverse;
  v = v < levels.low ? Floats{} + levels.low : v;
  v = v > levels.high ? Floats{} + levels.high : v;
  code = (v + 12582912.0f) - 12582912.0f;
}

CRIA_INLINE void invert(const Floats &scale, Floats &inverse) {
  inverse = scale != 0.0f ? 1.0f / scale : Floats{};
}

/// A scale that f16 would round to nothing may still be worth its smallest
/// number; measuring tells.
CRIA_INLINE void roundScale(Floats &scale) {
  roundToHalf(scale);
  scale = scale == 0.0f ? Floats{} + 0x1p-24f : scale;
}

/// Least squares of scale and minimum for the codes that they give.
CRIA_INLINE void fit(const Levels &levels, const Floats *x, int valid,
                     Choice &choice) {
  Floats inverse, c, sumC{}, sumCC{}, sumX{}, sumCX{};
  invert(choice.scale, inverse);
  // About the present minimum, or a common offset would take all the bits.
  Floats origin = choice.minimum;
  for (int i = 0; i < valid; ++i) {
    nearest(levels, x[i], choice.minimum, inverse, c);
    Floats d = x[i] - origin;
    sumC += c;
    sumCC += c * c;
    sumX += d;
    sumCX += c * d;
  }
  if (!levels.hasMin) {
    choice.scale = sumCC > 0.0f ? sumCX / sumCC : choice.scale;
    roundScale(choice.scale);
    return;
  }
  float n = static_cast<float>(valid);
  Floats determinant = n * sumCC - sumC * sumC;
  Floats scale =
      determinant > 0.0f ? (n * sumCX - sumC * sumX) / determinant : Floats{};
  choice.minimum = origin + (sumX - scale * sumC) / n;
  choice.scale = scale;
  roundScale(choice.scale);
  roundToHalf(choice.minimum);
}

CRIA_INLINE void measure(const Levels &levels, const Floats *x, int valid,
                         Choice &choice) {
  Floats inverse, c, sum{};
  invert(choice.scale, inverse);
  for (int i = 0; i < valid; ++i) {
    nearest(levels, x[i], choice.minimum, inverse, c);
    Floats e = (c * choice.scale + choice.minimum) - x[i];
    sum += e * e;
  }
  choice.error = sum;
}

CRIA_INLINE void keepBetter(Choice &best, const Choice &other) {
  auto better = other.error < best.error;
  best.scale = better ? other.scale : best.scale;
  best.minimum = better ? other.minimum : best.minimum;
  best.error = better ? other.error : best.error;
}

CRIA_INLINE bool allExact(const Choice &choice) {
  bool exact = true;
  for (int lane = 0; lane < blockLanes; ++lane)
    exact &= choice.error[lane] == 0.0f;
  return exact;
}

CRIA_INLINE void chooseMin(const Levels &levels, BlockChoice how,
                           const Floats *x, int valid, Choice &best) {
  Floats least = x[0], most = x[0];
  for (int i = 1; i < valid; ++i) {
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
  }
  Floats range = most - least;
  best.scale = range / levels.high;
  best.minimum = least;
  roundToHalf(best.scale);
  roundToHalf(best.minimum);
  measure(levels, x, valid, best);
  if (how == BlockChoice::nearest || allExact(best))
    return;
  // Where the extremes lie in the range of codes, in steps from its ends: with
  // one fit each, 16 starts come within 0.04 dB of 625 on normal numbers.
  static constexpr float ends[] = {-0.6f, -0.2f, 0.2f, 0.6f};
  for (float low : ends)
    for (float high : ends) {
      Choice next;
      next.scale = range / (levels.high - low - high);
      next.minimum = least - low * next.scale;
      fit(levels, x, valid, next);
      measure(levels, x, valid, next);
      keepBetter(best, next);
    }
}

CRIA_INLINE void chooseZero(const Levels &levels, BlockChoice how,
                            const Floats *x, int valid, Choice &best) {
  Floats least = x[0], most = x[0];
  for (int i = 1; i < valid; ++i) {
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
  }
  Floats extreme = most > -least ? most : least;
  // q4 and q6 have one code more below zero, and give it to the extreme.
  float reach = std::max(-levels.low, levels.high);
  bool uneven = levels.low != -levels.high;
  Floats size = extreme < 0.0f ? -extreme : extreme;
  best.scale = uneven ? extreme / -reach : size / reach;
  best.minimum = Floats{};
  roundToHalf(best.scale);
  measure(levels, x, valid, best);
  if (how == BlockChoice::nearest || allExact(best))
    return;
  // Where the extreme lies, in steps from zero: for q4 and q6 on either side
  // of it, for q8 only so far from the end that the grid moves along the
  // numbers.
  int starts = uneven ? 10 : 16;
  float first = uneven ? reach - 8.0f + 6.6f : 124.0f,
        step = uneven ? 0.275f : 0.3f;
  for (float side : {1.0f, -1.0f}) {
    if (side < 0 && !uneven)
      break;
    for (int i = 0; i < starts; ++i) {
      Choice next;
      next.scale = extreme / (side * (first + step * static_cast<float>(i)));
      next.minimum = Floats{};
      fit(levels, x, valid, next);
      measure(levels, x, valid, next);
      keepBetter(best, next);
    }
  }
}

template <BlockKind kind>
CRIA_INLINE void
quantize(BlockChoice how, const float (&numbers)[blockNumbers][blockLanes],
         int valid, int lanes, BlockGroup &group, ErrorSums &sums) {
  constexpr Levels levels = levelsOf(kind);
  Floats x[blockNumbers];
  for (int i = 0; i < blockNumbers; ++i)
    for (int lane = 0; lane < blockLanes; ++lane)
      x[i][lane] = numbers[i][lane];
  Choice best;
  if (levels.hasMin)
    chooseMin(levels, how, x, valid, best);
  else
    chooseZero(levels, how, x, valid, best);
  if (how == BlockChoice::search && !allExact(best))
    for (int round = 0; round < 2; ++round) {
      Choice next = best;
      fit(levels, x, valid, next);
      measure(levels, x, valid, next);
      keepBetter(best, next);
    }

  constexpr float zero = kind == BlockKind::q4Zero ? 8.0f
                         : kind == BlockKind::q6   ? 32.0f
                         : kind == BlockKind::q8   ? 128.0f
                                                   : 0.0f;
  Floats inverse, c;
  invert(best.scale, inverse);
  Doubles squares{}, errors{};
  Floats largest{};
  for (int i = 0; i < blockNumbers; ++i) {
    Floats value = i < valid ? x[i] : Floats{};
    nearest(levels, value, best.minimum, inverse, c);
    for (int lane = 0; lane < blockLanes; ++lane)
      group.codes[i][lane] = static_cast<uint8_t>(c[lane] + zero);
    if (i >= valid)
      continue;
    Floats e = (c * best.scale + best.minimum) - value;
    Floats size = e < 0.0f ? -e : e;
    largest = size > largest ? size : largest;
    Doubles wideX = __builtin_convertvector(value, Doubles);
    Doubles wideE = __builtin_convertvector(e, Doubles);
    squares += wideX * wideX;
    errors += wideE * wideE;
  }
  for (int lane = 0; lane < blockLanes; ++lane) {
    group.scales[lane] = floatToHalf(best.scale[lane]);
    group.minima[lane] = floatToHalf(best.minimum[lane]);
    if (lane < lanes)
      sums.add({squares[lane], errors[lane], largest[lane]});
  }
}

using Numbers = const float (&)[blockNumbers][blockLanes];

CRIA_INLINE void dispatchKind(BlockKind kind, BlockChoice how, Numbers x,
                              int valid, int lanes, BlockGroup &group,
                              ErrorSums &sums) {
  switch (kind) {
  case BlockKind::q4Min:
    return quantize<BlockKind::q4Min>(how, x, valid, lanes, group, sums);
  case BlockKind::q4Zero:
    return quantize<BlockKind::q4Zero>(how, x, valid, lanes, group, sums);
  case BlockKind::q8:
    return quantize<BlockKind::q8>(how, x, valid, lanes, group, sums);
  case BlockKind::q8Min:
    return quantize<BlockKind::q8Min>(how, x, valid, lanes, group, sums);
  case BlockKind::q6:
    return quantize<BlockKind::q6>(how, x, valid, lanes, group, sums);
  }
}

using Quantizer = void (*)(BlockKind, BlockChoice, Numbers, int, int,
                           BlockGroup &, ErrorSums &);

#ifdef __x86_64__
__attribute__((target("avx2"))) void
quantizeAvx2(BlockKind kind, BlockChoice how, Numbers x, int valid, int lanes,
             BlockGroup &group, ErrorSums &sums) {
  dispatchKind(kind, how, x, valid, lanes, group, sums);
}

__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) void
quantizeAvx512(BlockKind kind, BlockChoice how, Numbers x, int valid, int lanes,
               BlockGroup &group, ErrorSums &sums) {
  dispatchKind(kind, how, x, valid, lanes, group, sums);
}
#endif

/// All give the same bits; this file is compiled with -ffp-contract=off.
Quantizer chooseQuantizer() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return quantizeAvx512;
  if (__builtin_cpu_supports("avx2"))
    return quantizeAvx2;
#endif
  return quantizeBlocksPortably;
}

} // namespace

void ErrorSums::add(const ErrorSums &other) {
  squares += other.squares;
  errors += other.errors;
  largest = std::max(largest, other.largest);
}

float largestMagnitude(BlockKind kind) {
  Levels levels = levelsOf(kind);
  return levels.hasMin ? halfMost
                       : halfMost * std::max(-levels.low, levels.high);
}

void quantizeBlocks(BlockKind kind, BlockChoice choice, Numbers x, int valid,
                    int lanes, BlockGroup &group, ErrorSums &sums) {
  static const Quantizer quantizer = chooseQuantizer();
  quantizer(kind, choice, x, valid, lanes, group, sums);
}

void quantizeBlocksPortably(BlockKind kind, BlockChoice choice, Numbers x,
                            int valid, int lanes, BlockGroup &group,
                            ErrorSums &sums) {
  dispatchKind(kind, choice, x, valid, lanes, group, sums);
}

void quantizeSuperBlock(const float *x, int valid, SuperBlock &block,
                        ErrorSums &sums) {
  constexpr int size = SuperBlock::subBlock;
  static_assert(SuperBlock::numbers / size == blockLanes);
  alignas(64) float numbers[blockNumbers][blockLanes] = {};
  for (int i = 0; i < SuperBlock::numbers; ++i)
    numbers[i % size][i / size] = x[i];
  BlockGroup group;
  ErrorSums unused;
  quantizeBlocks(BlockKind::q6, BlockChoice::search, numbers, size, blockLanes,
                 group, unused);
  float scales[blockLanes], largest = 0;
  for (int j = 0; j < blockLanes; ++j) {
    // A search begins with a scale of 2^-24 where all numbers are 0.
    bool isZero = std::all_of(x + j * size, x + (j + 1) * size,
                              [](float number) { return number == 0.0f; });
    scales[j] = isZero ? 0.0f : halfToFloat(group.scales[j]);
    largest = std::max(largest, std::fabs(scales[j]));
  }
  block.scale = floatToHalf(largest / 127.0f);
  // Among f16's subnormal numbers, where this one often is, the nearest may be
  // so much smaller that a multiple would not fit.
  if (largest > 127.5f * halfToFloat(block.scale))
    ++block.scale;
  float unit = halfToFloat(block.scale);
  for (int j = 0; j < blockLanes; ++j) {
    float multiple = unit > 0 ? std::nearbyint(scales[j] / unit) : 0.0f;
    multiple = std::clamp(multiple, -127.0f, 127.0f);
    block.subscales[j] = static_cast<int8_t>(multiple);
    float scale = unit * multiple;
    float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
    for (int i = j * size; i < (j + 1) * size; ++i) {
      float code = std::clamp(std::nearbyint(x[i] * inverse), -32.0f, 31.0f);
      block.codes[i] = static_cast<uint8_t>(code + 32.0f);
      if (i >= valid)
        continue;
      float error = scale * code - x[i];
      sums.add({double(x[i]) * double(x[i]), double(error) * double(error),
                std::fabs(error)});
    }
  }
}

uint16_t floatToHalf(float value) {
  uint32_t bits = llvm::bit_cast<uint32_t>(value);
  uint32_t sign = (bits >> 16) & 0x8000;
  bits &= 0x7fffffff;
  if (bits >= 0x7f800000) // infinity, NaN (kept quiet)
    return sign | 0x7c00 | (bits > 0x7f800000 ? 0x200 : 0);
  if (bits >= 0x477ff000) // 65520 and more
    return sign | 0x7c00;
  if (bits < 0x38800000) {
    // Subnormal: adding 0.5 leaves the value in units of 2^-24 in the low
    // bits of the sum, rounded by the addition.
    float sum = llvm::bit_cast<float>(bits) + 0.5f;
    return sign |
           static_cast<uint16_t>(llvm::bit_cast<uint32_t>(sum) - 0x3f000000);
  }
  bits += 0xfff + ((bits >> 13) & 1);
  return sign | static_cast<uint16_t>((bits - 0x38000000) >> 13);
}

} // namespace cria
