// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The llvm stage: from loops and vectors on memrefs to the LLVM dialect.

#ifndef CRIA_COMPILER_LLVM_LLVMPIPELINE_H
#define CRIA_COMPILER_LLVM_LLVMPIPELINE_H

#include "compiler/target/Target.h"

#include "mlir/Pass/PassManager.h"

#include <string>
#include <vector>

namespace cria {

struct LlvmPipelineOptions {
  /// Of all clones, the most capable first, and which one this module is. The
  /// first has the model's description.
  std::vector<Target> targets;
  size_t clone = 0;
  /// Begins the names of the C functions.
  std::string symbolPrefix = "model_";
};

/// Takes what either line leaves: `cria.entry` functions over memrefs (see
/// ModelInfo.h). Alive afterwards: llvm. No step may reorder or contract
/// floating-point operations, because logits are bitwise equal on all targets.
void buildLlvmPipeline(mlir::OpPassManager &pm,
                       const LlvmPipelineOptions &options);

/// The same for a GPU: lanes become threads, and the function that runs them
/// is `<symbolPrefix>forward`. What it calls is in gpu/Ptx.cpp.
void buildGpuLlvmPipeline(mlir::OpPassManager &pm,
                          llvm::StringRef symbolPrefix);

} // namespace cria

#endif // CRIA_COMPILER_LLVM_LLVMPIPELINE_H
