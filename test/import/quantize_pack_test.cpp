// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Conversion while packing: errors, the report, and equal bytes for any
// number of threads.
#include "compiler/import/PackWeights.h"
#include "compiler/import/QuantizeReport.h"
#include "dialect/CriaOps.h"
#include "import_fixture.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"

#include <cmath>
#include <limits>

using namespace llvm;
using namespace cria::test;

namespace {

constexpr int rows = 70, columns = 96;

class QuantizePack : public ImportTest {
protected:
  QuantizePack() {
    for (int i = 0; i < rows * columns; ++i)
      values.push_back(std::sin(static_cast<float>(i * i)));
    save();
  }

  /// Writes `values` as the tensor "w", 70 x 96 f32.
  void save() {
    std::string data;
    for (float value : values)
      data += cria::test::bytesOf(value);
    write("w.gguf",
          GgufBuilder(3).tensor("w", {columns, rows}, 0, data).finish());
    auto opened = cria::TensorSource::open(path("w.gguf"));
    EXPECT_TRUE(static_cast<bool>(opened));
    source = std::move(*opened);
  }

  /// What packing says; "" for a success.
  std::string pack(StringRef text, StringRef name = "out.safetensors",
                   std::optional<uint64_t> seed = std::nullopt) {
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    return messageOf(cria::packWeights(*module, seed ? nullptr : source.get(),
                                       seed, path(name), nullptr, {}, &report));
  }

  std::string packAs(StringRef type) {
    return pack(
        ("cria.param @p : !cria.weight<70x96, " + type + "> from [\"w\"]")
            .str());
  }

  std::string bytesOf(StringRef name) {
    auto buffer = MemoryBuffer::getFile(path(name));
    EXPECT_TRUE(static_cast<bool>(buffer));
    return (*buffer)->getBuffer().str();
  }

  std::vector<float> values;
  std::unique_ptr<cria::TensorSource> source;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::vector<cria::PackedTensor> report;
};

constexpr const char *q4 = "q4, block = 32, min, n16k4";

TEST_F(QuantizePack, RefusesNaN) {
  values[3 * columns + 5] = std::numeric_limits<float>::quiet_NaN();
  save();
  std::string message = packAs(q4);
  EXPECT_HAS(message, "tensor 'w'");
  EXPECT_HAS(message, "row 3, column 5 is nan");
  EXPECT_HAS(message, "accepted for q4: magnitudes below 65504");
  EXPECT_FALSE(sys::fs::exists(path("out.safetensors")));
}

TEST_F(QuantizePack, RefusesInfinity) {
  values[69 * columns + 95] = -std::numeric_limits<float>::infinity();
  save();
  EXPECT_HAS(packAs("bf16, n16k2"), "row 69, column 95 is -inf");
}

TEST_F(QuantizePack, RefusesWhatTheTypeCannotHold) {
  values[0] = 70000;
  save();
  EXPECT_HAS(packAs(q4), "row 0, column 0 is 70000");
  EXPECT_HAS(packAs("f16, n16"), "accepted for f16: magnitudes below 65520");
  EXPECT_EQ(packAs("q8, block = 32, zero_point, n16k4"), "");
  EXPECT_EQ(packAs("bf16, n16k2"), "");
}

/// The first of two errors, whichever thread is faster.
TEST_F(QuantizePack, FirstErrorCounts) {
  values[1 * columns] = values[60 * columns] = 1e30f;
  save();
  for (int i = 0; i < 5; ++i)
    EXPECT_HAS(packAs(q4), "row 1, column 0");
}

TEST_F(QuantizePack, Report) {
  EXPECT_EQ(packAs(q4), "");
  ASSERT_EQ(report.size(), 1u);
  const cria::PackedTensor &entry = report.front();
  EXPECT_EQ(entry.param, "p");
  EXPECT_EQ(entry.source, "w");
  EXPECT_EQ(entry.typeIn, "F32");
  EXPECT_EQ(entry.typeOut, "q4");
  EXPECT_EQ(entry.bytesIn, uint64_t(rows * columns * 4));
  // 80 rows with padding; 20 bytes a block.
  EXPECT_EQ(entry.bytesOut, uint64_t(80 * 3 * 20));
  EXPECT_FALSE(entry.copied);
  double squares = 0;
  for (float value : values)
    squares += double(value) * double(value);
  EXPECT_NEAR(entry.sums.squares, squares, 1e-9 * squares);
  double relative = std::sqrt(entry.sums.errors / entry.sums.squares);
  EXPECT_GT(relative, 0.03);
  EXPECT_LT(relative, 0.06);
  EXPECT_LT(entry.sums.largest, 0.08);
}

TEST_F(QuantizePack, CopiesAreExact) {
  EXPECT_EQ(packAs("f32, n16"), "");
  EXPECT_TRUE(report.front().copied);
  EXPECT_EQ(report.front().sums.errors, 0);
}

TEST_F(QuantizePack, TableFitsIn80Columns) {
  EXPECT_EQ(pack(R"(
    cria.param @a_very_long_name_of_a_param : !cria.weight<70x96, q8, block = 32, zero_point, n16k4> from ["w"]
    cria.param @b : !cria.weight<1x70x96, q4, block = 32, min, n16k4> from ["w"]
    cria.param @c : !cria.weight<70x96, f32, n16> from ["w"]
  )"),
            "");
  report[1].shape = {128256, 16384};
  report[1].bytesIn = 999949999999;
  report[1].sums.largest = 12345.678f;
  std::string text;
  raw_string_ostream out(text);
  cria::printQuantizeTable(out, report);
  SmallVector<StringRef> lines;
  StringRef(text).split(lines, '\n');
  EXPECT_EQ(lines.size(), 6u); // heading, 3, total, what follows the last \n
  for (StringRef line : lines)
    EXPECT_LE(line.size(), 80u) << line.str();
  EXPECT_HAS(text, "exact");
}

TEST_F(QuantizePack, Json) {
  EXPECT_EQ(packAs(q4), "");
  auto parsed = json::parse(cria::quantizeJson("q4", report));
  ASSERT_TRUE(static_cast<bool>(parsed));
  const json::Object *root = parsed->getAsObject();
  EXPECT_EQ(root->getString("quantize"), "q4");
  const json::Object *entry = (*root->getArray("tensors"))[0].getAsObject();
  EXPECT_EQ(entry->getString("type_out"), "q4");
  double relative = *entry->getNumber("relative_rms_error");
  EXPECT_NEAR(*entry->getNumber("snr_db"), -20 * std::log10(relative), 1e-9);
  EXPECT_EQ(root->getObject("total")->getInteger("bytes_in"),
            int64_t(rows * columns * 4));
}

/// More than one unit of rows: 4096 columns make 64 rows a unit.
constexpr const char *large = R"(
  cria.param @a : !cria.weight<2x200x4096, q4, block = 32, min, n16k4>
    {cria.source_type = !cria.weight<2x200x4096, bf16, rows>}
  cria.param @b : !cria.weight<300x4096, q8, block = 32, zero_point, n16k4>
    {cria.source_type = !cria.weight<300x4096, q4, block = 32, min, rows>}
  cria.param @c : !cria.weight<100x77, bf16, n16k2>
  cria.param @e : !cria.weight<150x4096, q6, block = 16, zero_point, n16k4>
    {cria.source_type = !cria.weight<150x4096, bf16, rows>}
  cria.param @d stacked : tensor<3x50xf32>
)";

