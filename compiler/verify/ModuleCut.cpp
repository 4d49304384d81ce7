// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/ModuleCut.h"

#include "dialect/CriaOps.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Iterators.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace cria;
using namespace mlir;

void cria::removeDeadOps(ModuleOp module) {
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

func::FuncOp cria::entryOf(ModuleOp module) {
  func::FuncOp entry;
  for (auto func : module.getOps<func::FuncOp>())
    if (func->hasAttr("cria.entry"))
      entry = entry ? func::FuncOp() : func; // the only one
  return entry;
}

std::optional<int64_t> cria::knownIndex(Value value) {
  if (std::optional<int64_t> constant = getConstantIntValue(value))
    return constant;
  auto extract = value.getDefiningOp<tensor::ExtractOp>();
  DenseIntElementsAttr table;
  if (!extract || extract.getIndices().size() != 1 ||
      !matchPattern(extract.getTensor(), m_Constant(&table)))
    return std::nullopt;
  std::optional<int64_t> at = knownIndex(extract.getIndices()[0]);
  if (!at || *at < 0 || *at >= table.getNumElements())
    return std::nullopt;
  return table.getValues<APInt>()[*at].getSExtValue();
}

void cria::resolveSwitches(ModuleOp module) {
  SmallVector<scf::IndexSwitchOp> switches;
  module.walk([&](scf::IndexSwitchOp op) { switches.push_back(op); });
  IRRewriter rewriter(module.getContext());
  for (scf::IndexSwitchOp op : switches) {
    std::optional<int64_t> value = knownIndex(op.getArg());
    if (!value)
      continue;
    Region *chosen = &op.getDefaultRegion();
    for (auto [number, region] :
         llvm::zip_equal(op.getCases(), op.getCaseRegions()))
      if (number == *value)
        chosen = &region;
    Operation *yield = chosen->front().getTerminator();
    rewriter.inlineBlockBefore(&chosen->front(), op);
    rewriter.replaceOp(op, yield->getOperands());
    rewriter.eraseOp(yield);
  }
}

bool cria::isRows(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 2 && tensor.isDynamicDim(0) &&
         !tensor.isDynamicDim(1) && tensor.getElementType().isF32();
}

bool cria::endWith(ModuleOp module, unsigned at, unsigned index) {
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

bool cria::keepCaches(ModuleOp module) {
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
