// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/GgufReader.h"
#include "compiler/import/HfConfig.h"
#include "compiler/import/SafetensorsReader.h"
#include "compiler/import/SafetensorsWriter.h"
#include "compiler/import/TensorSource.h"
#include "gguf_builder.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "gtest/gtest.h"

#include <cmath>
#include <csignal>
#include <cstring>
#include <sys/resource.h>

using namespace llvm;
using cria::test::bytesOf;
using cria::test::GgufBuilder;
using cria::test::ggufString;
using cria::test::smallGguf;

namespace {

/// The message of a failed Expected, "" for a success.
template <typename T> std::string messageOf(Expected<T> value) {
  return value ? std::string() : toString(value.takeError());
}
std::string messageOf(Error error) {
  return error ? toString(std::move(error)) : std::string();
}

#define EXPECT_HAS(text, part)                                                 \
  EXPECT_NE((text).find(part), std::string::npos) << (text)

/// A fresh folder, removed at the end of the test.
class Folder {
public:
  Folder() { (void)sys::fs::createUniqueDirectory("cria-readers", path); }
  ~Folder() { (void)sys::fs::remove_directories(path); }

  std::string operator/(StringRef name) const {
    SmallString<128> file(path);
    sys::path::append(file, name);
    return std::string(file);
  }

  std::string write(StringRef name, StringRef content) const {
    std::string file = *this / name;
    std::error_code ec;
    raw_fd_ostream os(file, ec);
    os << content;
    return file;
  }

  size_t fileCount() const {
    std::error_code ec;
    size_t count = 0;
    for (sys::fs::directory_iterator it(path, ec), end; it != end && !ec;
         it.increment(ec))
      ++count;
    return count;
  }

  SmallString<128> path;
};

Expected<std::unique_ptr<cria::GgufFile>> gguf(const std::string &content) {
  return cria::GgufFile::parse(MemoryBufferRef(content, "m.gguf"));
}

std::string ggufError(const std::string &content) {
  return messageOf(gguf(content));
}

//===----------------------------------------------------------------------===//
// GGUF
//===----------------------------------------------------------------------===//

TEST(Gguf, ReadsEveryValueType) {
  std::string content = smallGguf(3);
  auto file = gguf(content);
  ASSERT_TRUE(bool(file)) << messageOf(std::move(file));
  cria::GgufFile &f = **file;
  EXPECT_EQ(cantFail(f.getU32("v.u8")), 200u);
  EXPECT_EQ(cantFail(f.getU32("v.u16")), 60000u);
  EXPECT_EQ(cantFail(f.getU32("v.i32")), 70000u);
  EXPECT_EQ(cantFail(f.getU64("v.u64")), uint64_t(1) << 40);
  EXPECT_EQ(cantFail(f.getF32("llama.rope.freq_base")), 10000.0f);
  EXPECT_EQ(cantFail(f.getF32("v.f64")), 0.25f);
  EXPECT_TRUE(cantFail(f.getBool("v.bool")));
  EXPECT_EQ(cantFail(f.getString("general.architecture")), "llama");
  auto tokens = cantFail(f.getStrings("tokens"));
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[0], "ab");
  EXPECT_EQ(tokens[1], "c");
  EXPECT_EQ(cantFail(f.getInts("types")), (std::vector<int64_t>{1, -6}));
  EXPECT_EQ(cantFail(f.getFloats("scores")), (std::vector<float>{0.5f, -1.5f}));
}

TEST(Gguf, Version2ReadsAsVersion3) {
  std::string content = smallGguf(2);
  auto file = gguf(content);
  ASSERT_TRUE(bool(file)) << messageOf(std::move(file));
  EXPECT_EQ((*file)->version(), 2u);
  EXPECT_EQ((*file)->tensors().size(), 3u);
}

TEST(Gguf, StringsAreViewsIntoTheFile) {
  std::string content = smallGguf(3);
  auto file = cantFail(gguf(content));
  const char *token = cantFail(file->getStrings("tokens"))[0].data();
  EXPECT_TRUE(token > content.data() &&
              token < content.data() + content.size());
}

TEST(Gguf, TensorBytesAreThoseOfTheirOffset) {
  std::string content = smallGguf(3);
  auto file = cantFail(gguf(content));
  const cria::GgufTensor *w = file->findTensor("w");
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(toStringRef(w->bytes), std::string(36, 'w'));
  EXPECT_EQ(content.substr(w->offset, 36), std::string(36, 'w'));
}

