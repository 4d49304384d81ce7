// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tokenizer.model files as the metadata that GgufTokenizer.cpp converts: a GGUF
// file's "llama" tokenizer is a SentencePiece BPE model, key by key.

#include "GgufTokenizer.h"
#include "ProtoReader.h"
#include "Unicode.h"

#include <cmath>
#include <cstring>
#include <unordered_set>

using namespace cria;
using namespace cria::text;

namespace {

constexpr size_t MaxPieceBytes = 4096;

void readPiece(std::string_view Message, GgufTokenizerMetadata &Out) {
  std::string Piece;
  float Score = 0;
  uint64_t Type = 1;
  for (ProtoReader Field(Message); Field.next();) {
    if (Field.Field == 1)
      Piece = Field.Bytes;
    if (Field.Field == 2 && Field.Bytes.size() == sizeof(Score))
      std::memcpy(&Score, Field.Bytes.data(), sizeof(Score));
    if (Field.Field == 3)
      Type = Field.Number;
  }
  std::string Where = "pieces[" + std::to_string(Out.tokens.size()) + "]";
  if (Piece.empty() || Piece.size() > MaxPieceBytes ||
      validUtf8Prefix(Piece) != Piece.size())
    fail(CRIA_INVALID_DATA, Where + " is not valid UTF-8 of 1 to " +
                                std::to_string(MaxPieceBytes) + " bytes");
  if (Type < 1 || Type > 6)
    fail(CRIA_INVALID_DATA,
         Where + ".type is " + std::to_string(Type) + ", expected 1 to 6");
  if (std::isnan(Score))
    fail(CRIA_INVALID_DATA, Where + ".score is not a number");
  Out.tokens.push_back(std::move(Piece));
  Out.scores.push_back(Score);
  Out.tokenTypes.push_back(static_cast<int32_t>(Type));
}

int64_t idOf(uint64_t Number) {
  return static_cast<int32_t>(static_cast<uint32_t>(Number));
}

/// The defaults are those of sentencepiece_model.proto.
struct Spec {
  uint64_t ModelType = 1;
  bool WhitespaceIsSuffix = false;
  int64_t BosId = 1, EosId = 2;
  std::string Normalization = "identity";
  bool HasCharacterMap = false, AddDummyPrefix = true;
  bool RemoveExtraWhitespaces = true, EscapeWhitespaces = true;

  void readTrainer(std::string_view Message) {
    for (ProtoReader Field(Message); Field.next();) {
      if (Field.Field == 3)
        ModelType = Field.Number;
      if (Field.Field == 24)
        WhitespaceIsSuffix = Field.Number != 0;
      if (Field.Field == 41)
        BosId = idOf(Field.Number);
      if (Field.Field == 42)
        EosId = idOf(Field.Number);
    }
  }

  void readNormalizer(std::string_view Message) {
    for (ProtoReader Field(Message); Field.next();) {
      if (Field.Field == 1)
        Normalization = Field.Bytes;
      if (Field.Field == 2)
        HasCharacterMap = !Field.Bytes.empty();
      if (Field.Field == 3)
        AddDummyPrefix = Field.Number != 0;
      if (Field.Field == 4)
        RemoveExtraWhitespaces = Field.Number != 0;
      if (Field.Field == 5)
        EscapeWhitespaces = Field.Number != 0;
    }
  }

  void check() const {
    if (ModelType != 2)
      fail(CRIA_UNSUPPORTED,
           "trainer_spec.model_type is " +
               std::string(ModelType == 1   ? "unigram"
                           : ModelType == 3 ? "word"
                           : ModelType == 4 ? "char"
                                            : std::to_string(ModelType)) +
               ", supported is bpe");
    if (HasCharacterMap)
      fail(CRIA_UNSUPPORTED, "normalizer_spec.name is '" + Normalization +
                                 "', supported is identity");
    auto fixed = [](const char *Key, bool Value, bool Supported) {
      if (Value != Supported)
        fail(CRIA_UNSUPPORTED,
             std::string(Key) + " is " + (Value ? "true" : "false") +
                 ", supported is " + (Supported ? "true" : "false"));
    };
    fixed("trainer_spec.treat_whitespace_as_suffix", WhitespaceIsSuffix, false);
    fixed("normalizer_spec.remove_extra_whitespaces", RemoveExtraWhitespaces,
          false);
    fixed("normalizer_spec.escape_whitespaces", EscapeWhitespaces, true);
  }
};

} // namespace

bool cria::readSentencePiece(std::string_view Data,
                             GgufTokenizerMetadata &Metadata,
                             std::string &Error) {
  try {
    GgufTokenizerMetadata Out;
    Out.model = "llama";
    Spec Facts;
    for (ProtoReader Model(Data); Model.next();) {
      if (Model.Field == 1)
        readPiece(Model.Bytes, Out);
      if (Model.Field == 2)
        Facts.readTrainer(Model.Bytes);
      if (Model.Field == 3)
        Facts.readNormalizer(Model.Bytes);
    }
    if (Out.tokens.empty())
      fail(CRIA_INVALID_DATA, "not a SentencePiece model: it has no pieces");
    std::unordered_set<std::string_view> Seen;
    for (size_t Id = 0; Id < Out.tokens.size(); ++Id)
      if (!Seen.insert(Out.tokens[Id]).second)
        fail(CRIA_INVALID_DATA, "pieces[" + std::to_string(Id) + "], '" +
                                    Out.tokens[Id] + "', occurs twice");
    Facts.check();
    int64_t Count = static_cast<int64_t>(Out.tokens.size());
    for (auto [Key, Id] :
         {std::pair("bos_id", Facts.BosId), std::pair("eos_id", Facts.EosId)})
      if (Id >= Count)
        fail(CRIA_INVALID_DATA, "trainer_spec." + std::string(Key) + " is " +
                                    std::to_string(Id) + ", there are " +
                                    std::to_string(Count) + " pieces");
    Out.addSpacePrefix = Facts.AddDummyPrefix;
    Out.bosId = std::max<int64_t>(Facts.BosId, -1);
    if (Facts.EosId >= 0)
      Out.eosIds.push_back(Facts.EosId);
    Metadata = std::move(Out);
    return true;
  } catch (const TextError &Failure) {
    Error = Failure.message;
  } catch (const std::exception &Failure) {
    Error = Failure.what();
  }
  return false;
}
