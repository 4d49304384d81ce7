// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights of a team's next linear, on their way to L2 while blocks wait for
// each other.

#ifndef CRIA_COMPILER_GPU_FETCHAHEAD_H
#define CRIA_COMPILER_GPU_FETCHAHEAD_H

#include "dialect/CriaOps.h"

namespace cria {

/// `ops` are a function's linears of teams, in their order and in memref form.
/// Behind the last loop before a barrier, every team asks for the weights of
/// its first task of the linear that follows in the same block, up to
/// kGpuFetchBytes of each array. Weights depend on nothing that the barrier is
/// for.
void fetchAhead(llvm::ArrayRef<FusedLinearOp> ops);

/// Before `op`, asks for the weights of the team's next task of it, which are
/// then read from L2: memory works on through the sums and the epilogue.
void fetchNextTask(FusedLinearOp op);

} // namespace cria

#endif // CRIA_COMPILER_GPU_FETCHAHEAD_H
