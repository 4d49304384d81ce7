// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria tune: the fastest way to cut each op on this machine.
#include "tools/Tune.h"

#include "tools/BenchFeed.h"
#include "tools/Cache.h"
#include "tools/Commands.h"
#include "tools/Common.h"
#include "tools/Compiler.h"
#include "tools/ProgressBar.h"
#include "tools/TempFolder.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cinttypes>
#include <future>
#include <limits>
#include <set>
#include <sstream>
#include <thread>
#include <tuple>

namespace fs = std::filesystem;

namespace cria::tools {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  ModelChoice Model;
  std::string Output = "tune.json";
  std::string HtmlPath;
  std::string Budget = "60s";
  int64_t Threads = 0;
  // Short, so that turns are: noise that outlasts a round hits all alike.
  int64_t Prompt = 256;
  int64_t Count = 8;
  std::string Providers;
  bool Exhaustive = false;
};

/// "90", "90s" or "5m" in seconds.
double parseBudget(const std::string &Text) {
  size_t Digits = Text.find_first_not_of("0123456789");
  std::string Unit = Digits == std::string::npos ? "s" : Text.substr(Digits);
  double Scale = Unit == "s" ? 1 : Unit == "m" ? 60 : 0;
  if (Scale == 0 || Digits == 0 || Text.empty() || Text.size() > 6)
    throw Failure{format("--time-budget %s: expected seconds or minutes, such "
                         "as 60s or 5m",
                         Text.c_str())};
  double Seconds = Scale * std::stod(Text);
  if (Seconds < 10)
    throw Failure{format("--time-budget %s: at least 10s, as every variant of "
                         "the code must be compiled",
                         Text.c_str())};
  return Seconds;
}

//===----------------------------------------------------------------------===//
// The compiler's side
//===----------------------------------------------------------------------===//

/// A file that appears when it is whole, and no sooner.
class PendingFile {
public:
  explicit PendingFile(const std::string &Path)
      : Path(Path), Temporary(Path + ".tmp") {
    if (!Path.empty())
      writeWhole(Temporary, "");
  }
  ~PendingFile() {
    std::error_code Ignored;
    if (!Path.empty())
      fs::remove(Temporary, Ignored);
  }
  PendingFile(const PendingFile &) = delete;
  PendingFile &operator=(const PendingFile &) = delete;
  void put(const std::string &Text) {
    writeWhole(Temporary, Text);
    fs::rename(Temporary, Path);
  }

private:
  std::string Path, Temporary;
};

struct Subject {
  fs::path Dir;
  std::vector<std::string> Arguments; // of every compilation
  const cria_model *Model;
};

Subject describeSubject(const std::string &Dir, const cria_artifact *Artifact) {
  Subject Found = {Dir, {}, cria_artifact_model(Artifact)};
  fs::path Source = Found.Dir / "model.mlir";
  if (!fs::exists(Source))
    throw Failure{format("%s: not found; variants of the code are compiled "
                         "from it",
                         Source.c_str())};
  // A level of x86-64 with features behind it is what "native" stood for.
  std::string Target = cria_artifact_clone(Artifact)->target;
  if (Target.rfind("x86-64", 0) == 0 && Target.find('+') != std::string::npos)
    Target = "native";
  Found.Arguments = {Source, "--start-after", "dialect", "--target", Target};
  Json Metadata = Json::parse(
      Found.Model->metadata ? Found.Model->metadata : "", nullptr, false);
  if (!Metadata.is_object())
    Metadata = Json::object();
  for (auto [Option, Key, Default] :
       {std::tuple("--kv-type", "kv_type", "f16"),
        std::tuple("--numerics", "numerics", "exact")})
    Found.Arguments.insert(Found.Arguments.end(),
                           {Option, Metadata.value(Key, Default)});
  return Found;
}

