// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/gpu/TeamAttention.h"
#include "compiler/gpu/TeamBuilder.h"
#include "compiler/target/GpuTarget.h"
#include "compiler/target/Tiles.h"
#include "compiler/tile/Schedule.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"

namespace cria {
#define GEN_PASS_DEF_TILE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// How one op is split over threads.
struct TilePlan {
  SmallVector<int64_t> sizes; // 0: not split; kDynamic: attentionTokens()
  /// Work of one tile, in arbitrary but common units, so that neighbouring
  /// loops without a barrier between them can share one split.
  int64_t cost = 1;
  /// Dealt out round-robin: for loops whose iterations differ in cost.
  bool cyclic = false;
};

/// Rows of a tile of `linear`, `wanted` or fewer. Those of a rotation or a
/// cache are whole heads or lie within one, and none is ragged: the op knows no
/// other. Heads that 16 does not divide straddle groups of lanes, and stay
/// together.
int64_t tileRows(FusedLinearOp linear, int64_t wanted, bool paired) {
  constexpr int64_t kLanes = CriaDialect::kLanes;
  int64_t n = linear.getN();
  int64_t tile = std::min(wanted, llvm::divideCeilSigned(n, kLanes) * kLanes);
  int64_t headDim = 0;
  if (linear.getOut() != OutKind::rows)
    headDim = cast<RankedTensorType>(linear.getInit().getType()).getDimSize(4);
  for (auto [i, extra] : llvm::enumerate(linear.getExtras()))
    if (linear.getExtraKind(i) == ExtraKind::rope)
      headDim = cast<RankedTensorType>(extra.getType()).getDimSize(2);
  auto fits = [&](int64_t rows) {
    return headDim == 0 ||
           (n % rows == 0 && (rows % headDim == 0 || headDim % rows == 0));
  };
  while (tile >= kLanes && !fits(tile))
    tile = tile / (2 * kLanes) * kLanes;
  if (tile < kLanes)
    return n;
  // Heads such as 80 leave one group a tile: whole heads have pairs of groups.
  constexpr int64_t kFewTiles = 4; // enough to split over threads
  if (paired && tile == kLanes && headDim > tile)
    for (int64_t rows : {2 * headDim, headDim})
      if (fits(rows) && n / rows >= kFewTiles)
        return rows;
  return tile;
}

/// Tokens of a prefill task: fewer than kAttentionTokenTile, or than a team's
/// tile has rows for, where that leaves threads or teams idle. Those of one
/// sequence keep tiles that share K and V; tokens of several share nothing, as
/// in a batched decode.
OpFoldResult attentionTokens(OpBuilder &b, FusedAttentionOp op,
                             func::FuncOp func) {
  // A loop's step is a symbol of the function, not of a loop in it.
  Block *entry = &func.getBody().front();
  auto sequences = dyn_cast<BlockArgument>(op.getSequences());
  bool isTeam = op->hasAttr(kTeamAttr);
  int64_t most = isTeam ? teamAttentionTokens(op) : kAttentionTokenTile;
  if (!sequences || sequences.getOwner() != entry)
    return b.getIndexAttr(most);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(entry);
  Location loc = op.getLoc();
  auto idx = [&](int64_t v) -> Value {
    return arith::ConstantIndexOp::create(b, loc, v);
  };
  Value zero = idx(0);
  Value tokens = b.createOrFold<tensor::DimOp>(loc, sequences, zero);
  Value tiles = arith::CeilDivUIOp::create(b, loc, tokens, idx(most));
  Value tasks = arith::MulIOp::create(b, loc, tiles, idx(op.getKvHeads()));
  Value wanted = NumThreadsOp::create(b, loc);
  if (isTeam) // one each: its warps are as even
    wanted = arith::DivUIOp::create(b, loc, wanted, idx(kGpuTeam));
  else
    wanted = arith::MulIOp::create(b, loc, wanted, idx(kAttentionTasks));
  Value last = arith::MaxSIOp::create(
      b, loc, arith::SubIOp::create(b, loc, tokens, idx(1)), zero);
  auto sequence = [&](Value i) -> Value {
    return tensor::ExtractOp::create(b, loc, sequences, i);
  };
  Value isOne = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                      sequence(zero), sequence(last));
  Value few = arith::SelectOp::create(
      b, loc, isOne, idx(std::max<int64_t>(1, most / 4)), idx(1));
  Value isEnough =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, tasks, wanted);
  return arith::SelectOp::create(b, loc, isEnough, idx(most), few).getResult();
}

/// Tokens of a prefill task of a linear. Where there are enough, every thread
/// has its own: then rows go from one op to the next in one core's cache.
/// 0, for all of them, in a function that does not say which argument they are.
OpFoldResult linearTokens(OpBuilder &b, Location loc, func::FuncOp func) {
  auto list = llvm::find_if(func.getArguments(), [&](BlockArgument arg) {
    auto name =
        func.getArgAttrOfType<StringAttr>(arg.getArgNumber(), "cria.arg");
    return name && name.getValue() == "tokens";
  });
  if (list == func.getArguments().end())
    return b.getIndexAttr(0);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&func.getFunctionBody().front());
  auto idx = [&](int64_t v) -> Value {
    return arith::ConstantIndexOp::create(b, loc, v);
  };
  Value tokens = b.createOrFold<tensor::DimOp>(loc, *list, idx(0));
  Value tasks = arith::MinUIOp::create(
      b, loc, arith::DivUIOp::create(b, loc, tokens, idx(kLinearTaskTokens)),
      NumThreadsOp::create(b, loc));
  tasks = arith::MaxUIOp::create(b, loc, tasks, idx(1));
  Value size = arith::CeilDivUIOp::create(b, loc, tokens, tasks);
  return arith::MaxUIOp::create(b, loc, size, idx(1)).getResult(); // a step
}

