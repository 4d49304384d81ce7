// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The plain line: a model to loops over memrefs without any optimised path.

#ifndef CRIA_COMPILER_PLAIN_PLAINPIPELINE_H
#define CRIA_COMPILER_PLAIN_PLAINPIPELINE_H

#include "mlir/Pass/PassManager.h"

namespace cria {

/// From model ops to functions of affine-free loops over memrefs. Afterwards
/// every `cria.entry` function returns nothing and each of its arguments
/// carries `cria.arg`: those it had, one "weight:PARAM" or "weight:PARAM.PART"
/// for each array of each param (read-only), then "logits" (written). The
/// caches "keys" and "values" are updated in place; a model for which that is
/// impossible is refused. The code calls malloc, free and libm. The dialects
/// alive are arith, func, memref and scf; cria.param ops are gone.
void buildPlainPipeline(mlir::OpPassManager &pm);

/// Registers it as --cria-plain.
void registerPlainPipeline();

} // namespace cria

#endif // CRIA_COMPILER_PLAIN_PLAINPIPELINE_H
