// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "session/DraftPolicy.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace cria::runtime {

// By class of match length: 1, 2, 3, 4, 5-6, 7-9, 10-14, 15-22, more. What to
// believe before anything is known, as much as so many observations.
static constexpr double Prior[] = {0.25, 0.4,  0.5, 0.6, 0.7,
                                   0.8,  0.85, 0.9, 0.95};
static constexpr double PriorWeight = 4;
// An observation counts for half after some 35 later ones of its class.
static constexpr double Fade = 0.98;
// Of an error in predicting the time of a run, so much (as a power) is put down
// to the machine, for all sizes, and so much to this size. Sizes that are not
// run go back to the prior, or one bad measurement would rule a size out.
static constexpr double ScaleWeight = 1.0 / 8, RatioWeight = 1.0 / 2,
                        RatioFade = 1.0 / 64;

/// The time of a run in units of the time of one token, before anything is
/// measured. Up to a point the weights have to be read, whatever is computed
/// with them: 1.2 for 4 tokens, 1.5 to 1.8 for 8, 2.6 to 3.3 for 16 (4-bit
/// weights, 135 million of them, two cores with AVX-512 VNNI; half of the
/// excess for 1 billion).
static double priorRatio(int64_t Tokens) {
  double Few = static_cast<double>(std::min<int64_t>(Tokens, 4) - 1);
  double Many = static_cast<double>(std::max<int64_t>(Tokens, 4) - 4);
  return 1 + 0.06 * Few + 0.12 * Many;
}

/// Runs of 1, 2, 4, 8, 12, 16, ... tokens: kernels take tokens by fours, and
/// sizes between cost as much as the next of these. Few sizes are also sooner
/// known.
static int64_t nextSize(int64_t Tokens) {
  return Tokens < 4 ? Tokens * 2 : Tokens + 4;
}

int DraftPolicy::classOf(int64_t MatchLength) {
  static constexpr int64_t Last[] = {1, 2, 3, 4, 6, 9, 14, 22};
  return static_cast<int>(
      std::lower_bound(std::begin(Last), std::end(Last), MatchLength) -
      std::begin(Last));
}

double DraftPolicy::probability(int64_t MatchLength) const {
  int Class = classOf(MatchLength);
  const Tally &Seen = Tallies[Class];
  return (Seen.Right + Prior[Class] * PriorWeight) /
         (Seen.Right + Seen.Wrong + PriorWeight);
}

DraftPolicy::DraftPolicy() {
  for (int64_t I = 1; I <= MostTokens; ++I)
    Ratios[I] = priorRatio(I);
}

int64_t DraftPolicy::choose(int64_t MatchLength, int64_t Most) {
  Most = std::min(Most, MostTokens - 1);
  if (MatchLength <= 0 || Most <= 0)
    return 0;
  double Expected = 1, Chance = 1, Best = 1 / time(1);
  int64_t Result = 0, Size = 2;
  for (int64_t K = 1; K <= Most; ++K) {
    Chance *= probability(MatchLength + K - 1);
    Expected += Chance;
    if (1 + K != Size && K != Most)
      continue;
    double Speed = Expected / time(1 + K);
    if (Speed > Best)
      Best = Speed, Result = K;
    Size = nextSize(Size);
  }
  // Without drafts nothing would be learnt any more: drift back to the prior.
  if (!Result)
    Tallies[classOf(MatchLength)].fade(Fade);
  return Result;
}

void DraftPolicy::learnDraft(int64_t MatchLength, int64_t Checked,
                             int64_t Right) {
  // What comes after the first wrong token says nothing.
  for (int64_t I = 0; I < Checked && I <= Right; ++I) {
    Tally &Seen = Tallies[classOf(MatchLength + I)];
    Seen.fade(Fade);
    ++(I < Right ? Seen.Right : Seen.Wrong);
  }
}

void DraftPolicy::learnTime(int64_t Tokens, double Seconds) {
  if (Tokens < 1 || Tokens > MostTokens || !(Seconds > 0))
    return;
  if (!(Scale > 0)) {
    Scale = Seconds / Ratios[Tokens];
    return;
  }
  // One run that the system interrupted must not count as ten.
  double Error = std::clamp(Seconds / time(Tokens), 0.5, 2.0);
  Scale *= std::pow(Error, ScaleWeight);
  for (int64_t I = 1; I <= MostTokens; ++I)
    if (I != Tokens)
      Ratios[I] += (priorRatio(I) - Ratios[I]) * RatioFade;
  Ratios[Tokens] *= std::pow(Error, RatioWeight);
}

} // namespace cria::runtime
