// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria bench: tokens per second of prefill and decode.
#include "tools/BenchAgainst.h"
#include "tools/BenchFeed.h"
#include "tools/BenchLookup.h"
#include "tools/Cache.h"
#include "tools/Commands.h"
#include "tools/Common.h"
#include "tools/Roofline.h"
#include "tools/Series.h"
#include "tools/Study.h"

#include "cria/lookup.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cinttypes>

namespace cria::tools {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  ModelChoice Model;
  std::string Clone; // empty: the best
  std::string Device = "auto";
  int64_t Prompt = 512;
  int64_t Count = 128;
  std::string Threads;
  int64_t Depth = 0;
  int64_t Batch = 1;
  int64_t Repetitions = 5;
  bool AsJson = false;
  int64_t Lookup = 0; // the longest draft; 0: measure prefill and decode
  std::vector<std::string> PromptFiles;
  std::string Against;
  bool Study = false;
  bool Quick = false;
  bool Roofline = false;
  std::string HtmlPath;
};

/// Bytes; Peak is 0 where the system does not tell.
struct Memory {
  uint64_t Peak = 0, Weights = 0, Cache = 0, Other = 0;
};

class Bench {
public:
  Bench(const Options &Chosen, const cria_artifact *Artifact, int64_t Threads)
      : Chosen(Chosen), Model(cria_artifact_model(Artifact)),
        Feed(Artifact, sessionOptions(Threads, Chosen.Clone, Chosen.Device),
             Chosen.Batch,
             Chosen.Depth + std::max(Chosen.Prompt, Chosen.Count)) {
    if (Chosen.Depth)
      Feed.feed(Chosen.Depth);
  }

  /// Without the first, which warms the caches up.
  Series prefill() {
    Series Result;
    for (int64_t I = 0; I <= Chosen.Repetitions && Chosen.Prompt; ++I) {
      double Start = secondsNow();
      Feed.feed(Chosen.Prompt);
      note(Result, I, Chosen.Prompt, Start);
    }
    return Result;
  }

  /// What the process holds beyond weights and cache is the rest.
  Memory memory() const {
    uint64_t Peak = peakMemory(), Weights = Model->weights_bytes,
             Cache = cacheBytes(Feed.session(), Model);
    return {Peak, Weights, Cache, Peak - std::min(Peak, Weights + Cache)};
  }

  const char *target() const {
    return cria_session_clone(Feed.session())->target;
  }

  Series decode() {
    Series Result;
    for (int64_t I = 0; I <= Chosen.Repetitions && Chosen.Count; ++I) {
      // A few tokens are enough to warm up.
      int64_t Count = I ? Chosen.Count : std::min<int64_t>(8, Chosen.Count);
      double Start = secondsNow();
      for (int64_t Step = 0; Step < Count; ++Step)
        Feed.feed(1);
      note(Result, I, Count, Start);
    }
    return Result;
  }

private:
  void note(Series &Result, int64_t Repetition, int64_t Count, double Start) {
    double Seconds = secondsNow() - Start;
    if (Repetition)
      Result.Samples.push_back(Count * Chosen.Batch / std::max(Seconds, 1e-9));
    Feed.rewind(Chosen.Depth);
  }

  const Options &Chosen;
  const cria_model *Model;
  BenchFeed Feed;
};

void addSeries(Json &Entry, const std::string &Name, const Series &Result) {
  if (Result.Samples.empty()) {
    Entry[Name] = nullptr;
    return;
  }
  Entry[Name] = Result.median();
  Entry[Name + "_min"] = Result.least();
  Entry[Name + "_max"] = Result.most();
  Entry[Name + "_samples"] = Result.Samples;
}

Json jsonBytes(const Memory &Held, uint64_t Bytes) {
  return Held.Peak ? Json(Bytes) : Json(nullptr);
}

std::string row(const char *Model, const std::string &Size,
                const std::string &Threads, const std::string &Test,
                const std::string &Speed) {
  // printf counts bytes, and the plus-minus sign has two.
  int Width = 17 + (Speed.find("\u00B1") != std::string::npos);
  return format("| %-18.18s | %9s | %7s | %15s | %*s |\n", Model, Size.c_str(),
                Threads.c_str(), Test.c_str(), Width, Speed.c_str());
}

void printRow(const cria_model *Model, int64_t Threads, std::string Test,
              const Options &Chosen, const Series &Result) {
  if (Result.Samples.empty())
    return;
  if (Chosen.Depth)
    Test += format(" @ d%" PRId64, Chosen.Depth);
  if (Chosen.Batch > 1)
    Test += format(" b%" PRId64, Chosen.Batch);
  print(row(Model->name, bytesText(static_cast<double>(Model->weights_bytes)),
            std::to_string(Threads), Test,
            format("%.2f \u00B1 %.2f", Result.median(), Result.spread())));
}

