// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.fused_linear of a team in the prefill version of sm_90a: products of
// four warps (wgmma), weights by bulk copies, stages handed over by mbarriers.

#include "compiler/Passes.h"
#include "compiler/gpu/GemmResults.h"
#include "compiler/gpu/TeamBuilder.h"
#include "compiler/target/GpuTarget.h"
#include "compiler/vector/LinearEpilogue.h"
#include "compiler/vector/LinearOperands.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <optional>

namespace cria {
#define GEN_PASS_DEF_VECTORIZETEAMWGMMA
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

using Values = SmallVector<Value>;

constexpr int64_t kWarps = kGpuBlockThreads / 32;
/// Columns of a product, and rows of a warp in it: a group of n16k2.
constexpr int64_t kUnit = 16, kGroupRows = 16;
/// Words of a group in a unit; of a token.
constexpr int64_t kGroupWords = kGroupRows * kUnit / 2, kTokenWords = kUnit / 2;

/// What is known of a tile. Its rows go by groups of 16; group j * 8 + w is
/// warp w's for its product j, of all of the tile's tokens.
struct Shape {
  int64_t tokens, rows; // rows of each weight
  int64_t weights;
  int64_t units, steps; // of K: products of a stage, stages
  int64_t stages;       // in the team's memory at once

  static FailureOr<Shape> get(FusedLinearOp op, int64_t wantedUnits,
                              int64_t wantedStages);

  int64_t groups() const { return weights * rows / kGroupRows; }
  int64_t products() const { return groups() / kWarps; } // of a warp
  int64_t sums() const { return tokens / 2; }            // of a thread, of each
  // In words, of a stage.
  int64_t tokenPlace() const { return groups() * units * kGroupWords; }
  int64_t places() const { return tokenPlace() + tokens * units * kTokenWords; }
};

class TeamWgmma {
public:
  TeamWgmma(ImplicitLocOpBuilder &b, FusedLinearOp op, const Shape &shape)
      : b(b), op(op), shape(shape), rows(b, op) {
    for (Value weight : op.getWeights())
      arrays.emplace_back(b, weight);
  }

  void emit();

private:
  Value add(Value p, Value q) { return arith::AddIOp::create(b, p, q); }
  Value add(Value p, int64_t q) { return addIndex(b, p, q); }
  Value mul(Value p, int64_t q) {
    return arith::MulIOp::create(b, p, constIndex(b, q));
  }
  Value div(Value p, int64_t q) {
    return arith::DivUIOp::create(b, p, constIndex(b, q));
  }
  Value rem(Value p, int64_t q) {
    return arith::RemUIOp::create(b, p, constIndex(b, q));
  }
  Value below(Value p, int64_t q) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, p,
                                 constIndex(b, q));
  }
  /// Emits `body` where `condition` is true.
  void when(Value condition, function_ref<void()> body) {
    auto branch = scf::IfOp::create(b, condition, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    body();
  }

  Value stage(Value step) {
    return mul(rem(step, shape.stages), shape.places());
  }
  /// Behind the stages, of each: the mbarrier of what comes, and that of those
  /// who have done with it.
  Value full(Value step) {
    return add(mul(rem(step, shape.stages), 4), shape.stages * shape.places());
  }
  Value empty(Value step) { return add(full(step), 2); }
  Value parity(Value step) { return rem(div(step, shape.stages), 2); }

  Value address(Value memref, Value row);
  Value rowAddress();
  void begin();
  void start(Value step);
  Values addStep(Value step, ValueRange sums);
  void end();
  void emitResults(ArrayRef<Value> sums);

  ImplicitLocOpBuilder &b;
  FusedLinearOp op;
  const Shape &shape;
  LinearRows rows;
  SmallVector<LinearWeight> arrays;
  std::optional<TeamBuilder> team;
  Values tokenAddresses;
  Value weightAddress;
};

} // namespace

