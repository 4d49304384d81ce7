// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ggml's block types: what a block's bytes mean, and what packing makes of it.
#include "compiler/import/GgmlBlocks.h"
#include "compiler/import/PackWeights.h"
#include "import_fixture.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/bit.h"

#include <cmath>

using namespace llvm;
using namespace cria::test;
using cria::DType;

namespace {

struct Golden {
  DType dtype;
  size_t bytes;
  std::vector<size_t> halves; // offsets of the f16 factors
  uint32_t digest;            // of all numbers
  float picked[4];            // number 0, 17, 3 after the middle, the last

  /// For GoogleTest, which would print bytes.
  friend void PrintTo(const Golden &golden, std::ostream *out) {
    *out << cria::dtypeName(golden.dtype).str();
  }
};

/// Written by Inputs/ggml_golden.py.
const Golden goldens[] = {
    {DType::Q4_0,
     18,
     {0},
     0x485a3407,
     {-0x1.998p-2f, 0x1.332p-1f, 0x1.332p-1f, 0x1.998p-4f}},
    {DType::Q4_1,
     20,
     {0, 2},
     0x28b7879e,
     {-0x1.554p+0f, -0x1.11p-5f, -0x1.11p-5f, -0x1.11p-3f}},
    {DType::Q5_0,
     22,
     {0},
     0xb8bdb947,
     {0x1.998p-2f, -0x1.998p-3f, 0x1.7fe8p+0f, 0x1.998p+0f}},
    {DType::Q5_1,
     24,
     {0, 2},
     0x563e57b7,
     {-0x1.776p+1f, 0x1.11p-4f, -0x1.776p+1f, -0x1.ddcp-1f}},
    {DType::Q8_0,
     34,
     {0},
     0x20efbda6,
     {0x1.5feap+3f, -0x1.b318p+2f, -0x1.998p-3f, 0x1.3fecp+2f}},
    {DType::Q2_K,
     84,
     {80, 82},
     0x4c0299fc,
     {-0x1.ffep+0f, -0x1.ffep-2f, -0x1.998p-2f, -0x1.3764p+1f}},
    {DType::Q3_K,
     110,
     {108},
     0x7c5ec944,
     {-0x1.0323p+3f, 0x1.7fe8p+0f, -0x1.7fe8p+1f, -0x1.998p+0f}},
    {DType::Q4_K,
     144,
     {0, 2},
     0x2af8987e,
     {-0x1.d75ap+4f, -0x1.5dc8p+2f, -0x1.1544p+1f, -0x1.842cp+1f}},
    {DType::Q5_K,
     176,
     {0, 2},
     0xecd51d9c,
     {-0x1.2543p+6f, -0x1.82928p+5f, -0x1.887p+1f, -0x1.8a92p+3f}},
    {DType::Q6_K,
     210,
     {208},
     0x31560041,
     {-0x1.b4b18p+6f, -0x1.0cbcp+5f, -0x1.17ee8p+6f, -0x1.32b9ap+8f}},
    {DType::IQ4_NL,
     18,
     {0},
     0x463d89d3,
     {-0x1.1cbbp+3f, 0x1.3986p+2f, 0x1.9fe6p+2f, -0x1.998p-4f}},
};

uint32_t ggmlNumber(DType dtype) {
  switch (dtype) {
  case DType::Q4_0:
    return 2;
  case DType::Q4_1:
    return 3;
  case DType::Q5_0:
    return 6;
  case DType::Q5_1:
    return 7;
  case DType::Q8_0:
    return 8;
  case DType::Q2_K:
    return 10;
  case DType::Q3_K:
    return 11;
  case DType::Q4_K:
    return 12;
  case DType::Q5_K:
    return 13;
  case DType::Q6_K:
    return 14;
  default:
    return 20; // IQ4_NL
  }
}

std::vector<uint8_t> blockBytes(const Golden &golden) {
  std::vector<uint8_t> block;
  for (uint32_t i = 0; i < golden.bytes; ++i)
    block.push_back(
        static_cast<uint8_t>(i * i * 31 + i * 7 + ggmlNumber(golden.dtype)));
  const uint16_t bits[] = {0xae66, 0x3155};
  for (size_t i = 0; i < golden.halves.size(); ++i) {
    block[golden.halves[i]] = bits[i] & 255;
    block[golden.halves[i] + 1] = bits[i] >> 8;
  }
  return block;
}

int64_t blockSize(DType dtype) {
  cria::TensorView view;
  view.dtype = dtype;
  view.shape = {32};
  return view.rowBytes() ? 32 : 256;
}

class GgmlBlock : public testing::TestWithParam<Golden> {};

TEST_P(GgmlBlock, IsTheGgufPackages) {
  const Golden &golden = GetParam();
  std::vector<uint8_t> data(golden.bytes, 0xa5), block = blockBytes(golden);
  data.insert(data.end(), block.begin(), block.end());
  cria::TensorView view;
  view.dtype = golden.dtype;
  view.data = data;
  int64_t size = blockSize(golden.dtype);
  view.shape = {2, size};
  ASSERT_EQ(view.rowBytes(), golden.bytes);
  std::vector<float> out(static_cast<size_t>(size));
  cantFail(cria::dequantizeRow(view, 1, out));
  EXPECT_EQ(out[0], golden.picked[0]);
  EXPECT_EQ(out[17], golden.picked[1]);
  EXPECT_EQ(out[out.size() / 2 + 3], golden.picked[2]);
  EXPECT_EQ(out.back(), golden.picked[3]);
  uint32_t digest = 2166136261u;
  for (float value : out) {
    digest = digest << 7 | digest >> 25;
    digest = (digest ^ bit_cast<uint32_t>(value)) * 16777619u;
  }
  EXPECT_EQ(digest, golden.digest);
}

/// Scale, codes and minimum give the numbers of the block.
TEST_P(GgmlBlock, AffineFormIsTheSame) {
  const Golden &golden = GetParam();
  const cria::AffineRange *range = cria::affineRange(golden.dtype);
  if (!range) {
    EXPECT_TRUE(golden.dtype == DType::Q2_K || golden.dtype == DType::Q6_K);
    return;
  }
  std::vector<uint8_t> block = blockBytes(golden);
  int64_t size = blockSize(golden.dtype);
  std::vector<float> out(static_cast<size_t>(size));
  cria::dequantizeGgml(golden.dtype, block.data(), size, out.data());
  for (int64_t b = 0; b < size / 32; ++b) {
    cria::AffineBlock affine = cria::readAffine(golden.dtype, block.data(), b);
    for (int64_t i = 0; i < 32; ++i) {
      EXPECT_GE(affine.codes[i], range->least);
      EXPECT_LE(affine.codes[i], range->most);
      EXPECT_EQ(affine.scale * static_cast<float>(affine.codes[i]) +
                    affine.minimum,
                out[static_cast<size_t>(32 * b + i)]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, GgmlBlock, testing::ValuesIn(goldens),
                         [](const testing::TestParamInfo<Golden> &info) {
                           return cria::dtypeName(info.param.dtype).str();
                         });

class PackGgml : public ImportTest {
protected:
  /// Packs 16 rows of one block; "" for a success.
  std::string pack(DType dtype, const std::vector<uint8_t> &block,
                   const std::string &type) {
    std::string data;
    for (int row = 0; row < 16; ++row)
      data.append(block.begin(), block.end());
    auto size = static_cast<uint64_t>(blockSize(dtype));
    write("w.gguf", GgufBuilder(3)
                        .tensor("w", {size, 16}, ggmlNumber(dtype), data)
                        .finish());
    auto source = cantFail(cria::TensorSource::open(path("w.gguf")));
    module = mlir::parseSourceString<mlir::ModuleOp>(
        "cria.param @p : !cria.weight<16x" + std::to_string(size) + ", " +
            type + "> from [\"w\"]",
        &context);
    EXPECT_TRUE(module);
    return messageOf(cria::packWeights(*module, source.get(), std::nullopt,
                                       path("out.safetensors"), nullptr, {},
                                       &report));
  }

  std::vector<uint8_t> golden(DType dtype) {
    for (const Golden &golden : goldens)
      if (golden.dtype == dtype)
        return blockBytes(golden);
    return {};
  }

  double relativeError() {
    return std::sqrt(report.front().sums.errors / report.front().sums.squares);
  }

  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::vector<cria::PackedTensor> report;
};

constexpr const char *q4Min = "q4, block = 32, min, n16k4";
constexpr const char *q6 = "q6, block = 16, zero_point, n16k4";
constexpr const char *q8 = "q8, block = 32, zero_point, n16k4";
constexpr const char *q8Min = "q8, block = 32, min, n16k4";

TEST_F(PackGgml, ExactTypes) {
  const std::pair<DType, const char *> types[] = {
      {DType::Q5_0, q8}, {DType::IQ4_NL, q8},  {DType::Q3_K, q8},
      {DType::Q4_0, q8}, {DType::Q5_1, q8Min}, {DType::Q4_1, q8Min}};
  for (auto [dtype, type] : types) {
    EXPECT_EQ(pack(dtype, golden(dtype), type), "");
    EXPECT_GT(report.front().sums.squares, 0);
    EXPECT_EQ(report.front().sums.errors, 0) << cria::dtypeName(dtype).str();
  }
}

TEST_F(PackGgml, RoundedScalesAreReported) {
  const std::pair<DType, const char *> types[] = {{DType::Q4_K, q4Min},
                                                  {DType::Q5_K, q8Min}};
  for (auto [dtype, type] : types) {
    EXPECT_EQ(pack(dtype, golden(dtype), type), "");
    EXPECT_TRUE(report.front().requantized);
    EXPECT_GT(relativeError(), 1e-5) << cria::dtypeName(dtype).str();
    EXPECT_LT(relativeError(), 5e-4) << cria::dtypeName(dtype).str();
  }
}

TEST_F(PackGgml, BlocksOf16BecomeOnesOf32) {
  const std::pair<DType, const char *> types[] = {{DType::Q6_K, q8},
                                                  {DType::Q2_K, q8Min}};
  for (auto [dtype, type] : types) {
    EXPECT_EQ(pack(dtype, golden(dtype), type), "");
    EXPECT_GT(relativeError(), 1e-4) << cria::dtypeName(dtype).str();
    EXPECT_LT(relativeError(), 6e-3) << cria::dtypeName(dtype).str();
  }
}

/// All scales of Q3_K are `scale`, all codes -4; d is 1.
std::vector<uint8_t> blockOfQ3K(int scale) {
  std::vector<uint8_t> block(110, 0);
  int bits = scale + 32;
  std::fill_n(block.begin() + 96, 8, uint8_t((bits & 15) * 0x11));
  std::fill_n(block.begin() + 104, 4, uint8_t((bits >> 4) * 0x55));
  block[109] = 0x3c;
  return block;
}

TEST_F(PackGgml, ScalesOfQ3KGoIntoTheCodes) {
  EXPECT_EQ(pack(DType::Q3_K, blockOfQ3K(31), q8), "");
  EXPECT_EQ(report.front().sums.squares, 16 * 256 * 124.0 * 124.0);
  EXPECT_EQ(report.front().sums.errors, 0);
  EXPECT_EQ(pack(DType::Q3_K, blockOfQ3K(-32), q8), "");
  EXPECT_EQ(report.front().sums.squares, 16 * 256 * 128.0 * 128.0);
  EXPECT_EQ(report.front().sums.errors, 0);
}

TEST_F(PackGgml, TakesQ6KBitByBit) {
  EXPECT_EQ(pack(DType::Q6_K, golden(DType::Q6_K), q6), "");
  EXPECT_TRUE(report.front().copied);
}

TEST_F(PackGgml, RefusesAScaleThatIsNoNumber) {
  std::vector<uint8_t> sixBits = golden(DType::Q6_K);
  sixBits[209] = 0x7c;
  EXPECT_HAS(pack(DType::Q6_K, sixBits, q6), "accepted for q6: finite numbers");
  std::vector<uint8_t> block = golden(DType::Q4_K);
  block[1] = 0x7c; // infinity and NaNs
  std::string message = pack(DType::Q4_K, block, q4Min);
  EXPECT_HAS(message, "tensor 'w': row 0, column 0 is ");
  EXPECT_HAS(message, "accepted for q4: magnitudes below 65504");
}

TEST_F(PackGgml, RefusesWhatF16CannotHold) {
  std::vector<uint8_t> block = golden(DType::Q5_K);
  block[0] = 0xff;
  block[1] = 0x7b; // 65504, and some 6-bit scale on top
  EXPECT_HAS(pack(DType::Q5_K, block, q8Min), "magnitudes below 65504");
}

/// Scales below f16's normal numbers round badly: other codes come nearer.
TEST_F(PackGgml, TinyScalesAreFitted) {
  std::vector<uint8_t> block = golden(DType::Q4_K);
  block[0] = block[2] = 2;
  block[1] = block[3] = 0; // 2^-23 both
  EXPECT_EQ(pack(DType::Q4_K, block, q8Min), "");
  EXPECT_LT(relativeError(), 2e-3);
}

} // namespace
