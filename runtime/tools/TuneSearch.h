// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The race of `cria tune`: which schedule of each op is the fastest, found with
// few variants of the whole model. Ops do not depend on each other's schedule,
// so one variant tries a candidate of every op at once, in the model's own run:
// its caches are as warm or cold as they will be.
#ifndef CRIA_TOOLS_TUNESEARCH_H
#define CRIA_TOOLS_TUNESEARCH_H

#include "tools/Series.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace cria::tools {

/// Values of the knobs that differ from the default; of a knob of words, which
/// of TuneOp::Words it is.
using TuneSchedule = std::map<std::string, int64_t>;

struct TuneValue {
  int64_t Value;
  double Predicted; // time by the compiler's model, over the op's best
};

/// What may be chosen for one op: see compiler/tile/TuningSpace.h.
struct TuneOp {
  std::string Op, Version, Shape;
  TuneSchedule Default;
  std::map<std::string, std::vector<TuneValue>> Knobs;
  std::map<std::string, std::vector<std::string>> Words = {};
};

struct TuneCandidate {
  TuneSchedule Schedule; // empty: the default
  double Predicted = 1;
  Series Seconds;
  Series Ratios; // to the default's time in the same round
  int Rounds = 0;
  std::ptrdiff_t FinalFrom = 0; // the first ratio that counts for winning
};

struct TuneResult {
  std::vector<TuneCandidate> Candidates; // the default first
  size_t Winner = 0;
};

/// What the search is given to measure with.
class TuneTrack {
public:
  virtual ~TuneTrack() = default;
  /// How many variants are best made by one call.
  virtual size_t atOnce() const = 0;
  /// Makes variants, of which variant v has Schedules[v][i] for op i. Returns
  /// the number of the first; they count from 0.
  virtual size_t
  build(const std::vector<std::vector<TuneSchedule>> &Schedules) = 0;
  /// The variant will not run again.
  virtual void drop(size_t Variant) = 0;
  /// Runs each of the variants once, by turns: for each, the seconds of op i.
  virtual std::vector<std::vector<double>>
  run(const std::vector<size_t> &Variants) = 0;
  /// Seconds since the search began, and until when it should end.
  virtual double elapsed() const = 0;
  virtual double budget() const = 0;
  /// What is being done, for the progress bar.
  virtual void report(const std::string &Text) = 0;
};

/// Candidates within this factor of the best prediction race.
constexpr double TunePruneFactor = 1.15;
/// A candidate wins if its median is this share of the default's time at most,
/// and hardly a round disagrees.
constexpr double TuneLeastGain = 0.985;

/// Races every knob by itself, halving the field after each round, then the
/// winning knobs together. Ends in time for the budget, with at least five
/// rounds of the last race.
std::vector<TuneResult> guidedSearch(const std::vector<TuneOp> &Ops,
                                     TuneTrack &Track);

/// All combinations of all values of all knobs, `Rounds` times each, and the
/// fastest few of each op once more against each other; no budget.
std::vector<TuneResult> exhaustiveSearch(const std::vector<TuneOp> &Ops,
                                         TuneTrack &Track, int Rounds);

} // namespace cria::tools

#endif // CRIA_TOOLS_TUNESEARCH_H
