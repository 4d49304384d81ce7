// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Filling in a cria_error.
#ifndef CRIA_MODEL_REPORT_H
#define CRIA_MODEL_REPORT_H

#include "cria/status.h"

namespace cria::runtime {

/// Sets the status and a printf-style message and returns the status. Control
/// characters, which names in hostile files may contain, become '?', so that a
/// message is one line; a cut never leaves half a UTF-8 character.
__attribute__((format(printf, 3, 4))) cria_status report(cria_error *Error,
                                                         cria_status Status,
                                                         const char *Format,
                                                         ...);

/// CRIA_OK with an empty message.
cria_status succeed(cria_error *Error);

} // namespace cria::runtime

#endif // CRIA_MODEL_REPORT_H
