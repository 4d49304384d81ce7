// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights files: what is read from good ones, what is said about bad ones.
#include "session_fixture.h"

#include "model/SafetensorsHeader.h"

using namespace cria::test;

namespace {

class SessionWeights : public testing::Test {
protected:
  void TearDown() override { cria_weights_free(Weights); }

  cria_status open(const std::string &Content) {
    cria_weights_free(Weights);
    std::string File = Dir.write("w.safetensors", Content);
    return cria_weights_open(File.c_str(), fake_get(), &Weights, &Error);
  }

  /// Opening fails with a message that names the file and `Part`.
  void expectRefused(const std::string &Content, const char *Part) {
    EXPECT_EQ(open(Content), CRIA_INVALID_DATA);
    EXPECT_EQ(Weights, nullptr);
    EXPECT_TRUE(contains(Error.message, "w.safetensors: ")) << Error.message;
    EXPECT_TRUE(contains(Error.message, Part)) << Error.message;
  }

  static std::string tensor(const char *Fields) {
    return safetensors(std::string("{\"t\": {") + Fields + "}}", 64);
  }

  TempDir Dir;
  cria_error Error = {};
  cria_weights *Weights = nullptr;
};

TEST_F(SessionWeights, PointersAreInTheModelsOrderAndAligned) {
  ASSERT_EQ(open(fakeWeights()), CRIA_OK) << Error.message;
  const void *const *Pointers = cria_weights_pointers(Weights);
  EXPECT_EQ(static_cast<const char *>(Pointers[1]) -
                static_cast<const char *>(Pointers[0]),
            128);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(Pointers[0]) % 64, 0u);
}

TEST_F(SessionWeights, TensorsAreListedWithoutPadding) {
  ASSERT_EQ(cria_weights_open(
                Dir.write("p.safetensors",
                          safetensors(R"({"__pad.0": {"dtype": "U8", "shape":
                          [60], "data_offsets": [4, 64]}, "x": {"dtype": "F16",
                          "shape": [1, 2], "data_offsets": [0, 4]}})",
                                      64))
                    .c_str(),
                nullptr, &Weights, &Error),
            CRIA_OK)
      << Error.message;
  ASSERT_EQ(cria_weights_count(Weights), 1);
  cria_tensor Tensor;
  ASSERT_EQ(cria_weights_tensor(Weights, 0, &Tensor), CRIA_OK);
  EXPECT_STREQ(Tensor.name, "x");
  EXPECT_STREQ(Tensor.dtype, "F16");
  EXPECT_EQ(Tensor.rank, 2);
  EXPECT_EQ(Tensor.shape[1], 2);
  EXPECT_EQ(Tensor.bytes, 4u);
  EXPECT_EQ(cria_weights_tensor(Weights, 1, &Tensor), CRIA_INVALID_ARGUMENT);
}

TEST_F(SessionWeights, MetadataIsReadable) {
  ASSERT_EQ(open(fakeWeights(R"("__metadata__": {"cria.symbol": "f"},)")),
            CRIA_OK);
  EXPECT_STREQ(cria_weights_metadata(Weights, "cria.symbol"), "f");
  EXPECT_EQ(cria_weights_metadata(Weights, "cria.abi"), nullptr);
}

// In memory of exactly that size, where sanitizers see any read past the end.
cria_status parse(const std::string &Content, cria_error *Error) {
  std::vector<uint8_t> Exact(Content.begin(), Content.end());
  cria::runtime::SafetensorsHeader Header;
  return cria::runtime::parseSafetensorsHeader(Exact.data(), Exact.size(), "f",
                                               Header, Error);
}

TEST_F(SessionWeights, TruncatedAnywhereIsRefused) {
  std::string Whole = fakeWeights(R"("__metadata__": {"cria.symbol": "f"},)");
  ASSERT_EQ(parse(Whole, &Error), CRIA_OK);
  for (size_t Size = 0; Size < Whole.size(); ++Size) {
    ASSERT_EQ(parse(Whole.substr(0, Size), &Error), CRIA_INVALID_DATA)
        << "at byte " << Size;
    ASSERT_NE(Error.message[0], '\0');
  }
}

TEST_F(SessionWeights, TruncatedFilesAreRefused) {
  std::string Whole = fakeWeights();
  for (size_t Size :
       {size_t{0}, size_t{7}, size_t{8}, size_t{100}, Whole.size() - 1}) {
    ASSERT_EQ(open(Whole.substr(0, Size)), CRIA_INVALID_DATA);
    ASSERT_EQ(Weights, nullptr);
  }
}

TEST_F(SessionWeights, AnyDamagedHeaderByteIsSurvived) {
  std::string Whole = fakeWeights(R"("__metadata__": {"cria.symbol": "f"},)");
  for (size_t At = 0; At < Whole.size() - 132; ++At)
    for (char Byte : {'\0', '{', '"', '9', '\xFF'}) {
      std::string Damaged = Whole;
      Damaged[At] = Byte;
      if (parse(Damaged, &Error)) {
        ASSERT_NE(Error.message[0], '\0');
      }
    }
}

