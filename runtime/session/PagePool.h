// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which pages of the KV cache belong to which sequence. A page may belong to
// several, up to the position where they part. Nothing allocates after init.
#ifndef CRIA_SESSION_PAGEPOOL_H
#define CRIA_SESSION_PAGEPOOL_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cria::runtime {

class PagePool {
public:
  /// May throw std::bad_alloc.
  void init(int64_t Pages, int64_t Sequences, int64_t PagesPerSequence);

  int64_t pages() const { return static_cast<int64_t>(References.size()); }
  int64_t freePages() const { return FreeCount; }
  int64_t length(int32_t Sequence) const { return Lengths[Sequence]; }
  int64_t stride() const { return Stride; }
  const int32_t *tables() const { return Tables.data(); }

  /// Pages to take for `Count` more tokens of a sequence, given what was
  /// planned for other sequences since the last endPlan.
  int64_t planAppend(int32_t Sequence, int64_t Count);
  /// Forgets the plan of a sequence that was given to planAppend.
  void endPlan(int32_t Sequence);

  /// A page that must be copied before it is written; From is -1 for none.
  struct Copy {
    int32_t From = -1;
    int32_t To = -1;
  };

  /// Takes the pages for `Count` more tokens. The caller has made sure by
  /// planAppend that there are enough; the length stays as it is.
  Copy reserve(int32_t Sequence, int64_t Count);

  /// The slot of the next position, which becomes part of the sequence.
  int32_t append(int32_t Sequence);

  /// Releases the pages past `Length`.
  void truncate(int32_t Sequence, int64_t Length);

  /// Makes `To` share all of `From`.
  void fork(int32_t From, int32_t To);

private:
  int32_t *row(int32_t Sequence) { return &Tables[Sequence * Stride]; }
  /// The page that the next token of the sequence goes to if it is partly
  /// filled, or -1.
  int32_t openPage(int32_t Sequence);
  int32_t take();
  void release(int32_t Page);

  int64_t Stride = 0;
  int64_t FreeCount = 0;
  std::vector<int32_t> Free; // the first FreeCount, the last one goes first
  std::vector<int32_t> References;
  std::vector<int32_t> PlannedDrops; // by page
  std::vector<int64_t> Lengths;
  std::vector<int32_t> Tables;
};

} // namespace cria::runtime

#endif // CRIA_SESSION_PAGEPOOL_H
