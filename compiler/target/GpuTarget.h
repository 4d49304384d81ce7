// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The GPUs that code can be made for, beside the CPUs of Target.h.
//
//   if (const cria::GpuTarget *gpu = cria::GpuTarget::find("sm_90")) ...

#ifndef CRIA_COMPILER_TARGET_GPUTARGET_H
#define CRIA_COMPILER_TARGET_GPUTARGET_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>

namespace llvm {
class TargetMachine;
} // namespace llvm

namespace cria {

/// Threads of a block. A multiprocessor has 65536 registers, so that with one
/// block each of 256 threads may have all 255 that an instruction can name.
constexpr int64_t kGpuBlockThreads = 256;

/// Groups of 16 threads, those of a block, that work on one task together.
constexpr int64_t kGpuTeam = kGpuBlockThreads / 16;

/// Slices of K, one for each warp of a block, whose f32 sums a linear adds up
/// in their order: part of what is computed, not of how fast, so that it is
/// one number for all shapes, batches and GPUs.
constexpr int64_t kGpuSlices = kGpuBlockThreads / 32;

/// Words of 32 bits of weights that a thread asks for before it needs the
/// first. 256 threads x 32 x 4 bytes are 32 KB on the way; an H100 (3.35 TB/s
/// over 132 multiprocessors, 700 ns away) wants 18 KB (Little's law). They are
/// registers, of which a thread has 255.
constexpr int64_t kGpuLoadsAhead = 32;
/// The same of the version for batches, where 20 KB are on the way: steps of
/// two weights in q4 with mins spill with more.
constexpr int64_t kGpuBatchLoadsAhead = 20;

/// Bytes of weights that a block asks for to be in L2 before it waits for the
/// others: 132 x 64 KB are 8.4 MB of an H100's 50 MB, and 2.5 us of its memory,
/// about what a barrier and the small kernels between two linears take.
constexpr int64_t kGpuFetchBytes = 64 * 1024;

/// Tokens and rows of a block's tile of a linear in the prefill version
/// (gpu/VectorizeTeamGemm.cpp), of weights in codes, in bf16, and in bf16 with
/// rows that are rounded to it; and steps of K in the block's memory at once.
///
/// Registers: a warp has 64 rows, and 32 tokens (of codes 24) of the tile: 16
/// (12) products of 4 f32 a thread, once for the slice of K at hand and once
/// for the sum of those before it: 128 (96) of 255. Rounded rows have no
/// slices, and twice the tokens a warp.
///
/// What a step of K takes. M is a product of a warp, of which a multiprocessor
/// of an H100 starts one a cycle at the peak of its tensor cores, and of an
/// A100 one in two; both issue 4 instructions of warps a cycle, an A100 only 2
/// on f32; L2 gives some 24 and 33 bytes a cycle and multiprocessor, shared
/// memory 128. Instructions are those of the PTX, for all 8 warps:
///
/// - q8: M 96, instructions 1770 (1150), 8.1 KB from L2, 22 KB of shared
///   memory; H100 442 cycles by issue, 22 %; A100 576 by f32, 33 %.
/// - q4 with mins: M 96, 2350 (1540), 6.3 KB, 16 KB; H100 588 by issue, 16 %;
///   A100 768 by f32, 25 %.
/// - bf16: M 384, 1760 (260), 12 KB, 32 KB; H100 512 by L2, 75 %, a third of it
///   use; A100 768 by M, 33 % use.
/// - bf16, rounded: M 256, 660, 12 KB, 32 KB; H100 512 by L2, 50 %; A100 512 by
///   M, 100 %.
///
/// Per cents of codes are of the peak of 8 bits, which is twice that of bf16.
/// mma.sync itself is known to reach some 60 % of an H100's peak, which is
/// wgmma's, and 90 of an A100's; two warps on each scheduler with 12 to 32 sums
/// that do not wait for each other cover its 16 to 33 cycles. So an A100 can
/// pass 60 % of the dense bf16 peak with rounded rows; an H100 cannot without
/// wgmma, and tiles that several blocks read together.
///
/// The first three steps are 1 to 2 us of waiting, of the 30 and more that a
/// tile takes at K = 4096. 2048 tokens and 4096 rows are 512 tiles of 128, 3.9
/// for each of the 132 multiprocessors of an H100.
constexpr int64_t kGpuGemmCodeTokens = 96;
constexpr int64_t kGpuGemmTokens = 128;
constexpr int64_t kGpuGemmRows = 128;
constexpr int64_t kGpuGemmRoundedRows = 256;
constexpr int64_t kGpuGemmStages = 4;

/// Products of 16 columns of a stage of gpu/VectorizeTeamWgmma.cpp, and stages.
///
/// A tile of 128 tokens and 256 rows takes 16 products m64n128k16 for 64
/// columns, 1024 cycles of an H100's tensor cores at their peak, and 128
/// accumulators a thread. Beside them, for 64 columns:
///
/// - bf16: 48 KB from L2, 2048 cycles; shared memory 48 KB in, 32 KB to
///   registers, 64 KB to the tensor cores, 1150 cycles: 50 %, by L2.
/// - q8: 33 KB from L2, 1400 cycles, 73 %.
/// - q4 with mins: 26 KB from L2, 1110 cycles, 92 %; shared memory 850.
///
/// Codes to bf16 take 6 instructions of PTX an element, 790 cycles by issue,
/// and the rest of two stages 240, while the other warpgroup's products run: if
/// a warp alone issues 0.6 a cycle, q4 and q8 end at 60 to 75 %. Per cents are
/// of the dense bf16 peak (mma.sync above: 32 for q4, 44 for q8). For bf16,
/// weights that two blocks of a cluster read together are left: 32 KB, 75 %.
///
/// Three stages under way are 39 KB (of codes: a block each) to 144, above the
/// 28 that 24 bytes a cycle and 700 ns ask for.
constexpr int64_t kGpuWgmmaUnits = 4;
constexpr int64_t kGpuWgmmaStages = 4;

/// Of PipelineOptions: tokens of a linear, and sums of attention, each a
/// register of a lane. More of either makes ptxas spill in some models: a
/// kernel has the addresses and sizes of a whole step to keep as well.
constexpr int64_t kGpuLinearTokens = 4;
constexpr int64_t kGpuAttentionAccumulators = 4;

struct GpuTarget {
  llvm::StringLiteral name;
  /// 10 times the major and once the minor number of the compute capability:
  /// the least that runs the code.
  int64_t compute;
  /// Code with an `a` runs on that very compute capability only.
  bool isExact;
  /// The oldest version of PTX that has the target: what an older driver can
  /// still read. (80, not 78, for sm_90, because LLVM asks for it.)
  llvm::StringLiteral features;

  /// Null for a name that is none of a GPU.
  static const GpuTarget *find(llvm::StringRef name);
  /// All of them.
  static llvm::ArrayRef<GpuTarget> list();

  /// Whether it has wgmma, which came with 9.0 and went with it.
  bool hasWgmma() const { return compute == 90 && isExact; }

  /// Does not contract floating-point operations, and does not flush.
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createMachine() const;
};

} // namespace cria

#endif // CRIA_COMPILER_TARGET_GPUTARGET_H
