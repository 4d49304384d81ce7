// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Halide's side of the stage emit: the generators run as a program, which
// writes LLVM bitcode, and what a module calls of them becomes part of it.

#ifndef CRIA_COMPILER_HALIDE_HALIDEKERNELS_H
#define CRIA_COMPILER_HALIDE_HALIDEKERNELS_H

#include "compiler/target/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"

#include <string>

namespace cria {

/// The path of cria-halide-generator, which is beside `toolPath`, the running
/// tool. The error says how to build it.
llvm::Expected<std::string> findHalideGenerator(llvm::StringRef toolPath);

/// Why code for `target` cannot have kernels of Halide, or "".
std::string halideRefusal(const Target &target);

/// Makes all kernels that `module` declares (HalideCall.h) and defines them in
/// `code`, its translation, for `target`. Internal functions that are not
/// inlined; attributes of the target are left to the caller.
llvm::Error addHalideKernels(mlir::ModuleOp module, llvm::Module &code,
                             const Target &target, llvm::StringRef toolPath);

} // namespace cria

#endif // CRIA_COMPILER_HALIDE_HALIDEKERNELS_H
