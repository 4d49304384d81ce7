// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The families of GGUF, as llama.cpp's converter writes them.
#include "compiler/import/MadeTensor.h"
#include "compiler/import/TensorSlice.h"
#include "compiler/import/families/GgufFamily.h"
#include "compiler/target/AlibiSlopes.h"
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

/// Only LayerNorm has a bias.
const GgufTensorName layerNormNames[] = {
    {Role::AttnNormBias, "blk.{}.attn_norm.bias", true},
    {Role::FfnNormBias, "blk.{}.ffn_norm.bias", true},
    {Role::OutputNormBias, "output_norm.bias", true},
};

void place(Model &model, Role role, const char *name, bool optional = false) {
  model.at(role) = {name, optional};
}

void placeHeadNorms(Model &model) {
  place(model, Role::QNorm, "blk.{}.attn_q_norm.weight");
  place(model, Role::KNorm, "blk.{}.attn_k_norm.weight");
}

/// The tensor behind a fused name holds `rows` rows in every layer: else the
/// slices of it would be those of another model.
void checkRows(GgufKeys &keys, const Model &model, StringRef pattern,
               int64_t rows) {
  auto [front, back] = pattern.split("{}");
  for (int64_t i = 0; i < model.layers; ++i) {
    std::string name = (front + Twine(i) + back).str();
    const GgufTensor *tensor = keys.file.findTensor(name);
    if (!tensor || tensor->dims.empty())
      continue; // an error of its own, later
    if (static_cast<int64_t>(tensor->dims.back()) != rows)
      return keys.fail(fileError(
          keys.file.path(),
          "tensor " + quoted(name) + " has " + Twine(tensor->dims.back()) +
              " rows; the model's sizes make it " + Twine(rows)));
  }
}

/// Converters have undone the interleaving by head of GPT-NeoX and Falcon.
void placeFusedQkv(GgufKeys &keys, Model &model) {
  int64_t q = model.queryRows(), kv = model.keyRows();
  constexpr StringLiteral weight = "blk.{}.attn_qkv.weight",
                          bias = "blk.{}.attn_qkv.bias";
  if (keys.file.findTensor("blk.0.attn_qkv.weight")) {
    checkRows(keys, model, weight, q + 2 * kv);
    model.at(Role::AttnQ).name = rowsOf(weight, 0, q);
    model.at(Role::AttnK).name = rowsOf(weight, q, kv);
    model.at(Role::AttnV).name = rowsOf(weight, q + kv, kv);
  }
  if (keys.file.findTensor("blk.0.attn_qkv.bias")) {
    checkRows(keys, model, bias, q + 2 * kv);
    model.at(Role::AttnQBias) = {rowsOf(bias, 0, q)};
    model.at(Role::AttnKBias) = {rowsOf(bias, q, kv)};
    model.at(Role::AttnVBias) = {rowsOf(bias, q + kv, kv)};
  }
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

void parallelWithOneNorm(Model &model) {
  model.block = Model::Block::ParallelOneNorm;
  place(model, Role::FfnNorm, "");
  place(model, Role::FfnNormBias, "");
}

/// Which GELU it is the file does not say: the one that the architecture's
/// models were trained with, as transformers has it. llama.cpp approximates the
/// exact one too, which changes it by up to 0.0005.
void ungated(Model &model, Model::Activation gelu) {
  model.gated = false;
  model.activation = gelu;
  place(model, Role::FfnGate, "");
  place(model, Role::FfnGateBias, "");
}

void describePhi2(GgufKeys &, Model &model) {
  ungated(model, Model::Activation::GeluTanh);
  parallelWithOneNorm(model);
  place(model, Role::HeadBias, "output.bias");
}

/// Gate and up are one tensor.
void describePhi3(GgufKeys &keys, Model &model) {
  constexpr StringLiteral both = "blk.{}.ffn_up.weight";
  checkRows(keys, model, both, 2 * model.ffn);
  model.at(Role::FfnGate).name = rowsOf(both, 0, model.ffn);
  model.at(Role::FfnUp).name = rowsOf(both, model.ffn, model.ffn);
  model.styles.front().window =
      keys.integer("attention.sliding_window", 0, int64_t(1) << 30, 0);
}

/// The converter has transposed the linears.
void describeGpt2(GgufKeys &, Model &model) {
  ungated(model, Model::Activation::GeluTanh);
  model.position = Model::Position::Learned;
  place(model, Role::PositionTable, "position_embd.weight");
}

/// Pythia's is exact; that of GPT-NeoX-20B, which alone has 44 layers, is not.
void describeGptNeoX(GgufKeys &keys, Model &model) {
  ungated(model, model.layers == 44 ? Model::Activation::GeluTanh
                                    : Model::Activation::Gelu);
  if (keys.boolean("use_parallel_residual"))
    model.block = Model::Block::ParallelTwoNorms;
}

/// With two norms, attn_norm is the one before the feed-forward.
void describeFalcon(GgufKeys &keys, Model &model) {
  ungated(model, Model::Activation::Gelu);
  StringRef layout = keys.string("tensor_data_layout", "jploski");
  if (layout != "jploski")
    keys.refuse("tensor_data_layout", quoted(layout), "'jploski'");
  if (!keys.file.findTensor("blk.0.attn_norm_2.weight"))
    return parallelWithOneNorm(model);
  model.block = Model::Block::ParallelTwoNorms;
  place(model, Role::AttnNorm, "blk.{}.attn_norm_2.weight");
  place(model, Role::AttnNormBias, "blk.{}.attn_norm_2.bias", true);
  place(model, Role::FfnNorm, "blk.{}.attn_norm.weight");
  place(model, Role::FfnNormBias, "blk.{}.attn_norm.bias", true);
}

void setAlibi(Model &model, double most) {
  SmallVector<float> slopes = alibiSlopes(model.heads, most);
  model.alibi.assign(slopes.begin(), slopes.end());
}

/// ALiBi's exponent is not in the file.
void describeBloom(GgufKeys &, Model &model) {
  ungated(model, Model::Activation::GeluTanh);
  model.embeddingNorm = true;
  place(model, Role::EmbeddingNorm, "token_embd_norm.weight");
  place(model, Role::EmbeddingNormBias, "token_embd_norm.bias");
  setAlibi(model, 8);
}

/// 0 stands for none.
std::optional<double> readClip(GgufKeys &keys) {
  double bound = keys.number("attention.clamp_kqv", 0, 1e6, 0.0);
  return bound > 0 ? std::optional(bound) : std::nullopt;
}

/// Without ALiBi positions are learned.
void describeMpt(GgufKeys &keys, Model &model) {
  ungated(model, Model::Activation::Gelu);
  model.clipQkv = readClip(keys);
  double most = keys.number("attention.max_alibi_bias", 0, 1e3);
  if (most > 0) {
    setAlibi(model, most);
  } else {
    model.position = Model::Position::Learned;
    place(model, Role::PositionTable, "position_embd.weight");
  }
  if (!keys.file.findTensor("blk.0.attn_q_norm.weight"))
    return;
  model.qkNorm = Model::QkNorm::LayerRow;
  placeHeadNorms(model);
  place(model, Role::QNormBias, "blk.{}.attn_q_norm.bias", true);
  place(model, Role::KNormBias, "blk.{}.attn_k_norm.bias", true);
}

/// LayerNorm of each head, with weights of its own.
void placeNormsOfAllHeads(GgufKeys &keys, Model &model) {
  if (!keys.file.findTensor("blk.0.attn_q_norm.weight"))
    return;
  model.qkNorm = Model::QkNorm::LayerPerHead;
  model.qkNormOfAllHeads = true;
  model.at(Role::QNorm).name = flattened("blk.{}.attn_q_norm.weight");
  model.at(Role::KNorm).name = flattened("blk.{}.attn_k_norm.weight");
}

/// Norms without weights.
void describeOlmo(GgufKeys &keys, Model &model) {
  model.clipQkv = readClip(keys);
  for (Role role : {Role::AttnNorm, Role::AttnNormBias, Role::FfnNorm,
                    Role::FfnNormBias, Role::OutputNorm, Role::OutputNormBias})
    place(model, role, "");
}

/// A converter wrote use_parallel_residual as true where config.json lacks it,
/// which means false: the tensors decide, as in llama.cpp.
void describeStableLm(GgufKeys &keys, Model &model) {
  if (keys.boolean("use_parallel_residual", true) &&
      !keys.file.findTensor("blk.0.ffn_norm.weight"))
    parallelWithOneNorm(model);
  placeNormsOfAllHeads(keys, model);
}

void describeCommandR(GgufKeys &keys, Model &model) {
  parallelWithOneNorm(model);
  placeNormsOfAllHeads(keys, model);
  double scale = keys.number("logit_scale", 0, 1e9, 0.0);
  model.logitScale = scale == 0 ? 1 : scale;
}

/// Layers of full attention have no positions.
void describeCohere2(GgufKeys &keys, Model &model) {
  describeCommandR(keys, model);
  Model::LayerStyle sliding = {model.styles.front().rope, readWindow(keys)};
  model.styles.assign({{std::nullopt, 0}, sliding});
  int64_t pattern =
      keys.integer("attention.sliding_window_pattern", 1, 4096, 4);
  alternate(model, [&](int64_t i) { return (i + 1) % pattern == 0; });
}

} // namespace