TEST_F(SessionWeights, MissingFileIsNotFound) {
  EXPECT_EQ(cria_weights_open((Dir.Path + "/none").c_str(), fake_get(),
                              &Weights, &Error),
            CRIA_NOT_FOUND);
  EXPECT_TRUE(contains(Error.message, "/none: ")) << Error.message;
}

TEST_F(SessionWeights, FolderIsRefused) {
  EXPECT_EQ(cria_weights_open(Dir.Path.c_str(), fake_get(), &Weights, &Error),
            CRIA_IO);
}

TEST_F(SessionWeights, MissingTensor) {
  expectRefused(safetensors(R"({"blk.quants": {"dtype": "U8", "shape": [128],
                                "data_offsets": [0, 128]}})",
                            128),
                "tensor \"bias\" is missing; the model needs it with 4 bytes");
}

TEST_F(SessionWeights, WrongSize) {
  expectRefused(safetensors(R"({"blk.quants": {"dtype": "U8", "shape": [64],
                                "data_offsets": [0, 64]}, "bias": {"dtype":
                                "F32", "shape": [], "data_offsets": [64, 68]}})",
                            68),
                "\"blk.quants\" has 64 bytes; the model needs 128");
}

TEST_F(SessionWeights, Misaligned) {
  expectRefused(safetensors(R"({"bias": {"dtype": "F32", "shape": [],
                                "data_offsets": [0, 4]}, "blk.quants": {"dtype":
                                "U8", "shape": [128], "data_offsets": [4, 132]}})",
                            132),
                "not a multiple of 64");
}

TEST_F(SessionWeights, DuplicateTensor) {
  expectRefused(safetensors(R"({"bias": {"dtype": "F32", "shape": [],
                                "data_offsets": [0, 4]}, "bias": {"dtype":
                                "F32", "shape": [], "data_offsets": [0, 4]}})",
                            4),
                "\"bias\" appears twice");
}

TEST_F(SessionWeights, TrailingBytes) {
  expectRefused(fakeWeights() + "x", "tensors end at byte 132");
}

TEST_F(SessionWeights, OffsetsOutsideTheFile) {
  expectRefused(tensor(R"("dtype": "U8", "shape": [65],
                          "data_offsets": [0, 65])"),
                "data_offsets [0, 65]");
}

TEST_F(SessionWeights, OffsetsInReverse) {
  expectRefused(tensor(R"("dtype": "U8", "shape": [4],
                          "data_offsets": [8, 4])"),
                "data_offsets [8, 4]");
}

TEST_F(SessionWeights, ShapeThatOverflows) {
  expectRefused(tensor(R"("dtype": "F32", "data_offsets": [0, 64], "shape":
                          [4611686018427387904, 4611686018427387904])"),
                "overflows");
}

TEST_F(SessionWeights, ShapeThatDisagreesWithOffsets) {
  expectRefused(tensor(R"("dtype": "F32", "shape": [4, 2],
                          "data_offsets": [0, 64])"),
                "span 64 bytes; its dtype and shape need 32");
}

TEST_F(SessionWeights, UnknownDtype) {
  expectRefused(tensor(R"("dtype": "Q9", "shape": [1],
                          "data_offsets": [0, 1])"),
                "dtype \"Q9\" is unknown");
}

TEST_F(SessionWeights, MissingKey) {
  expectRefused(tensor(R"("dtype": "U8", "shape": [1])"),
                "lacks its data_offsets");
}

TEST_F(SessionWeights, RepeatedKey) {
  expectRefused(tensor(R"("dtype": "U8", "dtype": "U8")"), "appears twice");
}

TEST_F(SessionWeights, UnknownKey) {
  expectRefused(tensor(R"("strides": [1])"), "unknown key \"strides\"");
}

TEST_F(SessionWeights, NegativeNumber) {
  expectRefused(tensor(R"("dtype": "U8", "shape": [-1])"), "negative");
}

TEST_F(SessionWeights, MetadataOfANumber) {
  expectRefused(safetensors(R"({"__metadata__": {"a": 1}})", 0),
                "must be strings");
}

TEST_F(SessionWeights, DeepNesting) {
  expectRefused(safetensors("{\"a\":" + std::string(1 << 20, '['), 0),
                "must be an object");
}

TEST_F(SessionWeights, HeaderThatIsNoObject) {
  expectRefused(safetensors("[]", 0), "must be an object");
}

TEST_F(SessionWeights, AbsurdHeaderLength) {
  expectRefused(std::string(8, '\x7F') + "{}", "header length is");
}

TEST_F(SessionWeights, ControlCharactersStayOutOfMessages) {
  EXPECT_EQ(open(tensor(R"("a\nb": 1)")), CRIA_INVALID_DATA);
  EXPECT_FALSE(contains(Error.message, "\n"));
}

} // namespace
