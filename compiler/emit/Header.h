// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef CRIA_COMPILER_EMIT_HEADER_H
#define CRIA_COMPILER_EMIT_HEADER_H

#include "compiler/llvm/ModelInfo.h"

#include <string>

namespace cria {

/// The C header of a compiled model: shapes and capacities as macros, and the
/// declaration of `<prefix>get`.
std::string makeHeader(const ModelInfo &info, llvm::StringRef symbolPrefix,
                       llvm::StringRef targets);

} // namespace cria

#endif // CRIA_COMPILER_EMIT_HEADER_H
