// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Card.h"

#include "tools/Common.h"

#include <nlohmann/json.hpp>

namespace cria::tools {

namespace {

using Json = nlohmann::json;

/// What the compiler found (compiler/emit/Proportions.h); an empty object
/// where it said nothing, as in a model written by hand.
Json compiled(const cria_model &M) {
  if (M.metadata) {
    Json Metadata = Json::parse(M.metadata, nullptr, false);
    if (Metadata.is_object() && Metadata.contains("proportions") &&
        Metadata["proportions"].is_object())
      return Metadata["proportions"];
  }
  return Json::object();
}

/// Multiplications and additions of the weights for one token: what a Llama
/// computes from these shapes (gate, up and down; the head for each token).
double llamaFlops(const cria_model &M) {
  double Attention = static_cast<double>(M.width) * M.head_dim *
                     (2.0 * M.heads + 2.0 * M.kv_heads);
  double Ffn = 3.0 * M.width * M.ffn;
  return 2 * (M.layers * (Attention + Ffn) +
              static_cast<double>(M.vocab) * M.width);
}

/// Arrays are called PARAM or PARAM.PART.
bool isPartOf(const std::string &Array, const std::string &Param) {
  return Array == Param || Array.rfind(Param + ".", 0) == 0;
}

double ratio(double A, double B) { return B > 0 ? A / B : 0; }

} // namespace

TokenCost tokenCost(const cria_artifact *Artifact) {
  const cria_model &M = *cria_artifact_model(Artifact);
  Json Facts = compiled(M);
  TokenCost Cost;
  Cost.Flops = Facts.contains("matmul_parameters")
                   ? 2 * Facts.value("matmul_parameters", 0.0)
                   : llamaFlops(M);
  Cost.Bytes = static_cast<double>(M.weights_bytes);
  for (const Json &Param : Facts.value("row_lookups", Json::array()))
    for (int64_t I = 0; Param.is_string() && I < M.n_weights; ++I)
      if (isPartOf(M.weights[I].name, Param.get<std::string>()))
        Cost.Bytes -= static_cast<double>(M.weights[I].bytes);
  // Q times K and probabilities times V.
  Cost.CachedFlops = 4.0 * M.layers * M.heads * M.head_dim;
  Cost.CachedBytes = static_cast<double>(M.kv_bytes_per_token);
  return Cost;
}

std::vector<Proportion> proportions(const cria_artifact *Artifact) {
  const cria_model &M = *cria_artifact_model(Artifact);
  Json Facts = compiled(M);
  TokenCost Cost = tokenCost(Artifact);
  bool Gated = Facts.value("gated", true);
  std::vector<Proportion> Card;
  auto Add = [&](const char *Key, std::string Name, double Value, double Least,
                 double Most, const char *Below, const char *Above) {
    Proportion One = {Key, std::move(Name), Value, Least, Most, ""};
    if (Most > 0 && Value < Least)
      One.Remark = Below;
    else if (Most > 0 && Value > Most)
      One.Remark = Above;
    Card.push_back(std::move(One));
  };
  double Width = static_cast<double>(M.width);
  // 8/3 gives a gated network the parameters that 4 gives one of two matrices.
  if (Gated)
    Add("ffn_ratio", "d_ff / d_model, gated", M.ffn / Width, 2.5, 4,
        "narrow: 8/3 matches a plain network of 4",
        "wide: 8/3 matches a plain network of 4");
  else
    Add("ffn_ratio", "d_ff / d_model", M.ffn / Width, 4, 4,
        "narrow: 4 is all but universal", "wide: 4 is all but universal");
  Add("attention_ratio", "heads x head_dim / d_model",
      ratio(double(M.heads) * M.head_dim, Width), 1, 1,
      "attention is narrower than the residual stream",
      "attention is wider than the residual stream");
  Add("head_dim", "head_dim", M.head_dim, 64, 128,
      "small: positions and content share few numbers",
      "large: more KV cache and work per head");
  Add("aspect_ratio", "d_model / layers", ratio(Width, M.layers), 50, 200,
      "deep and thin: more steps in sequence for the same parameters",
      "shallow and wide: fewer steps in sequence");
  Add("vocabulary", "vocabulary", M.vocab, 32000, 262144,
      "small: texts become more tokens",
      "large: the head takes much of a small model");
  double Embedding = double(M.vocab) * Width;
  if (Facts.contains("parameters"))
    Add("embedding_share", "one embedding table / parameters",
        ratio(Embedding, Facts.value("parameters", 0.0)), 0, 0.2, "",
        "a large part of the model is its vocabulary");
  Add("gqa_ratio", "heads / kv heads", ratio(double(M.heads), M.kv_heads), 4, 8,
      M.heads == M.kv_heads ? "multi-head: each head has a KV cache of its own"
                            : "few heads share a KV cache",
      M.kv_heads == 1 ? "multi-query: all heads share one KV cache"
                      : "many heads share a KV cache");
  Add("kv_full_context", "KV at full context / weights",
      ratio(double(M.kv_bytes_per_token) * M.context, double(M.weights_bytes)),
      0, 1, "", "a full context takes more memory than the weights");
  struct {
    const char *Key;
    int Batch;
  } Batches[] = {{"intensity_1", 1},
                 {"intensity_8", 8},
                 {"intensity_32", 32},
                 {"intensity_128", 128}};
  for (const auto &[Key, Batch] : Batches)
    Add(Key, format("flop / byte, decode of %d", Batch),
        ratio(Cost.Flops * Batch, Cost.Bytes), 0, 0, "", "");
  double Half = M.context / 2.0;
  Add("intensity_half_context", format("  of 32, each after %.0f tokens", Half),
      ratio(32 * (Cost.Flops + Half * Cost.CachedFlops),
            Cost.Bytes + 32 * Half * Cost.CachedBytes),
      0, 0, "", "");
  return Card;
}

} // namespace cria::tools
