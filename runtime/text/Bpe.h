// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TEXT_BPE_H
#define CRIA_TEXT_BPE_H

#include "Config.h"

#include <array>
#include <deque>
#include <unordered_map>

namespace cria::text {

/// Spellings and ids, both ways. Ids may have gaps.
class Vocabulary {
public:
  /// Takes {spelling: id}; `Extra` more ids may be added.
  void load(const Config &Model, size_t Extra);

  /// The id of a spelling, or -1.
  int32_t find(std::string_view Spelling) const {
    auto Found = Ids.find(Spelling);
    return Found == Ids.end() ? -1 : Found->second;
  }
  /// Adds a spelling at an id that has none, or confirms what is there.
  /// Returns false where the id spells something else.
  bool add(std::string_view Spelling, int32_t Id);

  int32_t size() const { return static_cast<int32_t>(Spellings.size()); }
  const std::string &spelling(int32_t Id) const { return Spellings[Id]; }
  bool has(int32_t Id) const { return Id >= 0 && Id < size() && Present[Id]; }
  /// No id may be this large: what the file's entries justify.
  int64_t limit() const { return Limit; }

private:
  std::deque<std::string> Spellings; // a deque: Ids refers into it
  std::vector<bool> Present;
  std::unordered_map<std::string_view, int32_t> Ids;
  int64_t Limit = 0;
};

/// Byte-pair encoding of one word at a time.
class Bpe {
public:
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
    uint64_t Pair;
    uint32_t Rank;
    int32_t Merged;
  };
  static constexpr uint64_t NoPair = ~uint64_t(0);

  void insert(int32_t Left, int32_t Right, uint32_t Rank, int32_t Merged);
  const Merge *lookup(int32_t Left, int32_t Right) const;
  void split(std::string_view Word, Scratch &Memory) const;
  void propose(Scratch &Memory, int32_t Position) const;

  const Vocabulary *Tokens = nullptr;
  std::vector<Merge> Merges;         // open addressing, a power of two in size
  std::vector<int32_t> CharacterIds; // of code points below its size, or -1
  std::array<int32_t, 256> ByteIds;  // of "<0x00>" to "<0xFF>", or -1
  int32_t UnknownId = -1;
  bool ByteFallback = false, FuseUnknown = false, IgnoreMerges = false;
};

} // namespace cria::text

#endif // CRIA_TEXT_BPE_H
