// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Phi 1 to 2: LayerNorm, parallel blocks, biases everywhere, partial rope.
// Phi 3 and 4: a Llama with fused tensors and LongRoPE.
#include "compiler/import/families/Family.h"

using namespace llvm;

namespace cria {
namespace {

void describePhi(ConfigReader &config, Model &model) {
  model.norm = Model::Norm::Layer;
  model.gated = false;
  model.block = Model::Block::ParallelOneNorm;
  RopeKeys keys;
  keys.partial = {"partial_rotary_factor"};
  keys.usualPartial = 0.5;
  oneStyle(model, readRope(config, model, keys));
  place(model, Role::Embedding, "model.embed_tokens");
  place(model, Role::AttnNorm, "model.layers.{}.input_layernorm", Bias::Yes);
  place(model, Role::AttnQ, "model.layers.{}.self_attn.q_proj", Bias::Yes);
  place(model, Role::AttnK, "model.layers.{}.self_attn.k_proj", Bias::Yes);
  place(model, Role::AttnV, "model.layers.{}.self_attn.v_proj", Bias::Yes);
  place(model, Role::AttnOutput, "model.layers.{}.self_attn.dense", Bias::Yes);
  if (config.boolean("qk_layernorm", false)) {
    model.qkNorm = Model::QkNorm::LayerPerHead;
    place(model, Role::QNorm, "model.layers.{}.self_attn.q_layernorm",
          Bias::Yes);
    place(model, Role::KNorm, "model.layers.{}.self_attn.k_layernorm",
          Bias::Yes);
  }
  place(model, Role::FfnUp, "model.layers.{}.mlp.fc1", Bias::Yes);
  place(model, Role::FfnDown, "model.layers.{}.mlp.fc2", Bias::Yes);
  place(model, Role::OutputNorm, "model.final_layernorm", Bias::Yes);
  placeHead(model, "lm_head", isTied(config, false), Bias::Yes);
}

void describePhi3(ConfigReader &config, Model &model) {
  RopeKeys keys;
  keys.partial = {"partial_rotary_factor"};
  keys.alsoLongRope = {"su", "yarn"}; // what early files call it
  oneStyle(model, readRope(config, model, keys), slidingWindow(config));
  placeUsual(model, isTied(config, false), Bias::No, Bias::No, Bias::No,
             Bias::No);
  placeQkv(model, "model.layers.{}.self_attn.qkv_proj", Qkv::Stacked);
  constexpr StringLiteral both = "model.layers.{}.mlp.gate_up_proj.weight";
  model.at(Role::FfnGate).name = rowsOf(both, 0, model.ffn);
  model.at(Role::FfnUp).name = rowsOf(both, model.ffn, model.ffn);
}

} // namespace

const HfFamily phi = {
    "phi", "PhiForCausalLM", usualKeys("layer_norm_eps"), {}, {}, describePhi,
};

const HfFamily phi3 = {
    "phi3",
    "Phi3ForCausalLM",
    usualKeys("rms_norm_eps"),
    {{"attention_bias", "false or null"},
     {"mlp_bias", "false or null"},
     {"lm_head_bias", "false or null"},
     {"full_attn_mod", "1 or null"},
     {"interpolate_factor", "1 or null"}},
    // Of the length only where a scaling reads it.
    {"original_max_position_embeddings"},
    describePhi3,
};

} // namespace cria
