// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// UTF-8 and the little of Unicode that tokenizers need beyond PCRE2.
#ifndef CRIA_TEXT_UNICODE_H
#define CRIA_TEXT_UNICODE_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cria::text {

/// Decodes the code point at the start of `Text`. Returns its length, or 0
/// where the bytes are not well-formed (Unicode 15, table 3-7).
size_t decodeUtf8(std::string_view Text, uint32_t &CodePoint);

void appendUtf8(std::string &Text, uint32_t CodePoint);

/// The length of the longest prefix of `Text` that can still become a
/// well-formed sequence, 1 at least: what one U+FFFD stands for.
/// `CanContinue` is set when more bytes could complete it.
size_t brokenUtf8Length(std::string_view Text, bool &CanContinue);

/// The number of bytes at the start of `Text` that are valid UTF-8.
size_t validUtf8Prefix(std::string_view Text);

/// The White_Space property.
bool isWhiteSpace(uint32_t CodePoint);

/// Normalization form C of valid UTF-8.
std::string normalizeNfc(std::string_view Text);

} // namespace cria::text

#endif // CRIA_TEXT_UNICODE_H
