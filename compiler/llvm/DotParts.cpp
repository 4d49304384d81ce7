// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/llvm/DotParts.h"

#include <numeric>

using namespace mlir;
using namespace cria;

Value cria::intSplat(ImplicitLocOpBuilder &b, VectorType type, int64_t value) {
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(
             type, b.getIntegerAttr(type.getElementType(), value)));
}

Value cria::callIntrinsic(ImplicitLocOpBuilder &b, StringRef name, Type result,
                          ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, result, b.getStringAttr(name),
                                       operands)
      ->getResult(0);
}

Value cria::partOf(ImplicitLocOpBuilder &b, Value vector, int64_t index,
                   int64_t parts) {
  int64_t size = cast<VectorType>(vector.getType()).getNumElements() / parts;
  SmallVector<int64_t> lanes(size);
  std::iota(lanes.begin(), lanes.end(), index * size);
  return vector::ShuffleOp::create(b, vector, vector, lanes);
}

Value cria::halfOf(ImplicitLocOpBuilder &b, Value vector, int64_t index) {
  return partOf(b, vector, index, 2);
}

Value cria::quarterOf(ImplicitLocOpBuilder &b, Value vector, int64_t index) {
  return partOf(b, vector, index, 4);
}

Value cria::join(ImplicitLocOpBuilder &b, Value low, Value high) {
  int64_t size = cast<VectorType>(low.getType()).getNumElements();
  SmallVector<int64_t> all(2 * size);
  std::iota(all.begin(), all.end(), 0);
  return vector::ShuffleOp::create(b, low, high, all);
}

Value cria::inHalves(ImplicitLocOpBuilder &b,
                     llvm::function_ref<Value(int64_t)> body) {
  Value low = body(0), high = body(1);
  return join(b, low, high);
}

Value cria::inQuarters(ImplicitLocOpBuilder &b,
                       llvm::function_ref<Value(int64_t)> body) {
  return inHalves(b, [&](int64_t half) {
    Value low = body(2 * half), high = body(2 * half + 1);
    return join(b, low, high);
  });
}
