// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Twelve accumulators each: an instruction with a latency of 4 to 6 cycles and
// two ports to run on needs 8 to 12 in flight, and twelve with their operands
// fit into 16 registers. AMX is left out: no kernel of cria uses it.
#include "tools/RoofKernels.h"

#include "cria/cria.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace cria::tools {

namespace {

#define CRIA_TWELVE(STEP)                                                      \
  STEP(0)                                                                      \
  STEP(1)                                                                      \
  STEP(2)                                                                      \
  STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) STEP(8) STEP(9) STEP(10) STEP(11)
#define CRIA_EIGHT(STEP)                                                       \
  STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7)

// Keeps the compiler from knowing a value, which stays in its register.
#define CRIA_OPAQUE(CLASS, VALUE) __asm__ volatile("" : "+" CLASS(VALUE))

constexpr int64_t Unroll = 12;

//===----------------------------------------------------------------------===//
// Any processor
//===----------------------------------------------------------------------===//

#if !defined(__aarch64__)
uint64_t readWords(const void *Data, size_t Bytes) {
  uint64_t Sum[8] = {};
  for (size_t I = 0; I < Bytes; I += sizeof(Sum)) {
    uint64_t Words[8];
    std::memcpy(Words, static_cast<const char *>(Data) + I, sizeof(Words));
    for (int J = 0; J < 8; ++J)
      Sum[J] ^= Words[J];
  }
  return Sum[0] ^ Sum[1] ^ Sum[2] ^ Sum[3] ^ Sum[4] ^ Sum[5] ^ Sum[6] ^ Sum[7];
}

// Four lanes: vectors that every compiler breaks down to what there is.
typedef int16_t Words8 __attribute__((vector_size(16)));
typedef float Floats4 __attribute__((vector_size(16)));

double int8Plain(int64_t Rounds) {
  Words8 X = {1, 2, 3, 4, 5, 6, 7, 8}, Sums[Unroll] = {};
  for (int64_t R = 0; R < Rounds; ++R)
    for (Words8 &Sum : Sums) {
      CRIA_OPAQUE("x", X);
      Sum += X * X;
    }
  for (Words8 &Sum : Sums)
    CRIA_OPAQUE("x", Sum);
  return 2.0 * 8 * Unroll * static_cast<double>(Rounds);
}

double f32Plain(int64_t Rounds) {
  Floats4 X = {1, 2, 3, 4}, Sums[Unroll] = {};
  for (int64_t R = 0; R < Rounds; ++R)
    for (Floats4 &Sum : Sums) {
      CRIA_OPAQUE("x", X);
      Sum += X * X;
    }
  for (Floats4 &Sum : Sums)
    CRIA_OPAQUE("x", Sum);
  return 2.0 * 4 * Unroll * static_cast<double>(Rounds);
}
#endif

#if defined(__x86_64__)

//===----------------------------------------------------------------------===//
// AVX2
//===----------------------------------------------------------------------===//

#define CRIA_AVX2 __attribute__((target("avx2,fma")))

CRIA_AVX2 uint64_t readAvx2(const void *Data, size_t Bytes) {
  const auto *At = static_cast<const __m256i *>(Data);
  const auto *End = At + Bytes / sizeof(*At);
#define DECLARE(I) __m256i S##I = _mm256_setzero_si256();
#define STEP(I) S##I = _mm256_xor_si256(S##I, _mm256_loadu_si256(At + (I)));
  CRIA_EIGHT(DECLARE)
  for (; At != End; At += 8) {
    CRIA_EIGHT(STEP)
  }
#undef STEP
#define STEP(I) S0 = _mm256_xor_si256(S0, S##I);
  CRIA_EIGHT(STEP)
#undef STEP
#undef DECLARE
  return static_cast<uint64_t>(_mm256_extract_epi64(S0, 0));
}

/// Pairs of bytes in 16 bits, eight times, before they move on to 32: what
/// 4-bit weights allow (see cria-lower-dot4).
CRIA_AVX2 double int8Avx2(int64_t Rounds) {
  __m256i X = _mm256_set1_epi8(1), Y = _mm256_set1_epi8(2);
  __m256i Ones = _mm256_set1_epi16(1);
#define DECLARE(I) __m256i W##I, S##I = _mm256_setzero_si256();
#define FIRST(I)                                                               \
  CRIA_OPAQUE("x", X);                                                         \
  W##I = _mm256_maddubs_epi16(X, Y);
#define STEP(I)                                                                \
  CRIA_OPAQUE("x", X);                                                         \
  W##I = _mm256_add_epi16(W##I, _mm256_maddubs_epi16(X, Y));
#define WIDEN(I) S##I = _mm256_add_epi32(S##I, _mm256_madd_epi16(W##I, Ones));
#define FOUR(DO) DO(0) DO(1) DO(2) DO(3)
  FOUR(DECLARE)
  for (int64_t R = 0; R < Rounds; ++R) {
    FOUR(FIRST)
    FOUR(STEP)
    FOUR(STEP)
    FOUR(STEP) FOUR(STEP) FOUR(STEP) FOUR(STEP) FOUR(STEP) FOUR(WIDEN)
  }
#define KEEP(I) CRIA_OPAQUE("x", S##I);
  FOUR(KEEP)
#undef FOUR
#undef KEEP
#undef WIDEN
#undef STEP
#undef FIRST
#undef DECLARE
  return 2.0 * 32 * 4 * 8 * static_cast<double>(Rounds);
}