FailureOr<Shape> Shape::get(FusedLinearOp op, int64_t wantedUnits,
                            int64_t wantedStages) {
  auto tile = op->getAttrOfType<DenseI64ArrayAttr>(kGemmAttr);
  WeightType weight = op.getWeightType();
  Shape shape;
  shape.weights = static_cast<int64_t>(op.getWeights().size());
  constexpr int64_t kTokens = 8, kMostTokens = 256, kMostSums = 192;
  constexpr int64_t kProductRows = kWarps * kGroupRows;
  if (!tile || tile.size() != 2 || tile[0] <= 0 || tile[0] > kMostTokens ||
      tile[0] % kTokens != 0 || tile[1] <= 0 || tile[1] % kProductRows != 0 ||
      tile[0] * tile[1] * shape.weights > 2 * kMostSums * kProductRows)
    return op.emitOpError()
           << kGemmAttr << " is " << op->getAttr(kGemmAttr) << " for "
           << shape.weights
           << " weights; accepted with cria.wgmma are a multiple of " << kTokens
           << " tokens up to " << kMostTokens << " and one of " << kProductRows
           << " rows, with at most " << kMostSums << " sums a thread";
  shape.tokens = tile[0];
  shape.rows = tile[1];
  if (weight.getElement() != ElementKind::bf16 ||
      weight.getLayout() != WeightLayout::n16k2 || !op.getBf16() ||
      weight.getK() % kUnit != 0)
    return op.emitOpError() << "with cria.wgmma has weights of " << weight
                            << "; accepted are bf16 in n16k2 with a multiple "
                               "of 16 columns, for rows that are rounded";
  int64_t all = weight.getK() / kUnit;
  shape.units = std::max<int64_t>(wantedUnits, 1);
  auto fits = [&] {
    constexpr int64_t kLeastStages = 3, kBarrierPlaces = 4;
    shape.stages = std::min(wantedStages,
                            kWgmmaPlaces / (shape.places() + kBarrierPlaces));
    return all % shape.units == 0 &&
           shape.stages >= std::min(kLeastStages, wantedStages);
  };
  while (!fits() && shape.units > 1)
    --shape.units;
  shape.steps = all / shape.units;
  if (shape.stages < 2)
    return op.emitOpError()
           << "can have " << shape.stages << " stages of " << 4 * shape.places()
           << " bytes in the " << 4 * kWgmmaPlaces
           << " of a block; accepted are 2 and more";
  return shape;
}

void TeamWgmma::emit() {
  begin();
  Value zero = arith::ConstantOp::create(b, b.getF32FloatAttr(0.0f));
  Values sums = buildLoop(
      b, constIndex(b, 0), constIndex(b, shape.steps), 1,
      Values(shape.products() * shape.sums(), zero),
      [&](Value step, ValueRange before) { return addStep(step, before); });
  end();
  emitResults(sums);
}

Value TeamWgmma::address(Value memref, Value row) {
  auto type = cast<MemRefType>(memref.getType());
  auto layout = memref::ExtractStridedMetadataOp::create(b, memref);
  Value element = arith::MulIOp::create(b, row, layout.getStrides()[0]);
  element = add(element, layout.getOffset());
  return add(memref::ExtractAlignedPointerAsIndexOp::create(b, memref),
             mul(element, type.getElementTypeBitWidth() / 8));
}

/// Of the group that has the calling thread's number; the last one that exists
/// where the tile has more.
Value TeamWgmma::rowAddress() {
  int64_t groups = shape.rows / kGroupRows; // of a weight
  Value group = rem(team->thread, groups);
  if (rows.known % shape.rows != 0 || ShapedType::isDynamic(rows.known))
    group = arith::MinUIOp::create(b, group, add(rows.groups, -1));
  Value chosen = address(arrays.front().elements, group);
  for (size_t i = 1; i < arrays.size(); ++i) {
    Value isOwn = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                        div(team->thread, groups),
                                        constIndex(b, static_cast<int64_t>(i)));
    chosen = arith::SelectOp::create(
        b, isOwn, address(arrays[i].elements, group), chosen);
  }
  return chosen;
}

