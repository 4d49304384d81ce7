// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialect/CriaDialect.h"

#include "dialect/CriaOps.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Transforms/InliningUtils.h"

#include "dialect/CriaDialect.cpp.inc"
#include "dialect/CriaEnums.cpp.inc"

using namespace cria;

namespace {
/// Layer functions are inlined into their loop; every op may move there.
struct CriaInlinerInterface : mlir::DialectInlinerInterface {
  using DialectInlinerInterface::DialectInlinerInterface;
  bool isLegalToInline(mlir::Operation *, mlir::Region *, bool,
                       mlir::IRMapping &) const final {
    return true;
  }
  bool isLegalToInline(mlir::Region *, mlir::Region *, bool,
                       mlir::IRMapping &) const final {
    return true;
  }
};
} // namespace

void CriaDialect::initialize() {
  addInterfaces<CriaInlinerInterface>();
  registerAttributes();
  registerTypes();
  addOperations<
#define GET_OP_LIST
#include "dialect/CriaOps.cpp.inc"
      >();
}

void cria::registerCriaDialect(mlir::DialectRegistry &registry) {
  registry.insert<CriaDialect>();
}
