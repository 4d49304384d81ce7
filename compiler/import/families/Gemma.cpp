// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Gemma 1, 2 and 3 (text): GeGLU, a scaled embedding, norms whose factor is
// 1 + weight; from 2 on norms on both sides, soft caps and alternating windows;
// from 3 on normalised heads and a rope for each kind of layer.
#include "compiler/import/families/Family.h"
#include <cmath>

using namespace llvm;

namespace cria {
namespace {

void describeShared(ConfigReader &config, Model &model) {
  model.normPlusOne = true;
  model.embeddingScale = std::sqrt(static_cast<double>(model.width));
  Bias attention = readBias(config, "attention_bias");
  placeUsual(model, isTied(config, true), Bias::No, attention, attention,
             Bias::No);
}

/// A missing cap is transformers' default, a null one is none.
double softcapOf(ConfigReader &config, StringRef key, double usual) {
  return config.number(key, 1e-3, 1e6, config.contains(key) ? 0 : usual);
}

void describeGemma(ConfigReader &config, Model &model) {
  // The released files say gelu and mean its approximation, as transformers
  // notes.
  if (model.activation == Model::Activation::Gelu)
    model.activation = Model::Activation::GeluTanh;
  oneStyle(model, readRope(config, model, {}));
  describeShared(config, model);
}

void describeBothNorms(ConfigReader &config, Model &model) {
  describeShared(config, model);
  model.placement = Model::Placement::Both;
  place(model, Role::AttnPostNorm, "model.layers.{}.post_attention_layernorm");
  place(model, Role::FfnNorm, "model.layers.{}.pre_feedforward_layernorm");
  place(model, Role::FfnPostNorm, "model.layers.{}.post_feedforward_layernorm");
  model.attentionScale =
      1 / std::sqrt(config.number("query_pre_attn_scalar", 1e-3, 1e6));
}

void describeGemma2(ConfigReader &config, Model &model) {
  RopeDescription rope = readRope(config, model, {});
  stylesByLayerTypes(config, model, {rope, 0}, {rope, slidingWindow(config)},
                     [](int64_t i) { return i % 2 == 1; });
  describeBothNorms(config, model);
  model.attentionSoftcap = softcapOf(config, "attn_logit_softcapping", 50);
  model.finalSoftcap = softcapOf(config, "final_logit_softcapping", 30);
}

void describeGemma3(ConfigReader &config, Model &model) {
  // One rope for each kind of layer, under its name; in older files rope_theta
  // and rope_scaling are those of full attention.
  const json::Value *value = config.find("rope_parameters");
  const json::Object *ropes = value ? value->getAsObject() : nullptr;
  RopeDescription full, local;
  if (ropes && ropes->getObject("full_attention")) {
    ConfigReader both(config.file, *ropes, "rope_parameters.");
    auto read = [&](StringRef kind) {
      std::string name = ("rope_parameters." + kind).str();
      json::Object none;
      if (!both.has(kind) || !ropes->getObject(kind))
        both.refuse(kind, "an object");
      return readRope(config, model, {},
                      ropes->getObject(kind) ? ropes->getObject(kind) : &none,
                      name);
    };
    full = read("full_attention");
    local = read("sliding_attention");
    both.refuseOthers("in rope_parameters");
    config.fail(both.take());
    config.pin("rope_scaling", "null");
    config.pin("rope_theta", "null");
    config.pin("rope_local_base_freq", "null");
  } else {
    RopeKeys keys;
    keys.usualTheta = 1e6;
    full = readRope(config, model, keys);
    json::Object none;
    keys.theta = {"rope_local_base_freq"};
    keys.usualTheta = 1e4;
    local = readRope(config, model, keys, &none);
  }
  int64_t pattern =
      config.integer("sliding_window_pattern", 1, 4096,
                     config.integer("_sliding_window_pattern", 1, 4096, 6));
  stylesByLayerTypes(config, model, {full, 0}, {local, slidingWindow(config)},
                     [&](int64_t i) { return (i + 1) % pattern == 0; });
  describeBothNorms(config, model);
  model.qkNorm = Model::QkNorm::PerHead;
  place(model, Role::QNorm, "model.layers.{}.self_attn.q_norm");
  place(model, Role::KNorm, "model.layers.{}.self_attn.k_norm");
  model.attentionSoftcap = softcapOf(config, "attn_logit_softcapping", 0);
  model.finalSoftcap = softcapOf(config, "final_logit_softcapping", 0);
}

/// The sizes of a Gemma must all be given: transformers' defaults are those of
/// one model.
std::vector<HfKey> gemmaKeys(const char *activation) {
  std::vector<HfKey> keys =
      required(usualKeys("rms_norm_eps"), {"num_key_value_heads", "head_dim"});
  for (HfKey &key : keys)
    if (key.name == StringRef("hidden_act"))
      key = {activation, &Model::activation};
  return keys;
}

} // namespace

const HfFamily gemma = {
    "gemma",
    "GemmaForCausalLM",
    gemmaKeys("hidden_act"),
    {{"hidden_activation", "\"gelu_pytorch_tanh\" or null"},
     {"use_bidirectional_attention", "false or null"}},
    {},
    describeGemma,
};

const HfFamily gemma2 = {
    "gemma2",
    "Gemma2ForCausalLM",
    gemmaKeys("hidden_activation"),
    {{"use_bidirectional_attention", "false or null"}},
    {"hidden_act", "cache_implementation"},
    describeGemma2,
};

const HfFamily gemma3 = {
    "gemma3_text",
    "Gemma3ForCausalLM",
    gemmaKeys("hidden_activation"),
    {{"use_bidirectional_attention", "false or null"}},
    {"hidden_act", "cache_implementation"},
    describeGemma3,
};

} // namespace cria
