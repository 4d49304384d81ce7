// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How the text library reports failures inside: thrown here, caught in every
// function of the C API, never seen by a caller.
#ifndef CRIA_TEXT_TEXTERROR_H
#define CRIA_TEXT_TEXTERROR_H

#include "cria/status.h"

#include <cstdio>
#include <new>
#include <string>
#include <utility>

namespace cria::text {

struct TextError {
  cria_status status;
  std::string message;
};

[[noreturn]] inline void fail(cria_status Status, std::string Message) {
  throw TextError{Status, std::move(Message)};
}

inline cria_status report(cria_error *Error, cria_status Status,
                          const char *Message) {
  if (Error) {
    Error->status = Status;
    std::snprintf(Error->message, sizeof(Error->message), "%s", Message);
  }
  return Status;
}

/// Runs `Body`, turning everything that it throws into a status.
template <typename Function>
cria_status guarded(cria_error *Error, Function &&Body) noexcept {
  try {
    Body();
    if (Error) {
      Error->status = CRIA_OK;
      Error->message[0] = '\0';
    }
    return CRIA_OK;
  } catch (const TextError &Failure) {
    return report(Error, Failure.status, Failure.message.c_str());
  } catch (const std::bad_alloc &) {
    return report(Error, CRIA_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception &Failure) {
    return report(Error, CRIA_INVALID_DATA, Failure.what());
  }
}

} // namespace cria::text

#endif // CRIA_TEXT_TEXTERROR_H
