// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "AddedTokens.h"
#include "Unicode.h"

#include <algorithm>

using namespace cria::text;

void AddedTokens::add(const AddedToken &Token, std::string_view Spelling) {
  if (Spelling.empty())
    return;
  if (!HasRoots) {
    std::fill(std::begin(Roots), std::end(Roots), -1);
    HasRoots = true;
  }
  if (Token.SingleWord && !WordCharacter)
    WordCharacter = std::make_shared<const Regex>("\\A[\\w\\x{200c}\\x{200d}]");
  int32_t &Root = Roots[static_cast<unsigned char>(Spelling[0])];
  if (Root < 0) {
    Root = static_cast<int32_t>(Trie.size());
    Trie.emplace_back();
  }
  int32_t At = Root;
  for (unsigned char Byte : Spelling.substr(1)) {
    int32_t Child = Trie[At].Child;
    while (Child >= 0 && Trie[Child].Byte != Byte)
      Child = Trie[Child].Sibling;
    if (Child < 0) {
      Child = static_cast<int32_t>(Trie.size());
      Node New;
      New.Byte = Byte;
      New.Sibling = Trie[At].Child;
      Trie.push_back(New);
      Trie[At].Child = Child;
    }
    At = Child;
  }
  Trie[At].Token = static_cast<int32_t>(Tokens.size());
  Tokens.push_back(Token);
}

bool AddedTokens::matchAt(std::string_view Text, size_t Begin, size_t &End,
                          int32_t &Token) const {
  int32_t At = Roots[static_cast<unsigned char>(Text[Begin])];
  bool Found = false;
  for (size_t Position = Begin + 1; At >= 0; ++Position) {
    if (Trie[At].Token >= 0) {
      Found = true;
      End = Position;
      Token = Trie[At].Token;
    }
    if (Position == Text.size())
      break;
    unsigned char Byte = Text[Position];
    At = Trie[At].Child;
    while (At >= 0 && Trie[At].Byte != Byte)
      At = Trie[At].Sibling;
  }
  return Found;
}

static size_t previousCharacter(std::string_view Text, size_t Position) {
  --Position;
  for (int I = 0; I < 3 && Position > 0 &&
                  (static_cast<unsigned char>(Text[Position]) & 0xC0) == 0x80;
       ++I)
    --Position;
  return Position;
}

bool AddedTokens::isWordAfter(std::string_view Text, size_t Position) const {
  uint32_t CodePoint;
  size_t Length = decodeUtf8(Text.substr(Position), CodePoint);
  if (!Length)
    return false;
  Matcher Walk(*WordCharacter, Text.substr(Position, Length));
  size_t Begin, End;
  return Walk.next(Begin, End);
}

bool AddedTokens::isWordBefore(std::string_view Text, size_t Position) const {
  return Position > 0 && isWordAfter(Text, previousCharacter(Text, Position));
}

std::vector<Segment> AddedTokens::split(std::string_view Text,
                                        bool PlainText) const {
  std::vector<Segment> Segments;
  size_t Last = 0;
  for (size_t Position = 0; HasRoots && Position < Text.size();) {
    size_t End;
    int32_t Index;
    if (!matchAt(Text, Position, End, Index)) {
      ++Position;
      continue;
    }
    size_t Begin = Position;
    Position = End;
    const AddedToken &Token = Tokens[Index];
    if ((PlainText && Token.Special) ||
        (Token.SingleWord &&
         (isWordBefore(Text, Begin) || isWordAfter(Text, End))))
      continue;
    uint32_t CodePoint;
    if (Token.LeftStrip)
      while (Begin > Last) {
        size_t Before = previousCharacter(Text, Begin);
        size_t Length = decodeUtf8(Text.substr(Before), CodePoint);
        if (!Length || !isWhiteSpace(CodePoint))
          break;
        Begin = Before;
      }
    if (Token.RightStrip)
      while (size_t Length = decodeUtf8(Text.substr(End), CodePoint)) {
        if (!isWhiteSpace(CodePoint))
          break;
        End += Length;
      }
    // White space that an earlier token has taken stays with it.
    Begin = std::max(Begin, Last);
    if (End <= Begin)
      continue;
    if (Last < Begin)
      Segments.push_back({Last, Begin, -1});
    Segments.push_back({Begin, End, Token.Id});
    Last = End;
    Position = std::max(Position, Last);
  }
  if (Last < Text.size())
    Segments.push_back({Last, Text.size(), -1});
  return Segments;
}
