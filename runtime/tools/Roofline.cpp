// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Roofline.h"

#include "tools/BenchFeed.h"
#include "tools/Common.h"
#include "tools/RoofKernels.h"
#include "tools/Roofs.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cinttypes>
#include <cmath>

namespace cria::tools {

namespace {

using Json = nlohmann::ordered_json;

constexpr double Giga = 1e9;

//===----------------------------------------------------------------------===//
// Measuring
//===----------------------------------------------------------------------===//

/// The counters after one repetition, as totals.
struct Sample {
  double Seconds = 0;
  std::vector<RooflineOp> Ops;
};

Sample takeSample(cria_session *Session) {
  cria_profile Profile;
  cria_error Error;
  check(cria_session_profile(Session, &Profile, &Error), Error);
  Sample Result;
  Result.Seconds = Profile.seconds;
  for (int64_t I = 0; I < Profile.n_entries; ++I) {
    const cria_profile_entry &Entry = Profile.entries[I];
    if (!Entry.calls)
      continue;
    // A prompt's last few tokens may have run another version of the code.
    auto Found = std::find_if(
        Result.Ops.begin(), Result.Ops.end(),
        [&](const RooflineOp &Op) { return Op.Name == Entry.op->name; });
    if (Found == Result.Ops.end()) {
      Found = Result.Ops.insert(Found, RooflineOp());
      Found->Name = Entry.op->name;
      Found->Kind = Entry.op->kind;
      Found->Int8 = Entry.op->int8 != 0;
    }
    Found->Calls += static_cast<double>(Entry.calls);
    Found->MemoryBytes += Entry.memory_bytes;
    Found->ActivationBytes += Entry.activation_bytes;
    Found->Operations += Entry.operations;
    Found->Seconds += Entry.seconds;
    Found->MostSeconds += Entry.most_seconds;
  }
  return Result;
}

class Runner {
public:
  Runner(const cria_artifact *Artifact, const RooflineOptions &Options,
         int64_t Threads)
      : Options(Options),
        Feed(Artifact, sessionOptions(Threads, Options.Clone), Options.Batch,
             Options.Depth + std::max(Options.Prompt, Options.Count)) {
    if (Options.Depth)
      Feed.feed(Options.Depth);
  }

