// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Pipeline.h"
#include "compiler/Passes.h"
#include "compiler/halide/HalideKernels.h"
#include "compiler/plain/PlainPipeline.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace cria;

static constexpr llvm::StringLiteral kStageNames[] = {
    "import", "dialect", "fuse", "tile", "bufferize", "vector", "llvm", "emit"};

llvm::StringRef cria::stageName(Stage stage) {
  return kStageNames[static_cast<int>(stage)];
}

std::optional<Stage> cria::stageByName(llvm::StringRef name) {
  for (auto [i, stage] : llvm::enumerate(kStageNames))
    if (name == stage)
      return static_cast<Stage>(i);
  return std::nullopt;
}

void PipelineOptions::fit(const Target &own, llvm::ArrayRef<Target> targets) {
  linearTokens = own.linearTokens;
  attentionAccumulators = own.attentionAccumulators;
  linearDotTile = !own.tileIsa.empty();
  linearWords = own.hasWordProducts;
  roundActivations = llvm::any_of(
      targets, [](const Target &each) { return !each.dot2Isa.empty(); });
  linearDot2 = !own.dot2Isa.empty();
  linearDotTile2 = own.hasPairTiles;
  attentionHalves = own.hasHalves;
  halideRefusal = cria::halideRefusal(own);
  linearPanels = own.linearPanels;
  linearFloatPanels = own.linearFloatPanels;
  linearBlockTokens = own.linearBlockTokens;
  if (own.isa != "avx512vnni") {
    halidePanels = 1;
    halideBlockTokens = 0;
    halideTokens = std::min<int64_t>(linearTokens, 4);
  }
}

// StageContract.cpp checks what the comments say is alive after each stage.

