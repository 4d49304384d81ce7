// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs passes on cria modules, as mlir-opt does on MLIR's own.

#include "compiler/Passes.h"
#include "compiler/bufferize/BufferizationModels.h"
#include "dialect/CriaDialect.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::registerAllPasses();
  cria::registerCriaPasses();
  cria::registerPipelines();

  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  cria::registerCriaDialect(registry);
  cria::registerBufferizationModels(registry);
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "cria optimizer driver\n", registry));
}
