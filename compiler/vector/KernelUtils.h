// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Pieces that the kernel passes share. Every kernel works on vectors of 16
// f32 lanes whatever the target's width is: LLVM splits them, and the bits of
// a result do not depend on the ISA. The functions insert at the builder's
// insertion point and keep no state.

#ifndef CRIA_COMPILER_VECTOR_KERNELUTILS_H
#define CRIA_COMPILER_VECTOR_KERNELUTILS_H

#include "dialect/CriaOps.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace cria {

constexpr int64_t kLanes = CriaDialect::kLanes;
constexpr int64_t kQuantBlock = CriaDialect::kQuantBlock;

//===-- scalars and indices -----------------------------------------------===//

mlir::Value constIndex(mlir::ImplicitLocOpBuilder &b, int64_t value);

/// Size of a memref's dimension: a constant where it is static.
mlir::Value dimSize(mlir::ImplicitLocOpBuilder &b, mlir::Value memref,
                    int64_t dim);

/// `value + offset`, folded for constants.
mlir::Value addIndex(mlir::ImplicitLocOpBuilder &b, mlir::Value value,
                     int64_t offset);

/// A loop from `lower` to `upper`; `body` gets the induction variable and the
/// carried values and returns the next ones. With one known trip the body is
/// emitted in place. Returns the loop's results.
mlir::SmallVector<mlir::Value>
buildLoop(mlir::ImplicitLocOpBuilder &b, mlir::Value lower, mlir::Value upper,
          int64_t step, mlir::ValueRange init,
          llvm::function_ref<mlir::SmallVector<mlir::Value>(mlir::Value,
                                                            mlir::ValueRange)>
              body);

//===-- vectors -----------------------------------------------------------===//

/// vector<lanes x element>.
mlir::VectorType vectorOf(int64_t lanes, mlir::Type element);

mlir::Value splat(mlir::ImplicitLocOpBuilder &b, float value,
                  int64_t lanes = kLanes);
mlir::Value splatInt(mlir::ImplicitLocOpBuilder &b, mlir::Type element,
                     int64_t value, int64_t lanes = kLanes);
mlir::Value broadcast(mlir::ImplicitLocOpBuilder &b, mlir::Value scalar,
                      int64_t lanes = kLanes);

/// Loads `lanes` consecutive elements; with a mask, masked lanes are zero and
/// their memory is not touched.
mlir::Value loadLanes(mlir::ImplicitLocOpBuilder &b, mlir::Value memref,
                      mlir::ValueRange indices, mlir::Value mask = {},
                      int64_t lanes = kLanes);
void storeLanes(mlir::ImplicitLocOpBuilder &b, mlir::Value value,
                mlir::Value memref, mlir::ValueRange indices,
                mlir::Value mask = {});

/// Asks for a line that will be read soon, in all levels of cache, or in all
/// but the first.
void prefetchLine(mlir::ImplicitLocOpBuilder &b, mlir::Value memref,
                  mlir::ValueRange indices, bool intoL1 = true);

/// True in the first `count` lanes.
mlir::Value tailMask(mlir::ImplicitLocOpBuilder &b, int64_t count,
                     int64_t lanes = kLanes);

/// Sum of 16 f32 lanes, as the tree lane i + lane i+8, then +4, +2, +1: the
/// same bits on every ISA.
mlir::Value sumLanes(mlir::ImplicitLocOpBuilder &b, mlir::Value vector);

/// f16, bf16 or f32 scalars or vectors to f32, exact. bf16 is converted with
/// integer operations: what LLVM calls for it differs between targets.
mlir::Value extendToF32(mlir::ImplicitLocOpBuilder &b, mlir::Value value);

/// f32 to `element` (f32, f16 or bf16), to nearest even. bf16 as above, as
/// the x86 conversion flushes subnormals.
mlir::Value truncateFromF32(mlir::ImplicitLocOpBuilder &b, mlir::Value value,
                            mlir::Type element);

//===-- cria --------------------------------------------------------------===//

/// The memrefs that hold `weight`, through cria.weight_data.
mlir::SmallVector<mlir::Value> weightComponents(mlir::ImplicitLocOpBuilder &b,
                                                mlir::Value weight);

/// `kind` applied to the lanes of `x`, in arith and math ops.
mlir::Value expandActivation(mlir::ImplicitLocOpBuilder &b, ActivationKind kind,
                             mlir::Value x);

/// Emits a diagnostic and fails unless `op` is in its memref form.
mlir::LogicalResult checkBufferized(mlir::Operation *op);

} // namespace cria

#endif // CRIA_COMPILER_VECTOR_KERNELUTILS_H
