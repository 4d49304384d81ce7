// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/PackRows.h"

#include "compiler/import/GgmlBlocks.h"
#include "compiler/import/InputFile.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>
#include <cmath>
#include <cstring>

using namespace llvm;
namespace le = llvm::support::endian;

namespace cria {
namespace {

constexpr int64_t block = CriaDialect::kQuantBlock;
/// Of q6: blocks with one f16, and scales of a block.
constexpr int64_t superBlock = CriaDialect::kSuperBlock / block;
constexpr int64_t halves = 2;

uint16_t toBf16(float value) {
  uint32_t bits = llvm::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/// One block of codes with its scale and, for some types, its minimum or what
/// multiplies the scale in each half.
struct QuantBlock {
  int codes[block];
  uint16_t scale, minimum = 0;
  int8_t subscales[halves] = {};
};

BlockKind kindOf(const RowFormat &format) {
  bool isMin = format.offset == OffsetKind::min;
  if (format.element == ElementKind::q6)
    return BlockKind::q6;
  if (format.element == ElementKind::q4)
    return isMin ? BlockKind::q4Min : BlockKind::q4Zero;
  return isMin ? BlockKind::q8Min : BlockKind::q8;
}

/// Writes one part of one block; `b` is the block's place in the row.
void storeBlock(const RowFormat &format, RowPart part, const QuantBlock &q,
                int64_t b, uint8_t *out) {
  if (part == RowPart::Subscales) {
    std::memcpy(out + halves * b, q.subscales, halves);
    return;
  }
  if (part == RowPart::Scales && format.element == ElementKind::q6)
    b /= superBlock;
  if (part != RowPart::Codes) {
    le::write16le(out + 2 * b, part == RowPart::Scales ? q.scale : q.minimum);
    return;
  }
  if (format.element == ElementKind::q4) {
    for (int64_t i = 0; i < block / 2; ++i)
      out[16 * b + i] =
          static_cast<uint8_t>(q.codes[i] | (q.codes[i + block / 2] << 4));
    return;
  }
  if (format.element == ElementKind::q6) {
    out += 24 * b;
    for (int64_t i = 0; i < 16; ++i)
      out[i] = static_cast<uint8_t>((q.codes[i] & 15) |
                                    ((q.codes[i + 16] & 15) << 4));
    for (int64_t i = 0; i < 8; ++i) {
      int high = 0;
      for (int64_t j = 0; j < 4; ++j)
        high |= (q.codes[i + 8 * j] >> 4) << (2 * j);
      out[16 + i] = static_cast<uint8_t>(high);
    }
    return;
  }
  for (int64_t i = 0; i < block; ++i)
    out[32 * b + i] =
        static_cast<uint8_t>(q.codes[i] + (format.biased ? 128 : 0));
}

void storeParts(const RowFormat &format, const QuantBlock &q, int64_t b,
                RowStrip &strip, int64_t r) {
  for (RowPart part :
       {RowPart::Codes, RowPart::Scales, RowPart::Mins, RowPart::Subscales})
    if (format.rowBytes(part))
      storeBlock(format, part, q, b, strip.row(part, r));
}

/// Writes K numbers as f32, f16 or bf16, and adds up what that did to them.
void storeElements(const RowFormat &format, const float *x, uint8_t *out,
                   ErrorSums &sums) {
  if (format.element == ElementKind::f32) {
    for (int64_t i = 0; i < format.k; ++i)
      le::write32le(out + 4 * i, llvm::bit_cast<uint32_t>(x[i]));
    return;
  }
  bool isHalf = format.element == ElementKind::f16;
  // Several sums, because one would wait for each addition.
  constexpr int64_t chains = 8;
  double squares[chains] = {}, errors[chains] = {};
  float largest = 0;
  for (int64_t i = 0; i < format.k; ++i) {
    uint16_t bits = isHalf ? floatToHalf(x[i]) : toBf16(x[i]);
    le::write16le(out + 2 * i, bits);
    float back = isHalf ? halfToFloat(bits)
                        : llvm::bit_cast<float>(uint32_t(bits) << 16);
    float error = back - x[i];
    largest = std::max(largest, std::fabs(error));
    squares[i % chains] += double(x[i]) * double(x[i]);
    errors[i % chains] += double(error) * double(error);
  }
  for (int64_t i = 0; i < chains; ++i)
    sums.add({squares[i], errors[i], largest});
}

/// The least magnitude that the format cannot hold any more.
float limitOf(const RowFormat &format) {
  if (format.isQuantized())
    return std::nextafter(largestMagnitude(kindOf(format)), INFINITY);
  // Halfway to what would be the next finite number: rounds to infinity.
  if (format.element == ElementKind::f16)
    return 65520.0f;
  if (format.element == ElementKind::bf16)
    return llvm::bit_cast<float>(0x7f7f8000u);
  return INFINITY;
}

/// An error names the number of a source's row that the format cannot hold;
/// `x` begins in column `first`.
Error checkNumbers(const RowFormat &format, float limit, int64_t sourceRow,
                   int64_t first, ArrayRef<float> x) {
  bool good = true;
  for (float number : x)
    good &= std::fabs(number) < limit; // false for a NaN
  if (good)
    return Error::success();
  const float *bad = llvm::find_if_not(
      x, [&](float number) { return std::fabs(number) < limit; });
  std::string accepted = std::isinf(limit)
                             ? "finite numbers"
                             : "magnitudes below " + numberText(double(limit));
  return createStringError("row " + Twine(sourceRow) + ", column " +
                           Twine(first + (bad - x.begin())) + " is " +
                           numberText(double(*bad)) + "; accepted for " +
                           stringifyElementKind(format.element) + ": " +
                           accepted);
}

/// Writes lane `lane` of a group as block `b` of row `r`.
void storeGroup(const RowFormat &format, const BlockGroup &group, int64_t lane,
                RowStrip &strip, int64_t r, int64_t b) {
  QuantBlock q;
  // A group's codes of q8 are 128 more where there is no minimum.
  bool isSigned =
      format.element == ElementKind::q8 && format.offset != OffsetKind::min;
  for (int64_t i = 0; i < block; ++i)
    q.codes[i] = group.codes[i][lane] - (isSigned ? 128 : 0);
  q.scale = group.scales[lane];
  q.minimum = group.minima[lane];
  storeParts(format, q, b, strip, r);
}

/// ggml's blocks whose numbers are those of the format.
class CopyReader : public RowReader {
public:
  CopyReader(const RowFormat &format, const TensorView &view)
      : format(format), slice(view.slice), data(view.data.data()),
        stride(static_cast<int64_t>(view.rowBytes())) {
    // ggml-common.h: scale, then the minimum of Q4_1, then the codes.
    header = view.dtype == DType::Q4_1 ? 4 : 2;
    codeBytes = view.dtype == DType::Q8_0 ? 32 : 16;
  }

  Error read(int64_t first, int64_t count, RowStrip &strip) override {
    int64_t size = header + codeBytes, blocks = format.blocks();
    for (int64_t r = 0; r < count; ++r) {
      const uint8_t *in =
          data + slice.sourceRow(format.sourceRow(first + r)) * stride;
      uint8_t *scales = strip.row(RowPart::Scales, r);
      for (int64_t b = 0; b < blocks; ++b)
        std::memcpy(scales + 2 * b, in + b * size, 2);
      if (format.offset == OffsetKind::min) {
        uint8_t *mins = strip.row(RowPart::Mins, r);
        for (int64_t b = 0; b < blocks; ++b)
          std::memcpy(mins + 2 * b, in + b * size + 2, 2);
      }
      copyCodes(in + header, strip.row(RowPart::Codes, r));
    }
    return Error::success();
  }
  bool isCopy() const override { return true; }

private:
  void copyCodes(const uint8_t *in, uint8_t *out) const {
    int64_t size = header + codeBytes;
    if (codeBytes == 16) {
      for (int64_t b = 0; b < format.blocks(); ++b)
        std::memcpy(out + 16 * b, in + b * size, 16);
      return;
    }
    uint8_t flip = format.biased ? 0x80 : 0;
    for (int64_t b = 0; b < format.blocks(); ++b)
      for (int64_t i = 0; i < 32; ++i)
        out[32 * b + i] = in[b * size + i] ^ flip;
  }

  RowFormat format;
  TensorSlice slice;
  const uint8_t *data;
  int64_t stride, header, codeBytes;
};

/// Q6_K as q6.
class CopyQ6K : public RowReader {
public:
  CopyQ6K(const RowFormat &format, const TensorView &view)
      : format(format), slice(view.slice), data(view.data.data()),
        stride(static_cast<int64_t>(view.rowBytes())) {}

  Error read(int64_t first, int64_t count, RowStrip &strip) override {
    constexpr int64_t size = 210; // ggml-common.h: block_q6_K
    for (int64_t r = 0; r < count; ++r) {
      const uint8_t *in =
          data + slice.sourceRow(format.sourceRow(first + r)) * stride;
      for (int64_t b = 0; b < format.blocks(); ++b) {
        const uint8_t *super = in + b / superBlock * size;
        int part = static_cast<int>(b % superBlock);
        QuantBlock q;
        codesOfQ6K(super, part, q.codes);
        for (int &code : q.codes)
          code += 32;
        std::memcpy(q.subscales, super + 192 + halves * part, halves);
        q.scale = le::read16le(super + 208);
        if (Error error =
                checkNumbers(format, INFINITY, format.sourceRow(first + r),
                             b * block, halfToFloat(q.scale)))
          return error;
        storeParts(format, q, b, strip, r);
      }
    }
    return Error::success();
  }
  bool isCopy() const override { return true; }

private:
  RowFormat format;
  TensorSlice slice;
  const uint8_t *data;
  int64_t stride;
};

/// Floats of the format's own type.
class CopyFloats : public RowReader {
public:
  CopyFloats(const RowFormat &format, const TensorView &view)
      : format(format), slice(view.slice), data(view.data.data()),
        bytes(static_cast<int64_t>(view.rowBytes())) {}

  Error read(int64_t first, int64_t count, RowStrip &strip) override {
    int64_t padding = format.rowBytes(RowPart::Elements) - bytes;
    for (int64_t r = 0; r < count; ++r) {
      uint8_t *out = strip.row(RowPart::Elements, r);
      std::memset(out + bytes, 0, static_cast<size_t>(padding));
      int64_t row = slice.sourceRow(format.sourceRow(first + r));
      std::memcpy(out, data + row * bytes, static_cast<size_t>(bytes));
    }
    return Error::success();
  }
  bool isCopy() const override { return true; }

private:
  RowFormat format;
  TensorSlice slice;
  const uint8_t *data;
  int64_t bytes;
};

/// Any numbers, by way of f32.
class ConvertReader : public RowReader {
public:
  explicit ConvertReader(const RowFormat &format)
      : format(format), limit(limitOf(format)), width(format.blocks() * block),
        rows(static_cast<size_t>(width * RowStrip::maxRows), 0.0f) {}

  Error read(int64_t first, int64_t count, RowStrip &strip) override {
    for (int64_t r = 0; r < count; ++r) {
      float *row = rows.data() + r * width;
      fill(format.sourceRow(first + r), row);
      if (Error error = checkNumbers(format, limit, format.sourceRow(first + r),
                                     0, ArrayRef(row, format.k)))
        return error;
    }
    if (format.isQuantized()) {
      quantize(count, strip);
      return Error::success();
    }
    for (int64_t r = 0; r < count; ++r) {
      uint8_t *out = strip.row(RowPart::Elements, r);
      std::memset(out, 0,
                  static_cast<size_t>(format.rowBytes(RowPart::Elements)));
      storeElements(format, rows.data() + r * width, out, sums);
    }
    return Error::success();
  }

protected:
  /// Writes the K numbers of a row of the source.
  virtual void fill(int64_t sourceRow, float *out) = 0;

  RowFormat format;

private:
  void quantize(int64_t count, RowStrip &strip) {
    if (format.element == ElementKind::q6)
      return quantizeSuper(count, strip);
    alignas(64) float x[blockNumbers][blockLanes] = {};
    BlockGroup group;
    BlockKind kind = kindOf(format);
    for (int64_t b = 0; b < format.blocks(); ++b) {
      for (int64_t r = 0; r < count; ++r)
        for (int64_t i = 0; i < block; ++i)
          x[i][r] = rows[r * width + b * block + i];
      int64_t valid = std::min(block, format.k - b * block);
      quantizeBlocks(kind, BlockChoice::search, x, static_cast<int>(valid),
                     static_cast<int>(count), group, sums);
      for (int64_t r = 0; r < count; ++r)
        storeGroup(format, group, r, strip, r, b);
    }
  }

  void quantizeSuper(int64_t count, RowStrip &strip) {
    constexpr int64_t numbers = CriaDialect::kSuperBlock;
    std::vector<float> x(static_cast<size_t>(numbers));
    for (int64_t s = 0; s < format.superBlocks(); ++s)
      for (int64_t r = 0; r < count; ++r) {
        int64_t first = s * numbers;
        int64_t valid = std::min(numbers, format.k - first);
        std::fill(x.begin(), x.end(), 0.0f);
        std::copy_n(rows.data() + r * width + first, valid, x.begin());
        SuperBlock made;
        quantizeSuperBlock(x.data(), static_cast<int>(valid), made, sums);
        for (int64_t b = 0; b * block < valid; ++b) {
          QuantBlock q;
          std::copy_n(made.codes + b * block, block, q.codes);
          std::copy_n(made.subscales + b * halves, halves, q.subscales);
          q.scale = made.scale;
          storeParts(format, q, s * superBlock + b, strip, r);
        }
      }
  }

  float limit;
  int64_t width;           // K with its padding, whose columns stay 0
  std::vector<float> rows; // of one strip
};

class ConvertTensor : public ConvertReader {
public:
  ConvertTensor(const RowFormat &format, const TensorView &view)
      : ConvertReader(format), view(view) {}

  void fill(int64_t sourceRow, float *out) override {
    // Shape and type were checked before.
    llvm::cantFail(dequantizeRow(
        view, sourceRow, MutableArrayRef(out, static_cast<size_t>(format.k))));
  }

private:
  const TensorView &view;
};

/// The codes of a format, less its zero point, and whether it has minima.
AffineRange codeRange(const RowFormat &format) {
  bool isMin = format.offset == OffsetKind::min;
  if (format.element == ElementKind::q4)
    return isMin ? AffineRange{0, 15, true} : AffineRange{-8, 7, false};
  return isMin ? AffineRange{0, 255, true} : AffineRange{-128, 127, false};
}

/// ggml's blocks whose codes are taken as they are while scales and minima
/// become f16. A block where that does not go, or not well, is converted as
/// any numbers are.
class AffineReader : public RowReader {
public:
  AffineReader(const RowFormat &format, const TensorView &view)
      : format(format), slice(view.slice), dtype(view.dtype),
        data(view.data.data()), stride(static_cast<int64_t>(view.rowBytes())),
        least(codeRange(format).least), limit(limitOf(format)) {}

  /// Whether all codes of the type are codes of the format.
  static bool serves(const RowFormat &format, DType dtype) {
    const AffineRange *has = affineRange(dtype);
    if (!has || !format.isQuantized() || format.element == ElementKind::q6)
      return false;
    AffineRange wanted = codeRange(format);
    return has->hasMin == wanted.hasMin && has->least >= wanted.least &&
           has->most <= wanted.most;
  }

  Error read(int64_t first, int64_t count, RowStrip &strip) override {
    for (int64_t r = 0; r < count; ++r) {
      int64_t row = slice.sourceRow(format.sourceRow(first + r));
      for (int64_t b = 0; b < format.blocks(); ++b) {
        AffineBlock affine = readAffine(dtype, data + row * stride, b);
        QuantBlock q;
        ErrorSums errors;
        bool taken = take(affine, q, errors);
        if (taken)
          storeParts(format, q, b, strip, r);
        // f16's subnormal numbers are coarse: beyond four times what rounding
        // costs normal ones, other codes may come nearer.
        if (!taken || errors.errors > errors.squares * 0x1p-18)
          if (Error error = search(affine, row, b, taken, errors, strip, r))
            return error;
        sums.add(errors);
      }
    }
    return Error::success();
  }

private:
  bool take(const AffineBlock &affine, QuantBlock &q, ErrorSums &errors) const {
    for (int64_t i = 0; i < block; ++i)
      q.codes[i] =
          affine.codes[i] - (format.element == ElementKind::q4 ? least : 0);
    return roundAffine(affine, q.scale, q.minimum, errors);
  }

  Error search(const AffineBlock &affine, int64_t row, int64_t b, bool taken,
               ErrorSums &errors, RowStrip &strip, int64_t r) const {
    alignas(64) float x[blockNumbers][blockLanes] = {};
    float numbers[block];
    for (int64_t i = 0; i < block; ++i)
      x[i][0] = numbers[i] =
          affine.scale * static_cast<float>(affine.codes[i]) + affine.minimum;
    if (Error error = checkNumbers(format, limit, row, b * block, numbers))
      return error;
    BlockGroup group;
    ErrorSums found;
    quantizeBlocks(kindOf(format), BlockChoice::search, x, blockNumbers, 1,
                   group, found);
    if (taken && found.errors >= errors.errors)
      return Error::success();
    storeGroup(format, group, 0, strip, r, b);
    errors = found;
    return Error::success();
  }

  RowFormat format;
  TensorSlice slice;
  DType dtype;
  const uint8_t *data;
  int64_t stride;
  int least;
  float limit;
};

/// splitmix64, Steele et al. 2014.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

class RandomFloats : public ConvertReader {
public:
  RandomFloats(const RowFormat &format, RandomRows random)
      : ConvertReader(format), random(random) {}

  void fill(int64_t sourceRow, float *out) override {
    uint64_t state = mix(random.key ^ mix(static_cast<uint64_t>(sourceRow)));
    // Uniform in [-1, 1) has the deviation 1 / sqrt(3).
    float width = random.deviation * 1.7320508f;
    for (int64_t i = 0; i < format.k; ++i) {
      uint64_t bits = mix(state + static_cast<uint64_t>(i));
      float uniform =
          static_cast<float>(static_cast<int32_t>(bits >> 40) - (1 << 23)) *
          0x1p-23f;
      out[i] = random.mean + width * uniform;
    }
  }

private:
  RandomRows random;
};

/// Random codes, and scales that give the numbers the wanted deviation: much
/// faster than rounding random floats, and every code occurs.
class RandomBlocks : public RowReader {
public:
  RandomBlocks(const RowFormat &format, RandomRows random)
      : format(format), random(random) {}

  Error read(int64_t first, int64_t count, RowStrip &strip) override {
    for (int64_t r = 0; r < count; ++r) {
      uint64_t state = rowState(format.sourceRow(first + r));
      for (int64_t b = 0; b < format.blocks(); ++b) {
        QuantBlock made = make(state, b);
        storeParts(format, made, b, strip, r);
      }
    }
    return Error::success();
  }
  bool isCopy() const override { return true; }

  /// The numbers of a row of the source, in whole blocks.
  void decode(int64_t sourceRow, float *out) const {
    uint64_t state = rowState(sourceRow);
    bool isQ6 = format.element == ElementKind::q6;
    float zero = isQ6 ? 32.0f : format.element == ElementKind::q4 ? 8.0f : 0.0f;
    if (format.offset == OffsetKind::min)
      zero = 0.0f;
    for (int64_t b = 0; b < format.blocks(); ++b) {
      QuantBlock made = make(state, b);
      float scale = halfToFloat(made.scale), least = halfToFloat(made.minimum);
      for (int64_t i = 0; i < std::min(block, format.k - b * block); ++i) {
        float factor = isQ6 ? static_cast<float>(made.subscales[i / 16]) : 1.0f;
        out[b * block + i] =
            scale * factor * (static_cast<float>(made.codes[i]) - zero) + least;
      }
    }
  }

private:
  uint64_t rowState(int64_t sourceRow) const {
    return mix(random.key ^ mix(static_cast<uint64_t>(sourceRow)));
  }

  QuantBlock make(uint64_t rowState, int64_t b) const {
    bool isMin = format.offset == OffsetKind::min;
    bool isQ4 = format.element == ElementKind::q4;
    bool isQ6 = format.element == ElementKind::q6;
    uint64_t state = mix(rowState + static_cast<uint64_t>(b));
    // Codes symmetric about zero, or all of them where a minimum shifts them.
    int levels = isMin ? (isQ4 ? 16 : 256) : (isQ4 ? 15 : isQ6 ? 63 : 255);
    int first = isMin ? 0 : isQ4 || isQ6 ? 1 : -127; // 8 and 32 are zeros
    // Deviation of a uniform choice of that many whole numbers.
    float deviation =
        std::sqrt((static_cast<float>(levels * levels) - 1.0f) / 12.0f);
    // Blocks differ by up to a quarter, so that a scale read from the wrong
    // place shows.
    float vary = 0.75f + static_cast<float>(state >> 48) * 0x1p-17f;
    QuantBlock result;
    if (isQ6) {
      // The blocks of an f16 differ in their i8.
      uint64_t shared =
          mix(rowState + (uint64_t(b / superBlock + 1) << 32)) >> 48;
      vary = (0.75f + static_cast<float>(shared) * 0x1p-17f) / 112.0f;
      for (int64_t half = 0; half < halves; ++half)
        result.subscales[half] =
            static_cast<int8_t>(97 + (state >> (8 * half)) % 31);
    }
    float scale = random.deviation / deviation * vary;
    result.scale = floatToHalf(scale);
    if (isMin)
      result.minimum = floatToHalf(halfToFloat(result.scale) *
                                   static_cast<float>(levels - 1) * -0.5f);
    // 16 random bits a code: 2^16 is no multiple of the levels, but nearly.
    for (int64_t i = 0; i < block; i += 4) {
      uint64_t bits = mix(state ^ static_cast<uint64_t>(i + 1));
      for (int64_t j = 0; j < 4; ++j, bits >>= 16)
        result.codes[i + j] =
            first + static_cast<int>(
                        (bits & 0xffff) * static_cast<uint64_t>(levels) >> 16);
    }
    return result;
  }

  RowFormat format;
  RandomRows random;
};

/// Random blocks of one type made into another.
class ConvertBlocks : public ConvertReader {
public:
  ConvertBlocks(const RowFormat &format, const RowFormat &made,
                RandomRows random)
      : ConvertReader(format), blocks(made, random) {}

  void fill(int64_t sourceRow, float *out) override {
    blocks.decode(sourceRow, out);
  }

private:
  RandomBlocks blocks;
};

} // namespace

StoredType storedType(DType dtype) {
  switch (dtype) {
  case DType::F32:
  case DType::Unsupported:
    break;
  case DType::F16:
    return {ElementKind::f16, OffsetKind::none};
  case DType::BF16:
    return {ElementKind::bf16, OffsetKind::none};
  case DType::Q4_0:
    return {ElementKind::q4, OffsetKind::zero_point};
  case DType::Q4_1:
  case DType::Q4_K:
    return {ElementKind::q4, OffsetKind::min};
  case DType::Q5_0:
  case DType::Q8_0:
  case DType::Q3_K:
  case DType::IQ4_NL:
    return {ElementKind::q8, OffsetKind::none};
  case DType::Q6_K:
    return {ElementKind::q6, OffsetKind::zero_point};
  case DType::Q5_1:
  case DType::Q2_K:
  case DType::Q5_K:
    return {ElementKind::q8, OffsetKind::min};
  }
  return {};
}

int64_t RowFormat::rowBytes(RowPart part) const {
  if (isQuantized() == (part == RowPart::Elements))
    return 0;
  switch (part) {
  case RowPart::Elements:
    return (element == ElementKind::f32 ? 4 : 2) * (k + (evenK ? k % 2 : 0));
  case RowPart::Codes:
    return blocks() * (element == ElementKind::q4   ? 16
                       : element == ElementKind::q6 ? 24
                                                    : 32);
  case RowPart::Subscales:
    return element == ElementKind::q6 ? halves * blocks() : 0;
  case RowPart::Mins:
    if (offset != OffsetKind::min)
      return 0;
    break;
  case RowPart::Scales:
    break;
  }
  if (element == ElementKind::q6)
    return 2 * superBlocks();
  return 2 * blocks();
}

int64_t RowFormat::sourceRow(int64_t row) const {
  if (permuteHeads == 0)
    return row;
  int64_t inHead = row % permuteHeads;
  if (inHead >= permuteDims)
    return row;
  return row - inHead + inHead / 2 + inHead % 2 * (permuteDims / 2);
}

RowStrip::RowStrip(const RowFormat &format) : format(format) {
  for (int i = 0; i < rowParts; ++i) {
    int64_t bytes = format.rowBytes(static_cast<RowPart>(i));
    // 64 bytes off a power of two, or 16 rows would share a set of the L1.
    strides[i] =
        bytes ? static_cast<int64_t>(llvm::alignTo(bytes, 64)) + 64 : 0;
    parts[i].resize(static_cast<size_t>(strides[i] * maxRows));
  }
}

void RowStrip::pad(int64_t first) {
  // Scales and minima are 0 too, so that any code would do; these are the
  // ones of a number that is 0.
  uint8_t zero = 0;
  if (format.offset == OffsetKind::zero_point)
    zero = format.element == ElementKind::q4 ? 0x88 : format.biased ? 0x80 : 0;
  for (int i = 0; i < rowParts; ++i) {
    auto part = static_cast<RowPart>(i);
    if (first < maxRows)
      std::memset(row(part, first), part == RowPart::Codes ? zero : 0,
                  static_cast<size_t>((maxRows - first) * strides[i]));
    // The code 32 of q6: 0 in its low bits, 2 in the high ones.
    if (part == RowPart::Codes && format.element == ElementKind::q6)
      for (int64_t r = first; r < maxRows; ++r)
        for (int64_t b = 0; b < format.blocks(); ++b) {
          std::memset(row(part, r) + 24 * b, 0, 16);
          std::memset(row(part, r) + 24 * b + 16, 0xaa, 8);
        }
  }
}

std::unique_ptr<RowReader> makeTensorReader(const RowFormat &format,
                                            const TensorView &view) {
  if (!view.hasWholeRows())
    return std::make_unique<ConvertTensor>(format, view);
  bool isMin = format.offset == OffsetKind::min;
  bool blocks =
      (view.dtype == DType::Q8_0 && format.element == ElementKind::q8 &&
       !isMin) ||
      (view.dtype == DType::Q4_0 && format.element == ElementKind::q4 &&
       !isMin) ||
      (view.dtype == DType::Q4_1 && format.element == ElementKind::q4 && isMin);
  if (blocks)
    return std::make_unique<CopyReader>(format, view);
  if (view.dtype == DType::Q6_K && format.element == ElementKind::q6)
    return std::make_unique<CopyQ6K>(format, view);
  if ((view.dtype == DType::F32 && format.element == ElementKind::f32) ||
      (view.dtype == DType::F16 && format.element == ElementKind::f16) ||
      (view.dtype == DType::BF16 && format.element == ElementKind::bf16))
    return std::make_unique<CopyFloats>(format, view);
  if (AffineReader::serves(format, view.dtype))
    return std::make_unique<AffineReader>(format, view);
  return std::make_unique<ConvertTensor>(format, view);
}

std::unique_ptr<RowReader> makeRandomReader(const RowFormat &format,
                                            RandomRows random) {
  RowFormat made = format;
  made.element = random.element;
  made.offset = random.offset;
  if (!made.isQuantized())
    return std::make_unique<RandomFloats>(format, random);
  // The codes of q8 are the same without an offset and with zero_point.
  bool same =
      made.element == format.element &&
      (made.offset == OffsetKind::min) == (format.offset == OffsetKind::min);
  if (same)
    return std::make_unique<RandomBlocks>(format, random);
  return std::make_unique<ConvertBlocks>(format, made, random);
}

uint64_t randomKey(uint64_t seed, StringRef name, uint64_t layer) {
  uint64_t key = mix(seed);
  for (char c : name)
    key = mix(key ^ static_cast<uint8_t>(c));
  return mix(key ^ layer);
}

} // namespace cria
