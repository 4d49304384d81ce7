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

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <array>
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
/// Columns of a product, and rows of a warp in it: a group of n16k2 or n16k4.
constexpr int64_t kUnit = 16, kGroupRows = 16;
/// Words of a token in a unit; of a group's scales in two, which are a block.
constexpr int64_t kTokenWords = kUnit / 2, kScaleWords = kGroupRows / 2;

/// What is known of a tile. Its rows go by groups of 16; group j * 8 + w is
/// warp w's for its product j, of all of the tile's tokens.
struct Shape {
  int64_t tokens, rows; // rows of each weight
  int64_t weights;
  ElementKind element;
  OffsetKind offset;
  int64_t zeroPoint;
  int64_t units, steps; // of K: products of a stage, stages
  int64_t stages;       // in the team's memory at once

  static FailureOr<Shape> get(FusedLinearOp op, int64_t wantedUnits,
                              int64_t wantedStages);

  int64_t groups() const { return weights * rows / kGroupRows; }
  int64_t products() const { return groups() / kWarps; } // of a warp
  int64_t sums() const { return tokens / 2; }            // of a thread, of each
  bool isFloat() const { return element == ElementKind::bf16; }
  bool hasMins() const { return !isFloat() && offset == OffsetKind::min; }
  /// Bulk copies of a group: its elements, scales and mins.
  int64_t parts() const { return isFloat() ? 1 : hasMins() ? 3 : 2; }
  // In words, of a group and a stage.
  int64_t unitWords() const {
    int64_t bits = isFloat() ? 16 : element == ElementKind::q8 ? 8 : 4;
    return kGroupRows * kUnit * bits / 32;
  }
  int64_t groupWords(int64_t part) const {
    return part == 0 ? units * unitWords() : units / 2 * kScaleWords;
  }
  // In words, of a stage.
  int64_t partPlace(int64_t part) const {
    return part == 0 ? 0
                     : partPlace(part - 1) + groups() * groupWords(part - 1);
  }
  int64_t tokenPlace() const { return partPlace(parts()); }
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

