// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The stage line of the optimised CPU code. Only Pipeline.cpp orders passes.

#ifndef CRIA_COMPILER_PIPELINE_H
#define CRIA_COMPILER_PIPELINE_H

#include "compiler/target/Target.h"

#include "mlir/Pass/PassManager.h"

#include <optional>
#include <string>
#include <vector>

namespace cria {

/// The stages, in order. One word each: `--stop-after`, dump files, folders.
enum class Stage { import, dialect, fuse, tile, bufferize, vector, llvm, emit };

llvm::StringRef stageName(Stage stage);
std::optional<Stage> stageByName(llvm::StringRef name);

struct PipelineOptions {
  /// Types that weights are converted to (QuantizeSpec.h); empty: none are.
  std::string quantize;
  /// Element type of the KV cache: f32, f16 or bf16.
  std::string kvType = "f16";
  /// Tokens that a linear kernel holds in registers, and accumulators of an
  /// attention kernel: speed only. 12 and 24 fill the 32 registers of AVX-512;
  /// AVX2 has half as many of half the size (6 and 6).
  int64_t linearTokens = 12;
  int64_t attentionAccumulators = 24;
  /// Row vectors that share a pass over K, and tokens that go over two row
  /// vectors' codes of a block (16 registers) at once: see VectorizeLinear.
  /// 6 tokens are 12 chains of vpdpbusd, which takes 5 cycles at 2 a cycle;
  /// they fill the registers.
  int64_t linearPanels = 2;
  int64_t linearFloatPanels = 2;
  int64_t linearBlockTokens = 6;
  /// Bytes of weights that are prefetched ahead of their use.
  int64_t linearPrefetch = 4096;
  /// The same into L2, in the version decode: see VectorizeLinear.
  int64_t linearStream = 16384;
  /// Of a block's tokens, 16 at a time are a cria.dot_tile.
  bool linearDotTile = false;
  /// Codes of 8 bits are multiplied as words of 16.
  bool linearWords = false;
  /// Of any target of the artifact: linears with bf16 weights may take rows in
  /// bf16. Of this target: they do, and 16 tokens at a time are a
  /// cria.dot_tile2.
  bool roundActivations = false;
  /// Queries, keys and values of prompts come from rows of 8 bits; of this
  /// target: attention of prompts computes in f16.
  bool narrowCodes = false;
  bool attentionHalves = false;
  bool linearDot2 = false;
  bool linearDotTile2 = false;
  /// Rows are prepared once for all threads in the decode version too.
  bool sharedRows = false;
  /// Of a GPU: the threads of a block work on some ops together.
  bool teams = false;
  /// Of a GPU: it has products of four warps.
  bool wgmma = false;
  /// Fusions to leave out, by the names of kFusions: to see what one is worth.
  std::vector<std::string> disabledFusions;
  /// A record of `cria tune` (tile/Schedule.h), or empty.
  std::string tuningRecord;
  /// Why no op can have a kernel of Halide, whatever its schedule says; and of
  /// its linears what linearTokens, linearPanels and linearBlockTokens are of
  /// cria's.
  std::string halideRefusal;
  int64_t halideTokens = 4;
  int64_t halidePanels = 2;
  int64_t halideBlockTokens = 6;
  /// Time stamps around kernels, for cria_session_profile.
  bool profile = false;

  /// Takes what depends on the processor from `own`, one of the artifact's.
  void fit(const Target &own, llvm::ArrayRef<Target> targets);
};

/// The fusions that a model can do without: what one of them would have fused
/// runs as an op of its own, by its plain lowering where it has no kernel.
/// (Rope and residual are not among them: apart, they would need a copy of
/// rows that the arena has no place for.)
constexpr llvm::StringLiteral kFusions[] = {"glu", "elementwise", "kv-append"};

/// Appends the passes of one stage between import and llvm (exclusive) to
/// `pm`, which runs on a module, and at its end the check of what may be
/// alive after it.
void buildStage(mlir::OpPassManager &pm, Stage stage,
                const PipelineOptions &options);

} // namespace cria

#endif // CRIA_COMPILER_PIPELINE_H
