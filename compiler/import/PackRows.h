// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The rows of one layer of a param, one at a time, in the form that the
// layout `rows` stores them; every other layout is an interleaving of these.
#ifndef CRIA_COMPILER_IMPORT_PACKROWS_H
#define CRIA_COMPILER_IMPORT_PACKROWS_H

#include "compiler/import/TensorSource.h"
#include "dialect/CriaDialect.h"
#include <cstdint>
#include <memory>
#include <vector>

namespace cria {

/// Which array of a weight: its elements (float types) or one of the three.
enum class RowPart { Elements, Codes, Scales, Mins };

/// What the rows of a param are: N rows of K numbers of an element type.
struct RowFormat {
  int64_t n = 0, k = 0;
  ElementKind element = ElementKind::f32;
  OffsetKind offset = OffsetKind::none;
  /// Codes of q8 are stored unsigned, 128 more (n16k4 with zero_point).
  bool biased = false;
  /// Elements are padded with a zero to an even K (n16k2).
  bool evenK = false;
  /// Rows of heads are reordered (param_c3); 0: not.
  int64_t permuteHeads = 0, permuteDims = 0;

  bool isQuantized() const {
    return element == ElementKind::q8 || element == ElementKind::q4;
  }
  int64_t blocks() const { return (k + 31) / 32; }
  /// Bytes of one row of a part.
  int64_t rowBytes(RowPart part) const;
  /// The source's row that becomes row `row`.
  int64_t sourceRow(int64_t row) const;
};

class RowReader {
public:
  virtual ~RowReader() = default;
  /// Writes format.rowBytes(part) bytes.
  virtual void read(RowPart part, int64_t row, uint8_t *out) = 0;

  /// A row whose codes decode to 0.
  static void padding(const RowFormat &format, RowPart part, uint8_t *out);
};

/// Reads a tensor of N rows of K elements that has been checked.
std::unique_ptr<RowReader> makeTensorReader(const RowFormat &format,
                                            const TensorView &view);

/// How random numbers are spread: uniformly, with this mean and deviation.
struct RandomRows {
  uint64_t key = 0; // of the param and the layer
  float mean = 0, deviation = 1;
};
std::unique_ptr<RowReader> makeRandomReader(const RowFormat &format,
                                            RandomRows random);

/// A hash of a seed and a name that no library version changes.
uint64_t randomKey(uint64_t seed, llvm::StringRef name, uint64_t layer);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_PACKROWS_H
