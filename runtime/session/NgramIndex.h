// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where the end of a text has occurred in it before. As LZ77 compressors do
// it: a table from a hash of the last few tokens to the latest place, and from
// each place a link to the one before with the same hash. Tokens are always
// compared, so that a collision of hashes costs time only.
#ifndef CRIA_SESSION_NGRAMINDEX_H
#define CRIA_SESSION_NGRAMINDEX_H

#include <cstdint>
#include <vector>

namespace cria::runtime {

class NgramIndex {
public:
  /// Longer matches say no more about what follows.
  static constexpr int64_t LongestMatch = 32;

  /// Keeps at least the last `Capacity` tokens; a match has at least
  /// `MinMatch` tokens. Allocates; nothing else does.
  void init(int64_t Capacity, int64_t MinMatch);
  void clear() { Total = 0; }
  void append(int32_t Token);
  /// Undoes the last append; only once before the next one.
  void retract();

  struct Match {
    int64_t Length = 0; // tokens that agree, at most LongestMatch; 0: none
    int64_t Next = 0;   // place in the text of the token that followed
  };
  /// The longest match of the end of the text, the latest of several.
  Match find() const;

  /// Writes `Count` tokens from the match's `Next` on. Where those reach the
  /// end of the text, they go on with themselves: a period is repeated.
  void follow(Match Found, int64_t Count, int32_t *Out) const;

  int64_t length() const { return Total; }
  uint64_t bytes() const {
    return (Tokens.size() + Heads.size() + Links.size()) * sizeof(int32_t);
  }

private:
  uint32_t hashOfEnd() const;
  int32_t at(int64_t Place) const { return Tokens[Place & Mask]; }
  // One less than there is room for, so that retract brings nothing back that
  // was overwritten.
  int64_t kept() const { return Total < Mask ? Total : Mask; }

  int64_t Mask = 0, MinMatch = 0;
  int64_t Total = 0;           // length of the text, with what is forgotten
  std::vector<int32_t> Tokens; // a ring
  // Low bits of the place after an n-gram. Stale and never written entries
  // are harmless: each place is checked against the tokens there.
  std::vector<uint32_t> Heads; // by hash
  std::vector<uint32_t> Links; // by place of the n-gram's last token: earlier
};

} // namespace cria::runtime

#endif // CRIA_SESSION_NGRAMINDEX_H