TEST(Gguf, TruncationAtEveryByteIsAnError) {
  std::string content = smallGguf(3);
  for (size_t size = 0; size < content.size(); ++size) {
    // The exact allocation lets a sanitizer see an overrun.
    std::unique_ptr<char[]> part(new char[size]);
    std::memcpy(part.get(), content.data(), size);
    auto file = cria::GgufFile::parse(
        MemoryBufferRef(StringRef(part.get(), size), "m.gguf"));
    ASSERT_FALSE(bool(file)) << "at " << size;
    EXPECT_EQ(messageOf(std::move(file)).rfind("m.gguf: ", 0), 0u);
  }
}

TEST(Gguf, MissingKeyNamesFileKeyAndAccepted) {
  std::string content = smallGguf(3);
  auto file = cantFail(gguf(content));
  EXPECT_EQ(messageOf(file->getU32("llama.x")),
            "m.gguf: key 'llama.x' is missing; accepted: an integer from 0 to "
            "4294967295");
}

TEST(Gguf, WrongTypeNamesTheValueFound) {
  std::string content = smallGguf(3);
  auto file = cantFail(gguf(content));
  EXPECT_EQ(messageOf(file->getU32("general.architecture")),
            "m.gguf: key 'general.architecture' is string 'llama'; accepted: "
            "an integer from 0 to 4294967295");
}

TEST(Gguf, NegativeIsNoUnsigned) {
  std::string content = smallGguf(3);
  auto file = cantFail(gguf(content));
  EXPECT_HAS(messageOf(file->getU64("v.i64")), "i64 -1");
}

TEST(Gguf, TooLargeForU32) {
  std::string content = smallGguf(3);
  auto file = cantFail(gguf(content));
  EXPECT_HAS(messageOf(file->getU32("v.u64")), "u64 1099511627776");
}

TEST(Gguf, NotANumberIsRefused) {
  std::string content = GgufBuilder(3).f32("f", std::nanf("")).finish();
  auto file = cantFail(gguf(content));
  EXPECT_HAS(messageOf(file->getF32("f")), "f32 nan; accepted: a finite");
}

TEST(Gguf, ScalarIsNoArray) {
  std::string content = smallGguf(3);
  auto file = cantFail(gguf(content));
  EXPECT_HAS(messageOf(file->getStrings("types")), "array of 2 i32");
}

TEST(Gguf, DefaultServesOnlyAMissingKey) {
  std::string content = smallGguf(3);
  auto file = cantFail(gguf(content));
  EXPECT_EQ(cantFail(file->getU32Or("llama.x", 7)), 7u);
  EXPECT_NE(messageOf(file->getU32Or("v.bool", 7)), "");
}

TEST(Gguf, UnsupportedTypeIsNamedWhenAskedFor) {
  std::string content = smallGguf(3);
  auto file = cantFail(gguf(content));
  EXPECT_EQ(messageOf(file->data(*file->findTensor("k"))),
            "m.gguf: tensor 'k' has type IQ4_XS; supported: F32, F16, BF16, "
            "Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, "
            "IQ4_NL");
}

TEST(Gguf, RefusesAnotherMagic) {
  EXPECT_HAS(ggufError("GGML" + std::string(40, 'x')), "found 'GGML'");
}

TEST(Gguf, RefusesVersion1) {
  EXPECT_HAS(ggufError(GgufBuilder(1).finish()), "version 1; accepted: 2, 3");
}

TEST(Gguf, RefusesBigEndian) {
  EXPECT_HAS(ggufError(GgufBuilder(0x03000000).finish()), "big-endian");
}

TEST(Gguf, RefusesAbsurdMetadataCount) {
  std::string content = "GGUF" + bytesOf<uint32_t>(3) + bytesOf<uint64_t>(0) +
                        bytesOf<uint64_t>(uint64_t(1) << 60);
  EXPECT_HAS(ggufError(content), "claims 1152921504606846976 metadata");
}

TEST(Gguf, RefusesAbsurdTensorCount) {
  std::string content = "GGUF" + bytesOf<uint32_t>(3) +
                        bytesOf<uint64_t>(~uint64_t(0)) + bytesOf<uint64_t>(0);
  EXPECT_HAS(ggufError(content), "claims 18446744073709551615 tensors");
}