TEST_F(QuantizePack, ThreadsDoNotChangeTheResult) {
  EXPECT_EQ(pack(large, "many", 7), "");
  std::vector<cria::PackedTensor> many = report;
  context.disableMultithreading();
  EXPECT_EQ(pack(large, "one", 7), "");
  EXPECT_TRUE(bytesOf("many") == bytesOf("one"));
  ASSERT_EQ(many.size(), report.size());
  for (size_t i = 0; i < many.size(); ++i) {
    EXPECT_EQ(many[i].sums.errors, report[i].sums.errors);
    EXPECT_EQ(many[i].sums.squares, report[i].sums.squares);
  }
}

/// Random weights are made as the source's type and then converted, so that
/// a quantised model is near the one that it was made from.
TEST_F(QuantizePack, RandomWeightsAreConverted) {
  EXPECT_EQ(pack("cria.param @p : !cria.weight<64x64, q8, block = 32, none, "
                 "rows> {cria.source_type = !cria.weight<64x64, f32, rows>}",
                 "out", 3),
            "");
  EXPECT_EQ(report.front().typeIn, "f32");
  EXPECT_FALSE(report.front().requantized);
  double relative =
      std::sqrt(report.front().sums.errors / report.front().sums.squares);
  EXPECT_GT(relative, 0.001);
  EXPECT_LT(relative, 0.006);
}

TEST_F(QuantizePack, SaysThatTheSourceWasQuantized) {
  EXPECT_EQ(pack("cria.param @p : !cria.weight<64x64, q4, block = 32, min, "
                 "rows> {cria.source_type = !cria.weight<64x64, q8, block = "
                 "32, none, rows>}",
                 "out", 3),
            "");
  EXPECT_TRUE(report.front().requantized);
  std::string text;
  raw_string_ostream out(text);
  cria::printQuantizeTable(out, report);
  EXPECT_HAS(text, "q8 ! q4");
  EXPECT_HAS(text, "was quantized already");
}

} // namespace
