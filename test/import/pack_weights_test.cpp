// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/PackWeights.h"

#include "compiler/import/Import.h"
#include "compiler/import/SafetensorsReader.h"
#include "dialect/CriaOps.h"
#include "import_fixture.h"
#include "mlir/Parser/Parser.h"

#include <cmath>

using namespace llvm;
using namespace cria::test;

namespace {

class PackWeights : public ImportTest {
protected:
  /// The packed arrays of a module given as text; random without a source.
  std::unique_ptr<cria::SafetensorsFile>
  pack(StringRef text, std::optional<uint64_t> seed,
       const cria::TensorSource *source = nullptr,
       StringRef name = "out.safetensors") {
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    std::string out = path(name);
    Error error = cria::packWeights(*module, source, seed, out, nullptr, {});
    EXPECT_FALSE(error) << (error ? toString(std::move(error)) : "");
    auto file = cria::SafetensorsFile::open(out);
    EXPECT_TRUE(static_cast<bool>(file));
    return std::move(*file);
  }

  std::string packError(StringRef text, std::optional<uint64_t> seed,
                        const cria::TensorSource *source = nullptr) {
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    return messageOf(cria::packWeights(*module, source, seed,
                                       path("out.safetensors"), nullptr, {}));
  }

  mlir::OwningOpRef<mlir::ModuleOp> module;
};

ArrayRef<uint8_t> bytesOf(const cria::SafetensorsFile &file, StringRef name) {
  const cria::SafetensorsTensor *tensor = file.find(name);
  EXPECT_NE(tensor, nullptr) << name.str();
  return tensor ? tensor->bytes : ArrayRef<uint8_t>();
}

std::vector<float> floatsOf(const cria::SafetensorsFile &file, StringRef name) {
  ArrayRef<uint8_t> bytes = bytesOf(file, name);
  std::vector<float> out(bytes.size() / 4);
  std::memcpy(out.data(), bytes.data(), out.size() * 4);
  return out;
}

float half(uint16_t bits) {
  int exponent = (bits >> 10) & 31;
  float fraction = static_cast<float>(bits & 1023);
  float value = exponent ? std::ldexp(1024 + fraction, exponent - 25)
                         : std::ldexp(fraction, -24);
  return bits & 0x8000 ? -value : value;
}

std::vector<float> halvesOf(const cria::SafetensorsFile &file, StringRef name) {
  ArrayRef<uint8_t> bytes = bytesOf(file, name);
  std::vector<float> out;
  for (size_t i = 0; i < bytes.size(); i += 2)
    out.push_back(half(static_cast<uint16_t>(bytes[i] | (bytes[i + 1] << 8))));
  return out;
}

/// N x K numbers of a q4 or q8 weight in n16k4, rows without padding.
std::vector<float> decodeLanes(const cria::SafetensorsFile &file,
                               const std::string &name, int64_t n, int64_t k,
                               bool q4, bool hasMin) {
  ArrayRef<uint8_t> codes = bytesOf(file, name + ".codes");
  std::vector<float> scales = halvesOf(file, name + ".scales");
  std::vector<float> mins;
  if (hasMin)
    mins = halvesOf(file, name + ".mins");
  int64_t blocks = (k + 31) / 32, vectors = q4 ? 4 : 8;
  std::vector<float> out;
  for (int64_t row = 0; row < n; ++row)
    for (int64_t i = 0; i < k; ++i) {
      int64_t group = row / 16 * blocks + i / 32, inBlock = i % 32;
      int64_t v = inBlock / 4 % vectors;
      int code = codes[((group * vectors + v) * 16 + row % 16) * 4 + i % 4];
      if (q4)
        code = inBlock < 16 ? code & 15 : code >> 4;
      float scale = scales[group * 16 + row % 16];
      out.push_back(hasMin ? scale * static_cast<float>(code) +
                                 mins[group * 16 + row % 16]
                           : scale * static_cast<float>(code - (q4 ? 8 : 128)));
    }
  return out;
}

double deviation(ArrayRef<float> values) {
  double sum = 0, squares = 0;
  for (float value : values) {
    sum += static_cast<double>(value);
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  double count = static_cast<double>(values.size());
  return std::sqrt(squares / count - sum / count * (sum / count));
}

TEST_F(PackWeights, SeedDecides) {
  const char *text = "cria.param @w : !cria.weight<40x64, f32, rows>";
  auto a = pack(text, 1, nullptr, "a"), b = pack(text, 1, nullptr, "b");
  EXPECT_EQ(bytesOf(*a, "w"), bytesOf(*b, "w"));
  auto c = pack(text, 2, nullptr, "c");
  EXPECT_NE(bytesOf(*a, "w"), bytesOf(*c, "w"));
}

TEST_F(PackWeights, SeedOfTheModule) {
  auto a =
      pack("cria.param @w : !cria.weight<40x64, f32, rows>", 7, nullptr, "a");
  auto b = pack("module attributes {cria.seed = 7 : i64} {"
                "cria.param @w : !cria.weight<40x64, f32, rows> }",
                std::nullopt, nullptr, "b");
  EXPECT_EQ(bytesOf(*a, "w"), bytesOf(*b, "w"));
}

TEST_F(PackWeights, RandomNeedsSeed) {
  std::string message =
      packError("cria.param @w : !cria.weight<40x64, f32, rows>", std::nullopt);
  EXPECT_HAS(message, "param @w");
  EXPECT_HAS(message, "--seed");
}

TEST_F(PackWeights, LayersDiffer) {
  auto file = pack("cria.param @w : !cria.weight<2x16x64, f32, rows>", 1);
  ArrayRef<uint8_t> all = bytesOf(*file, "w");
  EXPECT_NE(all.take_front(all.size() / 2), all.drop_front(all.size() / 2));
}

TEST_F(PackWeights, RandomDoesNotDependOnLayout) {
  auto rows = pack("cria.param @w : !cria.weight<37x64, f32, rows>", 3, nullptr,
                   "rows");
  auto lanes = pack("cria.param @w : !cria.weight<37x64, f32, n16>", 3, nullptr,
                    "lanes");
  std::vector<float> a = floatsOf(*rows, "w"), b = floatsOf(*lanes, "w");
  ASSERT_EQ(b.size(), 48u * 64);
  for (int64_t row = 0; row < 37; ++row)
    for (int64_t k = 0; k < 64; ++k)
      ASSERT_EQ(a[row * 64 + k], b[(row / 16 * 64 + k) * 16 + row % 16]);
}

TEST_F(PackWeights, RandomSpread) {
  auto file = pack(R"(
    cria.param @f : !cria.weight<256x1024, f32, rows>
    cria.param @q4 : !cria.weight<256x1024, q4, block = 32, min, n16k4>
    cria.param @z4 : !cria.weight<256x1024, q4, block = 32, zero_point, n16k4>
    cria.param @q8 : !cria.weight<256x1024, q8, block = 32, zero_point, n16k4>
  )",
                   1);
  double wanted = 1 / 32.0; // 1 / sqrt(K)
  EXPECT_NEAR(deviation(floatsOf(*file, "f")), wanted, 0.03 * wanted);
  EXPECT_NEAR(deviation(decodeLanes(*file, "q4", 256, 1024, true, true)),
              wanted, 0.03 * wanted);
  EXPECT_NEAR(deviation(decodeLanes(*file, "z4", 256, 1024, true, false)),
              wanted, 0.03 * wanted);
  EXPECT_NEAR(deviation(decodeLanes(*file, "q8", 256, 1024, false, false)),
              wanted, 0.03 * wanted);
}

TEST_F(PackWeights, RandomNormsAreAroundOne) {
  auto file = pack("cria.param @attn_norm : tensor<256xf32>", 1);
  std::vector<float> norm = floatsOf(*file, "attn_norm");
  EXPECT_NE(norm[0], norm[1]);
  for (float value : norm)
    EXPECT_NEAR(value, 1, 0.2);
}

TEST_F(PackWeights, MeanAttribute) {
  auto file = pack("cria.param @g : tensor<64xf32> {cria.mean = 5.0 : f32}", 1);
  for (float value : floatsOf(*file, "g"))
    EXPECT_NEAR(value, 5, 0.2);
}

TEST_F(PackWeights, PaddingRowsDecodeToZero) {
  auto file = pack(R"(
    cria.param @z : !cria.weight<17x32, q8, block = 32, zero_point, n16k4>
    cria.param @m : !cria.weight<17x32, q4, block = 32, min, n16k4>
    cria.param @s : !cria.weight<17x32, q6, block = 16, zero_point, n16k4>
  )",
                   1);
  for (int vector = 0; vector < 6; ++vector)
    EXPECT_EQ(bytesOf(*file, "s.codes")[((6 + vector) * 16 + 1) * 4],
              vector < 4 ? 0 : 0xaa);
  EXPECT_EQ(halvesOf(*file, "s.scales")[17], 0);
  EXPECT_EQ(bytesOf(*file, "s.subscales")[2 * 16 + 1], 0);
  // Row 17, the second of the second group, has 4 bytes in each vector.
  for (int vector = 0; vector < 8; ++vector)
    EXPECT_EQ(bytesOf(*file, "z.codes")[((8 + vector) * 16 + 1) * 4], 128);
  EXPECT_EQ(halvesOf(*file, "z.scales")[17], 0);
  EXPECT_EQ(halvesOf(*file, "m.scales")[17], 0);
  EXPECT_EQ(halvesOf(*file, "m.mins")[17], 0);
}

