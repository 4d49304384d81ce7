// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria-lower-plain: a model as linalg in f32, with its weights and logits as
// arguments of the entry function.

#include "compiler/Passes.h"
#include "compiler/plain/PlainPatterns.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/DialectConversion.h"
#include "llvm/ADT/StringMap.h"

namespace cria {
#define GEN_PASS_DEF_LOWERPLAIN
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace cria;
using namespace mlir;

void cria::populatePlainPatterns(RewritePatternSet &patterns) {
  populatePlainElementwisePatterns(patterns);
  populatePlainRowPatterns(patterns);
  populatePlainAttentionPatterns(patterns);
  populatePlainWeightPatterns(patterns);
}

/// Says on an argument which of the runtime's buffers it is, and on a result
/// which argument it is the next value of.
static constexpr StringLiteral kArgName = "cria.arg";

static void appendArgument(func::FuncOp func, Type type, const Twine &name) {
  Builder builder(func.getContext());
  auto attrs = builder.getDictionaryAttr(
      builder.getNamedAttr(kArgName, builder.getStringAttr(name)));
  // This fails for declarations only, which are no entries.
  (void)func.insertArgument(func.getNumArguments(), type, attrs, func.getLoc());
}

namespace {

/// Arguments of an entry function that hold a param's storage.
struct ParamArguments {
  unsigned first = 0;
  unsigned count = 0;
};

class LowerPlain : public cria::impl::LowerPlainBase<LowerPlain> {
  void runOnOperation() override;

  /// Adds the storage of every param to the arguments of `entry`.
  llvm::DenseMap<StringAttr, ParamArguments>
  appendParams(func::FuncOp entry, ArrayRef<ParamOp> params);
  /// Makes a load slices of the arguments.
  LogicalResult lowerLoad(LoadOp load, func::FuncOp entry,
                          const llvm::DenseMap<StringAttr, ParamArguments> &);
  /// Gives every result that is no argument's next value an argument to be
  /// written to.
  LogicalResult appendResults(func::FuncOp entry);
};

} // namespace

llvm::DenseMap<StringAttr, ParamArguments>
LowerPlain::appendParams(func::FuncOp entry, ArrayRef<ParamOp> params) {
  llvm::DenseMap<StringAttr, ParamArguments> result;
  for (ParamOp param : params) {
    ParamArguments &arguments = result[param.getSymNameAttr()];
    arguments.first = entry.getNumArguments();
    std::string name = ("weight:" + param.getSymName()).str();
    if (auto weight = dyn_cast<WeightType>(param.getType())) {
      for (const WeightType::Component &component : weight.getStorage()) {
        auto type = RankedTensorType::get(component.type.getShape(),
                                          component.type.getElementType());
        StringRef dot = component.suffix.empty() ? "" : ".";
        appendArgument(entry, type, name + dot + component.suffix);
      }
    } else {
      appendArgument(entry, param.getType(), name);
    }
    arguments.count = entry.getNumArguments() - arguments.first;
  }
  return result;
}

LogicalResult LowerPlain::lowerLoad(
    LoadOp load, func::FuncOp entry,
    const llvm::DenseMap<StringAttr, ParamArguments> &params) {
  auto found = params.find(load.getParamAttr().getAttr());
  if (found == params.end())
    return load.emitOpError() << "names @" << load.getParam()
                              << ", which is no cria.param of this module";
  OpBuilder builder(load);
  Location loc = load.getLoc();
  SmallVector<Value> storage;
  for (unsigned i = 0; i < found->second.count; ++i) {
    Value argument = entry.getArgument(found->second.first + i);
    if (!load.getLayer()) {
      storage.push_back(argument);
      continue;
    }
    auto type = cast<RankedTensorType>(argument.getType());
    auto layerType = RankedTensorType::get(type.getShape().drop_front(),
                                           type.getElementType());
    SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0));
    offsets.front() = load.getLayer();
    SmallVector<OpFoldResult> sizes =
        getAsIndexOpFoldResult(&getContext(), type.getShape());
    sizes.front() = builder.getIndexAttr(1);
    SmallVector<OpFoldResult> strides(type.getRank(), builder.getIndexAttr(1));
    storage.push_back(tensor::ExtractSliceOp::create(
        builder, loc, layerType, argument, offsets, sizes, strides));
  }
  Value value = storage.front();
  if (isa<WeightType>(load.getType()))
    value = UnrealizedConversionCastOp::create(builder, loc, load.getType(),
                                               storage)
                .getResult(0);
  load.replaceAllUsesWith(value);
  load.erase();
  return success();
}

