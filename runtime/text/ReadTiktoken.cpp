// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Vocabularies of byte strings by rank, in tiktoken's form (Llama 3's own
// tokenizer.model) and in Mistral's tekken.json, as the metadata that
// GgufTokenizer.cpp converts. A rank is a token's id and the order of merges at
// once: of the neighbours whose join is a token, those with the lowest rank
// become one. As a list of merges that is every way to cut a token in two, in
// the order of transformers' TikTokenConverter.

#include "GgufTokenizer.h"
#include "PreTokenizer.h"
#include "TextError.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>
#include <unordered_map>

using namespace cria;
using namespace cria::text;
using Json = nlohmann::json;

namespace {

// Cutting a token at every place costs the square of its length.
constexpr size_t MaxTokenBytes = 1024;
constexpr int32_t Control = 3; // as in GGUF

/// False where the text is not base64 with its padding (RFC 4648, section 4).
bool decodeBase64(std::string_view Text, std::string &Out) {
  static const std::array<int8_t, 256> Values = [] {
    std::array<int8_t, 256> Table;
    Table.fill(-1);
    std::string_view Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                              "uvwxyz0123456789+/";
    for (size_t I = 0; I < Digits.size(); ++I)
      Table[static_cast<unsigned char>(Digits[I])] = static_cast<int8_t>(I);
    return Table;
  }();
  Out.clear();
  if (Text.empty() || Text.size() % 4)
    return false;
  size_t Padding = Text.back() != '='             ? 0
                   : Text[Text.size() - 2] != '=' ? 1
                                                  : 2;
  uint32_t Bits = 0;
  for (size_t I = 0; I < Text.size(); ++I) {
    int Value = I < Text.size() - Padding
                    ? Values[static_cast<unsigned char>(Text[I])]
                    : 0;
    if (Value < 0)
      return false;
    Bits = Bits << 6 | static_cast<uint32_t>(Value);
    if (I % 4 == 3)
      for (int Shift : {16, 8, 0})
        Out += static_cast<char>(Bits >> Shift & 0xFF);
  }
  Out.resize(Out.size() - Padding);
  return true;
}

/// Byte strings by rank.
class Ranks {
public:
  /// `Where` names the entry for messages.
  void add(const std::string &Where, std::string_view Base64, uint64_t Rank) {
    std::string Bytes;
    if (!decodeBase64(Base64, Bytes))
      fail(CRIA_INVALID_DATA, Where + " is '" +
                                  std::string(Base64.substr(0, 40)) +
                                  "', expected base64 of 1 to " +
                                  std::to_string(MaxTokenBytes) + " bytes");
    if (Bytes.size() > MaxTokenBytes)
      fail(CRIA_UNSUPPORTED, Where + " has " + std::to_string(Bytes.size()) +
                                 " bytes, at most " +
                                 std::to_string(MaxTokenBytes) + " are read");
    if (Rank != Tokens.size())
      fail(CRIA_INVALID_DATA,
           Where + " has rank " + std::to_string(Rank) + ", expected " +
               std::to_string(Tokens.size()) + ", as ranks count from 0");
    Tokens.push_back(std::move(Bytes));
  }

  size_t size() const { return Tokens.size(); }

  /// Appends spellings and merges. No more merges than `MaxBytes` hold, which
  /// a vocabulary that was trained is far from.
  void finish(GgufTokenizerMetadata &Out, size_t MaxBytes) {
    Ids.reserve(Tokens.size());
    for (size_t Rank = 0; Rank < Tokens.size(); ++Rank)
      if (!Ids.emplace(Tokens[Rank], static_cast<int32_t>(Rank)).second)
        fail(CRIA_INVALID_DATA,
             "the token of rank " + std::to_string(Rank) + " occurs twice");
    for (int Byte = 0; Byte < 256; ++Byte) {
      char Text = static_cast<char>(Byte);
      if (!Ids.count(std::string_view(&Text, 1)))
        fail(CRIA_INVALID_DATA, "no token is byte " + std::to_string(Byte) +
                                    " alone, expected one for each byte");
    }
    const ByteAlphabet &Alphabet = ByteAlphabet::get();
    for (const std::string &Token : Tokens) {
      cut(Token);
      for (auto [Left, Right] : Cuts) {
        Out.merges.push_back(Alphabet.encode(Tokens[Left]) + ' ' +
                             Alphabet.encode(Tokens[Right]));
        if (Out.merges.back().size() > MaxBytes)
          fail(CRIA_UNSUPPORTED, "the token of rank " +
                                     std::to_string(&Token - Tokens.data()) +
                                     ": tokens are made of other tokens in "
                                     "more ways than are read");
        MaxBytes -= Out.merges.back().size();
      }
      Out.tokens.push_back(Alphabet.encode(Token));
    }
    Out.tokenTypes.resize(Out.tokens.size(), 1);
    Out.scores.resize(Out.tokens.size());
  }

private:
  /// The pairs of tokens that make this one.
  void cut(std::string_view Token) {
    Cuts.clear();
    for (size_t At = 1; At < Token.size(); ++At) {
      auto Left = Ids.find(Token.substr(0, At)),
           Right = Ids.find(Token.substr(At));
      if (Left != Ids.end() && Right != Ids.end())
        Cuts.emplace_back(Left->second, Right->second);
    }
    std::sort(Cuts.begin(), Cuts.end());
  }