TEST(Gguf, RefusesAbsurdArrayCount) {
  std::string content =
      GgufBuilder(3).array("a", 8, uint64_t(1) << 61, "").finish();
  EXPECT_HAS(ggufError(content), "array key 'a' claims 2305843009213693952");
}

TEST(Gguf, RefusesArraysOfArrays) {
  EXPECT_HAS(ggufError(GgufBuilder(3).array("a", 9, 0, "").finish()),
             "array of arrays");
}

TEST(Gguf, RefusesUnknownValueType) {
  EXPECT_HAS(ggufError(GgufBuilder(3).raw("a", 13, "x").finish()),
             "the type of key 'a' is 13; accepted: 0");
}

TEST(Gguf, RefusesBoolTwo) {
  EXPECT_HAS(ggufError(GgufBuilder(3).raw("a", 7, "\2").finish()),
             "bool with value 2");
}

TEST(Gguf, RefusesKeyTwice) {
  EXPECT_HAS(ggufError(GgufBuilder(3).u32("a", 1).u32("a", 2).finish()),
             "key 'a' occurs twice");
}

TEST(Gguf, RefusesTensorTwice) {
  EXPECT_HAS(ggufError(GgufBuilder(3)
                           .tensor("t", {4}, 0, std::string(16, 'x'))
                           .tensor("t", {4}, 0, std::string(16, 'x'))
                           .finish()),
             "tensor 't' occurs twice");
}

TEST(Gguf, RefusesOverlap) {
  EXPECT_HAS(ggufError(GgufBuilder(3)
                           .tensor("a", {16}, 0, std::string(64, 'x'))
                           .tensorAt("b", {8}, 0, 32)
                           .finish()),
             "tensors 'a' and 'b' overlap");
}

TEST(Gguf, RefusesOffsetBeyondTheFile) {
  EXPECT_HAS(ggufError(GgufBuilder(3)
                           .tensor("a", {4}, 0, std::string(16, 'x'))
                           .tensorAt("b", {4}, 0, ~uint64_t(31))
                           .finish()),
             "tensor 'b' has offset 18446744073709551584");
}

TEST(Gguf, RefusesMisalignedOffset) {
  EXPECT_HAS(ggufError(GgufBuilder(3)
                           .tensor("a", {16}, 0, std::string(64, 'x'))
                           .tensorAt("b", {1}, 0, 4)
                           .finish()),
             "multiple of general.alignment = 32");
}

TEST(Gguf, RefusesOverflowingShape) {
  uint64_t dim = uint64_t(1) << 33;
  EXPECT_HAS(ggufError(GgufBuilder(3).tensor("a", {dim, dim}, 0, "").finish()),
             "size overflows: [8589934592, 8589934592]");
}

TEST(Gguf, RefusesZeroDimension) {
  EXPECT_HAS(ggufError(GgufBuilder(3).tensor("a", {4, 0}, 0, "").finish()),
             "dimension 1 of 0");
}

TEST(Gguf, RefusesFiveDimensions) {
  EXPECT_HAS(
      ggufError(GgufBuilder(3).tensor("a", {1, 1, 1, 1, 1}, 0, "").finish()),
      "5 dimensions; accepted: 1 to 4");
}

TEST(Gguf, RefusesRowThatIsNoWholeBlock) {
  EXPECT_HAS(ggufError(GgufBuilder(3).tensor("a", {48}, 2, "").finish()),
             "rows of 48 elements; accepted: a multiple of 32");
}

TEST(Gguf, RefusesUnknownTensorType) {
  EXPECT_HAS(ggufError(GgufBuilder(3).tensor("a", {32}, 99, "").finish()),
             "tensor 'a' has the unknown type 99; supported: F32");
}

TEST(Gguf, RefusesOddAlignment) {
  EXPECT_HAS(ggufError(GgufBuilder(3).u32("general.alignment", 48).finish()),
             "'general.alignment' is 48; accepted: a power of two");
}

TEST(Gguf, HonoursAlignment) {
  std::string content = GgufBuilder(3)
                            .alignment(128)
                            .u32("general.alignment", 128)
                            .tensor("a", {1}, 0, "1234")
                            .tensor("b", {1}, 0, "5678")
                            .finish();
  auto file = gguf(content);
  ASSERT_TRUE(bool(file)) << messageOf(std::move(file));
  EXPECT_EQ(toStringRef((*file)->findTensor("b")->bytes), "5678");
}

