// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The entries of a module's `cria.profile`: what cria-profile writes and
// cria-emit-entry turns into the cria_profile_op table of abi.h, which says
// what the numbers mean.

#ifndef CRIA_COMPILER_LLVM_PROFILETABLE_H
#define CRIA_COMPILER_LLVM_PROFILETABLE_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"

#include <string>
#include <vector>

namespace cria {

constexpr llvm::StringLiteral kProfileAttr = "cria.profile";

struct ProfileOp {
  std::string name, kind, version;
  int64_t weightBytes = 0, cacheBytes = 0, rowBytes = 0, rowFlops = 0,
          positionFlops = 0, window = 0;
  /// Rows are outputs, not tokens.
  bool outputs = false;
  /// The operations are products of bytes.
  bool int8 = false;

  /// Zeros and "" are left out.
  mlir::DictionaryAttr toAttribute(mlir::MLIRContext *context) const;
};

/// The module's table, empty without one; errors are reported on the module.
mlir::FailureOr<std::vector<ProfileOp>> readProfile(mlir::ModuleOp module);

} // namespace cria

#endif // CRIA_COMPILER_LLVM_PROFILETABLE_H
