// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_MODEL_ARTIFACT_H
#define CRIA_MODEL_ARTIFACT_H

#include "model/Weights.h"

struct cria_artifact {
  cria_artifact() = default;
  ~cria_artifact();
  cria_artifact(const cria_artifact &) = delete;
  cria_artifact &operator=(const cria_artifact &) = delete;

  void *Library = nullptr; // null when linked in
  const cria_model *Model = nullptr;
  const cria_clone *Clone = nullptr; // the best for this processor
  std::unique_ptr<cria_weights> Weights;
};

namespace cria::runtime {

/// The ABI version, then that every count is one that sessions can work with.
cria_status checkModel(const cria_model *Model, const char *Origin,
                       cria_error *Error) noexcept;

} // namespace cria::runtime

#endif // CRIA_MODEL_ARTIFACT_H
