// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How far a command is: one line on standard error, drawn over itself, gone
// when the bar is. Nothing is written where standard error is no terminal.
#ifndef CRIA_TOOLS_PROGRESSBAR_H
#define CRIA_TOOLS_PROGRESSBAR_H

#include <cstdint>
#include <string>

namespace cria::tools {

class ProgressBar {
public:
  /// `Total` >= 1 pieces of work.
  explicit ProgressBar(int64_t Total);
  ~ProgressBar();
  ProgressBar(const ProgressBar &) = delete;
  ProgressBar &operator=(const ProgressBar &) = delete;

  /// `Note` stands behind the bar and the time that is left.
  void update(int64_t Done, const std::string &Note);

private:
  bool Terminal;
  int64_t Total;
  double Started, Drawn = 0;
};

} // namespace cria::tools

#endif // CRIA_TOOLS_PROGRESSBAR_H