  Value rowAddress(int64_t part);
  Value groupPlace(Value stage, int64_t part, int64_t product);
  void loadFloats(Value stage, Values &words);
  void loadCodes(Value stage, Values &words);
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
  Values tokenAddresses, weightAddresses;
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
  shape.element = weight.getElement();
  bool isCodes =
      shape.element == ElementKind::q4 || shape.element == ElementKind::q8;
  int64_t leastUnits = isCodes ? 2 : 1; // a block of codes
  if ((!isCodes && !shape.isFloat()) || !op.getBf16() ||
      weight.getLayout() !=
          (isCodes ? WeightLayout::n16k4 : WeightLayout::n16k2) ||
      weight.getK() % (leastUnits * kUnit) != 0)
    return op.emitOpError()
           << "with cria.wgmma has weights of " << weight
           << "; accepted are bf16 in n16k2 with a multiple of 16 columns, and "
              "q4 or q8 in n16k4 with one of 32, for rows that are rounded";
  if (isCodes) {
    shape.offset = weight.getOffset();
    shape.zeroPoint = shape.hasMins() ? 0 : weight.getZeroPoint();
  }
  int64_t all = weight.getK() / kUnit;
  // Codes are registers as bf16 until a stage's products have been waited for:
  // 16 for a block, and with 128 sums there is no room for more.
  shape.units = isCodes ? leastUnits : std::max(wantedUnits, leastUnits);
  auto fits = [&] {
    constexpr int64_t kLeastStages = 3, kBarrierPlaces = 4;
    shape.stages = std::min(wantedStages,
                            kWgmmaPlaces / (shape.places() + kBarrierPlaces));
    return all % shape.units == 0 &&
           shape.stages >= std::min(kLeastStages, wantedStages);
  };
  while (!fits() && shape.units > leastUnits)
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

/// Of the group that has the calling thread's number; the last one that exists
/// where the tile has more.
Value TeamWgmma::rowAddress(int64_t part) {
  auto arrayOf = [&](const LinearWeight &weight) {
    return part == 2         ? weight.mins
           : part == 1       ? weight.scales
           : shape.isFloat() ? weight.elements
                             : weight.codes;
  };
  int64_t groups = shape.rows / kGroupRows; // of a weight
  Value group = rem(team->thread, groups);
  if (rows.known % shape.rows != 0 || ShapedType::isDynamic(rows.known))
    group = arith::MinUIOp::create(b, group, add(rows.groups, -1));
  Value chosen = addressOfRow(b, arrayOf(arrays.front()), group);
  for (size_t i = 1; i < arrays.size(); ++i) {
    Value isOwn = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                        div(team->thread, groups),
                                        constIndex(b, static_cast<int64_t>(i)));
    chosen = arith::SelectOp::create(
        b, isOwn, addressOfRow(b, arrayOf(arrays[i]), group), chosen);
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
    tokenAddresses.push_back(add(addressOfRow(b, op.getActs()[0], token),
                                 mul(rem(div(number, 8), pieces), 16)));
  }
  for (int64_t part = 0; part < shape.parts(); ++part)
    weightAddresses.push_back(rowAddress(part));
  when(below(team->thread, 1), [&] {
    for (int64_t i = 0; i < shape.stages; ++i) {
      team->initBarrier(full(constIndex(b, i)),
                        kGpuBlockThreads + shape.parts() * shape.groups());
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
    // What warps have read gives way to a bulk copy.
    team->fenceAsync();
    for (int64_t part = 0; part < shape.parts(); ++part) {
      int64_t words = shape.groupWords(part);
      Value to = add(mul(team->thread, words), shape.partPlace(part));
      team->bulkCopy(add(place, to),
                     add(weightAddresses[part], mul(step, words * 4)),
                     words * 4, barrier);
    }
  });
}

/// Of the warp's group for a product.
Value TeamWgmma::groupPlace(Value stage, int64_t part, int64_t product) {
  Value group = add(team->warp, product * kWarps);
  return add(add(stage, mul(group, shape.groupWords(part))),
             shape.partPlace(part));
}

/// Words l and l + 4 of rows 2 q and 2 q + 1.
void TeamWgmma::loadFloats(Value stage, Values &words) {
  Value own = add(mul(team->quadLane, kGroupRows), mul(team->quad, 2));
  for (int64_t unit = 0; unit < shape.units; ++unit)
    for (int64_t product = 0; product < shape.products(); ++product)
      for (int64_t half = 0; half < 2; ++half)
        llvm::append_range(
            words, team->words(add(add(groupPlace(stage, 0, product), own),
                                   (2 * unit + half) * shape.unitWords() / 2),
                               2));
}

/// The same, of what the codes stand for, as bf16. Columns 2 l and 2 l + 1 are
/// a half of word l / 2 of four codes, the others of the second word after it.
/// A code in the last bits of 2^23 is that much larger an f32.
void TeamWgmma::loadCodes(Value stage, Values &words) {
  constexpr int32_t kBits = 0x4b000000;
  constexpr float kFloat = 8388608.0f;
  bool isQ4 = shape.element == ElementKind::q4;
  Type f32 = b.getF32Type();
  Value own = add(mul(div(team->quadLane, 2), kGroupRows), mul(team->quad, 2));
  Value shift = team->word(mul(rem(team->quadLane, 2), 16));
  Value zero = arith::ConstantOp::create(
      b, b.getF32FloatAttr(kFloat + static_cast<float>(shape.zeroPoint)));
  auto element = [&](Value half, int64_t from, Value scale,
                     Value min) -> Value {
    Value code = half;
    if (from)
      code = arith::ShRUIOp::create(b, code, team->i32(from));
    code = arith::AndIOp::create(b, code, team->i32(isQ4 ? 15 : 255));
    code = arith::OrIOp::create(b, code, team->i32(kBits));
    Value value =
        arith::SubFOp::create(b, arith::BitcastOp::create(b, f32, code), zero);
    if (min)
      return math::FmaOp::create(b, value, scale, min);
    return arith::MulFOp::create(b, value, scale);
  };
  SmallVector<Values> units(shape.units);
  for (int64_t block = 0; block < shape.units / 2; ++block)
    for (int64_t product = 0; product < shape.products(); ++product) {
      auto ofRows = [&](int64_t part) {
        Value at = add(groupPlace(stage, part, product), team->quad);
        auto [first, second] = team->halves(
            team->words(add(at, block * kScaleWords), 1)[0], b.getF16Type());
        return std::array{first, second};
      };
      std::array<Value, 2> scales = ofRows(1), mins;
      if (shape.hasMins())
        mins = ofRows(2);
      Value at = add(add(groupPlace(stage, 0, product), own),
                     2 * block * shape.unitWords());
      // The high halves of a block of q4 are its second unit.
      SmallVector<Values> loaded;
      for (int64_t word = 0; word < (isQ4 ? 2 : 4); ++word) {
        loaded.push_back(team->words(add(at, 2 * word * kGroupRows), 2));
        for (Value &each : loaded.back())
          each = arith::ShRUIOp::create(b, each, shift);
      }
      for (int64_t unit = 0; unit < 2; ++unit)
        for (int64_t half = 0; half < 2; ++half)
          for (int64_t row = 0; row < 2; ++row) {
            Value from = loaded[isQ4 ? half : 2 * unit + half][row];
            int64_t first = isQ4 ? 4 * unit : 0;
            Value low = element(from, first, scales[row], mins[row]);
            Value high = element(from, first + 8, scales[row], mins[row]);
            units[2 * block + unit].push_back(
                team->pack(/*isBf16=*/true, low, high));
          }
    }
  for (Values &unit : units)
    llvm::append_range(words, unit);
}

Values TeamWgmma::addStep(Value step, ValueRange before) {
  // What depends on the thread is computed anew, as in registers for all of K
  // it would be one too many.
  team.emplace(b);
  Value place = stage(step);
  team->wait(full(step), parity(step));
  team->fenceAsync(); // tokens came by the threads' own copies
  Values words;
  if (shape.isFloat())
    loadFloats(place, words);
  else
    loadCodes(place, words);
  Values all = team->fenceWgmma(words, before);
  ArrayRef<Value> results = all, a = results.take_front(words.size());
  Values sums(results.drop_front(words.size()));
  for (int64_t unit = 0; unit < shape.units; ++unit)
    for (int64_t product = 0; product < shape.products(); ++product) {
      MutableArrayRef<Value> own = MutableArrayRef<Value>(sums).slice(
          product * shape.sums(), shape.sums());
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
