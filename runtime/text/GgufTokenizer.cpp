// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "GgufTokenizer.h"
#include "TextError.h"
#include "Unicode.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <tuple>
#include <unordered_map>

using namespace cria;
using namespace cria::text;
using Json = nlohmann::json;

namespace {

// ---------------------------------------------------------------------------
// Pre-tokenizers, as the models' own tokenizer.json files have them.

/// A Split step of the expression.
Json split(const std::string &Expression) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", Expression}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

Json byteLevel(bool UseRegex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", UseRegex}};
}

Json digits(bool Individual) {
  return {{"type", "Digits"}, {"individual_digits", Individual}};
}

Json sequence(std::vector<Json> Steps) {
  return {{"type", "Sequence"}, {"pretokenizers", std::move(Steps)}};
}

constexpr const char *Gpt2 =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
    "|\\s+(?!\\S)|\\s+";
constexpr const char *Llama3 =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char *Qwen2 =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char *Tekken =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
    "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char *Gpt4o =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+"
    "|\\s+(?!\\S)|\\s+";
// The letters of scripts with case, which DeepSeek LLM spells out; then ASCII
// and fullwidth punctuation; then CJK, kana and Hangul.
constexpr const char *DeepSeekLetters =
    "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf"
    "\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f"
    "\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-"
    "\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba"
    "\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-"
    "\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-"
    "\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-"
    "\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107"
    "\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-"
    "\u2134"
    "\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-"
    "\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f"
    "\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-"
    "\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-"
    "\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-"
    "\U000118df\U0001e900-\U0001e943]+";
constexpr const char *DeepSeekPunctuation =
    "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+";
constexpr const char *DeepSeekCjk =
    "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";
constexpr const char *DeepSeekV3Cjk =
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
constexpr const char *DeepSeekV3 =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
    "|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

// All but the punctuation of many scripts, in a class inside a class.
constexpr const char *Bloom =
    " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+";

struct PreTokenizerKind {
  const char *Name;
  std::function<Json()> Make;
  bool Nfc = false;          // the model normalizes to form C
  bool IgnoreMerges = false; // a word that is a token is not merged
  bool AddBos = false;       // where add_bos_token is absent
};

const std::vector<PreTokenizerKind> &preTokenizers() {
  auto One = [](const char *Expression) {
    return [=] { return sequence({split(Expression), byteLevel(false)}); };
  };
  auto PlainGpt2 = [] { return byteLevel(true); };
  auto DigitsGpt2 = [] { return sequence({digits(true), byteLevel(true)}); };
  static const std::vector<PreTokenizerKind> Kinds = {
      // What llama.cpp does for files that do not say.
      {"default",
       [] {
         return sequence({split("[\\p{P}\\$\\+<=>\\^~\\|]+"), split(Gpt2),
                          split("\\p{N}+"), split("[0-9][0-9][0-9]"),
                          byteLevel(false)});
       }},
      {"gpt-2", PlainGpt2},
      {"phi-2", PlainGpt2},
      // GPT-NeoX's, which OLMo 1 has too.
      {"mpt", PlainGpt2, /*Nfc=*/true},
      {"olmo", PlainGpt2, /*Nfc=*/true},
      {"smollm", DigitsGpt2},
      {"starcoder", DigitsGpt2},
      {"refact", DigitsGpt2}, // and Granite
      {"codeshell", DigitsGpt2},
      {"command-r", DigitsGpt2, /*Nfc=*/true},
      {"falcon",
       [] {
         return sequence(
             {Json{{"type", "Punctuation"}, {"behavior", "Contiguous"}},
              byteLevel(true), digits(false), split("[0-9][0-9][0-9]")});
       }},
      {"llama3", One(Llama3), false, /*IgnoreMerges=*/true, /*AddBos=*/true},
      {"llama-v3", One(Llama3), false, true, true},
      {"llama-bpe", One(Llama3), false, true, true},
      {"falcon3", One(Llama3), false, true, true},
      {"dbrx", One(Llama3)}, // and OLMo 2
      {"smaug-bpe", One(Llama3)},
      {"qwen2", One(Qwen2), /*Nfc=*/true},
      {"deepseek-r1-qwen", One(Qwen2), /*Nfc=*/true},
      {"stablelm2", One(Qwen2), /*Nfc=*/true},
      {"bloom", One(Bloom)},
      {"poro-chat", One(Bloom)},
      {"gpt3-finnish", One(Bloom)},
      {"tekken", One(Tekken), false, true, true},
      {"gpt-4o", One(Gpt4o)},
      {"llama4", One(Gpt4o)},
      {"deepseek-llm",
       [] {
         return sequence({split("[\r\n]"), split(DeepSeekLetters),
                          split(DeepSeekPunctuation), split("\\s+$"),
                          split(DeepSeekCjk), digits(true), byteLevel(false)});
       }},
      {"deepseek-coder",
       [] {
         return sequence({split("[\r\n]"), split("\\s?\\p{L}+"),
                          split("\\s?\\p{P}+"), split(DeepSeekCjk),
                          digits(true), byteLevel(false)});
       }},
      {"deepseek-v3",
       [] {
         return sequence({split("\\p{N}{1,3}"), split(DeepSeekV3Cjk),
                          split(DeepSeekV3), byteLevel(false)});
       }},
  };
  return Kinds;
}

// ---------------------------------------------------------------------------
// The file.

enum TokenType {
  Normal = 1,
  Unknown = 2,
  Control = 3,
  UserDefined = 4,
  Unused = 5,
  Byte = 6
};

constexpr std::string_view Space = "\u2581"; // SentencePiece's

/// A JSON string; throws TextError naming the key where it is not UTF-8.
std::string quoted(const std::string &Text, const char *Key, size_t Index) {
  if (validUtf8Prefix(Text) != Text.size())
    fail(CRIA_INVALID_DATA, std::string(Key) + "[" + std::to_string(Index) +
                                "] is not valid UTF-8");
  return Json(Text).dump();
}

class Converter {
public:
  explicit Converter(const GgufTokenizerMetadata &Metadata) : In(Metadata) {}

