// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ggml's block-quantised tensor types: what their bytes mean (the block structs
// of ggml-common.h and the dequantisers of ggml-quants.c; the same numbers, bit
// by bit, as the gguf package's).
//
//   Q4_0, Q5_0, Q8_0   scale * code                     blocks of 32
//   IQ4_NL             scale * table[code]              blocks of 32
//   Q4_1, Q5_1         scale * code + minimum           blocks of 32
//   Q4_K, Q5_K         (d * s) * code - (dmin * m)      s, m of 6 bits for 32
//   Q3_K, Q6_K         (d * s) * code                   s of 6, 8 bits for 16
//   Q2_K               (d * s) * code - (dmin * m)      s, m of 4 bits for 16
//
// d and dmin are f16, one of each for 256 numbers. Any bytes are a block, so
// that nothing here can fail.
#ifndef CRIA_COMPILER_IMPORT_GGMLBLOCKS_H
#define CRIA_COMPILER_IMPORT_GGMLBLOCKS_H

#include "compiler/import/QuantizeBlocks.h"
#include "compiler/import/TensorSource.h"
#include <cstdint>

namespace cria {

/// True for ggml's block types, false for floats and Unsupported.
bool isGgmlQuantized(DType dtype);

/// Writes `elements` numbers, whole blocks of them.
void dequantizeGgml(DType dtype, const uint8_t *in, int64_t elements,
                    float *out);

/// 32 numbers of a row: value = scale * code + minimum, in f32 and each
/// operation rounded, is what dequantizeGgml writes, but for the sign of 0.
struct AffineBlock {
  int16_t codes[32];
  float scale, minimum;
};

/// Which codes an affine type has. Q3_K's are its codes times their 6-bit
/// scales, so that two halves of a block have one scale in common; negated,
/// because -32 * -4 is no int8.
struct AffineRange {
  int least, most;
  bool hasMin;
};

/// Null for types whose blocks of 32 have no such form: floats, Q2_K, Q6_K.
const AffineRange *affineRange(DType dtype);

/// Block `block` of 32 numbers of the row at `row`; the type has a range.
AffineBlock readAffine(DType dtype, const uint8_t *row, int64_t block);

/// Scale and minimum of a block as f16, and what rounding them does to its
/// numbers. False where f16 cannot hold them.
bool roundAffine(const AffineBlock &block, uint16_t &scale, uint16_t &minimum,
                 ErrorSums &errors);

/// The codes, -32 to 31, of the 32 numbers `part` of a block of Q6_K: the low
/// four bits of 128 numbers are in 64 bytes, the high two in 32.
void codesOfQ6K(const uint8_t *in, int part, int *codes);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_GGMLBLOCKS_H
