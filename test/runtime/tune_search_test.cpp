// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/TuneSearch.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>

using namespace cria::tools;

namespace {

/// A machine whose ops take a known time for each choice, times noise, and on
/// which compiling takes 2 s.
class Machine : public TuneTrack {
public:
  using Cost = double (*)(const TuneOp &, const TuneSchedule &);

  Machine(const std::vector<TuneOp> &Ops, Cost Time, double Noise,
          double Budget = 60, unsigned Seed = 7)
      : Ops(Ops), Time(Time), Noise(Noise), Budget(Budget), Random(Seed) {}

  double trueTime(size_t Op, const TuneSchedule &Chosen) const {
    TuneSchedule All = Ops[Op].Default;
    for (const auto &[Name, Value] : Chosen)
      All[Name] = Value;
    return Time(Ops[Op], All);
  }

  size_t atOnce() const override { return 2; }

  size_t
  build(const std::vector<std::vector<TuneSchedule>> &Schedules) override {
    Now += 2;
    for (const std::vector<TuneSchedule> &Each : Schedules) {
      for (size_t Op = 0; Op < Each.size(); ++Op)
        for (const auto &[Name, Value] : Each[Op])
          Tried.push_back({Op, Name, Value});
      Built.push_back(Each);
      Dropped.push_back(false);
    }
    MostHeld = std::max(MostHeld, static_cast<size_t>(std::count(
                                      Dropped.begin(), Dropped.end(), false)));
    return Built.size() - Schedules.size();
  }

  void drop(size_t Variant) override {
    EXPECT_FALSE(Dropped[Variant]);
    Dropped[Variant] = true;
  }

  std::vector<std::vector<double>>
  run(const std::vector<size_t> &Variants) override {
    // The machine's mood outlasts a round; its jitter does not.
    double Mood = std::exp(Noise * 3 * Normal(Random));
    std::vector<std::vector<double>> All;
    for (size_t V : Variants) {
      EXPECT_FALSE(Dropped[V]);
      All.emplace_back();
      for (size_t Op = 0; Op < Ops.size(); ++Op) {
        double Seconds = trueTime(Op, Built[V][Op]) * Mood *
                         std::exp(Noise * std::abs(Normal(Random)));
        All.back().push_back(Seconds);
        Now += Seconds;
      }
    }
    return All;
  }

  double elapsed() const override { return Now; }
  double budget() const override { return Budget; }
  void report(const std::string &) override {}

  struct Try {
    size_t Op;
    std::string Knob;
    int64_t Value;
  };
  std::vector<Try> Tried;
  size_t MostHeld = 0;

private:
  const std::vector<TuneOp> &Ops;
  Cost Time;
  double Noise, Budget, Now = 0;
  std::vector<std::vector<TuneSchedule>> Built;
  std::vector<bool> Dropped; // by variant
  std::mt19937 Random;
  std::normal_distribution<double> Normal;
};

/// Knobs as the compiler gives them, with predictions that are not quite right.
TuneOp op(const char *Name, int64_t Rows) {
  TuneOp Made = {Name,
                 "prefill",
                 "",
                 {{"rows", Rows}, {"block-tokens", 4}, {"prefetch", 4096}},
                 {}};
  for (int64_t Value : {16, 32, 64, 128, 256})
    Made.Knobs["rows"].push_back({Value, Value > 128 ? 1.4 : 1});
  for (int64_t Value : {1, 2, 3, 4, 5, 6, 8, 12})
    Made.Knobs["block-tokens"].push_back({Value, Value < 3   ? 1.8
                                                 : Value > 6 ? 1.3
                                                             : 1});
  for (int64_t Value : {0, 1024, 4096, 16384})
    Made.Knobs["prefetch"].push_back({Value, 1});
  return Made;
}

/// Best at 64 rows, 6 tokens and no prefetch; the knobs act alone, nearly.
double bowl(const TuneOp &, const TuneSchedule &All) {
  double Rows = std::log2(static_cast<double>(All.at("rows")) / 64);
  auto Tokens = static_cast<double>(All.at("block-tokens") - 6);
  double Prefetch = All.at("prefetch") ? 0.06 : 0;
  return 0.01 * (1 + 0.05 * Rows * Rows + 0.02 * Tokens * Tokens + Prefetch +
                 0.01 * std::abs(Rows * Tokens));
}

double flat(const TuneOp &, const TuneSchedule &) { return 0.01; }

} // namespace

