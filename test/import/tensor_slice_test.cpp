// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/TensorSlice.h"
#include "compiler/import/TensorSource.h"
#include "import_fixture.h"

#include <memory>
#include <vector>

using namespace llvm;
using namespace cria::test;

namespace {

/// A file with a 6x4 matrix "m" of F32 whose element (i, j) is 10 i + j, a
/// vector "v" of 6, and 2 rows "q" of Q8_0.
class TensorSliceTest : public ImportTest {
protected:
  TensorSliceTest() {
    std::string matrix, vector;
    for (int i = 0; i < 6; ++i) {
      vector += bytesOf(static_cast<float>(i));
      for (int j = 0; j < 4; ++j)
        matrix += bytesOf(static_cast<float>(10 * i + j));
    }
    std::string file =
        write("w.gguf", GgufBuilder(3)
                            .tensor("m", {4, 6}, 0, matrix)
                            .tensor("v", {6}, 0, vector)
                            .tensor("q", {32, 2}, 8, std::string(68, '\0'))
                            .finish());
    source = cantFail(cria::TensorSource::open(file));
  }

  std::vector<float> row(StringRef name, int64_t index) {
    const cria::TensorView *view = cantFail(source->get(name));
    std::vector<float> out(static_cast<size_t>(view->rowElements()));
    cantFail(cria::dequantizeRow(*view, index, out));
    return out;
  }
  std::string error(StringRef name) { return messageOf(source->get(name)); }

  std::unique_ptr<cria::TensorSource> source;
};

using Row = std::vector<float>;

TEST_F(TensorSliceTest, RunOfRows) {
  EXPECT_EQ(cantFail(source->get("m | rows 2 3"))->shape,
            (SmallVector<int64_t, 4>{3, 4}));
  EXPECT_EQ(row("m | rows 2 3", 0), (Row{20, 21, 22, 23}));
}

TEST_F(TensorSliceTest, RunsAtAStep) {
  EXPECT_EQ(row("m | rows 1 1 3 2", 1), (Row{40, 41, 42, 43}));
}

TEST_F(TensorSliceTest, Transposed) {
  EXPECT_EQ(row("m | transpose", 3), (Row{3, 13, 23, 33, 43, 53}));
}

TEST_F(TensorSliceTest, RowsOfTheTransposed) {
  EXPECT_EQ(row("m | transpose | rows 2 2", 1), (Row{3, 13, 23, 33, 43, 53}));
}

TEST_F(TensorSliceTest, RowsOfAVectorAreItsElements) {
  EXPECT_EQ(row("v | rows 1 1 2 3", 0), (Row{1, 3, 5}));
}

TEST_F(TensorSliceTest, MeansOfRuns) {
  // Rows 0 and 2 of 0 .. 3, then rows 1 and 3.
  EXPECT_EQ(row("m | rows 0 4 | mean 2 2", 0), (Row{10, 11, 12, 13}));
  EXPECT_EQ(row("m | rows 0 4 | mean 2 2", 1), (Row{20, 21, 22, 23}));
  EXPECT_EQ(row("m | mean 1 3", 1), (Row{40, 41, 42, 43}));
}

TEST_F(TensorSliceTest, MeansOfAVector) {
  EXPECT_EQ(row("v | rows 2 4 | mean 2 2", 0), (Row{3, 4}));
}

TEST_F(TensorSliceTest, MeansOfBlocksAreFloats) {
  EXPECT_EQ(cantFail(source->get("q | mean 1 2"))->dtype, cria::DType::F32);
  EXPECT_EQ(row("q | mean 1 2", 0), Row(32, 0.0f));
}

TEST_F(TensorSliceTest, MeansThatDoNotDivide) {
  EXPECT_HAS(error("m | mean 2 2"), "the 6 that there are");
}

TEST_F(TensorSliceTest, ExpressionsOfFamilies) {
  EXPECT_EQ(cria::meanOf("m", 2, 3), "m | mean 2 3");
  EXPECT_EQ(cria::rowsOf("m", 2, 3), "m | rows 2 3");
  EXPECT_EQ(cria::rowsOf("m", 0, 1, 3, 2), "m | rows 0 1 3 2");
}

TEST_F(TensorSliceTest, RowBeyondTheTensor) {
  EXPECT_HAS(error("m | rows 4 3"), "asks for row 6; accepted: 0 to 5");
}

TEST_F(TensorSliceTest, NumbersThatAreTooLarge) {
  EXPECT_HAS(error("m | rows 0 9999999999"), "accepted: NAME");
}

TEST_F(TensorSliceTest, RunsThatOverlap) {
  EXPECT_HAS(error("m | rows 0 2 1 2"), "'m | rows 0 2 1 2'");
}

TEST_F(TensorSliceTest, UnknownStep) {
  EXPECT_HAS(error("m | reverse"), "accepted: NAME [| transpose]");
}

TEST_F(TensorSliceTest, BlocksDoNotTranspose) {
  EXPECT_HAS(error("q | transpose"), "type Q8_0; accepted for transpose: 2");
}

TEST_F(TensorSliceTest, MissingTensor) {
  EXPECT_HAS(error("n | rows 0 1"), "lacks the tensor 'n'");
}

} // namespace
