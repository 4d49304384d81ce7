// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/BenchAgainst.h"

#include "tools/BenchFeed.h"
#include "tools/Card.h"
#include "tools/Series.h"

#include <nlohmann/json.hpp>

#include <cinttypes>

namespace cria::tools {

namespace {

using Json = nlohmann::ordered_json;

/// Seconds of the same work: of the model, of the other one, and the time of
/// the other over that of the model, pair by pair.
struct Pairs {
  Series Model, Other, Ratio;

  void note(double Seconds, double OtherSeconds) {
    Model.Samples.push_back(Seconds);
    Other.Samples.push_back(OtherSeconds);
    Ratio.Samples.push_back(OtherSeconds / Seconds);
  }
  bool empty() const { return Ratio.Samples.empty(); }
};

/// What follows from shapes alone.
struct Bytes {
  double Weights, KvPerToken, KvFullContext;
  double Step; // read by a decode step of one sequence at the depth
};

class Runner {
public:
  Runner(const AgainstBench &Chosen, const cria_artifact *Artifact,
         int64_t Threads)
      : Chosen(Chosen),
        Feed(Artifact, sessionOptions(Threads, Chosen.Clone, Chosen.Device),
             Chosen.Batch,
             Chosen.Depth + std::max(Chosen.Prompt, Chosen.Count)) {
    if (Chosen.Depth)
      Feed.feed(Chosen.Depth);
  }

  double prefill() { return timed(1, Chosen.Prompt); }

  /// The first steps bring back the weights that the other model has driven
  /// out of the caches.
  double decode() {
    timed(std::min<int64_t>(2, Chosen.Count), 1);
    return timed(Chosen.Count, 1);
  }

private:
  double timed(int64_t Calls, int64_t Tokens) {
    double Start = secondsNow();
    for (int64_t I = 0; I < Calls; ++I)
      Feed.feed(Tokens);
    double Seconds = secondsNow() - Start;
    Feed.rewind(Chosen.Depth);
    return std::max(Seconds, 1e-9);
  }

