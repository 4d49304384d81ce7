// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// GPT-2, GPT-J and GPT-NeoX: LayerNorm with a bias, an ungated feed-forward.
#include "compiler/import/families/Family.h"

using namespace llvm;

namespace cria {
namespace {

void describeGpt(Model &model) {
  model.norm = Model::Norm::Layer;
  model.gated = false;
}

/// Radford et al. 2019. Linears are stored as [inputs, outputs].
void describeGpt2(ConfigReader &config, Model &model) {
  describeGpt(model);
  oneStyle(model, std::nullopt);
  model.position = Model::Position::Learned;
  place(model, Role::Embedding, "transformer.wte");
  place(model, Role::PositionTable, "transformer.wpe");
  place(model, Role::AttnNorm, "transformer.h.{}.ln_1", Bias::Yes);
  placeQkv(model, "transformer.h.{}.attn.c_attn", Qkv::Stacked, Bias::Yes,
           /*transposed=*/true);
  place(model, Role::AttnOutput, "transformer.h.{}.attn.c_proj", Bias::Yes);
  place(model, Role::FfnNorm, "transformer.h.{}.ln_2", Bias::Yes);
  place(model, Role::FfnUp, "transformer.h.{}.mlp.c_fc", Bias::Yes);
  place(model, Role::FfnDown, "transformer.h.{}.mlp.c_proj", Bias::Yes);
  for (Role role : {Role::AttnOutput, Role::FfnUp, Role::FfnDown})
    model.at(role).name += " | transpose";
  place(model, Role::OutputNorm, "transformer.ln_f", Bias::Yes);
  placeHead(model, "lm_head", isTied(config, true));
  ignore(model, {"*.attn.bias", "*.attn.masked_bias"}); // the causal mask
}

/// Wang and Komatsuzaki 2021.
void describeGptJ(ConfigReader &config, Model &model) {
  describeGpt(model);
  model.block = Model::Block::ParallelOneNorm;
  RopeDescription rope;
  rope.interleaved = true;
  rope.maxPositions = model.context;
  rope.dims = config.integer("rotary_dim", 2, model.headDim);
  if (rope.dims % 2)
    config.refuse("rotary_dim", "an even number");
  oneStyle(model, rope);
  place(model, Role::Embedding, "transformer.wte");
  place(model, Role::AttnNorm, "transformer.h.{}.ln_1", Bias::Yes);
  place(model, Role::AttnQ, "transformer.h.{}.attn.q_proj");
  place(model, Role::AttnK, "transformer.h.{}.attn.k_proj");
  place(model, Role::AttnV, "transformer.h.{}.attn.v_proj");
  place(model, Role::AttnOutput, "transformer.h.{}.attn.out_proj");
  place(model, Role::FfnUp, "transformer.h.{}.mlp.fc_in", Bias::Yes);
  place(model, Role::FfnDown, "transformer.h.{}.mlp.fc_out", Bias::Yes);
  place(model, Role::OutputNorm, "transformer.ln_f", Bias::Yes);
  placeHead(model, "lm_head", isTied(config, false), Bias::Yes);
  ignore(model,
         {"*.attn.bias", "*.attn.masked_bias", "*.attn.embed_positions"});
}

/// Black et al. 2022.
void describeGptNeoX(ConfigReader &config, Model &model) {
  describeGpt(model);
  if (config.boolean("use_parallel_residual", true))
    model.block = Model::Block::ParallelTwoNorms;
  RopeKeys keys;
  keys.theta = {"rotary_emb_base", "rope_theta"};
  keys.partial = {"rotary_pct", "partial_rotary_factor"};
  keys.usualPartial = 0.25;
  oneStyle(model, readRope(config, model, keys));
  Bias bias = config.boolean("attention_bias", true) ? Bias::Yes : Bias::No;
  place(model, Role::Embedding, "gpt_neox.embed_in");
  place(model, Role::AttnNorm, "gpt_neox.layers.{}.input_layernorm", Bias::Yes);
  placeQkv(model, "gpt_neox.layers.{}.attention.query_key_value", Qkv::Grouped,
           bias);
  place(model, Role::AttnOutput, "gpt_neox.layers.{}.attention.dense", bias);
  place(model, Role::FfnNorm, "gpt_neox.layers.{}.post_attention_layernorm",
        Bias::Yes);
  place(model, Role::FfnUp, "gpt_neox.layers.{}.mlp.dense_h_to_4h", Bias::Yes);
  place(model, Role::FfnDown, "gpt_neox.layers.{}.mlp.dense_4h_to_h",
        Bias::Yes);
  place(model, Role::OutputNorm, "gpt_neox.final_layer_norm", Bias::Yes);
  placeHead(model, "embed_out", isTied(config, false));
  ignore(model, {"*.attention.bias", "*.attention.masked_bias"});
}

std::vector<HfKey> gptKeys() {
  return {{"n_embd", &Model::width},
          {"n_layer", &Model::layers},
          {"n_head", &Model::heads},
          {"n_inner", &Model::ffn, 0},
          {"n_positions", &Model::context},
          {"vocab_size", &Model::vocab},
          {"activation_function", &Model::activation},
          {"layer_norm_epsilon", &Model::eps, 1e-5}};
}

} // namespace

const HfFamily gpt2 = {
    "gpt2",
    "GPT2LMHeadModel",
    gptKeys(),
    {{"scale_attn_weights", "true or null"},
     {"scale_attn_by_inverse_layer_idx", "false or null"}},
    {"n_ctx", "reorder_and_upcast_attn", "summary_type", "summary_use_proj",
     "summary_activation", "summary_proj_to_labels", "summary_first_dropout"},
    describeGpt2,
};

const HfFamily gptJ = {
    "gptj",
    "GPTJForCausalLM",
    gptKeys(),
    {{"rotary", "true or null"}, {"scale_attn_weights", "true or null"}},
    {"n_ctx", "gradient_checkpointing", "summary_type", "summary_use_proj",
     "summary_activation", "summary_proj_to_labels", "summary_first_dropout"},
    describeGptJ,
};

const HfFamily gptNeoX = {
    "gpt_neox",
    "GPTNeoXForCausalLM",
    {{"hidden_size", &Model::width},
     {"intermediate_size", &Model::ffn},
     {"num_hidden_layers", &Model::layers},
     {"num_attention_heads", &Model::heads},
     {"vocab_size", &Model::vocab},
     {"max_position_embeddings", &Model::context},
     {"hidden_act", &Model::activation},
     {"layer_norm_eps", &Model::eps, 1e-5}},
    {},
    {},
    describeGptNeoX,
};

} // namespace cria
