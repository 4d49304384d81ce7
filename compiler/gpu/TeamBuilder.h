// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Code of a team: a block of a GPU, whose groups of 16 threads work on one
// task together. What a GPU has beyond lanes (gpu/LaneBuilder.h) are calls of
// functions that gpu/Ptx.cpp defines, and a scalar is a thread's own, not one
// that a group shares:
//
//   cria_gpu_thread() -> i32           of the team, 0 to 255. It is read where
//                                      the call is: what is computed from it is
//                                      not moved out of a step's loops, to be
//                                      kept in registers for all kernels at
//                                      once
//   cria_gpu_put(i32 place, f32)       memory of the team: 32-bit places
//   cria_gpu_get(i32 place) -> f32
//   cria_gpu_team_sync()               all threads of the team, and memory
//   cria_gpu_phase()                   see beginPhase below
//   cria_gpu_fetch(i64 address)        asks for 128 bytes to be in L2
//   cria_gpu_copy(i32 place, i64 address)
//                                      begins to copy 16 bytes into 4 places
//   cria_gpu_copy_word(i32 place, i64 address)
//                                      the same of 4 bytes
//   cria_gpu_words1(i64 place) -> i32, cria_gpu_words2(...) -> 2 x i32,
//   cria_gpu_words4(...) -> 4 x i32    words of the team's memory; 64 bits, as
//                                      constants that are added to a place then
//                                      become a part of the instruction
//   cria_gpu_copy_commit()             the thread's copies since the last one
//                                      are a group
//   cria_gpu_copy_wait(i32 n)          until all but its last n groups (n is a
//                                      constant of at most kMostCopyGroups) are
//                                      done; a team_sync then shows them to the
//                                      other threads
//   cria_gpu_load_matrices(i32 place, i32 further) -> 4 x i32
//   cria_gpu_load_transposed(...)      see loadMatrices below
//   cria_gpu_shuffle_xor(i32, i32 bits) -> i32
//                                      what another lane of the group passes
//   cria_gpu_pack_f16(f32, f32) -> i32 the two rounded, the first lowest
//   cria_gpu_pack_bf16(f32, f32) -> i32
//   cria_gpu_mma_u8s8(...), _bf16, _f16
//                                      one product of a warp: see mma below
//   cria_gpu_mbarrier_init(i32 place, i32 arrivals), _inval(i32 place),
//   cria_gpu_mbarrier_arrive(i32 place), _wait(i32 place, i32 parity),
//   cria_gpu_mbarrier_copies(i32 place)
//                                      an mbarrier: see MBarrier below
//   cria_gpu_bulk_copy(i32 place, i64 address, i32 bytes, i32 mbarrier)
//                                      begins to copy, and arrives
//   cria_gpu_fence_async()             see fenceAsync below
//   cria_gpu_wgmma_fence_NxM(...), cria_gpu_wgmma_commit(),
//   cria_gpu_wgmma_bf16_nN(...), cria_gpu_wgmma_wait_N(...)
//                                      products of 4 warps: see wgmma below
//   cria_gpu_lanes(f32) -> vector<16xf32>
//   cria_gpu_scalar(vector<16xf32>) -> f32
//                                      the scalars of a group as a vector, and
//                                      back: cria-distribute-lanes undoes both

#ifndef CRIA_COMPILER_GPU_TEAMBUILDER_H
#define CRIA_COMPILER_GPU_TEAMBUILDER_H

#include "compiler/vector/KernelUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <array>

namespace cria {

/// On ops that a team works on, before and after they are tiled: how many
/// groups it has.
constexpr llvm::StringLiteral kTeamAttr = "cria.team";

/// On a team's linears of the prefill version: tokens and rows of a tile.
constexpr llvm::StringLiteral kGemmAttr = "cria.gemm";

/// On those of them whose products are wgmma's.
constexpr llvm::StringLiteral kWgmmaAttr = "cria.wgmma";

/// Places of 32 bits that a team has: what fits into 48 KB, which a block has
/// on every GPU without being asked for more.
constexpr int64_t kTeamPlaces = 48 * 1024 / 4;

/// The same where wgmma is: 208 of the 227 KB that a block of compute
/// capability 9.0 may ask for.
constexpr int64_t kWgmmaPlaces = 208 * 1024 / 4;

/// Groups of a thread's copies that may be under way while it waits for one.
constexpr int64_t kMostCopyGroups = 6;

class TeamBuilder {
public:
  /// Emits code at `b`, which says who the calling thread is.
  explicit TeamBuilder(mlir::ImplicitLocOpBuilder &b);
  /// The same again, where the builder is now: in the body of a loop that is
  /// not in the module yet.
  TeamBuilder again() const { return TeamBuilder(b, module); }

  mlir::Value thread;   // of the team
  mlir::Value lane;     // of the group, 0 to 15
  mlir::Value group;    // of the team
  mlir::Value warp;     // two groups, of the team
  mlir::Value quad;     // of the warp: 4 threads, 0 to 7
  mlir::Value quadLane; // 0 to 3

  /// `lanes` elements from `indices` on, which lie `lanes` at a time, as
  /// 32-bit words. They belong to the calling thread.
  llvm::SmallVector<mlir::Value>
  loadWords(mlir::Value memref, mlir::ValueRange indices, int64_t lanes);
  /// One word's 16-bit floats as f32, the lower first.
  std::pair<mlir::Value, mlir::Value> halves(mlir::Value word, mlir::Type type);

