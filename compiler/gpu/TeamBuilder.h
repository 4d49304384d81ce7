// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Code of a team: a block of a GPU, whose groups of 16 threads work on one
// task together. What a GPU has beyond lanes (gpu/LaneBuilder.h) are calls of
// functions that gpu/Ptx.cpp defines, and a scalar is a thread's own, not one
// that a group shares:
//
//   cria_gpu_thread() -> i32           of the team, 0 to 255. It is read where
//   the
//                                      call is: what is computed from it is not
//                                      moved out of a step's loops, to be kept
//                                      in registers for all kernels at once
//   cria_gpu_put(i32 place, f32)       memory of the team: 32-bit places
//   cria_gpu_get(i32 place) -> f32
//   cria_gpu_team_sync()               all threads of the team, and memory
//   cria_gpu_fetch(i64 address)        asks for 128 bytes to be in L2
//   cria_gpu_mma_u8s8(...), _bf16      one product of a warp: see Mma below
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

namespace cria {

/// On ops that a team works on, before and after they are tiled: how many
/// groups it has.
constexpr llvm::StringLiteral kTeamAttr = "cria.team";

/// Places of 32 bits that a team has: what fits into 48 KB, which a block has
/// on every GPU without being asked for more.
constexpr int64_t kTeamPlaces = 48 * 1024 / 4;

class TeamBuilder {
public:
  /// Emits code at `b`, which says who the calling thread is.
  explicit TeamBuilder(mlir::ImplicitLocOpBuilder &b);

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
  /// The group's scalars as a vector, and back.
  mlir::Value lanes(mlir::Value scalar);
  mlir::Value scalar(mlir::Value lanes);

  /// D = A B + C of a warp (PTX ISA, mma.m16n8k32 of .u8 and .s8, m16n8k16 of
  /// .bf16). With q = quad, l = quadLane, and words of 4 bytes or 2 bf16 along
  /// K: a thread has of A words l and l + 4 of rows q and q + 8, in the order
  /// (q, l), (q + 8, l), (q, l + 4), (q + 8, l + 4); of B words l and l + 4 of
  /// column q; of C and D columns 2 l and 2 l + 1 of row q, then of row q + 8.
  llvm::SmallVector<mlir::Value> mma(bool isBf16, mlir::ValueRange a,
                                     mlir::ValueRange words,
                                     mlir::ValueRange c);

  mlir::Value i32(int64_t value);
  mlir::Value index(mlir::Value i32);
  mlir::Value word(mlir::Value index);

private:
  llvm::SmallVector<mlir::Value> call(llvm::StringRef name,
                                      mlir::TypeRange results,
                                      mlir::ValueRange operands);
  mlir::Value own(mlir::Operation *op);

  mlir::ImplicitLocOpBuilder &b;
  mlir::Operation *module;
};

} // namespace cria

#endif // CRIA_COMPILER_GPU_TEAMBUILDER_H
