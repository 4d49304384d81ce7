// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Builds the module of any decoder from its description and the tensors of its
// source.
#ifndef CRIA_COMPILER_IMPORT_DECODERMODULE_H
#define CRIA_COMPILER_IMPORT_DECODERMODULE_H

#include "compiler/import/DecoderDescription.h"
#include "compiler/import/Import.h"
#include "dialect/CriaDialect.h"

namespace cria {

/// Checks every tensor of `source` by name, shape and type. The dialects must
/// have been loaded into the context. Notes are added to the model's.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
buildDecoderModule(DecoderDescription &model, const TensorSource &source,
                   const ImportOptions &options, mlir::MLIRContext &context);

/// Tokens that a call may have where nobody asks: 512, 256 or 128, the most
/// with which the widest activations stay within 16 MB, and 128 where none do.
/// A token's are the residual stream and the feed-forward's hidden values as
/// f32, and the latter in up to two bytes as the next linear's input. Prefill
/// is no slower: 256 tokens are already enough work for each read of a weight.
int64_t usualBatch(int64_t width, int64_t ffn);

/// The context and batch that `options` ask of a model with `context`
/// positions, and with `batch` where they ask for none. `most` is the longest
/// context, and `bound` what sets it.
struct Capacity {
  int64_t context, batch;
};
llvm::Expected<Capacity> chooseCapacity(llvm::StringRef path, int64_t context,
                                        int64_t batch, int64_t most,
                                        const llvm::Twine &bound,
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

#endif // CRIA_COMPILER_IMPORT_DECODERMODULE_H
