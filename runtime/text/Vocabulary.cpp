// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Vocabulary.h"
#include "TextError.h"

#include <algorithm>
#include <cstring>

using namespace cria::text;

static uint32_t hashOf(std::string_view Text) {
  constexpr uint64_t Golden = 0x9E3779B97F4A7C15; // 2^64 over the golden ratio
  uint64_t Hash = Text.size() * Golden;
  auto mix = [&](uint64_t Word) {
    Hash = (Hash ^ Word) * Golden;
    Hash ^= Hash >> 29;
  };
  const char *At = Text.data();
  size_t Left = Text.size();
  for (; Left >= 8; At += 8, Left -= 8) {
    uint64_t Word;
    std::memcpy(&Word, At, 8);
    mix(Word);
  }
  if (Left >= 4) {
    uint32_t First, Last; // they overlap
    std::memcpy(&First, At, 4);
    std::memcpy(&Last, At + Left - 4, 4);
    mix(uint64_t(First) << 32 | Last);
  } else if (Left) {
    auto byte = [&](size_t I) { return uint64_t(uint8_t(At[I])); };
    mix(byte(0) << 16 | byte(Left / 2) << 8 | byte(Left - 1));
  }
  return static_cast<uint32_t>(Hash ^ Hash >> 32);
}

void Vocabulary::read(JsonReader &Reader, size_t FileBytes) {
  // Real files have few gaps; an id far outside would only cost memory.
  Limit = std::min<int64_t>(65536 + static_cast<int64_t>(FileBytes), INT32_MAX);
  // Bytes that an entry and its merge take in real files, and fewer.
  size_t Guess = FileBytes / 36;
  grow(Guess);
  Entries.reserve(Guess);
  Spellings.reserve(FileBytes / 2);
  auto malformed = [] {
    fail(CRIA_INVALID_DATA, "model.vocab is not valid JSON");
  };
  if (!Reader.accept('{'))
    malformed();
  if (Reader.accept('}'))
    return;
  std::string_view Spelling;
  std::string Unescaped;
  do {
    if (!Reader.string(Spelling, Unescaped) || !Reader.accept(':'))
      malformed();
    auto refuse = [&](const std::string &Why) {
      fail(CRIA_INVALID_DATA,
           "model.vocab['" + std::string(Spelling) + "'] is " + Why);
    };
    int32_t Id;
    if (!Reader.whole(Id) || Id >= Limit)
      refuse("no id from 0 to " + std::to_string(Limit - 1));
    if (add(Spelling, Id))
      continue;
    if (has(Id))
      refuse(std::to_string(Id) + ", which is also the id of '" +
             std::string(spelling(Id)) + "'");
    refuse("both " + std::to_string(find(Spelling)) + " and " +
           std::to_string(Id));
  } while (Reader.accept(','));
  if (!Reader.accept('}'))
    malformed();
}

/// Where the spelling is, or the free slot where it belongs.
size_t Vocabulary::slotOf(std::string_view Spelling, uint32_t Hash) const {
  size_t Mask = Slots.size() - 1, Place = Hash & Mask;
  while (Slots[Place].Id >= 0 &&
         (Slots[Place].Hash != Hash || spelling(Slots[Place].Id) != Spelling))
    Place = (Place + 1) & Mask;
  return Place;
}

int32_t Vocabulary::find(std::string_view Spelling) const {
  return Slots.empty() ? -1 : Slots[slotOf(Spelling, hashOf(Spelling))].Id;
}

/// Room for `Count` spellings, half of the slots free.
void Vocabulary::grow(size_t Count) {
  size_t Size = 16;
  while (Size < 2 * Count)
    Size *= 2;
  if (Size <= Slots.size())
    return;
  std::vector<Slot> Old(Size, Slot{0, -1});
  Old.swap(Slots);
  for (const Slot &Each : Old) {
    if (Each.Id < 0)
      continue;
    size_t Place = Each.Hash & (Size - 1);
    while (Slots[Place].Id >= 0)
      Place = (Place + 1) & (Size - 1);
    Slots[Place] = Each;
  }
}

bool Vocabulary::add(std::string_view Spelling, int32_t Id) {
  if (Id >= size())
    Entries.resize(Id + size_t(1));
  if (has(Id))
    return spelling(Id) == Spelling;
  grow(Used + 1);
  uint32_t Hash = hashOf(Spelling);
  Slot &Place = Slots[slotOf(Spelling, Hash)];
  if (Place.Id >= 0)
    return false;
  if (Spelling.size() >= NoSize - 1 - Spellings.size())
    fail(CRIA_UNSUPPORTED, "the vocabulary's spellings have more than 4 GB");
  Entries[Id] = {static_cast<uint32_t>(Spellings.size()),
                 static_cast<uint32_t>(Spelling.size())};
  Spellings.append(Spelling).push_back('\0');
  Place = {Hash, Id};
  ++Used;
  return true;
}
