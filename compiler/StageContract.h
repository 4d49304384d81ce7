// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What may be alive after each stage. The pass cria-check-stage, which ends
// every stage of Pipeline.h, is this function.

#ifndef CRIA_COMPILER_STAGECONTRACT_H
#define CRIA_COMPILER_STAGECONTRACT_H

#include "compiler/Pipeline.h"

#include "mlir/IR/BuiltinOps.h"

namespace cria {

/// Fails with an error at every op that must not be alive after `stage`, one
/// for each name of an op. Stages that are not made of passes alone (import,
/// llvm, emit) have no contract: they always succeed.
mlir::LogicalResult checkStageContract(mlir::ModuleOp module, Stage stage);

} // namespace cria

#endif // CRIA_COMPILER_STAGECONTRACT_H
