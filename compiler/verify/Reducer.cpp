// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/Reducer.h"

#include "compiler/import/PackWeights.h"
#include "compiler/verify/Layers.h"
#include "compiler/verify/ModuleCut.h"
#include "compiler/verify/ReferenceLowering.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Iterators.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Path.h"

using namespace cria;
using namespace mlir;

//===----------------------------------------------------------------------===//
// PassCheck
//===----------------------------------------------------------------------===//

llvm::Expected<Distance> PassCheck::compare(ModuleOp module, int64_t tokens,
                                            std::optional<size_t> only) {
  auto vocab = module->getAttrOfType<IntegerAttr>("cria.vocab");
  Trial trial = makeSmallTrial(tokens, vocab ? vocab.getInt() : 1);
  auto run = [&](ModuleOp each, bool native) -> llvm::Expected<Logits> {
    llvm::Expected<const SafetensorsFile *> file = weights.of(each);
    if (!file)
      return file.takeError();
    llvm::Expected<std::unique_ptr<Program>> program =
        native ? Program::native(each.clone(), target)
               : Program::reference(each.clone(), target);
    if (!program)
      return program.takeError();
    return (*program)->run(trial, **file);
  };
  llvm::Expected<Logits> before = run(module, false);
  if (!before)
    return before.takeError();
  OwningOpRef<ModuleOp> changed = module.clone(), hidden;
  if (only) {
    FailureOr<OwningOpRef<ModuleOp>> kept =
        callReferences(*changed, [&](size_t i) { return i != *only; });
    if (failed(kept))
      return llvm::createStringError("a kernel has no reference");
    hidden = std::move(*kept);
  }
  if (!pipeline.empty() && failed(runPipeline(*changed, pipeline, afterPass)))
    return llvm::createStringError("--pass " + pipeline + ": failed");
  llvm::Expected<Logits> after = run(*changed, pipeline.empty());
  if (!after)
    return after.takeError();
  return distance(*before, *after);
}

//===----------------------------------------------------------------------===//
// Reducing
//===----------------------------------------------------------------------===//

/// Where cut values come from: as many rows as the trial has tokens.
static constexpr StringLiteral kInput = "input";

/// Weights of their own instead of those of a file.
static void makeRandom(ModuleOp module, float mean) {
  Builder b(module.getContext());
  for (auto param : module.getOps<ParamOp>()) {
    param.removeSourcesAttr();
    param.removePermuteHeadsAttr();
    param.removePermuteDimsAttr();
    // Of norms for the most part: what scores and gates are made of.
    if (isa<RankedTensorType>(param.getType()))
      param->setAttr(randomMeanAttr, b.getF32FloatAttr(mean));
  }
  for (StringRef name : {"cria.metadata", "cria.source", "cria.tokenizer",
                         "cria.chat_template", "cria.quantize"})
    module->removeAttr(name);
  module->setAttr("cria.name", b.getStringAttr("reproducer"));
}

/// Loops over layers run for one alone, and stacks have that one.
static void keepOneLayer(ModuleOp module, int64_t layer) {
  IRRewriter rewriter(module.getContext());
  SmallVector<scf::ForOp> loops;
  module.walk([&](scf::ForOp loop) {
    bool loads = false;
    loop.walk([&](LoadOp load) { loads |= load.getLayer() != nullptr; });
    if (loads && getConstantIntValue(loop.getLowerBound()) &&
        getConstantIntValue(loop.getStep()))
      loops.push_back(loop);
  });
  for (scf::ForOp loop : loops) {
    ImplicitLocOpBuilder b(loop.getLoc(), loop);
    int64_t step = *getConstantIntValue(loop.getStep()),
            at = *getConstantIntValue(loop.getLowerBound()) + layer * step;
    loop.setLowerBound(arith::ConstantIndexOp::create(b, at));
    loop.setUpperBound(arith::ConstantIndexOp::create(b, at + step));
    (void)loop.promoteIfSingleIteration(rewriter); // stays a loop otherwise
  }
  resolveSwitches(module);
  llvm::StringMap<SmallVector<LoadOp>> loads;
  llvm::StringSet<> inLoops;
  module.walk([&](LoadOp load) {
    if (!load.getLayer())
      return;
    loads[load.getParam()].push_back(load);
    if (!knownIndex(load.getLayer()))
      inLoops.insert(load.getParam());
  });
  for (auto param : module.getOps<ParamOp>()) {
    if (!param.isStacked() || inLoops.contains(param.getSymName()))
      continue;
    if (auto weight = dyn_cast<WeightType>(param.getType())) {
      SmallVector<int64_t> shape(weight.getShape());
      shape[0] = 1;
      param.setType(WeightType::get(param.getContext(), shape,
                                    weight.getElement(), weight.getBlock(),
                                    weight.getOffset(), weight.getLayout()));
    } else if (auto tensor = dyn_cast<RankedTensorType>(param.getType())) {
      SmallVector<int64_t> shape(tensor.getShape());
      shape[0] = 1;
      param.setType(RankedTensorType::get(shape, tensor.getElementType()));
    }
    for (LoadOp load : loads[param.getSymName()]) {
      ImplicitLocOpBuilder b(load.getLoc(), load);
      load.getLayerMutable().assign(arith::ConstantIndexOp::create(b, 0));
    }
  }
}

