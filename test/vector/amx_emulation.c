// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// AMX's tile instructions on tiles in memory: 16 rows of 64 bytes, as Intel's
// manual (SDM volume 2) gives them. Sizes are rows and bytes of a row, as the
// intrinsics take them. What lies outside of a tile's size is undefined to
// them: it is filled with a pattern, so that a use of it shows.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { Rows = 16, RowBytes = 64 };

static void checkSize(int RowCount, int ColumnBytes) {
  if (RowCount < 1 || RowCount > Rows || ColumnBytes < 1 ||
      ColumnBytes > RowBytes || ColumnBytes % 4 != 0)
    abort();
}

void amx_zero(uint8_t *Tile, int16_t M, int16_t N) {
  checkSize(M, N);
  memset(Tile, 0x5a, Rows * RowBytes);
  for (int I = 0; I < M; ++I)
    memset(Tile + I * RowBytes, 0, N);
}

void amx_load(uint8_t *Tile, int16_t M, int16_t N, const uint8_t *From,
              int64_t Stride) {
  amx_zero(Tile, M, N);
  for (int I = 0; I < M; ++I)
    memcpy(Tile + I * RowBytes, From + I * Stride, N);
}

void amx_store(int16_t M, int16_t N, uint8_t *To, int64_t Stride,
               const uint8_t *Tile) {
  checkSize(M, N);
  for (int I = 0; I < M; ++I)
    memcpy(To + I * Stride, Tile + I * RowBytes, N);
}

// C (M x N) += A (M x K, signed bytes) * B (K / 4 x N, unsigned bytes).
void amx_tdpbsud(uint8_t *C, int16_t M, int16_t N, int16_t K, const uint8_t *A,
                 const uint8_t *B) {
  checkSize(M, N);
  checkSize(M, K);
  checkSize(K / 4, N);
  for (int I = 0; I < M; ++I)
    for (int J = 0; J < N / 4; ++J) {
      int32_t Sum;
      memcpy(&Sum, C + I * RowBytes + 4 * J, 4);
      for (int L = 0; L < K; ++L)
        Sum +=
            (int8_t)A[I * RowBytes + L] * B[L / 4 * RowBytes + 4 * J + L % 4];
      memcpy(C + I * RowBytes + 4 * J, &Sum, 4);
    }
}

static float ofBf16(const uint8_t *At) {
  uint16_t Half;
  memcpy(&Half, At, 2);
  uint32_t Bits = (uint32_t)Half << 16;
  float Value;
  memcpy(&Value, &Bits, 4);
  return Value;
}

// C (M x N, f32) += A (M x K, pairs of bf16) * B (K / 4 x N, pairs of bf16).
void amx_tdpbf16ps(uint8_t *C, int16_t M, int16_t N, int16_t K,
                   const uint8_t *A, const uint8_t *B) {
  checkSize(M, N);
  checkSize(M, K);
  checkSize(K / 4, N);
  for (int I = 0; I < M; ++I)
    for (int J = 0; J < N / 4; ++J) {
      float Sum;
      memcpy(&Sum, C + I * RowBytes + 4 * J, 4);
      for (int L = 0; L < K; L += 2)
        Sum += ofBf16(A + I * RowBytes + L) *
               ofBf16(B + L / 4 * RowBytes + 4 * J + L % 4);
      memcpy(C + I * RowBytes + 4 * J, &Sum, 4);
    }
}
