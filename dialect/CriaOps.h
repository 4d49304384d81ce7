// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The ops of the cria dialect: model ops (CriaOps.td) and kernel ops
// (CriaKernelOps.td).

#ifndef CRIA_DIALECT_CRIAOPS_H
#define CRIA_DIALECT_CRIAOPS_H

#include "dialect/CriaDialect.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/TilingInterface.h"

#define GET_OP_CLASSES
#include "dialect/CriaOps.h.inc"

#endif // CRIA_DIALECT_CRIAOPS_H
