// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Common.h"
#include "tools/Roofline.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>

namespace cria::tools {

namespace {

constexpr double Giga = 1e9;

constexpr const char *Style = R"(
:root { color-scheme: light dark; --back: #ffffff; --text: #1b1f24;
  --soft: #5b6573; --grid: #e3e7ec; --panel: #f6f8fa; --roof: #1b1f24;
  --linear: #1f6fd6; --attention: #d9480f; --rows: #2b8a3e; --other: #8a4fd0; }
@media (prefers-color-scheme: dark) { :root { --back: #12161b; --text: #e4e8ed;
  --soft: #9aa5b3; --grid: #29313a; --panel: #1a2027; --roof: #e4e8ed;
  --linear: #6aa9ff; --attention: #ff8a50; --rows: #63c174; --other: #bd93f9; } }
body { background: var(--back); color: var(--text); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem;
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; margin-bottom: 0.2rem; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; }
h3 { font-size: 1rem; margin: 2rem 0 0.3rem; }
p { max-width: 52rem; } .soft { color: var(--soft); }
svg { width: 100%; height: auto; display: block; margin: 0.5rem 0; }
svg text { fill: var(--text); font-size: 12px; }
svg .soft { fill: var(--soft); } svg .name { font-size: 12.5px; }
.frame { fill: none; stroke: var(--soft); }
.grid { stroke: var(--grid); } .lead { stroke: var(--soft); fill: none;
  stroke-width: 0.7; opacity: 0.55; }
.gap { stroke-width: 1; stroke-dasharray: 1.5 2.5; }
.roof { stroke: var(--roof); stroke-width: 1.8; fill: none; }
.thin { stroke-width: 1; stroke-dasharray: 6 4; }
.warm { stroke-width: 1.3; stroke-dasharray: 2 3; }
.linear { fill: var(--linear); stroke: var(--linear); }
.attention { fill: var(--attention); stroke: var(--attention); }
.rows { fill: var(--rows); stroke: var(--rows); }
.other { fill: var(--other); stroke: var(--other); }
.point { fill-opacity: 0.35; stroke-width: 1.5; }
.halo { paint-order: stroke; stroke: var(--back); stroke-width: 4px;
  stroke-linejoin: round; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  width: 100%; font-size: 0.9rem; }
th, td { text-align: right; padding: 0.2rem 0.45rem; white-space: nowrap;
  border-bottom: 1px solid var(--grid); }
th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr.sum td { font-weight: 600; border-bottom: none; }
.bar { width: 5rem; } .bar svg { width: 5rem; height: 0.7rem; margin: 0;
  display: inline-block; vertical-align: middle; }
.track { fill: var(--grid); } .none { fill: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; }
dt { color: var(--soft); } dd { margin: 0; }
)";

std::string escaped(const std::string &Text) {
  std::string Result;
  for (char Each : Text) {
    switch (Each) {
    case '&':
      Result += "&amp;";
      break;
    case '<':
      Result += "&lt;";
      break;
    case '>':
      Result += "&gt;";
      break;
    case '"':
      Result += "&quot;";
      break;
    default:
      // Control characters are no XML, and names come from artifacts.
      Result += static_cast<unsigned char>(Each) < 0x20 ? ' ' : Each;
    }
  }
  return Result;
}

const char *colour(const RooflineOp &Op) {
  for (const char *Kind : {"linear", "attention", "rows"})
    if (Op.Kind == Kind)
      return Kind;
  return "other";
}

/// The logarithmic axes of one plot.
class Plot {
public:
  Plot(const RooflineRun &Run, const RooflinePhase &Phase)
      : Roofs(Run.Roofs), Threads(Run.Threads), Phase(Phase) {
    Top = std::max(Roofs.Int8, Roofs.F32);
    double LeastX = 0.5, MostX = 2 * Top / Roofs.Read, LeastY = Top / 30;
    for (const RooflineOp &Op : Phase.Ops)
      if (isDrawn(Op)) {
        LeastX = std::min(LeastX, x(Op));
        MostX = std::max(MostX, x(Op));
        LeastY = std::min(LeastY, y(Op));
        Drawn.push_back(&Op);
      }
    X0 = std::floor(std::log10(LeastX / 1.3));
    X1 = std::ceil(std::log10(MostX * 1.2));
    Y0 = std::floor(std::log10(LeastY / 1.5));
    Y1 = std::log10(Top) + 0.25;
  }

  std::string draw() {
    std::string Title =
        escaped(Phase.Title + format(", %" PRId64 " thread%s", Threads,
                                     Threads == 1 ? "" : "s"));
    Text = format("<svg viewBox=\"0 0 %g %g\" role=\"img\" "
                  "aria-label=\"Roofline plot: %s\">\n",
                  Width, Height, Title.c_str());
    axes();
    roofs();
    points();
    Text += Labels;
    Text += "</svg>\n";
    return std::move(Text);
  }

private:
  static constexpr double Width = 960, Height = 560;
  static constexpr double Left = 78, Right = 730, Upper = 16, Lower = 490;

  static bool isDrawn(const RooflineOp &Op) {
    return !Op.isWait() && Op.Operations > 0 && Op.boundBytes() > 0 &&
           Op.Seconds > 0;
  }
  static double x(const RooflineOp &Op) {
    return Op.Operations / Op.boundBytes();
  }
  static double y(const RooflineOp &Op) { return Op.Operations / Op.Seconds; }

  double px(double Intensity) const {
    return Left + (std::log10(Intensity) - X0) / (X1 - X0) * (Right - Left);
  }
  double py(double Rate) const {
    return Lower - (std::log10(Rate) - Y0) / (Y1 - Y0) * (Lower - Upper);
  }

  void line(const char *Class, double Xa, double Ya, double Xb, double Yb) {
    Text += format("<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" "
                   "y2=\"%.1f\"/>\n",
                   Class, Xa, Ya, Xb, Yb);
  }

  static std::string label(const char *Class, const char *Anchor, double X,
                           double Y, const std::string &What,
                           double Angle = 0) {
    std::string Turn =
        Angle ? format(" transform=\"rotate(%.1f %.1f %.1f)\"", Angle, X, Y)
              : std::string();
    return format("<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" "
                  "y=\"%.1f\"%s>%s</text>\n",
                  Class, Anchor, X, Y, Turn.c_str(), escaped(What).c_str());
  }

  void axes() {
    for (double D = X0; D <= X1; ++D) {
      double At = px(std::pow(10, D));
      line("grid", At, Upper, At, Lower);
      Text += label("soft", "middle", At, Lower + 18,
                    format("%g", std::pow(10, D)));
    }
    for (double D = Y0; D <= Y1; ++D) {
      double At = py(std::pow(10, D));
      line("grid", Left, At, Right, At);
      Text +=
          label("soft", "end", Left - 8, At + 4, countText(std::pow(10, D)));
    }
    Text += format("<rect class=\"frame\" x=\"%g\" y=\"%g\" width=\"%g\" "
                   "height=\"%g\"/>\n",
                   Left, Upper, Right - Left, Lower - Upper);
    Text += label("soft", "middle", (Left + Right) / 2, Lower + 38,
                  "operations per byte");
    Text += label("soft", "middle", 18, (Upper + Lower) / 2,
                  "operations per second", -90);
  }

  /// From the left or lower edge up to the level `End`.
  void slope(const char *Class, double Rate, double End,
             const std::string &What, double Shift) {
    double From = std::max(std::pow(10, X0), std::pow(10, Y0) / Rate);
    double To = std::min(std::pow(10, X1), End / Rate);
    if (To <= From)
      return;
    line(Class, px(From), py(From * Rate), px(To), py(To * Rate));
    double Dx = px(To) - px(From), Dy = py(To * Rate) - py(From * Rate);
    double At = std::min(Shift / std::hypot(Dx, Dy), 0.6);
    // Beside the line, along it.
    double Angle = std::atan2(Dy, Dx), Off = 6;
    Labels +=
        label("soft halo", "start", px(From) + At * Dx + Off * std::sin(Angle),
              py(From * Rate) + At * Dy - Off * std::cos(Angle), What,
              Angle * 180 / M_PI);
  }

  /// Named at its end or at its beginning, whichever is farther from points.
  void level(double Rate, const std::string &What) {
    constexpr double Half = 55; // of the label
    double Begin = px(Rate / Roofs.Read), Y = py(Rate);
    line("roof", Begin, Y, Right, Y);
    auto Space = [&](double X) {
      double Least = Width;
      for (const RooflineOp *Op : Drawn)
        Least = std::min(Least, std::hypot(px(x(*Op)) - X, py(y(*Op)) - Y));
      return Least;
    };
    if (Space(Right - Half) >= Space(Begin + Half))
      Labels += label("soft halo", "end", Right - 8, Y - 6, What);
    else
      Labels += label("soft halo", "start", Begin + 10, Y - 6, What);
  }

  void roofs() {
    slope("roof warm", Roofs.Cache, Top,
          format("cache, %.0f GB/s", Roofs.Cache / Giga), 16);
    if (Threads > 1)
      slope("roof thin", Roofs.ReadAlone, Top,
            format("memory, 1 thread, %.1f GB/s", Roofs.ReadAlone / Giga), 130);
    slope("roof", Roofs.Read, Top,
          format("memory, %.1f GB/s", Roofs.Read / Giga), 16);
    level(Roofs.Int8, format("int8, %.0f Gop/s", Roofs.Int8 / Giga));
    level(Roofs.F32, format("f32, %.0f Gop/s", Roofs.F32 / Giga));
  }

  void shape(const RooflineOp &Op) {
    double X = px(x(Op)), Y = py(y(Op));
    // Its area is the op's share of the time.
    double R = 3.5 + 22 * std::sqrt(Op.Seconds / Phase.Seconds);
    line((std::string("gap ") + colour(Op)).c_str(), X, Y, X,
         py(Op.Operations / Op.Floor));
    Text += format("<g class=\"point %s\"><title>%s: %.1f of %.1f us, %.1f %% "
                   "of the limit (%s)</title>",
                   colour(Op), escaped(Op.Name).c_str(), 1e6 * Op.Floor,
                   1e6 * Op.Seconds, Op.percent(), limitName(Op.Bound));
    if (Op.Bound == Limit::Cache)
      Text += format("<path d=\"M%.1f %.1fL%.1f %.1fL%.1f %.1fL%.1f %.1fZ\"/>",
                     X - R, Y, X, Y - R, X + R, Y, X, Y + R);
    else
      Text += format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>", X, Y, R);
    Text += "</g>\n";
  }

  /// Names in a column on the right, in the order of the points' heights, none
  /// closer than a line to the next.
  void points() {
    constexpr double Line = 16;
    const size_t Room = static_cast<size_t>((Lower - Upper) / Line);
    std::sort(Drawn.begin(), Drawn.end(),
              [](const RooflineOp *A, const RooflineOp *B) {
                return A->Seconds > B->Seconds;
              });
    for (const RooflineOp *Op : Drawn)
      shape(*Op);
    // The longest ones, where there are too many.
    if (Drawn.size() > Room)
      Drawn.resize(Room);
    std::sort(
        Drawn.begin(), Drawn.end(),
        [](const RooflineOp *A, const RooflineOp *B) { return y(*A) > y(*B); });
    std::vector<double> At;
    for (const RooflineOp *Op : Drawn)
      At.push_back(std::max(py(y(*Op)),
                            At.empty() ? Upper + Line / 2 : At.back() + Line));
    double Limit = Lower - Line / 2;
    for (size_t I = At.size(); I-- > 0; Limit = At[I] - Line)
      At[I] = std::min(At[I], Limit);
    for (size_t I = 0; I < Drawn.size(); ++I) {
      const RooflineOp &Op = *Drawn[I];
      Text += format("<polyline class=\"lead\" points=\"%.1f,%.1f %.1f,%.1f "
                     "%.1f,%.1f\"/>\n",
                     px(x(Op)), py(y(Op)), Right + 6, At[I], Right + 16, At[I]);
      Text +=
          format("<text class=\"name\" x=\"%.1f\" y=\"%.1f\">%s <tspan "
                 "class=\"soft\">%.0f %%</tspan></text>\n",
                 Right + 20, At[I] + 4, escaped(Op.Name).c_str(), Op.percent());
    }
  }

  const Ceilings &Roofs;
  int64_t Threads;
  const RooflinePhase &Phase;
  std::vector<const RooflineOp *> Drawn;
  double Top, X0, X1, Y0, Y1; // decades
  std::string Text;
  std::string Labels; // of the roofs, above all else
};

std::string bar(double Part, const char *Class) {
  return format("<td class=\"bar\"><svg viewBox=\"0 0 100 8\" "
                "preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect "
                "class=\"track\" width=\"100\" height=\"8\"/><rect "
                "class=\"%s\" stroke=\"none\" width=\"%.2f\" "
                "height=\"8\"/></svg></td>",
                Class, 100 * std::clamp(Part, 0.0, 1.0));
}

std::string cell(const std::string &Value) {
  return "<td>" + escaped(Value) + "</td>";
}

std::string timeCells(double Seconds, double Total, const char *Class) {
  return cell(format("%.1f", 1e6 * Seconds)) +
         cell(format("%.1f %%", 100 * Seconds / Total)) +
         bar(Seconds / Total, Class);
}

std::string table(const RooflinePhase &Phase) {
  std::string Text =
      "<div class=\"scroll\"><table>\n<thead><tr><th>op</th><th>weights, "
      "KV</th><th>activations</th><th>operations</th><th>bound by</th>"
      "<th>floor, us</th><th>time, us</th><th>share</th><th></th>"
      "<th>of the limit</th></tr></thead>\n<tbody>\n";
  double Memory = 0, Activations = 0, Operations = 0;
  for (const RooflineOp &Op : Phase.Ops) {
    if (Op.isWait())
      continue;
    Memory += Op.MemoryBytes;
    Activations += Op.ActivationBytes;
    Operations += Op.Operations;
    Text += "<tr>" + cell(Op.Name) + cell(bytesText(Op.MemoryBytes)) +
            cell(bytesText(Op.ActivationBytes)) +
            cell(countText(Op.Operations)) + cell(limitName(Op.Bound)) +
            cell(format("%.1f", 1e6 * Op.Floor)) +
            timeCells(Op.Seconds, Phase.Seconds, colour(Op)) +
            cell(format("%.1f %%", Op.percent())) + "</tr>\n";
  }
  const std::pair<const char *, double> Idle[] = {
      {"wait at barriers", Phase.Wait}, {"start and join", Phase.Rest}};
  for (auto [Name, Seconds] : Idle)
    Text += "<tr>" + cell(Name) +
            "<td></td><td></td><td></td><td></td><td>"
            "</td>" +
            timeCells(Seconds, Phase.Seconds, "none") + "<td></td></tr>\n";
  Text += "<tr class=\"sum\">" + cell("all") + cell(bytesText(Memory)) +
          cell(bytesText(Activations)) + cell(countText(Operations)) +
          cell("") + cell(format("%.1f", 1e6 * Phase.Floor)) +
          cell(format("%.1f", 1e6 * Phase.Seconds)) + cell("") + cell("") +
          cell(format("%.1f %%", 100 * Phase.Floor / Phase.Seconds)) +
          "</tr>\n</tbody></table></div>\n";
  return Text;
}

std::string term(const char *Name, const std::string &Value) {
  return std::string("<dt>") + Name + "</dt><dd>" + escaped(Value) + "</dd>\n";
}

} // namespace

std::string rooflinePage(const RooflineReport &Report) {
  std::string Title = escaped("Roofline of " + Report.Model);
  std::string Text =
      "<!DOCTYPE html>\n<html lang=\"en\" "
      "xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta "
      "charset=\"utf-8\"/>\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\"/>\n<title>" +
      Title + "</title>\n<style>" + Style + "</style>\n</head>\n<body>\n<h1>" +
      Title + "</h1>\n<p class=\"soft\">" +
      escaped(format("%s of weights, compiled for %s; %s; cria %s",
                     bytesText(static_cast<double>(Report.WeightBytes)).c_str(),
                     Report.Target.c_str(), Report.Cpu.c_str(),
                     Report.Version.c_str())) +
      "</p>\n"
      "<p>Each point is one fused op, summed over the layers of a step: how "
      "many operations it does for a byte it must read, and how many in a "
      "second. It cannot be above the lines, which are loops measured on this "
      "machine in the same run; the dotted line above a point leads to its "
      "own limit. Areas are shares of the time, the number beside a name says "
      "how much of the limit was reached. Circles count the bytes of weights "
      "and KV cache, diamonds, for ops whose activations take longer, the "
      "bytes between ops, which caches hold.</p>\n";
  for (const RooflineRun &Run : Report.Runs) {
    const Ceilings &Roofs = Run.Roofs;
    Text += format("<h2>%" PRId64 " thread%s</h2>\n<dl>\n", Run.Threads,
                   Run.Threads == 1 ? "" : "s");
    Text += term(
        "memory",
        format("%.1f GB/s, a read loop over %s with %s (%.1f before the model "
               "ran, %.1f after; 1 thread %.1f)",
               Roofs.Read / Giga,
               bytesText(static_cast<double>(Report.ReadBytes)).c_str(),
               Report.ReadName.c_str(), Roofs.ReadBefore / Giga,
               Roofs.ReadAfter / Giga, Roofs.ReadAlone / Giga));
    Text +=
        term("cache", format("%.1f GB/s, the same within half of the level 2 "
                             "cache",
                             Roofs.Cache / Giga));
    Text += term("int8", format("%.1f Gop/s, %s", Roofs.Int8 / Giga,
                                Report.Int8Name.c_str()));
    Text += term("f32", format("%.1f Gop/s, %s", Roofs.F32 / Giga,
                               Report.F32Name.c_str()));
    Text += "</dl>\n";
    for (const RooflinePhase &Phase : Run.Phases) {
      auto Tokens = static_cast<double>(Phase.Tokens);
      std::string Heading = Phase.Title;
      Heading[0] = static_cast<char>(Heading[0] - 'a' + 'A');
      Text += "<h3>" + escaped(Heading) + "</h3>\n<p class=\"soft\">" +
              format("%.2f ms, %.1f tokens/s; the sum of the floors is %.2f "
                     "ms, %.1f tokens/s</p>\n",
                     1e3 * Phase.Seconds, Tokens / Phase.Seconds,
                     1e3 * Phase.Floor, Tokens / Phase.Floor) +
              Plot(Run, Phase).draw() + table(Phase);
    }
  }
  Text += "</body>\n</html>\n";
  return Text;
}

} // namespace cria::tools
