// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/Reducer.h"

#include "compiler/import/PackWeights.h"
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
#include "llvm/Support/Path.h"

using namespace cria;
using namespace mlir;

//===----------------------------------------------------------------------===//
// PassCheck
//===----------------------------------------------------------------------===//

llvm::Expected<const SafetensorsFile *> PassCheck::weightsOf(ModuleOp module) {
  std::string key;
  llvm::raw_string_ostream stream(key);
  for (auto param : module.getOps<ParamOp>())
    stream << param << "\n";
  std::unique_ptr<SafetensorsFile> &file = weights[key];
  if (file)
    return file.get();
  llvm::SmallString<256> path(scratch);
  llvm::sys::path::append(path, "random-" + std::to_string(weights.size()) +
                                    ".safetensors");
  if (llvm::Error error =
          packWeights(module, nullptr, 1, path, [](uint64_t, uint64_t) {}, {}))
    return error;
  llvm::Expected<std::unique_ptr<SafetensorsFile>> opened =
      SafetensorsFile::open(path);
  if (!opened)
    return opened.takeError();
  file = std::move(*opened);
  return file.get();
}

llvm::Expected<Distance> PassCheck::compare(ModuleOp module, int64_t tokens,
                                            std::optional<size_t> only) {
  auto vocab = module->getAttrOfType<IntegerAttr>("cria.vocab");
  Trial trial = makeSmallTrial(tokens, vocab ? vocab.getInt() : 1);
  auto run = [&](ModuleOp each, bool native) -> llvm::Expected<Logits> {
    llvm::Expected<const SafetensorsFile *> file = weightsOf(each);
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

static void removeDeadOps(ModuleOp module) {
  for (bool changed = true; changed;) {
    changed = false;
    module.walk<WalkOrder::PostOrder, ReverseIterator>([&](Operation *op) {
      if (!isa<ModuleOp, func::FuncOp, ParamOp>(op) && isOpTriviallyDead(op)) {
        op->erase();
        changed = true;
      }
    });
    for (auto param : llvm::make_early_inc_range(module.getOps<ParamOp>()))
      if (SymbolTable::symbolKnownUseEmpty(param, module)) {
        param.erase();
        changed = true;
      }
  }
}

static func::FuncOp entryOf(ModuleOp module) {
  func::FuncOp entry;
  for (auto func : module.getOps<func::FuncOp>())
    if (func->hasAttr("cria.entry"))
      entry = entry ? func::FuncOp() : func; // the only one
  return entry;
}

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

/// Loops over layers run once; where they begin with layer 0, stacks have one.
static void keepOneLayer(ModuleOp module) {
  bool fromZero = true;
  SmallVector<scf::ForOp> loops;
  module.walk([&](scf::ForOp loop) {
    bool loads = false;
    loop.walk([&](LoadOp load) {
      loads |= load.getLayer() == loop.getInductionVar();
    });
    std::optional<int64_t> low = getConstantIntValue(loop.getLowerBound());
    if (!loads || !low || !getConstantIntValue(loop.getStep()))
      return;
    fromZero &= *low == 0;
    loops.push_back(loop);
  });
  for (scf::ForOp loop : loops) {
    ImplicitLocOpBuilder b(loop.getLoc(), loop);
    loop.setUpperBound(arith::ConstantIndexOp::create(
        b, *getConstantIntValue(loop.getLowerBound()) +
               *getConstantIntValue(loop.getStep())));
  }
  for (auto param : module.getOps<ParamOp>()) {
    if (!fromZero || loops.empty() || !param.isStacked())
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
  }
  IRRewriter rewriter(module.getContext());
  for (scf::ForOp loop : loops)
    (void)loop.promoteIfSingleIteration(rewriter); // stays a loop otherwise
}

/// Ends the entry with the result `index` of its op number `at`, in place of
/// the logits.
static bool endWith(ModuleOp module, unsigned at, unsigned index) {
  func::FuncOp entry = entryOf(module);
  Block &body = entry.getBody().front();
  Operation *op = &*std::next(body.begin(), at);
  auto type = cast<RankedTensorType>(op->getResult(index).getType());
  auto ret = cast<func::ReturnOp>(body.getTerminator());
  if (ret.getNumOperands() == 0 || ret.getOperand(0) == op->getResult(index))
    return false;
  ret.setOperand(0, op->getResult(index));
  SmallVector<Type> results(entry.getResultTypes());
  results[0] = type;
  entry.setFunctionType(
      FunctionType::get(entry.getContext(), entry.getArgumentTypes(), results));
  removeDeadOps(module);
  for (unsigned i = entry.getNumArguments(); i-- > 0;) {
    auto name = entry.getArgAttrOfType<StringAttr>(i, "cria.arg");
    if (!name || name.getValue() != "logits")
      continue;
    if (!entry.getArgument(i).use_empty() || failed(entry.eraseArgument(i)))
      return false;
  }
  module->setAttr(
      "cria.vocab",
      Builder(module.getContext()).getI64IntegerAttr(type.getDimSize(1)));
  return true;
}

/// Returns the caches as they came.
static bool keepCaches(ModuleOp module) {
  func::FuncOp entry = entryOf(module);
  if (!entry)
    return false;
  Operation *ret = entry.getBody().front().getTerminator();
  bool changed = false;
  for (unsigned i = 1; i < ret->getNumOperands(); ++i)
    for (BlockArgument argument : entry.getArguments())
      if (auto name = entry.getResultAttrOfType<StringAttr>(i, "cria.arg");
          argument.getType() == ret->getOperand(i).getType() &&
          entry.getArgAttr(argument.getArgNumber(), "cria.arg") ==
              (name ? name
                    : StringAttr::get(module.getContext(),
                                      i == 1 ? "keys" : "values"))) {
        changed |= ret->getOperand(i) != argument;
        ret->setOperand(i, argument);
      }
  removeDeadOps(module);
  return changed;
}

static bool isRows(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 2 && tensor.isDynamicDim(0) &&
         !tensor.isDynamicDim(1) && tensor.getElementType().isF32();
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
  auto param = ParamOp::create(b, b.getStringAttr(kInput + "_" + Twine(at)),
                               mlir::TypeAttr::get(known), mlir::ArrayAttr(),
                               mlir::IntegerAttr(), mlir::IntegerAttr(),
                               mlir::UnitAttr());
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
                       const llvm::StringMap<std::string> &names) {
  Reducing reducing(check, tolerance);
  Reduction best;
  // Small scores and gates hide much: then norms scale by more.
  for (float mean : {1.0f, 4.0f})
    for (int64_t tokens : {5, 3})
      for (bool oneLayer : {true, false}) {
        OwningOpRef<ModuleOp> start = before.clone();
        makeRandom(*start, mean);
        if (oneLayer)
          keepOneLayer(*start);
        removeDeadOps(*start);
        Distance apart;
        if (!best.module && reducing.interesting(*start, tokens, apart))
          best = {std::move(start), tokens, apart, ""};
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
  return best;
}
