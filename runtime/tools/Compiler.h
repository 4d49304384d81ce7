// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Finding and running cria-compile, which has LLVM in it; this program has not.
#ifndef CRIA_TOOLS_COMPILER_H
#define CRIA_TOOLS_COMPILER_H

#include <string>
#include <vector>

namespace cria::tools {

/// cria-compile beside this program, else in PATH. Throws a Failure.
std::string findCompiler();

/// Becomes cria-compile; returns only by throwing a Failure.
[[noreturn]] void becomeCompiler(const std::vector<std::string> &Arguments);
/// The same with cria-verify.
[[noreturn]] void becomeVerifier(const std::vector<std::string> &Arguments);

/// Runs cria-compile with its standard output joined to our stderr. Throws a
/// Failure, with an empty message where the compiler has said what is wrong.
void runCompiler(const std::string &Compiler,
                 const std::vector<std::string> &Arguments);

} // namespace cria::tools

#endif // CRIA_TOOLS_COMPILER_H
