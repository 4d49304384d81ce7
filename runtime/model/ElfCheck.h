// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A look at a shared object before the dynamic linker maps it: the linker
// trusts program headers, so that a truncated file would end in SIGBUS.
#ifndef CRIA_MODEL_ELFCHECK_H
#define CRIA_MODEL_ELFCHECK_H

#include "cria/status.h"

namespace cria::runtime {

/// Checks that the file is a complete shared object for this machine.
cria_status checkSharedObject(const char *Path, cria_error *Error) noexcept;

} // namespace cria::runtime

#endif // CRIA_MODEL_ELFCHECK_H