  std::string run() {
    if (In.model != "gpt2" && In.model != "llama")
      fail(CRIA_UNSUPPORTED, "tokenizer.ggml.model is '" + In.model +
                                 "', supported are gpt2 and llama");
    if (In.tokens.empty())
      fail(CRIA_INVALID_DATA, "tokenizer.ggml.tokens is empty");
    if (In.tokens.size() > INT32_MAX)
      fail(CRIA_INVALID_DATA, "tokenizer.ggml.tokens has too many entries");
    if (!In.tokenTypes.empty())
      sameCount("token_type", In.tokenTypes.size());
    nameTokens();
    return In.model == "gpt2" ? gpt2() : llama();
  }

private:
  void sameCount(const char *Key, size_t Count) {
    if (Count != In.tokens.size())
      fail(CRIA_INVALID_DATA, std::string("tokenizer.ggml.") + Key + " has " +
                                  std::to_string(Count) + " entries for " +
                                  std::to_string(In.tokens.size()) + " tokens");
  }

  int32_t type(size_t Id) const {
    return In.tokenTypes.empty() ? int32_t(Normal) : In.tokenTypes[Id];
  }

  void checkId(const char *Key, int64_t Id) {
    if (Id < -1 || Id >= static_cast<int64_t>(In.tokens.size()))
      fail(CRIA_INVALID_DATA, std::string("tokenizer.ggml.") + Key + " is " +
                                  std::to_string(Id) + ", expected an id of " +
                                  std::to_string(In.tokens.size()) + " tokens");
  }