  std::vector<std::string> Tokens;
  std::unordered_map<std::string_view, int32_t> Ids;
  std::vector<std::pair<int32_t, int32_t>> Cuts;
};

// Real vocabularies need about three times the size of their file.
size_t mergeBytesFor(size_t FileBytes) { return 32 * FileBytes; }

void addControl(GgufTokenizerMetadata &Out, std::string Name) {
  Out.tokens.push_back(std::move(Name));
  Out.tokenTypes.push_back(Control);
  Out.scores.push_back(0);
}

GgufTokenizerMetadata readRankLines(std::string_view Data) {
  Ranks All;
  size_t Size = Data.size();
  for (size_t Line = 1; !Data.empty(); ++Line) {
    size_t End = std::min(Data.find('\n'), Data.size());
    std::string_view Text = Data.substr(0, End);
    Data.remove_prefix(std::min(End + 1, Data.size()));
    if (!Text.empty() && Text.back() == '\r')
      Text.remove_suffix(1);
    if (Text.empty())
      continue;
    std::string Where = "line " + std::to_string(Line);
    size_t Gap = Text.find(' ');
    uint64_t Rank = 0;
    const char *Last = Text.data() + Text.size();
    if (Gap == std::string_view::npos)
      fail(CRIA_INVALID_DATA,
           Where + " has no space, expected a token in base64 and its rank");
    auto [Rest, Status] = std::from_chars(Text.data() + Gap + 1, Last, Rank);
    if (Status != std::errc() || Rest != Last)
      fail(CRIA_INVALID_DATA, Where + " ends with '" +
                                  std::string(Text.substr(Gap + 1, 40)) +
                                  "', expected a rank");
    All.add(Where, Text.substr(0, Gap), Rank);
  }
  GgufTokenizerMetadata Out;
  Out.model = "gpt2";
  Out.pre = "llama3";
  All.finish(Out, mergeBytesFor(Size));
  return Out;
}

/// A member that must be there.
const Json &member(const Json &Object, const char *Key,
                   const std::string &Path) {
  auto Found = Object.is_object() ? Object.find(Key) : Object.end();
  if (!Object.is_object() || Found == Object.end())
    fail(CRIA_INVALID_DATA, Path + Key + " is absent");
  return *Found;
}

std::string text(const Json &Object, const char *Key, const std::string &Path) {
  const Json &Value = member(Object, Key, Path);
  if (!Value.is_string())
    fail(CRIA_INVALID_DATA, Path + Key + " is no string");
  return Value.get<std::string>();
}

uint64_t count(const Json &Object, const char *Key, const std::string &Path,
               uint64_t Most) {
  const Json &Value = member(Object, Key, Path);
  if (!Value.is_number_unsigned() || Value.get<uint64_t>() > Most)
    fail(CRIA_INVALID_DATA, Path + Key + " is " + Value.dump() +
                                ", expected an integer from 0 to " +
                                std::to_string(Most));
  return Value.get<uint64_t>();
}

const Json &list(const Json &Object, const char *Key) {
  const Json &Value = member(Object, Key, "");
  if (!Value.is_array())
    fail(CRIA_INVALID_DATA, std::string(Key) + " is no list");
  return Value;
}

/// Those of version 3, whose files do not list them.
constexpr const char *TekkenSpecials[] = {"<unk>",
                                          "<s>",
                                          "</s>",
                                          "[INST]",
                                          "[/INST]",
                                          "[AVAILABLE_TOOLS]",
                                          "[/AVAILABLE_TOOLS]",
                                          "[TOOL_RESULTS]",
                                          "[/TOOL_RESULTS]",
                                          "[TOOL_CALLS]",
                                          "[IMG]",
                                          "<pad>",
                                          "[IMG_BREAK]",
                                          "[IMG_END]",
                                          "[PREFIX]",
                                          "[MIDDLE]",
                                          "[SUFFIX]",
                                          "[SYSTEM_PROMPT]",
                                          "[/SYSTEM_PROMPT]",
                                          "[TOOL_CONTENT]"};

/// Special tokens come first, then as many of the vocabulary as are in use.
GgufTokenizerMetadata readTekkenFile(std::string_view Data) {
  Json File = Json::parse(Data.begin(), Data.end());
  const Json &Config = member(File, "config", ""), &Vocab = list(File, "vocab");
  uint64_t Specials = count(Config, "default_num_special_tokens", "config.",
                            Data.size()),
           Size = count(Config, "default_vocab_size", "config.",
                        Vocab.size() + Specials);
  if (Size < Specials)
    fail(CRIA_INVALID_DATA, "config.default_vocab_size is " +
                                std::to_string(Size) + ", expected at least " +
                                std::to_string(Specials) +
                                ", as config.default_num_special_tokens");
  GgufTokenizerMetadata Out;
  Out.model = "gpt2";
  Out.pre = "tekken";
  Out.pattern = text(Config, "pattern", "config.");
  if (File.contains("special_tokens") && !File["special_tokens"].is_null()) {
    for (const Json &Token : list(File, "special_tokens")) {
      std::string Path =
          "special_tokens[" + std::to_string(Out.tokens.size()) + "].";
      if (count(Token, "rank", Path, Specials) != Out.tokens.size())
        fail(CRIA_INVALID_DATA, Path + "rank is " + Token["rank"].dump() +
                                    ", expected " +
                                    std::to_string(Out.tokens.size()));
      addControl(Out, text(Token, "token_str", Path));
    }
  } else {
    for (const char *Name : TekkenSpecials)
      addControl(Out, Name);
  }
  if (Out.tokens.size() > Specials)
    fail(CRIA_INVALID_DATA, "there are " + std::to_string(Out.tokens.size()) +
                                " special tokens, but "
                                "config.default_num_special_tokens is " +
                                std::to_string(Specials));
  for (size_t Id = 0; Id < Out.tokens.size(); ++Id) {
    if (Out.tokens[Id] == "<s>")
      Out.bosId = static_cast<int64_t>(Id);
    if (Out.tokens[Id] == "</s>")
      Out.eosIds.push_back(static_cast<int64_t>(Id));
  }
  while (Out.tokens.size() < Specials)
    addControl(Out, "<SPECIAL_" + std::to_string(Out.tokens.size()) + ">");
  Ranks All;
  while (All.size() < Size - Specials) {
    std::string Path = "vocab[" + std::to_string(All.size()) + "].";
    const Json &Token = Vocab[All.size()];
    All.add(Path + "token_bytes", text(Token, "token_bytes", Path),
            count(Token, "rank", Path, Vocab.size()));
  }
  All.finish(Out, mergeBytesFor(Data.size()));
  return Out;
}

template <typename Read>
bool reads(GgufTokenizerMetadata &Metadata, std::string &Error, Read &&Body) {
  try {
    Metadata = Body();
    return true;
  } catch (const TextError &Failure) {
    Error = Failure.message;
  } catch (const std::exception &Failure) {
    Error = Failure.what();
  }
  return false;
}

} // namespace