/// `Providers`: those whose kernels race, all of them if empty.
TuneOp readOp(const Json &Entry, const std::vector<std::string> &Providers) {
  TuneOp Op = {Entry.at("op"), Entry.at("version"), Entry.at("shape"), {}, {}};
  // A word counts by its place among the knob's values.
  auto Read = [&](const std::string &Name, const Json &Value) -> int64_t {
    if (!Value.is_string())
      return Value;
    std::vector<std::string> &Known = Op.Words[Name];
    auto Place = std::find(Known.begin(), Known.end(), Value);
    if (Place == Known.end())
      Place = Known.insert(Place, Value);
    return Place - Known.begin();
  };
  for (const auto &[Name, Value] : Entry.at("default").items())
    Op.Default[Name] = Read(Name, Value);
  for (const auto &[Name, Values] : Entry.at("knobs").items())
    for (const Json &Each : Values) {
      const Json &Value = Each.at("value");
      if (Name != "provider" || Providers.empty() ||
          std::find(Providers.begin(), Providers.end(), Value) !=
              Providers.end())
        Op.Knobs[Name].push_back({Read(Name, Value), Each.at("predicted")});
    }
  return Op;
}

/// The schedule with words for what counts by its place.
Json scheduleJson(const TuneOp &Op, const TuneSchedule &Schedule) {
  Json Made = Json::object();
  for (const auto &[Name, Value] : Schedule) {
    auto Words = Op.Words.find(Name);
    if (Words == Op.Words.end())
      Made[Name] = Value;
    else
      Made[Name] = Words->second[Value];
  }
  return Made;
}

/// The names of `--providers`; an error unless each has a kernel for some op.
std::vector<std::string> readProviders(const std::string &Text,
                                       const Json &Space) {
  std::set<std::string> Known = {"cria"};
  for (const Json &Entry : Space.at("ops"))
    if (Entry.at("knobs").contains("provider"))
      for (const Json &Each : Entry.at("knobs").at("provider"))
        Known.insert(Each.at("value"));
  std::vector<std::string> Chosen;
  std::stringstream Parts(Text);
  for (std::string Part; std::getline(Parts, Part, ',');) {
    if (!Known.count(Part)) {
      std::string Names;
      for (const std::string &Name : Known)
        Names += (Names.empty() ? "" : ", ") + Name;
      throw Failure{format("--providers %s: no kernels of '%s' for this model; "
                           "accepted: %s%s",
                           Text.c_str(), Part.c_str(), Names.c_str(),
                           Known.count("halide")
                               ? ""
                               : " (this cria was built without Halide)")};
    }
    Chosen.push_back(Part);
  }
  if (!Chosen.empty())
    Chosen.push_back("cria"); // what the others race against
  return Chosen;
}

/// What there is to choose, and the target that native stands for.
std::vector<TuneOp> readSpace(const Subject &From, const fs::path &Folder,
                              const Options &Wanted, std::string &Target) {
  std::string File = Folder / "space.json";
  std::vector<std::string> Arguments = From.Arguments;
  Arguments.insert(Arguments.end(), {"--tuning-space", File, "--tuning-threads",
                                     std::to_string(Wanted.Threads)});
  runCompiler(findCompiler(), Arguments);
  Json Space = Json::parse(readWhole(File, "cria-compile"), nullptr, false);
  std::vector<TuneOp> Ops;
  try {
    Target = Space.at("target");
    std::vector<std::string> Providers = readProviders(Wanted.Providers, Space);
    for (const Json &Entry : Space.at("ops"))
      Ops.push_back(readOp(Entry, Providers));
  } catch (const Json::exception &Cause) {
    throw Failure{format("%s: what cria-compile wrote cannot be read: %s; do "
                         "both programs have one version?",
                         File.c_str(), Cause.what())};
  }
  if (Ops.empty())
    throw Failure{format("%s: has no op with a choice", From.Dir.c_str())};
  return Ops;
}

Json recordOp(const TuneOp &Op, const TuneSchedule &Winner) {
  return {{"op", Op.Op},
          {"version", Op.Version},
          {"shape", Op.Shape},
          {"winner", scheduleJson(Op, Winner)}};
}

//===----------------------------------------------------------------------===//
// Measuring
//===----------------------------------------------------------------------===//

