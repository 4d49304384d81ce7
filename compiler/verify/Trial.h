// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What cria verify asks a model, and how far two answers are apart.

#ifndef CRIA_COMPILER_VERIFY_TRIAL_H
#define CRIA_COMPILER_VERIFY_TRIAL_H

#include "compiler/verify/Program.h"

#include "llvm/ADT/ArrayRef.h"

namespace cria {

/// Ragged sequences of `tokens`: prompts in two chunks, the second at cache
/// positions above 0, then a decode step of all and one of a single sequence.
/// No position reaches `context`, no call takes more than `batch` tokens, and
/// no chunk has more than `longest`, which one does where there is room.
Trial makeTrial(llvm::ArrayRef<int32_t> tokens, int64_t context, int64_t batch,
                int64_t longest = 9);

/// One call of these tokens, whose logits are all wanted, from position 0: in a
/// reduced module any tensor may have their number of rows.
Trial makeSmallTrial(llvm::ArrayRef<int32_t> tokens);
/// Of `count` tokens below `vocab`.
Trial makeSmallTrial(int64_t count, int64_t vocab);

struct Distance {
  /// The largest over rows of |a - b| / |a|, both as root mean squares. Not
  /// finite where b is not, or where a row has other dimensions.
  double error = 0;
  /// Mean of KL(a || b) in nats.
  double kl = 0;
};

Distance distance(const Logits &a, const Logits &b);

} // namespace cria

#endif // CRIA_COMPILER_VERIFY_TRIAL_H
