// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads the keys of one JSON object of a config.json and remembers which it
// was asked for, so that those which nobody asked for can be refused.
//
// The first error stays; later reads then yield what they were given as the
// default. Whoever owns the reader must take() the error in the end.
#ifndef CRIA_COMPILER_IMPORT_CONFIGREADER_H
#define CRIA_COMPILER_IMPORT_CONFIGREADER_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cria {

class ConfigReader {
public:
  /// `prefix` stands before the keys in messages, such as "rope_scaling.".
  ConfigReader(llvm::StringRef file, const llvm::json::Object &object,
               llvm::StringRef prefix = "")
      : file(file), object(object), prefix(prefix) {}
  ~ConfigReader() { llvm::consumeError(std::move(first)); }
  ConfigReader(const ConfigReader &) = delete;
  ConfigReader &operator=(const ConfigReader &) = delete;

  /// The value, or null for a missing key and for JSON's null.
  const llvm::json::Value *find(llvm::StringRef key);
  /// Null counts as contained, but not as had.
  bool contains(llvm::StringRef key) const { return object.get(key); }
  bool has(llvm::StringRef key) { return find(key) != nullptr; }
  void accept(llvm::StringRef key) { known.insert(key); }

  // Without `otherwise` the key is required. Numbers out of range and NaNs
  // are errors.
  int64_t integer(llvm::StringRef key, int64_t low, int64_t high,
                  std::optional<int64_t> otherwise = std::nullopt);
  double number(llvm::StringRef key, double low, double high,
                std::optional<double> otherwise = std::nullopt);
  std::optional<double> numberOrNone(llvm::StringRef key, double low,
                                     double high);
  bool boolean(llvm::StringRef key, bool otherwise);
  /// `accepted` is for the message.
  std::string string(llvm::StringRef key, llvm::StringRef otherwise,
                     llvm::StringRef accepted);
  /// `count` numbers above 0; `accepted` is for the message.
  std::vector<double> numbers(llvm::StringRef key, int64_t count, double high,
                              llvm::StringRef accepted);
  const llvm::json::Array *list(llvm::StringRef key,
                                const llvm::Twine &accepted);

  /// A key that would change the model: missing, null, or one of the JSON
  /// values in `accepted`, separated by " or ".
  void pin(llvm::StringRef key, llvm::StringRef accepted);

  /// Fails: "key 'KEY' is VALUE; accepted: ACCEPTED".
  void refuse(llvm::StringRef key, const llvm::Twine &accepted) {
    refuse(key, find(key), accepted);
  }
  void refuse(llvm::StringRef key, const llvm::json::Value *value,
              const llvm::Twine &accepted);
  /// Fails for the alphabetically first key that nothing asked for.
  void refuseOthers(const llvm::Twine &where);

  void fail(const llvm::Twine &message);
  void fail(llvm::Error error);
  bool failed() { return static_cast<bool>(first); }
  llvm::Error take() { return std::move(first); }

  const llvm::StringRef file;

private:
  const llvm::json::Object &object;
  std::string prefix;
  llvm::StringSet<> known;
  llvm::Error first = llvm::Error::success();
};

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_CONFIGREADER_H
