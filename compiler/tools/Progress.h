// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a person at a terminal sees while a model compiles. Silent where
// stderr is no terminal.

#ifndef CRIA_COMPILER_TOOLS_PROGRESS_H
#define CRIA_COMPILER_TOOLS_PROGRESS_H

#include "llvm/ADT/StringRef.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cria {

class Progress {
public:
  /// `steps`: how many calls of begin() there will be. `quiet`: draws nothing.
  Progress(unsigned steps, bool quiet);
  ~Progress();

  /// Ends the step before, and begins one.
  void begin(llvm::StringRef step);
  /// Within a step that moves bytes.
  void bytes(uint64_t done, uint64_t total);
  /// Ends the last step and clears the line.
  void end();

  /// To stderr: the seconds of every ended step, their sum, and the most memory
  /// that was resident.
  void printTimes() const;

private:
  using Clock = std::chrono::steady_clock;
  void draw(double fraction, llvm::StringRef note);
  void finishStep();

  unsigned steps, current = 0;
  bool terminal;
  std::string name;
  Clock::time_point started, drawn;
  std::vector<std::pair<std::string, double>> ended;
};

} // namespace cria

#endif // CRIA_COMPILER_TOOLS_PROGRESS_H