TEST(TuneSearch, GuidedIsNearExhaustiveInATenthOfTheTime) {
  std::vector<TuneOp> Ops = {op("a", 16), op("b", 32), op("c", 128)};
  double Endless = std::numeric_limits<double>::infinity();
  Machine Slow(Ops, bowl, 0.02, Endless), Fast(Ops, bowl, 0.02);
  std::vector<TuneResult> All = exhaustiveSearch(Ops, Slow, 5);
  std::vector<TuneResult> Few = guidedSearch(Ops, Fast);
  for (size_t I = 0; I < Ops.size(); ++I) {
    double Best = Slow.trueTime(I, All[I].Candidates[All[I].Winner].Schedule);
    double Found = Fast.trueTime(I, Few[I].Candidates[Few[I].Winner].Schedule);
    EXPECT_LE(Found, 1.05 * Best) << Ops[I].Op;
  }
  EXPECT_LE(Fast.elapsed(), Slow.elapsed() / 10);
}

TEST(TuneSearch, ExhaustiveHoldsFewVariantsAtATime) {
  std::vector<TuneOp> Ops = {op("a", 16)};
  Machine Quiet(Ops, bowl, 0.01, std::numeric_limits<double>::infinity());
  std::vector<TuneResult> Found = exhaustiveSearch(Ops, Quiet, 3);
  EXPECT_EQ(Found[0].Candidates.size(), 5u * 8 * 4);
  EXPECT_LE(Quiet.MostHeld, 33u);
}

TEST(TuneSearch, NoiseAloneWinsNothing) {
  std::vector<TuneOp> Ops = {op("a", 16), op("b", 32), op("c", 128)};
  size_t Winners = 0;
  for (unsigned Seed = 0; Seed < 20; ++Seed) {
    Machine Noisy(Ops, flat, 0.1, 60, Seed);
    for (const TuneResult &Each : guidedSearch(Ops, Noisy))
      Winners += Each.Winner != 0;
  }
  // Of 60 races; one in 300 would be chance.
  EXPECT_LE(Winners, 1u);
}

TEST(TuneSearch, WhatTheModelRulesOutDoesNotRace) {
  std::vector<TuneOp> Ops = {op("a", 16)};
  Machine Quiet(Ops, bowl, 0.01);
  guidedSearch(Ops, Quiet);
  ASSERT_FALSE(Quiet.Tried.empty());
  for (const Machine::Try &Each : Quiet.Tried)
    if (Each.Knob == "block-tokens") {
      EXPECT_GE(Each.Value, 3);
      EXPECT_LE(Each.Value, 6);
    }
}

TEST(TuneSearch, WinningKnobsAreTriedTogether) {
  std::vector<TuneOp> Ops = {op("a", 16)};
  Machine Quiet(Ops, bowl, 0.001);
  std::vector<TuneResult> Found = guidedSearch(Ops, Quiet);
  TuneSchedule Expected = {{"block-tokens", 6}, {"prefetch", 0}, {"rows", 64}};
  EXPECT_EQ(Found[0].Candidates[Found[0].Winner].Schedule, Expected);
}

TEST(TuneSearch, KeepsToItsBudget) {
  std::vector<TuneOp> Ops = {op("a", 16), op("b", 32)};
  Machine Short(Ops, bowl, 0.02, 15);
  guidedSearch(Ops, Short);
  // The variants of the last race, begun in time, end it.
  EXPECT_LE(Short.elapsed(), 15 + 3 * 2 + 5 * 3 * 0.05);
}

TEST(TuneSearch, AnOpThatNeverRunsKeepsItsDefault) {
  std::vector<TuneOp> Ops = {op("a", 16), op("unused", 16)};
  auto Time = [](const TuneOp &Op, const TuneSchedule &All) {
    return Op.Op == "unused" ? 0 : bowl(Op, All);
  };
  Machine Quiet(Ops, Time, 0.01);
  std::vector<TuneResult> Found = guidedSearch(Ops, Quiet);
  EXPECT_NE(Found[0].Winner, 0u);
  EXPECT_EQ(Found[1].Winner, 0u);
}
