// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef CRIA_COMPILER_EMIT_PROPORTIONS_H
#define CRIA_COMPILER_EMIT_PROPORTIONS_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/JSON.h"

namespace cria {

/// What the code of a compiled model does not show any more, for its metadata:
///   parameters         elements of all params
///   matmul_parameters  of those that a cria.linear multiplies with; one that
///                      two of them share counts twice, as it is read
///   row_lookups        names of params of which a token reads single rows only
///   gated              whether the feed-forward network has a cria.glu
/// For a module of stage "dialect".
llvm::json::Object proportions(mlir::ModuleOp module);

} // namespace cria

#endif // CRIA_COMPILER_EMIT_PROPORTIONS_H
