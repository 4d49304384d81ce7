// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TEXT_NORMALIZER_H
#define CRIA_TEXT_NORMALIZER_H

#include "Config.h"

namespace cria::text {

/// What changes a text before it is split: NFC, Prepend, Replace, and
/// sequences of them.
class Normalizer {
public:
  void add(const Config &Component, int Depth = 0);

  bool empty() const { return Steps.empty(); }

  /// `Continues` says that the text goes on directly after other text, so that
  /// nothing is prepended.
  std::string apply(std::string Text, bool Continues) const;

private:
  struct Step {
    enum Kind { Nfc, Prepend, Replace } Kind;
    std::string Content;
    Pattern What;
  };
  std::vector<Step> Steps;
};

} // namespace cria::text

#endif // CRIA_TEXT_NORMALIZER_H
