// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// GGUF tokenizer metadata to tokenizer.json.

#include "cria/text.h"
#include "text/GgufTokenizer.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

using namespace cria;

namespace {

struct Freed {
  void operator()(cria_tokenizer *Tokenizer) const {
    cria_tokenizer_free(Tokenizer);
  }
};
using Tokenizer = std::unique_ptr<cria_tokenizer, Freed>;
using Ids = std::vector<int32_t>;

Tokenizer load(const std::string &Json) {
  cria_tokenizer *New = nullptr;
  cria_error Error;
  EXPECT_EQ(
      cria_tokenizer_load_json(Json.data(), Json.size(), nullptr, &New, &Error),
      CRIA_OK)
      << Error.message;
  return Tokenizer(New);
}

Tokenizer convert(const GgufTokenizerMetadata &Metadata) {
  std::string Json, Error;
  EXPECT_TRUE(ggufToTokenizerJson(Metadata, Json, Error)) << Error;
  return load(Json);
}

std::string refusal(const GgufTokenizerMetadata &Metadata) {
  std::string Json, Error;
  EXPECT_FALSE(ggufToTokenizerJson(Metadata, Json, Error));
  return Error;
}

Ids encode(const Tokenizer &From, std::string_view Text) {
  Ids All(8 * Text.size() + 8);
  size_t Count = 0;
  cria_error Error;
  EXPECT_EQ(cria_tokenizer_encode(From.get(), Text.data(), Text.size(),
                                  CRIA_ENCODE_ADD_SPECIAL, All.data(),
                                  All.size(), &Count, &Error),
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

/// A byte-level tokenizer of a few tokens.
GgufTokenizerMetadata gpt2(const char *Pre) {
  GgufTokenizerMetadata M;
  M.model = "gpt2";
  M.pre = Pre;
  M.tokens = {"<s>", "</s>", "1",  "2",      "12",
              "a",   "b",    "ab", "\u0120", "\u0120a"};
  M.tokenTypes = {3, 3, 1, 1, 1, 1, 1, 1, 1, 1};
  M.merges = {"1 2", "a b", "\u0120 a"};
  M.bosId = 0;
  M.eosIds = {1};
  return M;
}

/// A SentencePiece one: bytes 0x0A and 0xC3 A9 are the only byte tokens.
GgufTokenizerMetadata llama() {
  GgufTokenizerMetadata M;
  M.model = "llama";
  M.tokens = {"<unk>",  "<s>",     "</s>", "<0x0A>",   "<0xC3>",
              "<0xA9>", "\u2581a", "ab",   "\u2581ab", "\u2581",
              "a",      "b",       "[x]"};
  M.tokenTypes = {2, 3, 3, 6, 6, 6, 1, 1, 1, 1, 1, 1, 4};
  M.scores = {0, 0, 0, 0, 0, 0, -1, -2, -3, -4, -5, -6, 0};
  M.bosId = 1;
  M.unknownId = 0;
  M.eosIds = {2};
  return M;
}

TEST(GgufTokenizer, SmolLmSplitsDigits) {
  EXPECT_EQ(encode(convert(gpt2("smollm")), "12"), (Ids{2, 3}));
}

TEST(GgufTokenizer, Gpt2KeepsDigits) {
  EXPECT_EQ(encode(convert(gpt2("gpt-2")), "12"), (Ids{4}));
}

TEST(GgufTokenizer, OlmoKeepsDigits) {
  EXPECT_EQ(encode(convert(gpt2("olmo")), "12"), (Ids{4}));
}

TEST(GgufTokenizer, StableLm2SplitsDigits) {
  EXPECT_EQ(encode(convert(gpt2("stablelm2")), "12"), (Ids{2, 3}));
}

TEST(GgufTokenizer, Llama3AddsBos) {
  EXPECT_EQ(encode(convert(gpt2("llama-bpe")), "ab"), (Ids{0, 7}));
}

TEST(GgufTokenizer, Llama3IgnoresMerges) {
  GgufTokenizerMetadata M = gpt2("llama-bpe");
  M.merges = {"1 2"};
  M.addBos = false;
  EXPECT_EQ(encode(convert(M), "ab"), (Ids{7}));
}

TEST(GgufTokenizer, AddEosAppends) {
  GgufTokenizerMetadata M = gpt2("gpt-2");
  M.addEos = true;
  EXPECT_EQ(encode(convert(M), "a"), (Ids{5, 1}));
}

TEST(GgufTokenizer, ControlTokensAreSpecial) {
  Tokenizer T = convert(gpt2("gpt-2"));
  EXPECT_EQ(encode(T, "a</s>"), (Ids{5, 1}));
  EXPECT_TRUE(cria_tokenizer_is_special(T.get(), 1));
}

TEST(GgufTokenizer, EndsAreKept) {
  Tokenizer T = convert(gpt2("gpt-2"));
  EXPECT_EQ(cria_tokenizer_bos_id(T.get()), 0);
  EXPECT_TRUE(cria_tokenizer_is_eos(T.get(), 1));
}

TEST(GgufTokenizer, EmptyTokensGetANameOfTheirOwn) {
  GgufTokenizerMetadata M = gpt2("gpt-2");
  M.tokens.insert(M.tokens.end(), 2, "");
  M.tokenTypes.insert(M.tokenTypes.end(), 2, 5);
  EXPECT_EQ(cria_tokenizer_vocab_size(convert(M).get()), 12);
}

class EveryPreTokenizer : public testing::TestWithParam<std::string> {};

TEST_P(EveryPreTokenizer, Loads) {
  GgufTokenizerMetadata M = gpt2(GetParam().c_str());
  M.addBos = false;
  EXPECT_EQ(encode(convert(M), "ab a"), (Ids{7, 9}));
}

INSTANTIATE_TEST_SUITE_P(GgufTokenizer, EveryPreTokenizer,
                         testing::ValuesIn(supportedGgufPreTokenizers()));

TEST(GgufTokenizer, MergesFollowTheScores) {
  // "▁ab": "▁a" (-1) is better than "ab" (-2).
  EXPECT_EQ(encode(convert(llama()), "ab ab"), (Ids{1, 8, 8}));
  GgufTokenizerMetadata M = llama();
  M.tokens[8] = "unused";
  EXPECT_EQ(encode(convert(M), "ab"), (Ids{1, 6, 11}));
  std::swap(M.scores[6], M.scores[7]);
  EXPECT_EQ(encode(convert(M), "ab"), (Ids{1, 9, 7}));
}

TEST(GgufTokenizer, UnknownCharactersBecomeBytes) {
  EXPECT_EQ(encode(convert(llama()), "a\u00e9\n"), (Ids{1, 6, 4, 5, 3}));
}

TEST(GgufTokenizer, SpacePrefixCanBeOff) {
  GgufTokenizerMetadata M = llama();
  M.addSpacePrefix = false;
  EXPECT_EQ(encode(convert(M), "a a"), (Ids{1, 10, 6}));
}

TEST(GgufTokenizer, UserDefinedTokensAreCutOut) {
  EXPECT_EQ(encode(convert(llama()), "a[x]"), (Ids{1, 6, 12}));
}

TEST(GgufTokenizer, SentencePieceTextComesBack) {
  Tokenizer T = convert(llama());
  EXPECT_EQ(decode(T, encode(T, "ab a\u00e9\n")), "ab a\u00e9\n");
}

struct Spoiled {
  const char *Name;
  bool Llama;
  void (*Spoil)(GgufTokenizerMetadata &);
  const char *Message;

  /// For GoogleTest, which would print bytes.
  friend void PrintTo(const Spoiled &Case, std::ostream *Out) {
    *Out << Case.Name;
  }
};

class RefusedMetadata : public testing::TestWithParam<Spoiled> {};

TEST_P(RefusedMetadata, NamesTheKey) {
  GgufTokenizerMetadata M = GetParam().Llama ? llama() : gpt2("gpt-2");
  GetParam().Spoil(M);
  std::string Message = refusal(M);
  EXPECT_NE(Message.find(GetParam().Message), std::string::npos) << Message;
}

using M = GgufTokenizerMetadata;
INSTANTIATE_TEST_SUITE_P(
    GgufTokenizer, RefusedMetadata,
    testing::Values(
        Spoiled{"Model", false, [](M &X) { X.model = "bert"; },
                "tokenizer.ggml.model is 'bert', supported are gpt2 and llama"},
        Spoiled{"Pre", false, [](M &X) { X.pre = "what"; },
                "tokenizer.ggml.pre is 'what', supported are default, gpt-2"},
        Spoiled{"NoTokens", false, [](M &X) { X.tokens.clear(); },
                "tokenizer.ggml.tokens is empty"},
        Spoiled{"NoMerges", false, [](M &X) { X.merges.clear(); },
                "tokenizer.ggml.merges"},
        Spoiled{"BadMerge", false, [](M &X) { X.merges[1] = "ab"; },
                "tokenizer.ggml.merges[1] is 'ab'"},
        Spoiled{"Repeated", false, [](M &X) { X.tokens[5] = "1"; },
                "tokenizer.ggml.tokens[5] repeats '1' of [2]"},
        Spoiled{"NotUtf8", false, [](M &X) { X.tokens[5] = "\xFF"; },
                "tokenizer.ggml.tokens[5] is not valid UTF-8"},
        Spoiled{"Types", false, [](M &X) { X.tokenTypes.pop_back(); },
                "tokenizer.ggml.token_type has 9 entries for 10 tokens"},
        Spoiled{"Bos", false, [](M &X) { X.bosId = 10; },
                "tokenizer.ggml.bos_token_id is 10"},
        Spoiled{"NoEos", false,
                [](M &X) {
                  X.eosIds.clear();
                  X.addEos = true;
                },
                "tokenizer.ggml.add_eos_token"},
        Spoiled{"Scores", true, [](M &X) { X.scores.clear(); },
                "tokenizer.ggml.scores has 0 entries for 13 tokens"},
        Spoiled{"Unknown", true, [](M &X) { X.unknownId = -7; },
                "tokenizer.ggml.unknown_token_id is -7"}),
    [](const testing::TestParamInfo<Spoiled> &Info) {
      return std::string(Info.param.Name);
    });

TEST(AnnotateTokenizerJson, KeepsTheRestOfTheText) {
  std::string Json, Error;
  ASSERT_TRUE(annotateTokenizerJson(
      "{\n \"x\": {\"model\": {}}, \"model\" : { \"type\": \"BPE\" }\n}\n", 1,
      {2, 3}, Json, Error))
      << Error;
  EXPECT_EQ(Json, "{\n \"x\": {\"model\": {}}, \"model\" : "
                  "{\"cria\":{\"bos_id\":1,\"eos_ids\":[2,3]}, "
                  "\"type\": \"BPE\" }\n}\n");
}

TEST(AnnotateTokenizerJson, ReplacesWhatIsThere) {
  std::string Json, Error;
  ASSERT_TRUE(annotateTokenizerJson(
      R"({"cria":{"bos_id":9},"model":{"cria":{"bos_id":8}}})", -1, {5}, Json,
      Error))
      << Error;
  EXPECT_EQ(Json, R"({"model":{"cria":{"bos_id":null,"eos_ids":[5]}}})");
}

TEST(AnnotateTokenizerJson, RefusesWhatIsNoTokenizer) {
  std::string Json, Error;
  EXPECT_FALSE(annotateTokenizerJson("[1]", 1, {2}, Json, Error));
  EXPECT_EQ(Error, "tokenizer.json has no object 'model'");
}

} // namespace
