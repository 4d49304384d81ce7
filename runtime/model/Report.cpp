// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "model/Report.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

using namespace cria::runtime;

cria_status cria::runtime::report(cria_error *Error, cria_status Status,
                                  const char *Format, ...) {
  if (!Error)
    return Status;
  Error->status = Status;
  va_list Arguments;
  va_start(Arguments, Format);
  int Needed =
      std::vsnprintf(Error->message, sizeof(Error->message), Format, Arguments);
  va_end(Arguments);
  size_t Size = std::strlen(Error->message);
  if (Needed >= 0 && static_cast<size_t>(Needed) > Size) {
    // Step back over a character whose last bytes were cut off.
    size_t Lead = Size;
    while (Lead > 0 && Size - Lead < 4 &&
           (static_cast<unsigned char>(Error->message[Lead - 1]) & 0xC0) ==
               0x80)
      --Lead;
    if (Lead > 0 &&
        static_cast<unsigned char>(Error->message[Lead - 1]) >= 0xC0)
      Error->message[Lead - 1] = '\0';
  }
  for (char *At = Error->message; *At; ++At) {
    unsigned char Byte = static_cast<unsigned char>(*At);
    if (Byte < 0x20 || Byte == 0x7F)
      *At = '?';
  }
  return Status;
}

cria_status cria::runtime::succeed(cria_error *Error) {
  if (Error) {
    Error->status = CRIA_OK;
    Error->message[0] = '\0';
  }
  return CRIA_OK;
}
