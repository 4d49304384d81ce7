// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// BLOOM (BigScience 2022): ALiBi, a LayerNorm behind the embedding, biases
// everywhere, Q, K and V of a head together.
#include "compiler/import/families/Family.h"
#include "compiler/target/AlibiSlopes.h"

using namespace llvm;

namespace cria {
namespace {

void describeBloom(ConfigReader &config, Model &model) {
  model.norm = Model::Norm::Layer;
  model.gated = false;
  model.activation = Model::Activation::GeluTanh;
  model.embeddingNorm = true;
  SmallVector<float> slopes = alibiSlopes(model.heads);
  model.alibi.assign(slopes.begin(), slopes.end());
  oneStyle(model, std::nullopt);
  const char *attention = "transformer.h.{}.self_attention";
  const char *mlp = "transformer.h.{}.mlp";
  place(model, Role::Embedding, "transformer.word_embeddings");
  place(model, Role::EmbeddingNorm, "transformer.word_embeddings_layernorm",
        Bias::Yes);
  place(model, Role::AttnNorm, "transformer.h.{}.input_layernorm", Bias::Yes);
  placeQkv(model, attention + Twine(".query_key_value"), Qkv::Grouped,
           Bias::Yes);
  place(model, Role::AttnOutput, attention + Twine(".dense"), Bias::Yes);
  place(model, Role::FfnNorm, "transformer.h.{}.post_attention_layernorm",
        Bias::Yes);
  place(model, Role::FfnUp, mlp + Twine(".dense_h_to_4h"), Bias::Yes);
  place(model, Role::FfnDown, mlp + Twine(".dense_4h_to_h"), Bias::Yes);
  place(model, Role::OutputNorm, "transformer.ln_f", Bias::Yes);
  placeHead(model, "lm_head", isTied(config, true));
}

} // namespace

const HfFamily bloom = {
    "bloom",
    "BloomForCausalLM",
    {{"hidden_size", &Model::width, std::nullopt, "n_embed"},
     {"n_layer", &Model::layers, std::nullopt, "num_hidden_layers"},
     {"n_head", &Model::heads, std::nullopt, "num_attention_heads"},
     {"n_inner", &Model::ffn, 0},
     {"vocab_size", &Model::vocab},
     // Nothing bounds positions; 2048 is what the models were trained with.
     {"seq_length", &Model::context, 2048},
     {"layer_norm_epsilon", &Model::eps, 1e-5}},
    {{"apply_residual_connection_post_layernorm", "false or null"}},
    // How Megatron split and fused what is computed.
    {"pretraining_tp", "slow_but_exact", "attention_softmax_in_fp32",
     "bias_dropout_fusion", "masked_softmax_fusion", "skip_bias_add",
     "skip_bias_add_qkv", "offset_alibi", "unk_token_id"},
    describeBloom,
};

} // namespace cria
