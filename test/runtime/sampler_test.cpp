// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "cria/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

namespace {

constexpr float Infinity = std::numeric_limits<float>::infinity();
constexpr float NaN = std::numeric_limits<float>::quiet_NaN();

struct Freed {
  void operator()(cria_sampler *Sampler) const { cria_sampler_free(Sampler); }
};
using Sampler = std::unique_ptr<cria_sampler, Freed>;

cria_sampler_params params(float Temperature) {
  cria_sampler_params Params;
  cria_sampler_params_init(&Params);
  Params.temperature = Temperature;
  Params.seed = 1;
  return Params;
}

Sampler make(const cria_sampler_params &Params, size_t Size) {
  cria_sampler *New = nullptr;
  cria_error Error;
  EXPECT_EQ(
      cria_sampler_create(&Params, static_cast<int32_t>(Size), &New, &Error),
      CRIA_OK)
      << Error.message;
  return Sampler(New);
}

int32_t draw(const Sampler &From, const std::vector<float> &Logits) {
  int32_t Token = -1;
  cria_error Error;
  EXPECT_EQ(cria_sampler_sample(From.get(), Logits.data(), &Token, &Error),
            CRIA_OK)
      << Error.message;
  return Token;
}

/// How often each token comes in `Draws` draws.
std::vector<int> histogram(const Sampler &From,
                           const std::vector<float> &Logits, int Draws) {
  std::vector<int> Counts(Logits.size());
  for (int I = 0; I < Draws; ++I)
    ++Counts[draw(From, Logits)];
  return Counts;
}

TEST(Sampler, GreedyTakesTheLargest) {
  Sampler S = make(params(0), 4);
  EXPECT_EQ(draw(S, {1, 3, 7, 2}), 2);
}

TEST(Sampler, GreedyTieGoesToTheSmallerId) {
  Sampler S = make(params(0), 4);
  EXPECT_EQ(draw(S, {1, 7, 7, 2}), 1);
}

TEST(Sampler, GreedyIgnoresNaN) {
  Sampler S = make(params(0), 4);
  EXPECT_EQ(draw(S, {NaN, 1, NaN, 2}), 3);
}

TEST(Sampler, PlusInfinityWins) {
  Sampler S = make(params(1), 3);
  for (int I = 0; I < 20; ++I)
    EXPECT_EQ(draw(S, {1, Infinity, 3}), 1);
}

TEST(Sampler, NoNumberIsInvalidData) {
  Sampler S = make(params(1), 3);
  std::vector<float> Logits = {NaN, -Infinity, NaN};
  int32_t Token;
  cria_error Error;
  EXPECT_EQ(cria_sampler_sample(S.get(), Logits.data(), &Token, &Error),
            CRIA_INVALID_DATA);
}

TEST(Sampler, MinusInfinityIsNeverDrawn) {
  Sampler S = make(params(5), 3);
  EXPECT_EQ(histogram(S, {1, -Infinity, 1}, 500)[1], 0);
}

TEST(Sampler, DrawsWithTheSoftmaxProbabilities) {
  Sampler S = make(params(2), 3);
  // Temperature 2 halves the logits: weights 1, 2 and 5.
  std::vector<float> Logits = {0, 2 * std::log(2.0f), 2 * std::log(5.0f)};
  std::vector<int> Counts = histogram(S, Logits, 80000);
  // Four standard deviations of 80000 draws are below 600.
  EXPECT_NEAR(Counts[0], 10000, 600);
  EXPECT_NEAR(Counts[1], 20000, 600);
  EXPECT_NEAR(Counts[2], 50000, 600);
}

TEST(Sampler, TopKKeepsTheKLargest) {
  cria_sampler_params P = params(3);
  P.top_k = 2;
  Sampler S = make(P, 5);
  std::vector<int> Counts = histogram(S, {1, 2, 1.5, 0, 1.9f}, 500);
  EXPECT_EQ(Counts[0] + Counts[2] + Counts[3], 0);
  EXPECT_GT(Counts[4], 0);
}

TEST(Sampler, TopKTieGoesToTheSmallerId) {
  cria_sampler_params P = params(1);
  P.top_k = 1;
  Sampler S = make(P, 4);
  EXPECT_EQ(histogram(S, {1, 2, 2, 2}, 100)[1], 100);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesP) {
  cria_sampler_params P = params(1);
  P.top_p = 0.75f;
  Sampler S = make(P, 4);
  // Probabilities 0.1, 0.5, 0.3, 0.1: 0.5 is not enough, 0.8 is.
  std::vector<int> Counts = histogram(
      S, {std::log(1.0f), std::log(5.0f), std::log(3.0f), std::log(1.0f)},
      1000);
  EXPECT_EQ(Counts[0] + Counts[3], 0);
  EXPECT_GT(Counts[2], 0);
}

TEST(Sampler, TopPSeesTemperatureOne) {
  cria_sampler_params P = params(100);
  P.top_p = 0.4f;
  Sampler S = make(P, 3);
  EXPECT_EQ(histogram(S, {0, 1, 0}, 200)[1], 200);
}

TEST(Sampler, TopPOverManyTokens) {
  cria_sampler_params P = params(1);
  P.top_p = 0.5f;
  std::vector<float> Logits(200, 0.0f);
  Sampler S = make(P, Logits.size());
  std::vector<int> Counts = histogram(S, Logits, 4000);
  for (size_t I = 0; I < Counts.size(); ++I)
    EXPECT_EQ(Counts[I] > 0, I < 100) << I;
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  cria_sampler_params P = params(1);
  P.min_p = 0.3f;
  Sampler S = make(P, 3);
  std::vector<int> Counts =
      histogram(S, {std::log(10.0f), std::log(4.0f), std::log(2.0f)}, 1000);
  EXPECT_GT(Counts[1], 0);
  EXPECT_EQ(Counts[2], 0);
}

TEST(Sampler, RepetitionPenaltyDividesPositiveLogits) {
  cria_sampler_params P = params(0);
  P.repetition_penalty = 2;
  P.penalty_last_n = 4;
  Sampler S = make(P, 2);
  cria_sampler_accept(S.get(), 0);
  EXPECT_EQ(draw(S, {3, 2}), 1);
}

TEST(Sampler, RepetitionPenaltyMultipliesNegativeLogits) {
  cria_sampler_params P = params(0);
  P.repetition_penalty = 2;
  P.penalty_last_n = 4;
  Sampler S = make(P, 2);
  cria_sampler_accept(S.get(), 0);
  EXPECT_EQ(draw(S, {-2, -3}), 1);
}

TEST(Sampler, PenaltyForgetsOldTokens) {
  cria_sampler_params P = params(0);
  P.repetition_penalty = 2;
  P.penalty_last_n = 2;
  Sampler S = make(P, 3);
  for (int32_t Token : {0, 2, 2})
    cria_sampler_accept(S.get(), Token);
  EXPECT_EQ(draw(S, {3, 2, 0}), 0);
}

TEST(Sampler, FrequencyPenaltyCounts) {
  cria_sampler_params P = params(0);
  P.frequency_penalty = 1;
  P.penalty_last_n = 8;
  Sampler S = make(P, 2);
  for (int32_t Token : {0, 0, 1})
    cria_sampler_accept(S.get(), Token);
  EXPECT_EQ(draw(S, {2.5f, 2}), 1);
}

TEST(Sampler, PresencePenaltyDoesNotCount) {
  cria_sampler_params P = params(0);
  P.presence_penalty = 1;
  P.penalty_last_n = 8;
  Sampler S = make(P, 2);
  for (int32_t Token : {0, 0, 1})
    cria_sampler_accept(S.get(), Token);
  EXPECT_EQ(draw(S, {2.5f, 2}), 0);
}

TEST(Sampler, AcceptIgnoresUnknownIds) {
  cria_sampler_params P = params(0);
  P.repetition_penalty = 2;
  P.penalty_last_n = 2;
  Sampler S = make(P, 2);
  cria_sampler_accept(S.get(), -1);
  cria_sampler_accept(S.get(), 2);
  EXPECT_EQ(draw(S, {3, 2}), 0);
}

/// Rows of logits that a test of the sequence draws from.
std::vector<int32_t> sequence(const Sampler &From) {
  std::vector<int32_t> Tokens;
  for (int Row = 0; Row < 12; ++Row) {
    std::vector<float> Logits(50);
    for (size_t I = 0; I < Logits.size(); ++I)
      Logits[I] = static_cast<float>((I * 37 + Row * 11) % 50) * 0.125f;
    Tokens.push_back(draw(From, Logits));
  }
  return Tokens;
}

TEST(Sampler, SameSeedSameTokensOnEveryMachine) {
  cria_sampler_params P = params(1.5f);
  P.top_k = 40;
  P.top_p = 0.95f;
  P.min_p = 0.01f;
  P.seed = 42;
  Sampler S = make(P, 50);
  EXPECT_EQ(sequence(S), (std::vector<int32_t>{27, 32, 41, 31, 36, 13, 6, 11,
                                               27, 16, 17, 25}));
}

TEST(Sampler, ResetStartsAnew) {
  cria_sampler_params P = params(1.5f);
  Sampler S = make(P, 50);
  std::vector<int32_t> First = sequence(S);
  cria_sampler_reset(S.get(), P.seed);
  EXPECT_EQ(sequence(S), First);
}

TEST(Sampler, OtherSeedOtherTokens) {
  cria_sampler_params P = params(1.5f);
  Sampler A = make(P, 50);
  P.seed = 2;
  Sampler B = make(P, 50);
  EXPECT_NE(sequence(A), sequence(B));
}

struct BadParameter {
  const char *Name;
  void (*Spoil)(cria_sampler_params &);

