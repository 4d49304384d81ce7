// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/emit/FreezeAddresses.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/Analysis/LoopInfo.h"
#include "llvm/Analysis/ScalarEvolution.h"
#include "llvm/Analysis/ScalarEvolutionExpressions.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/IRBuilder.h"

using namespace cria;
using namespace llvm;

namespace {

/// Pointers that are constants apart.
struct Family {
  Instruction *first;
  /// Bytes from the first one on, itself among them.
  SmallVector<std::pair<int64_t, Instruction *>, 4> members;
};

class LoopFreezer {
public:
  LoopFreezer(Loop &loop, ScalarEvolution &evolution)
      : loop(loop), evolution(evolution) {}

  /// Whether anything changed.
  bool run();

private:
  void collect();
  void addPointer(Instruction *pointer);
  bool isFromOutside(Value *value) const {
    return isa<Instruction>(value) && loop.isLoopInvariant(value);
  }
  void replaceInLoop(Value *from, Value *to);

  Loop &loop;
  ScalarEvolution &evolution;
  SmallSetVector<Instruction *, 16> pointers, summands;
  SmallVector<Family, 8> families;
};

} // namespace

void LoopFreezer::collect() {
  for (BasicBlock *block : loop.blocks())
    for (Instruction &inner : *block) {
      if (auto *address = dyn_cast<GetElementPtrInst>(&inner)) {
        if (Value *base = address->getPointerOperand(); isFromOutside(base))
          pointers.insert(cast<Instruction>(base));
      } else if (isa<BinaryOperator>(inner) &&
                 inner.getType()->isIntegerTy(64)) {
        for (Value *operand : inner.operands())
          if (isFromOutside(operand))
            summands.insert(cast<Instruction>(operand));
      }
    }
}

void LoopFreezer::addPointer(Instruction *pointer) {
  const SCEV *place = evolution.getSCEV(pointer);
  // One value as it is. And scratch on the stack must be seen to be that,
  // because loads of weights may pass stores to it.
  if (isa<SCEVUnknown>(place) || isa<AllocaInst>(getUnderlyingObject(pointer)))
    return;
  for (Family &family : families) {
    const SCEV *distance =
        evolution.getMinusSCEV(place, evolution.getSCEV(family.first));
    if (auto *bytes = dyn_cast<SCEVConstant>(distance)) {
      family.members.push_back({bytes->getAPInt().getSExtValue(), pointer});
      return;
    }
  }
  families.push_back({pointer, {{0, pointer}}});
}

void LoopFreezer::replaceInLoop(Value *from, Value *to) {
  from->replaceUsesWithIf(to, [&](Use &use) {
    auto *user = dyn_cast<Instruction>(use.getUser());
    return user && loop.contains(user);
  });
}

bool LoopFreezer::run() {
  BasicBlock *before = loop.getLoopPreheader();
  if (!before)
    return false;
  collect();
  for (Instruction *pointer : pointers)
    addPointer(pointer);
  bool changed = !families.empty();
  IRBuilder<> builder(before->getTerminator());
  for (Family &family : families) {
    // From the lowest on, because small offsets take fewer bytes of code.
    auto [lowest, base] = *llvm::min_element(family.members, less_first());
    Value *frozen = builder.CreateFreeze(base);
    for (auto [bytes, pointer] : family.members)
      replaceInLoop(
          pointer,
          bytes == lowest
              ? frozen
              : builder.CreatePtrAdd(frozen, builder.getInt64(bytes - lowest)));
  }
  for (Instruction *summand : summands) {
    if (isa<SCEVUnknown>(evolution.getSCEV(summand)))
      continue;
    replaceInLoop(summand, builder.CreateFreeze(summand));
    changed = true;
  }
  return changed;
}

PreservedAnalyses FreezeAddresses::run(Function &function,
                                       FunctionAnalysisManager &analyses) {
  LoopInfo &loops = analyses.getResult<LoopAnalysis>(function);
  auto &evolution = analyses.getResult<ScalarEvolutionAnalysis>(function);
  bool changed = false;
  for (Loop *loop : loops.getLoopsInPreorder())
    if (loop->isInnermost())
      changed |= LoopFreezer(*loop, evolution).run();
  if (!changed)
    return PreservedAnalyses::all();
  PreservedAnalyses preserved;
  preserved.preserveSet<CFGAnalyses>();
  return preserved;
}
