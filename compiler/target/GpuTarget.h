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
