// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From the code of a GPU clone to PTX text.

#ifndef CRIA_COMPILER_GPU_PTX_H
#define CRIA_COMPILER_GPU_PTX_H

#include "compiler/target/GpuTarget.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

#include <string>

namespace cria {

/// `module` is at the end of the stage llvm and has `<symbolPrefix>forward`.
/// The text has two kernels, `<symbolPrefix>decode_gpu` and `prefill_gpu`:
/// those of cria_gpu_clone (abi.h), for a model of `weights` arrays; every
/// group of 16 threads makes one of that function's threads. The same input
/// gives the same text. It calls nothing that it does not define: the error
/// names what it would. A block's memory is its own static one, or,
/// `isDynamic`, what it is launched with.
llvm::Expected<std::string> emitPtx(mlir::ModuleOp module,
                                    const GpuTarget &target,
                                    llvm::StringRef symbolPrefix,
                                    size_t weights, bool isDynamic);

} // namespace cria

#endif // CRIA_COMPILER_GPU_PTX_H
