// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/gpu/RecomputeInPhases.h"

#include "runtime/include/cria/abi.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/PostOrderIterator.h"
#include "llvm/Analysis/LoopInfo.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/Dominators.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsNVPTX.h"

using namespace cria;
using namespace llvm;

static bool isPhaseStart(const CallInst &call) {
  auto *text = dyn_cast<InlineAsm>(call.getCalledOperand());
  return text && text->getAsmString() == kPhaseStart;
}

/// Which of a phase start's numbers it is.
static std::optional<unsigned> phaseNumber(const Instruction &instruction) {
  if (auto *call = dyn_cast<IntrinsicInst>(&instruction))
    switch (call->getIntrinsicID()) {
    case Intrinsic::nvvm_read_ptx_sreg_ctaid_x:
      return 0;
    case Intrinsic::nvvm_read_ptx_sreg_nctaid_x:
      return 1;
    case Intrinsic::nvvm_read_ptx_sreg_tid_x:
      return 2;
    default:
      return std::nullopt;
    }
  // Of an earlier phase.
  if (auto *part = dyn_cast<ExtractValueInst>(&instruction))
    if (auto *call = dyn_cast<CallInst>(part->getAggregateOperand()))
      if (isPhaseStart(*call))
        return part->getIndices().front();
  return std::nullopt;
}

/// The byte of the kernel's parameters that it loads from.
static std::optional<uint64_t> parameterOf(const LoadInst &load) {
  const DataLayout &layout = load.getDataLayout();
  APInt offset(layout.getIndexTypeSizeInBits(load.getPointerOperandType()), 0);
  auto *argument = dyn_cast<Argument>(
      load.getPointerOperand()->stripAndAccumulateConstantOffsets(
          layout, offset, /*AllowNonInbounds=*/true));
  if (!argument || !argument->hasByValAttr())
    return std::nullopt;
  return offset.getZExtValue();
}

/// Whether nobody writes what it reads while a kernel runs: its parameters,
/// and the arrays of a call's tokens, which are the first ones.
static bool isConstant(const LoadInst &load) {
  if (!load.isSimple())
    return false;
  if (parameterOf(load))
    return true;
  auto *array =
      dyn_cast<LoadInst>(getUnderlyingObject(load.getPointerOperand()));
  std::optional<uint64_t> parameter =
      array ? parameterOf(*array) : std::nullopt;
  return parameter && *parameter < offsetof(cria_forward_args, n);
}

/// Whether it gives the same wherever its operands exist, and costs little.
static bool isCheap(const Instruction &instruction) {
  if (!instruction.getType()->isIntOrPtrTy())
    return false;
  if (auto *load = dyn_cast<LoadInst>(&instruction))
    return isConstant(*load);
  if (auto *call = dyn_cast<IntrinsicInst>(&instruction))
    return isa<MinMaxIntrinsic>(call);
  return isa<BinaryOperator, CastInst, GetElementPtrInst, ICmpInst, SelectInst>(
      instruction);
}

namespace {

class Recomputer {
public:
  explicit Recomputer(const DominatorTree &dominators)
      : dominators(dominators) {}

  /// A loop's, 32 bits.
  void addCounter(PHINode *counter) { counters[counter] = counter; }
  /// What is used from `start` on; earlier starts first.
  void run(CallInst *start);

private:
  /// Whether all that it comes from are a phase start's numbers, counters, and
  /// what a kernel is called with. Of anything else fewer registers may be
  /// alive as it is.
  bool canRecompute(Value *value);
  /// `value` of before the start, as it is from there on.
  Value *recompute(Value *value);

  const DominatorTree &dominators;
  /// And a phase's copies of them.
  DenseMap<Value *, Value *> counters;
  DenseMap<Value *, bool> verdicts;
  // Of the phase at hand.
  CallInst *start = nullptr;
  DenseMap<Value *, Value *> known;
};

} // namespace

bool Recomputer::canRecompute(Value *value) {
  auto *instruction = dyn_cast<Instruction>(value);
  if (!instruction || counters.contains(value) || phaseNumber(*instruction))
    return true;
  auto verdict = verdicts.find(value);
  if (verdict != verdicts.end())
    return verdict->second;
  bool can = isCheap(*instruction) &&
             all_of(instruction->operands(), [&](const Use &operand) {
               return canRecompute(operand.get());
             });
  return verdicts[value] = can;
}

