// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The factors of ALiBi, for importers: `slopes` of a cria.attention.

#ifndef CRIA_COMPILER_TARGET_ALIBISLOPES_H
#define CRIA_COMPILER_TARGET_ALIBISLOPES_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/MathExtras.h"

#include <cmath>

namespace cria {

/// One factor a head, by which a score falls with each position between query
/// and key (Press et al. 2022, section 3): 2^(-most h / heads) for h = 1 ..
/// heads, with most = 8 in the paper and in all but some MPT models
/// (alibi_bias_max). Where heads is no power of two, those of the next power P
/// in the order 2, 4, .. P, 1, 3, .., as the paper's code, BLOOM and MPT have
/// it. Falcon adds the bias before it scales the scores: multiply by the scale.
inline llvm::SmallVector<float> alibiSlopes(int64_t heads, double most = 8.0) {
  llvm::SmallVector<float> slopes;
  if (heads <= 0)
    return slopes;
  int64_t power = static_cast<int64_t>(llvm::PowerOf2Ceil(heads));
  auto append = [&](int64_t first, int64_t step) {
    for (int64_t h = first;
         h <= power && static_cast<int64_t>(slopes.size()) < heads; h += step)
      slopes.push_back(static_cast<float>(
          std::exp2(-most * static_cast<double>(h) / double(power))));
  };
  if (power == heads) {
    append(1, 1);
  } else {
    append(2, 2);
    append(1, 2);
  }
  return slopes;
}

} // namespace cria

#endif // CRIA_COMPILER_TARGET_ALIBISLOPES_H