struct Tile : cria::impl::TileBase<Tile> {
  using TileBase::TileBase;

  bool decode = false;
  bool anyFailed = false;

  /// The plan of an op, or none for ops that every thread runs for itself, and
  /// for one whose schedule is malformed.
  std::optional<TilePlan> planFor(Operation *op) {
    if (auto linear = dyn_cast<FusedLinearOp>(op)) {
      // A team has 16 rows at a time, of any number of tokens.
      bool isTeam = linear->hasAttr(kTeamAttr);
      bool paired =
          !isTeam && (!decode || !linear.getWeightType().isQuantized());
      // A team's tile of tokens and rows in the prefill version.
      auto gemm = linear->getAttrOfType<DenseI64ArrayAttr>("cria.gemm");
      int64_t wanted = gemm     ? gemm[1]
                       : isTeam ? kTeamRows
                                : linearTileRows(linear.getN(), paired);
      if (failed(takeSchedule(linear, {{"rows", wanted}}))) {
        anyFailed = true;
        return std::nullopt;
      }
      int64_t tile = tileRows(linear, wanted, paired);
      int64_t cost =
          tile * linear.getWeightType().getK() * linear.getWeights().size();
      // Canonicalization dissolves a loop of one tile, and outside of parallel
      // loops cria-spmd gives work to one thread: split the tokens then.
      int64_t tokens = decode ? 1 : kTokenTile;
      if (gemm)
        tokens = gemm[0];
      else if (tile < linear.getN())
        tokens = decode || isTeam ? 0 : ShapedType::kDynamic;
      return TilePlan{{tokens, tile}, cost};
    }
    // Causal rows differ in length: deal them out instead of cutting once.
    if (isa<FusedAttentionOp>(op))
      return TilePlan{
          {decode ? 1 : ShapedType::kDynamic, 1}, 1, /*cyclic=*/true};
    if (isa<AttentionMergeOp>(op))
      return TilePlan{{1, 1}};
    if (isa<RowsOp>(op)) {
      if (!decode || sharedRows)
        return TilePlan{{1}};
      // Every thread prepares the rows of its linears for itself; what goes
      // elsewhere may be updated in place, by all of them.
      bool feedsLinears = llvm::all_of(op->getUses(), [](OpOperand &use) {
        auto linear = dyn_cast<FusedLinearOp>(use.getOwner());
        return linear && use.getOperandNumber() < linear.getActs().size();
      });
      if (feedsLinears)
        return std::nullopt;
      return TilePlan{{1}};
    }
    if (isa<HeadRowsOp>(op))
      return decode ? TilePlan{{1, 1}} : TilePlan{{1, 0}};
    if (isa<EmbedRowsOp, RopeTableOp>(op))
      return TilePlan{{1}};
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
      // Ops without a fast kernel: split the outermost parallel loop.
      SmallVector<int64_t> sizes(linalgOp.getNumLoops(), 0);
      auto iterators = linalgOp.getIteratorTypesArray();
      if (!iterators.empty() && iterators[0] == utils::IteratorType::parallel)
        sizes[0] = 1;
      return TilePlan{sizes};
    }
    return std::nullopt;
  }

  void runOnOperation() override {
    func::FuncOp func = getOperation();
    auto version = func->getAttrOfType<StringAttr>("cria.version");
    decode = version && version.getValue() == "decode";

    SmallVector<std::pair<TilingInterface, TilePlan>> plans;
    func.walk([&](TilingInterface op) {
      if (!op->getParentOfType<scf::ForallOp>() &&
          !op->getParentOfType<RowsOp>())
        if (std::optional<TilePlan> plan = planFor(op))
          plans.push_back({op, *plan});
    });
    if (anyFailed)
      return signalPassFailure();
    IRRewriter rewriter(&getContext());
    for (auto &[op, plan] : plans) {
      rewriter.setInsertionPoint(op);
      SmallVector<OpFoldResult> sizes;
      for (int64_t size : plan.sizes) {
        if (size != ShapedType::kDynamic)
          sizes.push_back(rewriter.getIndexAttr(size));
        else if (auto attention = dyn_cast<FusedAttentionOp>(*op))
          sizes.push_back(attentionTokens(rewriter, attention, func));
        else
          sizes.push_back(linearTokens(rewriter, op.getLoc(), func));
      }
      scf::SCFTilingOptions options;
      options.setTileSizes(sizes).setLoopType(
          scf::SCFTilingOptions::LoopType::ForallOp);
      FailureOr<scf::SCFTilingResult> tiled =
          scf::tileUsingSCF(rewriter, op, options);
      if (failed(tiled)) {
        op.emitOpError() << "could not be tiled";
        return signalPassFailure();
      }
      if (!tiled->loops.empty()) {
        Operation *loop = tiled->loops.front();
        loop->setAttr("cria.cost", rewriter.getI64IntegerAttr(plan.cost));
        if (plan.cyclic)
          loop->setAttr("cria.cyclic", rewriter.getUnitAttr());
        else if (isa<Value>(sizes[0]))
          loop->setAttr("cria.by_tokens", rewriter.getUnitAttr());
      }
      rewriter.replaceOp(op, tiled->replacements);
    }
  }
};
} // namespace
