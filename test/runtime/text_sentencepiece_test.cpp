// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tokenizer.model files, which are built here in the protocol buffer wire
// format: ModelProto of sentencepiece_model.proto.

#include "cria/text.h"
#include "text/GgufTokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

std::string varint(uint64_t Value) {
  std::string Out;
  for (; Value >= 0x80; Value >>= 7)
    Out += static_cast<char>(Value | 0x80);
  return Out + static_cast<char>(Value);
}

std::string number(int Field, uint64_t Value) {
  return varint(Field << 3) + varint(Value);
}

std::string bytes(int Field, const std::string &Value) {
  return varint(Field << 3 | 2) + varint(Value.size()) + Value;
}

std::string piece(const std::string &Text, float Score, int Type = 1) {
  char Raw[4];
  std::memcpy(Raw, &Score, 4);
  return bytes(1, bytes(1, Text) + varint(2 << 3 | 5) + std::string(Raw, 4) +
                      number(3, Type));
}

enum { Unknown = 2, Control = 3, Byte = 6 };

/// A model of type 1 (unigram) or 2 (BPE) with byte fallback.
std::string model(int Type, const std::string &NormalizerSpec = "") {
  std::string Out = piece("<unk>", 0, Unknown) + piece("<s>", 0, Control) +
                    piece("</s>", 0, Control);
  for (int I = 0; I < 256; ++I) {
    char Name[8];
    std::snprintf(Name, sizeof(Name), "<0x%02X>", I);
    Out += piece(Name, 0, Byte);
  }
  // Ids from 259.
  Out += piece("\u2581a", -1) + piece("b", -2) + piece("\u2581", -3) +
         piece("a", -4);
  // trainer_spec: model_type = 3, byte_fallback = 35.
  Out += bytes(2, number(3, Type) + number(35, 1));
  // normalizer_spec: remove_extra_whitespaces = 4.
  return Out + bytes(3, number(4, 0) + NormalizerSpec);
}

struct Freed {
  void operator()(cria_tokenizer *Tokenizer) const {
    cria_tokenizer_free(Tokenizer);
  }
};
using Tokenizer = std::unique_ptr<cria_tokenizer, Freed>;
using Ids = std::vector<int32_t>;

Tokenizer load(const std::string &Data,
               const cria_sentencepiece_options *Options = nullptr) {
  cria_tokenizer *New = nullptr;
  cria_error Error;
  EXPECT_EQ(cria_tokenizer_load_sentencepiece_memory(
                Data.data(), Data.size(), nullptr, Options, &New, &Error),
            CRIA_OK)
      << Error.message;
  return Tokenizer(New);
}

cria_status refusal(const std::string &Data) {
  cria_tokenizer *New = nullptr;
  return cria_tokenizer_load_sentencepiece_memory(
      Data.data(), Data.size(), nullptr, nullptr, &New, nullptr);
}

Ids encode(const Tokenizer &From, std::string_view Text,
           unsigned Flags = CRIA_ENCODE_ADD_SPECIAL) {
  Ids All(64);
  size_t Count = 0;
  cria_error Error;
  EXPECT_EQ(cria_tokenizer_encode(From.get(), Text.data(), Text.size(), Flags,
                                  All.data(), All.size(), &Count, &Error),
            CRIA_OK)
      << Error.message;
  All.resize(Count);
  return All;
}

std::string decode(const Tokenizer &From, const Ids &All) {
  std::string Text(256, '\0');
  size_t Size = 0;
  EXPECT_EQ(cria_tokenizer_decode(From.get(), All.data(), All.size(), 0,
                                  Text.data(), Text.size(), &Size, nullptr),
            CRIA_OK);
  Text.resize(Size);
  return Text;
}

class SentencePiece : public testing::TestWithParam<int> {};

TEST_P(SentencePiece, Encodes) {
  EXPECT_EQ(encode(load(model(GetParam())), "ab a"), (Ids{1, 259, 260, 259}));
}

TEST_P(SentencePiece, FallsBackToBytes) {
  EXPECT_EQ(encode(load(model(GetParam())), "a\u00e9"),
            (Ids{1, 259, 3 + 0xC3, 3 + 0xA9}));
}

TEST_P(SentencePiece, TextComesBack) {
  Tokenizer T = load(model(GetParam()));
  EXPECT_EQ(decode(T, encode(T, "ab a\u00e9")), "ab a\u00e9");
}

INSTANTIATE_TEST_SUITE_P(Models, SentencePiece, testing::Values(1, 2));

TEST(SentencePiece, OptionsSayWhatIsAdded) {
  cria_sentencepiece_options Options = {0, 1};
  EXPECT_EQ(encode(load(model(2), &Options), "a"), (Ids{259, 2}));
}

TEST(SentencePiece, ControlPiecesAreFound) {
  EXPECT_EQ(encode(load(model(2)), "a</s>", 0), (Ids{259, 2}));
}

TEST(SentencePiece, PlainTextHasNoControlPieces) {
  Ids All = encode(load(model(2)), "</s>", CRIA_ENCODE_PLAIN_TEXT);
  EXPECT_EQ(std::count(All.begin(), All.end(), 2), 0);
}

TEST(SentencePiece, InvalidUtf8DoesNotFail) {
  EXPECT_FALSE(encode(load(model(2)), "a\xFF").empty());
}

TEST(SentencePiece, EndsComeFromTheModel) {
  Tokenizer T = load(model(2));
  EXPECT_EQ(cria_tokenizer_bos_id(T.get()), 1);
  EXPECT_TRUE(cria_tokenizer_is_eos(T.get(), 2));
}

