// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/tools/Progress.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <sys/resource.h>

using namespace cria;

Progress::Progress(unsigned steps, bool quiet)
    : steps(steps),
      terminal(!quiet && llvm::sys::Process::StandardErrIsDisplayed()) {}

Progress::~Progress() { end(); }

void Progress::begin(llvm::StringRef step) {
  finishStep();
  name = step.str();
  ++current;
  started = Clock::now();
  drawn = Clock::time_point();
  draw(0, "");
}

void Progress::bytes(uint64_t done, uint64_t total) {
  // Drawing costs more than packing a small chunk.
  if (!terminal ||
      (Clock::now() - drawn < std::chrono::milliseconds(80) && done < total))
    return;
  double seconds =
      std::chrono::duration<double>(Clock::now() - started).count();
  std::string note;
  llvm::raw_string_ostream stream(note);
  stream << llvm::format("%.0f of %.0f MB", done / 1e6, total / 1e6);
  if (seconds > 0.2)
    stream << llvm::format(", %.0f MB/s", done / 1e6 / seconds);
  draw(total ? static_cast<double>(done) / total : 1, note);
}

void Progress::end() {
  finishStep();
  if (terminal && current)
    llvm::errs() << "\r\x1b[K";
  current = 0;
}

void Progress::finishStep() {
  if (name.empty())
    return;
  ended.emplace_back(
      name, std::chrono::duration<double>(Clock::now() - started).count());
  name.clear();
}

void Progress::draw(double fraction, llvm::StringRef note) {
  if (!terminal)
    return;
  constexpr unsigned width = 24;
  double all = (current - 1 + std::clamp(fraction, 0.0, 1.0)) / steps;
  unsigned filled = std::min<unsigned>(width, all * width);
  llvm::errs() << "\r\x1b[K[" << std::string(filled, '#')
               << std::string(width - filled, '.') << "] " << name;
  if (!note.empty())
    llvm::errs() << " " << note;
  llvm::errs().flush();
  drawn = Clock::now();
}

void Progress::printTimes() const {
  double total = 0;
  for (const auto &[step, seconds] : ended) {
    llvm::errs() << llvm::left_justify(step, 12)
                 << llvm::format("%8.3f s\n", seconds);
    total += seconds;
  }
  llvm::errs() << llvm::left_justify("total", 12)
               << llvm::format("%8.3f s\n", total);
  struct rusage usage;
  if (::getrusage(RUSAGE_SELF, &usage) == 0)
    llvm::errs() << llvm::left_justify("peak memory", 12)
                 << llvm::format("%8.1f MB\n", usage.ru_maxrss * 1.024e-3);
}
