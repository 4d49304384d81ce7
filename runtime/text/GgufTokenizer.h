// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writing tokenizer.json files: from the metadata of a GGUF file, a
// SentencePiece model, a tiktoken vocabulary or a tekken.json; and the key that
// tells the runtime which tokens begin and end a text. Plain C++; no function
// throws.
#ifndef CRIA_TEXT_GGUFTOKENIZER_H
#define CRIA_TEXT_GGUFTOKENIZER_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cria {

/// The tokenizer.ggml.* keys of a GGUF file. Ids are -1 where absent.
struct GgufTokenizerMetadata {
  std::string model; // "gpt2" or "llama"
  std::string pre;   // "" where absent
  /// Instead of the expression of `pre`, whose other facts hold. Not in GGUF
  /// files.
  std::string pattern;
  std::vector<std::string> tokens;
  std::vector<float> scores;       // "llama" needs them
  std::vector<int32_t> tokenTypes; // empty, or one a token (1: normal)
  std::vector<std::string> merges; // "gpt2" needs them
  int64_t bosId = -1;
  int64_t unknownId = -1;
  /// eos_token_id first, then eot_token_id and eom_token_id where present.
  std::vector<int64_t> eosIds;
  std::optional<bool> addBos, addEos, addSpacePrefix;
  /// Ids of tokens that take the white space behind or before them, or that
  /// are found as a whole word only. Not in GGUF files.
  std::vector<int64_t> rightStrip, leftStrip, singleWord;
};

/// Reads a tokenizer.model as if a GGUF file had it: a BPE model that leaves
/// the text as it is, which those of Llama, Mistral, Phi 3 and Gemma are. False
/// with a message that names the field, its value and what is supported.
bool readSentencePiece(std::string_view data, GgufTokenizerMetadata &metadata,
                       std::string &error);

/// Reads a tokenizer.model in tiktoken's form, a token in base64 and its rank on
/// each line, as Llama 3's own; the file has no special tokens. False with a
/// message that names the line, its value and what is expected.
bool readTiktoken(std::string_view data, GgufTokenizerMetadata &metadata,
                  std::string &error);

/// Appends the special tokens of Llama 3.1 and later with their ends of texts:
/// 256, or fewer so that there are at most `size` tokens. Llama 3.0 calls those
/// at places 4 and 8 reserved.
void addLlama3Specials(GgufTokenizerMetadata &metadata, size_t size);

/// Reads a tekken.json of Mistral. False with a message that names the key, its
/// value and what is expected.
bool readTekken(std::string_view data, GgufTokenizerMetadata &metadata,
                std::string &error);

/// Writes an equivalent tokenizer.json. False with a message that names the
/// key, its value and what is supported.
bool ggufToTokenizerJson(const GgufTokenizerMetadata &metadata,
                         std::string &json, std::string &error);

/// The values of tokenizer.ggml.pre that ggufToTokenizerJson reads.
std::vector<std::string> supportedGgufPreTokenizers();

/// Puts "cria": {"bos_id": ..., "eos_ids": [...]} into the object "model" of a
/// tokenizer.json, where Hugging Face's reader tolerates it. The rest of the
/// text stays as it is, unless there was such a key to replace. A bosId of -1
/// means none.
bool annotateTokenizerJson(std::string_view tokenizerJson, int64_t bosId,
                           const std::vector<int64_t> &eosIds,
                           std::string &json, std::string &error);

} // namespace cria

#endif // CRIA_TEXT_GGUFTOKENIZER_H
