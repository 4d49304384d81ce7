// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// JSON as events that the caller asks for. model.vocab and model.merges are
// nearly all of a tokenizer.json: read like this they cost a tenth of the time
// that a tree of values does, which is most of a program's start.
#ifndef CRIA_TEXT_JSONREADER_H
#define CRIA_TEXT_JSONREADER_H

#include <cstdint>
#include <string>
#include <string_view>

namespace cria::text {

/// Reads strictly what it returns, and steps over the rest loosely: who skips
/// a value must have it checked by other means.
class JsonReader {
public:
  explicit JsonReader(std::string_view Text)
      : Begin(Text.data()), At(Begin), End(Begin + Text.size()) {}

  /// The next character that is not white space, or 0 at the end.
  char peek() {
    while (At != End &&
           (*At == ' ' || *At == '\n' || *At == '\t' || *At == '\r'))
      ++At;
    return At == End ? '\0' : *At;
  }

  /// Steps over `Character` where it is next.
  bool accept(char Character) {
    if (peek() != Character || At == End)
      return false;
    ++At;
    return true;
  }

  /// Reads a string. `Text` refers to the document, or to `Unescaped` where
  /// the string has escapes. False where there is no valid string.
  bool string(std::string_view &Text, std::string &Unescaped);
  /// Reads digits; false, and nothing read, where the next value is anything
  /// else than a whole number below 2^31.
  bool whole(int32_t &Number);
  /// Steps over the next value and returns its text.
  std::string_view skip();

  size_t position() const { return At - Begin; }

private:
  void skipString();
  bool unescape(std::string &Out);
  bool hexDigits(unsigned &Value);

  const char *Begin, *At, *End;
};

} // namespace cria::text

#endif // CRIA_TEXT_JSONREADER_H
