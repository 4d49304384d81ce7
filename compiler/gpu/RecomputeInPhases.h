// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a phase of a kernel needs, computed where it begins.
//
// A kernel of a whole step is a chain of phases with a barrier of all blocks
// between each two, in a loop over layers. What the phases' addresses start
// from, a weight's base and the block's share of it, does not change in that
// loop, so that LLVM computes it once before: at 8B 100 registers and more,
// which every phase goes without. Here each phase computes what it needs, from
// the thread's and the block's numbers as asm reads them behind the barrier,
// which nothing moves or merges:
//
//   %b = call i32 @ctaid()                    %b = call i32 @ctaid()
//   %s = shl i32 %b, 11                  ->   ...
//   %p = getelementptr i8, ptr %w, %s         barrier
//   ...                                       %own = call i32 asm "mov ctaid"
//   barrier                                   %s = shl i32 %own, 11
//   load %p                                   %p = getelementptr i8, ptr %w, %s
//                                             load %p
//
// Some tens of integer instructions, at a place where blocks have waited for
// each other for a microsecond. So that ptxas does not undo it, the counter of
// layers, which counts in 32 bits, goes through a shuffle to each phase. What
// is computed from anything else (other loads) stays where it is.
//
// The same within a phase, around a team's attention (TeamBuilder::beginPhase).
// And loops with a barrier of the block are not to be unrolled: ptxas does so,
// and has several rounds' values in registers at once.

#ifndef CRIA_COMPILER_GPU_RECOMPUTEINPHASES_H
#define CRIA_COMPILER_GPU_RECOMPUTEINPHASES_H

#include "llvm/IR/PassManager.h"

namespace cria {

/// What a phase begins with (PTX): the numbers of the block, of blocks, and of
/// the thread.
constexpr llvm::StringLiteral kPhaseStart =
    "mov.u32 $0, %ctaid.x; mov.u32 $1, %nctaid.x; mov.u32 $2, %tid.x;";

/// For functions that have these asm statements; leaves dead code behind.
struct RecomputeInPhases : llvm::PassInfoMixin<RecomputeInPhases> {
  llvm::PreservedAnalyses run(llvm::Function &function,
                              llvm::FunctionAnalysisManager &analyses);
};

} // namespace cria

#endif // CRIA_COMPILER_GPU_RECOMPUTEINPHASES_H
