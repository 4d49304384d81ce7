// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// KV caches of integer codes, i8 or i16; see cria.kv_append.

#ifndef CRIA_DIALECT_CACHELAYOUT_H
#define CRIA_DIALECT_CACHELAYOUT_H

#include "dialect/CriaDialect.h"

namespace cria {

/// How the pages of a cache hold their codes.
struct CacheLayout {
  unsigned bits; ///< of an element: 8 or 16

  /// Elements that the f32 scale of a position takes.
  constexpr int64_t scaleElements() const { return 32 / bits; }
  /// Elements of one page of one head: codes, then one scale a position.
  constexpr int64_t pageElements(int64_t headDim) const {
    return CriaDialect::kPageTokens * (headDim + scaleElements());
  }
  /// The head_dim whose pages have so many elements; not positive if none has.
  constexpr int64_t headDim(int64_t pageElements) const {
    return pageElements / CriaDialect::kPageTokens - scaleElements();
  }
  /// Whether some head_dim has so many elements in a page. Codes of 16 bits
  /// come in pairs.
  constexpr bool isPage(int64_t elements) const {
    return headDim(elements) > 0 &&
           pageElements(headDim(elements)) == elements &&
           headDim(elements) % pairs() == 0;
  }
  /// Codes that a product of cria.dot2_i16 takes from one head at a time: of
  /// neighbouring elements of a key, of neighbouring positions of a value.
  constexpr int64_t pairs() const { return bits == 16 ? 2 : 1; }

  /// The largest code. With 16 bits there are 14 in use: what a code of 15 is
  /// multiplied with may then add up to 2^31 / 8191, see kMostCodeSum.
  constexpr int64_t mostCode() const { return bits == 16 ? 8191 : 127; }

  /// Where element d of a key at place t of its page is, and of a value.
  constexpr int64_t keyAt(int64_t headDim, int64_t t, int64_t d) const {
    constexpr int64_t lanes = CriaDialect::kLanes;
    return t / lanes * lanes * headDim + d / pairs() * pairs() * lanes +
           t % lanes * pairs() + d % pairs();
  }
  constexpr int64_t valueAt(int64_t headDim, int64_t t, int64_t d) const {
    return t / pairs() * pairs() * headDim + d * pairs() + t % pairs();
  }
};

/// Codes of queries and of weighted p, times those of a cache of i16, must add
/// up to less than 2^31 in any order: so the magnitudes of a query's codes, and
/// those of a chunk's p, add up to at most floor((2^31 - 1) / 8191).
constexpr int64_t kMostCodeSum = 0x7fffffff / CacheLayout{16}.mostCode();

} // namespace cria

#endif // CRIA_DIALECT_CACHELAYOUT_H
