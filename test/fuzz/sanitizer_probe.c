// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Two errors on purpose, compiled as the project's libraries are.
#include <stdlib.h>

int probeAddress(size_t size) {
  volatile char *data = malloc(size);
  if (!data)
    return 0;
  int sum = data[size];
  free((void *)data);
  return sum;
}

int probeUndefined(int value) { return value + 1; }
