// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.attention_partials of a team of a GPU.

#ifndef CRIA_COMPILER_GPU_TEAMPARTIALS_H
#define CRIA_COMPILER_GPU_TEAMPARTIALS_H

#include "dialect/CriaOps.h"

namespace cria {

/// Whether a team can compute the partials that no tensor core takes
/// (gpu/TeamAttention.h), of f32 mostly: caches of floats, heads whose
/// columns the 16 groups share out, and scores that fit in the team's memory.
bool isForTeam(AttentionPartialsOp op);

/// Emits the loops of an op that isForTeam, in its memref form, before it. The
/// groups take a block of 16 positions each for the scores, a query head for
/// the sums, and 16 columns for the values; every number is computed as one
/// thread of a CPU does, so that its bits are the same.
void emitTeamPartials(AttentionPartialsOp op);

} // namespace cria

#endif // CRIA_COMPILER_GPU_TEAMPARTIALS_H
