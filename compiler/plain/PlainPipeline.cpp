// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "compiler/plain/PlainPipeline.h"

#include "compiler/Passes.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/MathToLibm/MathToLibm.h"
#include "mlir/Dialect/Bufferization/Pipelines/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace cria;
using namespace mlir;

void cria::buildPlainPipeline(OpPassManager &pm) {
  // Layer functions take weights by name, and only an entry has arguments to
  // name; so they are inlined before the lowering, and dropped.
  pm.addPass(createInlinerPass());
  pm.addPass(createSymbolDCEPass());
  pm.addPass(createLowerPlain());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  // From here on: memrefs.
  pm.addPass(createBufferizePlain());
  bufferization::buildBufferDeallocationPipeline(pm);
  // From here on: loops.
  pm.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createConvertMathToLibmPass());
  // The deallocation's helper function would be one more symbol to name.
  pm.addPass(createInlinerPass());
  pm.addPass(createSymbolDCEPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

void cria::registerPlainPipeline() {
  PassPipelineRegistration<>(
      "cria-plain", "model ops to loops over memrefs, in f32: the semantics",
      buildPlainPipeline);
}