void requireProfile(const cria_artifact *Artifact, const ModelChoice &Choice) {
  const cria_model *Model = cria_artifact_model(Artifact);
  if (Model->struct_bytes < CRIA_MODEL_PROFILE_BYTES ||
      Model->n_profile_ops == 0)
    throw Failure{format("%s: has no profile; --roofline needs a model that "
                         "counts the time of its ops: compile it with `cria "
                         "compile MODEL -o DIR --profile`, or give the MODEL "
                         "itself",
                         Choice.Path.c_str())};
}

void bench(const Options &Chosen) {
  std::vector<int64_t> ThreadCounts = {cria_default_threads()};
  if (!Chosen.Threads.empty())
    ThreadCounts = parseNumbers(Chosen.Threads, "-t", 1, 1024);
  if (!Chosen.Study && Chosen.Quick)
    throw Failure{"--quick is for --study"};
  if (!Chosen.Study && !Chosen.Roofline && !Chosen.HtmlPath.empty())
    throw Failure{"--html is for the page of --study or --roofline"};
  if (Chosen.Roofline && (Chosen.Study || Chosen.Lookup))
    throw Failure{format("--roofline and %s exclude each other",
                         Chosen.Study ? "--study" : "--lookup")};
  if (!Chosen.Against.empty() &&
      (Chosen.Study || Chosen.Lookup || Chosen.Roofline))
    throw Failure{format("--against and %s exclude each other",
                         Chosen.Study    ? "--study"
                         : Chosen.Lookup ? "--lookup"
                                         : "--roofline")};
  if (Chosen.Study) {
    if (!Chosen.Model.Path.empty())
      throw Failure{format("%s: --study makes models of its own, and takes "
                           "none",
                           Chosen.Model.Path.c_str())};
    if (ThreadCounts.size() != 1)
      throw Failure{format("-t %s: --study measures with one number of threads",
                           Chosen.Threads.c_str())};
    return study({ThreadCounts[0], Chosen.Repetitions, Chosen.Quick,
                  Chosen.AsJson, Chosen.HtmlPath});
  }
  if (Chosen.Model.Path.empty())
    throw Failure{"DIR|MODEL is required (see `cria bench --help`)"};
  if (Chosen.Lookup) {
    if (ThreadCounts.size() != 1)
      throw Failure{
          format("-t %s: --lookup measures with one number of threads",
                 Chosen.Threads.c_str())};
    benchLookup({Chosen.Model, Chosen.Clone, Chosen.PromptFiles, Chosen.Lookup,
                 Chosen.Count, ThreadCounts[0], Chosen.Repetitions,
                 Chosen.AsJson});
    return;
  }
  if (!Chosen.PromptFiles.empty())
    throw Failure{"--prompt-file is for --lookup; prefill and decode are "
                  "measured with random tokens"};
  if (!Chosen.Prompt && !Chosen.Count)
    throw Failure{"-p and -n are both 0: nothing to measure"};
  if (!Chosen.Against.empty())
    return benchAgainst({Chosen.Model, Chosen.Against, Chosen.Clone,
                         Chosen.Device, Chosen.Prompt, Chosen.Count,
                         Chosen.Depth, Chosen.Batch, Chosen.Repetitions,
                         ThreadCounts, Chosen.AsJson});
  ArtifactPtr Artifact = openArtifact(resolveModel(Chosen.Model));
  const cria_model *Model = cria_artifact_model(Artifact.get());
  int64_t Length = Chosen.Depth + std::max(Chosen.Prompt, Chosen.Count);
  if (Length > Model->context)
    throw Failure{format(
        "--depth %" PRId64 " with -p %" PRId64 " and -n %" PRId64
        " needs %" PRId64 " positions; the model is compiled for a context of "
        "%" PRId64,
        Chosen.Depth, Chosen.Prompt, Chosen.Count, Length, Model->context)};
  if (Chosen.Roofline) {
    requireProfile(Artifact.get(), Chosen.Model);
    return roofline(Artifact.get(),
                    {Chosen.Prompt, Chosen.Count, Chosen.Depth, Chosen.Batch,
                     Chosen.Repetitions, ThreadCounts, Chosen.Clone,
                     Chosen.AsJson, Chosen.HtmlPath});
  }
  Json All = Json::array();
  Memory Held; // with the last number of threads: the peak only grows
  if (!Chosen.AsJson)
    print(row("model", "size", "threads", "test", "tokens/s") +
          "| :----------------- | --------: | ------: | --------------: | "
          "----------------: |\n");
  for (int64_t Threads : ThreadCounts) {
    Bench Runner(Chosen, Artifact.get(), Threads);
    Series Prefill = Runner.prefill();
    if (!Chosen.AsJson)
      printRow(Model, Threads, format("pp%" PRId64, Chosen.Prompt), Chosen,
               Prefill);
    Series Decode = Runner.decode();
    Held = Runner.memory();
    if (!Chosen.AsJson) {
      printRow(Model, Threads, format("tg%" PRId64, Chosen.Count), Chosen,
               Decode);
      continue;
    }
    Json Entry = {
        {"model", Model->name},      {"architecture", Model->architecture},
        {"target", Runner.target()}, {"version", cria_version()},
        {"cpu", cria_cpu_name()},    {"weights_bytes", Model->weights_bytes},
        {"threads", Threads},        {"n_prompt", Chosen.Prompt},
        {"n_gen", Chosen.Count},     {"depth", Chosen.Depth},
        {"batch", Chosen.Batch},     {"repetitions", Chosen.Repetitions}};
    addSeries(Entry, "prefill_tps", Prefill);
    addSeries(Entry, "decode_tps", Decode);
    Entry["memory_peak_bytes"] = jsonBytes(Held, Held.Peak);
    Entry["kv_bytes"] = Held.Cache;
    Entry["memory_other_bytes"] = jsonBytes(Held, Held.Other);
    All.push_back(std::move(Entry));
  }
  if (Chosen.AsJson)
    print(All.dump(2) + "\n");
  else if (Held.Peak)
    print(format("memory: weights %s + KV %s + other %s\n",
                 bytesText(static_cast<double>(Held.Weights)).c_str(),
                 bytesText(static_cast<double>(Held.Cache)).c_str(),
                 bytesText(static_cast<double>(Held.Other)).c_str()));
}

} // namespace

