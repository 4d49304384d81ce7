// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria bench --study: four measurements, each a few figures of lines over x.
#include "tools/Study.h"

#include "tools/Cache.h"
#include "tools/Common.h"
#include "tools/Plot.h"
#include "tools/Series.h"
#include "tools/StudyModel.h"
#include "tools/TempFolder.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace fs = std::filesystem;

namespace cria::tools {

namespace {

using Json = nlohmann::ordered_json;

struct Point {
  int64_t X;
  Series Y;
};

struct Line {
  std::string Name;
  std::vector<Point> Points;
};

struct Figure {
  std::string Title, XLabel, YLabel;
  bool LogY;
  std::vector<Line> Lines; // with the same X each
};

struct Study {
  std::string Title, Text;
  std::vector<Figure> Figures;
};

/// A compiled model with a session of one sequence.
class Subject {
public:
  Subject(const StudyModel &Shape, const char *DisabledFusions,
          const StudyOptions &Chosen) {
    TempFolder Folder;
    ModelChoice Choice;
    Choice.Path = Folder.Path / (Shape.Name + ".mlir");
    Choice.DisabledFusions = DisabledFusions;
    std::ofstream File(Choice.Path);
    File << describeModel(Shape);
    File.close();
    if (!File)
      throw Failure{format("%s: cannot be written", Choice.Path.c_str())};
    Artifact = openArtifact(resolveModel(Choice));
    cria_session_options Wanted;
    cria_session_options_init(&Wanted);
    Wanted.threads = Chosen.Threads;
    Session = openSession(Artifact.get(), Wanted);
    Tokens.resize(Shape.Context);
    uint64_t State = 42;
    for (int32_t &Token : Tokens) {
      // A linear congruential generator (Knuth, MMIX).
      State = State * 6364136223846793005u + 1442695040888963407u;
      Token = static_cast<int32_t>((State >> 33) %
                                   static_cast<uint64_t>(Shape.Vocab));
    }
  }

  const cria_model *model() const {
    return cria_artifact_model(Artifact.get());
  }

  /// Makes the sequence `Length` tokens long.
  void goTo(int64_t Length) {
    cria_error Error;
    int64_t Now = cria_session_length(Session.get(), 0);
    if (Now > Length)
      check(cria_session_truncate(Session.get(), 0, Length, &Error), Error);
    else if (Now < Length)
      forward(Length - Now);
  }

  /// Seconds for so many more tokens with the logits of the last, which are
  /// then forgotten: the mean of `Runs` times.
  double time(int64_t Count, int64_t Runs = 1) {
    int64_t Length = cria_session_length(Session.get(), 0);
    double Start = secondsNow();
    for (int64_t I = 0; I < Runs; ++I) {
      forward(Count);
      goTo(Length);
    }
    return (secondsNow() - Start) / static_cast<double>(Runs);
  }

  /// How many runs take about 15 ms, which hides what the system does to a
  /// single one. Warms up.
  int64_t runsFor(int64_t Count) {
    time(Count);
    double Seconds = std::max(time(Count, 3), 1e-7);
    return std::clamp<int64_t>(static_cast<int64_t>(0.015 / Seconds), 1, 1000);
  }

  /// `Repetitions` figures of time(Count).
  Series times(int64_t Count, int64_t Repetitions) {
    int64_t Runs = runsFor(Count);
    Series Result;
    for (int64_t I = 0; I < Repetitions; ++I)
      Result.Samples.push_back(time(Count, Runs));
    return Result;
  }

private:
  void forward(int64_t Count) {
    cria_error Error;
    int64_t Length = cria_session_length(Session.get(), 0);
    check(cria_session_forward(Session.get(), Count, &Tokens[Length], nullptr,
                               nullptr, nullptr, &Error),
          Error);
  }

  ArtifactPtr Artifact;
  SessionPtr Session;
  std::vector<int32_t> Tokens;
};

Series scaled(Series Of, double By) {
  for (double &Sample : Of.Samples)
    Sample *= By;
  return Of;
}

class Runner {
public:
  explicit Runner(const StudyOptions &Chosen) : Chosen(Chosen) {
    Base = {"gqa", 4096, 512, 8, 8, 8, 64, 1408, 4160, 512};
    if (Chosen.Quick)
      Base = {"gqa", 512, 128, 2, 8, 8, 16, 352, 320, 128};
    Mha = Base;
    Mha.Name = "mha";
    Base = Mha.withKvHeads("gqa", 2);
  }

