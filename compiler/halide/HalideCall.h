// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Calls of kernels that Halide makes. A kernel is a private function without a
// body whose attribute `cria.halide` says what makes it:
//
//   func.func private @halide_twice_lanes16(memref<?xf32, ...>) attributes
//     {cria.halide = {generator = "twice", params = {lanes = 16 : i64}}}
//
// The name of the function follows from the generator and its parameters, so
// equal kernels are one function. In the stage emit, HalideKernels.h runs the
// generator with those parameters for the target.
//
// Operands, in the order in which the generator declares its inputs and then
// its outputs:
//   memref     a buffer with the memref's dimensions in reverse order (Halide's
//              first is the innermost), from 0, strides in elements. Element
//              types of the same size pass for each other: i8 for uint8_t.
//   memref<xi32> with its index in `bytes`: the same, of its bytes.
//   index      int32_t
//   i32, f32   int32_t, float
// Two operands may overlap only if the kernel reads an element no later than
// it writes the same one.
//
// A kernel computes with plain multiplications and additions in the order of
// its formulas, except that a product that is added is fused:
// `a * b + c` is `fma(a, b, c)` (ContractFma.h), unless the kernel says itself
// which are, with generators/KernelMath.h. It allocates nothing but
// constant sizes on the stack, and starts no threads.

#ifndef CRIA_COMPILER_HALIDE_HALIDECALL_H
#define CRIA_COMPILER_HALIDE_HALIDECALL_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace cria {

constexpr llvm::StringLiteral kHalideAttr = "cria.halide";

struct HalideKernel {
  llvm::StringRef generator;
  /// Integers, booleans and strings.
  llvm::SmallVector<mlir::NamedAttribute> params;
  /// Operands of which the kernel sees the bytes.
  llvm::SmallVector<int64_t> bytes = {};
  /// Whether products that are added are fused (ContractFma.h); else they are
  /// where the generator says so.
  bool contract = true;
};

/// Emits the call, and the function if the module has none of its name.
void emitHalideCall(mlir::ImplicitLocOpBuilder &b, const HalideKernel &kernel,
                    mlir::ValueRange operands);

/// Whether `op` is a kernel of Halide or a call of one.
bool isHalideKernel(mlir::Operation *op);

} // namespace cria

#endif // CRIA_COMPILER_HALIDE_HALIDECALL_H
