// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the files that bind ops share: parameters of generators, and parts of
// memrefs.

#ifndef CRIA_COMPILER_HALIDE_HALIDEUTILS_H
#define CRIA_COMPILER_HALIDE_HALIDEUTILS_H

#include "compiler/halide/HalideCall.h"

#include "llvm/ADT/APFloat.h"

namespace cria {

/// The name that Halide knows a provider's autoscheduler by, or "".
llvm::StringRef autoscheduler(llvm::StringRef provider);

/// Adds to a kernel's parameters.
class HalideParams {
public:
  HalideParams(mlir::OpBuilder &b, HalideKernel &kernel)
      : b(b), kernel(kernel) {}

  void add(llvm::StringRef name, bool value) {
    put(name, b.getBoolAttr(value));
  }
  void add(llvm::StringRef name, int64_t value) {
    put(name, b.getI64IntegerAttr(value));
  }
  void add(llvm::StringRef name, int value) { add(name, int64_t(value)); }
  void add(llvm::StringRef name, llvm::StringRef value) {
    put(name, b.getStringAttr(value));
  }
  /// The bits of the f32, as a signed number.
  void add(llvm::StringRef name, const llvm::APFloat &value) {
    add(name, value.bitcastToAPInt().getSExtValue());
  }
  /// The name that Halide has for it.
  void add(llvm::StringRef name, mlir::Type element);

private:
  void put(llvm::StringRef name, mlir::Attribute value) {
    kernel.params.push_back(b.getNamedAttr(name, value));
  }

  mlir::OpBuilder &b;
  HalideKernel &kernel;
};

/// What of a dimension is passed: one index, and without the dimension; or
/// `size` elements from `first` on, all without a size.
struct SliceDim {
  mlir::Value index = {};
  mlir::OpFoldResult first = {}, size = {};
};

/// One entry of `dims` a dimension.
mlir::Value slice(mlir::ImplicitLocOpBuilder &b, mlir::Value memref,
                  llvm::ArrayRef<SliceDim> dims);

} // namespace cria

#endif // CRIA_COMPILER_HALIDE_HALIDEUTILS_H
