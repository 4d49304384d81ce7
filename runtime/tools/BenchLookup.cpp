// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria bench --lookup: decode speed with and without lookup speculation.
#include "tools/BenchLookup.h"

#include "tools/Generation.h"
#include "tools/Series.h"

#include <nlohmann/json.hpp>

#include <cinttypes>
#include <filesystem>

namespace cria::tools {

namespace {

using Json = nlohmann::ordered_json;

struct Result {
  Series Plain, Drafted, Ratio; // tokens per second, and by pairs
  int64_t PromptTokens = 0, Tokens = 0;
  cria_lookup_stats Stats = {};
  double perRun() const {
    return static_cast<double>(Stats.runs + Stats.right) /
           static_cast<double>(std::max<int64_t>(1, Stats.runs));
  }
};

class PromptBench {
public:
  PromptBench(const LookupBench &Chosen, const cria_artifact *Artifact,
              const cria_tokenizer *Tokenizer, const std::string &File,
              const std::string &Text)
      : Chosen(Chosen), Model(cria_artifact_model(Artifact)),
        Tokenizer(Tokenizer), File(File),
        Prompt(encodePrompt(Tokenizer, Text)) {
    if (Prompt.empty())
      throw Failure{format("--prompt-file %s: gives no tokens", File.c_str())};
    cria_session_options Wanted =
        optionsFor(Model, Prompt.size(), Chosen.Count, Chosen.Draft);
    Wanted.threads = Chosen.Threads;
    Wanted.clone = Chosen.Clone.empty() ? nullptr : Chosen.Clone.c_str();
    Capacity = Wanted.capacity;
    Session = openSession(Artifact, Wanted);
  }

  Result measure() {
    Result Found;
    Found.PromptTokens = Prompt.size();
    // The first pair warms up.
    for (int64_t I = 0; I <= Chosen.Repetitions; ++I) {
      Generated Plain = once(nullptr);
      LookupPtr Lookup = openLookup(Chosen.Draft, Capacity);
      Generated Drafted = once(Lookup.get());
      if (Plain.Tokens != Drafted.Tokens)
        throw Failure{format("%s: the text with drafts differs from the text "
                             "without: a defect of cria, please report it",
                             File.c_str())};
      if (!Plain.Decoded)
        throw Failure{format("%s: the model ends the text at once: nothing to "
                             "measure",
                             File.c_str())};
      Found.Tokens = Plain.Decoded;
      if (!I)
        continue;
      Found.Plain.Samples.push_back(Plain.Decoded / Plain.DecodeSeconds);
      Found.Drafted.Samples.push_back(Drafted.Decoded / Drafted.DecodeSeconds);
      Found.Ratio.Samples.push_back(Plain.DecodeSeconds /
                                    Drafted.DecodeSeconds);
      cria_lookup_stats Stats;
      cria_lookup_get_stats(Lookup.get(), &Stats);
      Found.Stats.runs += Stats.runs;
      Found.Stats.drafted += Stats.drafted;
      Found.Stats.right += Stats.right;
    }
    return Found;
  }

private:
  Generated once(cria_lookup *Lookup) {
    cria_error Error;
    check(cria_session_clear(Session.get(), 0, &Error), Error);
    cria_sampler_params Greedy;
    cria_sampler_params_init(&Greedy);
    SamplerPtr Sampler = openSampler(Greedy, Model);
    return generate(Session.get(), Prompt, Chosen.Count, Tokenizer,
                    Sampler.get(), Lookup, [](int32_t) {});
  }

  const LookupBench &Chosen;
  const cria_model *Model;
  const cria_tokenizer *Tokenizer;
  std::string File;
  std::vector<int32_t> Prompt;
  int64_t Capacity = 0;
  SessionPtr Session;
};

std::string speedText(const Series &Speed) {
  return format("%.1f \u00B1 %.1f", Speed.median(), Speed.spread());
}

Json entry(const LookupBench &Chosen, const std::string &File,
           const Result &Found) {
  return {{"prompt_file", File},
          {"prompt_tokens", Found.PromptTokens},
          {"tokens", Found.Tokens},
          {"max_draft", Chosen.Draft},
          {"plain_tps", Found.Plain.median()},
          {"plain_tps_samples", Found.Plain.Samples},
          {"lookup_tps", Found.Drafted.median()},
          {"lookup_tps_samples", Found.Drafted.Samples},
          {"ratio", Found.Ratio.median()},
          {"ratio_min", Found.Ratio.least()},
          {"ratio_max", Found.Ratio.most()},
          {"tokens_per_run", Found.perRun()},
          {"drafted", Found.Stats.drafted},
          {"right", Found.Stats.right}};
}

} // namespace

void benchLookup(const LookupBench &Chosen) {
  if (Chosen.PromptFiles.empty())
    throw Failure{"--lookup needs --prompt-file FILE: what can be drafted "
                  "depends on the text"};
  std::vector<std::string> Texts;
  for (const std::string &File : Chosen.PromptFiles)
    Texts.push_back(readWhole(File, "--prompt-file"));
  std::string Dir = resolveModel(Chosen.Model);
  TokenizerPtr Tokenizer = openTokenizer(Dir, "bench --lookup");
  ArtifactPtr Artifact = openArtifact(Dir);
  Json All = Json::array();
  if (!Chosen.AsJson)
    print("| prompt             | tokens |   plain t/s |  lookup t/s "
          "|  ratio | per run |\n"
          "| :----------------- | -----: | ----------: | ----------: "
          "| -----: | ------: |\n");
  for (size_t I = 0; I < Texts.size(); ++I) {
    const std::string &File = Chosen.PromptFiles[I];
    Result Found =
        PromptBench(Chosen, Artifact.get(), Tokenizer.get(), File, Texts[I])
            .measure();
    if (Chosen.AsJson) {
      All.push_back(entry(Chosen, File, Found));
      continue;
    }
    // printf counts bytes, and the plus-minus sign has two.
    print(
        format("| %-18.18s | %6" PRId64 " | %12s | %12s | %4.2f x | %7.2f |\n",
               std::filesystem::path(File).stem().c_str(), Found.Tokens,
               speedText(Found.Plain).c_str(), speedText(Found.Drafted).c_str(),
               Found.Ratio.median(), Found.perRun()));
  }
  if (Chosen.AsJson)
    print(All.dump(2) + "\n");
}

} // namespace cria::tools
