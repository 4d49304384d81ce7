// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Line charts as inline SVG, and the page around them: no scripts, no other
// files, light and dark.
#ifndef CRIA_TOOLS_PLOT_H
#define CRIA_TOOLS_PLOT_H

#include <string>
#include <vector>

namespace cria::tools {

struct PlotPoint {
  double X, Y, Least, Most;
};

struct PlotLine {
  std::string Name;
  std::vector<PlotPoint> Points; // with ascending X
};

struct Plot {
  std::string Title, XLabel, YLabel;
  bool LogX = false, LogY = false;
  std::vector<PlotLine> Lines; // up to four are told apart

  /// An <svg> element.
  std::string svg() const;
};

/// &, < and others as entities.
std::string escapedHtml(const std::string &Text);

/// A whole page with the style that plots and tables need.
std::string htmlPage(const std::string &Title, const std::string &Body);

} // namespace cria::tools

#endif // CRIA_TOOLS_PLOT_H
