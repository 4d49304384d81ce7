// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Divergence.h"

#include <algorithm>
#include <cmath>

namespace cria::tools {

RowStatistics rowStatistics(const float *Logits, int64_t Size) {
  const float *Largest = std::max_element(Logits, Logits + Size);
  double Sum = 0;
  for (int64_t I = 0; I < Size; ++I)
    Sum += std::exp(double(Logits[I]) - double(*Largest));
  return {double(*Largest) + std::log(Sum),
          static_cast<int32_t>(Largest - Logits)};
}

double klDivergence(const float *P, const RowStatistics &OfP, const float *Q,
                    const RowStatistics &OfQ, int64_t Size) {
  double Sum = 0;
  for (int64_t I = 0; I < Size; ++I) {
    double LogP = double(P[I]) - OfP.LogZ;
    double Share = std::exp(LogP);
    // A token that P rules out adds nothing, whatever Q makes of it.
    if (Share > 0)
      Sum += Share * (LogP - (double(Q[I]) - OfQ.LogZ));
  }
  // Rounding alone may bring equal rows below.
  return Sum < 0 ? 0 : Sum;
}

Summary summarise(const std::vector<Score> &Scores, int64_t Begin,
                  int64_t End) {
  Summary All;
  std::vector<double> Divergences;
  double Nll = 0, Squares = 0, ReferenceNll = 0, Kl = 0, Z = 0;
  int64_t Same = 0;
  for (const Score &One : Scores) {
    if (One.Position < Begin || One.Position >= End)
      continue;
    ++All.Tokens;
    Nll += One.Nll;
    Squares += One.Nll * One.Nll;
    Z += One.SquaredLogZ;
    ReferenceNll += One.ReferenceNll;
    Kl += One.Kl;
    Same += One.SameTop;
    Divergences.push_back(One.Kl);
  }
  if (!All.Tokens)
    return All;
  double Count = static_cast<double>(All.Tokens);
  double Mean = Nll / Count;
  All.Perplexity = std::exp(Mean);
  // exp's slope turns the error of the mean into that of the perplexity.
  double Variance = std::max(0.0, Squares / Count - Mean * Mean);
  All.PerplexityError =
      Count > 1 ? All.Perplexity * std::sqrt(Variance / (Count - 1)) : 0;
  All.Z = Z / Count;
  All.ReferencePerplexity = std::exp(ReferenceNll / Count);
  All.KlMean = Kl / Count;
  All.SameTop = static_cast<double>(Same) / Count;
  // The nearest rank: the least value that 99 % of them do not exceed.
  size_t Rank = static_cast<size_t>(std::ceil(0.99 * Count)) - 1;
  std::nth_element(Divergences.begin(), Divergences.begin() + Rank,
                   Divergences.end());
  All.KlHigh = Divergences[Rank];
  All.KlMost = *std::max_element(Divergences.begin(), Divergences.end());
  return All;
}

} // namespace cria::tools