  /// Spellings must be distinct to be keys. Only empty ones (padding of the
  /// embedding table) may repeat.
  void nameTokens() {
    checkId("bos_token_id", In.bosId);
    checkId("unknown_token_id", In.unknownId);
    for (int64_t Id : In.eosIds)
      checkId("eos_token_id", Id);
    Names = In.tokens;
    Ids.reserve(Names.size());
    for (size_t Id = 0; Id < Names.size(); ++Id) {
      if (Names[Id].empty())
        Names[Id] = "[EMPTY_" + std::to_string(Id) + "]";
      auto [Other, New] = Ids.emplace(Names[Id], static_cast<int32_t>(Id));
      if (!New)
        fail(CRIA_UNSUPPORTED, "tokenizer.ggml.tokens[" + std::to_string(Id) +
                                   "] repeats '" + Names[Id] + "' of [" +
                                   std::to_string(Other->second) + "]");
    }
  }

  /// SentencePiece finds its user-defined pieces after spaces have become
  /// U+2581.
  bool isNormalized(size_t Id) const {
    return In.model == "llama" && type(Id) == UserDefined &&
           Names[Id].find(Space) != std::string::npos;
  }

  /// Tokens that are cut out of a text before the model sees it.
  bool isAdded(size_t Id) const {
    if (In.tokens[Id].empty())
      return false;
    int32_t Type = type(Id);
    if (Type == Control || Type == Unknown)
      return true;
    // Where a space is put in front of a text, Hugging Face's reader would do
    // the same to the token: such pieces are left to the merges.
    return Type == UserDefined &&
           (!isNormalized(Id) || !In.addSpacePrefix.value_or(true));
  }

  static std::string is(const std::vector<int64_t> &List, size_t Id) {
    bool Found = std::find(List.begin(), List.end(),
                           static_cast<int64_t>(Id)) != List.end();
    return Found ? "true" : "false";
  }

  std::string addedTokens() {
    std::string Out = "[";
    for (size_t Id = 0; Id < Names.size(); ++Id) {
      if (!isAdded(Id))
        continue;
      bool Special = type(Id) != UserDefined;
      Out += Out.size() > 1 ? ",\n" : "\n";
      Out += "{\"id\":" + std::to_string(Id) +
             ",\"content\":" + quoted(Names[Id], "tokenizer.ggml.tokens", Id) +
             ",\"single_word\":" + is(In.singleWord, Id) +
             ",\"lstrip\":" + is(In.leftStrip, Id) +
             ",\"rstrip\":" + is(In.rightStrip, Id) +
             ",\"normalized\":" + (isNormalized(Id) ? "true" : "false") +
             ",\"special\":" + (Special ? "true}" : "false}");
    }
    return Out + "]";
  }

  std::string vocabulary() {
    std::string Out = "{";
    for (size_t Id = 0; Id < Names.size(); ++Id) {
      Out += Id ? ",\n" : "\n";
      Out += quoted(Names[Id], "tokenizer.ggml.tokens", Id) + ":" +
             std::to_string(Id);
    }
    return Out + "}";
  }

  Json postProcessor(bool AddBos, bool AddEos) {
    if (!AddBos && !AddEos)
      return nullptr;
    Json Single = Json::array(), Specials = Json::object();
    auto Special = [&](const char *Key, int64_t Id) {
      if (Id < 0)
        fail(CRIA_INVALID_DATA, std::string("tokenizer.ggml.add_") + Key +
                                    "_token is true, but there is no " + Key +
                                    "_token_id");
      const std::string &Name = Names[Id];
      quoted(Name, "tokenizer.ggml.tokens", Id);
      Single.push_back({{"SpecialToken", {{"id", Name}, {"type_id", 0}}}});
      Specials[Name] = {{"id", Name},
                        {"ids", Json::array({Id})},
                        {"tokens", Json::array({Name})}};
    };
    if (AddBos)
      Special("bos", In.bosId);
    Single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
    if (AddEos)
      Special("eos", In.eosIds.empty() ? -1 : In.eosIds[0]);
    // Hugging Face's reader wants the template for pairs as well.
    Json Pair = Single;
    Pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
    return {{"type", "TemplateProcessing"},
            {"single", Single},
            {"pair", Pair},
            {"special_tokens", Specials}};
  }

