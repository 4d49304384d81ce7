// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The cria dialect with its attributes, types and enums; CriaOps.h has the
// ops. The .td files hold the documentation.

#ifndef CRIA_DIALECT_CRIADIALECT_H
#define CRIA_DIALECT_CRIADIALECT_H

#include "mlir/IR/Attributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/Types.h"
#include "llvm/ADT/APFloat.h"

#include "dialect/CriaDialect.h.inc"
#include "dialect/CriaEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/CriaAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/CriaTypes.h.inc"

namespace cria {

/// Adds the dialect. The compiler attaches its external models of interfaces
/// (bufferization) on its own: tools that only read cria do not need them.
void registerCriaDialect(mlir::DialectRegistry &registry);

} // namespace cria

#endif // CRIA_DIALECT_CRIADIALECT_H
