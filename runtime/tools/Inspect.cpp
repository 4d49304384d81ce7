// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria inspect: what a compiled model is and what it costs.
#include "tools/Cache.h"
#include "tools/Card.h"
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

Json gpuTargets(const cria_model &M) {
  Json Targets = Json::array();
  if (M.struct_bytes >= CRIA_MODEL_GPU_BYTES)
    for (int64_t I = 0; I < M.n_gpu_clones; ++I)
      Targets.push_back(M.gpu_clones[I].target);
  return Targets;
}

Json describeCard(const cria_artifact *Artifact) {
  Json Card = Json::object();
  for (const Proportion &One : proportions(Artifact)) {
    Json Entry = {{"value", One.Value}};
    if (One.Most > 0)
      Entry["usual"] = {One.Least, One.Most};
    if (!One.Remark.empty())
      Entry["remark"] = One.Remark;
    Card[One.Key] = std::move(Entry);
  }
  return Card;
}

std::string cardText(const cria_artifact *Artifact) {
  std::string Text = format("\n%-34s %9s %15s\n", "proportions", "", "usual");
  for (const Proportion &One : proportions(Artifact)) {
    std::string Usual;
    if (One.Most > One.Least)
      Usual = One.Least > 0 ? format("%.6g to %.6g", One.Least, One.Most)
                            : format("up to %.6g", One.Most);
    else if (One.Most > 0)
      Usual = format("%.6g", One.Most);
    Text += format("  %-32s %9.*f", One.Name.c_str(), One.Value < 100 ? 2 : 0,
                   One.Value);
    if (!Usual.empty())
      Text += format(" %15s", Usual.c_str());
    Text += "\n";
    if (!One.Remark.empty())
      Text += "      " + One.Remark + "\n";
  }
  return Text;
}

Json describe(const cria_artifact *Artifact) {
  const cria_model &M = *cria_artifact_model(Artifact);
  Json Types = Json::object();
  for (const auto &[Type, Sum] : sumByType(Artifact))
    Types[Type] = {{"arrays", Sum.Arrays}, {"bytes", Sum.Bytes}};
  TokenCost Cost = tokenCost(Artifact);
  Json Result = {
      {"name", M.name},
      {"architecture", M.architecture ? M.architecture : ""},
      {"target", cria_artifact_clone(Artifact)->target},
      {"clones", describeClones(Artifact)},
      {"gpu_targets", gpuTargets(M)},
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
      {"flops_per_token", Cost.Flops},
      {"flops_per_cached_token", Cost.CachedFlops},
      {"bytes_per_token", static_cast<uint64_t>(Cost.Bytes)},
      {"bytes_per_cached_token", static_cast<uint64_t>(Cost.CachedBytes)},
      {"proportions", describeCard(Artifact)},
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
  TokenCost Cost = tokenCost(Artifact);
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
  std::string Gpus;
  for (const Json &Target : gpuTargets(M))
    Gpus += (Gpus.empty() ? "" : ", ") + Target.get<std::string>();
  if (!Gpus.empty())
    Line("GPUs", Gpus);
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
  Line("per token", format("%sflop, %s read", countText(Cost.Flops).c_str(),
                           bytesText(Cost.Bytes).c_str()));
  Line("  and for each token in the cache",
       format("%sflop, %s read", countText(Cost.CachedFlops).c_str(),
              bytesText(Cost.CachedBytes).c_str()));
  if (M.metadata) {
    Json Metadata = Json::parse(M.metadata, nullptr, false);
    if (Metadata.is_object())
      for (const auto &[Key, Value] : Metadata.items())
        if (Value.is_primitive())
          Line(Key.c_str(),
               Value.is_string() ? Value.get<std::string>() : Value.dump());
  }
  print(Text + cardText(Artifact));
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
      "each token in\nthe cache adds to both. Then the card of proportions: "
      "how "
      "the sizes relate,\nbeside the range of well-known models, with a remark "
      "where this one leaves it.");
  return [Chosen] { inspect(*Chosen); };
}

} // namespace cria::tools