  std::string file(const Json &Normalizer, const Json &PreTokenizer,
                   const Json &PostProcessor, const Json &Decoder,
                   Json ModelFacts, const std::string &Merges) {
    Json Ends;
    Ends["bos_id"] = In.bosId < 0 ? Json() : Json(In.bosId);
    Ends["eos_ids"] = Json::array();
    for (int64_t Id : In.eosIds)
      if (Id >= 0)
        Ends["eos_ids"].push_back(Id);
    // In the model, not at the top: Hugging Face's reader refuses unknown keys
    // there. The model's facts come as an object that the large members join.
    ModelFacts["cria"] = Ends;
    std::string Model = ModelFacts.dump();
    Model.pop_back();
    return "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,"
           "\n\"added_tokens\":" +
           addedTokens() + ",\n\"normalizer\":" + Normalizer.dump() +
           ",\n\"pre_tokenizer\":" + PreTokenizer.dump() +
           ",\n\"post_processor\":" + PostProcessor.dump() +
           ",\n\"decoder\":" + Decoder.dump() + ",\n\"model\":" + Model +
           ",\n\"vocab\":" + vocabulary() + ",\n\"merges\":" + Merges + "}}\n";
  }

  std::string gpt2() {
    std::string Pre = In.pre.empty() ? "default" : In.pre;
    const PreTokenizerKind *Kind = nullptr;
    std::string Supported;
    for (const PreTokenizerKind &Candidate : preTokenizers()) {
      Supported += std::string(Supported.empty() ? "" : ", ") + Candidate.Name;
      if (Pre == Candidate.Name)
        Kind = &Candidate;
    }
    if (!Kind)
      fail(CRIA_UNSUPPORTED,
           "tokenizer.ggml.pre is '" + Pre + "', supported are " + Supported);
    if (In.merges.empty())
      fail(CRIA_INVALID_DATA, "tokenizer.ggml.merges is absent or empty");
    std::string Merges = "[";
    for (size_t I = 0; I < In.merges.size(); ++I) {
      // A token may start with a space, never be empty.
      const std::string &Merge = In.merges[I];
      size_t At = Merge.find(' ', 1);
      if (At == std::string::npos || At + 1 == Merge.size())
        fail(CRIA_INVALID_DATA, "tokenizer.ggml.merges[" + std::to_string(I) +
                                    "] is '" + Merge +
                                    "', expected two tokens with a space "
                                    "between them");
      Merges += I ? ",\n[" : "\n[";
      Merges += quoted(Merge.substr(0, At), "tokenizer.ggml.merges", I) + "," +
                quoted(Merge.substr(At + 1), "tokenizer.ggml.merges", I) + "]";
    }
    bool AddBos = In.addBos.value_or(Kind->AddBos && In.bosId >= 0);
    return file(
        Kind->Nfc ? Json{{"type", "NFC"}} : Json(),
        In.pattern.empty() ? Kind->Make()
                           : sequence({split(In.pattern), byteLevel(false)}),
        postProcessor(AddBos, In.addEos.value_or(false)), byteLevel(true),
        {{"type", "BPE"},
         {"dropout", nullptr},
         {"unk_token", nullptr},
         {"continuing_subword_prefix", nullptr},
         {"end_of_word_suffix", nullptr},
         {"fuse_unk", false},
         {"byte_fallback", false},
         {"ignore_merges", Kind->IgnoreMerges}},
        Merges + "]");
  }

