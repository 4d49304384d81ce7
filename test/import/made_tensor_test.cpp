// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/MadeTensor.h"
#include "compiler/import/TensorSource.h"
#include "import_fixture.h"

#include <memory>
#include <vector>

using namespace llvm;
using namespace cria::test;

namespace {

using Row = std::vector<float>;

/// A 2x3 matrix "w" of 1 to 6, a vector "b" of 2, vectors "v.0", "v.1" and
/// "v.2" of 2, and BatchNorms "n" of 3 and "o" of 2 without weight and bias.
class MadeTensorTest : public ImportTest {
protected:
  MadeTensorTest() {
    GgufBuilder builder(3);
    auto add = [&](const std::string &name, std::vector<uint64_t> dims,
                   const Row &values) {
      std::string bytes;
      for (float value : values)
        bytes += bytesOf(value);
      builder.tensor(name, dims, 0, bytes);
    };
    add("w", {3, 2}, {1, 2, 3, 4, 5, 6});
    add("b", {2}, {10, 20});
    for (int i = 0; i < 3; ++i)
      add("v." + std::to_string(i), {2}, {float(2 * i), float(2 * i + 1)});
    // s = 2, 4, 1 and t = 1, -8, 3 with EPS = 0.
    add("n.weight", {3}, {2, 2, 2});
    add("n.bias", {3}, {1, 0, 3});
    add("n.running_mean", {3}, {0, 2, 0});
    add("n.running_var", {3}, {1, 0.25f, 4});
    // s = 1, 0.5 and t = -1, -1.5.
    add("o.running_mean", {2}, {1, 3});
    add("o.running_var", {2}, {1, 4});
    add("bad.running_mean", {3}, {0, 0, 0});
    add("bad.running_var", {3}, {1, -1, 1});
    source =
        cantFail(cria::TensorSource::open(write("w.gguf", builder.finish())));
  }

  Row row(StringRef name, int64_t index = 0) {
    const cria::TensorView *view = cantFail(source->get(name));
    Row out(static_cast<size_t>(view->rowElements()));
    cantFail(cria::dequantizeRow(*view, index, out));
    return out;
  }
  std::string error(StringRef name) { return messageOf(source->get(name)); }

  std::unique_ptr<cria::TensorSource> source;
};

TEST_F(MadeTensorTest, Join) {
  EXPECT_EQ(row("v.[] | join 3"), (Row{0, 1, 2, 3, 4, 5}));
}

TEST_F(MadeTensorTest, Flat) {
  EXPECT_EQ(row("w | flat"), (Row{1, 2, 3, 4, 5, 6}));
}

TEST_F(MadeTensorTest, SliceOfAMadeTensor) {
  EXPECT_EQ(row("v.[] | join 3 | rows 4 2"), (Row{4, 5}));
}

TEST_F(MadeTensorTest, BatchNormBeforeScalesColumns) {
  EXPECT_EQ(
      row(cria::foldedWeight("w", {cria::BatchNormFold::Where::Before, "n", 0}),
          1),
      (Row{8, 20, 6}));
}

TEST_F(MadeTensorTest, BatchNormBeforeMakesABias) {
  // 1 - 16 + 9 and 4 - 40 + 18.
  EXPECT_EQ(row("w | batch_norm_before_bias n 0"), (Row{-6, -18}));
}

TEST_F(MadeTensorTest, BatchNormBeforeAddsToTheBias) {
  EXPECT_EQ(row(cria::foldedBias("w", "b",
                                 {cria::BatchNormFold::Where::Before, "n", 0})),
            (Row{4, 2}));
}

TEST_F(MadeTensorTest, BatchNormBehindScalesRows) {
  EXPECT_EQ(row("w | batch_norm_behind o 0", 1), (Row{2, 2.5, 3}));
}

TEST_F(MadeTensorTest, BatchNormBehindScalesTheBias) {
  EXPECT_EQ(row("w | batch_norm_behind_bias o 0 b"), (Row{9, 8.5}));
}

TEST_F(MadeTensorTest, EpsIsReadBackExactly) {
  std::string text =
      cria::foldedWeight("w", {cria::BatchNormFold::Where::Before, "n", 0.1});
  double eps = 0;
  EXPECT_FALSE(StringRef(text).rsplit(' ').second.getAsDouble(eps));
  EXPECT_EQ(eps, 0.1);
}

TEST_F(MadeTensorTest, NamesWhatItReads) {
  std::vector<std::string> names =
      source->tensorsOf("w | batch_norm_behind_bias o 0 b");
  EXPECT_EQ(names, (std::vector<std::string>{"w", "b", "o.running_mean",
                                             "o.running_var"}));
}

TEST_F(MadeTensorTest, RefusesANegativeVariance) {
  EXPECT_HAS(error("w | batch_norm_before bad 1e-5"),
             "'bad.running_var': holds -1; accepted: variances from 0 on");
}

TEST_F(MadeTensorTest, RefusesAnotherSize) {
  EXPECT_HAS(
      error("w | batch_norm_before o 0"),
      "'o.running_mean': has shape [2]; the linear beside it makes it [3]");
}

TEST_F(MadeTensorTest, RefusesAMissingMean) {
  EXPECT_HAS(error("w | batch_norm_before b 0"), "lacks the tensor "
                                                 "'b.running_mean'");
}

TEST_F(MadeTensorTest, RefusesAnUnknownStep) {
  EXPECT_HAS(error("w | batch_norm_beside n 0"), "accepted: NAME | join COUNT");
}

TEST_F(MadeTensorTest, RefusesTheFlatOfAVector) {
  EXPECT_HAS(error("b | flat"), "1 dimensions; accepted: 2");
}

} // namespace