  const AgainstBench &Chosen;
  BenchFeed Feed;
};

ArtifactPtr open(const ModelChoice &Choice, int64_t Length) {
  ArtifactPtr Artifact = openArtifact(resolveModel(Choice));
  int64_t Context = cria_artifact_model(Artifact.get())->context;
  if (Length > Context)
    throw Failure{format("%s: is compiled for a context of %" PRId64
                         "; --depth with -p and -n needs %" PRId64,
                         Choice.Path.c_str(), Context, Length)};
  return Artifact;
}

Bytes bytesOf(const cria_artifact *Artifact, int64_t Depth) {
  const cria_model &Model = *cria_artifact_model(Artifact);
  double PerToken = static_cast<double>(Model.kv_bytes_per_token);
  TokenCost Cost = tokenCost(Artifact);
  return {static_cast<double>(Model.weights_bytes), PerToken,
          PerToken * static_cast<double>(Model.context),
          Cost.Bytes + Cost.CachedBytes * static_cast<double>(Depth)};
}

/// The model that goes first changes from pair to pair; the first pair warms
/// up.
Pairs byTurns(int64_t Repetitions, Runner &Model, Runner &Other,
              double (Runner::*Work)()) {
  Pairs All;
  for (int64_t I = 0; I <= Repetitions; ++I) {
    double Seconds = 0, OtherSeconds = 0;
    if (I % 2 == 0)
      Seconds = (Model.*Work)();
    OtherSeconds = (Other.*Work)();
    if (I % 2)
      Seconds = (Model.*Work)();
    if (I)
      All.note(Seconds, OtherSeconds);
  }
  return All;
}

void addPairs(Json &Entry, const std::string &Name, const Pairs &Of,
              int64_t Tokens) {
  if (Of.empty()) {
    Entry[Name + "_ratio"] = nullptr;
    return;
  }
  Entry[Name + "_tps"] = Tokens / Of.Model.median();
  Entry["against_" + Name + "_tps"] = Tokens / Of.Other.median();
  Entry[Name + "_seconds_samples"] = Of.Model.Samples;
  Entry["against_" + Name + "_seconds_samples"] = Of.Other.Samples;
  Entry[Name + "_ratio"] = Of.Ratio.median();
  Entry[Name + "_ratio_min"] = Of.Ratio.least();
  Entry[Name + "_ratio_max"] = Of.Ratio.most();
}

Json jsonBytes(const Bytes &Of) {
  return {{"weights_bytes", Of.Weights},
          {"kv_bytes_per_token", Of.KvPerToken},
          {"kv_bytes_full_context", Of.KvFullContext},
          {"step_bytes", Of.Step}};
}

void printBytes(const char *Name, double Model, double Other) {
  print(format("%-26s %13s %13s", Name, bytesText(Model).c_str(),
               bytesText(Other).c_str()) +
        (Other > 0 ? format(" %8.2f\n", Model / Other) : "\n"));
}

/// Tokens per second. The ratio is of speeds, so that more is better.
void printSpeed(const std::string &Name, const Pairs &Of, int64_t Tokens) {
  if (Of.empty())
    return;
  print(format("%-26s %13.2f %13.2f %8.2f   %.2f to %.2f\n", Name.c_str(),
               Tokens / Of.Model.median(), Tokens / Of.Other.median(),
               Of.Ratio.median(), Of.Ratio.least(), Of.Ratio.most()));
}

void printSaved(const Pairs &Of, int64_t Steps) {
  if (Of.empty())
    return;
  double Now = 1e3 * Of.Model.median() / static_cast<double>(Steps);
  double Before = 1e3 * Of.Other.median() / static_cast<double>(Steps);
  auto Share = [](double Ratio) { return 100 * (1 - 1 / Ratio); };
  print(format("decode time saved: %.3f ms of %.3f ms a step, %.1f %% (pairs: "
               "%.1f to %.1f %%)\n",
               Before - Now, Before, Share(Of.Ratio.median()),
               Share(Of.Ratio.least()), Share(Of.Ratio.most())));
}

} // namespace

void benchAgainst(const AgainstBench &Chosen) {
  int64_t Length = Chosen.Depth + std::max(Chosen.Prompt, Chosen.Count);
  ArtifactPtr Artifact = open(Chosen.Model, Length);
  ModelChoice OtherChoice;
  OtherChoice.Path = Chosen.Against;
  OtherChoice.Context = Chosen.Model.Context;
  ArtifactPtr Other = open(OtherChoice, Length);
  Bytes Model = bytesOf(Artifact.get(), Chosen.Depth),
        OtherBytes = bytesOf(Other.get(), Chosen.Depth);
  int64_t PromptTokens = Chosen.Prompt * Chosen.Batch,
          Generated = Chosen.Count * Chosen.Batch;
  std::string Where = Chosen.Depth ? format(" @ d%" PRId64, Chosen.Depth) : "";
  if (Chosen.Batch > 1)
    Where += format(" b%" PRId64, Chosen.Batch);
  if (!Chosen.AsJson) {
    print(format("model    %s\nagainst  %s\n\n%-26s %13s %13s %8s\n",
                 Chosen.Model.Path.c_str(), Chosen.Against.c_str(), "", "model",
                 "against", "ratio"));
    printBytes("weights", Model.Weights, OtherBytes.Weights);
    printBytes("KV cache, a token", Model.KvPerToken, OtherBytes.KvPerToken);
    printBytes("KV cache, full context", Model.KvFullContext,
               OtherBytes.KvFullContext);
    printBytes(
        format("read to decode one%s",
               Chosen.Depth ? format(" @ d%" PRId64, Chosen.Depth).c_str() : "")
            .c_str(),
        Model.Step, OtherBytes.Step);
  }
  Json All = Json::array();
  for (int64_t Threads : Chosen.Threads) {
    Runner ModelRunner(Chosen, Artifact.get(), Threads),
        OtherRunner(Chosen, Other.get(), Threads);
    Pairs Prefill, Decode;
    if (Chosen.Prompt)
      Prefill = byTurns(Chosen.Repetitions, ModelRunner, OtherRunner,
                        &Runner::prefill);
    if (Chosen.Count)
      Decode = byTurns(Chosen.Repetitions, ModelRunner, OtherRunner,
                       &Runner::decode);
    if (!Chosen.AsJson) {
      print(format("\n%" PRId64 " thread%s, tokens/s, medians of %" PRId64
                   " by turns\n",
                   Threads, Threads == 1 ? "" : "s", Chosen.Repetitions));
      printSpeed(format("pp%" PRId64, Chosen.Prompt) + Where, Prefill,
                 PromptTokens);
      printSpeed(format("tg%" PRId64, Chosen.Count) + Where, Decode, Generated);
      printSaved(Decode, Chosen.Count);
      continue;
    }
    Json Entry = {{"model", Chosen.Model.Path},
                  {"against", Chosen.Against},
                  {"version", cria_version()},
                  {"cpu", cria_cpu_name()},
                  {"threads", Threads},
                  {"n_prompt", Chosen.Prompt},
                  {"n_gen", Chosen.Count},
                  {"depth", Chosen.Depth},
                  {"batch", Chosen.Batch},
                  {"repetitions", Chosen.Repetitions},
                  {"model_bytes", jsonBytes(Model)},
                  {"against_bytes", jsonBytes(OtherBytes)}};
    addPairs(Entry, "prefill", Prefill, PromptTokens);
    addPairs(Entry, "decode", Decode, Generated);
    All.push_back(std::move(Entry));
  }
  if (Chosen.AsJson)
    print(All.dump(2) + "\n");
}

} // namespace cria::tools
