// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The tensors of a decoder as its source has them: which there are, of which
// types, and which layers are of one kind.
#ifndef CRIA_COMPILER_IMPORT_DECODERTENSORS_H
#define CRIA_COMPILER_IMPORT_DECODERTENSORS_H

#include "compiler/import/DecoderDescription.h"
#include "compiler/import/PackRows.h"
#include "compiler/import/TensorSource.h"
#include "llvm/ADT/StringSet.h"

namespace cria {

/// The name of a role's param: "attn_q", "token_embd", ...
llvm::StringRef paramName(Role role);

/// A weight matrix, which keeps its type; everything else becomes f32.
bool isMatrix(Role role);

/// Shape of one layer's tensor, rows first. The rows of the position table
/// are the description's context.
llvm::SmallVector<int64_t, 2> shapeOf(const DecoderDescription &model,
                                      Role role);

/// A tensor's name with the layer's number for every {}.
std::string nameOfLayer(llvm::StringRef pattern, int64_t layer);

/// Absent for a tensor that the layer does not have.
using LayerTypes = std::array<std::optional<StoredType>, layerRoles>;

/// Layers of one style whose tensors are stored in the same types
/// share one function.
struct LayerKind {
  unsigned style;
  LayerTypes types;
  llvm::SmallVector<int64_t> layers;
  std::string suffix; // of its function and params: "" or "_2"

  bool has(Role role) const {
    return types[static_cast<size_t>(role)].has_value();
  }
  StoredType type(Role role) const { return *types[static_cast<size_t>(role)]; }
};

class DecoderTensors {
public:
  /// Finds and checks all tensors of the model by name, shape and type. An
  /// Error names the tensor; one that has no place in the model is an Error.
  static llvm::Expected<DecoderTensors> load(const DecoderDescription &model,
                                             const TensorSource &source);

  /// What the source calls it. `layer` is of no effect for the whole model's.
  std::string name(Role role, int64_t layer = 0) const;

  bool has(Role role) const { // of the whole model's
    return top[static_cast<size_t>(role) - layerRoles].has_value();
  }
  StoredType type(Role role) const {
    return *top[static_cast<size_t>(role) - layerRoles];
  }

  std::vector<LayerKind> kinds;
  std::vector<std::pair<int64_t, int64_t>> places; // kind, index inside it

private:
  DecoderTensors(const DecoderDescription &model, const TensorSource &source)
      : model(model), source(source) {}

  llvm::Error check(Role role, int64_t layer, std::optional<StoredType> &type);
  llvm::Error loadLayers();
  bool isIgnored(llvm::StringRef name) const;
  llvm::Error refuseOthers() const;

  const DecoderDescription &model;
  const TensorSource &source;
  std::array<std::optional<StoredType>, allRoles - layerRoles> top;
  llvm::StringSet<> read;
};

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_DECODERTENSORS_H