/// Alive after: cria model ops, params and loads; func, scf, arith, tensor.
/// Weights in the layouts of kernels.
static void buildDialect(OpPassManager &pm, const PipelineOptions &options) {
  // First, because a head of its own is another reader for what follows, and
  // layouts depend on types.
  if (!options.quantize.empty()) {
    QuantizeOptions quantize;
    quantize.spec = options.quantize;
    pm.addPass(createQuantize(quantize));
  }
  pm.addPass(createCanonicalizeRope());
  pm.addPass(createAssignLayouts());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// Alive after: cria kernel ops on tensors, loads; linalg for what has no
/// kernel; func, scf, arith, math, vector, tensor. No model op outside of a
/// prologue.
static void buildFuse(OpPassManager &pm, const PipelineOptions &options) {
  SetKvTypeOptions kv;
  kv.type = options.kvType;
  pm.addPass(createSetKvType(kv));
  // One function from here on, because a barrier must see both sides of a
  // dependence, and a layer body exists once anyway, in its loop.
  pm.addPass(createInlinerPass());
  pm.addPass(createSymbolDCEPass());
  pm.addPass(createCSEPass());
  OpPassManager &func = pm.nest<func::FuncOp>();
  func.addPass(createFuseLinear());
  auto wanted = [&](llvm::StringRef fusion) {
    return !llvm::is_contained(options.disabledFusions, fusion);
  };
  if (wanted("glu"))
    func.addPass(createFuseGlu());
  // After the GLU, because it wants bare accumulators; before the residual,
  // because that one closes the epilogue.
  if (wanted("elementwise"))
    func.addPass(createFuseElementwise());
  // After those, because queries and keys are clipped before they rotate.
  func.addPass(createFuseRope());
  func.addPass(createFuseResidual());
  // After rope, because keys rotate before they are stored.
  // A quantised cache has no other way in.
  if (wanted("kv-append") || options.kvType == "i8" || options.kvType == "i16")
    func.addPass(createFuseKvAppend());
  func.addPass(createDestinationStyle());
  func.addPass(createLowerRemaining());
  func.addPass(createCanonicalizerPass());
  func.addPass(createCSEPass());
}

/// Alive after: as after fuse, kernel ops inside scf.forall, affine. Rows ops
/// may be outside: in a decode step every thread runs them for itself.
static void buildTile(OpPassManager &pm, const PipelineOptions &options) {
  SpecializeOptions versions;
  versions.batch = options.teams;
  pm.addPass(createSpecialize(versions));
  OpPassManager &func = pm.nest<func::FuncOp>();
  // Of the prefill version, and while rows still feed linears directly.
  if (options.roundActivations)
    func.addPass(createRoundActivations({/*codes=*/options.wgmma}));
  if (options.narrowCodes) {
    func.addPass(createNarrowCodes());
    func.addPass(createCSEPass()); // other linears may have such rows already
  }
  // Before tiling, because it decides over what attention is tiled.
  func.addPass(createSplitAttention());
  // Between the two: chunks are what teams take, and their tiles are others.
  if (options.teams) {
    FormTeamsOptions teams;
    teams.wgmma = options.wgmma;
    func.addPass(createFormTeams(teams));
  }
  if (!options.tuningRecord.empty()) {
    ApplySchedulesOptions schedules;
    schedules.file = options.tuningRecord;
    pm.addPass(createApplySchedules(schedules));
  }
  OpPassManager &tiled = pm.nest<func::FuncOp>();
  TileOptions tile;
  tile.sharedRows = options.sharedRows;
  tiled.addPass(createTile(tile));
  tiled.addPass(createCanonicalizerPass());
  tiled.addPass(createCSEPass());
}

/// Alive after: cria kernel ops on memrefs, loads, thread ops and barriers;
/// memref, scf, arith, affine, linalg on memrefs. No tensor, no allocation.
/// With a profile, time stamps.
static void buildBufferize(OpPassManager &pm, const PipelineOptions &options) {
  pm.addPass(createBufferize());
  // CSE first, because it turns a tile's copy onto itself into one that the
  // canonicalizer sees to be so.
  pm.addPass(createCSEPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  // Before the arena, because barriers bound when memory may be used again.
  pm.nest<func::FuncOp>().addPass(createSpmd());
  // Between the two: it needs the barriers and the buffers' own shapes.
  if (options.profile)
    pm.addPass(createProfile());
  pm.addPass(createArena());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// Alive after: vector, memref, scf, arith, math, affine, func, and of cria
/// dot2, dot2_i16, dot4, dot_tile, dot_tile2, the thread ops and barriers.
/// Calls are of Halide's kernels.
static void buildVector(OpPassManager &pm, const PipelineOptions &options) {
  // First, because cria's kernels take what is left.
  BindHalideOptions halide;
  halide.refusal = options.halideRefusal;
  halide.tokens = options.halideTokens;
  halide.panels = options.halidePanels;
  halide.blockTokens = options.halideBlockTokens;
  halide.prefetch = options.linearPrefetch;
  pm.addPass(createBindHalide(halide));
  pm.addPass(createVectorizeRopeTable());
  pm.addPass(createVectorizeEmbed());
  VectorizeRowsOptions rows;
  rows.dot2 = options.linearDot2;
  pm.addPass(createVectorizeRows(rows));
  pm.addPass(createVectorizeHeadRows());
  // Before the rest, which are the same op.
  if (options.teams) {
    pm.addPass(createVectorizeTeamWgmma());
    pm.addPass(createVectorizeTeamGemm());
    pm.addPass(createVectorizeTeamLinear());
    pm.addPass(createVectorizeTeamAttention());
  }
  VectorizeLinearOptions linear;
  linear.tokens = options.linearTokens;
  linear.panels = options.linearPanels;
  linear.floatPanels = options.linearFloatPanels;
  linear.blockTokens = options.linearBlockTokens;
  linear.prefetch = options.linearPrefetch;
  linear.stream = options.linearStream;
  linear.dotTile = options.linearDotTile;
  linear.words = options.linearWords;
  linear.dot2 = options.linearDot2;
  linear.dotTile2 = options.linearDotTile2;
  pm.addPass(createVectorizeLinear(linear));
  VectorizeAttentionOptions attention;
  attention.accumulators = options.attentionAccumulators;
  attention.halves = options.attentionHalves;
  pm.addPass(createVectorizeAttention(attention));
  pm.addPass(createVectorizeAttentionMerge());
  pm.nest<func::FuncOp>().addPass(createConvertLinalgToLoopsPass());
  // After the kernels, because they ask for weight data.
  pm.addPass(createResolveWeights());
  pm.addPass(createExpandMath());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.nest<func::FuncOp>().addPass(createLoopInvariantCodeMotionPass());
}

void cria::buildStage(OpPassManager &pm, Stage stage,
                      const PipelineOptions &options) {
  switch (stage) {
  case Stage::dialect:
    buildDialect(pm, options);
    break;
  case Stage::fuse:
    buildFuse(pm, options);
    break;
  case Stage::tile:
    buildTile(pm, options);
    break;
  case Stage::bufferize:
    buildBufferize(pm, options);
    break;
  case Stage::vector:
    buildVector(pm, options);
    break;
  case Stage::import:
  case Stage::llvm:
  case Stage::emit:
    return; // not made of module passes alone; see import/, llvm/ and emit/
  }
  CheckStageOptions check;
  check.stage = stageName(stage).str();
  pm.addPass(createCheckStage(check));
}

void cria::registerPipelines() {
  registerPlainPipeline();
  for (Stage stage : {Stage::dialect, Stage::fuse, Stage::tile,
                      Stage::bufferize, Stage::vector})
    PassPipelineRegistration<>(("cria-stage-" + stageName(stage)).str(),
                               ("the stage " + stageName(stage)).str(),
                               [stage](OpPassManager &pm) {
                                 buildStage(pm, stage, PipelineOptions());
                               });
}