  /// `Steps` times `Tokens` tokens, each repetition; the one with the median
  /// time is kept as a whole, so that its ops add up.
  Sample measure(int64_t Steps, int64_t Tokens) {
    std::vector<Sample> Samples;
    for (int64_t I = 0; I <= Options.Repetitions; ++I) {
      cria_error Error;
      check(cria_session_profile_reset(Feed.session(), &Error), Error);
      // The first warms up.
      int64_t Count = I ? Steps : std::min<int64_t>(8, Steps);
      for (int64_t Step = 0; Step < Count; ++Step)
        Feed.feed(Tokens);
      if (I)
        Samples.push_back(takeSample(Feed.session()));
      Feed.rewind(Options.Depth);
    }
    auto Middle = Samples.begin() + (Samples.size() - 1) / 2;
    std::nth_element(
        Samples.begin(), Middle, Samples.end(),
        [](const Sample &A, const Sample &B) { return A.Seconds < B.Seconds; });
    return *Middle;
  }

private:
  const RooflineOptions &Options;
  BenchFeed Feed;
};

/// Divides by the steps and leaves the floors to setFloors.
RooflinePhase makePhase(std::string Name, std::string Title, int64_t Tokens,
                        int64_t Steps, Sample Taken) {
  RooflinePhase Phase;
  Phase.Name = std::move(Name);
  Phase.Title = std::move(Title);
  Phase.Tokens = Tokens;
  auto Per = static_cast<double>(Steps);
  Phase.Seconds = Taken.Seconds / Per;
  Phase.Wait = Phase.Floor = 0;
  Phase.Rest = Phase.Seconds;
  for (RooflineOp &Op : Taken.Ops) {
    for (double *Each : {&Op.Calls, &Op.MemoryBytes, &Op.ActivationBytes,
                         &Op.Operations, &Op.Seconds, &Op.MostSeconds})
      *Each /= Per;
    if (Op.isWait())
      Phase.Wait += Op.Seconds;
    Phase.Rest -= Op.Seconds;
  }
  Phase.Ops = std::move(Taken.Ops);
  return Phase;
}

void setFloors(RooflinePhase &Phase, const Ceilings &Roofs) {
  for (RooflineOp &Op : Phase.Ops) {
    const std::pair<double, Limit> Times[] = {
        {Op.MemoryBytes / Roofs.Read, Limit::Memory},
        {Op.ActivationBytes / Roofs.Cache, Limit::Cache},
        {Op.Operations / (Op.Int8 ? Roofs.Int8 : Roofs.F32),
         Op.Int8 ? Limit::Int8 : Limit::F32}};
    for (auto [Seconds, Which] : Times)
      if (Seconds > Op.Floor) {
        Op.Floor = Seconds;
        Op.Bound = Which;
      }
    Phase.Floor += Op.Floor;
  }
}

RooflineRun measureRun(const cria_artifact *Artifact,
                       const RooflineOptions &Options, int64_t Threads,
                       Roofs &Machine) {
  RooflineRun Run;
  Run.Threads = Threads;
  Ceilings &Roofs = Run.Roofs;
  Roofs.ReadBefore = Machine.read(Threads);
  Roofs.Cache = Machine.cache(Threads);
  Roofs.Int8 = Machine.int8(Threads);
  Roofs.F32 = Machine.f32(Threads);
  std::string At =
      Options.Depth ? format(" at depth %" PRId64, Options.Depth) : "";
  std::string Each =
      Options.Batch > 1 ? format(", %" PRId64 " sequences", Options.Batch) : "";
  {
    Runner Model(Artifact, Options, Threads);
    if (Options.Prompt)
      Run.Phases.push_back(makePhase(
          "prefill",
          format("prefill of %" PRId64 " tokens", Options.Prompt) + At + Each,
          Options.Prompt * Options.Batch, 1, Model.measure(1, Options.Prompt)));
    if (Options.Count)
      Run.Phases.push_back(makePhase(
          "decode",
          format("decode, mean of %" PRId64 " tokens", Options.Count) + At +
              Each,
          Options.Batch, Options.Count, Model.measure(Options.Count, 1)));
  }
  // Memory has moods, on machines with neighbours above all.
  Roofs.ReadAfter = Machine.read(Threads);
  Roofs.Read = std::max(Roofs.ReadBefore, Roofs.ReadAfter);
  Roofs.ReadAlone = Threads == 1 ? Roofs.Read : Machine.read(1);
  for (RooflinePhase &Phase : Run.Phases)
    setFloors(Phase, Roofs);
  return Run;
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

std::string tableRow(const std::string &Name, const std::string &Bytes,
                     const std::string &Operations, const char *Bound,
                     const std::string &Floor, double Seconds, double Total,
                     const std::string &Percent) {
  std::string Row = format(
      "%-21.21s %8s %8s %6s %9s %9.1f %5.1f %6s", Name.c_str(), Bytes.c_str(),
      Operations.c_str(), Bound, Floor.c_str(), 1e6 * Seconds,
      Total > 0 ? 100 * Seconds / Total : 0, Percent.c_str());
  // Without the blanks of columns that are empty.
  return Row.substr(0, Row.find_last_not_of(' ') + 1) + "\n";
}

std::string number(double Value) { return format("%.1f", Value); }

std::string table(const RooflinePhase &Phase) {
  auto Tokens = static_cast<double>(Phase.Tokens);
  std::string Text = format(
      "\n%s\n%.2f ms, %.1f tokens/s; the limit is %.2f ms, %.1f tokens/s\n",
      Phase.Title.c_str(), 1e3 * Phase.Seconds, Tokens / Phase.Seconds,
      1e3 * Phase.Floor, Tokens / Phase.Floor);
  Text += format("%-21s %8s %8s %6s %9s %9s %5s %6s\n", "op", "bytes", "ops",
                 "bound", "floor us", "time us", "share", "%limit");
  double Memory = 0, Operations = 0;
  for (const RooflineOp &Op : Phase.Ops) {
    if (Op.isWait())
      continue;
    Memory += Op.MemoryBytes + Op.ActivationBytes;
    Operations += Op.Operations;
    Text += tableRow(Op.Name, bytesText(Op.MemoryBytes + Op.ActivationBytes),
                     countText(Op.Operations), limitName(Op.Bound),
                     number(1e6 * Op.Floor), Op.Seconds, Phase.Seconds,
                     number(Op.percent()));
  }
  Text += tableRow("wait at barriers", "", "", "", "", Phase.Wait,
                   Phase.Seconds, "");
  Text +=
      tableRow("start and join", "", "", "", "", Phase.Rest, Phase.Seconds, "");
  Text += tableRow("all", bytesText(Memory), countText(Operations), "",
                   number(1e6 * Phase.Floor), Phase.Seconds, Phase.Seconds,
                   number(100 * Phase.Floor / Phase.Seconds));
  return Text;
}

std::string ceilingText(const RooflineReport &Report, const RooflineRun &Run) {
  const Ceilings &Roofs = Run.Roofs;
  std::string Text = format(
      "\n%" PRId64 " thread%s; the limits of this machine:\n"
      "  memory %8.1f GB/s   read loop over %s (%.1f before, %.1f after)\n",
      Run.Threads, Run.Threads == 1 ? "" : "s", Roofs.Read / Giga,
      bytesText(static_cast<double>(Report.ReadBytes)).c_str(),
      Roofs.ReadBefore / Giga, Roofs.ReadAfter / Giga);
  if (Run.Threads > 1)
    Text += format("         %8.1f GB/s   the same, 1 thread\n",
                   Roofs.ReadAlone / Giga);
  return Text +
         format("  cache  %8.1f GB/s   the same in half of the level 2 cache\n"
                "  int8   %8.1f Gop/s  %s\n"
                "  f32    %8.1f Gop/s  %s\n",
                Roofs.Cache / Giga, Roofs.Int8 / Giga, Report.Int8Name.c_str(),
                Roofs.F32 / Giga, Report.F32Name.c_str());
}

//===----------------------------------------------------------------------===//
// JSON
//===----------------------------------------------------------------------===//

Json describe(const RooflinePhase &Phase) {
  Json Ops = Json::array();
  for (const RooflineOp &Op : Phase.Ops) {
    Json Entry = {{"name", Op.Name},
                  {"kind", Op.Kind},
                  {"calls", Op.Calls},
                  {"seconds", Op.Seconds},
                  {"slowest_thread_seconds", Op.MostSeconds}};
    if (!Op.isWait()) {
      Entry["memory_bytes"] = Op.MemoryBytes;
      Entry["activation_bytes"] = Op.ActivationBytes;
      Entry["operations"] = Op.Operations;
      Entry["floor_seconds"] = Op.Floor;
      Entry["limit"] = limitName(Op.Bound);
      Entry["percent_of_limit"] = Op.percent();
    }
    Ops.push_back(std::move(Entry));
  }
  auto Tokens = static_cast<double>(Phase.Tokens);
  return {{"tokens", Phase.Tokens},
          {"seconds", Phase.Seconds},
          {"tokens_per_second", Tokens / Phase.Seconds},
          {"floor_seconds", Phase.Floor},
          {"floor_tokens_per_second", Tokens / Phase.Floor},
          {"percent_of_limit", 100 * Phase.Floor / Phase.Seconds},
          {"barrier_seconds", Phase.Wait},
          {"start_and_join_seconds", Phase.Rest},
          {"ops", std::move(Ops)}};
}

Json describe(const RooflineReport &Report) {
  Json All = Json::array();
  for (const RooflineRun &Run : Report.Runs) {
    const Ceilings &Roofs = Run.Roofs;
    Json Entry = {{"model", Report.Model},
                  {"target", Report.Target},
                  {"version", Report.Version},
                  {"cpu", Report.Cpu},
                  {"weights_bytes", Report.WeightBytes},
                  {"threads", Run.Threads},
                  {"depth", Report.Depth},
                  {"batch", Report.Batch},
                  {"repetitions", Report.Repetitions},
                  {"limits",
                   {{"read_bytes_per_second", Roofs.Read},
                    {"read_before", Roofs.ReadBefore},
                    {"read_after", Roofs.ReadAfter},
                    {"read_one_thread", Roofs.ReadAlone},
                    {"read_buffer_bytes", Report.ReadBytes},
                    {"read_loop", Report.ReadName},
                    {"cache_bytes_per_second", Roofs.Cache},
                    {"int8_operations_per_second", Roofs.Int8},
                    {"int8_loop", Report.Int8Name},
                    {"f32_operations_per_second", Roofs.F32},
                    {"f32_loop", Report.F32Name}}}};
    for (const RooflinePhase &Phase : Run.Phases)
      Entry[Phase.Name] = describe(Phase);
    All.push_back(std::move(Entry));
  }
  return All;
}

} // namespace

const char *limitName(Limit Which) {
  switch (Which) {
  case Limit::Memory:
    return "memory";
  case Limit::Cache:
    return "cache";
  case Limit::Int8:
    return "int8";
  case Limit::F32:
    return "f32";
  }
  return "";
}

void roofline(const cria_artifact *Artifact, const RooflineOptions &Options) {
  const cria_model *Model = cria_artifact_model(Artifact);
  Roofs Machine(Model->weights_bytes);
  RoofKernels Kernels = roofKernels();
  RooflineReport Report = {Model->name,
                           Options.Clone.empty()
                               ? cria_artifact_clone(Artifact)->target
                               : Options.Clone,
                           cria_cpu_name(),
                           cria_version(),
                           Model->weights_bytes,
                           Machine.bytes(),
                           Kernels.ReadName,
                           Kernels.Int8Name,
                           Kernels.F32Name,
                           Options.Depth,
                           Options.Batch,
                           Options.Repetitions,
                           {}};
  // Before the minutes of measuring.
  if (!Options.HtmlPath.empty())
    writeWhole(Options.HtmlPath, "");
  if (!Options.AsJson)
    print(format("%s, %s of weights, compiled for %s\n%s\n",
                 Report.Model.c_str(),
                 bytesText(static_cast<double>(Report.WeightBytes)).c_str(),
                 Report.Target.c_str(), Report.Cpu.c_str()));
  for (int64_t Threads : Options.Threads) {
    Report.Runs.push_back(measureRun(Artifact, Options, Threads, Machine));
    if (Options.AsJson)
      continue;
    const RooflineRun &Run = Report.Runs.back();
    print(ceilingText(Report, Run));
    for (const RooflinePhase &Phase : Run.Phases)
      print(table(Phase));
  }
  if (Options.AsJson)
    print(describe(Report).dump(2, ' ', false, Json::error_handler_t::replace) +
          "\n");
  if (!Options.HtmlPath.empty())
    writeWhole(Options.HtmlPath, rooflinePage(Report));
}

} // namespace cria::tools
