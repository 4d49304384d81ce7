// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The tool cria-verify, as a function: a test makes another one of it, with a
// bug.

#ifndef CRIA_COMPILER_VERIFY_VERIFYMAIN_H
#define CRIA_COMPILER_VERIFY_VERIFYMAIN_H

#include "compiler/verify/PassTrace.h"

namespace cria {

/// The exit code where a stage diverges; 1 is for errors.
constexpr int kDiverges = 2;

/// `afterPass`: see there.
int verifyMain(int argc, char **argv, const AfterPass &afterPass);

} // namespace cria

#endif // CRIA_COMPILER_VERIFY_VERIFYMAIN_H
