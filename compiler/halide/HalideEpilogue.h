// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A linear's epilogue as the text that generators/LinearEpilogue.cpp reads:
//
//   ^bb0(%gate: vector<16xf32>, %up: vector<16xf32>):       operands = "ss"
//     %0 = cria.activation silu %gate : vector<16xf32>      program = "silu0_
//     %1 = arith.mulf %0, %up : vector<16xf32>                mul2x1"
//     cria.yield %1 : vector<16xf32>

#ifndef CRIA_COMPILER_HALIDE_HALIDEEPILOGUE_H
#define CRIA_COMPILER_HALIDE_HALIDEEPILOGUE_H

#include "dialect/CriaOps.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <optional>
#include <string>

namespace cria {

struct HalideEpilogue {
  std::string operands, program;
  /// The memrefs that the operands behind the sums are parts of.
  llvm::SmallVector<mlir::Value> sources;
};

/// Nothing where Halide has no kernel for it, and cria's own code follows the
/// sums: rotation, a KV cache, clipping.
std::optional<HalideEpilogue> describeEpilogue(FusedLinearOp op);

/// What an epilogue is called for.
struct HalideEpilogueTile {
  mlir::Value token, tokens; // the first one, and how many
  mlir::Value group, groups; // of 16 rows
  mlir::Value lanes;         // of each group
  bool ragged;               // whether these are fewer than 16
};

/// The call for the tile, whose sums are groups x tokens x 16 each.
void emitHalideEpilogue(mlir::ImplicitLocOpBuilder &b, FusedLinearOp op,
                        const HalideEpilogue &epilogue,
                        const HalideEpilogueTile &tile, mlir::ValueRange sums);

} // namespace cria

#endif // CRIA_COMPILER_HALIDE_HALIDEEPILOGUE_H
