// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Import: from a model on disk to a module in the cria dialect.
//
//   cria::ImportOptions options;
//   options.context = 2048;
//   auto model = cria::importModel("model.gguf", context, options);
//   if (!model) return model.takeError();
//   (*model)->module->dump();
//
// Three kinds of input:
//   FILE.gguf    an architecture of families/Gguf.cpp
//   FOLDER       a Hugging Face model of a family in families/: config.json
//                and safetensors
//   FILE.mlir    a description written by hand (see examples/). Its module
//                may name a weights file in `cria.source`, a tokenizer.json in
//                `cria.tokenizer` and a template in `cria.chat_template`, all
//                relative to its own folder.
//
// Whatever could change the mathematics is understood or refused: an Error
// names the file, the key or tensor, what was found and what is accepted.
#ifndef CRIA_COMPILER_IMPORT_IMPORT_H
#define CRIA_COMPILER_IMPORT_IMPORT_H

#include "compiler/import/TensorSource.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cria {

struct ImportOptions {
  /// Positions a sequence may have; by default what the model was made for.
  /// More are at most the rows of a learned table of positions; where there is
  /// none they are possible, and noted.
  std::optional<int64_t> context;
  /// Rope whose frequencies depend on the length of a sequence (dynamic NTK,
  /// LongRoPE) takes those of this length at every position. By default each
  /// token takes those of the length that it sees: see RopeFrequencies.h.
  std::optional<int64_t> ropeLength;
  /// Tokens a call may have; the smaller of 512 and the context by default.
  std::optional<int64_t> batch;
  /// For weights that no file holds: written to the module's `cria.seed`.
  std::optional<uint64_t> seed;
  /// Makes so many kv heads of the model's, a divisor of them: see
  /// poolKvHeads.
  std::optional<int64_t> kvHeads;
  /// Weights will be converted (--quantize): those that the import had to make
  /// f32 do not stay so.
  bool quantizes = false;
};

/// What `kvHeads` did.
struct KvPooling {
  int64_t from = 0, to = 0; // kv heads
  /// By how much the weights of K and V differ from the means that took their
  /// places, root mean square over root mean square. 0: heads were equal.
  double difference = 0;
};

struct ImportedModel {
  /// Verified. All attributes that ModelInfo wants are there.
  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// What the params' sources name; null where the weights are random.
  std::unique_ptr<TensorSource> weights;
  /// For the runtime's tokenizer; empty where the model has none.
  std::string tokenizerJson;
  /// Jinja; empty where the model has none.
  std::string chatTemplate;
  std::optional<KvPooling> pooling;
  /// What the import decided and a user may want to know, a sentence each.
  std::vector<std::string> notes;
};

/// Loads the dialects that it needs into `context`. Diagnostics of a .mlir
/// file become part of the Error.
llvm::Expected<ImportedModel> importModel(llvm::StringRef path,
                                          mlir::MLIRContext &context,
                                          const ImportOptions &options);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_IMPORT_H
