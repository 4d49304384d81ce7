// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "session/NgramIndex.h"

#include <algorithm>

namespace cria::runtime {

// Places looked at for one draft: at a few ns each well under 1 % of a run of
// the smallest models, and in practice no text has more that share two tokens.
static constexpr int MostPlaces = 1024;

void NgramIndex::init(int64_t Capacity, int64_t Least) {
  int64_t Size = 1;
  while (Size - 1 < Capacity)
    Size *= 2;
  Mask = Size - 1;
  MinMatch = Least;
  Total = 0;
  Tokens.assign(Size, 0);
  Heads.assign(Size, 0);
  Links.assign(Size, 0);
}

uint32_t NgramIndex::hashOfEnd() const {
  // Multiplication by an odd constant near 2^64 / golden ratio: the high bits
  // depend on every token.
  uint64_t Hash = 0;
  for (int64_t I = 1; I <= MinMatch; ++I)
    Hash =
        (Hash + static_cast<uint32_t>(at(Total - I)) + 1) * 0x9E3779B97F4A7C15u;
  return static_cast<uint32_t>(Hash >> 32) & static_cast<uint32_t>(Mask);
}

void NgramIndex::append(int32_t Token) {
  Tokens[Total & Mask] = Token;
  ++Total;
  if (Total < MinMatch)
    return;
  uint32_t &Head = Heads[hashOfEnd()];
  Links[(Total - 1) & Mask] = Head;
  Head = static_cast<uint32_t>(Total);
}

void NgramIndex::retract() {
  if (Total >= MinMatch)
    Heads[hashOfEnd()] = Links[(Total - 1) & Mask];
  --Total;
}

NgramIndex::Match NgramIndex::find() const {
  Match Best;
  int64_t Kept = kept(), Age = 0;
  if (Kept < MinMatch)
    return Best;
  for (int Tried = 0; Tried < MostPlaces; ++Tried) {
    // How far before the end of the text, modulo 2^32.
    uint32_t Link = Links[(Total - 1 - Age) & Mask];
    int64_t Older = static_cast<uint32_t>(Total) - Link;
    if (Older <= Age || Older > Kept - MinMatch)
      break;
    Age = Older;
    int64_t Most = std::min(LongestMatch, Kept - Age), Length = 0;
    while (Length < Most &&
           at(Total - 1 - Length) == at(Total - Age - 1 - Length))
      ++Length;
    if (Length >= MinMatch && Length > Best.Length)
      Best = {Length, Total - Age};
    if (Length == LongestMatch)
      break;
  }
  return Best;
}

void NgramIndex::follow(Match Found, int64_t Count, int32_t *Out) const {
  for (int64_t I = 0; I < Count; ++I) {
    int64_t Place = Found.Next + I;
    Out[I] = Place < Total ? at(Place) : Out[Place - Total];
  }
}

} // namespace cria::runtime
