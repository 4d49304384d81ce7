// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/ReferenceLowering.h"

#include "compiler/Passes.h"
#include "compiler/plain/PlainPipeline.h"
#include "compiler/verify/ReferenceKernels.h"
#include "dialect/CriaOps.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotModuleBufferize.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Passes.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace cria;
using namespace mlir;

static bool isKernel(Operation *op) {
  return isa<RopeTableOp, EmbedRowsOp, RowsOp, HeadRowsOp, FusedLinearOp,
             FusedAttentionOp, AttentionPartialsOp, AttentionMergeOp>(op);
}

static SmallVector<Operation *> kernelsOf(ModuleOp module) {
  SmallVector<Operation *> kernels;
  module.walk([&](Operation *op) {
    if (isKernel(op))
      kernels.push_back(op);
  });
  return kernels;
}

/// A loop over tensors in order: each turn inserts into what the one before
/// left.
static void makeSequential(scf::ForallOp forall) {
  IRRewriter b(forall);
  Location loc = forall.getLoc();
  auto values = [&](ArrayRef<OpFoldResult> bounds) {
    return getValueOrCreateConstantIndexOp(b, loc, bounds);
  };
  auto body = [&](OpBuilder &b, Location, ValueRange indices,
                  ValueRange carried) -> scf::ValueVector {
    IRMapping map;
    map.map(forall.getInductionVars(), indices);
    map.map(forall.getRegionIterArgs(), carried);
    for (Operation &op : forall.getBody()->without_terminator())
      b.clone(op, map);
    for (Operation &op : forall.getTerminator().getYieldingOps()) {
      auto insert = cast<tensor::ParallelInsertSliceOp>(op);
      auto folded = [&](ArrayRef<OpFoldResult> of) {
        SmallVector<OpFoldResult> mapped;
        for (OpFoldResult each : of)
          mapped.push_back(isa<Value>(each) ? OpFoldResult(map.lookupOrDefault(
                                                  cast<Value>(each)))
                                            : each);
        return mapped;
      };
      Value next = tensor::InsertSliceOp::create(
          b, insert.getLoc(), map.lookupOrDefault(insert.getSource()),
          map.lookupOrDefault(insert.getDest()),
          folded(insert.getMixedOffsets()), folded(insert.getMixedSizes()),
          folded(insert.getMixedStrides()));
      map.map(insert.getDest(), next);
    }
    scf::ValueVector next;
    for (Value argument : forall.getRegionIterArgs())
      next.push_back(map.lookup(argument));
    return next;
  };
  scf::LoopNest nest = scf::buildLoopNest(
      b, loc, values(forall.getMixedLowerBound()),
      values(forall.getMixedUpperBound()), values(forall.getMixedStep()),
      forall.getOutputs(), body);
  b.replaceOp(forall, nest.results);
}

/// An entry stores its results into the arguments that they are the next
/// values of; logits get an argument of their own.
static LogicalResult storeResults(func::FuncOp entry) {
  static constexpr StringLiteral names[] = {"logits", "keys", "values"};
  auto ret = cast<func::ReturnOp>(entry.getBody().front().getTerminator());
  ImplicitLocOpBuilder b(ret.getLoc(), ret);
  for (auto [i, value] : llvm::enumerate(ret.getOperands())) {
    StringAttr name = entry.getResultAttrOfType<StringAttr>(i, "cria.arg");
    if (!name && i < std::size(names))
      name = b.getStringAttr(names[i]);
    auto type = dyn_cast<MemRefType>(value.getType());
    if (!name || !type)
      return entry.emitError() << "result " << i << " of an entry has no name";
    unsigned index = 0;
    while (index < entry.getNumArguments() &&
           entry.getArgAttr(index, "cria.arg") != name)
      ++index;
    if (index == entry.getNumArguments()) {
      auto attrs = b.getDictionaryAttr(b.getNamedAttr("cria.arg", name));
      if (failed(entry.insertArgument(
              index, MemRefType::get(type.getShape(), type.getElementType()),
              attrs, entry.getLoc())))
        return failure();
    }
    linalg::CopyOp::create(b, value, entry.getArgument(index));
  }
  ret.getOperandsMutable().clear();
  entry.setFunctionType(FunctionType::get(
      entry.getContext(), entry.getFunctionType().getInputs(), {}));
  entry.removeResAttrsAttr();
  return success();
}

/// Tensors to memrefs, wherever a copy is needed with one.
static LogicalResult bufferize(ModuleOp module) {
  using namespace bufferization;
  SmallVector<scf::ForallOp> loops;
  module.walk([&](scf::ForallOp op) { loops.push_back(op); });
  for (scf::ForallOp loop : loops)
    makeSequential(loop);
  OneShotBufferizationOptions options;
  options.bufferizeFunctionBoundaries = true;
  options.setFunctionBoundaryTypeConversion(LayoutMapOption::IdentityLayoutMap);
  options.bufferAlignment = 64;
  options.allowReturnAllocsFromLoops = true;
  options.memCpyFn = [](OpBuilder &b, Location loc, Value from, Value to) {
    linalg::CopyOp::create(b, loc, from, to);
    return success();
  };
  // A loaded param may be a row of a stacked array.
  options.unknownTypeConverterFn =
      [](TensorType tensor, Attribute space,
         const BufferizationOptions &) -> BaseMemRefType {
    auto identity = MemRefType::get(tensor.getShape(), tensor.getElementType());
    auto layout =
        StridedLayoutAttr::get(tensor.getContext(), ShapedType::kDynamic,
                               identity.getStridesAndOffset().first);
    return MemRefType::get(tensor.getShape(), tensor.getElementType(), layout,
                           space);
  };
  options.opFilter.denyOperation([](Operation *op) {
    if (isa<LoadOp>(op) || isa_and_nonnull<RowsOp>(op->getParentOp()))
      return true;
    return isa<RowsOp>(op) &&
           llvm::none_of(op->getOperandTypes(), llvm::IsaPred<TensorType>);
  });
  BufferizationState state;
  if (failed(runOneShotModuleBufferize(module, options, state)))
    return failure();
  for (auto func : module.getOps<func::FuncOp>())
    if (func->hasAttr("cria.entry") && failed(storeResults(func)))
      return failure();
  return success();
}

