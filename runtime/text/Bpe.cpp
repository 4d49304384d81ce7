// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Bpe.h"
#include "Unicode.h"

#include <algorithm>
#include <cstdio>

using namespace cria::text;

static uint64_t pairKey(int32_t Left, int32_t Right) {
  return static_cast<uint64_t>(Left) << 32 | static_cast<uint32_t>(Right);
}

static uint64_t scatter(uint64_t Key) {
  Key *= 0x9E3779B97F4A7C15; // 2^64 over the golden ratio
  return Key ^ Key >> 32;
}

/// Where the pair is, or the free slot where it belongs.
size_t Bpe::slotOf(int32_t Left, int32_t Right) const {
  size_t Mask = MergeSlots.size() - 1,
         Slot = scatter(pairKey(Left, Right)) & Mask;
  for (; MergeSlots[Slot]; Slot = (Slot + 1) & Mask) {
    const Merge &Here = Merges[MergeSlots[Slot] - 1];
    if (Here.Left == Left && Here.Right == Right)
      break;
  }
  return Slot;
}

/// Room for `Count` merges, half of the slots free.
void Bpe::reserve(size_t Count) {
  size_t Size = 16;
  while (Size < 2 * Count + 2)
    Size *= 2;
  if (Size <= MergeSlots.size())
    return;
  MergeSlots.assign(Size, 0);
  for (size_t Rank = 0; Rank < Merges.size(); ++Rank)
    MergeSlots[slotOf(Merges[Rank].Left, Merges[Rank].Right)] =
        static_cast<uint32_t>(Rank + 1);
}

/// A pair that is there already gets the new rank.
void Bpe::insert(int32_t Left, int32_t Right, int32_t Merged) {
  reserve(Merges.size() + 1);
  size_t Slot = slotOf(Left, Right);
  Merges.push_back({Left, Right, Merged});
  MergeSlots[Slot] = static_cast<uint32_t>(Merges.size());
}

/// "a b" or ["a", "b"], in the order of their ranks.
void Bpe::readMerges(JsonReader &Reader, const Vocabulary &Vocab) {
  auto Bad = [&](const std::string &Why) {
    fail(CRIA_INVALID_DATA,
         "model.merges[" + std::to_string(Merges.size()) + "] " + Why);
  };
  if (!Reader.accept('['))
    Bad("is not in a list");
  if (Reader.accept(']'))
    return;
  // Nearly every token that is not a character comes from a merge.
  reserve(Vocab.size());
  Merges.reserve(Vocab.size());
  std::string LeftMemory, RightMemory, Joined;
  int32_t JoinedId = -1;
  do {
    std::string_view Left, Right;
    if (Reader.peek() == '"') {
      if (!Reader.string(Left, LeftMemory))
        Bad("is not valid JSON");
      size_t Space = Left.find(' ');
      if (Space == std::string_view::npos ||
          Left.find(' ', Space + 1) != std::string_view::npos)
        Bad("is '" + std::string(Left) +
            "', expected two tokens with a space "
            "between them");
      Right = Left.substr(Space + 1);
      Left = Left.substr(0, Space);
    } else if (!Reader.accept('[') || !Reader.string(Left, LeftMemory) ||
               !Reader.accept(',') || !Reader.string(Right, RightMemory) ||
               !Reader.accept(']')) {
      Bad("is neither \"a b\" nor [\"a\", \"b\"]");
    }
    int32_t LeftId = Vocab.find(Left), RightId = Vocab.find(Right);
    // Most vocabularies list what merges make in the order of the merges.
    ++JoinedId;
    if (!Vocab.isJoined(JoinedId, Left, Right)) {
      Joined.assign(Left).append(Right);
      JoinedId = Vocab.find(Joined);
    }
    if (LeftId < 0 || RightId < 0 || JoinedId < 0)
      Bad("needs '" +
          (LeftId < 0    ? std::string(Left)
           : RightId < 0 ? std::string(Right)
                         : Joined) +
          "', which the vocabulary lacks");
    insert(LeftId, RightId, JoinedId);
  } while (Reader.accept(','));
  if (!Reader.accept(']'))
    Bad("is not valid JSON");
}

void Bpe::load(const Config &Model, const Vocabulary &Vocab) {
  Tokens = &Vocab;
  for (const char *Key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!Model.string(Key, "").empty())
      Model.unsupported(std::string("a non-empty ") + Key, "null, \"\"");
  if (const Json *Dropout = Model.find("dropout"))
    if (!Dropout->is_number() || Dropout->get<double>() != 0)
      Model.unsupported("dropout", "null, 0");
  ByteFallback = Model.boolean("byte_fallback", false);
  FuseUnknown = Model.boolean("fuse_unk", false);
  IgnoreMerges = Model.boolean("ignore_merges", false);
  if (Model.find("unk_token")) {
    std::string Unknown = Model.string("unk_token");
    UnknownId = Vocab.find(Unknown);
    if (UnknownId < 0)
      Model.malformed("unk_token", "a token of the vocabulary");
  }

  const Json *List = Model.find("merges");
  if (!List || !List->is_array())
    Model.malformed("merges", "a list of pairs");
  reserve(0); // encode() needs a table

  CharacterIds.assign(0x800, -1);
  for (uint32_t CodePoint = 0; CodePoint < CharacterIds.size(); ++CodePoint) {
    std::string Character;
    appendUtf8(Character, CodePoint);
    CharacterIds[CodePoint] = Vocab.find(Character);
  }
  for (int Byte = 0; Byte < 256; ++Byte) {
    char Name[8];
    std::snprintf(Name, sizeof(Name), "<0x%02X>", Byte);
    ByteIds[Byte] = Vocab.find(Name);
  }
}

