/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 * The functions of dot4-aarch64.mlir against cria.dot4's definition. */
#include <stdint.h>
#include <stdio.h>

enum { ROUNDS = 200, NIBBLE_OPS = 9, BYTE_OPS = 3 };

void nibbles(int32_t *sums, const uint8_t *a, const int8_t *b);
void bytes(int32_t *sums, const uint8_t *a, const int8_t *b);

static uint32_t next(void) {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return state >> 16;
}

/* Rounds 0 to 3 have the extremes of a and b only, the rest random bytes. */
static int wrong(const char *name,
                 void (*dot)(int32_t *, const uint8_t *, const int8_t *),
                 int ops, uint8_t most) {
  for (int round = 0; round < ROUNDS; ++round) {
    int32_t sums[16], want[16];
    uint8_t a[64 * NIBBLE_OPS];
    int8_t b[64 * NIBBLE_OPS];
    for (int i = 0; i < 16; ++i)
      sums[i] = want[i] = (int32_t)(next() << 8) - (1 << 23);
    for (int i = 0; i < 64 * ops; ++i) {
      a[i] = (uint8_t)(round < 4 ? (round & 1) * most : next() & most);
      b[i] = (int8_t)(round < 4 ? (round & 2 ? 127 : -128) : next() & 255);
      want[i % 64 / 4] += a[i] * b[i];
    }
    dot(sums, a, b);
    for (int i = 0; i < 16; ++i)
      if (sums[i] != want[i]) {
        printf("%s round %d: sum %d is %d, not %d\n", name, round, i, sums[i],
               want[i]);
        return 1;
      }
  }
  return 0;
}

int main(void) {
  return wrong("nibbles", nibbles, NIBBLE_OPS, 15) |
         wrong("bytes", bytes, BYTE_OPS, 255);
}
