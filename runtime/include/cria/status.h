/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * Status codes and messages of cria's C interfaces.
 *
 * Every function that can fail returns a cria_status and, where the caller
 * passes a non-null cria_error, fills its message with the file, the key, the
 * value and what would have been accepted. A cria_error is plain memory owned
 * by the caller; it may be reused and needs no cleanup. No function prints,
 * aborts or throws.
 */
#ifndef CRIA_STATUS_H
#define CRIA_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cria_status {
  CRIA_OK = 0,
  CRIA_INVALID_ARGUMENT = 1, /* an argument is outside what is documented */
  CRIA_NOT_FOUND = 2,        /* a file, symbol or entry does not exist */
  CRIA_INVALID_DATA = 3,     /* a file's content is malformed */
  CRIA_UNSUPPORTED = 4,      /* well-formed, but not something we handle */
  CRIA_OUT_OF_RANGE = 5,     /* past a stated capacity */
  CRIA_OUT_OF_MEMORY = 6,
  CRIA_IO = 7,          /* the operating system refused or failed */
  CRIA_WRONG_CPU = 8,   /* the artifact needs instructions we lack */
  CRIA_ABI_MISMATCH = 9 /* artifact and runtime disagree on the ABI */
} cria_status;

/* UTF-8, always NUL-terminated, truncated when longer. */
typedef struct cria_error {
  cria_status status;
  char message[1020];
} cria_error;

#ifdef __cplusplus
}
#endif
#endif /* CRIA_STATUS_H */