TEST(SentencePiece, GarbageIsRefused) {
  EXPECT_EQ(refusal("not a model"), CRIA_INVALID_DATA);
}

TEST(SentencePiece, EmptyFileIsRefused) {
  EXPECT_EQ(refusal(""), CRIA_INVALID_DATA);
}

TEST(SentencePiece, TruncatedFileIsRefused) {
  std::string Data = model(2);
  EXPECT_EQ(refusal(Data.substr(0, Data.size() - 1)), CRIA_INVALID_DATA);
}

TEST(SentencePiece, CharacterMapPastItsEndIsRefused) {
  // One trie unit that points far outside, and one byte of text.
  std::string Map("\x04\0\0\0\xFF\xFF\xFF\x7F\0", 9);
  EXPECT_EQ(refusal(model(2, bytes(2, Map))), CRIA_INVALID_DATA);
}

/// The tokenizer.json that the importer makes of a model.
Tokenizer convert(const std::string &Data) {
  cria::GgufTokenizerMetadata Metadata;
  std::string Json, Message;
  EXPECT_TRUE(cria::readSentencePiece(Data, Metadata, Message)) << Message;
  EXPECT_TRUE(cria::ggufToTokenizerJson(Metadata, Json, Message)) << Message;
  cria_tokenizer *New = nullptr;
  cria_error Error;
  EXPECT_EQ(
      cria_tokenizer_load_json(Json.data(), Json.size(), nullptr, &New, &Error),
      CRIA_OK)
      << Error.message;
  return Tokenizer(New);
}

std::string conversionRefusal(const std::string &Data) {
  cria::GgufTokenizerMetadata Metadata;
  std::string Message;
  EXPECT_FALSE(cria::readSentencePiece(Data, Metadata, Message));
  return Message;
}

TEST(ConvertSentencePiece, GivesTheLibrarysIds) {
  EXPECT_EQ(encode(convert(model(2)), "ab a\u00e9  b"),
            encode(load(model(2)), "ab a\u00e9  b"));
}

TEST(ConvertSentencePiece, DummyPrefixCanBeOff) {
  EXPECT_EQ(encode(convert(model(2, number(3, 0))), "a a"), (Ids{1, 262, 259}));
}

TEST(ConvertSentencePiece, EndsComeFromTheModel) {
  Tokenizer T = convert(model(2));
  EXPECT_EQ(cria_tokenizer_bos_id(T.get()), 1);
  EXPECT_TRUE(cria_tokenizer_is_eos(T.get(), 2));
}

TEST(ConvertSentencePiece, RunsOfSpacesAreCutOutBeforeMerges) {
  enum { UserDefined = 4 };
  std::string Data = model(2, number(3, 0)) +
                     piece("\u2581\u2581", 0, UserDefined) +
                     piece("\u2581\u2581\u2581a", 0);
  EXPECT_EQ(encode(convert(Data), "b   a"), (Ids{1, 260, 263, 259}));
}

TEST(ConvertSentencePiece, EveryCutIsRefused) {
  std::string Data = model(2), Message;
  for (size_t Size = 0; Size < Data.size(); ++Size) {
    cria::GgufTokenizerMetadata Metadata;
    EXPECT_FALSE(
        cria::readSentencePiece(Data.substr(0, Size), Metadata, Message));
  }
}

struct Unconvertible {
  const char *Name;
  std::string Data, Message;

  /// For GoogleTest, which would print bytes.
  friend void PrintTo(const Unconvertible &Case, std::ostream *Out) {
    *Out << Case.Name;
  }
};

class RefusedConversion : public testing::TestWithParam<Unconvertible> {};

TEST_P(RefusedConversion, NamesTheField) {
  EXPECT_EQ(conversionRefusal(GetParam().Data), GetParam().Message);
}

INSTANTIATE_TEST_SUITE_P(
    ConvertSentencePiece, RefusedConversion,
    testing::Values(
        Unconvertible{"Unigram", model(1),
                      "trainer_spec.model_type is unigram, supported is bpe"},
        Unconvertible{
            "Normalization", model(2, bytes(1, "nmt_nfkc") + bytes(2, "x")),
            "normalizer_spec.name is 'nmt_nfkc', supported is identity"},
        Unconvertible{"ExtraWhitespaces", model(2, number(4, 1)),
                      "normalizer_spec.remove_extra_whitespaces is true, "
                      "supported is false"},
        Unconvertible{"EscapedWhitespaces", model(2, number(5, 0)),
                      "normalizer_spec.escape_whitespaces is false, supported "
                      "is true"},
        Unconvertible{"Suffix", model(2) + bytes(2, number(24, 1)),
                      "trainer_spec.treat_whitespace_as_suffix is true, "
                      "supported is false"},
        Unconvertible{"Twice", model(2) + piece("a", 0),
                      "pieces[263], 'a', occurs twice"},
        Unconvertible{"NotUtf8", model(2) + piece("\xFF", 0),
                      "pieces[263] is not valid UTF-8 of 1 to 4096 bytes"},
        Unconvertible{"Type", model(2) + piece("x", 0, 9),
                      "pieces[263].type is 9, expected 1 to 6"},
        Unconvertible{"Bos", model(2) + bytes(2, number(41, 500)),
                      "trainer_spec.bos_id is 500, there are 263 pieces"},
        Unconvertible{"Empty", "",
                      "not a SentencePiece model: it has no pieces"}),
    [](const testing::TestParamInfo<Unconvertible> &Info) {
      return std::string(Info.param.Name);
    });

} // namespace