/// Cuts a word into characters, with tokens for those that have none.
void Bpe::split(std::string_view Word, Scratch &Memory) const {
  std::vector<Scratch::Symbol> &Symbols = Memory.Symbols;
  Symbols.clear();
  auto Push = [&](int32_t Id) {
    int32_t At = static_cast<int32_t>(Symbols.size());
    Symbols.push_back({Id, At - 1, At + 1});
  };
  bool PendingUnknown = false;
  for (size_t Position = 0; Position < Word.size();) {
    uint32_t CodePoint;
    size_t Length = decodeUtf8(Word.substr(Position), CodePoint);
    if (!Length) { // the caller cuts these out; never loop on them
      ++Position;
      continue;
    }
    std::string_view Character = Word.substr(Position, Length);
    Position += Length;
    int32_t Id = CodePoint < CharacterIds.size() ? CharacterIds[CodePoint]
                                                 : Tokens->find(Character);
    if (Id >= 0) {
      if (PendingUnknown)
        Push(UnknownId);
      PendingUnknown = false;
      Push(Id);
      continue;
    }
    if (ByteFallback &&
        std::all_of(Character.begin(), Character.end(), [&](char Byte) {
          return ByteIds[static_cast<unsigned char>(Byte)] >= 0;
        })) {
      for (unsigned char Byte : Character)
        Push(ByteIds[Byte]);
      continue;
    }
    if (UnknownId < 0)
      continue;
    if (PendingUnknown && !FuseUnknown)
      Push(UnknownId);
    PendingUnknown = true;
  }
  if (PendingUnknown)
    Push(UnknownId);
  if (!Symbols.empty())
    Symbols.back().Next = -1;
}

void Bpe::propose(Scratch &Memory, int32_t Position) const {
  if (Position < 0)
    return;
  const Scratch::Symbol &Left = Memory.Symbols[Position];
  if (Left.Next < 0)
    return;
  int32_t RightId = Memory.Symbols[Left.Next].Id;
  if (uint32_t Rank = MergeSlots[slotOf(Left.Id, RightId)]) {
    Memory.Heap.push_back(
        {Rank, Position, Left.Id, RightId, Merges[Rank - 1].Merged});
    std::push_heap(Memory.Heap.begin(), Memory.Heap.end());
  }
}

void Bpe::encode(std::string_view Word, std::vector<int32_t> &Out,
                 Scratch &Memory) const {
  if (IgnoreMerges) {
    int32_t Whole = Tokens->find(Word);
    if (Whole >= 0) {
      Out.push_back(Whole);
      return;
    }
  }
  split(Word, Memory);
  std::vector<Scratch::Symbol> &Symbols = Memory.Symbols;
  Memory.Heap.clear();
  for (size_t I = 0; I + 1 < Symbols.size(); ++I)
    propose(Memory, static_cast<int32_t>(I));
  while (!Memory.Heap.empty()) {
    std::pop_heap(Memory.Heap.begin(), Memory.Heap.end());
    Scratch::Candidate Best = Memory.Heap.back();
    Memory.Heap.pop_back();
    Scratch::Symbol &Left = Symbols[Best.Position];
    // A candidate is stale once either side has been merged away.
    if (Left.Id != Best.Left || Left.Next < 0 ||
        Symbols[Left.Next].Id != Best.Right)
      continue;
    Scratch::Symbol &Right = Symbols[Left.Next];
    Left.Id = Best.Merged;
    Right.Id = -1;
    Left.Next = Right.Next;
    if (Left.Next >= 0)
      Symbols[Left.Next].Previous = Best.Position;
    propose(Memory, Left.Previous);
    propose(Memory, Best.Position);
  }
  for (int32_t I = Symbols.empty() ? -1 : 0; I >= 0; I = Symbols[I].Next)
    Out.push_back(Symbols[I].Id);
}

void Bpe::encodeInvalid(std::string_view Bytes,
                        std::vector<int32_t> &Out) const {
  bool Pending = false;
  for (unsigned char Byte : Bytes) {
    if (ByteFallback && ByteIds[Byte] >= 0) {
      Out.push_back(ByteIds[Byte]);
    } else if (UnknownId >= 0 && !(Pending && FuseUnknown)) {
      Out.push_back(UnknownId);
      Pending = true;
    }
  }
}
