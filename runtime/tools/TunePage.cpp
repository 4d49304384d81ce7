// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The race of `cria tune` as a page: for each op a bar for every candidate.
#include "tools/Common.h"
#include "tools/Plot.h"
#include "tools/Tune.h"

#include <algorithm>
#include <cinttypes>

namespace cria::tools {

namespace {

constexpr double Left = 300, Width = 510, Row = 20, Top = 26;

/// A race's candidates, the fastest first.
std::vector<const TuneCandidate *> ranked(const TuneResult &Result) {
  std::vector<const TuneCandidate *> Raced;
  for (const TuneCandidate &Each : Result.Candidates)
    if (!Each.Ratios.Samples.empty())
      Raced.push_back(&Each);
  std::sort(Raced.begin(), Raced.end(),
            [](const TuneCandidate *A, const TuneCandidate *B) {
              return A->Ratios.median() < B->Ratios.median();
            });
  return Raced;
}

std::string text(double X, double Y, const char *Anchor, const char *Class,
                 const std::string &Content) {
  return format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" "
                "class=\"%s\">",
                X, Y, Anchor, Class) +
         escapedHtml(Content) + "</text>\n";
}

/// Bars of the time relative to the default's, which the upright line marks.
std::string chart(const TuneOp &Op, const TuneResult &Result) {
  std::vector<const TuneCandidate *> Raced = ranked(Result);
  double Most = 1.1;
  for (const TuneCandidate *Each : Raced)
    Most = std::max(Most, Each->Ratios.median() * 1.05);
  Most = std::min(Most, 2.5);
  auto X = [&](double Ratio) {
    return Left + Width * std::min(Ratio, Most) / Most;
  };
  double Height = Top + Row * static_cast<double>(Raced.size()) + 6;
  std::string Svg = format("<svg viewBox=\"0 0 960 %.0f\" role=\"img\">\n"
                           "<title>%s</title>\n",
                           Height, escapedHtml(Op.Op).c_str());
  double Y = Top;
  for (const TuneCandidate *Each : Raced) {
    bool IsWinner = Each == &Result.Candidates[Result.Winner];
    double Ratio = Each->Ratios.median();
    Svg += text(Left - 8, Y + 14, "end", IsWinner ? "name" : "soft",
                Each->Schedule.empty() ? "as the compiler chooses"
                                       : changeText(Op, Each->Schedule));
    Svg += format("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                  "style=\"fill: var(--%s)\"/>\n",
                  Left, Y + 3, X(Ratio) - Left, Row - 6,
                  IsWinner ? "line0" : "grid");
    Svg += format("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" "
                  "style=\"stroke: var(--soft)\"/>\n",
                  X(Each->Ratios.least()), X(Each->Ratios.most()), Y + Row / 2,
                  Y + Row / 2);
    Svg += text(Left + Width + 8, Y + 14, "start", IsWinner ? "name" : "soft",
                format("%.3f  (%d rounds)", Ratio, Each->Rounds));
    Y += Row;
  }
  Svg += format("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" "
                "style=\"stroke: var(--text); stroke-dasharray: 3 3\"/>\n",
                X(1), X(1), Top - 6, Height - 4);
  return Svg + text(X(1), Top - 10, "middle", "soft", "default") + "</svg>\n";
}

std::string phases(const TuneReport &Report) {
  if (Report.Phases.empty())
    return "<p>Nothing is faster than what the compiler chooses by "
           "itself.</p>\n";
  std::string Table =
      "<div class=\"scroll\"><table>\n<tr><th>whole</th><th>before, ms</th>"
      "<th>after, ms</th><th>speed</th><th></th></tr>\n";
  for (const TuneReport::Phase &Each : Report.Phases)
    Table += format("<tr><td>%s</td><td>%.2f</td><td>%.2f</td><td>%.3f "
                    "\u00D7</td><td>%s</td></tr>\n",
                    escapedHtml(Each.Title).c_str(), 1e3 * Each.Before.median(),
                    1e3 * Each.After.median(), 1 / Each.Ratios.median(),
                    Each.Kept ? "" : "left as it was");
  return Table + "</table></div>\n";
}

} // namespace

std::string tunePage(const TuneReport &Report) {
  std::string Title = "Tuning of " + Report.Model;
  std::string Body =
      "<h1>" + escapedHtml(Title) + "</h1>\n<p class=\"soft\">" +
      escapedHtml(format("%s; %s, %" PRId64 " threads; cria %s; %s search in "
                         "%.0f s",
                         Report.Target.c_str(), Report.Cpu.c_str(),
                         Report.Threads, Report.Version.c_str(),
                         Report.Search.c_str(), Report.Seconds)) +
      "</p>\n<p>Each bar is one way to cut an op: its median time over the "
      "default's in the same round of the race, so that noise hits both alike; "
      "the thin line reaches from the fastest round to the slowest. The "
      "winner is coloured.</p>\n" +
      phases(Report);
  for (const char *Version : {"prefill", "decode"}) {
    Body += format("<h2>%s</h2>\n", Version);
    for (size_t I = 0; I < Report.Ops.size(); ++I) {
      const TuneOp &Op = Report.Ops[I];
      if (Op.Version != Version || ranked(Report.Results[I]).empty())
        continue;
      Body += "<h3>" + escapedHtml(Op.Op) + "</h3>\n<p class=\"soft\">" +
              escapedHtml(Op.Shape) + "</p>\n" + chart(Op, Report.Results[I]);
    }
  }
  return htmlPage(Title, Body);
}

} // namespace cria::tools
