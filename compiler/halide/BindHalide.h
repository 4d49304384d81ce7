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

/// A linear's register tile and bytes that are prefetched ahead. Of an
/// autoscheduled kernel: all that a call computes.
struct HalideCut {
  int64_t tokens, panels, blockTokens, prefetch;
};

struct HalideBinding {
  /// What makes the schedule: one of kProviders other than cria.
  llvm::StringRef provider;
  bool decode;
  /// Of linears by hand outside of the decode version.
  HalideCut prefill;
  /// A buffer of the function for its linears' sums, once one needs it.
  mlir::Value &sums;
};

/// Why no generator of `provider` covers `op`, on tensors or memrefs, or "".
std::string linearRefusal(FusedLinearOp op, llvm::StringRef provider);
/// What a schedule without further knobs gets.
HalideCut usualCut(llvm::StringRef provider, bool decode,
                   const HalideCut &prefill);
std::string bindLinear(mlir::ImplicitLocOpBuilder &b, FusedLinearOp op,
                       const HalideBinding &binding);

/// The same of the other kinds of op. Only rows have autoscheduled kernels.
std::string rowsRefusal(RowsOp op, llvm::StringRef provider);
std::string bindRows(mlir::ImplicitLocOpBuilder &b, RowsOp op,
                     const HalideBinding &binding);
std::string headRowsRefusal(HeadRowsOp op, llvm::StringRef provider);
std::string bindHeadRows(mlir::ImplicitLocOpBuilder &b, HeadRowsOp op,
                         const HalideBinding &binding);
std::string attentionRefusal(FusedAttentionOp op, llvm::StringRef provider);
std::string attentionRefusal(AttentionPartialsOp op, llvm::StringRef provider);
std::string attentionRefusal(AttentionMergeOp op, llvm::StringRef provider);
std::string bindAttention(mlir::ImplicitLocOpBuilder &b, FusedAttentionOp op,
                          const HalideBinding &binding);
std::string bindAttention(mlir::ImplicitLocOpBuilder &b, AttentionPartialsOp op,
                          const HalideBinding &binding);
std::string bindAttention(mlir::ImplicitLocOpBuilder &b, AttentionMergeOp op,
                          const HalideBinding &binding);

} // namespace cria

#endif // CRIA_COMPILER_HALIDE_BINDHALIDE_H
