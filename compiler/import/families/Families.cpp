// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The list of all families, and what their files share.
#include "compiler/import/InputFile.h"
#include "compiler/import/families/Family.h"

using namespace llvm;

namespace cria {

ArrayRef<const HfFamily *> hfFamilies() {
  static const HfFamily *const families[] = {
      &llama,  &mistral, &smolLm3, &granite, &qwen2,     &qwen3,
      &gemma,  &gemma2,  &gemma3,  &phi,     &phi3,      &gpt2,
      &gptJ,   &gptNeoX, &falcon,  &olmo,    &olmo2,     &stableLm,
      &cohere, &cohere2, &bloom,   &mpt,     &canonical,
  };
  return families;
}

std::vector<HfKey> usualKeys(const char *eps) {
  std::vector<HfKey> keys = {
      {"hidden_size", &Model::width},
      {"intermediate_size", &Model::ffn},
      {"num_hidden_layers", &Model::layers},
      {"num_attention_heads", &Model::heads},
      {"num_key_value_heads", &Model::kvHeads, 0},
      {"head_dim", &Model::headDim, 0},
      {"vocab_size", &Model::vocab},
      {"max_position_embeddings", &Model::context},
      {"hidden_act", &Model::activation, 0},
  };
  if (eps)
    keys.push_back({eps, &Model::eps});
  return keys;
}

std::vector<HfKey> required(std::vector<HfKey> keys,
                            std::vector<StringRef> names) {
  for (HfKey &key : keys)
    for (StringRef name : names)
      if (name == key.name)
        key.otherwise.reset();
  return keys;
}

void oneStyle(Model &model, std::optional<RopeDescription> rope,
              int64_t window) {
  model.styles.assign(1, {std::move(rope), window});
  model.styleOf.assign(static_cast<size_t>(model.layers), 0);
}

void stylesByLayerTypes(ConfigReader &config, Model &model,
                        const Model::LayerStyle &full,
                        const Model::LayerStyle &sliding,
                        function_ref<bool(int64_t)> isFull) {
  model.styles.assign({full, sliding});
  model.styleOf.clear();
  constexpr StringLiteral key = "layer_types";
  if (!config.has(key)) {
    for (int64_t i = 0; i < model.layers; ++i)
      model.styleOf.push_back(isFull(i) ? 0 : 1);
    return;
  }
  std::string accepted = "a list of " + std::to_string(model.layers) +
                         " of \"full_attention\", \"sliding_attention\"";
  const json::Array *types = config.list(key, accepted);
  if (!types)
    return;
  if (types->size() != static_cast<size_t>(model.layers))
    return config.refuse(key, accepted);
  for (const json::Value &item : *types) {
    std::optional<StringRef> type = item.getAsString();
    if (type != StringRef("full_attention") &&
        type != StringRef("sliding_attention"))
      return config.refuse(key, &item, accepted);
    model.styleOf.push_back(*type == "full_attention" ? 0 : 1);
  }
}

int64_t slidingWindow(ConfigReader &config) {
  return config.integer("sliding_window", 1, int64_t(1) << 30, 0);
}

Role biasOf(Role role) {
  switch (role) {
  case Role::AttnQ:
    return Role::AttnQBias;
  case Role::AttnK:
    return Role::AttnKBias;
  case Role::AttnV:
    return Role::AttnVBias;
  case Role::AttnOutput:
    return Role::AttnOutputBias;
  case Role::FfnGate:
    return Role::FfnGateBias;
  case Role::FfnUp:
    return Role::FfnUpBias;
  case Role::FfnDown:
    return Role::FfnDownBias;
  case Role::AttnNorm:
    return Role::AttnNormBias;
  case Role::FfnNorm:
    return Role::FfnNormBias;
  case Role::AttnPostNorm:
    return Role::AttnPostNormBias;
  case Role::FfnPostNorm:
    return Role::FfnPostNormBias;
  case Role::QNorm:
    return Role::QNormBias;
  case Role::KNorm:
    return Role::KNormBias;
  case Role::EmbeddingNorm:
    return Role::EmbeddingNormBias;
  case Role::OutputNorm:
    return Role::OutputNormBias;
  default:
    return Role::HeadBias;
  }
}

void place(Model &model, Role role, const Twine &module, Bias bias) {
  model.at(role).name = (module + ".weight").str();
  if (bias == Bias::Yes)
    model.at(biasOf(role)).name = (module + ".bias").str();
}

void placeQkv(Model &model, const Twine &module, Qkv layout, Bias bias,
              bool transposed) {
  int64_t q = model.queryRows(), kv = model.keyRows(), head = model.headDim;
  auto set = [&](const Twine &tensor, bool isBias, bool transpose) {
    std::string name = tensor.str() + (transpose ? " | transpose" : "");
    struct Part {
      Role role;
      int64_t start, size, inGroup, groupSize;
    };
    int64_t queries = q / model.kvHeads;
    const Part parts[] = {{Role::AttnQ, 0, q, 0, queries},
                          {Role::AttnK, q, kv, queries, head},
                          {Role::AttnV, q + kv, kv, queries + head, head}};
    for (const Part &part : parts)
      model.at(isBias ? biasOf(part.role) : part.role).name =
          layout == Qkv::Stacked ? rowsOf(name, part.start, part.size)
                                 : rowsOf(name, part.inGroup, part.groupSize,
                                          queries + 2 * head, model.kvHeads);
  };
  set(module + ".weight", false, transposed);
  if (bias == Bias::Yes)
    set(module + ".bias", true, false);
}

void placeUsual(Model &model, bool tied, Bias normBias, Bias qkvBias,
                Bias outBias, Bias mlpBias) {
  place(model, Role::Embedding, "model.embed_tokens");
  place(model, Role::AttnNorm, "model.layers.{}.input_layernorm", normBias);
  place(model, Role::AttnQ, "model.layers.{}.self_attn.q_proj", qkvBias);
  place(model, Role::AttnK, "model.layers.{}.self_attn.k_proj", qkvBias);
  place(model, Role::AttnV, "model.layers.{}.self_attn.v_proj", qkvBias);
  place(model, Role::AttnOutput, "model.layers.{}.self_attn.o_proj", outBias);
  place(model, Role::FfnNorm, "model.layers.{}.post_attention_layernorm",
        normBias);
  place(model, Role::FfnGate, "model.layers.{}.mlp.gate_proj", mlpBias);
  place(model, Role::FfnUp, "model.layers.{}.mlp.up_proj", mlpBias);
  place(model, Role::FfnDown, "model.layers.{}.mlp.down_proj", mlpBias);
  place(model, Role::OutputNorm, "model.norm", normBias);
  placeHead(model, "lm_head", tied);
}

void placeHead(Model &model, const Twine &module, bool tied, Bias bias) {
  // A tied head is saved a second time by some.
  if (tied)
    model.ignoredTensors.push_back((module + ".weight").str());
  else
    place(model, Role::Head, module);
  if (bias == Bias::Yes)
    model.at(Role::HeadBias).name = (module + ".bias").str();
  // Old checkpoints saved the frequencies, which follow from config.json.
  model.ignoredTensors.push_back("*.rotary_emb.inv_freq");
}

void ignore(Model &model, ArrayRef<StringRef> patterns) {
  for (StringRef pattern : patterns)
    model.ignoredTensors.push_back(pattern.str());
}

} // namespace cria
