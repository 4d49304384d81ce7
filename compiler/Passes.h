// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Declarations of every cria pass; Passes.td and what it includes document
// them.

#ifndef CRIA_COMPILER_PASSES_H
#define CRIA_COMPILER_PASSES_H

#include "compiler/target/GpuTarget.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassRegistry.h"

#include <memory>
#include <string>

namespace cria {

#define GEN_PASS_DECL
#include "compiler/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "compiler/Passes.h.inc"

/// Registers the pipelines of Pipeline.h under their stage names.
void registerPipelines();

} // namespace cria

#endif // CRIA_COMPILER_PASSES_H