  /// SentencePiece merges the pair that makes the piece with the best score.
  /// As merges: every way to cut a piece in two, by score; ties go to the
  /// longer left part, as in transformers' conversion.
  std::string mergesFromScores() {
    struct Cut {
      float Score;
      uint32_t LeftChars, RightChars;
      int32_t Piece, Left, Right;
    };
    std::vector<Cut> Cuts;
    for (size_t Id = 0; Id < Names.size(); ++Id) {
      if (isAdded(Id) || type(Id) == Byte || In.tokens[Id].empty())
        continue;
      std::string_view Piece = Names[Id];
      if (Piece.size() > MaxPieceBytes)
        fail(CRIA_UNSUPPORTED, "tokenizer.ggml.tokens[" + std::to_string(Id) +
                                   "] has " + std::to_string(Piece.size()) +
                                   " bytes, at most " +
                                   std::to_string(MaxPieceBytes) + " are read");
      if (std::isnan(In.scores[Id]))
        fail(CRIA_INVALID_DATA, "tokenizer.ggml.scores[" + std::to_string(Id) +
                                    "] is not a number");
      auto IsStart = [&](size_t At) {
        return (static_cast<unsigned char>(Piece[At]) & 0xC0) != 0x80;
      };
      uint32_t Chars = 0;
      for (size_t At = 0; At < Piece.size(); ++At)
        Chars += IsStart(At);
      uint32_t LeftChars = 0;
      for (size_t At = 1; At < Piece.size(); ++At) {
        if (!IsStart(At))
          continue;
        ++LeftChars;
        auto Left = Ids.find(Piece.substr(0, At)),
             Right = Ids.find(Piece.substr(At));
        if (Left != Ids.end() && Right != Ids.end())
          Cuts.push_back({In.scores[Id], LeftChars, Chars - LeftChars,
                          static_cast<int32_t>(Id), Left->second,
                          Right->second});
      }
    }
    std::sort(Cuts.begin(), Cuts.end(), [](const Cut &A, const Cut &B) {
      if (A.Score != B.Score)
        return A.Score > B.Score;
      auto Key = [](const Cut &C) {
        // Descending lengths, then ascending ids.
        return std::make_tuple(~C.LeftChars, ~C.RightChars, C.Piece, C.Left,
                               C.Right);
      };
      return Key(A) < Key(B);
    });
    std::string Out = "[";
    for (const Cut &Each : Cuts) {
      Out += Out.size() > 1 ? ",\n[" : "\n[";
      Out +=
          quoted(Names[Each.Left], "tokenizer.ggml.tokens", Each.Left) + "," +
          quoted(Names[Each.Right], "tokenizer.ggml.tokens", Each.Right) + "]";
    }
    return Out + "]";
  }

