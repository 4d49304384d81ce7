// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What there is to know about a decoder-only transformer before its module can
// be built: sizes, the arrangement of its blocks, and where each weight is in
// the source. Families (families/) fill it in from config.json or from GGUF
// metadata; buildDecoderModule (DecoderModule.h) makes the module from it.
//
// Plain data without MLIR. A description that came from a reader is complete
// and checked: sizes are positive and within bounds, kvHeads divides heads,
// and every layer has a style.
#ifndef CRIA_COMPILER_IMPORT_DECODERDESCRIPTION_H
#define CRIA_COMPILER_IMPORT_DECODERDESCRIPTION_H

#include "llvm/ADT/SmallVector.h"
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cria {

/// Rotary position embedding, with the scalings and parameters of
/// transformers' modeling_rope_utils. Only those named beside a kind apply to
/// it; the rest keep their default.
struct RopeDescription {
  enum class Kind {
    Default,  // none
    Linear,   // factor
    Dynamic,  // factor (NTK by sequence length, from maxPositions)
    Yarn,     // factor, attentionFactor, betaFast, betaSlow, mscale,
              // mscaleAllDim, truncate, originalMaxPositions
    Llama3,   // factor, lowFreqFactor, highFreqFactor, originalMaxPositions
    LongRope, // factor, attentionFactor, shortFactor, longFactor,
              // originalMaxPositions
  };
  Kind kind = Kind::Default;
  /// Elements (2i, 2i + 1) of a head are a pair, else (i, i + dims / 2).
  bool interleaved = false;
  double theta = 10000.0;
  int64_t dims = 0; // of a head, even; those after them do not rotate
  int64_t maxPositions = 0;
  /// Where the file leaves it out (yarn, longrope): maxPositions /
  /// originalMaxPositions.
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
  std::vector<double> shortFactor; // dims / 2 entries each
  std::vector<double> longFactor;
};

/// The tensors of a decoder. Those of a layer come first, in the order of
/// their params.
enum class Role {
  AttnNorm, // before attention
  AttnQ,
  AttnK,
  AttnV,
  AttnOutput,
  FfnNorm, // before the feed-forward
  FfnGate,
  FfnUp,
  FfnDown,
  AttnQBias,
  AttnKBias,
  AttnVBias,
  AttnOutputBias,
  FfnGateBias,
  FfnUpBias,
  FfnDownBias,
  AttnNormBias,
  FfnNormBias,
  QNorm,
  KNorm,
  QNormBias,
  KNormBias,
  AttnSinks,
  AttnPostNorm, // after attention
  AttnPostNormBias,
  FfnPostNorm, // after the feed-forward
  FfnPostNormBias,
  // of the whole model
  Embedding,
  PositionTable,
  RelativeBias, // T5's table of buckets and heads
  EmbeddingNorm,
  EmbeddingNormBias,
  OutputNorm,
  OutputNormBias,
  Head,
  HeadBias,
};
constexpr int layerRoles = static_cast<int>(Role::Embedding);
constexpr int allRoles = static_cast<int>(Role::HeadBias) + 1;

/// Where a tensor is in the source.
struct TensorPlace {
  /// What TensorSource::get is asked for, with {} for the number of the layer.
  /// Empty: the model has no such tensor.
  std::string name;
  /// The model has it where the source has it.
  bool optional = false;
};

struct DecoderDescription {
  std::string name;         // of the model
  std::string architecture; // of the family, such as "llama"

  int64_t vocab = 0, width = 0, layers = 0, heads = 0, kvHeads = 0, headDim = 0,
          ffn = 0, context = 0;

  // Normalisation. Weights and biases are there where `tensors` has them.
  // None: what there was has become a part of the linears.
  enum class Norm { Rms, Layer, None };
  Norm norm = Norm::Rms;
  double eps = 0;
  bool normPlusOne = false; // the factor is 1 + weight (Gemma)
  /// Where it happens, f being attention or the feed-forward:
  ///   Before  x + f(norm(x))           pre-norm
  ///   Branch  x + norm(f(x))           OLMo 2
  ///   Both    x + norm(f(norm(x)))     Gemma 2 and 3
  ///   After   norm(x + f(x))           GPT-1
  enum class Placement { Before, Branch, Both, After };
  Placement placement = Placement::Before;
  /// Serial: attention, then the feed-forward. Parallel: both read x, after
  /// one norm or after one each.
  enum class Block { Serial, ParallelOneNorm, ParallelTwoNorms };
  Block block = Block::Serial;
  bool finalNorm = true;

  enum class Activation { Relu, Relu2, Gelu, GeluTanh, Silu };
  Activation activation = Activation::Silu;
  bool gated = true; // activation(gate(x)) * up(x), else activation(up(x))

  // Attention.
  /// What scores are multiplied by; 0 stands for 1 / sqrt(headDim).
  double attentionScale = 0;
  double attentionSoftcap = 0; // 0: none
  /// ALiBi (see AlibiSlopes.h): for each head what a score loses with each
  /// token of distance. Empty: none.
  std::vector<float> alibi;
  /// T5-style bias by distance (see cria.relative_bias): buckets, and the
  /// distance from which all share the last. 0: none.
  int64_t relativeBuckets = 0, relativeDistance = 0;
  /// What queries, keys and values are clipped to, on both sides.
  std::optional<double> clipQkv;
  /// Of queries and keys before rope, after the clip: RMSNorm or LayerNorm of
  /// each head or of the row.
  enum class QkNorm { None, PerHead, LayerPerHead, Row, LayerRow };
  QkNorm qkNorm = QkNorm::None;
  /// Its weight per head is another for each head.
  bool qkNormOfAllHeads = false;

  /// What may differ from layer to layer besides the weights.
  struct LayerStyle {
    std::optional<RopeDescription> rope;
    int64_t window = 0; // tokens that a token attends to; 0: all
  };
  llvm::SmallVector<LayerStyle, 2> styles;
  std::vector<unsigned> styleOf; // one of `styles` for each layer

  /// Position i of the sequence adds its encoding to the embedding.
  enum class Position { None, Learned, Sinusoidal };
  Position position = Position::None;

  // Factors; 1 for none.
  double embeddingScale = 1, residualScale = 1, logitScale = 1;
  bool embeddingNorm = false; // BLOOM
  double finalSoftcap = 0;    // 0: none

  std::optional<int64_t> bos;
  llvm::SmallVector<int64_t, 2> eos;

  std::array<TensorPlace, allRoles> tensors;
  TensorPlace &at(Role role) { return tensors[static_cast<size_t>(role)]; }
  const TensorPlace &at(Role role) const {
    return tensors[static_cast<size_t>(role)];
  }
  /// Tensors that files hold without effect on the model: a name, or the end
  /// of one behind a '*'.
  std::vector<std::string> ignoredTensors;
  /// What the reader decided and a user may want to know, a sentence each.
  std::vector<std::string> notes;

  bool qkNormPerHead() const {
    return qkNorm == QkNorm::PerHead || qkNorm == QkNorm::LayerPerHead;
  }
  int64_t queryRows() const { return heads * headDim; }
  int64_t keyRows() const { return kvHeads * headDim; }
};

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_DECODERDESCRIPTION_H
