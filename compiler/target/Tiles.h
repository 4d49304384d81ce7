// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tile sizes and where they come from.

#ifndef CRIA_COMPILER_TARGET_TILES_H
#define CRIA_COMPILER_TARGET_TILES_H

#include <cstdint>

namespace cria {

/// Calls of up to this many tokens run the decode version, in which every
/// thread prepares the rows (norm, quantisation) for itself. A row of 2048
/// takes about 1 us, a barrier between threads 0.2 to 1 us, and a layer would
/// need four more: beyond a few rows sharing the work is cheaper.
constexpr int64_t kDecodeTokens = 4;

/// Calls of more than kDecodeTokens and up to this many run the version
/// `batch`, where a target has one (a GPU): the prefill version's tiles of 128
/// tokens would be less than half full, and too few for all multiprocessors.
constexpr int64_t kBatchTokens = 64;

/// Output rows in a tile: the unit in which a linear is split over threads.
/// One group of 16 rows is the least that a vector holds, and splits a
/// 576-row matrix evenly over up to 36 threads. Matrices with many rows take
/// several groups, so that the 30 or so cycles of starting a tile stay under
/// 1 % of its work (K = 576: 18 blocks x 8 products x 16 rows at decode).
///
/// A `paired` kernel goes over K with two groups of 16 rows at once.
constexpr int64_t linearTileRows(int64_t n, bool paired) {
  return n >= 8192 ? 64 : paired && n % 32 == 0 ? 32 : 16;
}

/// The same for a team of a GPU (gpu/TeamBuilder.h): 2048 rows are 128 tasks
/// for the 132 multiprocessors of an H100, so that fewer are better than many.
constexpr int64_t kTeamRows = 16;

/// Tokens whose f32 sums a linear kernel keeps in L1 while it goes over K with
/// the codes of a block in registers: 64 x 2 vectors are 8 KB, and unpacking a
/// block (20 instructions) is under 2 % of 64 x 22.
constexpr int64_t kTokenBlock = 64;

/// Tokens that one prefill task of a linear takes whose rows are a single
/// tile. The row kernels take one token a task: a row of 2048 is 1 us of work
/// against 10 ns of a loop's, and 8 sequences then keep 8 threads busy.
constexpr int64_t kTokenTile = 8;

/// Least tokens of a linear's prefill task whose tokens are split over threads
/// as well. Each task then reads all of the weights: 128 tokens are 256
/// operations for each weight, half a byte of 4 bits, which a core of 700 Gop/s
/// does while it reads at 1.4 GB/s. What it spares is a row's way from one core
/// to the other, 20 to 60 ns a line.
constexpr int64_t kLinearTaskTokens = 128;

/// Tokens that one prefill task of attention takes. A task reads its KV once
/// per few tokens; 16 tokens leave 32 x kv_heads tasks of 512 tokens to deal
/// out to the threads.
constexpr int64_t kAttentionTokenTile = 16;

/// Tasks that each thread should get of prefill attention: with 4, the slowest
/// has at most a quarter more to do than the others.
constexpr int64_t kAttentionTasks = 4;

/// Chunks of KV cache that a thread must be spared for decode attention to be
/// split over chunks. One chunk of a 64-wide head in f16 is 64 KB, about 4 us
/// of reading; the split costs a barrier (up to 1 us), and partials that are
/// written and read once: (64 + 32) * 4 bytes a head, 2 % of what the heads of
/// a group read.
constexpr int64_t kSplitGain = 1;

} // namespace cria

#endif // CRIA_COMPILER_TARGET_TILES_H
