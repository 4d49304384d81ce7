// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A GGUF file's metadata of its architecture, and what a family says about it.
#ifndef CRIA_COMPILER_IMPORT_FAMILIES_GGUFFAMILY_H
#define CRIA_COMPILER_IMPORT_FAMILIES_GGUFFAMILY_H

#include "compiler/import/DecoderDescription.h"
#include "compiler/import/GgufReader.h"
#include "compiler/import/InputFile.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringSet.h"

namespace cria {

/// A key that would change the model, and the one value that does not.
struct GgufPinnedKey {
  const char *name;
  double value;
};

/// Reads keys under "ARCHITECTURE." and remembers which it was asked for. The
/// first error stays; later reads then yield what they were given.
class GgufKeys {
public:
  GgufKeys(const GgufFile &file, llvm::StringRef architecture)
      : file(file), prefix((architecture + ".").str()) {}
  ~GgufKeys() { llvm::consumeError(std::move(first)); }

  std::string full(llvm::StringRef key) const { return (prefix + key).str(); }
  bool has(llvm::StringRef key) {
    known.insert(key);
    return file.has(full(key));
  }

  /// Without `otherwise` the key is required.
  int64_t integer(llvm::StringRef key, int64_t low, int64_t high,
                  std::optional<int64_t> otherwise = std::nullopt) {
    if (!has(key) && otherwise)
      return *otherwise;
    llvm::Expected<uint64_t> value = file.getU64(full(key));
    if (!value) {
      fail(value.takeError());
      return low;
    }
    if (*value < static_cast<uint64_t>(low) ||
        *value > static_cast<uint64_t>(high)) {
      refuse(key, llvm::Twine(*value),
             "an integer from " + llvm::Twine(low) + " to " +
                 llvm::Twine(high));
      return low;
    }
    return static_cast<int64_t>(*value);
  }

  double number(llvm::StringRef key, double low, double high,
                std::optional<double> otherwise = std::nullopt) {
    if (!has(key) && otherwise)
      return *otherwise;
    llvm::Expected<float> value = file.getF32(full(key));
    if (!value) {
      fail(value.takeError());
      return low;
    }
    double wide = static_cast<double>(*value);
    if (!(wide >= low && wide <= high))
      refuse(key, numberText(wide),
             "a number from " + numberText(low) + " to " + numberText(high));
    return wide;
  }

  bool boolean(llvm::StringRef key,
               std::optional<bool> otherwise = std::nullopt) {
    if (!has(key) && otherwise)
      return *otherwise;
    llvm::Expected<bool> value = file.getBool(full(key));
    if (value)
      return *value;
    fail(value.takeError());
    return false;
  }

  llvm::StringRef string(llvm::StringRef key, llvm::StringRef otherwise) {
    known.insert(key);
    llvm::Expected<llvm::StringRef> value =
        file.getStringOr(full(key), otherwise);
    if (value)
      return *value;
    fail(value.takeError());
    return otherwise;
  }

  void pin(const GgufPinnedKey &key) {
    if (known.contains(key.name) || !has(key.name))
      return; // the family reads it, or it is not there
    const GgufValue *value = file.find(full(key.name));
    if (value->type == GgufValueType::Bool) {
      if ((value->bits != 0) != (key.value != 0))
        refuse(key.name, value->bits ? "true" : "false",
               key.value != 0 ? "true" : "false");
      return;
    }
    llvm::Expected<uint64_t> integer = file.getU64(full(key.name));
    double number = 0;
    if (integer) {
      number = static_cast<double>(*integer);
    } else {
      llvm::consumeError(integer.takeError());
      llvm::Expected<float> real = file.getF32(full(key.name));
      if (!real)
        return fail(real.takeError());
      number = static_cast<double>(*real);
    }
    if (number != key.value)
      refuse(key.name, numberText(number), numberText(key.value));
  }

  void accept(llvm::StringRef key) { known.insert(key); }

  void refuse(llvm::StringRef key, const llvm::Twine &value,
              const llvm::Twine &accepted) {
    fail(fileError(file.path(), "key '" + full(key) + "' is " + value +
                                    "; accepted: " + accepted));
  }

  void refuseOthers() {
    for (llvm::StringRef key : file.keys()) {
      llvm::StringRef name = key;
      if (name.consume_front(prefix) && !known.contains(name))
        fail(fileError(file.path(), "unknown key " + quoted(key) +
                                        ": cria does not know whether it "
                                        "changes the model"));
    }
  }

  void fail(llvm::Error error) {
    if (first)
      llvm::consumeError(std::move(error));
    else
      first = std::move(error);
  }
  bool failed() { return static_cast<bool>(first); }
  llvm::Error take() { return std::move(first); }

  const GgufFile &file;

private:
  std::string prefix;
  llvm::StringSet<> known;
  llvm::Error first = llvm::Error::success();
};

/// A tensor, and whether the model has it only where the file has it.
struct GgufTensorName {
  Role role;
  const char *name;
  bool optional;
};

/// A family as llama.cpp's converter writes it. GGUF has the same tensor names
/// for all of them, and a bias is there where its tensor is.
struct GgufFamily {
  const char *architecture; // general.architecture
  DecoderDescription::Norm norm = DecoderDescription::Norm::Rms;
  /// Of rope's pairs; nothing: no rope.
  std::optional<bool> interleaved = true;
  /// The arrangement, and keys and tensors beside the usual ones. Sizes, rope
  /// and usual tensors are there already.
  void (*describe)(GgufKeys &keys, DecoderDescription &model) = nullptr;
};

llvm::ArrayRef<GgufFamily> ggufFamilies();

/// The tensors of a model with a gated feed-forward. Q, K and V are one tensor
/// where the file has that.
void placeUsualGguf(GgufKeys &keys, DecoderDescription &model);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_FAMILIES_GGUFFAMILY_H