Value *Recomputer::recompute(Value *value) {
  auto *source = dyn_cast<Instruction>(value);
  if (!source || !dominators.dominates(source, start))
    return value;
  if (Value *own = known.lookup(source))
    return own;
  Value *own;
  if (Value *origin = counters.lookup(source)) {
    if (Value *same = known.lookup(origin))
      return same;
    // ptxas sees through a mov, and would keep what follows from the counter
    // over several phases.
    IRBuilder<> builder(start->getNextNode());
    Type *type = origin->getType();
    CallInst *call = builder.CreateCall(
        InlineAsm::get(FunctionType::get(type, type, /*isVarArg=*/false),
                       "shfl.sync.bfly.b32 $0, $1, 0, 31, -1;", "=r,r",
                       /*hasSideEffects=*/true),
        origin);
    call->setConvergent();
    counters[call] = origin;
    own = known[origin] = call;
  } else if (std::optional<unsigned> number = phaseNumber(*source)) {
    IRBuilder<> builder(start->getNextNode());
    own = builder.CreateExtractValue(start, *number);
  } else if (canRecompute(source)) {
    Instruction *copy = source->clone();
    Instruction *last = start;
    for (Use &use : copy->operands()) {
      use.set(recompute(use.get()));
      // Behind all of them, which are in the start's block or before it.
      auto *operand = dyn_cast<Instruction>(use.get());
      if (operand && operand->getParent() == start->getParent() &&
          last->comesBefore(operand))
        last = operand;
    }
    copy->insertAfter(last);
    own = copy;
  } else {
    return value;
  }
  return known[source] = own;
}

void Recomputer::run(CallInst *phase) {
  start = phase;
  known.clear();
  SmallVector<Use *> uses;
  for (Instruction &user : instructions(*start->getFunction()))
    for (Use &use : user.operands())
      if (isa<Instruction>(use.get()) && dominators.dominates(start, use))
        uses.push_back(&use);
  for (Use *use : uses)
    use->set(recompute(use->get()));
}

/// Counts in 32 bits, where that is enough: a register that is alive all along.
/// Null where it does not.
static PHINode *narrowCounter(Loop &loop) {
  PHINode *counter = loop.getCanonicalInductionVariable();
  BasicBlock *latch = loop.getLoopLatch();
  auto *branch = latch ? dyn_cast<BranchInst>(latch->getTerminator()) : nullptr;
  if (!counter || !branch || !branch->isConditional())
    return nullptr;
  auto *compare = dyn_cast<ICmpInst>(branch->getCondition());
  Value *next = counter->getIncomingValueForBlock(latch);
  auto *end = compare ? dyn_cast<ConstantInt>(compare->getOperand(1)) : nullptr;
  if (!end || compare->getOperand(0) != next || !compare->isEquality() ||
      end->isZero() || !end->getValue().isIntN(31))
    return nullptr;
  IRBuilder<> builder(counter);
  IntegerType *word = builder.getInt32Ty();
  PHINode *narrow = builder.CreatePHI(word, 2);
  builder.SetInsertPoint(latch->getTerminator());
  Value *sum = builder.CreateAdd(narrow, builder.getInt32(1));
  for (BasicBlock *from : counter->blocks())
    narrow->addIncoming(from == latch ? sum : builder.getInt32(0), from);
  branch->setCondition(builder.CreateICmp(
      compare->getPredicate(), sum, builder.getInt32(end->getZExtValue())));
  builder.SetInsertPoint(counter->getParent(),
                         counter->getParent()->getFirstInsertionPt());
  Value *wide = builder.CreateZExt(narrow, counter->getType());
  counter->replaceAllUsesWith(wide);
  counter->eraseFromParent();
  return narrow;
}

/// ptxas unrolls loops with a barrier of the block too, over which it then has
/// several rounds' values at once.
static void keepLoop(Loop &loop, const LoopInfo &loops) {
  for (BasicBlock *block : loop.blocks())
    if (loops.getLoopFor(block) == &loop)
      for (Instruction &each : *block)
        if (auto *call = dyn_cast<IntrinsicInst>(&each))
          if (call->getIntrinsicID() ==
              Intrinsic::nvvm_barrier_cta_sync_aligned_all)
            return loop.setLoopAlreadyUnrolled();
}

PreservedAnalyses RecomputeInPhases::run(Function &function,
                                         FunctionAnalysisManager &analyses) {
  auto &dominators = analyses.getResult<DominatorTreeAnalysis>(function);
  // Earlier phases first, as later ones take from them.
  SmallVector<CallInst *> starts;
  for (BasicBlock *block : ReversePostOrderTraversal<Function *>(&function))
    for (Instruction &instruction : *block)
      if (auto *call = dyn_cast<CallInst>(&instruction))
        if (isPhaseStart(*call))
          starts.push_back(call);
  auto &loops = analyses.getResult<LoopAnalysis>(function);
  Recomputer recomputer(dominators);
  for (Loop *loop : loops.getLoopsInPreorder()) {
    if (any_of(starts, [&](CallInst *start) { return loop->contains(start); }))
      if (PHINode *counter = narrowCounter(*loop))
        recomputer.addCounter(counter);
    keepLoop(*loop, loops);
  }
  for (CallInst *start : starts)
    recomputer.run(start);
  PreservedAnalyses preserved;
  preserved.preserveSet<CFGAnalyses>();
  return preserved;
}
