// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/QuantizeBlocks.h"

#include "gtest/gtest.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <random>

using namespace cria;

namespace {

constexpr BlockKind kinds[] = {BlockKind::q4Min, BlockKind::q4Zero,
                               BlockKind::q8, BlockKind::q8Min, BlockKind::q6};

struct Numbers {
  float x[blockNumbers][blockLanes];
};

/// `make` gives number i of block b.
Numbers numbersOf(const std::function<float(int, int)> &make) {
  Numbers numbers;
  for (int b = 0; b < blockLanes; ++b)
    for (int i = 0; i < blockNumbers; ++i)
      numbers.x[i][b] = make(i, b);
  return numbers;
}

double decode(BlockKind kind, const BlockGroup &group, int i, int b) {
  double code = group.codes[i][b];
  code -= kind == BlockKind::q4Zero ? 8
          : kind == BlockKind::q6   ? 32
          : kind == BlockKind::q8   ? 128
                                    : 0;
  double value = code * double(halfToFloat(group.scales[b]));
  if (kind == BlockKind::q4Min || kind == BlockKind::q8Min)
    value += double(halfToFloat(group.minima[b]));
  return value;
}

/// Sum of squared errors of a block.
double errorOf(BlockKind kind, const Numbers &numbers, const BlockGroup &group,
               int b, int valid = blockNumbers) {
  double sum = 0;
  for (int i = 0; i < valid; ++i) {
    double e = decode(kind, group, i, b) - double(numbers.x[i][b]);
    sum += e * e;
  }
  return sum;
}

BlockGroup quantize(BlockKind kind, const Numbers &numbers,
                    BlockChoice choice = BlockChoice::search,
                    int valid = blockNumbers) {
  BlockGroup group;
  ErrorSums sums;
  quantizeBlocks(kind, choice, numbers.x, valid, blockLanes, group, sums);
  return group;
}

/// Numbers of many kinds, among them what makes f16 scales coarse.
Numbers drawn(std::mt19937 &random, int which) {
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::student_t_distribution<float> heavy(2.0f);
  return numbersOf([&](int, int) -> float {
    switch (which) {
    case 0:
      return normal(random);
    case 1:
      return uniform(random) * 1e-3f;
    case 2:
      return heavy(random);
    case 3:
      return 100.0f + normal(random) * 0.01f;
    case 4:
      return normal(random) * 1e-7f; // below f16's normal numbers
    default:
      return std::abs(normal(random)) * 3e4f / 10;
    }
  });
}

TEST(QuantizeBlocks, NeverWorseThanNearest) {
  std::mt19937 random(1);
  for (BlockKind kind : kinds)
    for (int round = 0; round < 60; ++round) {
      Numbers numbers = drawn(random, round % 6);
      int valid = round % 4 ? blockNumbers : 1 + round % blockNumbers;
      BlockGroup near = quantize(kind, numbers, BlockChoice::nearest, valid);
      BlockGroup best = quantize(kind, numbers, BlockChoice::search, valid);
      for (int b = 0; b < blockLanes; ++b) {
        double least = errorOf(kind, numbers, near, b, valid);
        // The search adds in f32.
        EXPECT_LE(errorOf(kind, numbers, best, b, valid),
                  least * (1 + 1e-5) + 1e-30)
            << "kind " << int(kind) << " round " << round << " block " << b;
      }
    }
}

/// Decibels that the search gains on normal numbers.
double gain(BlockKind kind) {
  std::mt19937 random(2);
  double near = 0, best = 0;
  for (int round = 0; round < 50; ++round) {
    Numbers numbers = drawn(random, 0);
    ErrorSums a, b;
    BlockGroup group;
    quantizeBlocks(kind, BlockChoice::nearest, numbers.x, blockNumbers,
                   blockLanes, group, a);
    quantizeBlocks(kind, BlockChoice::search, numbers.x, blockNumbers,
                   blockLanes, group, b);
    near += a.errors;
    best += b.errors;
  }
  return 10 * std::log10(near / best);
}

TEST(QuantizeBlocks, GainsOnNormalNumbers) {
  EXPECT_GT(gain(BlockKind::q4Min), 1.0);
  EXPECT_GT(gain(BlockKind::q4Zero), 0.45);
  EXPECT_GT(gain(BlockKind::q6), 0.5);
  EXPECT_GT(gain(BlockKind::q8), 0.8);
  EXPECT_GT(gain(BlockKind::q8Min), 1.0);
}

TEST(QuantizeBlocks, SameBitsWithoutVectors) {
  std::mt19937 random(3);
  for (BlockKind kind : kinds)
    for (int round = 0; round < 24; ++round) {
      Numbers numbers = drawn(random, round % 6);
      BlockGroup a, b;
      std::memset(&a, 0, sizeof(a));
      std::memset(&b, 0, sizeof(b));
      ErrorSums sumsA, sumsB;
      quantizeBlocks(kind, BlockChoice::search, numbers.x, 29, blockLanes, a,
                     sumsA);
      quantizeBlocksPortably(kind, BlockChoice::search, numbers.x, 29,
                             blockLanes, b, sumsB);
      EXPECT_EQ(std::memcmp(&a, &b, sizeof(a)), 0);
      EXPECT_EQ(sumsA.errors, sumsB.errors);
      EXPECT_EQ(sumsA.largest, sumsB.largest);
    }
}

TEST(QuantizeBlocks, GoldenZeroPoint) {
  // -8 to 7 halves, twice: the extreme -4 gets the code 0.
  Numbers numbers = numbersOf(
      [](int i, int) { return 0.5f * static_cast<float>(i % 16 - 8); });
  BlockGroup group = quantize(BlockKind::q4Zero, numbers);
  EXPECT_EQ(group.scales[5], 0x3800); // 0.5
  for (int i = 0; i < blockNumbers; ++i)
    EXPECT_EQ(group.codes[i][5], i % 16);
}

TEST(QuantizeBlocks, GoldenMin) {
  // 2 + code / 4, each block from another code on.
  Numbers numbers = numbersOf([](int i, int b) {
    return 2.0f + 0.25f * static_cast<float>((i + b) % 16);
  });
  BlockGroup group = quantize(BlockKind::q4Min, numbers);
  for (int b = 0; b < blockLanes; ++b) {
    EXPECT_EQ(group.scales[b], 0x3400); // 0.25
    EXPECT_EQ(group.minima[b], 0x4000); // 2
    for (int i = 0; i < blockNumbers; ++i)
      EXPECT_EQ(group.codes[i][b], (i + b) % 16);
  }
}

TEST(QuantizeBlocks, GoldenQ8) {
  Numbers numbers = numbersOf(
      [](int i, int) { return 0.125f * static_cast<float>(i * 8 - 127); });
  BlockGroup group = quantize(BlockKind::q8, numbers);
  EXPECT_EQ(group.scales[0], 0x3000); // 0.125
  for (int i = 0; i < blockNumbers; ++i)
    EXPECT_EQ(group.codes[i][0], i * 8 + 1);
}

/// What a Q4_1 or Q8_0 file holds comes back as it was.
TEST(QuantizeBlocks, ExactWhereRepresentable) {
  std::mt19937 random(4);
  for (BlockKind kind : kinds) {
    int levels = kind == BlockKind::q4Min || kind == BlockKind::q4Zero ? 16
                 : kind == BlockKind::q6                               ? 64
                                                                       : 256;
    for (int round = 0; round < 20; ++round) {
      BlockGroup made;
      for (int b = 0; b < blockLanes; ++b) {
        made.scales[b] =
            floatToHalf(0.001f * static_cast<float>(1 + random() % 999));
        made.minima[b] =
            floatToHalf(-0.01f * static_cast<float>(random() % 999));
        for (int i = 0; i < blockNumbers; ++i)
          made.codes[i][b] = static_cast<uint8_t>(
              1 + random() % static_cast<unsigned>(levels - 1));
        // Quantisers use both ends, or the end that counts.
        bool hasMin = kind == BlockKind::q4Min || kind == BlockKind::q8Min;
        made.codes[3][b] = hasMin || levels < 256 ? 0 : 1;
        made.codes[9][b] = static_cast<uint8_t>(levels - 1);
      }
      Numbers numbers = numbersOf([&](int i, int b) {
        return static_cast<float>(decode(kind, made, i, b));
      });
      BlockGroup group = quantize(kind, numbers);
      for (int b = 0; b < blockLanes; ++b) {
        EXPECT_EQ(group.scales[b], made.scales[b]);
        for (int i = 0; i < blockNumbers; ++i)
          ASSERT_EQ(group.codes[i][b], made.codes[i][b]);
      }
    }
  }
}

TEST(QuantizeBlocks, ZerosStayZeros) {
  for (BlockKind kind : kinds) {
    Numbers numbers =
        numbersOf([](int, int b) { return b % 2 ? -0.0f : 0.0f; });
    BlockGroup group = quantize(kind, numbers);
    for (int b = 0; b < blockLanes; ++b)
      for (int i = 0; i < blockNumbers; ++i)
        EXPECT_EQ(decode(kind, group, i, b), 0);
  }
}

TEST(QuantizeBlocks, ConstantsToTheRoundingOfF16) {
  for (BlockKind kind : kinds) {
    Numbers numbers = numbersOf([](int, int b) {
      return (b % 2 ? -1.0f : 1.0f) * 0.1234567f * static_cast<float>(b + 1);
    });
    BlockGroup group = quantize(kind, numbers);
    for (int b = 0; b < blockLanes; ++b)
      for (int i = 0; i < blockNumbers; ++i)
        EXPECT_NEAR(decode(kind, group, i, b), double(numbers.x[i][b]),
                    0x1p-11 * std::abs(double(numbers.x[i][b])));
  }
}

/// Below 2^-25 f16 holds nothing; the nearest is 0.
TEST(QuantizeBlocks, DenormalsBecomeFinite) {
  for (BlockKind kind : kinds)
    for (float size : {1e-45f, 1e-40f, 1e-30f, 1e-9f, 3e-8f}) {
      Numbers numbers = numbersOf([&](int i, int b) {
        return size * static_cast<float>((i * b) % 7 - 3);
      });
      BlockGroup group = quantize(kind, numbers);
      for (int b = 0; b < blockLanes; ++b)
        for (int i = 0; i < blockNumbers; ++i)
          EXPECT_NEAR(decode(kind, group, i, b), double(numbers.x[i][b]),
                      0x1p-24);
    }
}

TEST(QuantizeBlocks, LargestMagnitudeFits) {
  for (BlockKind kind : kinds) {
    float most = largestMagnitude(kind);
    Numbers numbers = numbersOf([&](int i, int b) {
      return i == b ? most : i == b + 1 ? -most : 0.5f * most;
    });
    BlockGroup group = quantize(kind, numbers);
    bool hasMin = kind == BlockKind::q4Min || kind == BlockKind::q8Min;
    bool isQ4 = kind == BlockKind::q4Min || kind == BlockKind::q4Zero;
    double steps = isQ4 ? hasMin ? 15 : 8 : kind == BlockKind::q6 ? 32 : 127;
    double step = double(most) * (hasMin ? 2 : 1) / steps;
    for (int b = 0; b < blockLanes; ++b)
      for (int i = 0; i < blockNumbers; ++i)
        EXPECT_NEAR(decode(kind, group, i, b), double(numbers.x[i][b]),
                    1.01 * step);
  }
}

TEST(QuantizeBlocks, PaddingDoesNotCount) {
  std::mt19937 random(5);
  Numbers a = drawn(random, 0), b = a;
  for (int i = 21; i < blockNumbers; ++i)
    for (int lane = 0; lane < blockLanes; ++lane)
      b.x[i][lane] = 1000;
  for (BlockKind kind : kinds) {
    BlockGroup first = quantize(kind, a, BlockChoice::search, 21);
    BlockGroup second = quantize(kind, b, BlockChoice::search, 21);
    EXPECT_EQ(std::memcmp(first.codes, second.codes, sizeof(first.codes)), 0);
    EXPECT_EQ(std::memcmp(first.scales, second.scales, sizeof(first.scales)),
              0);
    if (kind == BlockKind::q4Zero || kind == BlockKind::q8 ||
        kind == BlockKind::q6)
      EXPECT_EQ(decode(kind, first, 31, 3), 0);
  }
}

TEST(QuantizeBlocks, SumsAreOfTheLanesThatCount) {
  std::mt19937 random(6);
  Numbers numbers = drawn(random, 0);
  BlockGroup group;
  ErrorSums sums;
  quantizeBlocks(BlockKind::q4Min, BlockChoice::search, numbers.x, 30, 5, group,
                 sums);
  double errors = 0, squares = 0;
  for (int b = 0; b < 5; ++b) {
    errors += errorOf(BlockKind::q4Min, numbers, group, b, 30);
    for (int i = 0; i < 30; ++i)
      squares += double(numbers.x[i][b]) * double(numbers.x[i][b]);
  }
  EXPECT_NEAR(sums.errors, errors, 1e-5 * errors);
  EXPECT_NEAR(sums.squares, squares, 1e-9 * squares);
}

double decode(const SuperBlock &block, int i) {
  return double(halfToFloat(block.scale)) * block.subscales[i / 16] *
         (block.codes[i] - 32);
}

/// What a Q6_K file holds comes back as it was, where its scales and codes
/// use their ranges.
TEST(QuantizeSuperBlock, ExactWhereRepresentable) {
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    SuperBlock made;
    made.scale = floatToHalf(0.001f * static_cast<float>(1 + random() % 999));
    for (int j = 0; j < 16; ++j)
      made.subscales[j] = static_cast<int8_t>(
          j == round % 16 ? 127 : static_cast<int>(random() % 100) + 20);
    float x[256];
    for (int i = 0; i < 256; ++i) {
      made.codes[i] = static_cast<uint8_t>(i % 16 == 3   ? 0
                                           : i % 16 == 9 ? 63
                                                         : random() % 64);
      x[i] = static_cast<float>(decode(made, i));
    }
    SuperBlock block;
    ErrorSums sums;
    quantizeSuperBlock(x, 256, block, sums);
    EXPECT_EQ(block.scale, made.scale);
    for (int i = 0; i < 256; ++i)
      ASSERT_EQ(decode(block, i), double(x[i])) << i;
    EXPECT_EQ(sums.errors, 0);
  }
}

