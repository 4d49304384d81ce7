// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A module compiled into this process, and batches that run through it.

#ifndef CRIA_COMPILER_VERIFY_PROGRAM_H
#define CRIA_COMPILER_VERIFY_PROGRAM_H

#include "compiler/import/SafetensorsReader.h"
#include "compiler/target/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <vector>

struct cria_model;
namespace llvm::orc {
class LLJIT;
}

namespace cria {

/// One call of a model; see cria_forward_args.
struct Batch {
  std::vector<int32_t> tokens, positions, sequences, slots, outputs;
};

/// What a model is asked: batches in order over one KV cache.
struct Trial {
  std::vector<Batch> batches;
  int64_t sequences = 1, pagesPerSequence = 1;

  int64_t pages() const { return sequences * pagesPerSequence; }
  /// Every sequence has pages of its own, not in their order.
  std::vector<int32_t> tables() const;
};

/// Rows of logits, `columns` each.
struct Logits {
  int64_t columns = 0;
  std::vector<float> values;
};

class Program {
public:
  /// `module` as after some pass: runs by the reference (ReferenceLowering.h).
  static llvm::Expected<std::unique_ptr<Program>>
  reference(mlir::OwningOpRef<mlir::ModuleOp> module, const Target &target);
  /// `module` as after the vector stage: through the llvm and emit stages.
  static llvm::Expected<std::unique_ptr<Program>>
  native(mlir::OwningOpRef<mlir::ModuleOp> module, const Target &target);
  ~Program();

  /// `weights` as packWeights wrote them for this module. Only machine code may
  /// run by several threads.
  llvm::Expected<Logits> run(const Trial &trial, const SafetensorsFile &weights,
                             int64_t threads = 1) const;

private:
  Program();
  llvm::Error load(mlir::ModuleOp module, const Target &target, bool plain);

  mlir::OwningOpRef<mlir::ModuleOp> kernels;
  std::unique_ptr<llvm::orc::LLJIT> jit;
  const cria_model *model = nullptr;
  bool hasPairs = false; // see resetReferenceKernels
};

} // namespace cria

#endif // CRIA_COMPILER_VERIFY_PROGRAM_H
