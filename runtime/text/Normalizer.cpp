// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Normalizer.h"
#include "Unicode.h"

using namespace cria::text;

static constexpr size_t MaxPrependBytes = 256;

void Normalizer::add(const Config &Component, int Depth) {
  std::string Type = Component.type();
  if (Steps.size() == MaxSteps)
    Component.unsupported("one more normalizer", "64");
  if (Type == "Sequence") {
    if (Depth == MaxNesting)
      Component.unsupported("a deeper Sequence", "16 levels");
    for (const Config &Item : Component.list("normalizers"))
      add(Item, Depth + 1);
  } else if (Type == "NFC") {
    Steps.push_back({Step::Nfc, {}, {}});
  } else if (Type == "Prepend") {
    Steps.push_back({Step::Prepend, Component.string("prepend"), {}});
    if (Steps.back().Content.size() > MaxPrependBytes)
      Component.malformed("prepend", "at most 256 bytes");
  } else if (Type == "Replace") {
    Steps.push_back({Step::Replace, Component.string("content"),
                     Pattern(Component, "pattern")});
  } else {
    Component.unsupported("normalizer '" + Type + "'",
                          "NFC, Prepend, Replace, Sequence");
  }
}

std::string Normalizer::apply(std::string Text, bool Continues) const {
  size_t MaxBytes = maxGrowth(Text.size());
  for (const Step &Current : Steps) {
    switch (Current.Kind) {
    case Step::Nfc:
      Text = normalizeNfc(Text);
      break;
    case Step::Prepend:
      if (!Text.empty() && !Continues)
        Text.insert(0, Current.Content);
      break;
    case Step::Replace:
      Text = Current.What.replaceAll(Text, Current.Content, MaxBytes);
      break;
    }
  }
  return Text;
}
