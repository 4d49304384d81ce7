// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The module after each pass of the pipeline.

#ifndef CRIA_COMPILER_VERIFY_PASSTRACE_H
#define CRIA_COMPILER_VERIFY_PASSTRACE_H

#include "compiler/Pipeline.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"

#include <functional>
#include <string>
#include <vector>

namespace cria {

/// Called after each pass, with its argument ("cria-fuse-glu"): tests put bugs
/// in here. Empty in the tool.
using AfterPass = std::function<void(llvm::StringRef pass, mlir::Operation *)>;

struct Step {
  Stage stage = Stage::import;
  /// Its argument; empty for the module as it was imported.
  std::string pass;
  /// As --pass-pipeline takes it on a module: "func.func(cria-fuse-glu)".
  std::string pipeline;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

/// Runs the stages from `first` to the vector stage on `module` and appends a
/// step for each pass that changed it. A failure has been reported.
mlir::LogicalResult tracePasses(mlir::ModuleOp module, Stage first,
                                const PipelineOptions &options,
                                const AfterPass &afterPass,
                                std::vector<Step> &steps);

/// Runs one pipeline, of a Step, with `afterPass` on a module.
mlir::LogicalResult runPipeline(mlir::ModuleOp module, llvm::StringRef pipeline,
                                const AfterPass &afterPass);

} // namespace cria

#endif // CRIA_COMPILER_VERIFY_PASSTRACE_H
