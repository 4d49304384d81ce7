// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// MPT (MosaicML 2023): ALiBi, no bias anywhere, Q, K and V in one tensor.
#include "compiler/import/families/Family.h"
#include "compiler/target/AlibiSlopes.h"

using namespace llvm;

namespace cria {
namespace {

/// attn_config, an object of its own. ALiBi's exponent is the file's, as in
/// the models' own code; transformers has 8 for all.
void readAttention(ConfigReader &config, Model &model) {
  constexpr StringLiteral key = "attn_config";
  const json::Value *value = config.find(key);
  const json::Object *object = value ? value->getAsObject() : nullptr;
  if (value && !object)
    return config.refuse(key, "an object, null");
  json::Object none;
  ConfigReader reader(config.file, object ? *object : none, "attn_config.");
  reader.pin("alibi", "true or null");
  reader.pin("attn_type", "\"multihead_attention\" or null");
  // 0 stands for none, unlike in OLMo.
  if (double bound = reader.number("clip_qkv", 0, 1e6, 0))
    model.clipQkv = bound;
  // In the models' own code; transformers passes over it.
  if (reader.boolean("qk_ln", false))
    model.qkNorm = Model::QkNorm::LayerRow;
  reader.pin("prefix_lm", "false or null");
  reader.pin("attn_uses_sequence_id", "false or null");
  model.attentionScale = reader.number("softmax_scale", 1e-9, 1e6, 0);
  SmallVector<float> slopes =
      alibiSlopes(model.heads, reader.number("alibi_bias_max", 1e-3, 1e3, 8));
  model.alibi.assign(slopes.begin(), slopes.end());
  acceptHarmless(reader);
  for (const char *harmless :
       {"attn_impl", "attn_pdrop", "architectures", "model_type", "dtype",
        "torch_dtype", "is_encoder_decoder"})
    reader.accept(harmless);
  reader.refuseOthers("in attn_config");
  config.fail(reader.take());
}

void describeMpt(ConfigReader &config, Model &model) {
  model.norm = Model::Norm::Layer;
  model.gated = false;
  model.activation = Model::Activation::Gelu;
  model.ffn = model.width * config.integer("expansion_ratio", 1, 64, 4);
  readAttention(config, model);
  oneStyle(model, std::nullopt);
  place(model, Role::Embedding, "transformer.wte");
  place(model, Role::AttnNorm, "transformer.blocks.{}.norm_1");
  placeQkv(model, "transformer.blocks.{}.attn.Wqkv", Qkv::Stacked);
  if (model.qkNorm != Model::QkNorm::None) {
    place(model, Role::QNorm, "transformer.blocks.{}.attn.q_ln");
    place(model, Role::KNorm, "transformer.blocks.{}.attn.k_ln");
  }
  place(model, Role::AttnOutput, "transformer.blocks.{}.attn.out_proj");
  place(model, Role::FfnNorm, "transformer.blocks.{}.norm_2");
  place(model, Role::FfnUp, "transformer.blocks.{}.ffn.up_proj");
  place(model, Role::FfnDown, "transformer.blocks.{}.ffn.down_proj");
  place(model, Role::OutputNorm, "transformer.norm_f");
  placeHead(model, "lm_head", isTied(config, true));
}

} // namespace

const HfFamily mpt = {
    "mpt",
    "MptForCausalLM|MPTForCausalLM", // the latter with code of its own
    {{"d_model", &Model::width},
     {"n_layers", &Model::layers},
     {"n_heads", &Model::heads},
     {"vocab_size", &Model::vocab},
     {"max_seq_len", &Model::context, 2048},
     {"layer_norm_epsilon", &Model::eps, 1e-5}},
    {{"no_bias", "true or null"},
     {"norm_type", "\"low_precision_layernorm\" or \"layernorm\" or null"},
     {"logit_scale", "null"}},
    // With ALiBi there are no learned positions.
    {"learned_pos_emb", "embedding_fraction", "emb_pdrop", "init_device",
     "init_config", "tokenizer_name", "verbose"},
    describeMpt,
};

} // namespace cria
