// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the kernel ops mean, as plain scalar code: the oracle of their
// vectorised forms, and what lets a module run at any point of the pipeline.
// It restates the formulas of CriaKernelOps.td and shares no code with the
// passes that it judges.

#ifndef CRIA_COMPILER_VERIFY_REFERENCEKERNELS_H
#define CRIA_COMPILER_VERIFY_REFERENCEKERNELS_H

#include "mlir/IR/Operation.h"
#include "mlir/Support/LLVM.h"

#include <cstdint>

namespace cria {

/// Whether runReferenceKernel can run `op`, a kernel op on memrefs; a failure
/// has been reported on it.
mlir::LogicalResult checkReferenceKernel(mlir::Operation *op);

/// Runs one. `record` holds its operands in order: an index as it is; a memref
/// as the address of its first element, then sizes, then strides; a weight as
/// the memrefs of its storage. Called by compiled code. Writes nothing but its
/// inits; a linear whose rows were quantised by a reference kernel of the same
/// thread takes them as they were before.
void runReferenceKernel(mlir::Operation *op, const int64_t *record);

/// Forgets those rows: between two runs. `hasPairs`: cria-vectorize-rows with
/// `dot2` makes words of two of the rows that carry bf16.
void resetReferenceKernels(bool hasPairs);

} // namespace cria

#endif // CRIA_COMPILER_VERIFY_REFERENCEKERNELS_H
