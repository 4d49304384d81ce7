// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria compile, from its options to its files.

#ifndef CRIA_COMPILER_TOOLS_DRIVER_H
#define CRIA_COMPILER_TOOLS_DRIVER_H

#include "compiler/Pipeline.h"
#include "compiler/emit/OutputFolder.h"
#include "compiler/gpu/GpuClones.h"
#include "compiler/import/Import.h"
#include "compiler/import/PackWeights.h"
#include "compiler/llvm/ModelInfo.h"
#include "compiler/target/Target.h"
#include "compiler/tools/CompileOptions.h"
#include "compiler/tools/Progress.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <set>

namespace cria {

/// One run of `cria compile`.
class Driver {
public:
  /// The options have been parsed, and stay alive.
  Driver(Options &options, std::string toolPath);

  llvm::Error run();
  /// The line of the progress bar is for other things from here on.
  void endProgress() { progress.end(); }
  void printResults() const;

private:
  /// Takes what the options say, or says what is wrong with them.
  llvm::Error checkOptions();
  llvm::Error checkQuantize();
  llvm::Error checkTuning();
  llvm::Error load();
  llvm::Error loadModule(const std::string &file, Stage stage);
  llvm::Error runStage(Stage stage);
  PipelineOptions lineFor(const Target &target) const;
  llvm::Error writeTuningSpace();
  llvm::Error runPasses(Stage stage, mlir::ModuleOp module, size_t clone,
                        const GpuClones::Code *gpuCode = nullptr);
  llvm::Error runGpuPasses(Stage stage);
  void split();
  llvm::Error readInfo();
  llvm::Error afterStage(Stage stage);
  llvm::Error addMetadata(llvm::json::Object added);
  llvm::Error describe();
  llvm::Error writeCode();
  llvm::Error writeWeights();
  llvm::Error writeFiles();
  bool wants(Output kind) const { return outputs.count(kind); }
  /// The module as files: one, or one for each clone.
  llvm::Error writeStage(Stage stage, OutputFolder &files);
  /// "-" and the clone's target, if there are several.
  std::string suffix(size_t clone) const;

  Options *options;
  std::string toolPath;
  Progress progress;
  std::vector<Target> targets;
  std::string targetNames;
  std::set<Output> outputs;
  std::optional<Stage> start, stop;
  /// Code for weights that are somewhere else already.
  bool codeOnly = false;
  bool isFast = false;

  std::unique_ptr<mlir::MLIRContext> context;
  /// Its module is that of all targets, until split().
  ImportedModel model;
  /// From the vector stage on, a module for each target.
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> clones;
  /// From the tile stage on.
  GpuClones gpu;
  /// As after the dialect stage: its params say what the weights file holds.
  mlir::OwningOpRef<mlir::ModuleOp> description;
  std::string descriptionText, sourceHash;
  ModelInfo info;
  std::vector<PackedTensor> packed; // where --quantize is given
  std::unique_ptr<OutputFolder> folder, dumps;
};

} // namespace cria

#endif // CRIA_COMPILER_TOOLS_DRIVER_H
