// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where a thread goes on reading when its part of a linear's weights ends.

#ifndef CRIA_COMPILER_VECTOR_WEIGHTSTREAM_H
#define CRIA_COMPILER_VECTOR_WEIGHTSTREAM_H

#include "dialect/CriaOps.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"

namespace cria {

/// Weights that are prefetched ahead of their use lie, near the end of a
/// thread's range of tiles, in another thread's range or in what nobody needs
/// soon, and the first ones of the next linear would be waited for. A stream
/// says where the thread really goes on. Nulls where that is not known.
struct WeightStream {
  /// Groups of 16 rows from the first one of the op's tile to the end of the
  /// thread's range.
  mlir::Value groups;
  /// By weight: from an address past that end, of its codes, how many bytes
  /// it is to what the thread reads next.
  llvm::SmallVector<mlir::Value> jumps;
};

/// The streams of a function's linears of codes. All are in memref form and in
/// the order of the program, each the body of a loop over a thread's tiles.
/// They are followed over barriers, since weights depend on nothing, past
/// ranges that are empty for the thread, and from the last layer's body to the
/// next's. A GLU's two weights go on `bytes` apart where the next linear has
/// one. After a linear that nothing known follows, they go back by `bytes`, to
/// what is in the cache.
llvm::DenseMap<mlir::Operation *, WeightStream>
streamWeights(llvm::ArrayRef<FusedLinearOp> ops, int64_t bytes);

} // namespace cria

#endif // CRIA_COMPILER_VECTOR_WEIGHTSTREAM_H