/// Of the tokens' pieces of 16 bytes, 8 threads side by side copy those of 8
/// tokens, which are 128 bytes side by side: all banks. A warp takes 64 bytes
/// of each token's row, whole sectors.
void TeamWgmma::begin() {
  team.emplace(b);
  Value lastToken = add(dimSize(b, op.getActs()[0], 0), -1);
  int64_t pieces = 2 * shape.units; // of a token
  for (int64_t first = 0; first < shape.tokens * pieces;
       first += kGpuBlockThreads) {
    Value number = add(team->thread, first);
    Value token = add(mul(div(number, 8 * pieces), 8), rem(number, 8));
    token = arith::MinUIOp::create(b, token, lastToken);
    tokenAddresses.push_back(add(address(op.getActs()[0], token),
                                 mul(rem(div(number, 8), pieces), 16)));
  }
  weightAddress = rowAddress();
  when(below(team->thread, 1), [&] {
    for (int64_t i = 0; i < shape.stages; ++i) {
      team->initBarrier(full(constIndex(b, i)),
                        kGpuBlockThreads + shape.groups());
      team->initBarrier(empty(constIndex(b, i)), kGpuTeam);
    }
  });
  // What the epilogue of another linear wrote gives way to bulk copies.
  team->fenceAsync();
  team->sync();
  for (int64_t step = 0; step + 1 < std::min(shape.stages, shape.steps + 1);
       ++step)
    start(constIndex(b, step));
}

void TeamWgmma::start(Value step) {
  Value place = stage(step), barrier = full(step);
  int64_t pieces = 2 * shape.units, all = shape.tokens * pieces;
  int64_t first = 0;
  for (Value from : tokenAddresses) {
    auto copy = [&] {
      Value number = add(team->thread, first);
      Value token = add(mul(div(number, 8 * pieces), 8), rem(number, 8));
      Value piece = rem(div(number, 8), pieces);
      Value to = add(add(mul(piece, shape.tokens * 4), mul(token, 4)),
                     shape.tokenPlace());
      team->copy(team->word(add(place, to)),
                 add(from, mul(step, shape.units * kTokenWords * 4)));
    };
    if (all - first < kGpuBlockThreads)
      when(below(team->thread, all - first), copy);
    else
      copy();
    first += kGpuBlockThreads;
  }
  team->arriveAfterCopies(barrier);
  when(below(team->thread, shape.groups()), [&] {
    int64_t words = shape.units * kGroupWords;
    // What warps have read gives way to a bulk copy.
    team->fenceAsync();
    team->bulkCopy(add(place, mul(team->thread, words)),
                   add(weightAddress, mul(step, words * 4)), words * 4,
                   barrier);
  });
}

