// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Cutting modules with one entry down to a part of what they compute.

#ifndef CRIA_COMPILER_VERIFY_MODULECUT_H
#define CRIA_COMPILER_VERIFY_MODULECUT_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

#include <optional>

namespace cria {

/// The only entry; null where there are several.
mlir::func::FuncOp entryOf(mlir::ModuleOp module);

/// Ops whose results nothing reads, and params that nothing loads.
void removeDeadOps(mlir::ModuleOp module);

/// The number that an index is: a constant, or what a constant table has at
/// one.
std::optional<int64_t> knownIndex(mlir::Value value);

/// Puts the region that is chosen in the place of each scf.index_switch whose
/// argument is known.
void resolveSwitches(mlir::ModuleOp module);

/// tensor<?xKxf32>
bool isRows(mlir::Type type);

/// Ends the entry with the result `index` of its op number `at`, rows, in place
/// of the logits. False where that changes nothing or cannot be.
bool endWith(mlir::ModuleOp module, unsigned at, unsigned index);

/// Returns the caches as they came. False where it did already.
bool keepCaches(mlir::ModuleOp module);

} // namespace cria

#endif // CRIA_COMPILER_VERIFY_MODULECUT_H
