// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/StageContract.h"
#include "compiler/Passes.h"
#include "compiler/halide/HalideCall.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/StringSet.h"

namespace cria {
#define GEN_PASS_DEF_CHECKSTAGE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// The dialects of a stage other than cria and builtin, in the words of the
/// diagnostic.
llvm::ArrayRef<llvm::StringLiteral> allowedDialects(Stage stage) {
  static constexpr llvm::StringLiteral model[] = {"func", "scf", "arith",
                                                  "tensor"};
  static constexpr llvm::StringLiteral tensors[] = {
      "func", "scf", "arith", "math", "vector", "affine", "linalg", "tensor"};
  static constexpr llvm::StringLiteral buffers[] = {
      "func",   "scf",    "arith",  "math",         "vector",
      "affine", "linalg", "memref", "bufferization"};
  static constexpr llvm::StringLiteral vectors[] = {
      "func", "scf", "arith", "math", "vector", "affine", "memref"};
  switch (stage) {
  case Stage::dialect:
    return model;
  case Stage::fuse:
  case Stage::tile:
    return tensors;
  case Stage::bufferize:
    return buffers;
  case Stage::vector:
    return vectors;
  case Stage::import:
  case Stage::llvm:
  case Stage::emit:
    break;
  }
  llvm_unreachable("a stage without a contract");
}

bool isThreadOp(Operation *op) {
  return isa<ThreadIdOp, NumThreadsOp, BarrierOp, StampOp>(op);
}

bool isKernelOp(Operation *op) {
  return isa<RopeTableOp, EmbedRowsOp, RowsOp, HeadRowsOp, FusedLinearOp,
             FusedAttentionOp, AttentionPartialsOp, AttentionMergeOp>(op);
}

/// What kernels are made of.
bool isDot(Operation *op) {
  return isa<Dot2Op, Dot2I16Op, Dot4Op, DotTileOp, DotTile2Op>(op);
}

/// Ops that stand for no kernel of their own: a norm in a prologue, what
/// works on the lanes of an epilogue, and their ends.
bool isInsideKernel(Operation *op) {
  return isa_and_nonnull<RowsOp, FusedLinearOp>(op->getParentOp());
}

/// What is wrong with a cria op after `stage`; empty if nothing is.
StringRef criaViolation(Operation *op, Stage stage) {
  if (isa<ParamOp>(op))
    return "";
  if (stage == Stage::vector)
    return isThreadOp(op) || isDot(op)
               ? ""
               : "of cria, allowed are param, dot2, dot2_i16, dot4, dot_tile, "
                 "dot_tile2, thread_id, num_threads, barrier and stamp";
  if (isa<LoadOp>(op))
    return "";
  bool isModelOp = !isKernelOp(op) && !isThreadOp(op) && !isDot(op) &&
                   !isa<YieldOp, WeightSliceOp, WeightDataOp>(op);
  if (stage == Stage::dialect)
    return isModelOp ? "" : "of cria, allowed are model ops, param and load";
  if (isInsideKernel(op))
    return "";
  if (isModelOp)
    return "a kernel or a plain lowering takes its place; of cria, allowed "
           "are kernel ops, param and load";
  if (isDot(op) || isa<WeightDataOp>(op))
    return "the stage 'vector' makes it";
  // How work is cut may depend on the number of threads.
  bool isCount = stage == Stage::tile && isa<NumThreadsOp>(op);
  if (stage != Stage::bufferize && isThreadOp(op) && !isCount)
    return "the stage 'bufferize' makes it";
  if (stage == Stage::fuse && isa<WeightSliceOp>(op))
    return "the stage 'tile' makes it";
  // Rows are cheap in a decode step: every thread prepares them for itself. A
  // linear of one tile goes to one thread.
  if (stage == Stage::tile && isKernelOp(op) &&
      !isa<RowsOp, FusedLinearOp>(op) && !op->getParentOfType<scf::ForallOp>())
    return "kernels are allowed inside of scf.forall";
  return "";
}

/// The same for an op of another dialect.
StringRef otherViolation(Operation *op, Stage stage) {
  if (stage == Stage::vector && isHalideKernel(op))
    return "";
  // What threads of a GPU do beyond vectors has no ops (gpu/TeamBuilder.h).
  if (auto call = dyn_cast<func::CallOp>(op);
      call && stage != Stage::dialect &&
      !(stage == Stage::vector && call.getCallee().starts_with("cria_gpu_")))
    return "all is one function, because a barrier must see both sides of a "
           "dependence";
  if (stage == Stage::fuse || stage == Stage::dialect) {
    if (stage == Stage::dialect && isa<scf::ForallOp>(op))
      return "the stage 'tile' makes it";
    return "";
  }
  if (stage != Stage::bufferize && stage != Stage::vector)
    return "";
  if (isa<scf::ForallOp, scf::InParallelOp>(op))
    return "parallel loops are ranges of a thread by now";
  if (isa<memref::CopyOp>(op))
    return "everything is computed in place";
  if (isa<memref::AllocOp, memref::DeallocOp>(op) ||
      (stage == Stage::bufferize && isa<memref::AllocaOp>(op)))
    return "memory is a view of the arena";
  if (isa<bufferization::BufferizationDialect>(op->getDialect()) &&
      !isa<bufferization::ToBufferOp>(op))
    return "of bufferization, allowed is to_buffer of a loaded param";
  return "";
}

/// The same for the types of an op's results and region arguments.
StringRef typeViolation(Operation *op, Stage stage) {
  auto check = [&](Type type) -> StringRef {
    if (auto weight = dyn_cast<WeightType>(type)) {
      if (stage == Stage::vector)
        return "weights are arrays by now";
      if (weight.getLayout() == WeightLayout::rows)
        return "no kernel reads a weight in the layout rows; allowed are n16, "
               "n16k2 and n16k4";
    }
    bool buffered = stage == Stage::bufferize || stage == Stage::vector;
    // A loaded param is a tensor until weights are resolved, the row of a
    // prologue always.
    if (buffered && isa<TensorType>(type) &&
        !(stage == Stage::bufferize &&
          (isa<ParamOp, LoadOp, RowsOp>(op) || isInsideKernel(op))) &&
        !op->hasTrait<OpTrait::ConstantLike>())
      return "tensors are memrefs by now";
    return "";
  };
  if (auto param = dyn_cast<ParamOp>(op))
    return stage == Stage::vector ? StringRef() : check(param.getType());
  for (Type type : op->getResultTypes())
    if (StringRef why = check(type); !why.empty())
      return why;
  for (Region &region : op->getRegions())
    for (Block &block : region)
      for (Type type : block.getArgumentTypes())
        if (StringRef why = check(type); !why.empty())
          return why;
  return "";
}

std::string violation(Operation *op, Stage stage) {
  Dialect *dialect = op->getDialect();
  StringRef name = dialect ? dialect->getNamespace() : StringRef();
  StringRef why;
  if (name == CriaDialect::getDialectNamespace()) {
    why = criaViolation(op, stage);
  } else if (name != "builtin") {
    llvm::ArrayRef<llvm::StringLiteral> allowed = allowedDialects(stage);
    if (!llvm::is_contained(allowed, name))
      return "allowed dialects are cria, " + llvm::join(allowed, ", ");
    why = otherViolation(op, stage);
  }
  return (why.empty() ? typeViolation(op, stage) : why).str();
}

struct CheckStage : cria::impl::CheckStageBase<CheckStage> {
  using CheckStageBase::CheckStageBase;

  void runOnOperation() override {
    std::optional<Stage> checked = stageByName(stage);
    if (!checked) {
      getOperation().emitError()
          << "option stage: '" << stage
          << "' is no stage; accepted: import, dialect, fuse, tile, bufferize, "
             "vector, llvm, emit";
      return signalPassFailure();
    }
    if (failed(checkStageContract(getOperation(), *checked)))
      return signalPassFailure();
    markAllAnalysesPreserved();
  }
};

} // namespace

LogicalResult cria::checkStageContract(ModuleOp module, Stage stage) {
  if (stage == Stage::import || stage == Stage::llvm || stage == Stage::emit)
    return success();
  llvm::StringSet<> reported;
  module.walk([&](Operation *op) {
    std::string why = violation(op, stage);
    if (!why.empty() && reported.insert(op->getName().getStringRef()).second)
      op->emitError() << "after stage '" << stageName(stage) << "': '"
                      << op->getName() << "' must not be alive: " << why;
  });
  return success(reported.empty());
}
