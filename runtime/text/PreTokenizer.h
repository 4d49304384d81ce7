// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TEXT_PRETOKENIZER_H
#define CRIA_TEXT_PRETOKENIZER_H

#include "Config.h"

#include <array>

namespace cria::text {

/// GPT-2's alphabet: a printable character for every byte.
struct ByteAlphabet {
  std::array<std::string, 256> Characters;
  /// The byte of a character below U+0144, or -1.
  std::array<int16_t, 0x144> Bytes;

  static const ByteAlphabet &get();

  std::string encode(std::string_view Text) const;
  /// False where a character is not of the alphabet; `Out` is then undefined.
  bool decode(std::string_view Text, std::string &Out) const;
};

/// A text cut into words: word I ends at Ends[I], where the next one starts.
struct Words {
  std::string Text;
  std::vector<size_t> Ends;
  bool AtStart = false;   // nothing comes before this text
  bool Continues = false; // it goes on directly after other text
};

/// What cuts a text into the words that the model sees one by one: Split,
/// Digits, Punctuation, ByteLevel, Metaspace, and sequences of them.
class PreTokenizer {
public:
  void add(const Config &Component, int Depth = 0);

  void apply(Words &Input) const;

  /// Whether the model sees GPT-2's alphabet rather than characters.
  bool isByteLevel() const { return ByteLevel; }

private:
  enum class Behavior {
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous
  };
  enum class Prefix { Never, First, Always };
  struct Step {
    enum Kind { Split, ToBytes, Metaspace, PrefixSpace } Kind;
    Behavior How = Behavior::Isolated;
    bool Invert = false;
    Prefix When = Prefix::Never;
    std::string Replacement;
    Pattern What;
  };

  static Behavior behavior(const Config &Component, const char *Key);
  static void split(const Step &Current, Words &Input);
  void addSplit(Pattern What, Behavior How, bool Invert = false);

  std::vector<Step> Steps;
  bool ByteLevel = false;
};

} // namespace cria::text

#endif // CRIA_TEXT_PRETOKENIZER_H
