// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The processors that code can be made for.
//
//   llvm::Expected<cria::Target> target = cria::Target::get("native");
//   if (!target) return target.takeError(); // lists the accepted names
//
// A CPU name stands for its level of x86-64 (v1 to v4), or for Armv8.0-A with
// NEON, and those of its further features that the kernels use. Nothing else of
// it may appear in the code: `cpuFeatures` is all that a runtime checks before
// it runs the code, so two CPUs of equal features must be able to run each
// other's code. The name still selects the scheduling model.

#ifndef CRIA_COMPILER_TARGET_TARGET_H
#define CRIA_COMPILER_TARGET_TARGET_H

#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>
#include <string>

namespace llvm {
class TargetMachine;
} // namespace llvm

namespace cria {

struct Target {
  /// "x86-64-v4", "aarch64+dotprod" or the CPU's name; never "native".
  std::string name;
  std::string triple;
  /// LLVM's "target-cpu": the level, such as "x86-64-v3"; for AArch64,
  /// "generic".
  std::string cpu;
  /// LLVM's "tune-cpu".
  std::string tuneCpu;
  /// LLVM's "target-features" beyond the level: "+avx512vnni,+gfni" or "".
  std::string features;
  /// CRIA_CPU_* of runtime/include/cria/abi.h.
  uint64_t cpuFeatures = 0;
  /// What `cria-lower-dot4` takes: sse2, avx2, avxvnni or avx512vnni; for
  /// AArch64 neon, dotprod or i8mm.
  std::string isa;
  /// What `cria-lower-dot2-i16` takes.
  std::string dot2I16Isa;
  /// Multiplies words of 16 bits in fewer steps than bytes, unless one of two
  /// factors has 4 or 6 bits.
  bool hasWordProducts = false;
  /// What `cria-lower-dot-tile` takes, or "" where linears do without tiles.
  std::string tileIsa;
  /// What `cria-lower-dot2` takes, or "" where linears do without products of
  /// bf16 pairs; and whether these are in tiles as well.
  std::string dot2Isa;
  bool hasPairTiles = false;
  /// Has instructions that convert between f16 and f32.
  bool hasF16Conversion = false;
  /// Has FMA instructions.
  bool hasFma = false;
  /// LLVM's "prefer-vector-width" in bits.
  unsigned vectorBits = 128;
  /// Of PipelineOptions: tokens that a linear kernel holds in registers, row
  /// vectors that share a pass over K, of codes and of floats, and tokens that
  /// go over a block's codes at once; and vectors of 16 floats that an
  /// attention kernel holds. Speed only.
  int64_t linearTokens = 6;
  int64_t linearPanels = 1;
  int64_t linearFloatPanels = 1;
  int64_t linearBlockTokens = 0;
  int64_t attentionAccumulators = 6;
  /// Attention of prompts computes in f16.
  bool hasHalves = false;
  /// The CPU's features for useFast: CRIA_CPU_AVX512BF16, CRIA_CPU_AMX_BF16 and
  /// CRIA_CPU_AVX512FP16.
  uint64_t fastFeatures = 0;

  /// For `--numerics fast`: takes up the CPU's arithmetic in f16, and its
  /// products of bf16 where they are faster than f32 FMA; these flush
  /// subnormals and round in an order of their own. Adds to `features` and
  /// `cpuFeatures`.
  void useFast();
  /// Has products of bf16 made in the form `isa` of `cria-lower-dot2`, however
  /// fast that is, and in tiles where there are any: for tests.
  void forceBf16(llvm::StringRef isa);

  /// "native"; "x86-64" to "x86-64-v4"; "aarch64", with "+dotprod" and "+i8mm"
  /// behind it or not; or a CPU of either kind that LLVM knows.
  /// The error lists the accepted names.
  static llvm::Expected<Target> get(llvm::StringRef name);

  /// Position-independent code, no contraction of floating-point operations.
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createMachine() const;
};

} // namespace cria

#endif // CRIA_COMPILER_TARGET_TARGET_H
