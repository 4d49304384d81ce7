// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How the attention of a team is cut up, and what follows for its speed.

#ifndef CRIA_COMPILER_GPU_ATTENTIONTILES_H
#define CRIA_COMPILER_GPU_ATTENTIONTILES_H

#include "compiler/gpu/TeamBuilder.h"
#include "compiler/target/GpuTarget.h"

#include <optional>

namespace cria::tiles {

constexpr int64_t kRows = 16;   // of a product
constexpr int64_t kColumns = 8; // of a product
constexpr int64_t kDepth = 16;  // columns of A, rows of B
constexpr int64_t kPiece = 8;   // elements of 16 bytes
constexpr int64_t kPieceWords = 4;

constexpr int64_t kMostHeadDim = 256;

/// Positions of a step. Part of what is computed, so one number for all that
/// attend in a model. K and V of a step have 24 KB or less, so that two or more
/// steps fit into shared memory.
constexpr int64_t stepPositions(int64_t headDim) {
  return headDim <= 96 ? 64 : headDim <= 192 ? 32 : 16;
}

/// Registers of a thread for a step, of 255: ptxas has the addresses of all
/// kernels to keep as well. With 176 it spilled up to 7 of a layer that has
/// little else. With all linears of a layer it spills 10 to 60 even so; two
/// parts would take half again as long, which that does not.
constexpr int64_t kMostRegisters = 160;

/// Words of Q that a thread may have in shared memory instead, 16 KB a block.
constexpr int64_t kMostKept = 16;

/// How a tile's rows and columns go to warps: `parts` warps have the same 16
/// rows, compute the same scores, and have a part of the output's columns each.
///
/// What it can reach, for head_dim 128 and a tile of 128 rows (parts 1), 64
/// positions on an H100 (132 multiprocessors; 4096 f16 flops a clock by wgmma,
/// about 2600 by mma.sync):
///   products     8 warps x 128 x 4096 flops = 4.2 Mflop: 1600 clocks
///   from shared  8 warps x (32 KB + 4 of Q) at 128 bytes a clock: 2300 clocks
///   instructions 8 warps x about 850 (32 exponentials of 15 a thread, 64
///                loads, 128 products) / 4: 1700 clocks
///   from L2      32 KB: 1400 clocks of its share of 5.5 TB/s at 1.7 GHz
/// The first three overlap at best: 4.2 Mflop in 2300 clocks are 45 % of the
/// peak; with two syncs and the causal diagonal 30 to 35 % is expected. The
/// limit is that 16 rows are few for what is read from shared memory, and 32 a
/// warp would need 128 accumulators twice. One block of 8 warps and 48 KB is on
/// a multiprocessor, as of all kernels here.
///
/// A token of 4 heads a kv head: for 64 positions 4 warps do 64 + 16 products
/// each and 500 instructions of exponentials, about 1200 clocks for 32 KB. 132
/// x 27 bytes a clock at 1.7 GHz would read 6 TB/s, twice what memory gives.
struct Split {
  int64_t parts;
  int64_t groups() const { return kGpuSlices / parts; }
  int64_t rows() const { return kRows * groups(); }
};

/// Accumulators of a chunk and of those before, queries, scores.
constexpr int64_t registers(int64_t headDim, Split split) {
  return headDim / split.parts + headDim / 4 + stepPositions(headDim) / 2;
}

/// Of tiles with more than 16 rows; none if a thread cannot hold it.
inline std::optional<Split> wideSplit(int64_t headDim) {
  for (int64_t parts : {1, 2, 4})
    if (headDim / kDepth % parts == 0 &&
        registers(headDim, {parts}) <= kMostRegisters + kMostKept)
      return Split{parts};
  return std::nullopt;
}

/// Of 16 rows or fewer, as of a single token: up to 5 warps, where there are
/// columns for them; more would all read the same keys.
inline Split narrowSplit(int64_t headDim) {
  for (int64_t parts : {4, 5, 3, 2})
    if (headDim / kDepth % parts == 0)
      return {parts};
  return {1};
}

/// Words of Q that a thread has in shared memory: of whole products.
constexpr int64_t keptQueries(int64_t headDim, Split split) {
  int64_t more = registers(headDim, split) - kMostRegisters;
  return more > 0 ? (more + 3) / 4 * 4 : 0;
}

/// Steps that have room in shared memory, all but one of them on their way: of
/// head_dim 128 and a token, 3 of 16 KB. An H100 wants 18 KB under way in a
/// multiprocessor (Little's law: 3.35 TB/s over 132, 700 ns); a wide tile has a
/// step of work for each, and 2 do.
constexpr int64_t stages(int64_t headDim, Split split) {
  int64_t words = kTeamPlaces - keptQueries(headDim, split) * kGpuBlockThreads;
  int64_t fit = words / (stepPositions(headDim) * headDim);
  return fit < 4 ? fit : 4;
}
static_assert(stages(96, {1}) >= 2 && stages(128, {1}) >= 2 &&
              stages(192, {2}) >= 2 && stages(256, {4}) >= 2);

} // namespace cria::tiles

#endif // CRIA_COMPILER_GPU_ATTENTIONTILES_H
