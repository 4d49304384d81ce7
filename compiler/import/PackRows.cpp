// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/PackRows.h"

#include "llvm/ADT/bit.h"
#include "llvm/Support/Endian.h"
#include <algorithm>
#include <cmath>
#include <cstring>

using namespace llvm;
namespace le = llvm::support::endian;

namespace cria {
namespace {

constexpr int64_t block = CriaDialect::kQuantBlock;

/// Round to nearest even, as IEEE 754 converts.
uint16_t toHalf(float value) {
  uint32_t bits = llvm::bit_cast<uint32_t>(value);
  uint32_t sign = (bits >> 16) & 0x8000;
  bits &= 0x7fffffff;
  if (bits >= 0x7f800000) // infinity, NaN (kept quiet)
    return sign | 0x7c00 | (bits > 0x7f800000 ? 0x200 : 0);
  if (bits >= 0x477ff000) // 65520 and more
    return sign | 0x7c00;
  if (bits < 0x38800000) {
    // Subnormal: adding 0.5 leaves the value in units of 2^-24 in the low
    // bits of the sum, rounded by the addition.
    float sum = llvm::bit_cast<float>(bits) + 0.5f;
    return sign |
           static_cast<uint16_t>(llvm::bit_cast<uint32_t>(sum) - 0x3f000000);
  }
  bits += 0xfff + ((bits >> 13) & 1);
  return sign | static_cast<uint16_t>((bits - 0x38000000) >> 13);
}

float fromHalf(uint16_t half) {
  uint32_t exponent = (half >> 10) & 31, mantissa = half & 1023;
  float magnitude =
      exponent == 0
          ? std::ldexp(static_cast<float>(mantissa), -24)
          : llvm::bit_cast<float>(((exponent + 112) << 23) | (mantissa << 13));
  return half & 0x8000 ? -magnitude : magnitude;
}

uint16_t toBf16(float value) {
  uint32_t bits = llvm::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/// One block of codes with its scale and, for some offsets, its minimum.
struct QuantBlock {
  int codes[block];
  uint16_t scale, minimum = 0;
};

/// The nearest block: what ggml's reference quantisers compute for Q8_0, Q4_0
/// and Q4_1, but with the scale rounded to f16 before it is divided by.
QuantBlock quantise(const RowFormat &format, const float *x) {
  QuantBlock result;
  auto fill = [&](float scale, float minimum, int low, int high, int zero) {
    result.scale = toHalf(scale);
    result.minimum = toHalf(minimum);
    scale = fromHalf(result.scale);
    minimum = fromHalf(result.minimum);
    float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
    for (int64_t i = 0; i < block; ++i) {
      // Clamped as a float: a NaN or an infinity of the source has no code.
      float code = std::nearbyint((x[i] - minimum) * inverse);
      code = std::min(std::max(code, static_cast<float>(low - zero)),
                      static_cast<float>(high - zero));
      result.codes[i] = (code == code ? static_cast<int>(code) : 0) + zero;
    }
  };
  auto [least, most] = std::minmax_element(x, x + block);
  float largest = std::max(-*least, *most);
  if (format.offset == OffsetKind::min) {
    int levels = format.element == ElementKind::q4 ? 15 : 255;
    fill((*most - *least) / static_cast<float>(levels), *least, 0, levels, 0);
  } else if (format.element == ElementKind::q4) {
    // The number of the largest magnitude gets the code -8.
    float extreme = *most > -*least ? *most : *least;
    fill(extreme / -8.0f, 0.0f, 0, 15, 8);
  } else {
    fill(largest / 127.0f, 0.0f, -127, 127, 0);
  }
  return result;
}

/// Writes one part of one block; `b` is the block's place in the row.
void storeBlock(const RowFormat &format, RowPart part, const QuantBlock &q,
                int64_t b, uint8_t *out) {
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
  for (int64_t i = 0; i < block; ++i)
    out[32 * b + i] =
        static_cast<uint8_t>(q.codes[i] + (format.biased ? 128 : 0));
}

void storeElements(const RowFormat &format, const float *x, uint8_t *out) {
  switch (format.element) {
  case ElementKind::f16:
    for (int64_t i = 0; i < format.k; ++i)
      le::write16le(out + 2 * i, toHalf(x[i]));
    break;
  case ElementKind::bf16:
    for (int64_t i = 0; i < format.k; ++i)
      le::write16le(out + 2 * i, toBf16(x[i]));
    break;
  default:
    for (int64_t i = 0; i < format.k; ++i)
      le::write32le(out + 4 * i, llvm::bit_cast<uint32_t>(x[i]));
    break;
  }
}

/// ggml's blocks whose numbers are those of the format.
class CopyReader : public RowReader {
public:
  CopyReader(const RowFormat &format, const TensorView &view)
      : format(format), data(view.data.data()),
        stride(static_cast<int64_t>(view.rowBytes())) {
    // ggml-common.h: scale, then the minimum of Q4_1, then the codes.
    header = view.dtype == DType::Q4_1 ? 4 : 2;
    codeBytes = view.dtype == DType::Q8_0 ? 32 : 16;
  }

  void read(RowPart part, int64_t row, uint8_t *out) override {
    const uint8_t *in = data + format.sourceRow(row) * stride;
    int64_t size = header + codeBytes;
    if (part != RowPart::Codes) {
      in += part == RowPart::Mins ? 2 : 0;
      for (int64_t b = 0; b < format.blocks(); ++b)
        std::memcpy(out + 2 * b, in + b * size, 2);
      return;
    }
    in += header;
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

private:
  RowFormat format;
  const uint8_t *data;
  int64_t stride, header, codeBytes;
};

/// Floats of the format's own type.
class CopyFloats : public RowReader {
public:
  CopyFloats(const RowFormat &format, const TensorView &view)
      : format(format), data(view.data.data()),
        bytes(static_cast<int64_t>(view.rowBytes())) {}

  void read(RowPart part, int64_t row, uint8_t *out) override {
    std::memset(out + bytes, 0,
                static_cast<size_t>(format.rowBytes(part) - bytes));
    std::memcpy(out, data + format.sourceRow(row) * bytes,
                static_cast<size_t>(bytes));
  }

private:
  RowFormat format;
  const uint8_t *data;
  int64_t bytes;
};

/// Any numbers, by way of f32.
class ConvertReader : public RowReader {
public:
  explicit ConvertReader(const RowFormat &format)
      : format(format),
        row(static_cast<size_t>(format.blocks() * block), 0.0f) {}

  void read(RowPart part, int64_t index, uint8_t *out) override {
    // Columns past K stay 0.
    fill(format.sourceRow(index));
    if (part == RowPart::Elements) {
      std::memset(out, 0, static_cast<size_t>(format.rowBytes(part)));
      return storeElements(format, row.data(), out);
    }
    for (int64_t b = 0; b < format.blocks(); ++b)
      storeBlock(format, part, quantise(format, row.data() + b * block), b,
                 out);
  }

protected:
  /// Writes the K numbers of a row of the source to `row`.
  virtual void fill(int64_t sourceRow) = 0;

  RowFormat format;
  std::vector<float> row;
};

class ConvertTensor : public ConvertReader {
public:
  ConvertTensor(const RowFormat &format, const TensorView &view)
      : ConvertReader(format), view(view) {}

  void fill(int64_t sourceRow) override {
    // Shape and type were checked before.
    llvm::cantFail(dequantizeRow(
        view, sourceRow,
        MutableArrayRef(row).take_front(static_cast<size_t>(format.k))));
  }

private:
  const TensorView &view;
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

  void fill(int64_t sourceRow) override {
    uint64_t state = mix(random.key ^ mix(static_cast<uint64_t>(sourceRow)));
    // Uniform in [-1, 1) has the deviation 1 / sqrt(3).
    float width = random.deviation * 1.7320508f;
    for (int64_t i = 0; i < format.k; ++i) {
      uint64_t bits = mix(state + static_cast<uint64_t>(i));
      float uniform =
          static_cast<float>(static_cast<int32_t>(bits >> 40) - (1 << 23)) *
          0x1p-23f;
      row[i] = random.mean + width * uniform;
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

  void read(RowPart part, int64_t index, uint8_t *out) override {
    uint64_t state =
        mix(random.key ^ mix(static_cast<uint64_t>(format.sourceRow(index))));
    for (int64_t b = 0; b < format.blocks(); ++b) {
      QuantBlock made =
          make(mix(state + static_cast<uint64_t>(b)), part == RowPart::Codes);
      storeBlock(format, part, made, b, out);
    }
  }

private:
  QuantBlock make(uint64_t state, bool withCodes) const {
    bool isMin = format.offset == OffsetKind::min;
    bool isQ4 = format.element == ElementKind::q4;
    // Codes symmetric about zero, or all of them where a minimum shifts them.
    int levels = isMin ? (isQ4 ? 16 : 256) : (isQ4 ? 15 : 255);
    int first = isMin ? 0 : isQ4 ? 1 : -127; // 8 is the zero of q4
    // Deviation of a uniform choice of that many whole numbers.
    float deviation =
        std::sqrt((static_cast<float>(levels * levels) - 1.0f) / 12.0f);
    // Blocks differ by up to a quarter, so that a scale read from the wrong
    // place shows.
    float vary = 0.75f + static_cast<float>(state >> 48) * 0x1p-17f;
    float scale = random.deviation / deviation * vary;
    QuantBlock result;
    result.scale = toHalf(scale);
    if (isMin)
      result.minimum = toHalf(fromHalf(result.scale) *
                              static_cast<float>(levels - 1) * -0.5f);
    if (!withCodes)
      return result;
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

} // namespace

int64_t RowFormat::rowBytes(RowPart part) const {
  switch (part) {
  case RowPart::Elements:
    return (element == ElementKind::f32 ? 4 : 2) * (k + (evenK ? k % 2 : 0));
  case RowPart::Codes:
    return blocks() * (element == ElementKind::q4 ? 16 : 32);
  case RowPart::Scales:
  case RowPart::Mins:
    break;
  }
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

void RowReader::padding(const RowFormat &format, RowPart part, uint8_t *out) {
  uint8_t zero = 0;
  // Scales and minima are 0 too, so that any code would do; these are the
  // ones of a number that is 0.
  if (part == RowPart::Codes && format.offset == OffsetKind::zero_point)
    zero = format.element == ElementKind::q4 ? 0x88 : format.biased ? 0x80 : 0;
  std::memset(out, zero, static_cast<size_t>(format.rowBytes(part)));
}

std::unique_ptr<RowReader> makeTensorReader(const RowFormat &format,
                                            const TensorView &view) {
  bool isMin = format.offset == OffsetKind::min;
  bool blocks =
      (view.dtype == DType::Q8_0 && format.element == ElementKind::q8 &&
       !isMin) ||
      (view.dtype == DType::Q4_0 && format.element == ElementKind::q4 &&
       !isMin) ||
      (view.dtype == DType::Q4_1 && format.element == ElementKind::q4 && isMin);
  if (blocks)
    return std::make_unique<CopyReader>(format, view);
  if ((view.dtype == DType::F32 && format.element == ElementKind::f32) ||
      (view.dtype == DType::F16 && format.element == ElementKind::f16) ||
      (view.dtype == DType::BF16 && format.element == ElementKind::bf16))
    return std::make_unique<CopyFloats>(format, view);
  return std::make_unique<ConvertTensor>(format, view);
}

std::unique_ptr<RowReader> makeRandomReader(const RowFormat &format,
                                            RandomRows random) {
  if (format.isQuantized())
    return std::make_unique<RandomBlocks>(format, random);
  return std::make_unique<RandomFloats>(format, random);
}

uint64_t randomKey(uint64_t seed, StringRef name, uint64_t layer) {
  uint64_t key = mix(seed);
  for (char c : name)
    key = mix(key ^ static_cast<uint8_t>(c));
  return mix(key ^ layer);
}

} // namespace cria
