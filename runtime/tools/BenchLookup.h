// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TOOLS_BENCHLOOKUP_H
#define CRIA_TOOLS_BENCHLOOKUP_H

#include "tools/Cache.h"

#include <cstdint>
#include <string>
#include <vector>

namespace cria::tools {

struct LookupBench {
  ModelChoice Model;
  std::string Clone; // empty: the best
  std::vector<std::string> PromptFiles;
  int64_t Draft = 0;
  int64_t Count = 0;
  int64_t Threads = 0;
  int64_t Repetitions = 0;
  bool AsJson = false;
};

/// Greedy generation after each prompt, by turns with and without drafts.
/// Throws a Failure, also where the texts are not the same.
void benchLookup(const LookupBench &Chosen);

} // namespace cria::tools

#endif // CRIA_TOOLS_BENCHLOOKUP_H
