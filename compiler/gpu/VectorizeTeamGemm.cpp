// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.fused_linear of a team in the prefill version: a tile of tokens and
// rows, all of K, through the block's memory.

#include "compiler/Passes.h"
#include "compiler/gpu/GemmResults.h"
#include "compiler/gpu/GemmTile.h"
#include "compiler/gpu/TeamBuilder.h"
#include "compiler/target/GpuTarget.h"
#include "compiler/vector/LinearEpilogue.h"
#include "compiler/vector/LinearOperands.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace cria {
#define GEN_PASS_DEF_VECTORIZETEAMGEMM
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

using Values = SmallVector<Value>;

/// Emits the loops for one fused_linear.
class TeamGemm {
public:
  TeamGemm(ImplicitLocOpBuilder &b, FusedLinearOp op, const GemmShape &shape)
      : b(b), op(op), shape(shape), rows(b, op), stages(b, op, shape, rows) {}

  void emit();

private:
  Value add(Value p, Value q) { return arith::AddIOp::create(b, p, q); }
  Value add(Value p, int64_t q) { return addIndex(b, p, q); }
  Value mul(Value p, int64_t q) {
    return arith::MulIOp::create(b, p, constIndex(b, q));
  }
  Value f32(float value) {
    return arith::ConstantOp::create(b, b.getF32FloatAttr(value));
  }
  Value floatOf(Value word) {
    return arith::BitcastOp::create(b, b.getF32Type(), word);
  }

  TeamBuilder &team() { return stages.here(); }

  Values addSteps(Value from, Value to, ValueRange sums);
  Values addStep(Value step, ValueRange sums);
  void addCodes(Value stage, MutableArrayRef<Value> sums);
  void addFloats(Value stage, int64_t unit, MutableArrayRef<Value> sums);
  void emitResults(ArrayRef<Value> sums);
  /// Where the four sums of a product begin: by token tile, panel and half.
  size_t four(int64_t tile, int64_t panel, int64_t half) const {
    return static_cast<size_t>(
        4 * ((tile * GemmShape::kWarpPanels + panel) * 2 + half));
  }

  ImplicitLocOpBuilder &b;
  FusedLinearOp op;
  const GemmShape &shape;
  LinearRows rows;
  GemmStages stages;
};

} // namespace

void TeamGemm::emit() {
  int64_t count = shape.warpTiles() * GemmShape::kWarpPanels * 8;
  Value zero = constIndex(b, 0), end = constIndex(b, shape.steps);
  stages.begin();
  Values zeros(count, f32(0.0f));
  if (shape.sliceSteps == shape.steps) {
    emitResults(addSteps(zero, end, zeros));
    return;
  }
  // Slices one after the other, each of which is added to what is before it:
  // the first one to -0, which changes no number.
  Values totals = buildLoop(
      b, zero, end, shape.sliceSteps, Values(count, f32(-0.0f)),
      [&](Value from, ValueRange before) {
        Value to = arith::MinUIOp::create(b, add(from, shape.sliceSteps), end);
        Values sums = addSteps(from, to, zeros), next;
        for (auto [total, sum] : llvm::zip_equal(before, sums))
          next.push_back(arith::AddFOp::create(b, total, sum));
        return next;
      });
  emitResults(totals);
}

Values TeamGemm::addSteps(Value from, Value to, ValueRange sums) {
  return buildLoop(b, from, to, 1, sums, [&](Value step, ValueRange before) {
    return addStep(step, before);
  });
}

/// A stage of K, while others are on their way.
Values TeamGemm::addStep(Value step, ValueRange before) {
  Value stage = stages.next(step);
  Values sums(before);
  if (shape.isFloat())
    for (int64_t unit = 0; unit < shape.units; ++unit)
      addFloats(stage, unit, sums);
  else
    addCodes(stage, sums);
  return sums;
}

/// 16 columns, of which B has the three bf16 of each f32, the smallest first
/// (VectorizeTeamLinear), or one that it was rounded to.
void TeamGemm::addFloats(Value stage, int64_t unit,
                         MutableArrayRef<Value> sums) {
  SmallVector<Values> a;
  for (int64_t panel = 0; panel < GemmShape::kWarpPanels; ++panel)
    for (Values &half : stages.rows(stage, unit, panel))
      a.push_back(std::move(half));
  for (int64_t tile = 0; tile < shape.warpTiles(); ++tile) {
    SmallVector<Values> parts;
    if (shape.isRounded)
      parts.push_back(stages.words(stage, unit, tile, 0));
    else
      llvm::append_range(parts, team().split(stages.floats(stage, tile)));
    for (Values &part : llvm::reverse(parts))
      for (int64_t i = 0; i < 2 * GemmShape::kWarpPanels; ++i) {
        MutableArrayRef<Value> c = sums.slice(four(tile, i / 2, i % 2), 4);
        llvm::copy(team().mma(TeamBuilder::Product::bf16, a[i], part, c),
                   c.begin());
      }
  }
}