  std::string llama() {
    sameCount("scores", In.scores.size());
    if (In.tokenTypes.empty())
      fail(CRIA_INVALID_DATA, "tokenizer.ggml.token_type is absent");
    bool Prefix = In.addSpacePrefix.value_or(true);
    Json ToPiece = {{"type", "Replace"},
                    {"pattern", {{"String", " "}}},
                    {"content", Space}};
    Json Normalizer = ToPiece;
    if (Prefix)
      Normalizer = {{"type", "Sequence"},
                    {"normalizers",
                     Json::array({Json{{"type", "Prepend"}, {"prepend", Space}},
                                  ToPiece})}};
    Json Decoders =
        Json::array({Json{{"type", "Replace"},
                          {"pattern", {{"String", Space}}},
                          {"content", " "}},
                     Json{{"type", "ByteFallback"}}, Json{{"type", "Fuse"}}});
    if (Prefix)
      Decoders.push_back(
          {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    int64_t UnknownId = In.unknownId;
    for (size_t Id = 0; UnknownId < 0 && Id < Names.size(); ++Id)
      if (type(Id) == Unknown)
        UnknownId = static_cast<int64_t>(Id);
    bool AddBos = In.addBos.value_or(In.bosId >= 0);
    return file(Normalizer, nullptr,
                postProcessor(AddBos, In.addEos.value_or(false)),
                {{"type", "Sequence"}, {"decoders", Decoders}},
                {{"type", "BPE"},
                 {"dropout", nullptr},
                 {"unk_token", UnknownId < 0 ? Json() : Json(Names[UnknownId])},
                 {"continuing_subword_prefix", nullptr},
                 {"end_of_word_suffix", nullptr},
                 {"fuse_unk", true},
                 {"byte_fallback", true},
                 {"ignore_merges", false}},
                mergesFromScores());
  }

  // Cutting a piece at every place costs the square of its length.
  static constexpr size_t MaxPieceBytes = 4096;

  const GgufTokenizerMetadata &In;
  std::vector<std::string> Names;
  std::unordered_map<std::string_view, int32_t> Ids;
};

/// Where the brace of the top-level object "model" is in valid JSON; npos where
/// the key is spelled with escapes or occurs twice.
size_t findModel(std::string_view Text) {
  size_t Found = std::string_view::npos, Depth = 0;
  for (size_t At = 0; At < Text.size(); ++At) {
    if (Text[At] == '{' || Text[At] == '[')
      ++Depth;
    else if (Text[At] == '}' || Text[At] == ']')
      --Depth;
    if (Text[At] != '"')
      continue;
    size_t Begin = At + 1;
    for (++At; Text[At] != '"'; ++At)
      At += Text[At] == '\\';
    if (Depth != 1 || Text.substr(Begin, At - Begin) != "model")
      continue;
    size_t Colon = Text.find_first_not_of(" \t\r\n", At + 1);
    if (Colon == std::string_view::npos || Text[Colon] != ':')
      continue; // a value
    size_t Value = Text.find_first_not_of(" \t\r\n", Colon + 1);
    if (Found != std::string_view::npos || Text[Value] != '{')
      return std::string_view::npos;
    Found = Value;
  }
  return Found;
}

/// Runs `Body`, turning what it throws into a message.
template <typename Function> bool caught(std::string &Error, Function &&Body) {
  try {
    Body();
    return true;
  } catch (const TextError &Failure) {
    Error = Failure.message;
  } catch (const std::exception &Failure) {
    Error = Failure.what();
  }
  return false;
}

} // namespace

bool cria::ggufToTokenizerJson(const GgufTokenizerMetadata &Metadata,
                               std::string &Text, std::string &Error) {
  return caught(Error, [&] { Text = Converter(Metadata).run(); });
}

std::vector<std::string> cria::supportedGgufPreTokenizers() {
  std::vector<std::string> Names;
  for (const PreTokenizerKind &Kind : preTokenizers())
    Names.push_back(Kind.Name);
  return Names;
}

bool cria::annotateTokenizerJson(std::string_view TokenizerJson, int64_t BosId,
                                 const std::vector<int64_t> &EosIds,
                                 std::string &Text, std::string &Error) {
  return caught(Error, [&] {
    Json Document = Json::parse(TokenizerJson.begin(), TokenizerJson.end());
    if (!Document.is_object() || !Document.contains("model") ||
        !Document["model"].is_object())
      fail(CRIA_INVALID_DATA, "tokenizer.json has no object 'model'");
    Json Ends;
    Ends["bos_id"] = BosId < 0 ? Json() : Json(BosId);
    Ends["eos_ids"] = EosIds;
    std::string Member = "\"cria\":" + Ends.dump();
    size_t Brace = findModel(TokenizerJson);
    if (Document.contains("cria") || Document["model"].contains("cria") ||
        Brace == std::string_view::npos) {
      Document.erase("cria");
      Document["model"]["cria"] = Ends;
      Text = Document.dump();
      return;
    }
    Text = TokenizerJson.substr(0, Brace + 1);
    Text += Member;
    if (!Document["model"].empty())
      Text += ",";
    Text += TokenizerJson.substr(Brace + 1);
  });
}
