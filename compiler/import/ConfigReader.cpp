// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/ConfigReader.h"

#include "compiler/import/InputFile.h"
#include "llvm/ADT/SmallVector.h"

using namespace llvm;

namespace cria {

const json::Value *ConfigReader::find(StringRef key) {
  known.insert(key);
  const json::Value *value = object.get(key);
  return value && value->kind() != json::Value::Null ? value : nullptr;
}

void ConfigReader::fail(Error error) {
  if (first)
    consumeError(std::move(error));
  else
    first = std::move(error);
}

void ConfigReader::fail(const Twine &message) {
  fail(fileError(file, message));
}

void ConfigReader::refuse(StringRef key, const json::Value *value,
                          const Twine &accepted) {
  fail("key '" + Twine(prefix) + key + "' is " +
       (value ? jsonText(*value) : "missing") + "; accepted: " + accepted);
}

int64_t ConfigReader::integer(StringRef key, int64_t low, int64_t high,
                              std::optional<int64_t> otherwise) {
  const json::Value *value = find(key);
  if (!value && otherwise)
    return *otherwise;
  std::optional<int64_t> number = value ? jsonInteger(*value) : std::nullopt;
  if (number && *number >= low && *number <= high)
    return *number;
  refuse(key, value, "an integer from " + Twine(low) + " to " + Twine(high));
  return otherwise.value_or(low);
}

double ConfigReader::number(StringRef key, double low, double high,
                            std::optional<double> otherwise) {
  const json::Value *value = find(key);
  if (!value && otherwise)
    return *otherwise;
  std::optional<double> number = value ? value->getAsNumber() : std::nullopt;
  // Written so that a NaN is refused.
  if (number && *number >= low && *number <= high)
    return *number;
  refuse(key, value,
         "a number from " + numberText(low) + " to " + numberText(high));
  return otherwise.value_or(low);
}

std::optional<double> ConfigReader::numberOrNone(StringRef key, double low,
                                                 double high) {
  if (!has(key))
    return std::nullopt;
  return number(key, low, high);
}

bool ConfigReader::boolean(StringRef key, bool otherwise) {
  const json::Value *value = find(key);
  if (!value)
    return otherwise;
  std::optional<bool> found = value->getAsBoolean();
  if (!found)
    refuse(key, value, "true, false");
  return found.value_or(otherwise);
}

std::string ConfigReader::string(StringRef key, StringRef otherwise,
                                 StringRef accepted) {
  const json::Value *value = find(key);
  if (!value)
    return otherwise.str();
  std::optional<StringRef> found = value->getAsString();
  if (!found)
    refuse(key, value, accepted);
  return found.value_or(otherwise).str();
}

const json::Array *ConfigReader::list(StringRef key, const Twine &accepted) {
  const json::Value *value = find(key);
  const json::Array *result = value ? value->getAsArray() : nullptr;
  if (!result)
    refuse(key, value, accepted);
  return result;
}

std::vector<double> ConfigReader::numbers(StringRef key, int64_t count,
                                          double high, StringRef accepted) {
  std::vector<double> result;
  const json::Array *values = list(key, accepted);
  if (!values)
    return result;
  if (values->size() != static_cast<size_t>(count)) {
    refuse(key, accepted);
    return result;
  }
  for (const json::Value &item : *values) {
    std::optional<double> number = item.getAsNumber();
    if (!number || !(*number > 0 && *number <= high))
      refuse(key, &item, accepted);
    result.push_back(number.value_or(1));
  }
  return result;
}

void ConfigReader::pin(StringRef key, StringRef accepted) {
  const json::Value *value = find(key);
  if (!value)
    return;
  SmallVector<StringRef, 3> choices;
  accepted.split(choices, " or ");
  for (StringRef choice : choices) {
    Expected<json::Value> wanted = json::parse(choice);
    if (!wanted)
      return fail(wanted.takeError());
    if (*wanted == *value)
      return;
  }
  refuse(key, value, accepted);
}

void ConfigReader::refuseOthers(const Twine &where) {
  std::optional<std::string> unknown;
  for (const auto &[key, unused] : object)
    if (!known.contains(StringRef(key)) && (!unknown || key.str() < *unknown))
      unknown = key.str();
  if (unknown)
    fail("unknown key " + quoted(*unknown) + " " + where +
         ": cria does not know whether it changes the model");
}

} // namespace cria
