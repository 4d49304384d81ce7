// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Statistics of rows of logits, and what they add up to over a text.
#ifndef CRIA_TOOLS_DIVERGENCE_H
#define CRIA_TOOLS_DIVERGENCE_H

#include <cstdint>
#include <vector>

namespace cria::tools {

/// One row of logits l: softmax is exp(l - LogZ).
struct RowStatistics {
  double LogZ;     // log of the sum of exp(l): z-loss trains its square to 0
  int32_t Largest; // the first of the largest entries
};

/// `Size` >= 1. Entries that are not finite make LogZ so as well.
RowStatistics rowStatistics(const float *Logits, int64_t Size);

/// KL(P || Q) in nats of the softmax of two rows: sum of P (log P - log Q).
double klDivergence(const float *P, const RowStatistics &OfP, const float *Q,
                    const RowStatistics &OfQ, int64_t Size);

/// What is said of one scored position.
struct Score {
  int64_t Position;    // in its window
  double Nll;          // -log of the probability of the token that follows
  double SquaredLogZ;  //
  double ReferenceNll; // these three: against a reference only
  double Kl;           // KL(reference || model)
  bool SameTop;        // both give the most to the same token
};

/// Over some scores.
struct Summary {
  int64_t Tokens = 0;
  double Perplexity = 0, PerplexityError = 0; // exp of the mean; standard error
  double Z = 0;                               // mean of log^2 Z
  double ReferencePerplexity = 0;
  double KlMean = 0, KlHigh = 0, KlMost = 0; // KlHigh: the 99th percentile
  double SameTop = 0;                        // share, 0 .. 1
};

/// Of those with Begin <= Position < End. `Tokens` is 0 where there are none.
Summary summarise(const std::vector<Score> &Scores, int64_t Begin, int64_t End);

} // namespace cria::tools

#endif // CRIA_TOOLS_DIVERGENCE_H
