// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria bench --against: two models by turns, and what the first one saves.
#ifndef CRIA_TOOLS_BENCHAGAINST_H
#define CRIA_TOOLS_BENCHAGAINST_H

#include "tools/Cache.h"

namespace cria::tools {

struct AgainstBench {
  ModelChoice Model;
  std::string Against;
  std::string Clone, Device; // as for `cria bench`, for both
  int64_t Prompt, Count, Depth, Batch, Repetitions;
  std::vector<int64_t> Threads;
  bool AsJson;
};

void benchAgainst(const AgainstBench &Chosen);

} // namespace cria::tools

#endif // CRIA_TOOLS_BENCHAGAINST_H