Action addBench(Arguments &Declared) {
  constexpr int64_t Most = int64_t{1} << 24;
  auto Chosen = std::make_shared<Options>();
  addModelOptions(Declared, Chosen->Model, Arguments::Optional);
  Declared.number("-p,--prompt", "N", Chosen->Prompt, 0, Most,
                  "Tokens of the prefill; 0: leave it out (default: 512)");
  Declared.number("-n,--count", "N", Chosen->Count, 0, Most,
                  "Tokens of the decode; 0: leave it out (default: 128)");
  Declared.text("-t,--threads", "LIST", Chosen->Threads,
                "Numbers of threads to measure: 1,2,4 (default: one a "
                "physical core)");
  Declared.number("-d,--depth", "D", Chosen->Depth, 0, Most,
                  "Tokens in the cache beforehand (default: 0)");
  Declared.number("-b,--batch", "B", Chosen->Batch, 1, 4096,
                  "Sequences at once; tokens of all count (default: 1)");
  Declared.number("-r,--repetitions", "R", Chosen->Repetitions, 1, 10000,
                  "Measurements of each (default: 5)");
  Declared.text("--against", "DIR|MODEL", Chosen->Against,
                "Measure this model too, by turns, and print bytes, speeds and "
                "decode time beside each other");
  Declared.optionalNumber(
      "--lookup", "[N]", Chosen->Lookup, CRIA_LOOKUP_MAX_DRAFT, 1,
      CRIA_LOOKUP_LONGEST_DRAFT,
      "Measure lookup speculation instead, with drafts of up to N tokens "
      "(default: 15): up to -n tokens after each --prompt-file, greedily, by "
      "turns with and without");
  Declared.texts("--prompt-file", "FILE", Chosen->PromptFiles,
                 "For --lookup: a text to continue; may be given repeatedly");
  Declared.text("--clone", "T", Chosen->Clone,
                "Run the clone for target T (default: the best for this "
                "processor)");
  addDeviceOption(Declared, Chosen->Device);
  Declared.flag("--study", Chosen->Study,
                "Measure building blocks instead, on models with random "
                "weights: KV cache or none; MHA, GQA, MQA; RMSNorm, "
                "LayerNorm; SwiGLU fused or not");
  Declared.flag("--quick", Chosen->Quick,
                "For --study: smaller models and shorter texts");
  Declared.text("--html", "FILE", Chosen->HtmlPath,
                "For --study and --roofline: also write a page with plots");
  Declared.flag("--json", Chosen->AsJson, "Print JSON instead of a table");
  Declared.flag("--roofline", Chosen->Roofline,
                "Compare each op with the limits of this machine, which are "
                "measured first; a DIR must be compiled with --profile");
  Declared.footer(
      "Examples:\n"
      "  cria bench smollm2 -p 512 -n 128 -t 1,2\n"
      "  cria bench gqa --against mha -d 4096 -p 0 -n 64\n"
      "  cria bench smollm2 --lookup --prompt-file text.txt -n 256\n"
      "  cria bench --study --html study.html\n"
      "  cria bench smollm2.gguf --roofline --html roofline.html\n"
      "Figures are medians; \u00B1 is half the distance from the slowest to "
      "the "
      "fastest.\npp512 is a prefill of 512 tokens, tg128 a generation of 128, "
      "\"@ d1024\" after\n1024 tokens, \"b4\" with 4 sequences at once.\n"
      "\"other\" is what was resident at most beyond weights and KV cache.");
  return [Chosen] {
    Chosen->Model.Profile = Chosen->Roofline;
    bench(*Chosen);
  };
}

} // namespace cria::tools
