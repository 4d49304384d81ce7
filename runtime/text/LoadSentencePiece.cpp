// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ProtoReader.h"
#include "Tokenizer.h"
#include "Unicode.h"

#include <sentencepiece_processor.h>

#include <cstring>

using namespace cria::text;

namespace sentencepiece::logging {
// Exported by the library but in none of its installed headers; without it a
// failed load would print.
void SetMinLogLevel(int Level);
} // namespace sentencepiece::logging

namespace {

/// Checks a precompiled character map, which the library walks unchecked: a
/// double-array trie (Darts-clone) whose values are offsets of NUL-terminated
/// strings.
void checkCharacterMap(std::string_view Map) {
  auto Bad = [] {
    fail(CRIA_INVALID_DATA, "normalizer_spec.precompiled_charsmap is broken");
  };
  if (Map.empty())
    return;
  uint32_t TrieBytes;
  if (Map.size() < sizeof(TrieBytes))
    Bad();
  std::memcpy(&TrieBytes, Map.data(), sizeof(TrieBytes));
  Map.remove_prefix(sizeof(TrieBytes));
  if (TrieBytes >= Map.size() || TrieBytes % 4 || TrieBytes < 4 ||
      Map.back() != '\0')
    Bad();
  size_t TextBytes = Map.size() - TrieBytes, Units = TrieBytes / 4;
  auto Unit = [&](size_t Index) {
    uint32_t Value;
    std::memcpy(&Value, Map.data() + 4 * Index, sizeof(Value));
    return Value;
  };
  std::vector<bool> Seen(Units);
  std::vector<size_t> Open = {0};
  Seen[0] = true;
  while (!Open.empty()) {
    size_t Node = Open.back();
    Open.pop_back();
    uint32_t Bits = Unit(Node);
    size_t Base =
        Node ^ (static_cast<size_t>(Bits >> 10) << ((Bits & (1u << 9)) >> 6));
    if ((Bits >> 8 & 1) &&
        (Base >= Units || (Unit(Base) & 0x7FFFFFFF) >= TextBytes))
      Bad();
    for (size_t Label = 1; Label < 256; ++Label) {
      size_t Child = Base ^ Label;
      if (Child >= Units)
        Bad();
      // Bit 31 marks a value, which no label matches.
      if ((Unit(Child) & 0x800000FF) == Label && !Seen[Child]) {
        Seen[Child] = true;
        Open.push_back(Child);
      }
    }
  }
}

struct NormalizerFacts {
  bool AddDummyPrefix = true, RemoveExtraWhitespaces = true;
};

NormalizerFacts inspect(std::string_view Data) {
  NormalizerFacts Facts;
  size_t Pieces = 0;
  for (ProtoReader Model(Data); Model.next();) {
    if (Model.Field == 1)
      ++Pieces;
    if (Model.Field != 3 && Model.Field != 5)
      continue;
    for (ProtoReader Spec(Model.Bytes); Spec.next();) {
      if (Spec.Field == 2)
        checkCharacterMap(Spec.Bytes);
      if (Model.Field == 3 && Spec.Field == 3)
        Facts.AddDummyPrefix = Spec.Number != 0;
      if (Model.Field == 3 && Spec.Field == 4)
        Facts.RemoveExtraWhitespaces = Spec.Number != 0;
    }
  }
  if (!Pieces)
    fail(CRIA_INVALID_DATA, "not a SentencePiece model: it has no pieces");
  return Facts;
}

class SentencePieceModel : public ForeignModel {
public:
  sentencepiece::SentencePieceProcessor Processor;

  void encode(std::string_view Text, std::vector<int32_t> &Out) const override {
    std::vector<int> Ids;
    auto Status = Processor.Encode({Text.data(), Text.size()}, &Ids);
    if (!Status.ok())
      fail(CRIA_INVALID_DATA, Status.ToString());
    Out.insert(Out.end(), Ids.begin(), Ids.end());
  }
};

} // namespace

std::unique_ptr<cria_tokenizer>
cria::text::loadSentencePiece(std::string_view Data,
                              const cria_sentencepiece_options *Options) {
  NormalizerFacts Facts = inspect(Data);
  auto Result = std::make_unique<cria_tokenizer>();
  auto Owned = std::make_unique<SentencePieceModel>();
  sentencepiece::SentencePieceProcessor &Model = Owned->Processor;
  sentencepiece::logging::SetMinLogLevel(4); // above every level
  auto Status = Model.LoadFromSerializedProto({Data.data(), Data.size()});
  if (!Status.ok())
    fail(CRIA_INVALID_DATA, Status.ToString());

  int32_t Size = Model.GetPieceSize();
  Result->Special.assign(Size, false);
  for (int32_t Id = 0; Id < Size; ++Id) {
    std::string Piece = Model.IdToPiece(Id);
    if (!Result->Tokens.add(Piece, Id))
      fail(CRIA_INVALID_DATA,
           "piece " + std::to_string(Id) + ", '" + Piece + "', occurs twice");
    std::string Bytes;
    if (Model.IsControl(Id)) {
      Result->Special[Id] = true;
      Bytes = Piece;
      AddedToken Token;
      Token.Content = Piece;
      Token.Id = Id;
      Token.Special = true;
      Result->RawAdded.add(Token, Piece);
    } else if (Model.IsUnknown(Id)) {
      Result->UnstrippedId = Id;
      Bytes = " \u2047 "; // the library's surface for unknown characters
    } else if (Model.IsByte(Id)) {
      // "<0xAB>", which the library has checked.
      Bytes = static_cast<char>(
          std::strtol(Piece.substr(3, 2).c_str(), nullptr, 16));
    } else {
      Bytes = Pattern("\u2581").replaceAll(Piece, " ", Piece.size());
    }
    Result->addBytes(Bytes);
  }
  Result->Decode.setLeadingStrips(' ', Facts.RemoveExtraWhitespaces ? UINT32_MAX
                                       : Facts.AddDummyPrefix       ? 1
                                                                    : 0);
  Result->Decode.treatAllAlike();

  Result->BosId = Model.bos_id();
  if (Model.eos_id() >= 0)
    Result->EosIds.push_back(Model.eos_id());
  bool AddBos = Options ? Options->add_bos != 0 : Result->BosId >= 0;
  bool AddEos = Options && Options->add_eos;
  if (AddBos && Result->BosId < 0)
    fail(CRIA_INVALID_ARGUMENT, "add_bos is set, but the model has no BOS");
  if (AddEos && Model.eos_id() < 0)
    fail(CRIA_INVALID_ARGUMENT, "add_eos is set, but the model has no EOS");
  if (AddBos)
    Result->Prefix.push_back(Result->BosId);
  if (AddEos)
    Result->Suffix.push_back(Model.eos_id());
  Result->Foreign = std::move(Owned);
  return Result;
}
