// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TOOLS_STUDY_H
#define CRIA_TOOLS_STUDY_H

#include <cstdint>
#include <string>

namespace cria::tools {

struct StudyOptions {
  int64_t Threads = 0;
  int64_t Repetitions = 0;
  bool Quick = false; // smaller models and texts: minutes become seconds
  bool AsJson = false;
  std::string HtmlPath; // empty: none
};

/// What the building blocks of these models are worth, measured on models with
/// random weights. Prints tables or JSON. Throws a Failure.
void study(const StudyOptions &Chosen);

} // namespace cria::tools

#endif // CRIA_TOOLS_STUDY_H