TEST_F(PackWeights, PermutesRowsOfHeads) {
  auto plain = pack("cria.param @w : !cria.weight<16x32, f32, rows>", 1,
                    nullptr, "plain");
  // Heads of 8 rows of which 4 rotate: pairs (0, 2) and (1, 3).
  auto moved = pack("cria.param @w : !cria.weight<16x32, f32, rows> "
                    "{permute_heads = 8 : i64, permute_dims = 4 : i64}",
                    1, nullptr, "moved");
  const int order[8] = {0, 2, 1, 3, 4, 5, 6, 7};
  std::vector<float> a = floatsOf(*plain, "w"), b = floatsOf(*moved, "w");
  for (int row = 0; row < 16; ++row)
    EXPECT_EQ(b[row * 32], a[(row / 8 * 8 + order[row % 8]) * 32]) << row;
}

TEST_F(PackWeights, PermutesStackedBias) {
  auto plain =
      pack("cria.param @b stacked : tensor<2x8xf32>", 1, nullptr, "plain");
  auto moved = pack("cria.param @b stacked : tensor<2x8xf32> "
                    "{permute_heads = 4 : i64, permute_dims = 4 : i64}",
                    1, nullptr, "moved");
  const int order[4] = {0, 2, 1, 3};
  std::vector<float> a = floatsOf(*plain, "b"), b = floatsOf(*moved, "b");
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(b[i], a[i / 4 * 4 + order[i % 4]]) << i;
}