//===----------------------------------------------------------------------===//
// Dequantisation. Golden values come from the quants module of ggml's Python
// package gguf 0.19, from blocks with random, ragged content.
//===----------------------------------------------------------------------===//

const uint8_t q8_0Block[] = {
    0x4c, 0x22, 0x80, 0x7f, 0x2f, 0x65, 0x14, 0x46, 0x55, 0xb9, 0x8e, 0xcc,
    0xc8, 0x5f, 0x69, 0x81, 0xff, 0x52, 0xa1, 0x4c, 0x9e, 0xf7, 0x51, 0xcd,
    0xd7, 0xc7, 0x38, 0xc1, 0x7d, 0xf1, 0xfa, 0x01, 0x15, 0x0d};
const float q8_0Values[32] = {
    -0x1.93p+0f,   0x1.8fdap+0f,  0x1.27f4p-1f,  0x1.3dfep+0f,  0x1.f7cp-3f,
    0x1.b8c8p-1f,  0x1.0b9ep+0f,  -0x1.bf14p-1f, -0x1.66ecp+0f, -0x1.477p-1f,
    -0x1.60ap-1f,  0x1.2b1ap+0f,  0x1.4a96p+0f,  -0x1.8fdap+0f, -0x1.93p-7f,
    0x1.022cp+0f,  -0x1.2b1ap+0f, 0x1.de9p-1f,   -0x1.348cp+0f, -0x1.c56p-4f,
    0x1.fe0cp-1f,  -0x1.4124p-1f, -0x1.022cp-1f, -0x1.66ecp-1f, 0x1.60ap-1f,
    -0x1.8cb4p-1f, 0x1.898ep+0f,  -0x1.79dp-3f,  -0x1.2e4p-4f,  0x1.93p-7f,
    0x1.0878p-2f,  0x1.477p-3f};
const uint8_t q4_0Block[] = {0xec, 0xb5, 0xf0, 0xfe, 0xce, 0xca,
                             0xb3, 0x9f, 0x57, 0xfd, 0x77, 0x37,
                             0xd8, 0x29, 0xdb, 0x9c, 0x1d, 0x0f};
const float q4_0Values[32] = {
    0x1.7bp+1f,   -0x1.1c4p+1f, -0x1.1c4p+1f, -0x1.7bp-1f,  0x1.d9cp+0f,
    -0x1.4bap+1f, 0x1.7bp-2f,   -0x1.d9cp+0f, 0x1.7bp-2f,   0x1.7bp-2f,
    -0x0p+0f,     -0x1.7bp-2f,  -0x1.1c4p+0f, -0x1.7bp+0f,  -0x1.d9cp+0f,
    -0x1.4bap+1f, -0x1.4bap+1f, -0x1.4bap+1f, -0x1.7bp+0f,  -0x1.7bp+0f,
    -0x1.1c4p+0f, -0x1.7bp-2f,  0x1.1c4p+0f,  -0x1.4bap+1f, 0x1.7bp-2f,
    0x1.d9cp+0f,  -0x1.d9cp+0f, 0x1.1c4p+1f,  -0x1.d9cp+0f, -0x1.7bp-2f,
    0x1.4bap+1f,  0x1.7bp+1f};
const uint8_t q4_1Block[] = {0x2f, 0x2d, 0xcd, 0xb8, 0xf0, 0xfe, 0xce,
                             0xca, 0xb3, 0x9f, 0x57, 0xfd, 0x77, 0x37,
                             0xd8, 0x29, 0xdb, 0x9c, 0x1d, 0x0f};
const float q4_1Values[32] = {
    -0x1.334p-1f,  0x1.115p-1f,  0x1.115p-1f,  0x1.adcp-3f,  -0x1.6dbp-2f,
    0x1.3ac8p-1f,  -0x1.0f8p-5f, 0x1.cfbp-2f,  -0x1.0f8p-5f, -0x1.0f8p-5f,
    0x1.88p-5f,    0x1.07ep-3f,  0x1.29dp-2f,  0x1.7ccp-2f,  0x1.cfbp-2f,
    0x1.3ac8p-1f,  0x1.3ac8p-1f, 0x1.3ac8p-1f, 0x1.7ccp-2f,  0x1.7ccp-2f,
    0x1.29dp-2f,   0x1.07ep-3f,  -0x1.8fap-3f, 0x1.3ac8p-1f, -0x1.0f8p-5f,
    -0x1.6dbp-2f,  0x1.cfbp-2f,  -0x1.c0ap-2f, 0x1.cfbp-2f,  0x1.07ep-3f,
    -0x1.09c8p-1f, -0x1.334p-1f};

