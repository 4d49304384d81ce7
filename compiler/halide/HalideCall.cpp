// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/halide/HalideCall.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace cria;

/// "halide_linear_codes_blocks18_elementq4": letters, digits and _.
static std::string symbolOf(const HalideKernel &kernel, DictionaryAttr params) {
  std::string name = ("halide_" + kernel.generator).str();
  llvm::raw_string_ostream stream(name);
  for (NamedAttribute param : params) {
    stream << "_" << param.getName().getValue();
    if (auto text = dyn_cast<StringAttr>(param.getValue()))
      stream << text.getValue();
    else if (auto flag = dyn_cast<BoolAttr>(param.getValue()))
      stream << int(flag.getValue());
    else
      stream << cast<IntegerAttr>(param.getValue()).getInt();
  }
  llvm::replace(name, '.', '_');
  return name;
}

/// The type without all that differs between calls.
static MemRefType anyShape(MemRefType type) {
  SmallVector<int64_t> any(type.getRank(), ShapedType::kDynamic);
  auto layout =
      StridedLayoutAttr::get(type.getContext(), ShapedType::kDynamic, any);
  return MemRefType::get(any, type.getElementType(), layout);
}

void cria::emitHalideCall(ImplicitLocOpBuilder &b, const HalideKernel &kernel,
                          ValueRange operands) {
  SmallVector<Value> passed;
  for (Value operand : operands) {
    if (auto type = dyn_cast<MemRefType>(operand.getType()))
      operand = b.createOrFold<memref::CastOp>(anyShape(type), operand);
    passed.push_back(operand);
  }
  auto params = DictionaryAttr::get(b.getContext(), kernel.params);
  std::string name = symbolOf(kernel, params);
  auto module =
      b.getInsertionBlock()->getParentOp()->getParentOfType<ModuleOp>();
  if (!SymbolTable::lookupSymbolIn(module, name)) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(module.getBody());
    auto type = b.getFunctionType(TypeRange(ValueRange(passed)), TypeRange());
    auto func = func::FuncOp::create(b, name, type);
    func.setPrivate();
    NamedAttrList made;
    made.set("generator", b.getStringAttr(kernel.generator));
    made.set("params", params);
    if (!kernel.bytes.empty())
      made.set("bytes", b.getI64ArrayAttr(kernel.bytes));
    if (!kernel.contract)
      made.set("contract", b.getBoolAttr(false));
    func->setAttr(kHalideAttr, made.getDictionary(b.getContext()));
  }
  func::CallOp::create(b, name, TypeRange(), passed);
}

bool cria::isHalideKernel(Operation *op) {
  if (auto call = dyn_cast<func::CallOp>(op))
    op = SymbolTable::lookupNearestSymbolFrom(call, call.getCalleeAttr());
  return op && op->hasAttr(kHalideAttr);
}
