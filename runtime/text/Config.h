// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Typed access to the members of a tokenizer.json, with messages that name
// the key.
#ifndef CRIA_TEXT_CONFIG_H
#define CRIA_TEXT_CONFIG_H

#include "Regex.h"
#include "TextError.h"

#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cria::text {

using Json = nlohmann::json;

/// A value and the path that leads to it ("decoder.decoders[1]").
class Config {
public:
  Config(const Json &Value, std::string Path)
      : Value(Value), Path(std::move(Path)) {}

  const Json &value() const { return Value; }
  const std::string &path() const { return Path; }

  /// The member, or null where it is absent or null.
  const Json *find(const char *Key) const;

  std::string string(const char *Key) const;
  std::string string(const char *Key, std::string_view Default) const;
  bool boolean(const char *Key, bool Default) const;
  /// A number in [Low, High].
  int64_t integer(const char *Key, int64_t Low, int64_t High) const;

  /// The "type" of this component.
  std::string type() const { return string("type"); }

  /// The components of a list member; each has a path of its own.
  std::vector<Config> list(const char *Key) const;

  [[noreturn]] void malformed(const char *Key, const char *Expected) const;
  [[noreturn]] void unsupported(const std::string &What,
                                const char *Supported) const;

private:
  std::string keyPath(const char *Key) const;

  const Json &Value;
  std::string Path;
};

/// Something to look for: {"String": "x"} or {"Regex": "x"}.
class Pattern {
public:
  Pattern() = default;
  explicit Pattern(std::string Literal) : Literal(std::move(Literal)) {}
  Pattern(const Config &Parent, const char *Key);
  static Pattern regex(std::string_view Expression);

  struct Range {
    size_t Begin, End;
  };
  /// The matches in `Text`, in order, without overlap. An empty literal
  /// matches nowhere. `Reuse` is kept from call to call with this pattern.
  void matches(std::string_view Text, std::vector<Range> &Out,
               std::unique_ptr<Matcher> &Reuse) const;

  /// Throws TextError where the result has more than `MaxBytes`: a hostile
  /// file may ask for texts that double with every step.
  std::string replaceAll(std::string_view Text, std::string_view Replacement,
                         size_t MaxBytes) const;

private:
  std::string Literal;
  std::shared_ptr<const Regex> Expression;
};

/// Sequences may nest, but not without bound.
constexpr int MaxNesting = 16;
/// Components of one kind; real files have fewer than ten.
constexpr size_t MaxSteps = 64;

/// How large a text may become when it is normalized: real normalizers
/// triple it at most.
inline size_t maxGrowth(size_t Bytes) { return 16 * Bytes + 4096; }

} // namespace cria::text

#endif // CRIA_TEXT_CONFIG_H
