// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What `cria tune` found: the record that `cria compile --tune` reads
// (compiler/tile/Schedule.h), and the page.
#ifndef CRIA_TOOLS_TUNE_H
#define CRIA_TOOLS_TUNE_H

#include "tools/TuneSearch.h"

namespace cria::tools {

struct TuneReport {
  std::string Model, Target, Cpu, Version, Search;
  int64_t Threads, Prompt, Count;
  double Seconds; // that it took
  std::vector<TuneOp> Ops;
  std::vector<TuneResult> Results; // one for each op
  /// Seconds of a whole prefill and decode without and with the winners, by
  /// turns; empty where nothing won.
  struct Phase {
    std::string Name, Title;
    Series Before, After, Ratios;
    bool Kept = true; // false: no faster, so its ops' winners were put back
  };
  std::vector<Phase> Phases;
};

/// The whole page: no scripts, no other files.
std::string tunePage(const TuneReport &Report);

/// "block-tokens 4 to 6, rows 32 to 64", or "as it was".
std::string changeText(const TuneOp &Op, const TuneSchedule &Schedule);

} // namespace cria::tools

#endif // CRIA_TOOLS_TUNE_H