  Study cache();
  Study heads();
  Study norms();
  Study glu();
  const StudyModel &base() const { return Base; }

private:
  std::vector<int64_t> lengths() const {
    if (Chosen.Quick)
      return {16, 64, 256};
    return {16, 64, 256, 512, 1024, 2048};
  }

  /// The time of each of two subjects by tokens in a run, by turns.
  std::vector<Figure> compare(Subject &First, const char *FirstName,
                              Subject &Second, const char *SecondName);

  const StudyOptions &Chosen;
  StudyModel Mha, Base;
};

Study Runner::cache() {
  Study Result{"KV cache against recomputing",
               "The time for one more token and the memory for keys and values "
               "behind so many tokens. Without a cache the whole text is run "
               "again for each token, one layer's keys and values at a time; "
               "its memory is computed, not measured.",
               {}};
  Figure Time{"Time of the next token", "tokens before", "ms", true, {}};
  Figure Memory{"Memory of keys and values", "tokens before", "MB", true, {}};
  Subject One(Base, "", Chosen);
  Line Cached{"KV cache", {}}, Again{"recompute", {}}, Kept = Cached,
                                                       Passing = Again;
  double TokenBytes = static_cast<double>(One.model()->kv_bytes_per_token);
  for (int64_t Length : lengths()) {
    One.goTo(Length);
    Series With = scaled(One.times(1, Chosen.Repetitions), 1e3);
    One.goTo(0);
    Series Without = scaled(One.times(Length + 1, Chosen.Repetitions), 1e3);
    Cached.Points.push_back({Length, With});
    Again.Points.push_back({Length, Without});
    double All = TokenBytes * static_cast<double>(Length + 1) / 1e6;
    Kept.Points.push_back({Length, {{All}}});
    Passing.Points.push_back(
        {Length, {{All / static_cast<double>(Base.Layers)}}});
  }
  Time.Lines = {Cached, Again};
  Memory.Lines = {Kept, Passing};
  Result.Figures = {Time, Memory};
  return Result;
}

Study Runner::heads() {
  Study Result{"MHA, GQA and MQA",
               "Three models of about the same number of weights: what keys "
               "and values do not need goes to the feed-forward network. A "
               "decoded token reads all of the cache: the fewer kv heads, the "
               "less there is to read, and to share out among the threads.",
               {}};
  Figure Speed{"Decode speed", "cached tokens", "tokens/s", false, {}};
  Figure Memory{"KV cache", "cached tokens", "MB", true, {}};
  std::vector<int64_t> Depths = {16, 512, 1024, 2048, 4096};
  if (Chosen.Quick)
    Depths = {16, 256};
  for (const StudyModel &Shape : {Mha, Base, Mha.withKvHeads("mqa", 1)}) {
    Subject One(Shape, "", Chosen);
    std::string Name = format("%s, %" PRId64 " kv head%s",
                              Shape.KvHeads == Shape.Heads ? "MHA"
                              : Shape.KvHeads == 1         ? "MQA"
                                                           : "GQA",
                              Shape.KvHeads, Shape.KvHeads == 1 ? "" : "s");
    Line Tokens{Name, {}}, Bytes{Name, {}};
    for (int64_t Depth : Depths) {
      One.goTo(Depth);
      Series Rate = One.times(1, Chosen.Repetitions);
      for (double &Sample : Rate.Samples)
        Sample = 1 / Sample;
      Tokens.Points.push_back({Depth, Rate});
      double Held =
          static_cast<double>(One.model()->kv_bytes_per_token * Depth);
      Bytes.Points.push_back({Depth, {{Held / 1e6}}});
    }
    Speed.Lines.push_back(Tokens);
    Memory.Lines.push_back(Bytes);
  }
  Result.Figures = {Speed, Memory};
  return Result;
}

std::vector<Figure> Runner::compare(Subject &First, const char *FirstName,
                                    Subject &Second, const char *SecondName) {
  Figure Time{"Time of a token", "tokens per run", "\u00B5s a token", true, {}};
  Figure Ratio{format("%s / %s", SecondName, FirstName),
               "tokens per run",
               "times as long",
               false,
               {}};
  Line A{FirstName, {}}, B{SecondName, {}}, Factor{"ratio", {}};
  std::vector<int64_t> Sizes = {1, 4, 16, 64, 256};
  if (Chosen.Quick)
    Sizes = {1, 16};
  for (int64_t Size : Sizes) {
    int64_t Runs = First.runsFor(Size);
    Second.runsFor(Size);
    double Scale = 1e6 / static_cast<double>(Size);
    Series Of[2], Quotient;
    for (int64_t I = 0; I < 2 * Chosen.Repetitions; ++I) {
      // Which one goes first changes: neither finds the better cache.
      double Times[2];
      for (int Turn : {static_cast<int>(I % 2), static_cast<int>(1 - I % 2)})
        Times[Turn] = (Turn ? Second : First).time(Size, Runs) * Scale;
      Of[0].Samples.push_back(Times[0]);
      Of[1].Samples.push_back(Times[1]);
      Quotient.Samples.push_back(Times[1] / Times[0]);
    }
    A.Points.push_back({Size, Of[0]});
    B.Points.push_back({Size, Of[1]});
    Factor.Points.push_back({Size, Quotient});
  }
  Time.Lines = {A, B};
  Ratio.Lines = {Factor};
  return {Time, Ratio};
}

Study Runner::norms() {
  StudyModel Layer = Base;
  Layer.Name = "layernorm";
  Layer.LayerNorm = true;
  Subject Rms(Base, "", Chosen), Mean(Layer, "", Chosen);
  return {"RMSNorm against LayerNorm",
          "LayerNorm also subtracts the mean and adds a bias: one more pass "
          "over each row, which both quantise for the linear that follows.",
          compare(Rms, "RMSNorm", Mean, "LayerNorm")};
}

Study Runner::glu() {
  Subject Fused(Base, "", Chosen), Apart(Base, "glu", Chosen);
  return {"SwiGLU fused against not fused",
          "Fused: gate and up are one op, and silu(gate) * up happens in "
          "registers. Not fused (cria compile --disable-fusion glu): two "
          "linears that write their rows, and a loop over both by the plain "
          "lowering, split over the threads.",
          compare(Fused, "fused", Apart, "not fused")};
}

std::string valueText(const Series &Y) {
  auto Number = [](double Value) {
    return format("%.*f",
                  Value >= 1000  ? 0
                  : Value >= 100 ? 1
                  : Value >= 10  ? 2
                                 : 3,
                  Value);
  };
  std::string Text = Number(Y.median());
  return Y.Samples.size() > 1 ? Text + " \u00B1 " + Number(Y.spread()) : Text;
}

/// In lines of at most 80 columns.
std::string wrapped(const std::string &Text) {
  std::string Result;
  size_t Begin = 0;
  while (Text.size() - Begin > 80) {
    size_t Break = Text.rfind(' ', Begin + 80);
    if (Break == std::string::npos || Break <= Begin)
      break;
    Result += Text.substr(Begin, Break - Begin) + "\n";
    Begin = Break + 1;
  }
  return Result + Text.substr(Begin) + "\n";
}

void printStudy(const Study &What) {
  print("\n" + What.Title + "\n" + wrapped(What.Text));
  for (const Figure &Each : What.Figures) {
    print(format("\n%s, %s:\n| %16.16s |", Each.Title.c_str(),
                 Each.YLabel.c_str(), Each.XLabel.c_str()));
    std::string Rule = "|-----------------:|";
    for (const Line &Of : Each.Lines) {
      print(format(" %17.17s |", Of.Name.c_str()));
      Rule += "------------------:|";
    }
    print("\n" + Rule + "\n");
    for (size_t Row = 0; Row < Each.Lines[0].Points.size(); ++Row) {
      print(format("| %16" PRId64 " |", Each.Lines[0].Points[Row].X));
      for (const Line &Of : Each.Lines) {
        std::string Value = valueText(Of.Points[Row].Y);
        // printf counts bytes, and the plus-minus sign has two.
        int Width = 17 + (Value.find("\u00B1") != std::string::npos);
        print(format(" %*s |", Width, Value.c_str()));
      }
      print("\n");
    }
  }
}

Json studyJson(const Study &What) {
  Json Figures = Json::array();
  for (const Figure &Each : What.Figures) {
    Json Lines = Json::array();
    for (const Line &Of : Each.Lines) {
      Json Points = Json::array();
      for (const Point &At : Of.Points)
        Points.push_back({{"x", At.X},
                          {"median", At.Y.median()},
                          {"min", At.Y.least()},
                          {"max", At.Y.most()},
                          {"samples", At.Y.Samples.size()}});
      Lines.push_back({{"name", Of.Name}, {"points", Points}});
    }
    Figures.push_back({{"title", Each.Title},
                       {"x", Each.XLabel},
                       {"y", Each.YLabel},
                       {"lines", Lines}});
  }
  return {{"title", What.Title}, {"text", What.Text}, {"figures", Figures}};
}

std::string studyHtml(const Study &What) {
  std::string Text = "<h2>" + escapedHtml(What.Title) + "</h2>\n<p>" +
                     escapedHtml(What.Text) + "</p>\n<div class=\"figures\">\n";
  for (const Figure &Each : What.Figures) {
    Plot Drawn;
    Drawn.Title = What.Title + ": " + Each.Title;
    Drawn.XLabel = Each.XLabel;
    Drawn.YLabel = Each.YLabel;
    Drawn.LogX = true;
    Drawn.LogY = Each.LogY;
    for (const Line &Of : Each.Lines) {
      PlotLine Path{Of.Name, {}};
      for (const Point &At : Of.Points)
        Path.Points.push_back({static_cast<double>(At.X), At.Y.median(),
                               At.Y.least(), At.Y.most()});
      Drawn.Lines.push_back(std::move(Path));
    }
    Text += "<div>\n<h3>" + escapedHtml(Each.Title + ", " + Each.YLabel) +
            "</h3>\n" + Drawn.svg() +
            "<div class=\"scroll\"><table>\n<tr><th>" +
            escapedHtml(Each.XLabel) + "</th>";
    for (const Line &Of : Each.Lines)
      Text += "<th>" + escapedHtml(Of.Name) + "</th>";
    Text += "</tr>\n";
    for (size_t Row = 0; Row < Each.Lines[0].Points.size(); ++Row) {
      Text += format("<tr><td>%" PRId64 "</td>", Each.Lines[0].Points[Row].X);
      for (const Line &Of : Each.Lines)
        Text += "<td>" + valueText(Of.Points[Row].Y) + "</td>";
      Text += "</tr>\n";
    }
    Text += "</table></div>\n</div>\n";
  }
  return Text + "</div>\n";
}

std::string describeRun(const StudyModel &Shape, int64_t Threads) {
  return format("%s, %" PRId64 " thread%s. The model: width %" PRId64
                ", %" PRId64 " layers, %" PRId64 " heads of %" PRId64
                ", %" PRId64
                " for keys and values unless said otherwise, %.1f million "
                "random weights of 4 bits, KV cache in f16.",
                cria_cpu_name(), Threads, Threads == 1 ? "" : "s", Shape.Width,
                Shape.Layers, Shape.Heads, Shape.HeadDim, Shape.KvHeads,
                static_cast<double>(Shape.parameters()) / 1e6);
}

} // namespace

void study(const StudyOptions &Chosen) {
  std::ofstream Page;
  if (!Chosen.HtmlPath.empty()) {
    Page.open(Chosen.HtmlPath, std::ios::binary);
    if (!Page)
      throw Failure{format("--html %s: cannot be written: %s",
                           Chosen.HtmlPath.c_str(), std::strerror(errno))};
  }
  Runner Run(Chosen);
  std::string About = describeRun(Run.base(), Chosen.Threads);
  Json All = {{"version", cria_version()},
              {"cpu", cria_cpu_name()},
              {"threads", Chosen.Threads},
              {"quick", Chosen.Quick},
              {"about", About},
              {"studies", Json::array()}};
  std::string Body = "<h1>cria bench --study</h1>\n<p class=\"soft\">" +
                     escapedHtml(About) +
                     " Points are medians, bars reach from the least to the "
                     "most.</p>\n";
  if (!Chosen.AsJson)
    print(wrapped(About));
  for (Study (Runner::*Part)() :
       {&Runner::cache, &Runner::heads, &Runner::norms, &Runner::glu}) {
    Study Done = (Run.*Part)();
    if (Chosen.AsJson)
      All["studies"].push_back(studyJson(Done));
    else
      printStudy(Done);
    Body += studyHtml(Done);
  }
  if (Chosen.AsJson)
    print(All.dump(2) + "\n");
  if (Chosen.HtmlPath.empty())
    return;
  Page << htmlPage("cria bench --study", Body);
  Page.close();
  if (!Page)
    throw Failure{
        format("--html %s: cannot be written", Chosen.HtmlPath.c_str())};
}

} // namespace cria::tools