CRIA_AVX2 double f32Avx2(int64_t Rounds) {
  __m256 X = _mm256_set1_ps(0.5f), Y = _mm256_set1_ps(0.25f);
#define DECLARE(I) __m256 S##I = _mm256_setzero_ps();
#define STEP(I) S##I = _mm256_fmadd_ps(X, Y, S##I);
#define KEEP(I) CRIA_OPAQUE("x", S##I);
  CRIA_TWELVE(DECLARE)
  CRIA_OPAQUE("x", X);
  for (int64_t R = 0; R < Rounds; ++R) {
    CRIA_TWELVE(STEP)
  }
  CRIA_TWELVE(KEEP)
#undef KEEP
#undef STEP
#undef DECLARE
  return 2.0 * 8 * Unroll * static_cast<double>(Rounds);
}

//===----------------------------------------------------------------------===//
// AVX-VNNI
//===----------------------------------------------------------------------===//

__attribute__((target("avx2,avxvnni"))) double int8AvxVnni(int64_t Rounds) {
  __m256i X = _mm256_set1_epi8(1), Y = _mm256_set1_epi8(2);
#define DECLARE(I) __m256i S##I = _mm256_setzero_si256();
#define STEP(I) S##I = _mm256_dpbusd_avx_epi32(S##I, X, Y);
#define KEEP(I) CRIA_OPAQUE("x", S##I);
  CRIA_TWELVE(DECLARE)
  CRIA_OPAQUE("x", X);
  for (int64_t R = 0; R < Rounds; ++R) {
    CRIA_TWELVE(STEP)
  }
  CRIA_TWELVE(KEEP)
#undef KEEP
#undef STEP
#undef DECLARE
  return 2.0 * 32 * Unroll * static_cast<double>(Rounds);
}

//===----------------------------------------------------------------------===//
// AVX-512
//===----------------------------------------------------------------------===//

#define CRIA_AVX512 __attribute__((target("avx512f,avx512bw")))

CRIA_AVX512 uint64_t readAvx512(const void *Data, size_t Bytes) {
  const auto *At = static_cast<const char *>(Data);
  const auto *End = At + Bytes;
#define DECLARE(I) __m512i S##I = _mm512_setzero_si512();
#define STEP(I)                                                                \
  S##I = _mm512_xor_si512(S##I, _mm512_loadu_si512(At + 64 * (I)));
  CRIA_EIGHT(DECLARE)
  for (; At != End; At += 512) {
    CRIA_EIGHT(STEP)
  }
#undef STEP
#define STEP(I) S0 = _mm512_xor_si512(S0, S##I);
  CRIA_EIGHT(STEP)
#undef STEP
#undef DECLARE
  uint64_t Words[8];
  _mm512_storeu_si512(Words, S0);
  return Words[0];
}

__attribute__((target("avx512f,avx512vnni"))) double
int8Avx512Vnni(int64_t Rounds) {
  __m512i X = _mm512_set1_epi32(0x01010101), Y = _mm512_set1_epi32(0x02020202);
#define DECLARE(I) __m512i S##I = _mm512_setzero_si512();
#define STEP(I) S##I = _mm512_dpbusd_epi32(S##I, X, Y);
#define KEEP(I) CRIA_OPAQUE("v", S##I);
  CRIA_TWELVE(DECLARE)
  CRIA_OPAQUE("v", X);
  for (int64_t R = 0; R < Rounds; ++R) {
    CRIA_TWELVE(STEP)
  }
  CRIA_TWELVE(KEEP)
#undef KEEP
#undef STEP
#undef DECLARE
  return 2.0 * 64 * Unroll * static_cast<double>(Rounds);
}

CRIA_AVX512 double f32Avx512(int64_t Rounds) {
  __m512 X = _mm512_set1_ps(0.5f), Y = _mm512_set1_ps(0.25f);
#define DECLARE(I) __m512 S##I = _mm512_setzero_ps();
#define STEP(I) S##I = _mm512_fmadd_ps(X, Y, S##I);
#define KEEP(I) CRIA_OPAQUE("v", S##I);
  CRIA_TWELVE(DECLARE)
  CRIA_OPAQUE("v", X);
  for (int64_t R = 0; R < Rounds; ++R) {
    CRIA_TWELVE(STEP)
  }
  CRIA_TWELVE(KEEP)
#undef KEEP
#undef STEP
#undef DECLARE
  return 2.0 * 16 * Unroll * static_cast<double>(Rounds);
}

