// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TEXT_BPE_H
#define CRIA_TEXT_BPE_H

#include "Config.h"
#include "Vocabulary.h"

#include <array>

namespace cria::text {

/// Byte-pair encoding of one word at a time.
class Bpe {
public:
  /// Takes the list of pairs that comes next, of tokens of the vocabulary.
  void readMerges(JsonReader &Reader, const Vocabulary &Tokens);
  /// The rest of the model. The vocabulary is complete, and outlives this.
  void load(const Config &Model, const Vocabulary &Tokens);

  /// Memory that is reused from word to word; one per encoding thread.
  class Scratch {
    friend class Bpe;
    struct Symbol {
      int32_t Id, Previous, Next;
    };
    struct Candidate {
      uint32_t Rank;
      int32_t Position;
      int32_t Left, Right, Merged;
      bool operator<(const Candidate &Other) const { // for a min-heap
        return Rank != Other.Rank ? Rank > Other.Rank
                                  : Position > Other.Position;
      }
    };
    std::vector<Symbol> Symbols;
    std::vector<Candidate> Heap;
  };

  void encode(std::string_view Word, std::vector<int32_t> &Out,
              Scratch &Memory) const;

  /// Bytes that are not valid UTF-8, for a model that is not byte-level.
  void encodeInvalid(std::string_view Bytes, std::vector<int32_t> &Out) const;

private:
  struct Merge {
    int32_t Left, Right, Merged;
  };

  void reserve(size_t Count);
  size_t slotOf(int32_t Left, int32_t Right) const;
  void insert(int32_t Left, int32_t Right, int32_t Merged);
  void split(std::string_view Word, Scratch &Memory) const;
  void propose(Scratch &Memory, int32_t Position) const;

  const Vocabulary *Tokens = nullptr;
  std::vector<Merge> Merges;         // by rank
  std::vector<uint32_t> MergeSlots;  // rank + 1 or 0; open addressing, 2^n
  std::vector<int32_t> CharacterIds; // of code points below its size, or -1
  std::array<int32_t, 256> ByteIds;  // of "<0x00>" to "<0xFF>", or -1
  int32_t UnknownId = -1;
  bool ByteFallback = false, FuseUnknown = false, IgnoreMerges = false;
};

} // namespace cria::text

#endif // CRIA_TEXT_BPE_H
