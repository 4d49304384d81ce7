// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What addresses in a loop start from, hidden from loop strength reduction.
//
// An address in a kernel is a sum of a weight's base and of a share of every
// loop around. Loop strength reduction (LSR) tries the ways to split that sum
// over registers, for each address of an innermost loop: it took half of code
// generation. What does not change in the loop is one register anyway. Here it
// becomes one value that nothing looks through, by a `freeze` before the loop:
//
//   loop:                                    %base = freeze ptr %p
//     %i = phi ...                           %next = getelementptr i8, %base,
//     576 getelementptr float, ptr %p, %i   ->   loop: getelementptr float, ptr
//     %q, %i          getelementptr float, ptr %base, %i
//                                              getelementptr float, ptr %next,
//                                              %i
//
// where %p and %q are sums and %q is %p + 576: pointers a constant apart share
// the value, because LSR then folds the constant into an instruction's offset.
// A freeze costs no instruction. Passes that see through sums (instcombine,
// loop passes) come before.

#ifndef CRIA_COMPILER_EMIT_FREEZEADDRESSES_H
#define CRIA_COMPILER_EMIT_FREEZEADDRESSES_H

#include "llvm/IR/PassManager.h"

namespace cria {

struct FreezeAddresses : llvm::PassInfoMixin<FreezeAddresses> {
  llvm::PreservedAnalyses run(llvm::Function &function,
                              llvm::FunctionAnalysisManager &analyses);
};

} // namespace cria

#endif // CRIA_COMPILER_EMIT_FREEZEADDRESSES_H
