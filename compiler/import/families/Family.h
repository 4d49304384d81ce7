// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A family of models: how its config.json (or GGUF metadata) and its tensors
// say what a DecoderDescription says. ADDING-A-FAMILY.md walks through one.
#ifndef CRIA_COMPILER_IMPORT_FAMILIES_FAMILY_H
#define CRIA_COMPILER_IMPORT_FAMILIES_FAMILY_H

#include "compiler/import/ConfigReader.h"
#include "compiler/import/DecoderDescription.h"
#include "compiler/import/TensorSlice.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include <optional>
#include <variant>
#include <vector>

namespace cria {

/// A key whose value is a member of the description. The bounds of a member
/// are the same for all families.
struct HfKey {
  const char *name;
  std::variant<int64_t DecoderDescription::*, double DecoderDescription::*,
               DecoderDescription::Activation DecoderDescription::*>
      member;
  /// What transformers takes where the key is missing or null. Nothing: the
  /// key must be there. 0 stands for the usual rule: kvHeads = heads, headDim
  /// = width / heads, ffn = 4 width, SiLU.
  std::optional<double> otherwise = std::nullopt;
  /// Another name, of older files. Where both are there they must agree.
  const char *also = nullptr;
};

/// A key with one value, or a few, that cria can do.
struct PinnedKey {
  const char *name;
  const char *accepted; // JSON values, separated by " or "
};

/// How rope is spelled, beside rope_scaling and rope_parameters. Where a file
/// has several of the names they must agree.
struct RopeKeys {
  /// Of the share of a head that rotates; empty where it is always the whole.
  std::vector<llvm::StringRef> partial = {};
  double usualPartial = 1.0;
  bool interleaved = false;
  /// More names of longrope.
  std::vector<llvm::StringRef> alsoLongRope = {};
  std::vector<llvm::StringRef> theta = {"rope_theta"};
  double usualTheta = 10000.0;
};

/// A family as Hugging Face has it.
struct HfFamily {
  const char *modelType;    // config.json's model_type
  const char *architecture; // and its architectures, or several with '|'
  std::vector<HfKey> keys;
  std::vector<PinnedKey> pinned;
  std::vector<const char *> harmless;
  /// What the keys do not say by themselves: the arrangement, rope, layer
  /// styles, tensors.
  void (*describe)(ConfigReader &config, DecoderDescription &model) = nullptr;
};

/// All of them.
llvm::ArrayRef<const HfFamily *> hfFamilies();

// --- What the files of families/ share --------------------------------------

using Model = DecoderDescription;

/// hidden_size, intermediate_size, num_hidden_layers, num_attention_heads,
/// num_key_value_heads, head_dim, vocab_size, max_position_embeddings,
/// hidden_act, and `eps`, the key of the norms' epsilon (null: none), as most
/// families since Llama spell them.
std::vector<HfKey> usualKeys(const char *eps);
/// The same where the number of kv heads or a head's size must be given.
std::vector<HfKey> required(std::vector<HfKey> keys,
                            std::vector<llvm::StringRef> names);

/// `more` at the end of `list`.
template <typename T>
std::vector<T> with(std::vector<T> list, std::vector<T> more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

/// Reads rope's keys. `object`: from this object instead of rope_scaling or
/// rope_parameters, which is then left to the caller (Gemma 3).
RopeDescription readRope(ConfigReader &config, const Model &model,
                         const RopeKeys &keys,
                         const llvm::json::Object *object = nullptr,
                         llvm::StringRef objectName = "");

/// One style for all layers.
void oneStyle(Model &model, std::optional<RopeDescription> rope,
              int64_t window = 0);

/// Styles 0 (full attention) and 1 (sliding) by layer_types. Where that is
/// missing layer i is full where `isFull(i)`.
void stylesByLayerTypes(ConfigReader &config, Model &model,
                        const Model::LayerStyle &full,
                        const Model::LayerStyle &sliding,
                        llvm::function_ref<bool(int64_t)> isFull);

/// sliding_window, 0 where it is null.
int64_t slidingWindow(ConfigReader &config);

/// Which tensors a linear or a norm has beside its weight.
enum class Bias { No, Yes };

/// `module` + ".weight", and ".bias" where it has one.
void place(Model &model, Role role, const llvm::Twine &module,
           Bias bias = Bias::No);

/// The role of a role's bias.
Role biasOf(Role role);

/// Queries, keys and values in one tensor, module + ".weight" (and ".bias").
/// Stacked: all queries, then all keys, then all values. Grouped: for each kv
/// head its queries, its key, its value.
enum class Qkv { Stacked, Grouped };
void placeQkv(Model &model, const llvm::Twine &module, Qkv layout,
              Bias bias = Bias::No, bool transposed = false);

/// Accepts the keys that have no effect in any config, as the configs within a
/// config repeat some of them.
void acceptHarmless(ConfigReader &config);

/// The tensors of transformers' usual decoder: model.embed_tokens,
/// model.layers.N.self_attn.q_proj, ..., model.norm, and lm_head where the
/// head is no embedding. Norms have `normBias`, Q, K and V `qkvBias`, the
/// output `outBias`, the feed-forward `mlpBias`.
void placeUsual(Model &model, bool tied, Bias normBias, Bias qkvBias,
                Bias outBias, Bias mlpBias);

/// The head: module + ".weight" where it is not the embedding.
void placeHead(Model &model, const llvm::Twine &module, bool tied,
               Bias bias = Bias::No);

/// Adds tensors that files hold without effect (see ignoredTensors).
void ignore(Model &model, llvm::ArrayRef<llvm::StringRef> patterns);

/// tie_word_embeddings, `usual` where it is missing.
inline bool isTied(ConfigReader &config, bool usual) {
  return config.boolean("tie_word_embeddings", usual);
}
inline Bias readBias(ConfigReader &config, llvm::StringRef key) {
  return config.boolean(key, false) ? Bias::Yes : Bias::No;
}

// families/*.cpp
extern const HfFamily llama, mistral, smolLm3, granite;
extern const HfFamily qwen2, qwen3;
extern const HfFamily gemma, gemma2, gemma3;
extern const HfFamily phi, phi3;
extern const HfFamily gpt2, gptJ, gptNeoX;
extern const HfFamily bloom, canonical, falcon, mpt;
extern const HfFamily olmo, olmo2, stableLm, cohere, cohere2;

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_FAMILIES_FAMILY_H
