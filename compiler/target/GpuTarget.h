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

/// Bytes of weights that a block asks for to be in L2 before it waits for the
/// others: 132 x 64 KB are 8.4 MB of an H100's 50 MB, and 2.5 us of its memory,
/// about what a barrier and the small kernels between two linears take.
constexpr int64_t kGpuFetchBytes = 64 * 1024;

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

  /// Does not contract floating-point operations, and does not flush.
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createMachine() const;
};

} // namespace cria

#endif // CRIA_COMPILER_TARGET_GPUTARGET_H