/// Puts a call of runReferenceKernel in the place of `op`; `kept` is the same
/// op in a module that outlives the code.
static void callReference(Operation *op, Operation *kept) {
  ImplicitLocOpBuilder b(op->getLoc(), op);
  SmallVector<Value> record;
  auto describe = [&](Value memref) {
    auto type = cast<MemRefType>(memref.getType());
    auto data = memref::ExtractStridedMetadataOp::create(b, memref);
    Value pointer = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
    Value bytes =
        arith::ConstantIndexOp::create(b, type.getElementTypeBitWidth() / 8);
    Value offset = arith::MulIOp::create(b, data.getOffset(), bytes);
    record.push_back(arith::AddIOp::create(b, pointer, offset));
    llvm::append_range(record, data.getSizes());
    llvm::append_range(record, data.getStrides());
  };
  for (Value operand : op->getOperands()) {
    auto weight = dyn_cast<WeightType>(operand.getType());
    if (!weight) {
      if (isa<IndexType>(operand.getType()))
        record.push_back(operand);
      else
        describe(operand);
      continue;
    }
    SmallVector<Type> types;
    for (const WeightType::Component &part : weight.getStorage())
      types.push_back(part.type);
    auto data = WeightDataOp::create(b, types, operand);
    for (Value part : data.getComponents())
      describe(part);
  }

  Value words;
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(
        &op->getParentOfType<func::FuncOp>().getBody().front());
    words = memref::AllocaOp::create(
        b, MemRefType::get({static_cast<int64_t>(record.size())},
                           b.getIndexType()));
  }
  for (auto [i, word] : llvm::enumerate(record)) {
    Value index = arith::ConstantIndexOp::create(b, i);
    memref::StoreOp::create(b, word, words, ValueRange{index});
  }
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto address = [&](const void *of) -> Value {
    Value number = arith::ConstantIntOp::create(
        b, b.getI64Type(),
        static_cast<int64_t>(reinterpret_cast<intptr_t>(of)));
    return LLVM::IntToPtrOp::create(b, pointer, number);
  };
  Value array = arith::IndexCastOp::create(
      b, b.getI64Type(),
      memref::ExtractAlignedPointerAsIndexOp::create(b, words));
  auto type = LLVM::LLVMFunctionType::get(
      LLVM::LLVMVoidType::get(b.getContext()), {pointer, pointer});
  Value arguments[] = {
      address(reinterpret_cast<const void *>(&runReferenceKernel)),
      address(kept), LLVM::IntToPtrOp::create(b, pointer, array)};
  LLVM::CallOp::create(b, type, arguments);
  op->erase();
}

FailureOr<OwningOpRef<ModuleOp>>
cria::callReferences(ModuleOp module, llvm::function_ref<bool(size_t)> which) {
  module.getContext()
      ->loadDialect<arith::ArithDialect, LLVM::LLVMDialect,
                    memref::MemRefDialect>();
  OwningOpRef<ModuleOp> kept = module.clone();
  size_t number = 0;
  for (auto [op, same] : llvm::zip_equal(kernelsOf(module), kernelsOf(*kept))) {
    if (!which(number++))
      continue;
    if (failed(checkReferenceKernel(op)))
      return failure();
    callReference(op, same);
  }
  return kept;
}

FailureOr<OwningOpRef<ModuleOp>> cria::lowerToReference(ModuleOp module) {
  module.getContext()
      ->loadDialect<arith::ArithDialect, bufferization::BufferizationDialect,
                    linalg::LinalgDialect, LLVM::LLVMDialect,
                    memref::MemRefDialect, scf::SCFDialect,
                    tensor::TensorDialect>();
  bool onTensors = false, hasLoads = false;
  module.walk([&](Operation *op) {
    hasLoads |= isa<LoadOp>(op);
    if (auto func = dyn_cast<func::FuncOp>(op))
      onTensors |=
          func->hasAttr("cria.entry") &&
          llvm::any_of(func.getArgumentTypes(), llvm::IsaPred<TensorType>);
  });
  PassManager passes(module.getContext());
  if (onTensors && kernelsOf(module).empty()) {
    buildPlainPipeline(passes);
    if (failed(passes.run(module)))
      return failure();
    return OwningOpRef<ModuleOp>();
  }
  if (onTensors) {
    // What is no kernel yet.
    OpPassManager &func = passes.nest<func::FuncOp>();
    func.addPass(createDestinationStyle());
    func.addPass(createLowerRemaining());
    if (failed(passes.run(module)) || failed(bufferize(module)))
      return failure();
  }

  FailureOr<OwningOpRef<ModuleOp>> kept =
      callReferences(module, [](size_t) { return true; });
  if (failed(kept))
    return failure();
  PassManager rest(module.getContext());
  rest.addNestedPass<func::FuncOp>(createForallToForLoopPass());
  rest.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass());
  if (hasLoads)
    rest.addPass(createResolveWeights());
  rest.addPass(createLowerAffinePass());
  rest.addPass(createCanonicalizerPass());
  rest.addPass(createCSEPass());
  if (failed(rest.run(module)))
    return failure();
  return kept;
}