/// One way to compile the model, in a session of its own.
class Variant {
public:
  Variant(const std::string &Code, const std::string &Weights,
          const Options &Chosen) {
    cria_artifact *Opened;
    cria_error Error;
    check(cria_artifact_open_files(Code.c_str(), Weights.c_str(), "model_get",
                                   &Opened, &Error),
          Error);
    Artifact.reset(Opened);
    cria_session_options Wanted;
    cria_session_options_init(&Wanted);
    Wanted.threads = Chosen.Threads;
    Feed = std::make_unique<BenchFeed>(Artifact.get(), Wanted, 1,
                                       Chosen.Prompt + Chosen.Count);
  }

  /// Seconds of a prefill and of a decode behind it, and what each op had of
  /// both: of the thread that took the longest, because others wait for it.
  struct Times {
    double Prefill, Decode;
    std::vector<double> Ops;
  };
  Times run(const Options &Chosen, const std::vector<TuneOp> &Ops) {
    Times Taken = {0, 0, std::vector<double>(Ops.size())};
    Feed->rewind(0);
    Taken.Prefill = phase(1, Chosen.Prompt, Ops, Taken.Ops);
    Taken.Decode = phase(Chosen.Count, 1, Ops, Taken.Ops);
    return Taken;
  }

private:
  double phase(int64_t Steps, int64_t Tokens, const std::vector<TuneOp> &Ops,
               std::vector<double> &Seconds) {
    cria_error Error;
    check(cria_session_profile_reset(Feed->session(), &Error), Error);
    for (int64_t Step = 0; Step < Steps; ++Step)
      Feed->feed(Tokens);
    cria_profile Profile;
    check(cria_session_profile(Feed->session(), &Profile, &Error), Error);
    for (int64_t I = 0; I < Profile.n_entries; ++I) {
      const cria_profile_entry &Entry = Profile.entries[I];
      std::string Name = baseName(Entry.op->name);
      for (size_t Op = 0; Op < Ops.size(); ++Op)
        if (Ops[Op].Op == Name && Ops[Op].Version == Entry.op->version)
          Seconds[Op] += Entry.most_seconds;
    }
    return Profile.seconds;
  }

  /// "layers.q" of "layers.q 2", where a step calls an op in two places.
  static std::string baseName(const std::string &Name) {
    size_t Blank = Name.find_last_of(' ');
    if (Blank == std::string::npos ||
        Name.find_first_not_of("0123456789", Blank + 1) != std::string::npos)
      return Name;
    return Name.substr(0, Blank);
  }

  ArtifactPtr Artifact;
  std::unique_ptr<BenchFeed> Feed;
};

class Track : public TuneTrack {
public:
  Track(const Options &Chosen, const Subject &From, const fs::path &Folder,
        const std::vector<TuneOp> &Ops, const std::string &Target,
        double Budget)
      : Chosen(Chosen), From(From), Folder(Folder), Ops(Ops), Target(Target),
        Seconds(Budget), Bar(1000), Started(secondsNow()) {}

  size_t atOnce() const override {
    return std::max(1u, std::thread::hardware_concurrency());
  }

  size_t
  build(const std::vector<std::vector<TuneSchedule>> &Schedules) override {
    size_t First = Variants.size();
    std::vector<std::future<void>> Compilers;
    for (size_t I = 0; I < Schedules.size(); ++I)
      Compilers.push_back(std::async(std::launch::async, [&, I] {
        compile(place(First + I), Schedules[I]);
      }));
    for (std::future<void> &Each : Compilers)
      Each.get();
    for (size_t I = 0; I < Schedules.size(); ++I) {
      Variants.push_back(
          std::make_unique<Variant>(place(First + I) / "model.so",
                                    From.Dir / "model.safetensors", Chosen));
      // The first run maps pages and grows stacks.
      Variants.back()->run(Chosen, Ops);
    }
    return First;
  }

  void drop(size_t Which) override {
    Variants[Which].reset();
    std::error_code Ignored;
    fs::remove_all(place(Which), Ignored);
  }

