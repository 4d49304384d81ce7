// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "session/PagePool.h"

#include "cria/abi.h"

using namespace cria::runtime;

namespace {

int64_t pagesFor(int64_t Tokens) {
  return (Tokens + CRIA_PAGE_TOKENS - 1) / CRIA_PAGE_TOKENS;
}

} // namespace

void PagePool::init(int64_t Pages, int64_t Sequences,
                    int64_t PagesPerSequence) {
  Stride = PagesPerSequence;
  Free.resize(Pages);
  // So that page 0 is taken first.
  for (int64_t I = 0; I < Pages; ++I)
    Free[I] = static_cast<int32_t>(Pages - 1 - I);
  FreeCount = Pages;
  References.assign(Pages, 0);
  PlannedDrops.assign(Pages, 0);
  Lengths.assign(Sequences, 0);
  Tables.assign(Sequences * Stride, 0);
}

int32_t PagePool::openPage(int32_t Sequence) {
  int64_t Length = Lengths[Sequence];
  return Length % CRIA_PAGE_TOKENS ? row(Sequence)[Length / CRIA_PAGE_TOKENS]
                                   : -1;
}

int64_t PagePool::planAppend(int32_t Sequence, int64_t Count) {
  int64_t Length = Lengths[Sequence];
  int64_t Needed = pagesFor(Length + Count) - pagesFor(Length);
  int32_t Open = openPage(Sequence);
  if (Open >= 0) {
    // Shared still, once those before us have moved to copies of their own?
    if (References[Open] - PlannedDrops[Open] > 1)
      ++Needed;
    ++PlannedDrops[Open];
  }
  return Needed;
}

void PagePool::endPlan(int32_t Sequence) {
  int32_t Open = openPage(Sequence);
  if (Open >= 0)
    PlannedDrops[Open] = 0;
}

PagePool::Copy PagePool::reserve(int32_t Sequence, int64_t Count) {
  Copy Result;
  int64_t Length = Lengths[Sequence];
  int32_t *Row = row(Sequence);
  int32_t Open = openPage(Sequence);
  if (Open >= 0 && References[Open] > 1) {
    Result.From = Open;
    Result.To = take();
    release(Open);
    Row[Length / CRIA_PAGE_TOKENS] = Result.To;
  }
  for (int64_t I = pagesFor(Length); I < pagesFor(Length + Count); ++I)
    Row[I] = take();
  return Result;
}

int32_t PagePool::append(int32_t Sequence) {
  int64_t Position = Lengths[Sequence]++;
  int32_t Page = row(Sequence)[Position / CRIA_PAGE_TOKENS];
  return Page * CRIA_PAGE_TOKENS +
         static_cast<int32_t>(Position % CRIA_PAGE_TOKENS);
}

void PagePool::truncate(int32_t Sequence, int64_t Length) {
  int32_t *Row = row(Sequence);
  for (int64_t I = pagesFor(Lengths[Sequence]); I-- > pagesFor(Length);) {
    release(Row[I]);
    Row[I] = 0;
  }
  Lengths[Sequence] = Length;
}

void PagePool::fork(int32_t From, int32_t To) {
  if (From == To)
    return;
  truncate(To, 0);
  int32_t *Source = row(From), *Target = row(To);
  for (int64_t I = 0; I < pagesFor(Lengths[From]); ++I) {
    Target[I] = Source[I];
    ++References[Source[I]];
  }
  Lengths[To] = Lengths[From];
}

int32_t PagePool::take() {
  int32_t Page = Free[--FreeCount];
  References[Page] = 1;
  return Page;
}

void PagePool::release(int32_t Page) {
  if (--References[Page] == 0)
    Free[FreeCount++] = Page;
}
