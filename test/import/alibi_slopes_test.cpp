// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "compiler/target/AlibiSlopes.h"

#include "gtest/gtest.h"

using cria::alibiSlopes;

TEST(AlibiSlopes, PowersOfTwoAreAGeometricSequence) {
  // The paper's own example: 8 heads have 1/2, 1/4, .. 1/256.
  llvm::SmallVector<float> slopes = alibiSlopes(8);
  ASSERT_EQ(slopes.size(), 8u);
  for (int h = 0; h < 8; ++h)
    EXPECT_EQ(slopes[h], std::ldexp(1.0f, -(h + 1)));
  EXPECT_EQ(alibiSlopes(1)[0], std::ldexp(1.0f, -8));
}

TEST(AlibiSlopes, OtherCountsInterleaveTheNextPower) {
  // What transformers' build_alibi_tensor gives for 12 heads.
  const float expected[] = {0.5f,        0.25f,        0.125f,
                            0.0625f,     0.03125f,     0.015625f,
                            0.0078125f,  0.00390625f,  0.70710678f,
                            0.35355339f, 0.176776695f, 0.088388348f};
  llvm::SmallVector<float> slopes = alibiSlopes(12);
  ASSERT_EQ(slopes.size(), 12u);
  for (int h = 0; h < 12; ++h)
    EXPECT_NEAR(slopes[h], expected[h], 1e-7f) << "head " << h;
}

TEST(AlibiSlopes, LargestExponentIsAParameter) {
  EXPECT_EQ(alibiSlopes(4, 16.0)[3], std::ldexp(1.0f, -16));
}

TEST(AlibiSlopes, NoHeadsNoSlopes) { EXPECT_TRUE(alibiSlopes(0).empty()); }
