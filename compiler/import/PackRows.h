// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The rows of one layer of a param, a strip of up to 16 at a time, in the form
// that the layout `rows` stores them; every other layout is an interleaving of
// these.
#ifndef CRIA_COMPILER_IMPORT_PACKROWS_H
#define CRIA_COMPILER_IMPORT_PACKROWS_H

#include "compiler/import/QuantizeBlocks.h"
#include "compiler/import/TensorSource.h"
#include "dialect/CriaDialect.h"
#include <cstdint>
#include <memory>
#include <vector>

namespace cria {

/// The type in which cria stores the tensors of a source type, unless it is
/// told another: the smallest that holds their numbers exactly, or else within
/// 0.6% (relative root mean square; the report says how much).
///
///   F32, F16, BF16         themselves
///   Q4_0                   q4 zero_point, exactly
///   Q4_1                   q4 min, exactly
///   Q4_K                   q4 min, scales and minima of 32 rounded to f16
///   Q5_0, Q8_0, IQ4_NL     q8, exactly
///   Q3_K                   q8, exactly: scales of 16 go into the codes
///   Q6_K                   q6, exactly
///   Q5_1                   q8 min, exactly
///   Q5_K                   q8 min, scales and minima of 32 rounded to f16
///   Q2_K                   q8 min, two blocks of 16 as one of 32
struct StoredType {
  ElementKind element = ElementKind::f32;
  OffsetKind offset = OffsetKind::none;

  bool operator==(const StoredType &other) const {
    return element == other.element && offset == other.offset;
  }
  bool operator!=(const StoredType &other) const { return !(*this == other); }
};
StoredType storedType(DType dtype);

/// Which array of a weight: its elements (float types) or one of the others.
enum class RowPart { Elements, Codes, Scales, Mins, Subscales };
constexpr int rowParts = 5;

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

  bool isQuantized() const { return WeightType::blockOf(element) != 0; }
  int64_t blocks() const { return (k + 31) / 32; }
  /// Of q6: groups of blocks that share an f16.
  int64_t superBlocks() const { return (blocks() + 7) / 8; }
  /// Bytes of one row of a part.
  int64_t rowBytes(RowPart part) const;
  /// The source's row that becomes row `row`.
  int64_t sourceRow(int64_t row) const;
};

/// Rows of all parts that a format has. Without any allocation once it has
/// held a strip of the format.
class RowStrip {
public:
  static constexpr int64_t maxRows = CriaDialect::kLanes;

  explicit RowStrip(const RowFormat &format);
  uint8_t *row(RowPart part, int64_t index) {
    return parts[static_cast<int>(part)].data() + index * stride(part);
  }
  int64_t stride(RowPart part) const { return strides[static_cast<int>(part)]; }
  /// Fills rows `first` and after with codes that decode to 0.
  void pad(int64_t first);

private:
  RowFormat format;
  std::vector<uint8_t> parts[rowParts];
  int64_t strides[rowParts];
};

class RowReader {
public:
  virtual ~RowReader() = default;
  /// Reads rows `first` to `first + count`, at most RowStrip::maxRows. An
  /// Error says which number cannot be held, not of which tensor.
  virtual llvm::Error read(int64_t first, int64_t count, RowStrip &strip) = 0;
  /// Whether the source's numbers are taken bit by bit.
  virtual bool isCopy() const { return false; }

  /// What conversion did to the rows read so far; zeros for a copy.
  ErrorSums sums;
};

/// Reads a tensor of N rows of K elements that has been checked.
std::unique_ptr<RowReader> makeTensorReader(const RowFormat &format,
                                            const TensorView &view);

/// How random numbers are spread: uniformly, with this mean and deviation.
struct RandomRows {
  uint64_t key = 0; // of the param and the layer
  float mean = 0, deviation = 1;
  /// What the numbers were made as: for another type they are converted.
  ElementKind element = ElementKind::f32;
  OffsetKind offset = OffsetKind::none;
};
std::unique_ptr<RowReader> makeRandomReader(const RowFormat &format,
                                            RandomRows random);

/// A hash of a seed and a name that no library version changes.
uint64_t randomKey(uint64_t seed, llvm::StringRef name, uint64_t layer);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_PACKROWS_H