void placeUsualGguf(GgufKeys &keys, DecoderDescription &model) {
  for (const GgufTensorName &entry : usualNames)
    model.at(entry.role) = {entry.name, entry.optional};
  if (model.norm == Model::Norm::Layer)
    for (const GgufTensorName &entry : layerNormNames)
      model.at(entry.role) = {entry.name, entry.optional};
  if (!keys.failed())
    placeFusedQkv(keys, model);
  model.ignoredTensors = {"rope_freqs.weight", "rope_factors_long.weight",
                          "rope_factors_short.weight",
                          "*.attn_rot_embd.weight"};
}

ArrayRef<GgufFamily> ggufFamilies() {
  constexpr Model::Norm rms = Model::Norm::Rms, layer = Model::Norm::Layer;
  static const GgufFamily families[] = {
      {"llama", rms, true, nullptr},
      {"smollm3", rms, true, describeSmolLm3},
      {"granite", rms, true, describeGranite},
      {"qwen2", rms, false, nullptr},
      {"qwen3", rms, false, describeQwen3},
      {"gemma", rms, false, describeGemma},
      {"gemma2", rms, false, describeGemma2},
      {"gemma3", rms, false, describeGemma3},
      {"phi2", layer, false, describePhi2},
      {"phi3", rms, false, describePhi3},
      {"gpt2", layer, std::nullopt, describeGpt2},
      {"gptneox", layer, false, describeGptNeoX},
      {"falcon", layer, false, describeFalcon},
      {"bloom", layer, std::nullopt, describeBloom},
      {"mpt", layer, std::nullopt, describeMpt},
      {"olmo", layer, true, describeOlmo},
      {"olmo2", rms, false, describeOlmo2},
      {"stablelm", layer, false, describeStableLm},
      {"command-r", layer, true, describeCommandR},
      {"cohere2", layer, true, describeCohere2},
  };
  return families;
}

} // namespace cria
