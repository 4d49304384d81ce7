// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria verify: see compiler/verify/Verifier.h.

#include "compiler/verify/VerifyMain.h"

int main(int argc, char **argv) { return cria::verifyMain(argc, argv, {}); }
