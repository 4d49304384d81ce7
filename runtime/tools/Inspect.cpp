// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria inspect: what a compiled model is and what it costs.
#include "tools/Cache.h"
#include "tools/Commands.h"
#include "tools/Common.h"

#include <nlohmann/json.hpp>

#include <cinttypes>
#include <map>

namespace cria::tools {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  ModelChoice Model;
  bool AsJson = false;
};

/// Multiplications and additions of the weights for one token: what a Llama
/// computes from these shapes (gate, up and down; the head for each token).
double linearFlops(const cria_model &M) {
  double Attention = static_cast<double>(M.width) * M.head_dim *
                     (2.0 * M.heads + 2.0 * M.kv_heads);
  double Ffn = 3.0 * M.width * M.ffn;
  return 2 * (M.layers * (Attention + Ffn) +
              static_cast<double>(M.vocab) * M.width);
}

/// Q times K and probabilities times V, for each position in the cache.
double attentionFlops(const cria_model &M) {
  return 4.0 * M.layers * M.heads * M.head_dim;
}

struct TypeSum {
  int64_t Arrays = 0;
  uint64_t Bytes = 0;
};

/// A file may hold more than the code reads; only that counts.
std::map<std::string, TypeSum> sumByType(const cria_artifact *Artifact) {
  const cria_model *Model = cria_artifact_model(Artifact);
  const cria_weights *Weights = cria_artifact_weights(Artifact);
  std::map<std::string, std::string> Types;
  cria_tensor Tensor;
  for (int64_t I = 0; I < cria_weights_count(Weights); ++I)
    if (cria_weights_tensor(Weights, I, &Tensor) == CRIA_OK)
      Types[Tensor.name] = Tensor.dtype;
  std::map<std::string, TypeSum> Sums;
  for (int64_t I = 0; I < Model->n_weights; ++I) {
    TypeSum &Sum = Sums[Types[Model->weights[I].name]];
    ++Sum.Arrays;
    Sum.Bytes += Model->weights[I].bytes;
  }
  return Sums;
}

std::vector<std::string> featureNames(const cria_clone &Clone) {
  std::vector<std::string> Names;
  for (unsigned Index = 0; Index < 64; ++Index)
    if (uint64_t Bit = Clone.features & uint64_t{1} << Index) {
      const char *Name = cria_cpu_feature_name(Bit);
      Names.push_back(Name ? Name : format("bit %u", Index));
    }
  return Names;
}

Json describeClones(const cria_artifact *Artifact) {
  const cria_model &M = *cria_artifact_model(Artifact);
  Json Clones = Json::array();
  for (int64_t I = 0; I < M.n_clones; ++I) {
    const cria_clone &Clone = M.clones[I];
    Clones.push_back({{"target", Clone.target},
                      {"features", featureNames(Clone)},
                      {"can_run", !(Clone.features & ~cria_cpu_features())},
                      {"chosen", &Clone == cria_artifact_clone(Artifact)}});
  }
  return Clones;
}

Json describe(const cria_artifact *Artifact) {
  const cria_model &M = *cria_artifact_model(Artifact);
  Json Types = Json::object();
  for (const auto &[Type, Sum] : sumByType(Artifact))
    Types[Type] = {{"arrays", Sum.Arrays}, {"bytes", Sum.Bytes}};
  Json Result = {
      {"name", M.name},
      {"architecture", M.architecture ? M.architecture : ""},
      {"target", cria_artifact_clone(Artifact)->target},
      {"clones", describeClones(Artifact)},
      {"abi_version", M.abi_version},
      {"layers", M.layers},
      {"width", M.width},
      {"heads", M.heads},
      {"kv_heads", M.kv_heads},
      {"head_dim", M.head_dim},
      {"ffn", M.ffn},
      {"vocab", M.vocab},
      {"context", M.context},
      {"max_batch", M.max_batch},
      {"weights_bytes", M.weights_bytes},
      {"weights", std::move(Types)},
      {"kv_element_bytes", M.kv_element_bytes},
      {"kv_bytes_per_token", M.kv_bytes_per_token},
      {"kv_bytes_full_context", M.kv_bytes_per_token * M.context},
      {"arena_bytes", M.arena_bytes},
      {"thread_arena_bytes", M.thread_arena_bytes},
      {"flops_per_token", linearFlops(M)},
      {"flops_per_cached_token", attentionFlops(M)},
      {"bytes_per_token", M.weights_bytes},
      {"bytes_per_cached_token", M.kv_bytes_per_token},
  };
  if (M.metadata) {
    Json Metadata = Json::parse(M.metadata, nullptr, false);
    if (!Metadata.is_discarded() && !Metadata.empty())
      Result["metadata"] = std::move(Metadata);
  }
  return Result;
}

