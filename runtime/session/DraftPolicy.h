// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How many tokens to draft. A draft of k tokens behind a match of m gives on
// average
//
//   E(k) = 1 + p(m) + p(m) p(m+1) + ... + p(m) ... p(m+k-1)
//
// tokens (Leviathan et al. 2023, section 3.1, with p by the length of the
// match, which a right token makes one longer), and costs the time t(1 + k).
// Both are learnt; the k with the largest E(k) / t(1 + k) is taken.
#ifndef CRIA_SESSION_DRAFTPOLICY_H
#define CRIA_SESSION_DRAFTPOLICY_H

#include <array>
#include <cstdint>

namespace cria::runtime {

class DraftPolicy {
public:
  static constexpr int64_t MostTokens = 64; // of a run

  DraftPolicy();

  /// The length of a draft behind a match, 0 to `Most` < MostTokens.
  int64_t choose(int64_t MatchLength, int64_t Most);

  /// Of a draft, `Checked` tokens were compared, and `Right` agreed.
  void learnDraft(int64_t MatchLength, int64_t Checked, int64_t Right);

  /// A run of so many tokens took so long.
  void learnTime(int64_t Tokens, double Seconds);

  /// That the token after a match of so many is what it was then.
  double probability(int64_t MatchLength) const;

  /// Of a run of so many tokens; in seconds once a time has been learnt.
  double time(int64_t Tokens) const {
    return (Scale > 0 ? Scale : 1) * Ratios[Tokens];
  }

private:
  struct Tally {
    double Right = 0, Wrong = 0;
    void fade(double By) { Right *= By, Wrong *= By; }
  };
  static constexpr int Classes = 9;
  static int classOf(int64_t MatchLength);

  std::array<Tally, Classes> Tallies = {};
  double Scale = 0;                               // seconds; 0: not known
  std::array<double, MostTokens + 1> Ratios = {}; // of a run's time to Scale
};

} // namespace cria::runtime

#endif // CRIA_SESSION_DRAFTPOLICY_H