/// A param of rows that op `number` of the whole module made; -1 for others.
static int64_t numberOfInput(StringRef param) {
  int64_t number;
  return param.consume_front(kInput) && param.consume_front("_") &&
                 !param.getAsInteger(10, number)
             ? number
             : -1;
}

/// Random rows in the place of the only result of op number `at`.
static bool cutOff(ModuleOp module, unsigned at, int64_t tokens) {
  func::FuncOp entry = entryOf(module);
  Operation *op = &*std::next(entry.getBody().front().begin(), at);
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  auto known = RankedTensorType::get({tokens, type.getDimSize(1)},
                                     type.getElementType());
  ImplicitLocOpBuilder b(op->getLoc(), module.getBody(),
                         module.getBody()->begin());
  // Of an op without a number nothing can be captured.
  std::string name = kInput.str();
  if (int64_t number = numberOf(op); number >= 0)
    name += "_" + std::to_string(number);
  auto param = ParamOp::create(
      b, b.getStringAttr(name), mlir::TypeAttr::get(known), mlir::ArrayAttr(),
      mlir::IntegerAttr(), mlir::IntegerAttr(), mlir::UnitAttr());
  SymbolTable(module).insert(param);
  b.setInsertionPoint(op);
  Value rows = LoadOp::create(b, known, param.getSymName(), Value());
  rows = tensor::CastOp::create(b, type, rows);
  op->getResult(0).replaceAllUsesWith(rows);
  removeDeadOps(module);
  return true;
}

namespace {

class Reducing {
public:
  Reducing(PassCheck &check, double tolerance)
      : check(check), tolerance(tolerance) {}

  bool interesting(ModuleOp module, int64_t tokens, Distance &apart,
                   std::optional<size_t> only = {}) {
    // What is no program any more is just not interesting.
    ScopedDiagnosticHandler silence(module.getContext(),
                                    [](Diagnostic &) { return success(); });
    if (failed(verify(module)))
      return false;
    llvm::Expected<Distance> result = check.compare(module, tokens, only);
    if (!result) {
      llvm::consumeError(result.takeError());
      return false;
    }
    apart = *result;
    return apart.error > tolerance;
  }

  /// Keeps what `change` makes of the module if that still diverges.
  bool attempt(Reduction &best, llvm::function_ref<bool(ModuleOp)> change) {
    OwningOpRef<ModuleOp> candidate = best.module->clone();
    Distance apart;
    if (!change(*candidate) || !interesting(*candidate, best.tokens, apart))
      return false;
    best.module = std::move(candidate);
    best.distance = apart;
    return true;
  }

  void endEarly(Reduction &best);
  void cutInputs(Reduction &best);
  void useCaptured(Reduction &best, ModuleOp whole, Capture capture);
  void eraseKernels(Reduction &best);
  std::string nameTheOp(const Reduction &best,
                        const llvm::StringMap<std::string> &names);

private:
  PassCheck &check;
  double tolerance;
};

} // namespace

/// The first value that differs becomes the result.
void Reducing::endEarly(Reduction &best) {
  func::FuncOp entry = entryOf(*best.module);
  if (!entry || entry.getNumResults() == 0)
    return;
  unsigned at = 0;
  for (Operation &op : entry.getBody().front()) {
    for (OpResult result : op.getResults())
      if (isRows(result.getType()) && !isa<tensor::EmptyOp, LoadOp>(op) &&
          attempt(best, [&](ModuleOp module) {
            return endWith(module, at, result.getResultNumber());
          }))
        return;
    ++at;
  }
}

