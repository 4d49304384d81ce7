// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// OLMo 1 (norms without weights) and 2 (norms after the branches), StableLM,
// Cohere's Command R and R7B.
#include "compiler/import/MadeTensor.h"
#include "compiler/import/families/Family.h"

using namespace llvm;

namespace cria {
namespace {

/// Groeneveld et al. 2024.
void describeOlmo(ConfigReader &config, Model &model) {
  model.norm = Model::Norm::Layer;
  model.eps = 1e-5; // not in the file
  oneStyle(model, readRope(config, model, {}));
  Bias attention = readBias(config, "attention_bias");
  placeUsual(model, isTied(config, false), Bias::No, attention, attention,
             Bias::No);
  for (Role role : {Role::AttnNorm, Role::FfnNorm, Role::OutputNorm})
    model.at(role).name.clear();
  // 0 is a bound too, in transformers and in the models' own code.
  model.clipQkv = config.numberOrNone("clip_qkv", 0, 1e6);
}

/// OLMo Team 2025: also queries and keys are normalised, over the whole row.
void describeOlmo2(ConfigReader &config, Model &model) {
  model.placement = Model::Placement::Branch;
  model.qkNorm = Model::QkNorm::Row;
  oneStyle(model, readRope(config, model, {}));
  Bias attention = readBias(config, "attention_bias");
  placeUsual(model, isTied(config, false), Bias::No, attention, attention,
             Bias::No);
  model.at(Role::AttnNorm).name.clear();
  model.at(Role::FfnNorm).name.clear();
  place(model, Role::AttnPostNorm, "model.layers.{}.post_attention_layernorm");
  place(model, Role::FfnPostNorm, "model.layers.{}.post_feedforward_layernorm");
  place(model, Role::QNorm, "model.layers.{}.self_attn.q_norm");
  place(model, Role::KNorm, "model.layers.{}.self_attn.k_norm");
}

void describeStableLm(ConfigReader &config, Model &model) {
  model.norm = Model::Norm::Layer;
  RopeKeys keys;
  keys.partial = {"partial_rotary_factor", "rope_pct"};
  keys.usualPartial = 0.25;
  oneStyle(model, readRope(config, model, keys));
  placeUsual(model, isTied(config, false), Bias::Yes,
             readBias(config, "use_qkv_bias"), Bias::No, Bias::No);
  if (config.boolean("qk_layernorm", false)) {
    model.qkNorm = Model::QkNorm::LayerPerHead;
    model.qkNormOfAllHeads = true;
    constexpr StringLiteral attention = "model.layers.{}.self_attn.";
    model.at(Role::QNorm).name =
        joined((attention + "q_layernorm.norms.[].weight").str(), model.heads);
    model.at(Role::KNorm).name = joined(
        (attention + "k_layernorm.norms.[].weight").str(), model.kvHeads);
  }
  if (config.boolean("use_parallel_residual", false)) {
    model.block = Model::Block::ParallelOneNorm;
    model.at(Role::FfnNorm).name.clear();
    model.at(Role::FfnNormBias).name.clear();
  }
}

void describeCohereBlocks(ConfigReader &config, Model &model) {
  model.norm = Model::Norm::Layer;
  model.block = Model::Block::ParallelOneNorm;
  Bias attention = readBias(config, "attention_bias");
  placeUsual(model, isTied(config, true), Bias::No, attention, attention,
             Bias::No);
  model.at(Role::FfnNorm).name.clear();
}

void describeCohere(ConfigReader &config, Model &model) {
  RopeKeys keys;
  keys.interleaved = true;
  keys.usualTheta = 500000;
  oneStyle(model, readRope(config, model, keys));
  describeCohereBlocks(config, model);
  if (config.boolean("use_qk_norm", false)) { // Command R+
    model.qkNorm = Model::QkNorm::LayerPerHead;
    model.qkNormOfAllHeads = true;
    constexpr StringLiteral attention = "model.layers.{}.self_attn.";
    model.at(Role::QNorm).name = flattened((attention + "q_norm.weight").str());
    model.at(Role::KNorm).name = flattened((attention + "k_norm.weight").str());
  }
}

/// Layers of full attention have no positions.
void describeCohere2(ConfigReader &config, Model &model) {
  if (model.headDim * model.heads != model.width)
    config.refuse("head_dim", "hidden_size / num_attention_heads");
  RopeKeys keys;
  keys.interleaved = true;
  RopeDescription rope = readRope(config, model, keys);
  int64_t pattern = config.integer("sliding_window_pattern", 1, 4096, 4);
  stylesByLayerTypes(config, model, {std::nullopt, 0},
                     {rope, slidingWindow(config)},
                     [&](int64_t i) { return (i + 1) % pattern == 0; });
  describeCohereBlocks(config, model);
}

} // namespace

const HfFamily olmo = {
    "olmo", "OlmoForCausalLM", usualKeys(nullptr), {}, {}, describeOlmo,
};

const HfFamily olmo2 = {
    "olmo2", "Olmo2ForCausalLM", usualKeys("rms_norm_eps"), {},
    {},      describeOlmo2,
};

const HfFamily stableLm = {
    "stablelm",
    "StableLmForCausalLM",
    required(usualKeys("layer_norm_eps"), {"num_key_value_heads"}),
    {},
    {},
    describeStableLm,
};

const HfFamily cohere = {
    "cohere",
    "CohereForCausalLM",
    with(usualKeys("layer_norm_eps"),
         {{"logit_scale", &Model::logitScale, 0.0625}}),
    {},
    {},
    describeCohere,
};

const HfFamily cohere2 = {
    "cohere2",
    "Cohere2ForCausalLM",
    with(usualKeys("layer_norm_eps"),
         {{"logit_scale", &Model::logitScale, 0.0625}}),
    {{"use_qk_norm", "false or null"},
     {"rotary_pct", "1 or 1.0 or null"},
     {"use_embedding_sharing", "true or null"},
     {"use_gated_activation", "true or null"},
     {"use_parallel_block", "true or null"},
     {"use_parallel_embedding", "false or null"},
     {"layer_switch", "4 or null"},
     {"order_of_interleaved_layers", "\"local_attn_first\" or null"},
     {"position_embedding_type", "\"rope_gptj\" or null"}},
    {"cache_implementation"},
    describeCohere2,
};

} // namespace cria
