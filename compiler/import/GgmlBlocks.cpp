// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/GgmlBlocks.h"

#include "llvm/Support/Endian.h"
#include "llvm/Support/ErrorHandling.h"
#include <algorithm>
#include <cmath>

using namespace llvm;

namespace cria {
namespace {

float loadHalf(const uint8_t *p) {
  return halfToFloat(support::endian::read16le(p));
}

// The levels of IQ4_NL, by code.
constexpr int8_t iq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};

/// Code i of a block of 32 nibbles: the low ones are the first half.
int nibble(const uint8_t *codes, int i) {
  return i < 16 ? codes[i] & 15 : codes[i - 16] >> 4;
}

/// Scale and minimum number i of 8, of 6 bits each in 12 bytes: four of each
/// whole, then the low four bits of the others, whose high two are on top of
/// the first.
void scaleAndMin(const uint8_t *packed, int i, int &scale, int &minimum) {
  if (i < 4) {
    scale = packed[i] & 63;
    minimum = packed[i + 4] & 63;
    return;
  }
  scale = (packed[i + 4] & 15) | ((packed[i - 4] >> 6) << 4);
  minimum = (packed[i + 4] >> 4) | ((packed[i] >> 6) << 4);
}

/// Number i of Q3_K's 16 scales, of 6 bits in 12 bytes: low four bits in 8
/// bytes, high two in 4.
int scaleOfQ3K(const uint8_t *packed, int i) {
  int low = i < 8 ? packed[i] & 15 : packed[i - 8] >> 4;
  return (low | (((packed[8 + i % 4] >> (2 * (i / 4))) & 3) << 4)) - 32;
}

/// The codes of the 32 numbers `part` of a block of Q3_K. The high bit is
/// stored the other way round.
void codesOfQ3K(const uint8_t *in, int part, int *codes) {
  const uint8_t *high = in, *low = in + 32 + part / 4 * 32;
  for (int i = 0; i < 32; ++i)
    codes[i] = ((low[i] >> (2 * (part % 4))) & 3) -
               (((high[i] >> part) & 1) == 0 ? 4 : 0);
}

void dequantizeQ2K(const uint8_t *in, float *out) {
  float d = loadHalf(in + 80), dmin = loadHalf(in + 82);
  for (int i = 0; i < 256; ++i) {
    uint8_t packed = in[i / 16];
    float scale = d * static_cast<float>(packed & 15);
    float minimum = dmin * static_cast<float>(packed >> 4);
    int code = (in[16 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
    out[i] = scale * static_cast<float>(code) - minimum;
  }
}

void dequantizeQ3K(const uint8_t *in, float *out) {
  float d = loadHalf(in + 108);
  int codes[32];
  for (int i = 0; i < 256; ++i) {
    if (i % 32 == 0)
      codesOfQ3K(in, i / 32, codes);
    out[i] = d * static_cast<float>(scaleOfQ3K(in + 96, i / 16)) *
             static_cast<float>(codes[i % 32]);
  }
}

void dequantizeQ6K(const uint8_t *in, float *out) {
  float d = loadHalf(in + 208);
  int codes[32];
  for (int i = 0; i < 256; ++i) {
    if (i % 32 == 0)
      codesOfQ6K(in, i / 32, codes);
    out[i] = d * static_cast<float>(static_cast<int8_t>(in[192 + i / 16])) *
             static_cast<float>(codes[i % 32]);
  }
}

void dequantizeAffine(DType dtype, const uint8_t *in, int64_t elements,
                      float *out) {
  bool hasMin = affineRange(dtype)->hasMin;
  for (int64_t block = 0; block < elements / 32; ++block) {
    AffineBlock affine = readAffine(dtype, in, block);
    for (int i = 0; i < 32; ++i) {
      float product = affine.scale * static_cast<float>(affine.codes[i]);
      // Not + 0, which makes -0 into 0.
      out[32 * block + i] = hasMin ? product + affine.minimum : product;
    }
  }
}

} // namespace

void codesOfQ6K(const uint8_t *in, int part, int *codes) {
  const uint8_t *low = in + part / 4 * 64 + part % 2 * 32;
  const uint8_t *high = in + 128 + part / 4 * 32;
  int lowShift = part % 4 / 2 * 4, highShift = part % 4 * 2;
  for (int i = 0; i < 32; ++i)
    codes[i] =
        (((low[i] >> lowShift) & 15) | (((high[i] >> highShift) & 3) << 4)) -
        32;
}

bool isGgmlQuantized(DType dtype) {
  switch (dtype) {
  case DType::F32:
  case DType::F16:
  case DType::BF16:
  case DType::Unsupported:
    return false;
  default:
    return true;
  }
}

void dequantizeGgml(DType dtype, const uint8_t *in, int64_t elements,
                    float *out) {
  switch (dtype) {
  case DType::Q2_K:
    for (int64_t i = 0; i < elements; i += 256, in += 84)
      dequantizeQ2K(in, out + i);
    return;
  case DType::Q3_K:
    // Not by way of its affine form: a scale of 0 keeps the sign of -0.
    for (int64_t i = 0; i < elements; i += 256, in += 110)
      dequantizeQ3K(in, out + i);
    return;
  case DType::Q6_K:
    for (int64_t i = 0; i < elements; i += 256, in += 210)
      dequantizeQ6K(in, out + i);
    return;
  default:
    dequantizeAffine(dtype, in, elements, out);
  }
}

const AffineRange *affineRange(DType dtype) {
  static constexpr AffineRange q4Zero{-8, 7, false}, q4Min{0, 15, true},
      q5Zero{-16, 15, false}, q5Min{0, 31, true}, q8{-128, 127, false},
      q3K{-128, 124, false};
  switch (dtype) {
  case DType::Q4_0:
    return &q4Zero;
  case DType::Q4_1:
  case DType::Q4_K:
    return &q4Min;
  case DType::Q5_0:
    return &q5Zero;
  case DType::Q5_1:
  case DType::Q5_K:
    return &q5Min;
  case DType::Q8_0:
  case DType::IQ4_NL:
    return &q8;
  case DType::Q3_K:
    return &q3K;
  default:
    return nullptr;
  }
}

AffineBlock readAffine(DType dtype, const uint8_t *row, int64_t block) {
  AffineBlock out;
  out.minimum = 0;
  // A block of 32 inside one of 256.
  int part = static_cast<int>(block % 8);
  switch (dtype) {
  case DType::Q8_0:
    row += 34 * block;
    for (int i = 0; i < 32; ++i)
      out.codes[i] = static_cast<int8_t>(row[2 + i]);
    break;
  case DType::Q4_0:
  case DType::IQ4_NL:
    row += 18 * block;
    for (int i = 0; i < 32; ++i) {
      int code = nibble(row + 2, i);
      out.codes[i] = static_cast<int16_t>(
          dtype == DType::IQ4_NL ? iq4Levels[code] : code - 8);
    }
    break;
  case DType::Q4_1:
    row += 20 * block;
    out.minimum = loadHalf(row + 2);
    for (int i = 0; i < 32; ++i)
      out.codes[i] = static_cast<int16_t>(nibble(row + 4, i));
    break;
  case DType::Q5_0:
  case DType::Q5_1: {
    bool hasMin = dtype == DType::Q5_1;
    row += (hasMin ? 24 : 22) * block;
    const uint8_t *codes = row + (hasMin ? 4 : 2);
    if (hasMin)
      out.minimum = loadHalf(row + 2);
    uint32_t high = support::endian::read32le(codes);
    for (int i = 0; i < 32; ++i)
      out.codes[i] = static_cast<int16_t>(
          (nibble(codes + 4, i) | ((high >> i) & 1) << 4) - (hasMin ? 0 : 16));
    break;
  }
  case DType::Q4_K:
  case DType::Q5_K: {
    bool isQ5 = dtype == DType::Q5_K;
    row += (isQ5 ? 176 : 144) * (block / 8);
    int scale, minimum;
    scaleAndMin(row + 4, part, scale, minimum);
    out.scale = loadHalf(row) * static_cast<float>(scale);
    out.minimum = -(loadHalf(row + 2) * static_cast<float>(minimum));
    const uint8_t *codes = row + (isQ5 ? 48 : 16) + part / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      int high = isQ5 ? ((row[16 + i] >> part) & 1) << 4 : 0;
      out.codes[i] =
          static_cast<int16_t>(((codes[i] >> (part % 2 * 4)) & 15) | high);
    }
    return out;
  }
  case DType::Q3_K: {
    row += 110 * (block / 8);
    int codes[32];
    codesOfQ3K(row, part, codes);
    for (int i = 0; i < 32; ++i)
      out.codes[i] = static_cast<int16_t>(
          -codes[i] * scaleOfQ3K(row + 96, 2 * part + i / 16));
    out.scale = -loadHalf(row + 108);
    return out;
  }
  default:
    llvm_unreachable("no affine type");
  }
  out.scale = loadHalf(row);
  return out;
}

bool roundAffine(const AffineBlock &block, uint16_t &scale, uint16_t &minimum,
                 ErrorSums &errors) {
  scale = floatToHalf(block.scale);
  minimum = floatToHalf(block.minimum);
  float roundedScale = halfToFloat(scale), roundedMin = halfToFloat(minimum);
  if (!std::isfinite(roundedScale) || !std::isfinite(roundedMin))
    return false;
  errors = {};
  for (int16_t code : block.codes) {
    auto c = static_cast<float>(code);
    float exact = block.scale * c + block.minimum;
    float error = roundedScale * c + roundedMin - exact;
    errors.squares += double(exact) * double(exact);
    errors.errors += double(error) * double(error);
    errors.largest = std::max(errors.largest, std::fabs(error));
  }
  return true;
}

} // namespace cria
