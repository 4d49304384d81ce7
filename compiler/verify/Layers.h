// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which layer it is: modules that end after some of their layers, and values
// inside of one.

#ifndef CRIA_COMPILER_VERIFY_LAYERS_H
#define CRIA_COMPILER_VERIFY_LAYERS_H

#include "compiler/verify/Program.h"

#include "llvm/ADT/ArrayRef.h"

namespace cria {

/// Turns of the loop over layers, which every entry has one of. 0 where there
/// is none, or where entries differ.
int64_t countLayers(mlir::ModuleOp module);

/// Ends these loops after `count` turns: the head gets what layer count - 1
/// made.
void keepLayers(mlir::ModuleOp module, int64_t count);

/// The index of a layer in a param that is stacked over `stacked` layers: of
/// models with several kinds of layers each kind has params of its own.
/// `module` is as it was imported. -1 where that is not known.
int64_t placeOfLayer(mlir::ModuleOp module, int64_t layer, int64_t stacked);

/// Gives each op of an entry and of its loop over layers a number, which clones
/// of the module keep.
void numberOps(mlir::ModuleOp module);
/// Of numberOps; -1 for an op that has none.
int64_t numberOf(mlir::Operation *op);
void removeNumbers(mlir::ModuleOp module);

/// Rows of the only result of the op with a number, by the reference: what it
/// is at `layer` when `tokens` are run from position 0. `module` is on tensors.
llvm::Expected<Logits> captureRows(mlir::ModuleOp module, int64_t number,
                                   int64_t layer,
                                   llvm::ArrayRef<int32_t> tokens,
                                   const Target &target,
                                   const SafetensorsFile &weights);

} // namespace cria

#endif // CRIA_COMPILER_VERIFY_LAYERS_H
