// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The code for GPUs of one artifact: one module for all GPUs from the tile
// stage on, as nothing in it depends on which it is, and PTX text for each in
// the description of the model at the end.

#ifndef CRIA_COMPILER_GPU_GPUCLONES_H
#define CRIA_COMPILER_GPU_GPUCLONES_H

#include "compiler/Pipeline.h"
#include "compiler/llvm/ModelInfo.h"
#include "compiler/target/GpuTarget.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <utility>
#include <vector>

namespace cria {

class GpuClones {
public:
  /// Takes the GPUs out of a list of targets with commas. Returns the others,
  /// or "native" where there are none, because an artifact runs on a CPU too.
  llvm::Expected<std::string> takeTargets(llvm::StringRef names);

  bool empty() const { return chosen.empty(); }
  llvm::ArrayRef<const GpuTarget *> targets() const { return chosen; }

  /// What the kernels of a GPU are made with.
  static void adjust(PipelineOptions &options);

  /// Makes the module, from that of the CPUs.
  void split(mlir::ModuleOp source) { owned = source.clone(); }
  /// Null before.
  mlir::ModuleOp module() const { return *owned; }

  /// Before the stage llvm: it reads the weights in the order of `info`, which
  /// is that of the CPU's code.
  llvm::Error check(const ModelInfo &info) const;

  /// After it: makes the texts, and puts them on `described`, which
  /// cria-emit-entry has yet to see.
  llvm::Error emit(mlir::ModuleOp described, llvm::StringRef symbolPrefix,
                   const ModelInfo &info);
  /// Of each target's name.
  llvm::ArrayRef<std::pair<std::string, std::string>> texts() const {
    return written;
  }

private:
  std::vector<const GpuTarget *> chosen;
  mlir::OwningOpRef<mlir::ModuleOp> owned;
  std::vector<std::pair<std::string, std::string>> written;
};

} // namespace cria

#endif // CRIA_COMPILER_GPU_GPUCLONES_H
