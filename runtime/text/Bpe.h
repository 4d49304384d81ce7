// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TEXT_BPE_H
#define CRIA_TEXT_BPE_H

#include "Vocabulary.h"

#include <array>

namespace cria::text {

/// Byte-pair encoding of one word at a time.
class Bpe {
public:
  /// Takes the list `Text`, which stood at model.merges.
  void load(const Config &Model, std::string_view Text,
            const Vocabulary &Tokens);

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
    uint64_t Pair;
    uint32_t Rank;
    int32_t Merged;
  };
  static constexpr uint64_t NoPair = ~uint64_t(0);

  void readMerges(const Config &Model, std::string_view Text);
  void reserve(size_t Count);
  void insert(int32_t Left, int32_t Right, uint32_t Rank, int32_t Merged);
  const Merge *lookup(int32_t Left, int32_t Right) const;
  void split(std::string_view Word, Scratch &Memory) const;
  void propose(Scratch &Memory, int32_t Position) const;

  const Vocabulary *Tokens = nullptr;
  std::vector<Merge> Merges; // open addressing, a power of two in size
  size_t MergeCount = 0;
  std::vector<int32_t> CharacterIds; // of code points below its size, or -1
  std::array<int32_t, 256> ByteIds;  // of "<0x00>" to "<0xFF>", or -1
  int32_t UnknownId = -1;
  bool ByteFallback = false, FuseUnknown = false, IgnoreMerges = false;
};

} // namespace cria::text

#endif // CRIA_TEXT_BPE_H
