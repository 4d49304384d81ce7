// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The functions of a GPU's library that have a shape in their names.

#ifndef CRIA_COMPILER_GPU_WGMMALIBRARY_H
#define CRIA_COMPILER_GPU_WGMMALIBRARY_H

#include "llvm/IR/Module.h"

#include <string>

namespace cria {

/// LLVM IR of the cria_gpu_wgmma functions that `module` declares
/// (gpu/TeamBuilder.h), for after the definition of @team_memory.
std::string wgmmaLibrary(const llvm::Module &module);

} // namespace cria

#endif // CRIA_COMPILER_GPU_WGMMALIBRARY_H