void printText(const cria_artifact *Artifact) {
  const cria_model &M = *cria_artifact_model(Artifact);
  std::string Text;
  auto Line = [&](const char *Name, const std::string &Value) {
    Text += format("%-14s %s\n", Name, Value.c_str());
  };
  Line("model", M.name);
  Line("architecture", M.architecture ? M.architecture : "");
  Line("target", cria_artifact_clone(Artifact)->target);
  const char *Label = "clones";
  for (const Json &Clone : describeClones(Artifact)) {
    std::string Features;
    for (const Json &Name : Clone["features"])
      Features += (Features.empty() ? "" : ", ") + Name.get<std::string>();
    Line(Label, format("%-16s %s%s", Clone["target"].get<std::string>().c_str(),
                       Features.empty() ? "no more than the architecture"
                                        : Features.c_str(),
                       Clone["chosen"].get<bool>()    ? " (runs here)"
                       : Clone["can_run"].get<bool>() ? ""
                                                      : " (not here)"));
    Label = "";
  }
  Line("layers", std::to_string(M.layers));
  Line("width", std::to_string(M.width));
  Line("heads", format("%" PRId64 ", %" PRId64 " for keys and values, head_dim "
                       "%" PRId64,
                       M.heads, M.kv_heads, M.head_dim));
  Line("ffn", std::to_string(M.ffn));
  Line("vocabulary", std::to_string(M.vocab));
  Line("context", format("%" PRId64 " (up to %" PRId64 " tokens a run)",
                         M.context, M.max_batch));
  Line("weights",
       format("%s in %" PRId64 " arrays",
              bytesText(static_cast<double>(M.weights_bytes)).c_str(),
              M.n_weights));
  for (const auto &[Type, Sum] : sumByType(Artifact))
    Line(format("  %s", Type.c_str()).c_str(),
         format("%s in %" PRId64 " arrays",
                bytesText(static_cast<double>(Sum.Bytes)).c_str(), Sum.Arrays));
  Line("KV cache",
       format("%s per token, %s at full context",
              bytesText(static_cast<double>(M.kv_bytes_per_token)).c_str(),
              bytesText(static_cast<double>(M.kv_bytes_per_token) *
                        static_cast<double>(M.context))
                  .c_str()));
  Line("arena",
       format("%s, and %s per thread",
              bytesText(static_cast<double>(M.arena_bytes)).c_str(),
              bytesText(static_cast<double>(M.thread_arena_bytes)).c_str()));
  Line("per token",
       format("%sflop, %s read", countText(linearFlops(M)).c_str(),
              bytesText(static_cast<double>(M.weights_bytes)).c_str()));
  Line("  and for each token in the cache",
       format("%sflop, %s read", countText(attentionFlops(M)).c_str(),
              bytesText(static_cast<double>(M.kv_bytes_per_token)).c_str()));
  if (M.metadata) {
    Json Metadata = Json::parse(M.metadata, nullptr, false);
    if (Metadata.is_object())
      for (const auto &[Key, Value] : Metadata.items())
        if (Value.is_primitive())
          Line(Key.c_str(),
               Value.is_string() ? Value.get<std::string>() : Value.dump());
  }
  print(Text);
}

void inspect(const Options &Chosen) {
  ArtifactPtr Artifact = openArtifact(resolveModel(Chosen.Model));
  if (Chosen.AsJson)
    print(describe(Artifact.get())
              .dump(2, ' ', false, Json::error_handler_t::replace) +
          "\n");
  else
    printText(Artifact.get());
}

} // namespace

Action addInspect(Arguments &Declared) {
  auto Chosen = std::make_shared<Options>();
  addModelOptions(Declared, Chosen->Model);
  Declared.flag("--json", Chosen->AsJson, "Print JSON");
  Declared.footer(
      "Example:\n"
      "  cria inspect smollm2\n"
      "Shapes, weights by type, bytes of KV cache, and the work of one token: "
      "flops\nof its matrix products, bytes of weights read for it, and what "
      "each token in\nthe cache adds to both.");
  return [Chosen] { inspect(*Chosen); };
}

} // namespace cria::tools
