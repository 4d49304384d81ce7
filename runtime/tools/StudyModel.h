// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Descriptions in cria's dialect of models with random weights, for `cria
// bench --study`.
#ifndef CRIA_TOOLS_STUDYMODEL_H
#define CRIA_TOOLS_STUDYMODEL_H

#include <cstdint>
#include <string>

namespace cria::tools {

struct StudyModel {
  std::string Name;
  int64_t Vocab, Width, Layers, Heads, KvHeads, HeadDim, Ffn, Context, Batch;
  bool LayerNorm = false; // with bias; else RMSNorm

  /// Weights of all matrices.
  int64_t parameters() const;

  /// The same model with other kv heads, and the FFN made wider by what keys
  /// and values no longer need, in blocks of 32.
  StudyModel withKvHeads(const std::string &NewName, int64_t NewKvHeads) const;
};

/// The .mlir text: Llama blocks with 4-bit weights and a tied 8-bit head.
std::string describeModel(const StudyModel &Model);

} // namespace cria::tools

#endif // CRIA_TOOLS_STUDYMODEL_H
