// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Dot products of 512 bits in parts as wide as a target's vectors.

#ifndef CRIA_COMPILER_LLVM_DOTPARTS_H
#define CRIA_COMPILER_LLVM_DOTPARTS_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace cria {

mlir::Value intSplat(mlir::ImplicitLocOpBuilder &b, mlir::VectorType type,
                     int64_t value);

mlir::Value callIntrinsic(mlir::ImplicitLocOpBuilder &b, llvm::StringRef name,
                          mlir::Type result, mlir::ValueRange operands);

/// Part `index` of `parts` equal ones of a vector.
mlir::Value partOf(mlir::ImplicitLocOpBuilder &b, mlir::Value vector,
                   int64_t index, int64_t parts);
mlir::Value halfOf(mlir::ImplicitLocOpBuilder &b, mlir::Value vector,
                   int64_t index);
mlir::Value quarterOf(mlir::ImplicitLocOpBuilder &b, mlir::Value vector,
                      int64_t index);

mlir::Value join(mlir::ImplicitLocOpBuilder &b, mlir::Value low,
                 mlir::Value high);

/// Joins the two 256-bit halves that `body(index)` computes.
mlir::Value inHalves(mlir::ImplicitLocOpBuilder &b,
                     llvm::function_ref<mlir::Value(int64_t)> body);

/// Joins the four 128-bit quarters that `body(index)` computes.
mlir::Value inQuarters(mlir::ImplicitLocOpBuilder &b,
                       llvm::function_ref<mlir::Value(int64_t)> body);

} // namespace cria

#endif // CRIA_COMPILER_LLVM_DOTPARTS_H
