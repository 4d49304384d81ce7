// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// DIR|MODEL: a folder that `cria compile` wrote is used as it is; a model is
// compiled on first use into a cache folder ($CRIA_CACHE, else
// $XDG_CACHE_HOME/cria, else ~/.cache/cria).
#ifndef CRIA_TOOLS_CACHE_H
#define CRIA_TOOLS_CACHE_H

#include "tools/Arguments.h"
#include "tools/Common.h"

namespace cria::tools {

struct ModelChoice {
  std::string Path;
  std::string Target;          // a list; empty: native
  int64_t Context = 0;         // 0: the compiler's default
  std::string Quantize;        // empty: types as in the model
  std::string DisabledFusions; // for --disable-fusion
  bool Profile = false;        // compile with --profile
};

/// The positional argument DIR|MODEL and the options for compiling a MODEL.
void addModelOptions(Arguments &Declared, ModelChoice &Choice,
                     Arguments::Presence Need = Arguments::Required);

/// --device; "auto" unless given.
void addDeviceOption(Arguments &Declared, std::string &Device);

/// The folder of the compiled model. Throws a Failure.
std::string resolveModel(const ModelChoice &Choice);

/// The plain lowering of the artifact in `Dir`, compiled on first use, with the
/// artifact's weights. Throws a Failure.
ArtifactPtr openPlain(const std::string &Dir);

} // namespace cria::tools

#endif // CRIA_TOOLS_CACHE_H
