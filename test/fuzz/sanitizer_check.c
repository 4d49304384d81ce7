// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// sanitizer_check address|undefined: an error that the sanitizer must report.
#include <limits.h>
#include <stdio.h>
#include <string.h>

int probeAddress(size_t size);
int probeUndefined(int value);

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "address"))
    return probeAddress((size_t)argc);
  if (argc == 2 && !strcmp(argv[1], "undefined"))
    return probeUndefined(INT_MAX - 2 + argc) == 0;
  fprintf(stderr, "usage: sanitizer_check address|undefined\n");
  return 2;
}