/// What leads to the result becomes random rows, from the end.
void Reducing::cutInputs(Reduction &best) {
  func::FuncOp entry = entryOf(*best.module);
  if (!entry)
    return;
  for (auto at = static_cast<int64_t>(
                     entry.getBody().front().getOperations().size()) -
                 2;
       at >= 0; --at) {
    Block &body = entryOf(*best.module).getBody().front();
    // Accepted cuts made the block shorter.
    if (at >= static_cast<int64_t>(body.getOperations().size()) - 1)
      continue;
    Operation *op = &*std::next(body.begin(), at);
    if (op->getNumResults() != 1 || !isRows(op->getResult(0).getType()) ||
        isa<tensor::EmptyOp, tensor::CastOp, LoadOp>(op) ||
        llvm::is_contained(body.getTerminator()->getOperands(),
                           op->getResult(0)))
      continue;
    attempt(best, [&](ModuleOp module) {
      return cutOff(module, static_cast<unsigned>(at), best.tokens);
    });
  }
}

/// Real rows instead of the random ones; of few tokens, if they show it.
void Reducing::useCaptured(Reduction &best, ModuleOp whole, Capture capture) {
  constexpr size_t mostFloats = 8192; // of which a reproducer has 8 digits each
  for (int64_t tokens : {int64_t(1), int64_t(2), best.tokens}) {
    OwningOpRef<ModuleOp> candidate = best.module->clone();
    size_t floats = 0;
    bool isWhole = false;
    for (auto param :
         llvm::make_early_inc_range(candidate->getOps<ParamOp>())) {
      if (!param.getSymName().starts_with(kInput))
        continue;
      isWhole = false;
      int64_t number = numberOfInput(param.getSymName());
      if (number < 0)
        return;
      llvm::Expected<Logits> rows = capture(whole, number, tokens);
      if (!rows) {
        llvm::consumeError(rows.takeError());
        return;
      }
      auto type = RankedTensorType::get(
          {tokens, rows->columns}, Float32Type::get(candidate->getContext()));
      floats += rows->values.size();
      if (rows->values.size() != size_t(type.getNumElements()) ||
          floats > mostFloats)
        return;
      SmallVector<LoadOp> loads;
      candidate->walk([&](LoadOp load) {
        if (load.getParam() == param.getSymName())
          loads.push_back(load);
      });
      for (LoadOp load : loads) {
        auto cast = dyn_cast<tensor::CastOp>(*load->user_begin());
        if (!cast || !load->hasOneUse())
          return;
        ImplicitLocOpBuilder b(load.getLoc(), load);
        Value constant = arith::ConstantOp::create(
            b, mlir::DenseElementsAttr::get(type, ArrayRef(rows->values)));
        cast.getSourceMutable().assign(constant);
        load.erase();
      }
      param.erase();
      isWhole = true;
    }
    Distance apart;
    if (!isWhole || !interesting(*candidate, tokens, apart))
      continue;
    best.module = std::move(candidate);
    best.tokens = tokens;
    best.distance = apart;
    best.hasCaptured = true;
    return;
  }
}

static bool isKernelOnBuffers(Operation *op) {
  return isa<RopeTableOp, EmbedRowsOp, RowsOp, HeadRowsOp, FusedLinearOp,
             FusedAttentionOp, AttentionPartialsOp, AttentionMergeOp>(op) &&
         op->getNumResults() == 0;
}

static SmallVector<Operation *> bufferKernels(ModuleOp module) {
  SmallVector<Operation *> kernels;
  module.walk([&](Operation *op) {
    if (isKernelOnBuffers(op))
      kernels.push_back(op);
  });
  return kernels;
}

/// Kernels on memrefs that it takes no part of go.
void Reducing::eraseKernels(Reduction &best) {
  for (size_t i = bufferKernels(*best.module).size(); i-- > 0;)
    attempt(best, [&](ModuleOp module) {
      SmallVector<Operation *> kernels = bufferKernels(module);
      if (i >= kernels.size())
        return false;
      kernels[i]->erase();
      removeDeadOps(module);
      return true;
    });
}

//===----------------------------------------------------------------------===//
// Naming
//===----------------------------------------------------------------------===//

