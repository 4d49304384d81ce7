// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/ProgressBar.h"

#include "tools/Common.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sys/ioctl.h>
#include <unistd.h>

namespace cria::tools {

ProgressBar::ProgressBar(int64_t Total)
    : Terminal(isatty(STDERR_FILENO)), Total(Total), Started(secondsNow()) {}

ProgressBar::~ProgressBar() {
  if (Terminal && Drawn > 0)
    std::fputs("\r\x1b[K", stderr);
}

void ProgressBar::update(int64_t Done, const std::string &Note) {
  double Now = secondsNow();
  // Drawing must not cost what the work does.
  if (!Terminal || (Now - Drawn < 0.1 && Done < Total))
    return;
  Drawn = Now;
  constexpr int Width = 24;
  double Share = std::clamp(double(Done) / double(Total), 0.0, 1.0);
  int Full = static_cast<int>(Share * Width);
  std::string Line = "[" + std::string(Full, '#') +
                     std::string(Width - Full, ' ') +
                     format("] %3.0f %%", 100 * Share);
  if (Share > 0 && Now - Started > 1)
    Line += format(", %.0f s left", (Now - Started) * (1 / Share - 1));
  if (!Note.empty())
    Line += ", " + Note;
  // A line that wraps could not be drawn over.
  winsize Size;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &Size) == 0 && Size.ws_col > 1)
    Line.resize(std::min<size_t>(Line.size(), Size.ws_col - 1));
  std::fprintf(stderr, "\r%s\x1b[K", Line.c_str());
}

} // namespace cria::tools
