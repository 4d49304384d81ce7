// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Bpe.h"
#include "Unicode.h"

#include <algorithm>
#include <cstdio>

using namespace cria::text;

void Vocabulary::load(const Config &Model, size_t Extra) {
  const Json *Member = Model.find("vocab");
  if (!Member || !Member->is_object())
    Model.malformed("vocab", "an object of token: id");
  // Real files have few gaps; an id far outside would only cost memory.
  Limit = 4 * static_cast<int64_t>(Member->size() + Extra) + 65536;
  for (auto Entry = Member->begin(); Entry != Member->end(); ++Entry) {
    bool Fits = Entry->is_number_integer() &&
                !(Entry->is_number_unsigned() &&
                  Entry->get<uint64_t>() >= static_cast<uint64_t>(Limit)) &&
                Entry->get<int64_t>() >= 0;
    if (!Fits)
      fail(CRIA_INVALID_DATA, Model.path() + ".vocab['" + Entry.key() +
                                  "'] is no id from 0 to " +
                                  std::to_string(Limit - 1));
    int32_t Id = Entry->get<int32_t>();
    if (!add(Entry.key(), Id))
      fail(CRIA_INVALID_DATA, Model.path() + ".vocab['" + Entry.key() +
                                  "'] is " + std::to_string(Id) +
                                  ", which is also the id of '" +
                                  Spellings[Id] + "'");
  }
}

bool Vocabulary::add(std::string_view Spelling, int32_t Id) {
  if (Id >= size()) {
    Spellings.resize(Id + size_t(1));
    Present.resize(Id + size_t(1));
  }
  if (Present[Id])
    return Spellings[Id] == Spelling;
  if (Ids.count(Spelling))
    return false;
  Spellings[Id] = Spelling;
  Present[Id] = true;
  Ids.emplace(Spellings[Id], Id);
  return true;
}

static uint64_t pairKey(int32_t Left, int32_t Right) {
  return static_cast<uint64_t>(Left) << 32 | static_cast<uint32_t>(Right);
}

static uint64_t scatter(uint64_t Key) {
  Key *= 0x9E3779B97F4A7C15; // 2^64 over the golden ratio
  return Key ^ Key >> 32;
}

void Bpe::insert(int32_t Left, int32_t Right, uint32_t Rank, int32_t Merged) {
  uint64_t Key = pairKey(Left, Right);
  size_t Mask = Merges.size() - 1;
  size_t Slot = scatter(Key) & Mask;
  while (Merges[Slot].Pair != NoPair && Merges[Slot].Pair != Key)
    Slot = (Slot + 1) & Mask;
  Merges[Slot] = {Key, Rank, Merged};
}

const Bpe::Merge *Bpe::lookup(int32_t Left, int32_t Right) const {
  uint64_t Key = pairKey(Left, Right);
  size_t Mask = Merges.size() - 1;
  for (size_t Slot = scatter(Key) & Mask; Merges[Slot].Pair != NoPair;
       Slot = (Slot + 1) & Mask)
    if (Merges[Slot].Pair == Key)
      return &Merges[Slot];
  return nullptr;
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
  size_t Size = 16;
  while (Size < 2 * List->size() + 2)
    Size *= 2;
  Merges.assign(Size, {NoPair, 0, 0});
  uint32_t Rank = 0;
  for (const Json &Entry : *List) {
    auto Bad = [&](const std::string &Why) {
      fail(CRIA_INVALID_DATA,
           Model.path() + ".merges[" + std::to_string(Rank) + "] " + Why);
    };
    std::string_view Left, Right;
    if (Entry.is_string()) {
      std::string_view Text = Entry.get_ref<const std::string &>();
      size_t Space = Text.find(' ');
      if (Space == std::string_view::npos ||
          Text.find(' ', Space + 1) != std::string_view::npos)
        Bad("is '" + std::string(Text) +
            "', expected two tokens with a space "
            "between them");
      Left = Text.substr(0, Space);
      Right = Text.substr(Space + 1);
    } else if (Entry.is_array() && Entry.size() == 2 && Entry[0].is_string() &&
               Entry[1].is_string()) {
      Left = Entry[0].get_ref<const std::string &>();
      Right = Entry[1].get_ref<const std::string &>();
    } else {
      Bad("is neither \"a b\" nor [\"a\", \"b\"]");
    }
    std::string Joined = std::string(Left) + std::string(Right);
    int32_t LeftId = Vocab.find(Left), RightId = Vocab.find(Right),
            JoinedId = Vocab.find(Joined);
    if (LeftId < 0 || RightId < 0 || JoinedId < 0)
      Bad("needs '" +
          (LeftId < 0    ? std::string(Left)
           : RightId < 0 ? std::string(Right)
                         : Joined) +
          "', which the vocabulary lacks");
    insert(LeftId, RightId, Rank++, JoinedId);
  }

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
  if (const Merge *Found = lookup(Left.Id, RightId)) {
    Memory.Heap.push_back(
        {Found->Rank, Position, Left.Id, RightId, Found->Merged});
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