  Variant::Times once(size_t Which) {
    return Variants[Which]->run(Chosen, Ops);
  }

  std::vector<std::vector<double>>
  run(const std::vector<size_t> &Which) override {
    std::vector<std::vector<double>> Times;
    for (size_t Each : Which)
      Times.push_back(once(Each).Ops);
    return Times;
  }

  double elapsed() const override { return secondsNow() - Started; }
  double budget() const override { return Seconds; }
  void report(const std::string &Text) override {
    double Share = std::min(elapsed() / Seconds, 0.999);
    Bar.update(static_cast<int64_t>(1000 * Share), Text);
  }

private:
  fs::path place(size_t Which) const { return Folder / std::to_string(Which); }

  void compile(const fs::path &Place,
               const std::vector<TuneSchedule> &Schedules) const {
    Json Record = {
        {"cria_tune", 1}, {"target", Target}, {"ops", Json::array()}};
    for (size_t I = 0; I < Ops.size(); ++I)
      Record["ops"].push_back(recordOp(Ops[I], Schedules[I]));
    std::string File = Place.native() + ".json";
    writeWhole(File, Record.dump());
    std::vector<std::string> Arguments = From.Arguments;
    Arguments.insert(Arguments.end(), {"--tune", File, "--profile", "--emit",
                                       "so", "-o", Place, "--quiet"});
    runCompiler(findCompiler(), Arguments);
  }

  const Options &Chosen;
  const Subject &From;
  const fs::path &Folder;
  const std::vector<TuneOp> &Ops;
  const std::string &Target;
  double Seconds;
  ProgressBar Bar;
  double Started;
  std::vector<std::unique_ptr<Variant>> Variants;
};

const TuneSchedule &winner(const TuneResult &Result) {
  return Result.Candidates[Result.Winner].Schedule;
}

/// Runs the code with all winners against that without. A phase that gains
/// nothing loses its winners: what was faster alone may not be so together.
void confirm(TuneReport &Report, Track &Running) {
  constexpr int Rounds = 15;
  bool Any = std::any_of(Report.Results.begin(), Report.Results.end(),
                         [](const TuneResult &Each) { return Each.Winner; });
  if (!Any)
    return;
  std::vector<TuneSchedule> Before(Report.Ops.size()), After;
  for (const TuneResult &Each : Report.Results)
    After.push_back(winner(Each));
  size_t First = Running.build({Before, After});
  TuneReport::Phase Prefill = {
      "prefill", format("prefill of %" PRId64, Report.Prompt), {}, {}, {}};
  TuneReport::Phase Decode = {
      "decode", format("decode of %" PRId64, Report.Count), {}, {}, {}};
  for (int Round = 0; Round < Rounds; ++Round) {
    Running.report("comparing with and without");
    Variant::Times Times[2];
    for (int I : {Round % 2, 1 - Round % 2})
      Times[I] = Running.once(First + static_cast<size_t>(I));
    auto Add = [](TuneReport::Phase &To, double Without, double With) {
      To.Before.Samples.push_back(Without);
      To.After.Samples.push_back(With);
      To.Ratios.Samples.push_back(With / Without);
    };
    Add(Prefill, Times[0].Prefill, Times[1].Prefill);
    Add(Decode, Times[0].Decode, Times[1].Decode);
  }
  for (TuneReport::Phase *Each : {&Prefill, &Decode}) {
    Each->Kept = Each->Ratios.median() < 1;
    bool Has = false;
    for (size_t I = 0; I < Report.Ops.size(); ++I) {
      if (Report.Ops[I].Version != Each->Name)
        continue;
      Has |= Report.Results[I].Winner != 0;
      if (!Each->Kept)
        Report.Results[I].Winner = 0;
    }
    if (Has)
      Report.Phases.push_back(*Each);
  }
}

//===----------------------------------------------------------------------===//
// What it says
//===----------------------------------------------------------------------===//

