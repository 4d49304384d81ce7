// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TEXT_ADDEDTOKENS_H
#define CRIA_TEXT_ADDEDTOKENS_H

#include "Regex.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cria::text {

struct AddedToken {
  std::string Content;
  int32_t Id = -1;
  bool Special = false, SingleWord = false, LeftStrip = false,
       RightStrip = false, Normalized = false;
};

/// Part of a text: an added token, or text between them (Id < 0).
struct Segment {
  size_t Begin, End;
  int32_t Id;
};

/// Finds added tokens in a text, the longest at the leftmost place first.
class AddedTokens {
public:
  /// `Spelling` is what to look for; a later token with the same spelling
  /// replaces the earlier.
  void add(const AddedToken &Token, std::string_view Spelling);

  bool empty() const { return Tokens.empty(); }

  /// Cuts `Text`; with `PlainText` special tokens are not looked for.
  std::vector<Segment> split(std::string_view Text, bool PlainText) const;

private:
  struct Node {
    int32_t Token = -1;
    int32_t Child = -1, Sibling = -1; // first child, next of its parent
    unsigned char Byte = 0;
  };
  bool matchAt(std::string_view Text, size_t Begin, size_t &End,
               int32_t &Token) const;
  bool isWordBefore(std::string_view Text, size_t Position) const;
  bool isWordAfter(std::string_view Text, size_t Position) const;

  std::vector<AddedToken> Tokens;
  std::vector<Node> Trie = std::vector<Node>(1);
  int32_t Roots[256]; // a node for each first byte
  bool HasRoots = false;
  std::shared_ptr<const Regex> WordCharacter; // made for the first SingleWord
};

} // namespace cria::text

#endif // CRIA_TEXT_ADDEDTOKENS_H