#elif defined(__aarch64__)

//===----------------------------------------------------------------------===//
// NEON
//===----------------------------------------------------------------------===//

uint64_t readNeon(const void *Data, size_t Bytes) {
  const auto *At = static_cast<const uint64_t *>(Data);
  const auto *End = At + Bytes / sizeof(*At);
#define DECLARE(I) uint64x2_t S##I = vdupq_n_u64(0);
#define STEP(I) S##I = veorq_u64(S##I, vld1q_u64(At + 2 * (I)));
  CRIA_EIGHT(DECLARE)
  for (; At != End; At += 16) {
    CRIA_EIGHT(STEP)
  }
#undef STEP
#define STEP(I) S0 = veorq_u64(S0, S##I);
  CRIA_EIGHT(STEP)
#undef STEP
#undef DECLARE
  return vgetq_lane_u64(S0, 0);
}

/// By hand, because compilers disagree on how a function asks for dotprod.
double int8Dot(int64_t Rounds) {
  int8x16_t X = vdupq_n_s8(1), Y = vdupq_n_s8(2);
#define DECLARE(I) int32x4_t S##I = vdupq_n_s32(0);
#define STEP(I)                                                                \
  __asm__ volatile(".arch armv8.2-a+dotprod\n\tsdot %0.4s, %1.16b, %2.16b"     \
                   : "+w"(S##I)                                                \
                   : "w"(X), "w"(Y));
  CRIA_TWELVE(DECLARE)
  for (int64_t R = 0; R < Rounds; ++R) {
    CRIA_TWELVE(STEP)
  }
#undef STEP
#undef DECLARE
  return 2.0 * 16 * Unroll * static_cast<double>(Rounds);
}

double int8Neon(int64_t Rounds) {
  int8x16_t X = vdupq_n_s8(1), Y = vdupq_n_s8(2);
#define DECLARE(I) int32x4_t S##I = vdupq_n_s32(0);
#define STEP(I)                                                                \
  CRIA_OPAQUE("w", X);                                                         \
  S##I = vpadalq_s16(S##I, vmlal_s8(vmull_s8(vget_low_s8(X), vget_low_s8(Y)),  \
                                    vget_high_s8(X), vget_high_s8(Y)));
#define KEEP(I) CRIA_OPAQUE("w", S##I);
  CRIA_TWELVE(DECLARE)
  for (int64_t R = 0; R < Rounds; ++R) {
    CRIA_TWELVE(STEP)
  }
  CRIA_TWELVE(KEEP)
#undef KEEP
#undef STEP
#undef DECLARE
  return 2.0 * 16 * Unroll * static_cast<double>(Rounds);
}

double f32Neon(int64_t Rounds) {
  float32x4_t X = vdupq_n_f32(0.5f), Y = vdupq_n_f32(0.25f);
#define DECLARE(I) float32x4_t S##I = vdupq_n_f32(0);
#define STEP(I) S##I = vfmaq_f32(S##I, X, Y);
#define KEEP(I) CRIA_OPAQUE("w", S##I);
  CRIA_TWELVE(DECLARE)
  CRIA_OPAQUE("w", X);
  for (int64_t R = 0; R < Rounds; ++R) {
    CRIA_TWELVE(STEP)
  }
  CRIA_TWELVE(KEEP)
#undef KEEP
#undef STEP
#undef DECLARE
  return 2.0 * 4 * Unroll * static_cast<double>(Rounds);
}

#endif

} // namespace

RoofKernels roofKernels() {
#if defined(__aarch64__)
  if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP)
    return {readNeon, "NEON", int8Dot, "sdot", f32Neon, "NEON fmla"};
  return {readNeon, "NEON", int8Neon, "NEON smlal", f32Neon, "NEON fmla"};
#else
  RoofKernels Best = {readWords,    "64-bit words", int8Plain,
                      "16-bit SSE", f32Plain,       "SSE"};
#if defined(__x86_64__)
  uint64_t Has = cria_cpu_features();
  if (Has & CRIA_CPU_AVX2)
    Best = {readAvx2, "AVX2", int8Avx2, "AVX2 vpmaddubsw", f32Avx2, "AVX2 FMA"};
  if (Has & CRIA_CPU_AVXVNNI) {
    Best.Int8 = int8AvxVnni;
    Best.Int8Name = "AVX-VNNI vpdpbusd";
  }
  if (Has & CRIA_CPU_AVX512) {
    Best.Read = readAvx512;
    Best.ReadName = "AVX-512";
    Best.F32 = f32Avx512;
    Best.F32Name = "AVX-512 FMA";
    if (Has & CRIA_CPU_AVX512VNNI) {
      Best.Int8 = int8Avx512Vnni;
      Best.Int8Name = "AVX-512 vpdpbusd";
    }
  }
#endif
  return Best;
#endif
}

} // namespace cria::tools
