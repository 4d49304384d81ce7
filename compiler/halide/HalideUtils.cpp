// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/halide/HalideUtils.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace cria;

llvm::StringRef cria::autoscheduler(llvm::StringRef provider) {
  return llvm::StringSwitch<llvm::StringRef>(provider)
      .Case("halide-adams2019", "Adams2019")
      .Case("halide-mullapudi2016", "Mullapudi2016")
      .Default("");
}

void HalideParams::add(llvm::StringRef name, Type element) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << (element.isBF16()      ? "bfloat"
             : element.isInteger() ? "int"
                                   : "float")
         << element.getIntOrFloatBitWidth();
  add(name, llvm::StringRef(text));
}

Value cria::slice(ImplicitLocOpBuilder &b, Value memref,
                  ArrayRef<SliceDim> dims) {
  SmallVector<OpFoldResult> sizes =
      memref::getMixedSizes(b, b.getLoc(), memref);
  SmallVector<OpFoldResult> offsets(dims.size(), b.getIndexAttr(0));
  SmallVector<OpFoldResult> strides(dims.size(), b.getIndexAttr(1));
  SmallVector<int64_t> kept;
  for (auto [i, dim] : llvm::enumerate(dims)) {
    if (dim.index) {
      offsets[i] = getAsOpFoldResult(dim.index);
      sizes[i] = b.getIndexAttr(1);
      continue;
    }
    if (dim.size) {
      offsets[i] = dim.first;
      sizes[i] = dim.size;
    }
    std::optional<int64_t> known = getConstantIntValue(sizes[i]);
    kept.push_back(known.value_or(ShapedType::kDynamic));
  }
  auto type = cast<MemRefType>(memref::SubViewOp::inferRankReducedResultType(
      kept, cast<MemRefType>(memref.getType()), offsets, sizes, strides));
  return memref::SubViewOp::create(b, type, memref, offsets, sizes, strides);
}
