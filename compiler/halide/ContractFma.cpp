// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/halide/ContractFma.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/PatternMatch.h"

using namespace cria;
using namespace llvm::PatternMatch;

namespace {

struct Factors {
  llvm::Value *a = nullptr, *b = nullptr;
  explicit operator bool() const { return a; }
};

/// The factors of a product, or of one whose lanes were moved.
Factors factorsOf(llvm::Value *value, llvm::IRBuilder<> &builder) {
  Factors found;
  llvm::Value *first, *second;
  llvm::ArrayRef<int> mask;
  if (match(value, m_FMul(m_Value(found.a), m_Value(found.b))))
    return found;
  if (!match(value, m_Shuffle(m_Value(first), m_Value(second), m_Mask(mask))))
    return {};
  Factors left = factorsOf(first, builder), right;
  if (!left)
    return {};
  if (match(second, m_Undef()))
    right = {llvm::PoisonValue::get(first->getType()),
             llvm::PoisonValue::get(first->getType())};
  else if (!(right = factorsOf(second, builder)))
    return {};
  return {builder.CreateShuffleVector(left.a, right.a, mask),
          builder.CreateShuffleVector(left.b, right.b, mask)};
}

/// Whether some lane of `value` is a product.
bool hasProduct(llvm::Value *value) {
  auto *op = llvm::dyn_cast<llvm::Instruction>(value);
  if (!op)
    return false;
  switch (op->getOpcode()) {
  case llvm::Instruction::FMul:
    return true;
  case llvm::Instruction::ShuffleVector:
  case llvm::Instruction::InsertElement:
    return hasProduct(op->getOperand(0)) || hasProduct(op->getOperand(1));
  case llvm::Instruction::ExtractElement:
    return hasProduct(op->getOperand(0));
  default:
    return false;
  }
}

} // namespace

bool cria::contractFma(llvm::Function &function) {
  llvm::SmallVector<llvm::Instruction *> sums;
  for (llvm::Instruction &each : llvm::instructions(function))
    if (each.getOpcode() == llvm::Instruction::FAdd ||
        each.getOpcode() == llvm::Instruction::FSub)
      sums.push_back(&each);
  for (llvm::Instruction *sum : sums) {
    bool isSub = sum->getOpcode() == llvm::Instruction::FSub;
    llvm::Value *first = sum->getOperand(0), *second = sum->getOperand(1);
    if (!hasProduct(first) && !hasProduct(second))
      continue;
    llvm::IRBuilder<> builder(sum);
    llvm::Value *rest = second;
    Factors factors = factorsOf(first, builder);
    if (factors) {
      if (isSub)
        rest = builder.CreateFNeg(rest);
    } else if (hasProduct(first) || !(factors = factorsOf(second, builder))) {
      return false;
    } else {
      rest = first;
      if (isSub)
        factors.a = builder.CreateFNeg(factors.a);
    }
    llvm::Value *fused = builder.CreateIntrinsic(
        llvm::Intrinsic::fma, sum->getType(), {factors.a, factors.b, rest});
    fused->takeName(sum);
    sum->replaceAllUsesWith(fused);
    sum->eraseFromParent();
  }
  return true;
}
