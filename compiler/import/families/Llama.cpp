// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Llama 1 to 3.x (and SmolLM 1 and 2, which are Llamas), Mistral, SmolLM 3,
// Granite: pre-norm, RMSNorm, SwiGLU, rope.
#include "compiler/import/families/Family.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;

namespace cria {
namespace {

void describeBlocks(ConfigReader &config, Model &model, bool usuallyTied) {
  oneStyle(model, readRope(config, model, {}));
  Bias attention = readBias(config, "attention_bias");
  placeUsual(model, isTied(config, usuallyTied), Bias::No, attention, attention,
             readBias(config, "mlp_bias"));
  // Only layers of full attention.
  Model types = model;
  stylesByLayerTypes(config, types, {}, {}, [](int64_t) { return true; });
  for (unsigned style : types.styleOf)
    if (style != 0)
      config.refuse("layer_types", "a list of \"full_attention\"");
}

void describeLlama(ConfigReader &config, Model &model) {
  describeBlocks(config, model, false);
}

void describeMistral(ConfigReader &config, Model &model) {
  oneStyle(model, readRope(config, model, {}), slidingWindow(config));
  placeUsual(model, isTied(config, false), Bias::No, Bias::No, Bias::No,
             Bias::No);
}

/// Some layers have no positions (Yang et al. 2025, "RoPE to NoPE and back").
void describeSmolLm3(ConfigReader &config, Model &model) {
  describeBlocks(config, model, true);
  model.styles.push_back({});
  int64_t interval =
      config.integer("no_rope_layer_interval", 1, model.layers + 64, 4);
  std::string accepted =
      "a list of " + std::to_string(model.layers) + " of 1 (rope) and 0 (none)";
  const json::Array *given = config.has("no_rope_layers")
                                 ? config.list("no_rope_layers", accepted)
                                 : nullptr;
  if (given && given->size() != static_cast<size_t>(model.layers))
    return config.refuse("no_rope_layers", accepted);
  for (int64_t i = 0; i < model.layers; ++i) {
    auto place = static_cast<size_t>(i);
    std::optional<int64_t> rope = (i + 1) % interval != 0;
    if (given)
      rope = (*given)[place].getAsInteger();
    if (!rope || (*rope != 0 && *rope != 1))
      return config.refuse("no_rope_layers", &(*given)[place], accepted);
    model.styleOf[place] = *rope ? 0 : 1;
  }
}

void describeGranite(ConfigReader &config, Model &model) {
  describeBlocks(config, model, false);
  model.logitScale = 1 / config.number("logits_scaling", 1e-6, 1e6, 1.0);
}

} // namespace

const HfFamily llama = {
    "llama",
    "LlamaForCausalLM",
    usualKeys("rms_norm_eps"),
    {{"pretraining_tp", "1 or null"}, // above 1: another order of summation
     {"rope_interleaved", "false or null"},
     {"sliding_window", "null"},
     {"use_sliding_window", "false or null"}},
    {},
    describeLlama,
};

const HfFamily mistral = {
    "mistral",
    "MistralForCausalLM",
    required(usualKeys("rms_norm_eps"), {"num_key_value_heads"}),
    {},
    {},
    describeMistral,
};

const HfFamily smolLm3 = {
    "smollm3",
    "SmolLM3ForCausalLM",
    required(usualKeys("rms_norm_eps"), {"num_key_value_heads"}),
    {{"use_sliding_window", "false or null"}},
    {"sliding_window", "max_window_layers", "pretraining_tp"},
    describeSmolLm3,
};

const HfFamily granite = {
    "granite",
    "GraniteForCausalLM",
    with(usualKeys("rms_norm_eps"),
         {{"embedding_multiplier", &Model::embeddingScale, 1},
          {"residual_multiplier", &Model::residualScale, 1},
          {"attention_multiplier", &Model::attentionScale, 1}}),
    {{"pretraining_tp", "1 or null"}},
    {},
    describeGranite,
};

} // namespace cria
