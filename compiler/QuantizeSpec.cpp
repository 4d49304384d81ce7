// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/QuantizeSpec.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;

namespace cria {

const StringLiteral quantizeRoles =
    "embed, head, q, k, v, o, gate, up, down, attn (q, k, v, o), ffn (gate, "
    "up, down)";

static std::optional<QuantizeType> typeOf(StringRef word) {
  QuantizeType type{word.str(), std::nullopt, OffsetKind::none};
  if (word == "keep")
    return type;
  if (word == "q4_0")
    type.element = ElementKind::q4;
  else
    type.element = symbolizeElementKind(word);
  if (word == "q4")
    type.offset = OffsetKind::min;
  else if (word == "q4_0" || word == "q6")
    type.offset = OffsetKind::zero_point;
  if (!type.element)
    return std::nullopt;
  return type;
}

const QuantizeSpec::Item *QuantizeSpec::find(StringRef key) const {
  const Item *found =
      llvm::find_if(items, [&](const Item &item) { return item.key == key; });
  return found == items.end() ? nullptr : found;
}

Expected<QuantizeSpec> QuantizeSpec::parse(StringRef text) {
  QuantizeSpec spec;
  SmallVector<StringRef> parts;
  text.split(parts, ',');
  for (StringRef part : parts) {
    part = part.trim();
    StringRef key, word = part;
    if (part.contains('=')) {
      std::tie(key, word) = part.split('=');
      key = key.trim();
      word = word.trim();
      if (key.empty() || !llvm::all_of(key, [](char c) {
            return isAlnum(c) || c == '_' || c == '.' || c == '-';
          }))
        return createStringError(
            "'" + part + "' has no proper key before the '='; accepted: " +
            quantizeRoles + ", or the name of a parameter");
    }
    std::optional<QuantizeType> type = typeOf(word);
    if (!type)
      return createStringError("'" + part + "': no type '" + word +
                               "'; accepted: q4, q4_0, q6, q8, bf16, f16, f32, "
                               "keep, alone or after KEY=");
    if (spec.find(key))
      return createStringError(
          "'" + part + "': " +
          (key.empty() ? "a type for all weights" : "the key '" + key + "'") +
          " is given twice; accepted: once");
    spec.items.push_back({key.str(), *type});
  }
  return spec;
}

} // namespace cria
