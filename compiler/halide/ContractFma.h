// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef CRIA_COMPILER_HALIDE_CONTRACTFMA_H
#define CRIA_COMPILER_HALIDE_CONTRACTFMA_H

#include "llvm/IR/Function.h"

namespace cria {

/// Makes each product that is added or subtracted a fused multiply-add. Halide
/// has no expression for one, and left to LLVM it would depend on the target
/// whether there is one, and so would the bits. Of a sum of two products the
/// first operand's is fused: `a * b + c * d` is `fma(a, b, c * d)`. False if a
/// product reaches a sum in a way that cannot be followed; nothing is known of
/// the bits then.
bool contractFma(llvm::Function &function);

} // namespace cria

#endif // CRIA_COMPILER_HALIDE_CONTRACTFMA_H
