// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lets a module run as it is at any point of the pipeline, without the passes
// that would come next: what is a kernel op becomes a call of the reference
// (ReferenceKernels.h), what is a model op goes by its plain lowering, and
// parallel loops are loops.

#ifndef CRIA_COMPILER_VERIFY_REFERENCELOWERING_H
#define CRIA_COMPILER_VERIFY_REFERENCELOWERING_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Support/LLVM.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace cria {

/// Lowers `module`, which is as after import or any later pass up to the end
/// of the vector stage, to what buildLlvmPipeline takes. The code calls malloc,
/// free and libm, and the kernels by their addresses in this process: it runs
/// while the module that is returned lives. A failure has been reported.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
lowerToReference(mlir::ModuleOp module);

/// Makes calls of the reference of those kernels on memrefs that `which` says,
/// counted in the order of a walk, and leaves all else alone. As above, the
/// code runs while the module that is returned lives.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
callReferences(mlir::ModuleOp module, llvm::function_ref<bool(size_t)> which);

} // namespace cria

#endif // CRIA_COMPILER_VERIFY_REFERENCELOWERING_H
