// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The regular expressions of tokenizer.json, which are written for Oniguruma
// (Ruby syntax), run by PCRE2.
#ifndef CRIA_TEXT_REGEX_H
#define CRIA_TEXT_REGEX_H

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace cria::text {

/// Rewrites what the two engines read differently: \s and \w (their sets
/// differ), \h, \v, \uHHHH, {,n}, {n,m}+ and classes inside
/// classes. Set operations and negated classes inside classes have no PCRE2
/// form and fail with CRIA_UNSUPPORTED.
std::string translatePattern(std::string_view Pattern);

/// Immutable once made; any number of threads may match at the same time,
/// each with a Matcher of its own.
class Regex {
public:
  /// Throws TextError naming the pattern where it does not compile.
  explicit Regex(std::string_view Pattern);
  ~Regex();
  Regex(Regex &&) noexcept;
  Regex &operator=(Regex &&) noexcept;

  const std::string &pattern() const;

private:
  friend class Matcher;
  struct Impl;
  std::unique_ptr<Impl> Data;
};

/// Walks over the matches of a pattern in one text, which must be valid UTF-8.
class Matcher {
public:
  Matcher(const Regex &Expression, std::string_view Text);
  ~Matcher();
  Matcher(const Matcher &) = delete;
  Matcher &operator=(const Matcher &) = delete;

  /// Starts over on another text.
  void reset(std::string_view NewText);

  /// Finds the next match. An empty one right after the last is skipped, as
  /// Oniguruma's iterator does. Throws TextError at the backtracking limit.
  bool next(size_t &Begin, size_t &End);

private:
  const Regex &Expression;
  std::string_view Text;
  void *Data; // pcre2_match_data
  size_t Position = 0;
  size_t LastEnd = static_cast<size_t>(-1);
};

} // namespace cria::text

#endif // CRIA_TEXT_REGEX_H
