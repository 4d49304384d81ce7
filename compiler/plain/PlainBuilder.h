// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Shorthand for the few shapes of linalg that the plain lowering consists of.
// Private to compiler/plain.

#ifndef CRIA_COMPILER_PLAIN_PLAINBUILDER_H
#define CRIA_COMPILER_PLAIN_PLAINBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace cria {

/// Builds tensor programs at one location. Sizes are OpFoldResults: an
/// attribute where a size is static, an index value where it is not.
class PlainBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using Sizes = llvm::SmallVector<mlir::OpFoldResult>;
  using Body =
      llvm::function_ref<mlir::Value(PlainBuilder &, mlir::ValueRange)>;
  /// An input of a linalg.generic and how its loops index it.
  struct Input {
    mlir::Value tensor;
    mlir::AffineMap map;
  };

  PlainBuilder(mlir::OpBuilder &builder, mlir::Location loc)
      : ImplicitLocOpBuilder(loc, builder) {}

  // --- Scalars --------------------------------------------------------------

  mlir::Value index(int64_t value);
  mlir::Value f32(double value);
  mlir::Value f32(const mlir::APFloat &value);
  /// Element of an i32 tensor as an index; ids and positions are never
  /// negative.
  mlir::Value extractIndex(mlir::Value tensor, mlir::ValueRange indices);
  /// A float of any width as f32.
  mlir::Value toF32(mlir::Value value);
  /// An f32 as `type`, rounded to nearest.
  mlir::Value fromF32(mlir::Value value, mlir::Type type);
  /// `expr` over `dims`, as one affine.apply.
  mlir::Value apply(mlir::AffineExpr expr, mlir::ValueRange dims);

  // --- Tensors --------------------------------------------------------------

  Sizes sizes(mlir::Value tensor);
  Sizes sizes(llvm::ArrayRef<int64_t> values);
  mlir::Value empty(llvm::ArrayRef<mlir::OpFoldResult> sizes);
  mlir::Value filled(llvm::ArrayRef<mlir::OpFoldResult> sizes, double value);
  /// The map of `rank` loops that picks `dims`.
  mlir::AffineMap select(unsigned rank, llvm::ArrayRef<unsigned> dims);
  /// Splits the last dimension of a row-major tensor into `parts`.
  mlir::Value splitLast(mlir::Value tensor, llvm::ArrayRef<int64_t> parts);
  /// Merges dimensions `from` and up into one.
  mlir::Value mergeLast(mlir::Value tensor, unsigned from);
  /// `tensor` as `type`, which differs in static sizes at most.
  mlir::Value asType(mlir::Value tensor, mlir::Type type);

  // --- linalg.generic -------------------------------------------------------

  /// The f32 tensor of `sizes` whose elements `body` computes from the inputs'
  /// elements, one loop a dimension. `body` may use linalg.index.
  mlir::Value elements(llvm::ArrayRef<mlir::OpFoldResult> sizes,
                       llvm::ArrayRef<Input> inputs, Body body);
  /// Elementwise over tensors of one shape.
  mlir::Value elementwise(mlir::ValueRange inputs, Body body);
  /// Folds `inputs` into `init` in loop order. `reductions` are the loops that
  /// do not index the result; body arguments are the inputs', then the
  /// accumulator.
  mlir::Value reduce(unsigned loops, llvm::ArrayRef<unsigned> reductions,
                     llvm::ArrayRef<Input> inputs, mlir::Value init, Body body);
  /// Folds the last dimension of `tensor` into `init`.
  mlir::Value reduceLast(mlir::Value tensor, mlir::Value init, Body body);
  /// Loop index inside a body.
  mlir::Value loop(unsigned dim);
};

} // namespace cria

#endif // CRIA_COMPILER_PLAIN_PLAINBUILDER_H
