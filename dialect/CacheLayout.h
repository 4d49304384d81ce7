// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bytes of a KV cache of int8 elements; see cria.kv_append.

#ifndef CRIA_DIALECT_CACHELAYOUT_H
#define CRIA_DIALECT_CACHELAYOUT_H

#include "dialect/CriaDialect.h"

namespace cria {

constexpr int64_t kI8ScaleBytes = 4; // f32

/// Of one page of one head: codes, then one scale a position.
constexpr int64_t i8PageBytes(int64_t headDim) {
  return CriaDialect::kPageTokens * (headDim + kI8ScaleBytes);
}

/// The head_dim whose pages have so many bytes; not positive if none has.
constexpr int64_t i8HeadDim(int64_t pageBytes) {
  return pageBytes / CriaDialect::kPageTokens - kI8ScaleBytes;
}

} // namespace cria

#endif // CRIA_DIALECT_CACHELAYOUT_H
