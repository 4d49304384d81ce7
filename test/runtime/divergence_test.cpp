// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Divergence.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

using namespace cria::tools;

TEST(Divergence, LogZOfLargeLogitsDoesNotOverflow) {
  std::vector<float> Logits = {1000.0f, 1000.0f, 1000.0f, 1000.0f};
  EXPECT_NEAR(rowStatistics(Logits.data(), 4).LogZ, 1000 + std::log(4), 1e-9);
}

TEST(Divergence, LargestIsTheFirstOfEquals) {
  std::vector<float> Logits = {0.5f, 2.0f, 2.0f, -1.0f};
  EXPECT_EQ(rowStatistics(Logits.data(), 4).Largest, 1);
}

TEST(Divergence, NanMakesLogZNan) {
  std::vector<float> Logits = {0.5f, std::nanf(""), 1.0f};
  EXPECT_TRUE(std::isnan(rowStatistics(Logits.data(), 3).LogZ));
}

TEST(Divergence, KlOfTwoCoins) {
  // P = (1/2, 1/2), Q = (1/4, 3/4): log 2 - log(3) / 2.
  std::vector<float> P = {0.0f, 0.0f};
  std::vector<float> Q = {0.0f, std::log(3.0f)};
  EXPECT_NEAR(klDivergence(P.data(), rowStatistics(P.data(), 2), Q.data(),
                           rowStatistics(Q.data(), 2), 2),
              std::log(2.0) - std::log(3.0) / 2, 1e-7);
}

TEST(Divergence, KlIsNotSymmetric) {
  std::vector<float> P = {0.0f, 0.0f};
  std::vector<float> Q = {0.0f, std::log(3.0f)};
  // KL(Q || P) = log 2 + 1/4 log 1/4 + 3/4 log 3/4.
  EXPECT_NEAR(klDivergence(Q.data(), rowStatistics(Q.data(), 2), P.data(),
                           rowStatistics(P.data(), 2), 2),
              std::log(2.0) + 0.25 * std::log(0.25) + 0.75 * std::log(0.75),
              1e-7);
}

TEST(Divergence, WhatPRulesOutAddsNothing) {
  float Never = -std::numeric_limits<float>::infinity();
  std::vector<float> P = {0.0f, Never};
  std::vector<float> Q = {0.0f, 0.0f};
  EXPECT_NEAR(klDivergence(P.data(), rowStatistics(P.data(), 2), Q.data(),
                           rowStatistics(Q.data(), 2), 2),
              std::log(2.0), 1e-12);
}

static std::vector<Score> hundredScores() {
  std::vector<Score> Scores;
  for (int I = 0; I < 100; ++I) {
    Score One = {};
    One.Position = I;
    One.Nll = I % 2 ? 1.0 : 3.0;
    One.SquaredLogZ = 4;
    One.Kl = I;
    One.SameTop = I < 25;
    Scores.push_back(One);
  }
  return Scores;
}

TEST(Divergence, SummaryOfAll) {
  Summary All = summarise(hundredScores(), 0, 100);
  EXPECT_EQ(All.Tokens, 100);
  EXPECT_NEAR(All.Perplexity, std::exp(2.0), 1e-12);
  // The standard deviation is 1, with n - 1 of 100.
  EXPECT_NEAR(All.PerplexityError, std::exp(2.0) / std::sqrt(99), 1e-12);
  EXPECT_DOUBLE_EQ(All.Z, 4);
  EXPECT_DOUBLE_EQ(All.KlMean, 49.5);
  EXPECT_DOUBLE_EQ(All.KlHigh, 98);
  EXPECT_DOUBLE_EQ(All.KlMost, 99);
  EXPECT_DOUBLE_EQ(All.SameTop, 0.25);
}

TEST(Divergence, SummaryOfARangeOfPositions) {
  Summary Part = summarise(hundredScores(), 20, 30);
  EXPECT_EQ(Part.Tokens, 10);
  EXPECT_DOUBLE_EQ(Part.KlMean, 24.5);
  EXPECT_DOUBLE_EQ(Part.SameTop, 0.5);
}

TEST(Divergence, SummaryOfNothing) {
  EXPECT_EQ(summarise(hundredScores(), 100, 200).Tokens, 0);
}
