// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Plot.h"

#include "tools/Common.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cria::tools {

namespace {

constexpr const char *Style = R"(
:root { color-scheme: light dark; --back: #ffffff; --text: #1b1f24;
  --soft: #5b6573; --grid: #e3e7ec; --line0: #1f6fd6; --line1: #d9480f;
  --line2: #2b8a3e; --line3: #8a4fd0; }
@media (prefers-color-scheme: dark) { :root { --back: #12161b; --text: #e4e8ed;
  --soft: #9aa5b3; --grid: #29313a; --line0: #6aa9ff; --line1: #ff8a50;
  --line2: #63c174; --line3: #bd93f9; } }
body { background: var(--back); color: var(--text); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem;
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; margin-bottom: 0.2rem; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 0.3rem; }
p { max-width: 52rem; } .soft { color: var(--soft); }
.figures { display: grid; gap: 0 2rem;
  grid-template-columns: repeat(auto-fit, minmax(25rem, 1fr)); }
svg { width: 100%; height: auto; display: block; margin: 0.5rem 0; }
svg text { fill: var(--text); font-size: 13px; }
svg .soft { fill: var(--soft); }
.frame { fill: none; stroke: var(--soft); } .grid { stroke: var(--grid); }
.line { fill: none; stroke-width: 2; } .spread { stroke-width: 1.2; }
.c0 { stroke: var(--line0); } .c1 { stroke: var(--line1); }
.c2 { stroke: var(--line2); } .c3 { stroke: var(--line3); }
.m0 { fill: var(--line0); } .m1 { fill: var(--line1); }
.m2 { fill: var(--line2); } .m3 { fill: var(--line3); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  font-size: 0.9rem; margin: 0.5rem 0; }
th, td { text-align: right; padding: 0.2rem 0.6rem; white-space: nowrap;
  border-bottom: 1px solid var(--grid); }
th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
.scroll { overflow-x: auto; }
)";

/// From numbers to pixels, with round numbers to mark.
class Axis {
public:
  Axis(bool IsLog, double Least, double Most, double From, double To)
      : IsLog(IsLog), From(From), To(To) {
    if (IsLog) {
      Low = std::floor(std::log10(Least) * 3 + 1e-9) / 3;
      High = std::ceil(std::log10(Most) * 3 - 1e-9) / 3;
      if (High <= Low)
        High = Low + 1;
      markDecades();
      return;
    }
    Low = 0;
    double Step = std::pow(10, std::floor(std::log10(std::max(Most, 1e-12))));
    for (double Part : {0.1, 0.2, 0.5, 1.0, 2.0})
      if (Most / (Step * Part) <= 6) {
        Step *= Part;
        break;
      }
    High = Step * std::ceil(Most / Step - 1e-9);
    for (int I = 0; I * Step <= High * (1 + 1e-9); ++I)
      Marks.push_back(I * Step);
  }

  /// Marks where something was measured, instead.
  void markAt(std::vector<double> Places) { Marks = std::move(Places); }
  void widen(double Least, double Most) {
    double Room = 0.04 * std::log10(Most / Least);
    Low = std::log10(Least) - Room, High = std::log10(Most) + Room;
  }

  double operator()(double Value) const {
    double At = IsLog ? std::log10(Value) : Value;
    return From + (At - Low) / (High - Low) * (To - From);
  }
  const std::vector<double> &marks() const { return Marks; }

private:
  void markDecades() {
    for (int Decade = static_cast<int>(std::floor(Low)); Decade <= High;
         ++Decade)
      for (double Part : {1.0, 2.0, 5.0}) {
        double Value = Part * std::pow(10, Decade), At = std::log10(Value);
        if (At >= Low - 1e-9 && At <= High + 1e-9)
          Marks.push_back(Value);
      }
  }

  bool IsLog;
  double From, To, Low = 0, High = 1;
  std::vector<double> Marks;
};

class Drawing {
public:
  explicit Drawing(const Plot &What) : What(What) {}

  std::string draw() {
    std::vector<double> Places;
    double Least = std::numeric_limits<double>::max(), Most = 0;
    for (const PlotLine &Line : What.Lines)
      for (const PlotPoint &Point : Line.Points) {
        Places.push_back(Point.X);
        if (Point.Least > 0)
          Least = std::min(Least, Point.Least);
        Most = std::max(Most, Point.Most);
      }
    if (Places.empty() || !(Most > 0))
      return std::string();
    std::sort(Places.begin(), Places.end());
    Places.erase(std::unique(Places.begin(), Places.end()), Places.end());
    Axis X(What.LogX, Places.front(), Places.back(), Left, Right);
    if (What.LogX) {
      X.markAt(Places);
      X.widen(Places.front(), std::max(Places.back(), Places.front() * 1.1));
    }
    Axis Y(What.LogY, Least, Most, Lower, Upper);
    Text = format("<svg viewBox=\"0 0 %g %g\" role=\"img\" "
                  "aria-label=\"%s\">\n",
                  Width, Height, escapedHtml(What.Title).c_str());
    axes(X, Y);
    for (size_t I = 0; I < What.Lines.size(); ++I)
      line(I, X, Y);
    legend();
    return Text + "</svg>\n";
  }

private:
  static constexpr double Width = 560, Height = 380;
  static constexpr double Left = 72, Right = 545, Upper = 44, Lower = 325;

  void label(const char *Anchor, double X, double Y, const std::string &Words,
             const char *More = "") {
    Text += format("<text class=\"soft\" text-anchor=\"%s\" x=\"%.1f\" "
                   "y=\"%.1f\"%s>%s</text>\n",
                   Anchor, X, Y, More, escapedHtml(Words).c_str());
  }
  void stroke(const std::string &Class, double Xa, double Ya, double Xb,
              double Yb) {
    Text += format("<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" "
                   "y2=\"%.1f\"/>\n",
                   Class.c_str(), Xa, Ya, Xb, Yb);
  }

  void axes(const Axis &X, const Axis &Y) {
    double Last = -1e9;
    for (double Mark : X.marks()) {
      stroke("grid", X(Mark), Upper, X(Mark), Lower);
      if (X(Mark) - Last < 34)
        continue; // no room for the number
      label("middle", X(Mark), Lower + 18, format("%g", Mark));
      Last = X(Mark);
    }
    for (double Mark : Y.marks()) {
      stroke("grid", Left, Y(Mark), Right, Y(Mark));
      label("end", Left - 7, Y(Mark) + 4, format("%.6g", Mark));
    }
    Text += format("<rect class=\"frame\" x=\"%g\" y=\"%g\" width=\"%g\" "
                   "height=\"%g\"/>\n",
                   Left, Upper, Right - Left, Lower - Upper);
    label("middle", (Left + Right) / 2, Lower + 40, What.XLabel);
    double Middle = (Upper + Lower) / 2;
    label("middle", 16, Middle, What.YLabel,
          format(" transform=\"rotate(-90 16 %g)\"", Middle).c_str());
  }

  /// A circle, square, diamond or triangle: colour is not all.
  std::string marker(size_t Kind, double X, double Y) {
    static const char *const Shapes[] = {
        "M-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0 -8.4 0z",
        "M-3.8 -3.8h7.6v7.6h-7.6z", "M0 -5.2L5.2 0L0 5.2L-5.2 0z",
        "M0 -5L4.8 3.6H-4.8z"};
    return format("<path class=\"m%zu\" transform=\"translate(%.1f %.1f)\" "
                  "d=\"%s\"/>\n",
                  Kind % 4, X, Y, Shapes[Kind % 4]);
  }

  void line(size_t I, const Axis &X, const Axis &Y) {
    std::string Path, Marks;
    for (const PlotPoint &Point : What.Lines[I].Points) {
      Path += format("%s%.1f %.1f", Path.empty() ? "M" : "L", X(Point.X),
                     Y(Point.Y));
      if (Point.Most > Point.Least)
        stroke(format("spread c%zu", I % 4), X(Point.X), Y(Point.Least),
               X(Point.X), Y(Point.Most));
      Marks += marker(I, X(Point.X), Y(Point.Y));
    }
    Text +=
        format("<path class=\"line c%zu\" d=\"%s\"/>\n", I % 4, Path.c_str());
    Text += Marks;
  }

  void legend() {
    double At = Left;
    for (size_t I = 0; I < What.Lines.size(); ++I) {
      const std::string &Name = What.Lines[I].Name;
      stroke(format("line c%zu", I % 4), At, 22, At + 26, 22);
      Text += marker(I, At + 13, 22);
      Text += format("<text x=\"%.1f\" y=\"26\">%s</text>\n", At + 33,
                     escapedHtml(Name).c_str());
      At += 52 + 7.8 * static_cast<double>(Name.size());
    }
  }

  const Plot &What;
  std::string Text;
};

} // namespace

std::string escapedHtml(const std::string &Text) {
  std::string Result;
  for (char Each : Text) {
    if (Each == '&')
      Result += "&amp;";
    else if (Each == '<')
      Result += "&lt;";
    else if (Each == '>')
      Result += "&gt;";
    else if (Each == '"')
      Result += "&quot;";
    else
      Result += static_cast<unsigned char>(Each) < 0x20 ? ' ' : Each;
  }
  return Result;
}

std::string Plot::svg() const { return Drawing(*this).draw(); }

std::string htmlPage(const std::string &Title, const std::string &Body) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
         "<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width\">\n<title>" +
         escapedHtml(Title) + "</title>\n<style>" + Style +
         "</style>\n</head>\n<body>\n" + Body + "</body>\n</html>\n";
}

} // namespace cria::tools