/// Two rows of one block; the golden block is the second.
std::vector<float> secondRow(cria::DType dtype, ArrayRef<uint8_t> block) {
  std::vector<uint8_t> data(block.size(), 0xa5);
  data.insert(data.end(), block.begin(), block.end());
  cria::TensorView view;
  view.name = "w";
  view.dtype = dtype;
  view.data = data;
  view.shape = {2, 32};
  std::vector<float> out(32);
  cantFail(cria::dequantizeRow(view, 1, out));
  return out;
}

/// Bit by bit: -0 is not 0.
void expectSame(ArrayRef<float> found, ArrayRef<float> expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_EQ(std::memcmp(&found[i], &expected[i], sizeof(float)), 0)
        << "at " << i << ": " << found[i] << ", expected " << expected[i];
}

TEST(Dequantize, Q8_0) {
  expectSame(secondRow(cria::DType::Q8_0, q8_0Block), q8_0Values);
}
TEST(Dequantize, Q4_0) {
  expectSame(secondRow(cria::DType::Q4_0, q4_0Block), q4_0Values);
}
TEST(Dequantize, Q4_1) {
  expectSame(secondRow(cria::DType::Q4_1, q4_1Block), q4_1Values);
}

std::vector<float> vectorOf(cria::DType dtype, StringRef bytes, int64_t size) {
  cria::TensorView view;
  view.dtype = dtype;
  view.data = arrayRefFromStringRef(bytes);
  view.shape = {size};
  std::vector<float> out(size);
  cantFail(cria::dequantizeRow(view, 0, out));
  return out;
}

TEST(Dequantize, F32) {
  expectSame(vectorOf(cria::DType::F32, bytesOf(1.5f) + bytesOf(-0.0f), 2),
             {1.5f, -0.0f});
}

TEST(Dequantize, BF16) {
  expectSame(vectorOf(cria::DType::BF16,
                      bytesOf<uint16_t>(0x3f80) + bytesOf<uint16_t>(0xc049), 2),
             {1.0f, -3.140625f});
}

TEST(Dequantize, F16AtTheEdges) {
  // Zeros, the smallest and a large subnormal, the smallest normal, normals,
  // the largest, infinities.
  const uint16_t halves[] = {0x0000, 0x8000, 0x0001, 0x83ff, 0x0400,
                             0x3c00, 0xc248, 0x7bff, 0x7c00, 0xfc00};
  std::string bytes;
  for (uint16_t half : halves)
    bytes += bytesOf(half);
  expectSame(vectorOf(cria::DType::F16, bytes, 10),
             {0.0f, -0.0f, 0x1p-24f, -0x1.ff8p-15f, 0x1p-14f, 1.0f, -3.140625f,
              65504.0f, INFINITY, -INFINITY});
}

TEST(Dequantize, F16NotANumber) {
  EXPECT_TRUE(
      std::isnan(vectorOf(cria::DType::F16, bytesOf<uint16_t>(0x7e01), 1)[0]));
}

TEST(Dequantize, RefusesRowOutOfRange) {
  cria::TensorView view;
  view.name = "w";
  view.dtype = cria::DType::F32;
  view.shape = {1, 1};
  std::string bytes(4, '\0');
  view.data = arrayRefFromStringRef(bytes);
  float out[1];
  EXPECT_HAS(messageOf(cria::dequantizeRow(view, 1, out)),
             "tensor 'w': row 1 is asked for; accepted: 0 to 0");
}

//===----------------------------------------------------------------------===//
// safetensors
//===----------------------------------------------------------------------===//

std::string container(const std::string &header, size_t dataBytes) {
  return bytesOf<uint64_t>(header.size()) + header +
         std::string(dataBytes, 'd');
}

std::string safetensorsError(const std::string &content) {
  return messageOf(
      cria::SafetensorsFile::parse(MemoryBufferRef(content, "m.st")));
}

