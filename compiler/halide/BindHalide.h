// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The kinds of op that Halide's kernels can take, one file each. A function
// binds one op, in its memref form: it emits, before the op, calls of kernels
// that do its work. Where no generator covers the op it emits nothing and
// returns why: "its K is odd". On success it returns "", and the pass erases
// the op.

#ifndef CRIA_COMPILER_HALIDE_BINDHALIDE_H
#define CRIA_COMPILER_HALIDE_BINDHALIDE_H

#include "compiler/tile/Schedule.h"
#include "dialect/CriaOps.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace cria {

struct HalideBinding {
  /// What makes the schedule: one of kProviders other than cria.
  llvm::StringRef provider;
  bool decode;
  /// A buffer of the function for its linears' sums, once one needs it.
  mlir::Value &sums;
};

/// Why no generator covers `op`, on tensors or memrefs, or "".
std::string linearRefusal(FusedLinearOp op);
/// The linear's register tile unless its schedule says otherwise.
struct HalideCut {
  int64_t tokens, panels, blockTokens;
};
HalideCut usualCut(FusedLinearOp op, bool decode);
std::string bindLinear(mlir::ImplicitLocOpBuilder &b, FusedLinearOp op,
                       const HalideBinding &binding);

} // namespace cria

#endif // CRIA_COMPILER_HALIDE_BINDHALIDE_H
