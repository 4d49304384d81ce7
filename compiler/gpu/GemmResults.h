// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From the sums that the warps of a team have of a tile to the op's results.

#ifndef CRIA_COMPILER_GPU_GEMMRESULTS_H
#define CRIA_COMPILER_GPU_GEMMRESULTS_H

#include "compiler/gpu/TeamBuilder.h"
#include "compiler/vector/LinearOperands.h"

#include <functional>

namespace cria {

/// Every warp has some tokens by 16 rows some times over, of each weight. A
/// tile of 8 tokens at a time goes to the warp's part of the team's memory, in
/// which a token's rows are side by side, from where the two groups of the warp
/// take 16 rows of a token through the epilogue.
struct GemmResults {
  static constexpr int64_t kTokens = 8;

  int64_t tiles;          // of each warp
  int64_t groups;         // of 16 rows of each weight, of each warp
  int64_t stride;         // places from one token to the next
  int64_t warpPlaces;     // of a warp's part
  mlir::Value firstToken; // of the warp
  /// Emits the puts of a tile to the part that begins there.
  std::function<void(int64_t tile, mlir::Value own)> put;
  /// Where a group's rows of the first token are in the part.
  std::function<mlir::Value(int64_t weight, mlir::Value group)> place;
  /// The group's number in its weight.
  std::function<mlir::Value(mlir::Value group)> rowGroup;

  /// Where all of the team are, and its memory is free, before and after.
  void emit(mlir::ImplicitLocOpBuilder &b, FusedLinearOp op,
            const LinearRows &rows, TeamBuilder &team) const;
};

} // namespace cria

#endif // CRIA_COMPILER_GPU_GEMMRESULTS_H
