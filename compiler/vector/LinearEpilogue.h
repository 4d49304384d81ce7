// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a linear's epilogue reads and writes besides rows: rope tables and KV
// caches. `lane` is the first of the 16 output rows that a tile holds, and may
// be in the middle of a head. The functions insert at the builder's insertion
// point and keep no state.

#ifndef CRIA_COMPILER_VECTOR_LINEAREPILOGUE_H
#define CRIA_COMPILER_VECTOR_LINEAREPILOGUE_H

#include "dialect/CriaOps.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace cria {

/// The lanes' cosines (part 0) or sines (part 1) of a token, from a table of
/// n x 2 x head_dim.
mlir::Value loadRope(mlir::ImplicitLocOpBuilder &b, mlir::Value table,
                     mlir::Value token, mlir::Value lane, int64_t part);

/// Stores 16 f32 of a token to `op`'s cache, which may be of keys or values.
/// Lanes at or past `numRows` are not stored.
void storeToCache(mlir::ImplicitLocOpBuilder &b, FusedLinearOp op,
                  mlir::Value tile, mlir::Value token, mlir::Value lane,
                  mlir::Value numRows);

} // namespace cria

#endif // CRIA_COMPILER_VECTOR_LINEAREPILOGUE_H