LogicalResult LowerPlain::appendResults(func::FuncOp entry) {
  static constexpr StringLiteral kDefaultNames[] = {"logits", "keys", "values"};
  auto terminator =
      dyn_cast<func::ReturnOp>(entry.getBody().back().getTerminator());
  if (!entry.getBody().hasOneBlock() || !terminator)
    return entry.emitOpError("is an entry with control flow between blocks; "
                             "expected one block");
  // Bufferization may write to a result's argument and to no other.
  llvm::StringMap<unsigned> names;
  for (unsigned i = 0; i < entry.getNumArguments(); ++i) {
    if (isa<RankedTensorType>(entry.getArgument(i).getType()))
      entry.setArgAttr(i,
                       bufferization::BufferizationDialect::kWritableAttrName,
                       BoolAttr::get(&getContext(), false));
    if (auto name = entry.getArgAttrOfType<StringAttr>(i, kArgName))
      names[name.getValue()] = i;
  }

  OpBuilder builder(terminator);
  for (OpOperand &operand : terminator->getOpOperands()) {
    unsigned index = operand.getOperandNumber();
    auto type = dyn_cast<RankedTensorType>(operand.get().getType());
    if (!type)
      return entry.emitOpError()
             << "is an entry whose result " << index << " is a "
             << operand.get().getType() << "; expected a tensor";
    StringRef name;
    if (auto attr = entry.getResultAttrOfType<StringAttr>(index, kArgName))
      name = attr.getValue();
    else if (index < std::size(kDefaultNames))
      name = kDefaultNames[index];
    else
      return entry.emitOpError() << "is an entry whose result " << index
                                 << " has no cria.arg to name it";
    entry.setResultAttr(index, kArgName, builder.getStringAttr(name));
    auto [known, isNew] = names.try_emplace(name, entry.getNumArguments());
    if (!isNew) { // The next value of that argument: a cache.
      entry.removeArgAttr(
          known->second,
          StringAttr::get(
              &getContext(),
              bufferization::BufferizationDialect::kWritableAttrName));
      continue;
    }
    appendArgument(entry, type, name);
    Value written = bufferization::MaterializeInDestinationOp::create(
                        builder, terminator.getLoc(), type, operand.get(),
                        entry.getArguments().back())
                        ->getResult(0);
    operand.set(written);
  }
  return success();
}

void LowerPlain::runOnOperation() {
  ModuleOp module = getOperation();
  SmallVector<ParamOp> params(module.getOps<ParamOp>());
  for (auto func : module.getOps<func::FuncOp>()) {
    bool isEntry = func->hasAttr("cria.entry");
    SmallVector<LoadOp> loads;
    func.walk([&](LoadOp load) { loads.push_back(load); });
    if (!isEntry) {
      if (loads.empty())
        continue;
      loads.front().emitOpError()
          << "is in @" << func.getSymName()
          << ", which is no cria.entry; inline that function first";
      return signalPassFailure();
    }
    if (func.isDeclaration()) {
      func.emitOpError("is an entry without a body");
      return signalPassFailure();
    }
    auto arguments = appendParams(func, params);
    for (LoadOp load : loads)
      if (failed(lowerLoad(load, func, arguments)))
        return signalPassFailure();
    if (failed(appendResults(func)))
      return signalPassFailure();
  }

  ConversionTarget target(getContext());
  target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
  target.addIllegalDialect<CriaDialect>();
  target.addLegalOp<ParamOp>();
  RewritePatternSet patterns(&getContext());
  populatePlainPatterns(patterns);
  if (failed(applyPartialConversion(module, target, std::move(patterns))))
    return signalPassFailure();

  SmallVector<UnrealizedConversionCastOp> casts;
  module.walk([&](UnrealizedConversionCastOp cast) { casts.push_back(cast); });
  for (UnrealizedConversionCastOp cast : casts)
    if (cast->use_empty())
      cast.erase();
  // What they said is in the arguments' names and types now.
  for (ParamOp param : params)
    param.erase();
}
