// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Cuts a module down as long as a pass still changes what it computes, and so
// finds the op.

#ifndef CRIA_COMPILER_VERIFY_REDUCER_H
#define CRIA_COMPILER_VERIFY_REDUCER_H

#include "compiler/target/Target.h"
#include "compiler/verify/PackedWeights.h"
#include "compiler/verify/PassTrace.h"
#include "compiler/verify/Trial.h"

#include "llvm/ADT/StringMap.h"

#include <functional>
#include <optional>

namespace cria {

/// Runs modules before and after a pass, on random weights.
class PassCheck {
public:
  /// `pipeline`: of a Step; empty stands for the llvm and emit stages.
  /// Weights are packed into files in `scratch`.
  PassCheck(std::string pipeline, Target target, AfterPass afterPass,
            std::string scratch)
      : pipeline(std::move(pipeline)), target(std::move(target)),
        afterPass(std::move(afterPass)),
        weights(std::move(scratch), nullptr, 1) {}

  /// How far apart the results of `tokens` tokens are. Leaves the module alone.
  /// With `only`, the pass gets to see that kernel on memrefs and no other.
  llvm::Expected<Distance> compare(mlir::ModuleOp module, int64_t tokens,
                                   std::optional<size_t> only = {});

private:
  std::string pipeline;
  Target target;
  AfterPass afterPass;
  PackedWeights weights;
};

struct Reduction {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  int64_t tokens = 0;
  /// Its inputs are what the model computed, not random rows.
  bool hasCaptured = false;
  Distance distance;
  /// "cria.glu of ffn_gate, ffn_up"; see describeOp.
  std::string op;
};

/// The rows that op `number` of `module`, `before` of reduce with its ops
/// numbered (Layers.h), gives for the first `tokens` tokens of the model's
/// text.
using Capture = llvm::function_ref<llvm::Expected<Logits>(
    mlir::ModuleOp module, int64_t number, int64_t tokens)>;

/// Reduces `before`, which the check's pass changes by more than `tolerance`,
/// to `layer` of its layers if that alone shows it. No module comes back where
/// random weights do not show it. `names` are the tensors of the model's file
/// by param. What the reduced module gets from the ops that were cut off is
/// captured where it shows the same, and is small.
Reduction reduce(mlir::ModuleOp before, PassCheck &check, double tolerance,
                 int64_t layer, const llvm::StringMap<std::string> &names,
                 Capture capture);

} // namespace cria

#endif // CRIA_COMPILER_VERIFY_REDUCER_H
