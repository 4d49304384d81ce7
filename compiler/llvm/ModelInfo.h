// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a module at the end of the `vector` stage says about its model: the
// numbers of cria_model (abi.h) and the arguments of its entry functions.

#ifndef CRIA_COMPILER_LLVM_MODELINFO_H
#define CRIA_COMPILER_LLVM_MODELINFO_H

#include "compiler/llvm/ProfileTable.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/Support/LLVM.h"

#include <string>
#include <vector>

namespace cria {

struct ModelInfo {
  struct Weight {
    std::string name; ///< of the array in model.safetensors
    mlir::MemRefType type;
    uint64_t bytes;

    bool operator==(const Weight &other) const {
      return name == other.name && bytes == other.bytes;
    }
  };

  std::string name, architecture, metadata;
  int64_t vocab = 0, width = 0, layers = 0, heads = 0, kvHeads = 0, headDim = 0,
          ffn = 0, context = 0, maxBatch = 0;
  int64_t kvElementBytes = 0, kvBytesPerToken = 0;
  /// Bytes of one position of one head, keys or values.
  int64_t kvHeadBytes = 0;
  /// Sum over `weights`.
  uint64_t weightsBytes = 0;
  /// Multiples of 64.
  uint64_t arenaBytes = 0, threadArenaBytes = 0;
  /// In the order of cria_forward_args.weights.
  std::vector<Weight> weights;
  /// Empty without --profile.
  std::vector<ProfileOp> profile;

  /// Either `plain`, or `prefill` and perhaps `decode`; with that perhaps
  /// `batch`.
  mlir::func::FuncOp plain, prefill, decode, batch;

  /// Checks the module on the way; a failure has been reported on the op.
  static mlir::FailureOr<ModelInfo> get(mlir::ModuleOp module);
};

/// On the module that describes the model, what is in cria_model.gpu_clones and
/// gpu_shared_bytes: a dictionary each, of cria_gpu_clone's fields and `shared`.
constexpr llvm::StringLiteral kGpuClonesAttr = "cria.gpu_clones";

/// Prefix of a `cria.arg` that names an array of the weights file.
constexpr llvm::StringLiteral kWeightArgPrefix = "weight:";

} // namespace cria

#endif // CRIA_COMPILER_LLVM_MODELINFO_H
