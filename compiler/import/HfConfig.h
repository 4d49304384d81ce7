// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads the config.json of a Hugging Face LlamaForCausalLM.
//
// A key is either understood and checked, known not to change the model, or an
// error: nothing that could change the mathematics is dropped in silence. The
// result is complete, with the defaults of transformers filled in.
#ifndef CRIA_COMPILER_IMPORT_HFCONFIG_H
#define CRIA_COMPILER_IMPORT_HFCONFIG_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cria {

/// Rope scaling with the parameters of transformers' modeling_rope_utils.
/// Only those named beside a kind apply to it; the rest keep their default.
struct HfRopeScaling {
  enum class Kind {
    Default,  // none
    Linear,   // factor
    Dynamic,  // factor (NTK by sequence length, from max_position_embeddings)
    Yarn,     // factor, attentionFactor, betaFast, betaSlow, mscale,
              // mscaleAllDim, truncate, originalMaxPositions
    Llama3,   // factor, lowFreqFactor, highFreqFactor, originalMaxPositions
    LongRope, // factor, attentionFactor, shortFactor, longFactor,
              // originalMaxPositions
  };
  Kind kind = Kind::Default;
  /// Where the file leaves it out (yarn, longrope): max_position_embeddings /
  /// original_max_position_embeddings.
  double factor = 1.0;
  /// Absent: derived from factor as the kind's paper says.
  std::optional<double> attentionFactor;
  double betaFast = 32.0;
  double betaSlow = 1.0;
  std::optional<double> mscale;
  std::optional<double> mscaleAllDim;
  bool truncate = true;
  double lowFreqFactor = 1.0;
  double highFreqFactor = 4.0;
  int64_t originalMaxPositions = 0;
  std::vector<double> shortFactor; // headDim / 2 entries each
  std::vector<double> longFactor;
};

/// The name as config.json spells it: "llama3", ...
llvm::StringRef ropeScalingName(HfRopeScaling::Kind kind);

struct HfLlamaConfig {
  int64_t hiddenSize = 0;
  int64_t intermediateSize = 0;
  int64_t numHiddenLayers = 0;
  int64_t numAttentionHeads = 0;
  int64_t numKeyValueHeads = 0; // divides numAttentionHeads
  int64_t headDim = 0;          // even
  int64_t maxPositionEmbeddings = 0;
  int64_t vocabSize = 0;
  double rmsNormEps = 0;
  double ropeTheta = 10000.0;
  HfRopeScaling rope;
  std::string hiddenAct = "silu"; // nothing else is accepted
  bool tieWordEmbeddings = false;
  bool attentionBias = false;
  bool mlpBias = false;
  std::optional<int64_t> bosTokenId;
  llvm::SmallVector<int64_t, 2> eosTokenIds;
  std::optional<int64_t> padTokenId;
  std::string dtype; // "float32", "float16", "bfloat16" or empty
};

/// Parses the text of a config.json; `path` stands for it in messages.
llvm::Expected<HfLlamaConfig> parseHfConfig(llvm::StringRef path,
                                            llvm::StringRef text);

/// Reads a config.json, or the one inside a folder.
llvm::Expected<HfLlamaConfig> loadHfConfig(llvm::StringRef path);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_HFCONFIG_H
