// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The tokenizer's C API: what it refuses, invalid UTF-8, streams, capacities.

#include "cria/text.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace {

struct Freed {
  void operator()(cria_tokenizer *Tokenizer) const {
    cria_tokenizer_free(Tokenizer);
  }
};
using Tokenizer = std::unique_ptr<cria_tokenizer, Freed>;

Tokenizer load(const std::string &Json) {
  cria_tokenizer *New = nullptr;
  cria_error Error;
  EXPECT_EQ(cria_tokenizer_load_json(Json.data(), Json.size(), "t.json", &New,
                                     &Error),
            CRIA_OK)
      << Error.message;
  return Tokenizer(New);
}

/// The message of a file that must be refused with `Status`.
std::string refusal(const std::string &Json, cria_status Status) {
  cria_tokenizer *New = nullptr;
  cria_error Error;
  EXPECT_EQ(cria_tokenizer_load_json(Json.data(), Json.size(), "t.json", &New,
                                     &Error),
            Status)
      << Error.message;
  EXPECT_EQ(New, nullptr);
  return Error.message;
}

std::vector<int32_t> encode(const Tokenizer &From, std::string_view Text,
                            unsigned Flags = 0) {
  std::vector<int32_t> Ids(4 * Text.size() + 16);
  size_t Count = 0;
  cria_error Error;
  EXPECT_EQ(cria_tokenizer_encode(From.get(), Text.data(), Text.size(), Flags,
                                  Ids.data(), Ids.size(), &Count, &Error),
            CRIA_OK)
      << Error.message;
  Ids.resize(Count);
  return Ids;
}

std::string push(const Tokenizer &From, cria_decoder &Decoder, int32_t Id) {
  std::string Text(cria_decoder_max_bytes(From.get()), '\0');
  size_t Size = 0;
  cria_error Error;
  EXPECT_EQ(cria_decoder_push(From.get(), &Decoder, Id, Text.data(),
                              Text.size(), &Size, &Error),
            CRIA_OK)
      << Error.message;
  Text.resize(Size);
  return Text;
}

using Ids = std::vector<int32_t>;

/// A tokenizer.json; `Members` come after the model, `Model` inside it.
std::string file(const std::string &Vocab, const std::string &Merges,
                 const std::string &Members = "",
                 const std::string &Model = "") {
  return R"({"model":{"type":"BPE",)" + Model + R"("vocab":{)" + Vocab +
         R"(},"merges":[)" + Merges + "]}" + (Members.empty() ? "" : ",") +
         Members + "}";
}

const char *const Bytes = R"("pre_tokenizer":{"type":"ByteLevel",
  "add_prefix_space":false},"decoder":{"type":"ByteLevel"})";

/// Byte-level, with the two bytes of U+00E9 (\u00c3\u00a9 in its alphabet),
/// two bytes that cannot stand in UTF-8, and a control token.
Tokenizer byteLevel() {
  return load(file(R"("a":0,"b":1,"Ã":2,"©":3,"ÿ":4,"þ":5,"ab":6,"Ġ":7,
                      "<":8,"e":9,">":10,"<e>":11)",
                   R"("a b")",
                   std::string(Bytes) +
                       R"(,"added_tokens":[{"id":11,"content":"<e>",
                          "special":true,"normalized":false}])",
                   R"("cria":{"bos_id":7,"eos_ids":[11,1]},)"));
}

TEST(Tokenizer, MergesAsLists) {
  Tokenizer T = load(file(R"("a":0,"b":1,"ab":2)", R"(["a","b"])"));
  EXPECT_EQ(encode(T, "abb"), (Ids{2, 1}));
}

TEST(Tokenizer, MergesBeforeTheVocabulary) {
  Tokenizer T =
      load(R"({"model":{"merges":["a b"],"vocab":{"a":0,"b":1,"ab":2}}})");
  EXPECT_EQ(encode(T, "abb"), (Ids{2, 1}));
}

TEST(Tokenizer, EscapedSpellings) {
  Tokenizer T = load(file(R"("\u0061":0,"\ud83d\ude00":1,"\"\\":2,"\"":3,
                             "\\":4)",
                          R"("\u0022 \\")"));
  EXPECT_EQ(encode(T, "a\U0001F600\"\\\""), (Ids{0, 1, 2, 3}));
}