std::string entry(const std::string &name, const std::string &dtype,
                  const std::string &shape, const std::string &offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

TEST(Safetensors, ReadsTensorsByOffset) {
  std::string content = container("{" + entry("b", "F32", "[2,1]", "[4,12]") +
                                      "," + entry("a", "BF16", "[2]", "[0,4]") +
                                      ",\"__metadata__\":{\"format\":\"pt\"}}",
                                  12);
  auto file = cria::SafetensorsFile::parse(MemoryBufferRef(content, "m.st"));
  ASSERT_TRUE(bool(file)) << messageOf(std::move(file));
  ASSERT_EQ((*file)->tensors().size(), 2u);
  EXPECT_EQ((*file)->tensors()[0].name, "a");
  EXPECT_EQ((*file)->tensors()[1].bytes.size(), 8u);
  EXPECT_EQ((*file)->metadata().at("format"), "pt");
}

TEST(Safetensors, TruncationAtEveryByteIsAnError) {
  std::string content =
      container("{" + entry("a", "U8", "[3]", "[0,3]") + "}", 3);
  for (size_t size = 0; size < content.size(); ++size)
    EXPECT_NE(safetensorsError(content.substr(0, size)), "") << size;
}

TEST(Safetensors, RefusesAHole) {
  EXPECT_HAS(safetensorsError(
                 container("{" + entry("a", "U8", "[3]", "[1,4]") + "}", 4)),
             "tensor 'a' leaves a hole before it");
}

TEST(Safetensors, RefusesOverlap) {
  EXPECT_HAS(
      safetensorsError(container("{" + entry("a", "U8", "[3]", "[0,3]") + "," +
                                     entry("b", "U8", "[3]", "[2,5]") + "}",
                                 5)),
      "tensor 'b' overlaps its predecessor");
}

TEST(Safetensors, RefusesTrailingBytes) {
  EXPECT_HAS(safetensorsError(
                 container("{" + entry("a", "U8", "[3]", "[0,3]") + "}", 4)),
             "holds 4 bytes of data; its tensors account for 3");
}

TEST(Safetensors, RefusesSizeThatIsNotTheShapes) {
  EXPECT_HAS(safetensorsError(
                 container("{" + entry("a", "F16", "[3]", "[0,3]") + "}", 3)),
             "has 3 bytes by its data_offsets");
}

TEST(Safetensors, RefusesUnknownDtype) {
  EXPECT_HAS(safetensorsError(
                 container("{" + entry("a", "F7", "[3]", "[0,3]") + "}", 3)),
             "key 'dtype' is 'F7'; accepted: F32, F16");
}

TEST(Safetensors, RefusesOverflowingShape) {
  EXPECT_HAS(
      safetensorsError(container(
          "{" + entry("a", "F32", "[4294967296,4294967296]", "[0,0]") + "}",
          0)),
      "size overflows");
}

TEST(Safetensors, RefusesAbsurdHeaderLength) {
  EXPECT_HAS(safetensorsError(bytesOf<uint64_t>(~uint64_t(0)) + "{}"),
             "claims a header of 18446744073709551615 bytes");
}

TEST(Safetensors, RefusesDeepNesting) {
  EXPECT_HAS(
      safetensorsError(container("{\"a\":" + std::string(100000, '['), 0)),
      "nests deeper than 64");
}

TEST(Safetensors, FolderJoinsShards) {
  Folder folder;
  folder.write("m-1.safetensors",
               container("{" + entry("a", "U8", "[3]", "[0,3]") + "}", 3));
  folder.write("m-2.safetensors",
               container("{" + entry("b", "U8", "[2]", "[0,2]") + "}", 2));
  folder.write("model.safetensors.index.json",
               R"({"metadata":{},"weight_map":{"a":"m-1.safetensors",)"
               R"("b":"m-2.safetensors"}})");
  auto source = cria::TensorSource::open(folder.path);
  ASSERT_TRUE(bool(source)) << messageOf(std::move(source));
  EXPECT_EQ((*source)->names().size(), 2u);
  EXPECT_EQ((*source)->find("b")->data.size(), 2u);
}

TEST(Safetensors, IndexMayNotLeaveTheFolder) {
  Folder folder;
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a":"../x.safetensors"}})");
  EXPECT_HAS(messageOf(cria::TensorSource::open(folder.path)),
             "the name of a file in the same folder");
}

TEST(Safetensors, ShardMustHoldWhatTheIndexSays) {
  Folder folder;
  folder.write("s", container("{}", 0));
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"s"}})");
  EXPECT_HAS(messageOf(cria::TensorSource::open(folder.path)),
             "lacks the tensor 'a'");
}

TEST(Safetensors, EmptyFolderSaysWhatIsMissing) {
  Folder folder;
  EXPECT_HAS(messageOf(cria::TensorSource::open(folder.path)),
             "accepted: model.safetensors");
}

