// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Token ids and decoded texts against Hugging Face's tokenizers package. The
// data come from test/e2e/tokenizer_golden.py, which describes them.

#include "cria/text.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

using Json = nlohmann::json;

namespace {

const Json &golden() {
  static const Json Data = [] {
    std::ifstream File(CRIA_TEST_DATA_DIR "/tokenizer_golden.json");
    return Json::parse(File, nullptr, /*allow_exceptions=*/false);
  }();
  return Data;
}

/// The tokenizer.json that a case stands for.
std::string tokenizerJson(const Json &Case) {
  Json Model = golden()["models"][Case["model"].get<std::string>()];
  Model.update(Case["options"]);
  Json Ids = Model["vocab"];
  int64_t Largest = 0;
  for (const Json &Id : Ids)
    Largest = std::max(Largest, Id.get<int64_t>());
  Json Added = Json::array();
  for (Json Token : Case["added"]) {
    std::string Content = Token["content"];
    if (!Ids.contains(Content))
      Ids[Content] = ++Largest;
    Token["id"] = Ids[Content];
    Added.push_back(Token);
  }
  Json Post = Case["post_processor"];
  if (!Post.is_null())
    for (const Json &Name : Post["names"])
      Post["special_tokens"][Name.get<std::string>()] = {
          {"id", Name},
          {"ids", Json::array({Ids[Name.get<std::string>()]})},
          {"tokens", Json::array({Name})}};
  return Json{{"version", "1.0"},
              {"added_tokens", Added},
              {"normalizer", Case["normalizer"]},
              {"pre_tokenizer", Case["pre_tokenizer"]},
              {"post_processor", Post},
              {"decoder", Case["decoder"]},
              {"model", Model}}
      .dump();
}

struct Freed {
  void operator()(cria_tokenizer *Tokenizer) const {
    cria_tokenizer_free(Tokenizer);
  }
};

class Golden : public testing::TestWithParam<size_t> {
protected:
  void SetUp() override {
    Case = golden()["cases"][GetParam()];
    std::string Text = tokenizerJson(Case);
    cria_error Error;
    cria_tokenizer *New;
    ASSERT_EQ(cria_tokenizer_load_json(Text.data(), Text.size(), nullptr, &New,
                                       &Error),
              CRIA_OK)
        << Error.message;
    Tokenizer.reset(New);
  }

  std::vector<int32_t> encode(const std::string &Text) {
    std::vector<int32_t> Ids(4 * Text.size() + 16);
    size_t Count = 0;
    cria_error Error;
    EXPECT_EQ(cria_tokenizer_encode(Tokenizer.get(), Text.data(), Text.size(),
                                    CRIA_ENCODE_ADD_SPECIAL, Ids.data(),
                                    Ids.size(), &Count, &Error),
              CRIA_OK)
        << Error.message;
    Ids.resize(Count);
    return Ids;
  }

  Json Case;
  std::unique_ptr<cria_tokenizer, Freed> Tokenizer;
};

TEST_P(Golden, Ids) {
  const Json &Texts = golden()["texts"];
  for (size_t I = 0; I < Texts.size(); ++I)
    EXPECT_EQ(encode(Texts[I]), Case["ids"][I].get<std::vector<int32_t>>())
        << Texts[I];
}

TEST_P(Golden, Text) {
  const Json &Texts = golden()["texts"];
  for (size_t I = 0; I < Texts.size(); ++I) {
    auto Ids = Case["ids"][I].get<std::vector<int32_t>>();
    std::string Expected = Texts[I];
    if (Case["decoded"].contains(std::to_string(I)))
      Expected = Case["decoded"][std::to_string(I)];
    std::string Text(Ids.size() * 64 + 16, '\0');
    size_t Size = 0;
    cria_error Error;
    ASSERT_EQ(cria_tokenizer_decode(Tokenizer.get(), Ids.data(), Ids.size(),
                                    CRIA_DECODE_SPECIAL, Text.data(),
                                    Text.size(), &Size, &Error),
              CRIA_OK)
        << Error.message;
    Text.resize(Size);
    EXPECT_EQ(Text, Expected);
  }
}

TEST_P(Golden, StreamGivesTheSameText) {
  const Json &Texts = golden()["texts"];
  std::vector<char> Piece(cria_decoder_max_bytes(Tokenizer.get()));
  for (size_t I = 0; I < Texts.size(); ++I) {
    std::string Expected = Texts[I], Text;
    if (Case["decoded"].contains(std::to_string(I)))
      Expected = Case["decoded"][std::to_string(I)];
    cria_decoder Decoder;
    cria_decoder_init(Tokenizer.get(), CRIA_DECODE_SPECIAL, &Decoder);
    size_t Size = 0;
    cria_error Error;
    for (const Json &Id : Case["ids"][I]) {
      ASSERT_EQ(cria_decoder_push(Tokenizer.get(), &Decoder, Id, Piece.data(),
                                  Piece.size(), &Size, &Error),
                CRIA_OK)
          << Error.message;
      // Every part of the stream is whole characters: else this throws.
      std::string Part(Piece.data(), Size);
      ASSERT_NO_THROW(Json(Part).dump());
      Text += Part;
    }
    ASSERT_EQ(cria_decoder_finish(&Decoder, Piece.data(), Piece.size(), &Size,
                                  &Error),
              CRIA_OK);
    Text.append(Piece.data(), Size);
    EXPECT_EQ(Text, Expected);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Golden,
    testing::Range(size_t(0), golden().is_discarded()
                                  ? size_t(0)
                                  : golden()["cases"].size()),
    [](const testing::TestParamInfo<size_t> &Info) {
      return golden()["cases"][Info.param]["name"].get<std::string>();
    });

TEST(GoldenFile, IsThere) { EXPECT_FALSE(golden().is_discarded()); }

} // namespace
