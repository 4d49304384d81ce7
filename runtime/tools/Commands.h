// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TOOLS_COMMANDS_H
#define CRIA_TOOLS_COMMANDS_H

#include "tools/Arguments.h"

namespace cria::tools {

Action addRun(Arguments &Declared);
Action addTokenize(Arguments &Declared);
Action addLogits(Arguments &Declared);
Action addBench(Arguments &Declared);
Action addEval(Arguments &Declared);
Action addInspect(Arguments &Declared);
Action addTune(Arguments &Declared);

} // namespace cria::tools

#endif // CRIA_TOOLS_COMMANDS_H
