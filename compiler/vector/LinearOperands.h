// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What every kernel of a cria.fused_linear starts from: the arrays of its
// weights, and how many groups of 16 rows there are.
#ifndef CRIA_COMPILER_VECTOR_LINEAROPERANDS_H
#define CRIA_COMPILER_VECTOR_LINEAROPERANDS_H

#include "compiler/vector/KernelUtils.h"

namespace cria {

/// The arrays of a weight; those that its type does not have are null.
struct LinearWeight {
  mlir::Value codes, scales, mins, subscales; // quantised
  mlir::Value elements;                       // float

  /// Codes of 16 rows, and pairs of bf16, are one dimension.
  LinearWeight(mlir::ImplicitLocOpBuilder &b, mlir::Value weight);

  /// Nearly all of its bytes: the codes, or the elements.
  mlir::Value body() const { return codes ? codes : elements; }
};

/// The address of `memref[row, 0, ...]`, in bytes.
mlir::Value addressOfRow(mlir::ImplicitLocOpBuilder &b, mlir::Value memref,
                         mlir::Value row);

/// The rows of an op's result.
struct LinearRows {
  int64_t known;     // or kDynamic
  mlir::Value count; // N
  mlir::Value groups;

  LinearRows(mlir::ImplicitLocOpBuilder &b, FusedLinearOp op);
  /// Which of the 16 from `first` exist; null where all of every group do.
  mlir::Value mask(mlir::ImplicitLocOpBuilder &b, mlir::Value first) const;
};

/// Whether activations of `op` are codes of 16 bits.
bool hasWideCodes(FusedLinearOp op);

} // namespace cria

#endif // CRIA_COMPILER_VECTOR_LINEAROPERANDS_H
