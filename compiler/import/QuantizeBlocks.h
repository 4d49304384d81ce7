// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From floats to blocks of 32 codes with an f16 scale and, for some kinds, an
// f16 minimum, 16 blocks at a time.
//
// The nearest choice takes the scale from the extremes of a block (what ggml's
// reference quantisers do). The search starts there and at a grid of scales and
// minima around it, fits each by least squares to the codes that it gives
// (Lloyd 1982 with the levels on a line), rounds to f16 and keeps the choice
// with the least sum of squared errors. A choice is measured as it will be
// decoded, so that no block comes out worse than nearest.
//
// Errors count alike for all numbers of a block: the error of a linear's result
// is then least for inputs that are not correlated with the weights.
//
// Results do not depend on the machine: every operation is one IEEE 754
// operation on one block, in one order.
#ifndef CRIA_COMPILER_IMPORT_QUANTIZEBLOCKS_H
#define CRIA_COMPILER_IMPORT_QUANTIZEBLOCKS_H

#include "llvm/ADT/bit.h"
#include <cstdint>

namespace cria {

constexpr int blockNumbers = 32, blockLanes = 16;

/// value = scale * code + minimum     q4Min, q8Min: codes 0 to 15, 0 to 255
/// value = scale * (code - 8)         q4Zero: codes 0 to 15
/// value = scale * (code - 128)       q8: codes 1 to 255
/// value = scale * (code - 32)        q6: codes 0 to 63
enum class BlockKind { q4Min, q4Zero, q8, q8Min, q6 };

enum class BlockChoice { nearest, search };

/// Numbers i of 16 blocks are side by side, in the input and in the codes.
struct BlockGroup {
  alignas(64) uint8_t codes[blockNumbers][blockLanes];
  uint16_t scales[blockLanes], minima[blockLanes]; // f16
};

/// What quantisation did to some numbers.
struct ErrorSums {
  double squares = 0, errors = 0; // sums of x^2 and of (decoded x - x)^2
  float largest = 0;              // |decoded x - x|

  void add(const ErrorSums &other);
};

/// The largest magnitude that f16 scales and minima can hold.
float largestMagnitude(BlockKind kind);

/// `x` holds finite numbers up to largestMagnitude. Numbers `valid` and after
/// of each block are ignored and get the code that is nearest to 0. `lanes`
/// of the blocks count in the sums that are added to `sums`.
void quantizeBlocks(BlockKind kind, BlockChoice choice,
                    const float (&x)[blockNumbers][blockLanes], int valid,
                    int lanes, BlockGroup &group, ErrorSums &sums);

/// The same without the vector instructions that this machine may have: what
/// tests compare with.
void quantizeBlocksPortably(BlockKind kind, BlockChoice choice,
                            const float (&x)[blockNumbers][blockLanes],
                            int valid, int lanes, BlockGroup &group,
                            ErrorSums &sums);

/// 256 numbers of q6: value = scale * subscales[i / 16] * (codes[i] - 32).
struct SuperBlock {
  static constexpr int numbers = 256, subBlock = 16;
  uint8_t codes[numbers];
  int8_t subscales[numbers / subBlock];
  uint16_t scale; // f16
};

/// The scale of each 16 comes from the search of quantizeBlocks; then all are
/// rounded to multiples of one number, and codes to the nearest for these.
/// `x` is as there; numbers `valid` and after are 0.
void quantizeSuperBlock(const float *x, int valid, SuperBlock &block,
                        ErrorSums &sums);

/// IEEE binary16 bits, rounded to nearest even.
uint16_t floatToHalf(float value);

/// IEEE binary16 to binary32, exact, without branches on the exponent so that
/// loops over it vectorise: a normal number is rebiased by a multiplication,
/// a subnormal one by a subtraction.
inline float halfToFloat(uint16_t half) {
  uint32_t word = uint32_t(half) << 16;
  uint32_t sign = word & 0x80000000u;
  uint32_t twice = word + word;
  // 0xe0 << 23 adds 224 to the exponent; 2^-112 takes off what is too much,
  // which also lets infinities and NaNs saturate.
  float normal = llvm::bit_cast<float>((twice >> 4) + (0xe0u << 23)) *
                 llvm::bit_cast<float>(0x07800000u);
  float subnormal = llvm::bit_cast<float>((twice >> 17) | (126u << 23)) - 0.5f;
  uint32_t bits = twice < (1u << 27) ? llvm::bit_cast<uint32_t>(subnormal)
                                     : llvm::bit_cast<uint32_t>(normal);
  return llvm::bit_cast<float>(sign | bits);
}

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_QUANTIZEBLOCKS_H
