// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The families of GGUF, as llama.cpp's converter writes them.
#include "compiler/import/families/GgufFamily.h"
#include <cmath>

using namespace llvm;

namespace cria {
namespace {

using Model = DecoderDescription;

const GgufTensorName usualNames[] = {
    {Role::Embedding, "token_embd.weight", false},
    {Role::OutputNorm, "output_norm.weight", false},
    {Role::Head, "output.weight", true}, // else the embedding
    {Role::AttnNorm, "blk.{}.attn_norm.weight", false},
    {Role::AttnQ, "blk.{}.attn_q.weight", false},
    {Role::AttnK, "blk.{}.attn_k.weight", false},
    {Role::AttnV, "blk.{}.attn_v.weight", false},
    {Role::AttnOutput, "blk.{}.attn_output.weight", false},
    {Role::FfnNorm, "blk.{}.ffn_norm.weight", false},
    {Role::FfnGate, "blk.{}.ffn_gate.weight", false},
    {Role::FfnUp, "blk.{}.ffn_up.weight", false},
    {Role::FfnDown, "blk.{}.ffn_down.weight", false},
    {Role::AttnQBias, "blk.{}.attn_q.bias", true},
    {Role::AttnKBias, "blk.{}.attn_k.bias", true},
    {Role::AttnVBias, "blk.{}.attn_v.bias", true},
    {Role::AttnOutputBias, "blk.{}.attn_output.bias", true},
    {Role::FfnGateBias, "blk.{}.ffn_gate.bias", true},
    {Role::FfnUpBias, "blk.{}.ffn_up.bias", true},
    {Role::FfnDownBias, "blk.{}.ffn_down.bias", true},
};

void place(Model &model, Role role, const char *name, bool optional = false) {
  model.at(role) = {name, optional};
}

void placeHeadNorms(Model &model) {
  place(model, Role::QNorm, "blk.{}.attn_q_norm.weight");
  place(model, Role::KNorm, "blk.{}.attn_k_norm.weight");
}

void placePostNorms(Model &model) {
  place(model, Role::AttnPostNorm, "blk.{}.post_attention_norm.weight");
  place(model, Role::FfnPostNorm, "blk.{}.post_ffw_norm.weight");
}

/// Layer i has style 0 where `isFull(i)`, else style 1.
template <typename Predicate> void alternate(Model &model, Predicate isFull) {
  for (int64_t i = 0; i < model.layers; ++i)
    model.styleOf[static_cast<size_t>(i)] = isFull(i) ? 0 : 1;
}

int64_t readWindow(GgufKeys &keys) {
  return keys.integer("attention.sliding_window", 1, int64_t(1) << 30);
}

void describeGranite(GgufKeys &keys, Model &model) {
  model.embeddingScale = keys.number("embedding_scale", 1e-9, 1e9, 1.0);
  model.residualScale = keys.number("residual_scale", 1e-9, 1e9, 1.0);
  model.logitScale = 1 / keys.number("logit_scale", 1e-9, 1e9, 1.0);
}

/// Every fourth layer has no positions: the file does not say so.
void describeSmolLm3(GgufKeys &, Model &model) {
  model.styles.push_back({});
  alternate(model, [](int64_t i) { return (i + 1) % 4 != 0; });
}

void describeQwen3(GgufKeys &, Model &model) {
  model.qkNorm = Model::QkNorm::PerHead;
  placeHeadNorms(model);
}

/// The converter has added the 1 to the weights of norms.
void describeGemma(GgufKeys &, Model &model) {
  model.activation = Model::Activation::GeluTanh;
  model.embeddingScale = std::sqrt(static_cast<double>(model.width));
}

/// Scores of the 27B models are not scaled by a head's size: the file does not
/// say so, the number of layers does, as in llama.cpp.
void scaleLargest(Model &model, int64_t layers) {
  if (model.layers == layers)
    model.attentionScale = 1 / std::sqrt(static_cast<double>(model.width) /
                                         static_cast<double>(model.heads));
}

void describeGemma2(GgufKeys &keys, Model &model) {
  describeGemma(keys, model);
  model.placement = Model::Placement::Both;
  placePostNorms(model);
  model.attentionSoftcap =
      keys.number("attn_logit_softcapping", 1e-3, 1e6, 50.0);
  model.finalSoftcap = keys.number("final_logit_softcapping", 1e-3, 1e6, 30.0);
  model.styles.push_back({model.styles.front().rope, readWindow(keys)});
  alternate(model, [](int64_t i) { return i % 2 == 1; });
  scaleLargest(model, 46);
}

void describeGemma3(GgufKeys &keys, Model &model) {
  describeGemma(keys, model);
  model.placement = Model::Placement::Both;
  placePostNorms(model);
  model.qkNorm = Model::QkNorm::PerHead;
  placeHeadNorms(model);
  RopeDescription local;
  local.theta = keys.number("rope.freq_base_swa", 1, 1e15, 10000.0);
  local.dims = model.styles.front().rope->dims;
  local.maxPositions = model.context;
  model.styles.push_back({local, readWindow(keys)});
  int64_t pattern =
      keys.integer("attention.sliding_window_pattern", 1, 4096, 6);
  alternate(model, [&](int64_t i) { return (i + 1) % pattern == 0; });
  scaleLargest(model, 62);
}

void describeOlmo2(GgufKeys &, Model &model) {
  model.placement = Model::Placement::Branch;
  model.qkNorm = Model::QkNorm::Row;
  place(model, Role::AttnNorm, "");
  place(model, Role::FfnNorm, "");
  placePostNorms(model);
  placeHeadNorms(model);
}

} // namespace

void placeUsualGguf(DecoderDescription &model) {
  for (const GgufTensorName &entry : usualNames)
    model.at(entry.role) = {entry.name, entry.optional};
  model.ignoredTensors = {"rope_freqs.weight", "*.attn_rot_embd.weight"};
}

ArrayRef<GgufFamily> ggufFamilies() {
  constexpr Model::Norm rms = Model::Norm::Rms;
  static const GgufFamily families[] = {
      {"llama", rms, true, nullptr},
      {"smollm3", rms, true, describeSmolLm3},
      {"granite", rms, true, describeGranite},
      {"qwen2", rms, false, nullptr},
      {"qwen3", rms, false, describeQwen3},
      {"gemma", rms, false, describeGemma},
      {"gemma2", rms, false, describeGemma2},
      {"gemma3", rms, false, describeGemma3},
      {"olmo2", rms, false, describeOlmo2},
  };
  return families;
}

} // namespace cria
