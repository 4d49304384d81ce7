// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A mapped weights file, and its check against a model.
#ifndef CRIA_MODEL_WEIGHTS_H
#define CRIA_MODEL_WEIGHTS_H

#include "cria/cria.h"
#include "model/SafetensorsHeader.h"

#include <memory>

struct cria_weights {
  cria_weights() = default;
  ~cria_weights();
  cria_weights(const cria_weights &) = delete;
  cria_weights &operator=(const cria_weights &) = delete;

  std::string Path;
  const uint8_t *Map = nullptr;
  uint64_t MapBytes = 0;
  cria::runtime::SafetensorsHeader Header;
  std::vector<const void *> Pointers; // in the order of the model's weights
  bool Bound = false;
};

namespace cria::runtime {

/// Maps and parses the file. Does not throw.
cria_status openWeights(const char *Path, std::unique_ptr<cria_weights> &Result,
                        cria_error *Error) noexcept;

/// Finds each of the model's arrays in the file. Does not throw.
cria_status bindWeights(cria_weights &Weights, const cria_model &Model,
                        cria_error *Error) noexcept;

} // namespace cria::runtime

#endif // CRIA_MODEL_WEIGHTS_H