Json describe(const TuneReport &Report) {
  Json Ops = Json::array();
  for (size_t I = 0; I < Report.Ops.size(); ++I) {
    const TuneResult &Result = Report.Results[I];
    Json Entry = recordOp(Report.Ops[I], winner(Result));
    Entry["default"] = scheduleJson(Report.Ops[I], Report.Ops[I].Default);
    Entry["candidates"] = Json::array();
    for (const TuneCandidate &Each : Result.Candidates) {
      if (Each.Seconds.Samples.empty())
        continue;
      Entry["candidates"].push_back(
          {{"schedule", scheduleJson(Report.Ops[I], Each.Schedule)},
           {"predicted", Each.Predicted},
           {"median_us", 1e6 * Each.Seconds.median()},
           {"spread_us", 1e6 * Each.Seconds.spread()},
           {"ratio", Each.Ratios.Samples.empty() ? Json(nullptr)
                                                 : Json(Each.Ratios.median())},
           {"rounds", Each.Rounds}});
    }
    Ops.push_back(std::move(Entry));
  }
  Json Whole = Json::array();
  for (const TuneReport::Phase &Each : Report.Phases)
    Whole.push_back({{"phase", Each.Name},
                     {"untuned_seconds", Each.Before.median()},
                     {"tuned_seconds", Each.After.median()},
                     {"ratio", Each.Ratios.median()},
                     {"kept", Each.Kept}});
  return {{"cria_tune", 1},
          {"target", Report.Target},
          {"model", Report.Model},
          {"cpu", Report.Cpu},
          {"version", Report.Version},
          {"threads", Report.Threads},
          {"n_prompt", Report.Prompt},
          {"n_gen", Report.Count},
          {"search", Report.Search},
          {"seconds", Report.Seconds},
          {"whole", std::move(Whole)},
          {"ops", std::move(Ops)}};
}

void printTable(const TuneReport &Report) {
  print(format("%s for %s, %" PRId64 " thread%s\n%s\n\n", Report.Model.c_str(),
               Report.Target.c_str(), Report.Threads,
               Report.Threads == 1 ? "" : "s", Report.Cpu.c_str()));
  print(format("%-22s %-7s %9s %9s %6s  %s\n", "op", "version", "before us",
               "after us", "ratio", "change"));
  for (size_t I = 0; I < Report.Ops.size(); ++I) {
    const TuneOp &Op = Report.Ops[I];
    const TuneResult &Result = Report.Results[I];
    const TuneCandidate &Best = Result.Candidates[Result.Winner];
    const TuneCandidate &Before = Result.Candidates[0];
    if (Before.Seconds.Samples.empty())
      continue;
    print(format("%-22.22s %-7s %9.0f %9.0f %6.3f  %s\n", Op.Op.c_str(),
                 Op.Version.c_str(), 1e6 * Before.Seconds.median(),
                 1e6 * Before.Seconds.median() *
                     (Result.Winner ? Best.Ratios.median() : 1),
                 Result.Winner ? Best.Ratios.median() : 1,
                 changeText(Op, Best.Schedule).c_str()));
  }
  print("\n");
  if (Report.Phases.empty())
    print("nothing is faster than what the compiler chooses by itself\n");
  for (const TuneReport::Phase &Each : Report.Phases)
    print(format("%-14s %8.2f ms before, %8.2f ms after: %.3f x the speed%s\n",
                 Each.Title.c_str(), 1e3 * Each.Before.median(),
                 1e3 * Each.After.median(), 1 / Each.Ratios.median(),
                 Each.Kept ? "" : "; left as it was"));
}

