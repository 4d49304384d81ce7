// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Builds the module of a Llama, from the numbers that describe one and the
// types of its tensors. The importers of GGUF and of Hugging Face folders
// differ only in how they come by these.
#ifndef CRIA_COMPILER_IMPORT_LLAMAMODULE_H
#define CRIA_COMPILER_IMPORT_LLAMAMODULE_H

#include "compiler/import/Import.h"
#include "dialect/CriaDialect.h"
#include "llvm/ADT/SmallVector.h"

namespace cria {

enum class TensorNames { Gguf, HuggingFace };

struct LlamaDescription {
  std::string name;
  int64_t vocab = 0, width = 0, layers = 0, heads = 0, kvHeads = 0, headDim = 0,
          ffn = 0, context = 0;
  double eps = 0;
  /// What scores are multiplied by; 0 stands for 1 / sqrt(headDim).
  double attentionScale = 0;
  RopeAttr rope;
  std::optional<int64_t> bos;
  llvm::SmallVector<int64_t> eos;

  TensorNames names = TensorNames::Gguf;
  /// Not given: tied where there is no tensor for the head (GGUF's rule).
  std::optional<bool> tied;
  /// Not given: a bias is there where its tensor is (GGUF's rule).
  std::optional<bool> attentionBias, mlpBias;
};

/// The source's name of the tensor of frequency divisors.
constexpr llvm::StringLiteral ropeFreqsTensor = "rope_freqs.weight";

/// Checks every tensor of `source` by name, shape and type. The dialects must
/// have been loaded into the context.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
buildLlamaModule(const LlamaDescription &llama, const TensorSource &source,
                 const ImportOptions &options, mlir::MLIRContext &context);

/// Tokens that a call may have where nobody asks: 512, 256 or 128, the most
/// with which the widest activations stay within 16 MB, and 128 where none do.
/// A token's are the residual stream and the feed-forward's hidden values as
/// f32, and the latter in up to two bytes as the next linear's input. Prefill
/// is no slower: 256 tokens are already enough work for each read of a weight.
int64_t usualBatch(int64_t width, int64_t ffn);

/// The context and batch that `options` ask of a model with `context`
/// positions, and with `batch` where they ask for none.
struct Capacity {
  int64_t context, batch;
};
llvm::Expected<Capacity> chooseCapacity(llvm::StringRef path, int64_t context,
                                        int64_t batch,
                                        const ImportOptions &options);

// The importers behind importModel.
llvm::Expected<ImportedModel> importGguf(std::unique_ptr<TensorSource> source,
                                         mlir::MLIRContext &context,
                                         const ImportOptions &options);
llvm::Expected<ImportedModel> importHf(llvm::StringRef folder,
                                       mlir::MLIRContext &context,
                                       const ImportOptions &options);
llvm::Expected<ImportedModel> importMlir(llvm::StringRef path,
                                         mlir::MLIRContext &context,
                                         const ImportOptions &options);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_LLAMAMODULE_H