/// A block of 32 columns. Products of bytes stay below 2^22, so that from a
/// start of 1.5 * 2^23, in the bits of an f32, the sum is that f32 plus the
/// product: one subtraction instead of a conversion, of which there are a
/// quarter as many a cycle. Codes of 16 bits are larger.
void TeamGemm::addCodes(Value stage, MutableArrayRef<Value> sums) {
  constexpr int64_t kBits = 0x4b400000;
  constexpr float kFloat = 12582912.0f;
  Value zero = team().i32(0);
  bool hasMins = shape.hasMins;
  struct Half {
    Values a;
    std::pair<Value, Value> scales, mins; // of the two rows
  };
  SmallVector<Half> halves;
  for (int64_t panel = 0; panel < GemmShape::kWarpPanels; ++panel) {
    Values scales = stages.rowScales(stage, panel, /*isMin=*/false), mins;
    if (hasMins)
      mins = stages.rowScales(stage, panel, /*isMin=*/true);
    for (auto [i, a] : llvm::enumerate(stages.rows(stage, 0, panel))) {
      Half half;
      half.a = std::move(a);
      half.scales = team().halves(scales[i], b.getF16Type());
      if (hasMins)
        half.mins = team().halves(mins[i], b.getF16Type());
      halves.push_back(std::move(half));
    }
  }
  for (int64_t tile = 0; tile < shape.warpTiles(); ++tile) {
    Values high, low;
    if (shape.isWide)
      high = stages.words(stage, 0, tile, 0);
    low = stages.words(stage, 0, tile, shape.isWide ? 1 : 0);
    Values scaleA = stages.tokenScales(stage, tile, 0);
    Values offset = stages.tokenScales(stage, tile, 1);
    Values start(4, shape.isWide ? zero : team().i32(kBits));
    if (!hasMins)
      for (auto [i, value] : llvm::enumerate(start))
        value = shape.isWide ? offset[i % 2] : add(offset[i % 2], value);
    for (auto [i, half] : llvm::enumerate(halves)) {
      Values from(start);
      if (shape.isWide) {
        Values dots = team().mma(TeamBuilder::Product::u8s8, half.a, high,
                                 {zero, zero, zero, zero});
        for (auto [dot, more] : llvm::zip_equal(dots, from))
          more = add(arith::ShLIOp::create(b, dot, team().i32(8)), more);
      }
      Values dots = team().mma(TeamBuilder::Product::u8s8, half.a, low, from);
      MutableArrayRef<Value> c = sums.slice(
          four(tile, static_cast<int64_t>(i / 2), static_cast<int64_t>(i % 2)),
          4);
      for (auto [j, dot] : llvm::enumerate(dots)) {
        Value ofRow = j < 2 ? half.scales.first : half.scales.second;
        Value scale = arith::MulFOp::create(b, ofRow, floatOf(scaleA[j % 2]));
        Value value;
        if (shape.isWide)
          value = arith::SIToFPOp::create(b, b.getF32Type(), dot);
        else
          value = arith::SubFOp::create(b, floatOf(dot), f32(kFloat));
        c[j] = math::FmaOp::create(b, value, scale, c[j]);
        if (hasMins)
          c[j] =
              math::FmaOp::create(b, j < 2 ? half.mins.first : half.mins.second,
                                  floatOf(offset[j % 2]), c[j]);
      }
    }
  }
}

void TeamGemm::emitResults(ArrayRef<Value> sums) {
  stages.end();
  // [warp][panel][token][row]: an odd stride, as threads side by side have the
  // same rows of different tokens.
  constexpr int64_t kStride = GemmShape::kPanel + 1;
  int64_t panelPlaces = GemmResults::kTokens * kStride;
  int64_t panels = GemmShape::kWarpPanels / shape.weights; // of each weight
  auto panelOf = [&](Value group) -> Value {
    return arith::DivUIOp::create(b, group, constIndex(b, 2));
  };
  auto half = [&](Value group) -> Value {
    return arith::RemUIOp::create(b, group, constIndex(b, 2));
  };
  GemmResults results;
  results.tiles = shape.warpTiles();
  results.groups = 2 * panels;
  results.stride = kStride;
  results.warpPlaces = GemmShape::kWarpPanels * panelPlaces;
  results.firstToken = mul(stages.warpColumn(), shape.warpTokens());
  results.put = [&](int64_t tile, Value own) {
    Value at =
        add(own, add(mul(team().quadLane, 2 * kStride), mul(team().quad, 4)));
    for (int64_t panel = 0; panel < GemmShape::kWarpPanels; ++panel)
      for (int64_t half = 0; half < 2; ++half)
        for (int64_t j = 0; j < 4; ++j)
          team().put(
              add(at, panel * panelPlaces + j % 2 * kStride + 2 * half + j / 2),
              sums[four(tile, panel, half) + j]);
  };
  results.place = [&](int64_t weight, Value group) {
    return add(add(mul(panelOf(group), panelPlaces), mul(half(group), kLanes)),
               weight * panels * panelPlaces);
  };
  results.rowGroup = [&](Value group) {
    return add(mul(stages.panelOf(panelOf(group)), 2), half(group));
  };
  results.emit(b, op, rows, team());
}

namespace {

struct VectorizeTeamGemm
    : cria::impl::VectorizeTeamGemmBase<VectorizeTeamGemm> {
  using VectorizeTeamGemmBase::VectorizeTeamGemmBase;

  void runOnOperation() override {
    SmallVector<FusedLinearOp> ops;
    getOperation().walk([&](FusedLinearOp op) {
      if (op->hasAttr(kGemmAttr) && !op->hasAttr(kWgmmaAttr))
        ops.push_back(op);
    });
    for (FusedLinearOp op : ops) {
      if (failed(checkBufferized(op)) || failed(checkLinear(op)))
        return signalPassFailure();
      FailureOr<GemmShape> shape = GemmShape::get(op, stages);
      if (failed(shape))
        return signalPassFailure();
      ImplicitLocOpBuilder b(op.getLoc(), op);
      TeamGemm(b, op, *shape).emit();
      op.erase();
    }
  }
};

} // namespace