  /// For GoogleTest, which would print bytes.
  friend void PrintTo(const BadParameter &Case, std::ostream *Out) {
    *Out << Case.Name;
  }
};

class BadParameters : public testing::TestWithParam<BadParameter> {};

TEST_P(BadParameters, AreNamed) {
  cria_sampler_params P = params(1);
  GetParam().Spoil(P);
  cria_sampler *New;
  cria_error Error;
  EXPECT_EQ(cria_sampler_create(&P, 10, &New, &Error), CRIA_INVALID_ARGUMENT);
  EXPECT_EQ(New, nullptr);
  EXPECT_EQ(std::string(Error.message).find(GetParam().Name), 0u)
      << Error.message;
}

INSTANTIATE_TEST_SUITE_P(
    Sampler, BadParameters,
    testing::Values(
        BadParameter{"temperature",
                     [](cria_sampler_params &P) { P.temperature = -1; }},
        BadParameter{"temperature",
                     [](cria_sampler_params &P) { P.temperature = NaN; }},
        BadParameter{"top_k", [](cria_sampler_params &P) { P.top_k = -1; }},
        BadParameter{"top_p", [](cria_sampler_params &P) { P.top_p = 0; }},
        BadParameter{"min_p", [](cria_sampler_params &P) { P.min_p = 2; }},
        BadParameter{"repetition_penalty",
                     [](cria_sampler_params &P) { P.repetition_penalty = 0; }},
        BadParameter{"penalty_last_n", [](cria_sampler_params &P) {
                       P.penalty_last_n = 1 << 21;
                     }}));

TEST(Sampler, VocabularySizeIsChecked) {
  cria_sampler_params P = params(1);
  cria_sampler *New;
  cria_error Error;
  EXPECT_EQ(cria_sampler_create(&P, 0, &New, &Error), CRIA_INVALID_ARGUMENT);
}

} // namespace