//===----------------------------------------------------------------------===//
// The writer
//===----------------------------------------------------------------------===//

/// Ragged sizes and one tensor without bytes.
Error writeThree(const std::string &path) {
  auto writer = cria::SafetensorsWriter::create(path);
  if (!writer)
    return writer.takeError();
  cria::SafetensorsWriter &w = **writer;
  std::vector<uint8_t> first(100), second(24), third(130);
  for (size_t i = 0; i < first.size(); ++i)
    first[i] = static_cast<uint8_t>(i * 7);
  third.back() = 9;
  if (Error error = w.setMetadata("layout", "n16k4 \"q\""))
    return error;
  if (Error error = w.addTensor("first", "U8", {100}, 100))
    return error;
  if (Error error = w.addTensor("none", "F32", {0, 4}, 0))
    return error;
  if (Error error = w.addTensor("second", "F32", {2, 3}, 24))
    return error;
  if (Error error = w.addTensor("third", "BF16", {65}, 130))
    return error;
  if (Error error = w.write(ArrayRef(first).take_front(33)))
    return error;
  if (Error error = w.write(ArrayRef(first).drop_front(33)))
    return error;
  if (Error error = w.write(second))
    return error;
  if (w.current() != "third")
    return createStringError("current() is " + w.current());
  if (Error error = w.write(third))
    return error;
  return w.commit();
}

TEST(SafetensorsWriter, ReadsBackAligned) {
  Folder folder;
  std::string path = folder / "m.safetensors";
  ASSERT_EQ(messageOf(writeThree(path)), "");
  auto file = cria::SafetensorsFile::open(path);
  ASSERT_TRUE(bool(file)) << messageOf(std::move(file));
  EXPECT_EQ((*file)->metadata().at("layout"), "n16k4 \"q\"");
  const cria::SafetensorsTensor *first = (*file)->find("first");
  const cria::SafetensorsTensor *third = (*file)->find("third");
  ASSERT_TRUE(first && third);
  EXPECT_EQ(first->offset % 4096, 0u);
  EXPECT_EQ((*file)->find("second")->offset % 64, 0u);
  EXPECT_EQ(third->offset % 64, 0u);
  EXPECT_EQ(first->bytes[99], uint8_t(99 * 7));
  EXPECT_EQ(third->bytes[129], 9);
}

TEST(SafetensorsWriter, SameCallsSameBytes) {
  Folder folder;
  ASSERT_EQ(messageOf(writeThree(folder / "a")), "");
  ASSERT_EQ(messageOf(writeThree(folder / "b")), "");
  auto a = MemoryBuffer::getFile(folder / "a");
  auto b = MemoryBuffer::getFile(folder / "b");
  ASSERT_TRUE(a && b);
  EXPECT_TRUE((*a)->getBuffer() == (*b)->getBuffer());
}

TEST(SafetensorsWriter, NoCommitLeavesNothing) {
  Folder folder;
  {
    auto writer = cria::SafetensorsWriter::create(folder / "m");
    ASSERT_TRUE(bool(writer)) << messageOf(std::move(writer));
    EXPECT_EQ(folder.fileCount(), 1u);
  }
  EXPECT_EQ(folder.fileCount(), 0u);
}

TEST(SafetensorsWriter, CommitWantsEveryByte) {
  Folder folder;
  auto writer = cantFail(cria::SafetensorsWriter::create(folder / "m"));
  cantFail(writer->addTensor("t", "U8", {4}, 4));
  cantFail(writer->write({1, 2, 3}));
  EXPECT_HAS(messageOf(writer->commit()),
             "tensor 't' has 3 bytes written of 4");
}

TEST(SafetensorsWriter, RefusesBytesBeyondTheTensor) {
  Folder folder;
  auto writer = cantFail(cria::SafetensorsWriter::create(folder / "m"));
  cantFail(writer->addTensor("t", "U8", {2}, 2));
  EXPECT_HAS(messageOf(writer->write({1, 2, 3})),
             "tensor 't' has room for 2 more bytes, 3 are written");
}

TEST(SafetensorsWriter, RefusesSizeThatIsNotTheShapes) {
  Folder folder;
  auto writer = cantFail(cria::SafetensorsWriter::create(folder / "m"));
  EXPECT_HAS(messageOf(writer->addTensor("t", "F32", {2}, 4)),
             "declared with 4 bytes; accepted: 8");
}

