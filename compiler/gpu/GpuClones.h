// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The code for GPUs of one artifact: one module for all GPUs from the tile
// stage on, or two where some have wgmma and may use it, as nothing else
// depends on which it is; and PTX text for each in the description of the model
// at the end.

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

  /// A module for some of the targets.
  struct Code {
    bool wgmma;
    mlir::OwningOpRef<mlir::ModuleOp> module;

    /// Of files that show it.
    llvm::StringRef name() const { return wgmma ? "gpu-wgmma" : "gpu"; }
  };

  /// What its kernels are made with.
  static void adjust(const Code &code, PipelineOptions &options);

  /// Makes the modules, from that of the CPUs. Only fast numerics have a use
  /// for wgmma (gpu/VectorizeTeamWgmma.cpp).
  void split(mlir::ModuleOp source, bool isFast);
  /// None before.
  llvm::ArrayRef<Code> codes() const { return owned; }

  /// Before the stage llvm: they read the weights in the order of `info`, which
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
  std::vector<Code> owned;
  std::vector<std::pair<std::string, std::string>> written;
};

} // namespace cria

#endif // CRIA_COMPILER_GPU_GPUCLONES_H
