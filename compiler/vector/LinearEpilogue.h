// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A linear's epilogue: what it reads and writes besides rows are rope tables
// and KV caches. `lane` is the first of the 16 output rows that a tile holds,
// and may be in the middle of a head. The functions insert at the builder's
// insertion point and keep no state.

#ifndef CRIA_COMPILER_VECTOR_LINEAREPILOGUE_H
#define CRIA_COMPILER_VECTOR_LINEAREPILOGUE_H

#include "dialect/CriaOps.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace cria {

/// Reports an op whose weights, rope tables or cache no kernel can take.
mlir::LogicalResult checkLinear(FusedLinearOp op);

/// A token's 16 sums of each weight through `op`'s epilogue, and to where its
/// results go. Rows at or past `numRows`, which `mask` (or null) leaves out,
/// are neither loaded nor stored.
void emitEpilogue(mlir::ImplicitLocOpBuilder &b, FusedLinearOp op,
                  mlir::Value token, mlir::Value lane, mlir::Value mask,
                  mlir::Value numRows,
                  mlir::ArrayRef<mlir::Value> accumulators);

} // namespace cria

#endif // CRIA_COMPILER_VECTOR_LINEAREPILOGUE_H