/// The params that `op`, or a kernel inside of it, reads.
static llvm::SetVector<StringRef> paramsOf(Operation *op) {
  llvm::SetVector<StringRef> params;
  auto follow = [&](Value value) {
    while (Operation *from = value.getDefiningOp()) {
      if (auto load = dyn_cast<LoadOp>(from)) {
        if (!load.getParam().starts_with(kInput))
          params.insert(load.getParam());
        return;
      }
      if (!isa<WeightSliceOp>(from) &&
          from->getName().getStringRef() != "bufferization.to_buffer")
        return;
      value = from->getOperand(0);
    }
  };
  op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      follow(operand);
  });
  return params;
}

static std::string describeOp(Operation *op,
                              const llvm::StringMap<std::string> &names) {
  // A loop stands for the kernel that it is over.
  Operation *named = op;
  op->walk([&](Operation *inner) {
    if (isa_and_nonnull<CriaDialect>(inner->getDialect()) &&
        inner->getNumRegions() + inner->getNumResults() > 0 &&
        !isa<LoadOp, WeightSliceOp, YieldOp>(inner) &&
        !isa_and_nonnull<RowsOp, FusedLinearOp>(inner->getParentOp()))
      named = inner;
  });
  std::string text = named->getName().getStringRef().str();
  llvm::SetVector<StringRef> params = paramsOf(op);
  // What reads no weight is found by what it is fed by.
  std::string joint = " of ";
  if (params.empty()) {
    joint = " on ";
    for (Value operand : op->getOperands())
      if (Operation *from = operand.getDefiningOp())
        for (StringRef param : paramsOf(from))
          params.insert(param);
  }
  for (auto [i, param] : llvm::enumerate(params)) {
    text += (i ? ", " : joint) + ("@" + param).str();
    auto found = names.find(param);
    if (found != names.end())
      text += " (" + found->second + ")";
  }
  return text;
}

/// The op that makes the result, or the first kernel on memrefs that the pass
/// gets wrong by itself.
std::string Reducing::nameTheOp(const Reduction &best,
                                const llvm::StringMap<std::string> &names) {
  SmallVector<Operation *> kernels = bufferKernels(*best.module);
  for (auto [i, kernel] : llvm::enumerate(kernels)) {
    Distance apart;
    if (interesting(*best.module, best.tokens, apart, i))
      return describeOp(kernel, names);
  }
  func::FuncOp entry = entryOf(*best.module);
  if (!entry)
    return "";
  Operation *ret = entry.getBody().front().getTerminator();
  if (ret->getNumOperands() == 0)
    return "";
  Operation *op = ret->getOperand(0).getDefiningOp();
  return op ? describeOp(op, names) : "";
}

Reduction cria::reduce(ModuleOp before, PassCheck &check, double tolerance,
                       int64_t layer, const llvm::StringMap<std::string> &names,
                       Capture capture) {
  Reducing reducing(check, tolerance);
  Reduction best;
  OwningOpRef<ModuleOp> whole = before.clone();
  numberOps(*whole);
  // Small scores and gates hide much: then norms scale by more.
  for (float mean : {1.0f, 4.0f})
    for (int64_t tokens : {5, 3})
      for (bool oneLayer : {true, false}) {
        OwningOpRef<ModuleOp> start = whole->clone();
        makeRandom(*start, mean);
        if (oneLayer)
          keepOneLayer(*start, layer);
        removeDeadOps(*start);
        Distance apart;
        if (!best.module && reducing.interesting(*start, tokens, apart))
          best = {std::move(start), tokens, false, apart, ""};
      }
  if (!best.module)
    return best;
  // One version of the entry is enough.
  for (StringRef version : {"decode", "prefill"})
    reducing.attempt(best, [&](ModuleOp module) {
      for (auto func : module.getOps<func::FuncOp>()) {
        auto name = func->getAttrOfType<StringAttr>("cria.version");
        if (!name || name.getValue() != version || entryOf(module))
          continue;
        func.erase();
        if (version == "prefill")
          entryOf(module)->removeAttr("cria.version");
        return true;
      }
      return false;
    });
  reducing.endEarly(best);
  reducing.attempt(best, keepCaches);
  reducing.eraseKernels(best);
  best.op = reducing.nameTheOp(best, names);
  reducing.cutInputs(best);
  reducing.useCaptured(best, *whole, capture);
  removeNumbers(*best.module);
  return best;
}
