// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which buffers an op touches, seen through views.

#ifndef CRIA_COMPILER_BUFFERIZE_BUFFERROOTS_H
#define CRIA_COMPILER_BUFFERIZE_BUFFERROOTS_H

#include "mlir/IR/Operation.h"
#include "mlir/IR/Value.h"

namespace cria {

/// The allocation or function argument that `buffer` is a view of. Where it
/// may be one of several, the value that chooses, which is then no root: see
/// isBufferRoot.
mlir::Value bufferRoot(mlir::Value buffer);

/// True for what cannot alias any other root: an allocation, a constant, a
/// weight or an argument of the function (the caller's arrays are distinct).
bool isBufferRoot(mlir::Value root);

/// True if every loop under \p root hands on the buffers that it was given,
/// which bufferRoot relies on.
bool carriesBuffersInPlace(mlir::Operation *root);

struct BufferAccess {
  mlir::Value root;
  bool write;
  friend bool operator==(const BufferAccess &a, const BufferAccess &b) {
    return a.root == b.root && a.write == b.write;
  }
};

/// Reads and writes of `op` and everything nested in it.
llvm::SmallVector<BufferAccess> bufferAccesses(mlir::Operation *op);

} // namespace cria

#endif // CRIA_COMPILER_BUFFERIZE_BUFFERROOTS_H