TEST(SafetensorsWriter, FailedWriteNamesThePath) {
  Folder folder;
  std::string path = folder / "m";
  // A limit on the file's size stands for a full disk.
  rlimit old, low;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  low = old;
  low.rlim_cur = 1 << 16;
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  std::string message;
  {
    auto writer = cantFail(cria::SafetensorsWriter::create(path));
    std::vector<uint8_t> data(3 << 20);
    cantFail(writer->addTensor("t", "U8", {3 << 20}, 3 << 20));
    message = messageOf(writer->write(data));
  }
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(message.rfind(path + ": cannot write: ", 0), 0u) << message;
  EXPECT_EQ(folder.fileCount(), 0u);
}

TEST(SafetensorsWriter, KeepsAPercentSignInThePath) {
  Folder folder;
  ASSERT_EQ(messageOf(writeThree(folder / "a%b")), "");
  EXPECT_TRUE(sys::fs::exists(folder / "a%b"));
}

//===----------------------------------------------------------------------===//
// TensorSource
//===----------------------------------------------------------------------===//

TEST(TensorSource, ReversesGgmlDims) {
  Folder folder;
  auto source = cria::TensorSource::open(folder.write("m.gguf", smallGguf(3)));
  ASSERT_TRUE(bool(source)) << messageOf(std::move(source));
  const cria::TensorView *w = cantFail((*source)->get("w"));
  EXPECT_EQ(w->shape, (SmallVector<int64_t, 4>{2, 32}));
  EXPECT_EQ(w->dtype, cria::DType::Q4_0);
  EXPECT_NE((*source)->gguf(), nullptr);
}

TEST(TensorSource, GetNamesAMissingTensor) {
  Folder folder;
  auto source =
      cantFail(cria::TensorSource::open(folder.write("m.gguf", smallGguf(3))));
  EXPECT_HAS(messageOf(source->get("x")), "m.gguf: lacks the tensor 'x'");
}

TEST(TensorSource, ReleaseKeepsTheBytes) {
  Folder folder;
  std::string data(1 << 20, 'x');
  for (size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<char>(i * 31 >> 3);
  auto source = cantFail(cria::TensorSource::open(folder.write(
      "m.gguf",
      GgufBuilder(3).tensor("t", {data.size() / 4}, 0, data).finish())));
  const cria::TensorView *view = source->find("t");
  source->release(*view);
  EXPECT_TRUE(toStringRef(view->data) == data);
}

TEST(TensorSource, ReleaseKeepsTheBytesOfASmallFile) {
  // Small files are read to the heap, where dropping pages would clear them.
  Folder folder;
  std::string data(12000, 'x');
  auto source = cantFail(cria::TensorSource::open(folder.write(
      "m.gguf", GgufBuilder(3).tensor("t", {3000}, 0, data).finish())));
  const cria::TensorView *view = source->find("t");
  source->release(*view);
  EXPECT_TRUE(toStringRef(view->data) == data);
}

TEST(TensorSource, HashDependsOnEveryByte) {
  Folder folder;
  std::string content = smallGguf(3);
  auto a = cantFail(cria::TensorSource::open(folder.write("a", content)));
  auto same = cantFail(cria::TensorSource::open(folder.write("b", content)));
  content.back() ^= 1;
  auto other = cantFail(cria::TensorSource::open(folder.write("c", content)));
  EXPECT_EQ(a->contentHash().size(), 32u);
  EXPECT_EQ(a->contentHash(), same->contentHash());
  EXPECT_NE(a->contentHash(), other->contentHash());
}

TEST(TensorSource, RefusesSplitGguf) {
  Folder folder;
  std::string path = folder.write(
      "m", GgufBuilder(3).raw("split.count", 2, bytesOf<uint16_t>(3)).finish());
  EXPECT_HAS(messageOf(cria::TensorSource::open(path)),
             "'split.count' is 3; accepted: 1");
}

TEST(TensorSource, RefusesAnotherFormat) {
  Folder folder;
  EXPECT_HAS(messageOf(cria::TensorSource::open(
                 folder.write("m", "PK\x03\x04 a zip archive"))),
             "accepted: a GGUF file, a safetensors file");
}

TEST(TensorSource, RefusesADevice) {
  EXPECT_HAS(messageOf(cria::TensorSource::open("/dev/zero")),
             "is not a regular file");
}

} // namespace