  /// Asks for the 128 bytes at an address to be in L2.
  void fetch(mlir::Value address);
  void put(mlir::Value place, mlir::Value value);
  mlir::Value get(mlir::Value place);
  void sync();
  /// Of the group only.
  void syncGroup();
  /// What was computed before is not kept in registers from here on, where it
  /// can be computed again (gpu/RecomputeInPhases.h). All of a warp must be
  /// there.
  void beginPhase();
  /// A value of 32 bits of the lane of the group whose number differs by
  /// `bits`; all of the warp must be there.
  mlir::Value shuffleXor(mlir::Value value, int64_t bits);
  /// The group's scalars as a vector, and back.
  mlir::Value lanes(mlir::Value scalar);
  mlir::Value scalar(mlir::Value lanes);

  /// Begins to copy 16 bytes from a global address that is a multiple of 16
  /// into the team's memory, place (of i32) a multiple of 4. Nobody may touch
  /// these places before copyWait and sync.
  void copy(mlir::Value place, mlir::Value address);
  /// The same of 4 bytes and one place.
  void copyWord(mlir::Value place, mlir::Value address);
  void copyCommit();
  void copyWait(int64_t pending);

  /// 1, 2 or 4 words from a place that is a multiple of as many.
  llvm::SmallVector<mlir::Value> words(mlir::Value place, int64_t count);

  /// Four matrices of 8 rows of 16 bytes of the team's memory, each row at a
  /// place (of i32, plus a constant; a multiple of 4): those of matrix i are
  /// the places of threads 8 i to 8 i + 7 of the warp. Of each matrix a thread
  /// gets word quadLane of row quad; `transposed`, where the rows are of 16-bit
  /// elements, those of column quad in rows 2 quadLane and the next (PTX ISA,
  /// ldmatrix).
  llvm::SmallVector<mlir::Value> loadMatrices(mlir::Value place,
                                              int64_t further, bool transposed);
  /// Two f32 as a word of f16 or bf16, the first lowest; to nearest even.
  mlir::Value pack(bool isBf16, mlir::Value low, mlir::Value high);

  /// The bits of pairs of f32 as words of bf16: three of each pair, whose sum
  /// loses nothing, the largest first, as every number has 24 bits.
  std::array<llvm::SmallVector<mlir::Value>, 3> split(mlir::ValueRange bits);

  enum class Product { u8s8, bf16, f16 };

  /// D = A B + C of a warp (PTX ISA, mma.m16n8k32 of .u8 and .s8, m16n8k16 of
  /// .bf16 and .f16). With q = quad, l = quadLane, and words of 4 bytes or 2
  /// bf16 along K: a thread has of A words l and l + 4 of rows q and q + 8, in
  /// the order (q, l), (q + 8, l), (q, l + 4), (q + 8, l + 4); of B words l and
  /// l + 4 of column q; of C and D columns 2 l and 2 l + 1 of row q, then of
  /// row q + 8.
  llvm::SmallVector<mlir::Value> mma(Product product, mlir::ValueRange a,
                                     mlir::ValueRange words,
                                     mlir::ValueRange c);

  // Of sm_90a, and of none before or after it.

  /// An mbarrier takes two places, the first one even. A phase ends when so
  /// many have arrived and the bytes that they expect are there; phases have
  /// the parities 0, 1, 0, ... `wait` is until one of that parity has ended,
  /// which is the last one or the next.
  void initBarrier(mlir::Value place, int64_t arrivals);
  void endBarrier(mlir::Value place);
  void arrive(mlir::Value place);
  /// Arrives when all copies that the thread has begun so far are done.
  void arriveAfterCopies(mlir::Value place);
  void wait(mlir::Value place, mlir::Value parity);
  /// Arrives, and begins to copy a multiple of 16 bytes, which the mbarrier
  /// expects; place a multiple of 4, address of 16.
  void bulkCopy(mlir::Value place, mlir::Value address, int64_t bytes,
                mlir::Value barrier);
  /// Bulk copies and wgmma see memory through the async proxy, all else through
  /// the generic one: between accesses of the two to the same places.
  void fenceAsync();

  /// D = A B + C of four warps, 4 i to 4 i + 3, begun only (PTX ISA, wgmma of
  /// m64nNk16). Of A warp w has rows 16 w to 16 w + 15, in the order of mma; of
  /// C and D too, columns 8 i to 8 i + 7 at 4 i. B is in the team's memory from
  /// `place` on: pieces of 16 bytes, 8 of K, side by side for 8 columns; the
  /// next 8 of K `leading` bytes further, the next 8 columns `stride`. What
  /// wgmma takes and returns must go through fence before the first one, and
  /// through wait after the last; nobody may touch it in between.
  llvm::SmallVector<mlir::Value> wgmma(mlir::ValueRange a, mlir::Value place,
                                       int64_t leading, int64_t stride,
                                       mlir::ValueRange c);
  /// Words first, then f32.
  llvm::SmallVector<mlir::Value> fenceWgmma(mlir::ValueRange words,
                                            mlir::ValueRange floats);
  void commitWgmma();
  llvm::SmallVector<mlir::Value> waitWgmma(mlir::ValueRange floats);

  /// Stores the calling thread's f32 side by side, from `indices` on, which are
  /// multiples of as many.
  void store(mlir::ValueRange elements, mlir::Value memref,
             mlir::ValueRange indices);

  mlir::Value i32(int64_t value);
  mlir::Value index(mlir::Value i32);
  mlir::Value word(mlir::Value index);

private:
  TeamBuilder(mlir::ImplicitLocOpBuilder &b, mlir::Operation *module);
  llvm::SmallVector<mlir::Value> call(llvm::StringRef name,
                                      mlir::TypeRange results,
                                      mlir::ValueRange operands);
  mlir::Value own(mlir::Operation *op);

  mlir::ImplicitLocOpBuilder &b;
  mlir::Operation *module;
};

} // namespace cria

#endif // CRIA_COMPILER_GPU_TEAMBUILDER_H