Values TeamWgmma::addStep(Value step, ValueRange before) {
  // What depends on the thread is computed anew, as in registers for all of K
  // it would be one too many.
  team.emplace(b);
  Value place = stage(step);
  team->wait(full(step), parity(step));
  team->fenceAsync(); // tokens came by the threads' own copies
  Values words;
  for (int64_t unit = 0; unit < shape.units; ++unit)
    for (int64_t product = 0; product < shape.products(); ++product) {
      Value group = add(team->warp, product * kWarps);
      Value at = add(place, mul(group, shape.units * kGroupWords));
      at = add(at, add(mul(team->quadLane, kGroupRows), mul(team->quad, 2)));
      for (int64_t half = 0; half < 2; ++half)
        llvm::append_range(
            words,
            team->words(add(at, unit * kGroupWords + half * kGroupWords / 2),
                        2));
    }
  Values all = team->fenceWgmma(words, before);
  ArrayRef<Value> a = ArrayRef(all).take_front(words.size());
  Values sums(ArrayRef(all).drop_front(words.size()));
  for (int64_t unit = 0; unit < shape.units; ++unit)
    for (int64_t product = 0; product < shape.products(); ++product) {
      MutableArrayRef<Value> own =
          MutableArrayRef(sums).slice(product * shape.sums(), shape.sums());
      // 8 columns of all tokens, then the next 8.
      int64_t piece = shape.tokens * 16;
      Value from = add(place, shape.tokenPlace() + unit * 2 * piece / 4);
      llvm::copy(team->wgmma(a.take_front(4), from, piece, 128, own),
                 own.begin());
      a = a.drop_front(4);
    }
  team->commitWgmma();

  // While that is under way: the place of the stage before gets another one.
  Value further = add(step, shape.stages - 1);
  when(below(further, shape.steps), [&] {
    Value isAgain = arith::CmpIOp::create(b, arith::CmpIPredicate::uge, further,
                                          constIndex(b, shape.stages));
    when(isAgain, [&] {
      team->wait(empty(further), parity(add(further, -shape.stages)));
    });
    start(further);
  });
  sums = team->waitWgmma(sums);
  team->syncGroup();
  when(arith::CmpIOp::create(b, arith::CmpIPredicate::eq, team->lane,
                             constIndex(b, 0)),
       [&] { team->arrive(empty(step)); });
  return sums;
}

void TeamWgmma::end() {
  team.emplace(b);
  team->sync();
  when(below(team->thread, 1), [&] {
    for (int64_t i = 0; i < shape.stages; ++i) {
      team->endBarrier(full(constIndex(b, i)));
      team->endBarrier(empty(constIndex(b, i)));
    }
  });
  team->sync();
}

/// A thread has rows 2 q and 2 q + 1 of its warp's groups, of tokens 2 l and
/// 2 l + 1 of 8.
void TeamWgmma::emitResults(ArrayRef<Value> sums) {
  constexpr int64_t kTokens = GemmResults::kTokens, kStride = kGroupRows + 1;
  GemmResults results;
  results.tiles = shape.tokens / kTokens;
  results.groups = shape.products() / shape.weights;
  results.stride = kStride;
  results.warpPlaces = shape.products() * kTokens * kStride;
  results.firstToken = constIndex(b, 0);
  results.put = [&](int64_t tile, Value own) {
    Value at =
        add(own, add(mul(team->quadLane, 2 * kStride), mul(team->quad, 2)));
    for (int64_t product = 0; product < shape.products(); ++product)
      for (int64_t j = 0; j < 4; ++j)
        team->put(
            add(at, product * kTokens * kStride + j % 2 * kStride + j / 2),
            sums[product * shape.sums() + 4 * tile + j]);
  };
  results.place = [&](int64_t weight, Value group) {
    return add(mul(group, kTokens * kStride),
               weight * results.groups * kTokens * kStride);
  };
  results.rowGroup = [&](Value group) {
    return add(mul(group, kWarps), team->warp);
  };
  results.emit(b, op, rows, *team);
}

namespace {

struct VectorizeTeamWgmma
    : cria::impl::VectorizeTeamWgmmaBase<VectorizeTeamWgmma> {
  using VectorizeTeamWgmmaBase::VectorizeTeamWgmmaBase;

  void runOnOperation() override {
    SmallVector<FusedLinearOp> ops;
    getOperation().walk([&](FusedLinearOp op) {
      if (op->hasAttr(kWgmmaAttr))
        ops.push_back(op);
    });
    for (FusedLinearOp op : ops) {
      if (failed(checkBufferized(op)) || failed(checkLinear(op)))
        return signalPassFailure();
      FailureOr<Shape> shape = Shape::get(op, units, stages);
      if (failed(shape))
        return signalPassFailure();
      ImplicitLocOpBuilder b(op.getLoc(), op);
      TeamWgmma(b, op, *shape).emit();
      op.erase();
    }
  }
};

} // namespace
