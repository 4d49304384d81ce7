// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The weights of modules that a pipeline changes: packed once for each set of
// params, into a folder.

#ifndef CRIA_COMPILER_VERIFY_PACKEDWEIGHTS_H
#define CRIA_COMPILER_VERIFY_PACKEDWEIGHTS_H

#include "compiler/import/SafetensorsReader.h"
#include "compiler/import/TensorSource.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

#include <memory>
#include <optional>

namespace cria {

class PackedWeights {
public:
  /// Files go into `folder`. Numbers come from `source`, or, without one, from
  /// `seed`; see packWeights.
  PackedWeights(std::string folder, const TensorSource *source,
                std::optional<uint64_t> seed)
      : folder(std::move(folder)), source(source), seed(seed) {}

  /// Valid as long as this is.
  llvm::Expected<const SafetensorsFile *> of(mlir::ModuleOp module);

private:
  std::string folder;
  const TensorSource *source;
  std::optional<uint64_t> seed;
  llvm::StringMap<std::unique_ptr<SafetensorsFile>> files; // by params
};

} // namespace cria

#endif // CRIA_COMPILER_VERIFY_PACKEDWEIGHTS_H
