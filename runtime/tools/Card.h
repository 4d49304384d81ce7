// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The card of proportions: how the sizes of a model relate to each other,
// beside the range in which those of well-known models lie.
#ifndef CRIA_TOOLS_CARD_H
#define CRIA_TOOLS_CARD_H

#include "cria/cria.h"

#include <string>
#include <vector>

namespace cria::tools {

struct Proportion {
  const char *Key;  // for JSON
  std::string Name; // "d_ff / d_model"
  double Value;
  double Least, Most; // usual; Most is 0 where there is no such range
  std::string Remark; // empty within the range
};

/// What one token costs: exact where the compiler has said what the model is
/// made of, else by the formulas of a Llama.
struct TokenCost {
  double Flops;       // of its matrix products
  double Bytes;       // of weights read for it, by itself
  double CachedFlops; // for each token in the cache
  double CachedBytes;
};

TokenCost tokenCost(const cria_artifact *Artifact);
std::vector<Proportion> proportions(const cria_artifact *Artifact);

} // namespace cria::tools

#endif // CRIA_TOOLS_CARD_H
