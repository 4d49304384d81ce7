// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Falcon (Almazrouei et al. 2023): LayerNorm, ungated, parallel blocks after
// one norm (7B) or two (40B, the "new decoder architecture").
#include "compiler/import/families/Family.h"
#include "compiler/target/AlibiSlopes.h"
#include "llvm/ADT/bit.h"
#include <cmath>

using namespace llvm;

namespace cria {
namespace {

/// Slopes in bf16, as the models were trained and transformers has them
/// whatever the other numbers' type; the bias is scaled with the scores.
void setAlibi(Model &model) {
  float scale = 1 / std::sqrt(static_cast<float>(model.headDim));
  for (float slope : alibiSlopes(model.heads)) {
    auto bits = llvm::bit_cast<uint32_t>(slope);
    bits += 0x7fff + ((bits >> 16) & 1); // to the nearest, ties to even
    model.alibi.push_back(llvm::bit_cast<float>(bits & 0xffff0000) * scale);
  }
}

void describeFalcon(ConfigReader &config, Model &model) {
  model.norm = Model::Norm::Layer;
  model.gated = false;
  if (!config.has("activation"))
    model.activation = Model::Activation::Gelu;
  bool isNew = config.boolean("new_decoder_architecture", false);
  bool multiQuery = config.boolean("multi_query", true);
  bool parallel = config.boolean("parallel_attn", true);
  int64_t norms =
      config.integer("num_ln_in_parallel_attn", 1, 2, isNew ? 2 : 1);
  Bias bias = readBias(config, "bias");
  int64_t kvHeads = config.integer("num_kv_heads", 1, model.heads, model.heads);
  model.kvHeads = isNew ? kvHeads : multiQuery ? 1 : model.heads;
  if (model.heads % model.kvHeads)
    config.refuse("num_kv_heads",
                  "a divisor of num_attention_heads = " + Twine(model.heads));
  if (isNew && !parallel)
    config.refuse("parallel_attn", "true, as new_decoder_architecture is");
  if (!isNew && norms == 2)
    config.refuse("num_ln_in_parallel_attn",
                  "1, as new_decoder_architecture is false");
  if (config.failed())
    return;
  if (config.boolean("alibi", false)) {
    setAlibi(model);
    for (const char *key : {"rope_theta", "rope_scaling", "rope_parameters",
                            "partial_rotary_factor"})
      config.accept(key);
    oneStyle(model, std::nullopt);
  } else {
    oneStyle(model, readRope(config, model, {}));
  }
  place(model, Role::Embedding, "transformer.word_embeddings");
  // The three layouts of the fused tensor are one: all kv heads, each behind
  // its queries.
  placeQkv(model, "transformer.h.{}.self_attention.query_key_value",
           Qkv::Grouped, bias);
  place(model, Role::AttnOutput, "transformer.h.{}.self_attention.dense", bias);
  place(model, Role::FfnUp, "transformer.h.{}.mlp.dense_h_to_4h", bias);
  place(model, Role::FfnDown, "transformer.h.{}.mlp.dense_4h_to_h", bias);
  if (parallel && norms == 2) {
    model.block = Model::Block::ParallelTwoNorms;
    place(model, Role::AttnNorm, "transformer.h.{}.ln_attn", Bias::Yes);
    place(model, Role::FfnNorm, "transformer.h.{}.ln_mlp", Bias::Yes);
  } else {
    place(model, Role::AttnNorm, "transformer.h.{}.input_layernorm", Bias::Yes);
    model.block =
        parallel ? Model::Block::ParallelOneNorm : Model::Block::Serial;
    if (!parallel)
      place(model, Role::FfnNorm, "transformer.h.{}.post_attention_layernorm",
            Bias::Yes);
  }
  place(model, Role::OutputNorm, "transformer.ln_f", Bias::Yes);
  placeHead(model, "lm_head", isTied(config, true));
}

} // namespace

const HfFamily falcon = {
    "falcon",
    "FalconForCausalLM",
    {{"hidden_size", &Model::width},
     {"ffn_hidden_size", &Model::ffn, 0},
     {"num_hidden_layers", &Model::layers},
     {"num_attention_heads", &Model::heads},
     {"vocab_size", &Model::vocab},
     {"max_position_embeddings", &Model::context, 2048},
     {"activation", &Model::activation, 0},
     {"layer_norm_epsilon", &Model::eps, 1e-5}},
    {},
    {},
    describeFalcon,
};

} // namespace cria