TEST(QuantizeSuperBlock, NormalNumbers) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal(0, 0.02f);
  ErrorSums sums;
  double errors = 0, squares = 0;
  for (int round = 0; round < 30; ++round) {
    float x[256] = {};
    int valid = round % 3 ? 256 : 200;
    for (int i = 0; i < valid; ++i)
      x[i] = normal(random);
    SuperBlock block;
    quantizeSuperBlock(x, valid, block, sums);
    for (int i = 0; i < valid; ++i) {
      double error = decode(block, i) - double(x[i]);
      errors += error * error;
      squares += double(x[i]) * double(x[i]);
    }
    for (int i = valid; i < 256; ++i)
      EXPECT_EQ(decode(block, i), 0);
  }
  EXPECT_NEAR(sums.errors, errors, 1e-4 * errors);
  EXPECT_NEAR(sums.squares, squares, 1e-6 * squares);
  // 37 dB: 6 bits and a scale of 16 numbers.
  EXPECT_LT(std::sqrt(errors / squares), 0.0175);
}

TEST(QuantizeSuperBlock, TinyLargeAndNothing) {
  float most = largestMagnitude(BlockKind::q6);
  for (float size : {0.0f, 1e-45f, 1e-30f, 3e-8f, 1e-6f, 1e-3f, most}) {
    float x[256];
    for (int i = 0; i < 256; ++i)
      x[i] = size * static_cast<float>(i % 7 - 3) / 3.0f;
    SuperBlock block;
    ErrorSums sums;
    quantizeSuperBlock(x, 256, block, sums);
    for (int i = 0; i < 256; ++i)
      EXPECT_NEAR(decode(block, i), double(x[i]), 0x1p-24 + double(size) * 0.04)
          << size;
  }
}

} // namespace
