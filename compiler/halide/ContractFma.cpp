// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/halide/ContractFma.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/PatternMatch.h"

using namespace cria;
using namespace llvm::PatternMatch;

void cria::contractFma(llvm::Function &function) {
  llvm::SmallVector<llvm::Instruction *> sums;
  for (llvm::Instruction &each : llvm::instructions(function))
    if (each.getOpcode() == llvm::Instruction::FAdd ||
        each.getOpcode() == llvm::Instruction::FSub)
      sums.push_back(&each);
  for (llvm::Instruction *sum : sums) {
    bool isSub = sum->getOpcode() == llvm::Instruction::FSub;
    llvm::Value *first = sum->getOperand(0), *second = sum->getOperand(1);
    llvm::Value *a, *b;
    llvm::IRBuilder<> builder(sum);
    llvm::Value *rest;
    if (match(first, m_FMul(m_Value(a), m_Value(b)))) {
      rest = isSub ? builder.CreateFNeg(second) : second;
    } else if (match(second, m_FMul(m_Value(a), m_Value(b)))) {
      rest = first;
      if (isSub)
        a = builder.CreateFNeg(a);
    } else {
      continue;
    }
    llvm::Value *fused = builder.CreateIntrinsic(llvm::Intrinsic::fma,
                                                 sum->getType(), {a, b, rest});
    fused->takeName(sum);
    sum->replaceAllUsesWith(fused);
    sum->eraseFromParent();
  }
}