void tune(Options Chosen) {
  double Budget = parseBudget(Chosen.Budget);
  if (Chosen.Exhaustive)
    Budget = std::numeric_limits<double>::infinity();
  if (!Chosen.Threads)
    Chosen.Threads = cria_default_threads();
  std::string Dir = resolveModel(Chosen.Model);
  ArtifactPtr Artifact = openArtifact(Dir);
  Subject From = describeSubject(Dir, Artifact.get());
  if (Chosen.Prompt + Chosen.Count > From.Model->context)
    throw Failure{format("-p %" PRId64 " with -n %" PRId64 " needs %" PRId64
                         " positions; the model is compiled for a context of "
                         "%" PRId64,
                         Chosen.Prompt, Chosen.Count,
                         Chosen.Prompt + Chosen.Count, From.Model->context)};
  // Before the minutes of measuring.
  PendingFile Record(Chosen.Output), Page(Chosen.HtmlPath);
  TempFolder Folder;
  TuneReport Report = {From.Model->name,
                       {},
                       cria_cpu_name(),
                       cria_version(),
                       Chosen.Exhaustive ? "exhaustive" : "guided",
                       Chosen.Threads,
                       Chosen.Prompt,
                       Chosen.Count,
                       0,
                       {},
                       {},
                       {}};
  Report.Ops = readSpace(From, Folder.Path, Chosen, Report.Target);
  {
    // The rest is for confirm().
    Track Running(Chosen, From, Folder.Path, Report.Ops, Report.Target,
                  0.8 * Budget);
    Report.Results = Chosen.Exhaustive
                         ? exhaustiveSearch(Report.Ops, Running, 5)
                         : guidedSearch(Report.Ops, Running);
    Report.Seconds = Running.elapsed();
    confirm(Report, Running);
  }
  printTable(Report);
  Record.put(
      describe(Report).dump(1, ' ', false, Json::error_handler_t::replace) +
      "\n");
  if (!Chosen.HtmlPath.empty())
    Page.put(tunePage(Report));
}

} // namespace

std::string changeText(const TuneOp &Op, const TuneSchedule &Schedule) {
  std::string Text;
  for (const auto &[Name, Value] : Schedule) {
    auto Words = Op.Words.find(Name);
    auto Say = [&](int64_t Of) {
      return Words == Op.Words.end() ? std::to_string(Of) : Words->second[Of];
    };
    Text += (Text.empty() ? "" : ", ") + Name + " " + Say(Op.Default.at(Name)) +
            " to " + Say(Value);
  }
  return Text.empty() ? "as it was" : Text;
}

Action addTune(Arguments &Declared) {
  auto Chosen = std::make_shared<Options>();
  addModelOptions(Declared, Chosen->Model);
  Declared.text("-o,--output", "FILE", Chosen->Output,
                "Where the record goes (default: tune.json)");
  Declared.text("--html", "FILE", Chosen->HtmlPath,
                "Also draw the race as a page");
  Declared.text("--time-budget", "T", Chosen->Budget,
                "Seconds or minutes that it may take, such as 60s or 5m "
                "(default: 60s)");
  Declared.number("-t,--threads", "N", Chosen->Threads, 1, 1024,
                  "Threads of the model (default: one a physical core)");
  Declared.number("-p,--prompt", "N", Chosen->Prompt, 1, 1 << 20,
                  "Tokens of the prefill that is measured (default: 256)");
  Declared.number("-n,--count", "N", Chosen->Count, 1, 1 << 20,
                  "Tokens of the decode that is measured (default: 8)");
  Declared.text("--providers", "LIST", Chosen->Providers,
                "Whose kernels race, separated by commas: cria and, where cria "
                "was built with it, halide, halide-adams2019 and "
                "halide-mullapudi2016 (default: all)");
  Declared.flag("--exhaustive", Chosen->Exhaustive,
                "Try every combination, however long it takes");
  Declared.footer(
      "Example:\n"
      "  cria tune smollm2 -o tune.json\n"
      "  cria compile SmolLM2-135M-Instruct.Q4_1.gguf -o smollm2 --tune "
      "tune.json\n"
      "Times how each op of the model can be cut (rows of a tile, tokens in\n"
      "registers, prefetch distance) and whose kernel it gets (cria's own or\n"
      "Halide's), in the model's own runs and by turns, and writes down the\n"
      "fastest. The logits do not depend on it.");
  return [Chosen] {
    try {
      tune(*Chosen);
    } catch (const fs::filesystem_error &Cause) {
      throw Failure{Cause.what()};
    }
  };
}

} // namespace cria::tools
