// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/Layers.h"

#include "compiler/verify/ModuleCut.h"
#include "compiler/verify/Trial.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"

using namespace cria;
using namespace mlir;

static constexpr StringLiteral kNumber = "cria.verify_number";

namespace {
struct LayerLoop {
  scf::ForOp op;
  int64_t low, step, turns;
};
} // namespace

/// Its body loads weights, or calls a function that does.
static std::optional<LayerLoop> layerLoop(func::FuncOp entry) {
  for (auto loop : entry.getBody().front().getOps<scf::ForOp>()) {
    std::optional<int64_t> low = getConstantIntValue(loop.getLowerBound()),
                           high = getConstantIntValue(loop.getUpperBound()),
                           step = getConstantIntValue(loop.getStep());
    bool loads = false;
    loop.walk([&](LoadOp load) { loads |= load.getLayer() != nullptr; });
    loop.walk([&](func::CallOp) { loads = true; });
    if (loads && low && high && step && *step > 0)
      return LayerLoop{
          loop, *low, *step,
          std::max<int64_t>(0, (*high - *low + *step - 1) / *step)};
  }
  return std::nullopt;
}

static SmallVector<func::FuncOp> entriesOf(ModuleOp module) {
  SmallVector<func::FuncOp> entries;
  for (auto func : module.getOps<func::FuncOp>())
    if (func->hasAttr("cria.entry"))
      entries.push_back(func);
  return entries;
}

int64_t cria::countLayers(ModuleOp module) {
  std::optional<int64_t> count;
  for (func::FuncOp entry : entriesOf(module)) {
    std::optional<LayerLoop> loop = layerLoop(entry);
    if (!loop || (count && *count != loop->turns))
      return 0;
    count = loop->turns;
  }
  return count.value_or(0);
}

static Value constantBefore(scf::ForOp loop, int64_t value) {
  ImplicitLocOpBuilder b(loop.getLoc(), loop);
  return arith::ConstantIndexOp::create(b, value);
}

void cria::keepLayers(ModuleOp module, int64_t count) {
  for (func::FuncOp entry : entriesOf(module))
    if (std::optional<LayerLoop> loop = layerLoop(entry))
      loop->op.setUpperBound(
          constantBefore(loop->op, loop->low + count * loop->step));
}

int64_t cria::placeOfLayer(ModuleOp module, int64_t layer, int64_t stacked) {
  if (stacked == countLayers(module))
    return layer;
  // The importer looks kinds up in a table.
  DenseIntElementsAttr kinds;
  module.walk([&](scf::IndexSwitchOp choice) {
    auto extract = choice.getArg().getDefiningOp<tensor::ExtractOp>();
    if (extract)
      matchPattern(extract.getTensor(), m_Constant(&kinds));
  });
  if (!kinds || layer >= kinds.getNumElements())
    return -1;
  auto values = llvm::to_vector(kinds.getValues<int64_t>());
  return llvm::count(ArrayRef(values).take_front(layer), values[layer]);
}

void cria::numberOps(ModuleOp module) {
  Builder b(module.getContext());
  int64_t next = 0;
  for (func::FuncOp entry : entriesOf(module))
    entry.walk([&](Operation *op) {
      Operation *parent = op->getParentOp();
      if (isa<scf::IndexSwitchOp>(parent))
        parent = parent->getParentOp();
      if (parent == entry ||
          (isa<scf::ForOp>(parent) && parent->getParentOp() == entry))
        op->setAttr(kNumber, b.getI64IntegerAttr(next++));
    });
}

int64_t cria::numberOf(Operation *op) {
  auto attr = op->getAttrOfType<IntegerAttr>(kNumber);
  return attr ? attr.getInt() : -1;
}

void cria::removeNumbers(ModuleOp module) {
  module.walk([](Operation *op) { op->removeAttr(kNumber); });
}

/// Ends the loop before turn number `turn`, and puts a copy of its body for
/// that one behind it.
static void peel(scf::ForOp loop, int64_t turn, const LayerLoop &bounds) {
  IRRewriter b(loop->getContext());
  b.setInsertionPointAfter(loop);
  auto last = cast<scf::ForOp>(b.clone(*loop));
  b.replaceAllUsesWith(loop.getResults(), last.getResults());
  last.getInitArgsMutable().assign(loop.getResults());
  int64_t at = bounds.low + turn * bounds.step;
  Value middle = constantBefore(loop, at);
  loop.setUpperBound(middle);
  last.setLowerBound(middle);
  last.setUpperBound(constantBefore(loop, at + bounds.step));
  (void)last.promoteIfSingleIteration(b); // found in the entry or not at all
}

llvm::Expected<Logits> cria::captureRows(ModuleOp module, int64_t number,
                                         int64_t layer,
                                         llvm::ArrayRef<int32_t> tokens,
                                         const Target &target,
                                         const SafetensorsFile &weights) {
  OwningOpRef<ModuleOp> cut = module.clone();
  Operation *wanted = nullptr;
  cut->walk([&](Operation *op) {
    if (numberOf(op) == number)
      wanted = op;
  });
  auto missing = [] {
    return llvm::createStringError("the value is in no place to be read");
  };
  if (!wanted)
    return missing();
  auto entry = wanted->getParentOfType<func::FuncOp>();
  for (func::FuncOp other : entriesOf(*cut))
    if (other != entry)
      other.erase();
  entry->removeAttr("cria.version");
  if (auto loop = wanted->getParentOfType<scf::ForOp>()) {
    std::optional<LayerLoop> bounds = layerLoop(entry);
    if (!bounds || bounds->op != loop || layer < 0 || layer >= bounds->turns)
      return missing();
    peel(loop, layer, *bounds);
    resolveSwitches(*cut);
  }
  unsigned at = 0;
  for (Operation &op : entry.getBody().front()) {
    if (numberOf(&op) == number)
      break;
    ++at;
  }
  if (at == entry.getBody().front().getOperations().size() ||
      !endWith(*cut, at, 0))
    return missing();
  keepCaches(*cut);
  removeNumbers(*cut);
  llvm::Expected<std::unique_ptr<Program>> program =
      Program::reference(std::move(cut), target);
  if (!program)
    return program.takeError();
  return (*program)->run(makeSmallTrial(tokens), weights);
}
