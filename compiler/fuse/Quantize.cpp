// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/QuantizeSpec.h"
#include "compiler/import/PackWeights.h"
#include "dialect/CriaOps.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/StringSwitch.h"

namespace cria {
#define GEN_PASS_DEF_QUANTIZE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

/// What importers and authors of descriptions call the matrices of a layer.
static llvm::StringRef roleOf(llvm::StringRef name) {
  // Params of the second kind of layer end with _1, and so on.
  llvm::StringRef base = name.rtrim("0123456789");
  if (base.size() == name.size() || !base.consume_back("_"))
    base = name;
  return llvm::StringSwitch<llvm::StringRef>(base)
      .Cases({"token_embd", "embed_tokens", "embedding", "embed"}, "embed")
      .Cases({"output", "lm_head", "head"}, "head")
      .Cases({"attn_q", "q_proj", "wq", "q"}, "q")
      .Cases({"attn_k", "k_proj", "wk", "k"}, "k")
      .Cases({"attn_v", "v_proj", "wv", "v"}, "v")
      .Cases({"attn_output", "attn_o", "o_proj", "wo", "o"}, "o")
      .Cases({"ffn_gate", "gate_proj", "gate"}, "gate")
      .Cases({"ffn_up", "up_proj", "up"}, "up")
      .Cases({"ffn_down", "down_proj", "down"}, "down")
      .Default("");
}

static llvm::StringRef groupOf(llvm::StringRef role) {
  return llvm::StringSwitch<llvm::StringRef>(role)
      .Cases({"q", "k", "v", "o"}, "attn")
      .Cases({"gate", "up", "down"}, "ffn")
      .Default("");
}

namespace {
/// A weight and what reads it.
struct Matrix {
  ParamOp param;
  SmallVector<LoadOp> loads;
  bool embeds = false, multiplies = false;
};

struct Quantize : cria::impl::QuantizeBase<Quantize> {
  using QuantizeBase::QuantizeBase;

  void runOnOperation() override {
    if (failed(quantize(getOperation())))
      signalPassFailure();
  }

private:
  using Item = QuantizeSpec::Item;

  LogicalResult quantize(ModuleOp module);
  const Item *itemOf(llvm::StringRef param, llvm::StringRef role);
  void untie(Matrix &matrix, llvm::MapVector<StringRef, Matrix> &matrices);
  void setType(Matrix &matrix, const QuantizeType &type);
  LogicalResult checkKeys(ModuleOp module,
                          const llvm::MapVector<StringRef, Matrix> &matrices);

  QuantizeSpec parsed;
  llvm::StringSet<> used;
};
} // namespace

/// The most specific item for a param; marks the keys that apply to it.
const QuantizeSpec::Item *Quantize::itemOf(llvm::StringRef param,
                                           llvm::StringRef role) {
  const Item *found = nullptr;
  for (llvm::StringRef key : {param, role, groupOf(role)}) {
    const Item *item = key.empty() ? nullptr : parsed.find(key);
    if (!item)
      continue;
    used.insert(key);
    if (!found)
      found = item;
  }
  return found;
}

/// The linears of a tied matrix get a param of their own, from the same
/// tensor.
void Quantize::untie(Matrix &matrix,
                     llvm::MapVector<StringRef, Matrix> &matrices) {
  SymbolTable symbols(getOperation());
  OpBuilder b(matrix.param);
  b.setInsertionPointAfter(matrix.param);
  auto copy = cast<ParamOp>(b.clone(*matrix.param));
  copy.setSymName("output");
  // Renames it where there is an @output already.
  symbols.insert(copy);
  Matrix head{copy, {}, false, true};
  for (LoadOp load : matrix.loads) {
    auto reads = [](OpOperand &use) { return isa<LinearOp>(use.getOwner()); };
    if (llvm::none_of(load.getResult().getUses(), reads))
      continue;
    b.setInsertionPointAfter(load);
    auto other = cast<LoadOp>(b.clone(*load));
    other.setParam(copy.getSymName());
    load.getResult().replaceUsesWithIf(other.getResult(), reads);
    head.loads.push_back(other);
  }
  matrix.multiplies = false;
  matrices.insert({copy.getSymName(), head});
}

void Quantize::setType(Matrix &matrix, const QuantizeType &type) {
  auto old = cast<WeightType>(matrix.param.getType());
  if (!type.element)
    return;
  // q4 also names what a file has as q4_0, which q4 could only repeat.
  if (*type.element == old.getElement() &&
      (type.word != "q4_0" || old.getOffset() == type.offset))
    return;
  auto changed = WeightType::get(&getContext(), old.getShape(), *type.element,
                                 WeightType::blockOf(*type.element),
                                 type.offset, WeightLayout::rows);
  matrix.param->setAttr(sourceTypeAttr, TypeAttr::get(old));
  matrix.param.setType(changed);
  for (LoadOp load : matrix.loads)
    load.getResult().setType(changed.isStacked() ? changed.getLayerType()
                                                 : changed);
}

LogicalResult
Quantize::checkKeys(ModuleOp module,
                    const llvm::MapVector<StringRef, Matrix> &matrices) {
  for (const Item &item : parsed.items) {
    if (item.key.empty() || used.contains(item.key))
      continue;
    return mlir::emitError(module.getLoc())
           << "quantize: '" << item.key << "=" << item.type.word
           << "': the model has no such weight; accepted: " << quantizeRoles
           << ", and of this model's parameters: "
           << llvm::join(llvm::make_first_range(matrices), ", ");
  }
  return success();
}

LogicalResult Quantize::quantize(ModuleOp module) {
  llvm::Expected<QuantizeSpec> result = QuantizeSpec::parse(spec);
  if (!result)
    return mlir::emitError(module.getLoc())
           << "quantize: " << llvm::toString(result.takeError());
  parsed = std::move(*result);

  llvm::MapVector<StringRef, Matrix> matrices;
  for (auto param : module.getOps<ParamOp>())
    if (isa<WeightType>(param.getType()))
      matrices.insert({param.getSymName(), {param, {}, false, false}});
  module.walk([&](LoadOp load) {
    auto found = matrices.find(load.getParam());
    if (found == matrices.end())
      return;
    found->second.loads.push_back(load);
    for (Operation *user : load.getResult().getUsers()) {
      found->second.embeds |= isa<EmbedOp>(user);
      found->second.multiplies |= isa<LinearOp>(user);
    }
  });

  // Names first, or a key could be taken for wrong after a param is split.
  struct Choice {
    StringRef param;
    const Item *item;
  };
  SmallVector<Choice> choices;
  const Item *all = parsed.find("");
  for (StringRef name : llvm::to_vector(llvm::make_first_range(matrices))) {
    Matrix matrix = matrices[name];
    StringRef role = matrix.embeds ? StringRef("embed") : roleOf(name);
    const Item *item = itemOf(name, role);
    if (matrix.embeds && matrix.multiplies) {
      const Item *head = itemOf("", "head");
      if (item && head && item->type.word != head->type.word) {
        untie(matrix, matrices);
        matrices[name] = matrix;
        choices.push_back({matrices.back().first, head});
      } else if (!item) {
        item = head;
      }
    }
    choices.push_back({name, item ? item : all});
  }
  if (failed(checkKeys(module, matrices)))
    return failure();
  for (const Choice &choice : choices)
    if (choice.item)
      setType(matrices[choice.param], choice.item->type);
  module->setAttr("cria.quantize", StringAttr::get(&getContext(), spec));
  return success();
}
