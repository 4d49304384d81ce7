// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/llvm/LlvmPipeline.h"

#include "compiler/Passes.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/TargetParser/Triple.h"

using namespace cria;
using namespace mlir;

/// What follows the entry, whatever it is for.
static void lowerToLlvm(OpPassManager &pm) {
  // To loops, then to branches. Alive: arith, cf, func, index, llvm, math,
  // memref, ub, vector.
  // Nested where a pass can be, because functions go on threads then. Any op,
  // because the entry is an llvm.func already.
  pm.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass());
  OpPassManager &func = pm.nestAny();
  func.addPass(createConvertVectorToSCFPass());
  func.addPass(memref::createExpandStridedMetadataPass());
  func.addPass(createLowerAffinePass());
  func.addPass(createCanonicalizerPass());
  func.addPass(createCSEPass());
  func.addPass(createSCFToControlFlowPass());

  // Vectors before memrefs, because their accesses become memref ones.
  func.addPass(createConvertVectorToLLVMPass());
  // bf16 by integer arithmetic, because AVX512-BF16 flushes denormals.
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = true;
  func.addPass(arith::createArithExpandOpsPass(expand));
  func.addPass(createConvertMathToLLVMPass());
  func.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createConvertMathToLibmPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  OpPassManager &rest = pm.nestAny();
  rest.addPass(createArithToLLVMConversionPass());
  rest.addPass(createUBToLLVMConversionPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createConvertFuncToLLVMPass());
  OpPassManager &code = pm.nest<LLVM::LLVMFuncOp>();
  code.addPass(createCanonicalizerPass());
  code.addPass(createCSEPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
}

void cria::buildLlvmPipeline(OpPassManager &pm,
                             const LlvmPipelineOptions &options) {
  const Target &target = options.targets[options.clone];
  // While operands are memrefs.
  pm.addPass(createLowerHalideCalls());
  // Before dot4 and dot2, which one of its forms is made of.
  if (!target.tileIsa.empty()) {
    LowerDotTileOptions dotTile;
    dotTile.isa = target.tileIsa;
    pm.addPass(createLowerDotTile(dotTile));
  }
  if (!target.dot2Isa.empty()) {
    LowerDot2Options dot2;
    dot2.isa = target.dot2Isa;
    pm.addPass(createLowerDot2(dot2));
  }
  LowerDot2I16Options dot2I16;
  dot2I16.isa = target.dot2I16Isa;
  pm.addPass(createLowerDot2I16(dot2I16));
  LowerDot4Options dot4;
  dot4.isa = target.isa;
  pm.addPass(createLowerDot4(dot4));
  if (!target.hasF16Conversion)
    pm.addPass(createExpandF16());
  if (!target.hasFma)
    pm.addPass(createExpandFma());

  // While arguments are memrefs, because their descriptors are made here.
  EmitEntryOptions entry;
  entry.prefix = options.symbolPrefix;
  entry.target = target.name;
  for (const Target &each : options.targets)
    entry.clones.push_back(each.name + "=" + llvm::utostr(each.cpuFeatures));
  entry.describe = options.clone == 0;
  entry.steadyCounter = llvm::Triple(target.triple).isAArch64();
  pm.addPass(createEmitEntry(entry));
  lowerToLlvm(pm);
}

void cria::buildGpuLlvmPipeline(OpPassManager &pm,
                                llvm::StringRef symbolPrefix) {
  // Before the entry, which reads how much memory a group needs.
  pm.addPass(createDistributeLanes());
  EmitEntryOptions entry;
  entry.prefix = symbolPrefix.str();
  entry.target = "gpu";
  entry.describe = false;
  entry.gpu = true;
  pm.addPass(createEmitEntry(entry));
  lowerToLlvm(pm);
}
