// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TEXT_VOCABULARY_H
#define CRIA_TEXT_VOCABULARY_H

#include "JsonReader.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cria::text {

/// Spellings and ids, both ways, in few allocations. Ids may have gaps.
class Vocabulary {
public:
  /// Takes the object {spelling: id} that comes next, in a file of
  /// `FileBytes`.
  void read(JsonReader &Reader, size_t FileBytes);

  /// The id of a spelling, or -1.
  int32_t find(std::string_view Spelling) const;
  /// Adds a spelling at an id that has none, or confirms what is there.
  /// Returns false where the id spells something else.
  bool add(std::string_view Spelling, int32_t Id);

  int32_t size() const { return static_cast<int32_t>(Entries.size()); }
  /// A zero byte follows it. Valid until the next add().
  std::string_view spelling(int32_t Id) const {
    return {Spellings.data() + Entries[Id].Begin, Entries[Id].Size};
  }
  bool has(int32_t Id) const {
    return Id >= 0 && Id < size() && Entries[Id].Size != NoSize;
  }
  /// Whether the id spells `Left` and then `Right`.
  bool isJoined(int32_t Id, std::string_view Left,
                std::string_view Right) const {
    return has(Id) && Entries[Id].Size == Left.size() + Right.size() &&
           spelling(Id).substr(0, Left.size()) == Left &&
           spelling(Id).substr(Left.size()) == Right;
  }
  /// No id may be this large: what the file's size justifies.
  int64_t limit() const { return Limit; }
  size_t spellingBytes() const { return Spellings.size(); }

private:
  static constexpr uint32_t NoSize = UINT32_MAX;
  struct Entry {
    uint32_t Begin = 0, Size = NoSize;
  };
  struct Slot {
    uint32_t Hash;
    int32_t Id; // -1: free
  };

  size_t slotOf(std::string_view Spelling, uint32_t Hash) const;
  void grow(size_t Count);

  std::string Spellings; // each with a zero behind it
  std::vector<Entry> Entries;
  std::vector<Slot> Slots; // open addressing, a power of two in size
  size_t Used = 0;
  int64_t Limit = 0;
};

} // namespace cria::text

#endif // CRIA_TEXT_VOCABULARY_H