/// A source with "w": 5 x 40 floats, and their values.
class PackFloats : public PackWeights {
protected:
  PackFloats() {
    std::string data;
    for (int i = 0; i < 5 * 40; ++i) {
      values.push_back(std::sin(static_cast<float>(i * i)));
      data += cria::test::bytesOf(values.back());
    }
    write("w.gguf", GgufBuilder(3).tensor("w", {40, 5}, 0, data).finish());
    auto opened = cria::TensorSource::open(path("w.gguf"));
    EXPECT_TRUE(static_cast<bool>(opened));
    source = std::move(*opened);
  }

  /// K of the source is 40: the second block has 24 columns of padding.
  void expectNear(ArrayRef<float> got, double tolerance) {
    ASSERT_EQ(got.size(), values.size());
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_NEAR(got[i], values[i], tolerance) << i;
  }

  std::vector<float> values;
  std::unique_ptr<cria::TensorSource> source;
};

// Half a step of the codes, and what rounding the scale to f16 adds.
TEST_F(PackFloats, RoundsToQ8) {
  auto file = pack("cria.param @w : !cria.weight<5x40, q8, block = 32, "
                   "zero_point, n16k4> from [\"w\"]",
                   {}, source.get());
  expectNear(decodeLanes(*file, "w", 5, 40, false, false), 0.6 / 127);
}

TEST_F(PackFloats, RoundsToQ4WithMin) {
  auto file = pack("cria.param @w : !cria.weight<5x40, q4, block = 32, min, "
                   "n16k4> from [\"w\"]",
                   {}, source.get());
  expectNear(decodeLanes(*file, "w", 5, 40, true, true), 0.55 * 2 / 15);
}

// The code 8 would be needed for the positive end: a whole step at worst.
TEST_F(PackFloats, RoundsToQ4WithZeroPoint) {
  auto file = pack("cria.param @w : !cria.weight<5x40, q4, block = 32, "
                   "zero_point, n16k4> from [\"w\"]",
                   {}, source.get());
  expectNear(decodeLanes(*file, "w", 5, 40, true, false), 1.01 / 8);
}

TEST_F(PackFloats, RoundsToF16) {
  auto file = pack("cria.param @w : !cria.weight<5x40, f16, rows> from [\"w\"]",
                   {}, source.get());
  expectNear(halvesOf(*file, "w"), 0x1p-12);
}

TEST_F(PackFloats, MissingTensor) {
  EXPECT_HAS(packError("cria.param @w : !cria.weight<5x40, f16, rows> "
                       "from [\"other\"]",
                       {}, source.get()),
             "other");
}

TEST_F(PackFloats, WrongShape) {
  std::string message =
      packError("cria.param @w : !cria.weight<5x41, f16, rows> from [\"w\"]",
                {}, source.get());
  EXPECT_HAS(message, "[5, 40]");
  EXPECT_HAS(message, "[5, 41]");
}

TEST_F(PackFloats, ErrorLeavesNoFile) {
  packError("cria.param @w : !cria.weight<5x41, f16, rows> from [\"w\"]", {},
            source.get());
  EXPECT_FALSE(sys::fs::exists(path("out.safetensors")));
}

TEST_F(PackFloats, MetadataAndProgress) {
  module = mlir::parseSourceString<mlir::ModuleOp>(
      "cria.param @w : !cria.weight<5x40, f32, n16> from [\"w\"]", &context);
  uint64_t last = 0, total = 0;
  EXPECT_EQ(messageOf(cria::packWeights(
                *module, source.get(), {}, path("out.safetensors"),
                [&](uint64_t done, uint64_t all) { last = done, total = all; },
                {{"key", "value"}})),
            "");
  EXPECT_EQ(last, 16u * 40 * 4);
  EXPECT_EQ(total, last);
  auto file = cria::SafetensorsFile::open(path("out.safetensors"));
  ASSERT_TRUE(static_cast<bool>(file));
  EXPECT_EQ((*file)->metadata().at("key"), "value");
}

} // namespace