TEST(Tokenizer, MergesByRankNotByPlace) {
  Tokenizer T =
      load(file(R"("a":0,"b":1,"c":2,"ab":3,"bc":4)", R"("b c","a b")"));
  EXPECT_EQ(encode(T, "abc"), (Ids{0, 4}));
}

TEST(Tokenizer, LongWordsAreNotQuadratic) {
  Tokenizer T = load(file(R"("a":0,"aa":1,"aaaa":2)", R"("a a","aa aa")"));
  EXPECT_EQ(encode(T, std::string(1 << 20, 'a')).size(), 1u << 18);
}

TEST(Tokenizer, LongWhiteSpaceIsNotQuadratic) {
  Tokenizer T = load(file(
      R"("Ġ":0)", "",
      R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split",
      "behavior":"Isolated","pattern":{"Regex":"\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
      {"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})"));
  EXPECT_EQ(encode(T, std::string(1 << 20, ' ')).size(), 1u << 20);
}

TEST(Tokenizer, ClassesInsideClassesAreJoined) {
  Tokenizer T = load(file(R"("a":0,"b":1,"-":2,"ab":3,"a-":4,"-b":5)",
                          R"("a b","a -","- b")",
                          R"("pre_tokenizer":{"type":"Split",
      "behavior":"Isolated","pattern":{"Regex":"[x[-]a]"}})"));
  EXPECT_EQ(encode(T, "a-bab"), (Ids{0, 2, 1, 0, 1}));
}

TEST(Tokenizer, InvalidUtf8IsKeptByteByByte) {
  Tokenizer T = byteLevel();
  EXPECT_EQ(encode(T, "a\xFF\xFE"
                      "ab\xC3"),
            (Ids{0, 4, 5, 6, 2}));
}

TEST(Tokenizer, InvalidUtf8BecomesByteTokens) {
  Tokenizer T = load(file(R"("a":0,"<0xFF>":1)", "",
                          R"("decoder":{"type":"ByteFallback"})",
                          R"("byte_fallback":true,)"));
  EXPECT_EQ(encode(T, "a\xFF"), (Ids{0, 1}));
}

TEST(Tokenizer, InvalidUtf8BecomesUnknown) {
  Tokenizer T = load(file(R"("a":0,"?":1)", "", "", R"("unk_token":"?",)"));
  EXPECT_EQ(encode(T, "a\xFF\xFF"), (Ids{0, 1, 1}));
}

TEST(Tokenizer, NothingIsPrependedAfterInvalidUtf8) {
  Tokenizer T = load(file(R"("a":0,"_":1,"<0xFF>":2)", "",
                          R"("normalizer":{"type":"Prepend","prepend":"_"})",
                          R"("byte_fallback":true,)"));
  EXPECT_EQ(encode(T, "a\xFF"
                      "a"),
            (Ids{1, 0, 2, 0}));
}

TEST(Tokenizer, SpecialTokensAreFound) {
  EXPECT_EQ(encode(byteLevel(), "a<e>"), (Ids{0, 11}));
}

TEST(Tokenizer, PlainTextHasNoSpecialTokens) {
  EXPECT_EQ(encode(byteLevel(), "a<e>", CRIA_ENCODE_PLAIN_TEXT),
            (Ids{0, 8, 9, 10}));
}

TEST(Tokenizer, LongestAddedTokenWins) {
  Tokenizer T = load(file(R"("a":0,"x":1,"xy":2)", "",
                          R"("added_tokens":[{"id":1,"content":"x"},
                             {"id":2,"content":"xy"}])"));
  EXPECT_EQ(encode(T, "axyx"), (Ids{0, 2, 1}));
}

TEST(Tokenizer, SmallCapacityTellsTheCount) {
  Tokenizer T = byteLevel();
  int32_t Small[1];
  size_t Count = 0;
  cria_error Error;
  EXPECT_EQ(
      cria_tokenizer_encode(T.get(), "aab", 3, 0, Small, 1, &Count, &Error),
      CRIA_OUT_OF_RANGE);
  EXPECT_EQ(Count, 2u);
}

TEST(Tokenizer, EndsAreReadFromTheModel) {
  Tokenizer T = byteLevel();
  EXPECT_EQ(cria_tokenizer_bos_id(T.get()), 7);
  size_t Count;
  const int32_t *Eos = cria_tokenizer_eos_ids(T.get(), &Count);
  EXPECT_EQ(Ids(Eos, Eos + Count), (Ids{11, 1}));
  EXPECT_TRUE(cria_tokenizer_is_eos(T.get(), 1));
  EXPECT_FALSE(cria_tokenizer_is_eos(T.get(), 7));
}

TEST(Tokenizer, EndsAreReadFromTheTop) {
  Tokenizer T = load(file(R"("a":0,"b":1)", "", R"("cria":{"eos_ids":[1]})"));
  EXPECT_TRUE(cria_tokenizer_is_eos(T.get(), 1));
  EXPECT_EQ(cria_tokenizer_bos_id(T.get()), -1);
}

TEST(Tokenizer, TokensCanBeLookedUp) {
  Tokenizer T = byteLevel();
  size_t Size;
  const char *Text = cria_tokenizer_token_text(T.get(), 6, &Size);
  EXPECT_EQ(std::string(Text, Size), "ab");
  EXPECT_EQ(cria_tokenizer_token_id(T.get(), "ab", 2), 6);
  EXPECT_EQ(cria_tokenizer_token_id(T.get(), "zz", 2), -1);
  EXPECT_EQ(cria_tokenizer_token_text(T.get(), 12, &Size), nullptr);
  EXPECT_EQ(cria_tokenizer_token_bytes(T.get(), -1, &Size), nullptr);
  const uint8_t *Raw = cria_tokenizer_token_bytes(T.get(), 7, &Size);
  EXPECT_EQ(std::string(reinterpret_cast<const char *>(Raw), Size), " ");
  EXPECT_TRUE(cria_tokenizer_is_special(T.get(), 11));
  EXPECT_FALSE(cria_tokenizer_is_special(T.get(), 6));
  EXPECT_EQ(cria_tokenizer_vocab_size(T.get()), 12);
}

TEST(Decoder, HoldsBackUnfinishedCharacters) {
  Tokenizer T = byteLevel();
  cria_decoder D;
  cria_decoder_init(T.get(), 0, &D);
  EXPECT_EQ(push(T, D, 2), "");
  EXPECT_EQ(push(T, D, 3), "\u00e9");
}

TEST(Decoder, ReplacesBrokenCharacters) {
  Tokenizer T = byteLevel();
  cria_decoder D;
  cria_decoder_init(T.get(), 0, &D);
  EXPECT_EQ(push(T, D, 2), "");
  EXPECT_EQ(push(T, D, 0), "\uFFFD"
                           "a");
  EXPECT_EQ(push(T, D, 4), "\uFFFD");
}

TEST(Decoder, FinishReplacesWhatIsHeldBack) {
  Tokenizer T = byteLevel();
  cria_decoder D;
  cria_decoder_init(T.get(), 0, &D);
  push(T, D, 2);
  char Text[8];
  size_t Size;
  ASSERT_EQ(cria_decoder_finish(&D, Text, sizeof(Text), &Size, nullptr),
            CRIA_OK);
  EXPECT_EQ(std::string(Text, Size), "\uFFFD");
}

TEST(Decoder, SkipsSpecialTokens) {
  Tokenizer T = byteLevel();
  cria_decoder D;
  cria_decoder_init(T.get(), 0, &D);
  EXPECT_EQ(push(T, D, 11), "");
}

TEST(Decoder, WritesSpecialTokensWhenAsked) {
  Tokenizer T = byteLevel();
  cria_decoder D;
  cria_decoder_init(T.get(), CRIA_DECODE_SPECIAL, &D);
  EXPECT_EQ(push(T, D, 11), "<e>");
}

TEST(Decoder, SmallCapacityChangesNothing) {
  Tokenizer T = byteLevel();
  cria_decoder D;
  cria_decoder_init(T.get(), 0, &D);
  push(T, D, 2);
  char Text[1];
  size_t Size;
  cria_error Error;
  EXPECT_EQ(cria_decoder_push(T.get(), &D, 3, Text, 1, &Size, &Error),
            CRIA_OUT_OF_RANGE);
  EXPECT_EQ(Size, 2u);
  EXPECT_EQ(push(T, D, 3), "\u00e9");
}

TEST(Decoder, UnknownIdIsAnError) {
  Tokenizer T = byteLevel();
  int32_t Id = 99;
  size_t Size;
  cria_error Error;
  EXPECT_EQ(
      cria_tokenizer_decode(T.get(), &Id, 1, 0, nullptr, 0, &Size, &Error),
      CRIA_INVALID_ARGUMENT);
}

TEST(Decoder, StripsTheFirstSpaceOnly) {
  Tokenizer T = load(file(R"("▁a":0)", "", R"("decoder":{"type":"Sequence",
    "decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
    {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]})"));
  cria_decoder D;
  cria_decoder_init(T.get(), 0, &D);
  EXPECT_EQ(push(T, D, 0), "a");
  EXPECT_EQ(push(T, D, 0), " a");
}

TEST(LoadTokenizer, MissingFileIsNotFound) {
  cria_tokenizer *New;
  cria_error Error;
  EXPECT_EQ(cria_tokenizer_load("no/such/file.json", &New, &Error),
            CRIA_NOT_FOUND);
  EXPECT_NE(std::string(Error.message).find("no/such/file.json"),
            std::string::npos);
}

struct Refused {
  const char *Name;
  std::string Json;
  cria_status Status;
  const char *Message; // what the message must contain

  /// For GoogleTest, which would print bytes.
  friend void PrintTo(const Refused &Case, std::ostream *Out) {
    *Out << Case.Name;
  }
};

class RefusedFiles : public testing::TestWithParam<Refused> {};

TEST_P(RefusedFiles, NameTheReason) {
  std::string Message = refusal(GetParam().Json, GetParam().Status);
  EXPECT_EQ(Message.find("t.json: "), 0u) << Message;
  EXPECT_NE(Message.find(GetParam().Message), std::string::npos) << Message;
}

std::string with(const char *Member) { return file(R"("a":0)", "", Member); }

INSTANTIATE_TEST_SUITE_P(
    LoadTokenizer, RefusedFiles,
    testing::Values(
        Refused{"NoJson", "{", CRIA_INVALID_DATA, "not valid JSON"},
        Refused{"NoJsonInTheVocabulary", file(R"("a":0,)", ""),
                CRIA_INVALID_DATA, "not valid JSON"},
        Refused{"NoJsonInTheMerges", file(R"("a":0)", R"(["a","a")"),
                CRIA_INVALID_DATA, "not valid JSON"},
        Refused{"LoneSurrogate", file(R"("\ud83d":0)", ""), CRIA_INVALID_DATA,
                "not valid JSON"},
        Refused{"NoUtf8", file("\"\xff\":0", ""), CRIA_INVALID_DATA,
                "not valid JSON"},
        Refused{"LeadingZero", file(R"("a":00)", ""), CRIA_INVALID_DATA,
                "not valid JSON"},
        Refused{"FractionOfAnId", file(R"("a":1.5)", ""), CRIA_INVALID_DATA,
                "model.vocab['a'] is no id"},
        Refused{"TwoIds", file(R"("a":0,"a":1)", ""), CRIA_INVALID_DATA,
                "model.vocab['a'] is both 0 and 1"},
        Refused{"TwoVocabularies", file("", "", "", R"("vocab":{},)"),
                CRIA_INVALID_DATA, "model.vocab appears twice"},
        Refused{"NoObject", "[]", CRIA_INVALID_DATA, "JSON object"},
        Refused{"NoModel", "{}", CRIA_INVALID_DATA, "model is nothing"},
        Refused{"Unigram", R"({"model":{"type":"Unigram"}})", CRIA_UNSUPPORTED,
                "'Unigram' is not supported; supported: BPE"},
        Refused{"Normalizer", with(R"("normalizer":{"type":"Lowercase"})"),
                CRIA_UNSUPPORTED,
                "'Lowercase' is not supported; supported: NFC"},
        Refused{"PreTokenizer",
                with(R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[
                  {"type":"Digits"},{"type":"BertPreTokenizer"}]})"),
                CRIA_UNSUPPORTED, "pre_tokenizer.pretokenizers[1]: "},
        Refused{"PostProcessor",
                with(R"("post_processor":{"type":"BertProcessing"})"),
                CRIA_UNSUPPORTED, "'BertProcessing'"},
        Refused{"Decoder", with(R"("decoder":{"type":"WordPiece"})"),
                CRIA_UNSUPPORTED, "'WordPiece'"},
        Refused{
            "StripAtTheEnd",
            with(R"("decoder":{"type":"Sequence","decoders":[{"type":"Fuse"},
                  {"type":"Strip","content":" ","start":0,"stop":1}]})"),
            CRIA_UNSUPPORTED, "Strip after Fuse"},
        Refused{"NestedClass",
                with(R"("pre_tokenizer":{"type":"Split","behavior":"Isolated",
                  "pattern":{"Regex":"[a-z&&[^b]]"}})"),
                CRIA_UNSUPPORTED, "&&"},
        Refused{"NegatedClassInside",
                with(R"("pre_tokenizer":{"type":"Split","behavior":"Isolated",
                  "pattern":{"Regex":"[a[^b]]"}})"),
                CRIA_UNSUPPORTED, "a negated class inside a class"},
        Refused{"BadExpression",
                with(R"("pre_tokenizer":{"type":"Split","behavior":"Isolated",
                  "pattern":{"Regex":"(a"}})"),
                CRIA_UNSUPPORTED, "'(a'"},
        Refused{"Dropout", file(R"("a":0)", "", "", R"("dropout":0.1,)"),
                CRIA_UNSUPPORTED, "dropout"},
        Refused{"WordSuffix",
                file(R"("a":0)", "", "", R"("end_of_word_suffix":"</w>",)"),
                CRIA_UNSUPPORTED, "end_of_word_suffix"},
        Refused{"UnknownToken", file(R"("a":0)", "", "", R"("unk_token":"?",)"),
                CRIA_INVALID_DATA, "model.unk_token is \"?\""},
        Refused{"AbsurdId", file(R"("a":2000000000)", ""), CRIA_INVALID_DATA,
                "model.vocab['a']"},
        Refused{"NegativeId", file(R"("a":-1)", ""), CRIA_INVALID_DATA,
                "model.vocab['a']"},
        Refused{"SharedId", file(R"("a":0,"b":0)", ""), CRIA_INVALID_DATA,
                "also the id of 'a'"},
        Refused{"MergeOfUnknown", file(R"("a":0,"b":1)", R"("a b")"),
                CRIA_INVALID_DATA, "model.merges[0] needs 'ab'"},
        Refused{"MergeOfThree", file(R"("a":0)", R"("a a a")"),
                CRIA_INVALID_DATA, "model.merges[0]"},
        Refused{"AddedElsewhere",
                with(R"("added_tokens":[{"id":3,"content":"a"}])"),
                CRIA_INVALID_DATA, "added_tokens[0].id is 3"},
        Refused{"TemplateWithoutToken",
                with(R"("post_processor":{"type":"TemplateProcessing","single":[
                  {"SpecialToken":{"id":"x"}},{"Sequence":{"id":"A"}}],
                  "special_tokens":{}})"),
                CRIA_INVALID_DATA, "an entry for 'x'"},
        Refused{"BadEos", with(R"("cria":{"eos_ids":["a"]})"),
                CRIA_INVALID_DATA, "cria.eos_ids"}),
    [](const testing::TestParamInfo<Refused> &Info) {
      return std::string(Info.param.Name);
    });

TEST(LoadTokenizer, TextsThatDoubleAreRefused) {
  std::string Steps;
  for (int I = 0; I < 40; ++I)
    Steps += std::string(I ? "," : "") +
             R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
  Tokenizer T = load(
      with((R"("normalizer":{"type":"Sequence","normalizers":[)" + Steps + "]}")
               .c_str()));
  size_t Count;
  cria_error Error;
  EXPECT_EQ(
      cria_tokenizer_encode(T.get(), "a", 1, 0, nullptr, 0, &Count, &Error),
      CRIA_OUT_OF_RANGE);
}

TEST(LoadTokenizer, PatternsThatBacktrackForeverAreRefused) {
  Tokenizer T = load(with(R"("pre_tokenizer":{"type":"Split",
    "behavior":"Isolated","pattern":{"Regex":"(x+x+)+[yz]"}})"));
  std::string Text(200, 'x');
  size_t Count;
  cria_error Error;
  EXPECT_EQ(cria_tokenizer_encode(T.get(), Text.data(), Text.size(), 0, nullptr,
                                  0, &Count, &Error),
            CRIA_OUT_OF_RANGE);
}

} // namespace
