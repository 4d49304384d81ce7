// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What stands behind the C API of cria/text.h.
#ifndef CRIA_TEXT_TOKENIZER_H
#define CRIA_TEXT_TOKENIZER_H

#include "AddedTokens.h"
#include "Bpe.h"
#include "Normalizer.h"
#include "PreTokenizer.h"
#include "TokenDecoder.h"
#include "cria/text.h"

namespace cria::text {

/// A model that is not read from a tokenizer.json encodes by itself.
class ForeignModel {
public:
  virtual ~ForeignModel() = default;
  virtual void encode(std::string_view Text,
                      std::vector<int32_t> &Out) const = 0;
};

} // namespace cria::text

struct cria_tokenizer {
  cria::text::Vocabulary Tokens;
  cria::text::Bpe Model;
  std::unique_ptr<cria::text::ForeignModel> Foreign; // instead of Model
  cria::text::Normalizer Normalize;
  cria::text::PreTokenizer PreTokenize;
  cria::text::AddedTokens RawAdded, NormalizedAdded;
  std::vector<int32_t> Prefix, Suffix; // added around a prompt
  cria::text::TokenDecoder Decode;
  // Added tokens that are looked for in normalized text: what they decode to
  // is their normalized form too, as with Hugging Face.
  std::unordered_map<int32_t, std::string> Respelled;
  int32_t UnstrippedId = -1; // its leading spaces stay (SentencePiece's unk)

  std::vector<bool> Special;
  int32_t BosId = -1;
  std::vector<int32_t> EosIds;

  // The bytes of every token but a text's first: id I has
  // Bytes[ByteOffsets[I] .. ByteOffsets[I + 1]).
  std::string Bytes;
  std::vector<uint32_t> ByteOffsets;
  size_t MaxTokenBytes = 0;

  void encode(std::string_view Text, unsigned Flags,
              std::vector<int32_t> &Out) const;

  /// Fills Bytes from the spellings.
  void finish();
  void addBytes(std::string_view TokenBytes);
  std::string decodeOne(int32_t Id, bool First) const;

private:
  void encodeText(std::string_view Text, bool AtStart, bool PlainText,
                  std::vector<int32_t> &Out,
                  cria::text::Bpe::Scratch &Memory) const;
  void encodeValid(std::string_view Text, bool AtStart, bool Continues,
                   bool PlainText, std::vector<int32_t> &Out,
                   cria::text::Bpe::Scratch &Memory) const;
};

namespace cria::text {

/// Both throw TextError.
std::unique_ptr<cria_tokenizer> loadTokenizerJson(std::string_view Data);
std::unique_ptr<cria_tokenizer>
loadSentencePiece(std::string_view Data,
                  const cria_sentencepiece_options *Options);

} // namespace cria::text

#endif // CRIA_TEXT_TOKENIZER_H