bool cria::readTiktoken(std::string_view Data, GgufTokenizerMetadata &Metadata,
                        std::string &Error) {
  return reads(Metadata, Error, [&] { return readRankLines(Data); });
}

bool cria::readTekken(std::string_view Data, GgufTokenizerMetadata &Metadata,
                      std::string &Error) {
  return reads(Metadata, Error, [&] { return readTekkenFile(Data); });
}

void cria::addLlama3Specials(GgufTokenizerMetadata &Metadata, size_t Size) {
  constexpr const char *Named[] = {"<|begin_of_text|>",
                                   "<|end_of_text|>",
                                   "<|reserved_special_token_0|>",
                                   "<|reserved_special_token_1|>",
                                   "<|finetune_right_pad_id|>",
                                   "<|reserved_special_token_2|>",
                                   "<|start_header_id|>",
                                   "<|end_header_id|>",
                                   "<|eom_id|>",
                                   "<|eot_id|>",
                                   "<|python_tag|>"};
  constexpr size_t Count = 256, FirstReserved = 3;
  size_t First = Metadata.tokens.size();
  for (size_t I = 0; I < Count && First + I < Size; ++I)
    addControl(Metadata,
               I < std::size(Named)
                   ? std::string(Named[I])
                   : "<|reserved_special_token_" +
                         std::to_string(I - std::size(Named) + FirstReserved) +
                         "|>");
  if (Metadata.tokens.size() > First)
    Metadata.bosId = static_cast<int64_t>(First);
  for (size_t End : {First + 1, First + 8, First + 9})
    if (End < Metadata.tokens.size())
      Metadata.eosIds.push_back(static_cast<int64_t>(End));
}
