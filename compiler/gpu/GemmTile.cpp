// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/gpu/GemmTile.h"

#include "compiler/target/GpuTarget.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace cria;

using Values = SmallVector<Value>;

FailureOr<GemmShape> GemmShape::get(FusedLinearOp op, int64_t wantedStages) {
  auto tile = op->getAttrOfType<DenseI64ArrayAttr>(kGemmAttr);
  WeightType weight = op.getWeightType();
  GemmShape shape;
  shape.weights = static_cast<int64_t>(op.getWeights().size());
  constexpr int64_t kWarps = kGpuBlockThreads / 32, kMostTokens = 1024;
  constexpr int64_t kWarpRows = kWarpPanels * kPanel;
  auto isTile = [&] {
    if (!tile || tile.size() != 2 || tile[0] <= 0 || tile[0] > kMostTokens ||
        tile[1] <= 0 || tile[1] > kWarps * kWarpRows)
      return false;
    int64_t all = tile[1] * shape.weights;
    return all % kWarpRows == 0 && kWarps * kWarpRows % all == 0 &&
           tile[0] % (8 * kWarps * kWarpRows / all) == 0;
  };
  if (kWarpPanels % shape.weights != 0 || !isTile())
    return op.emitOpError()
           << kGemmAttr << " is " << op->getAttr(kGemmAttr) << " for "
           << shape.weights
           << " weights; accepted are 64, 128, 256 or 512 rows of 1 or 2 "
              "weights together, and up to "
           << kMostTokens
           << " tokens in multiples of 64, 32, 16 or 8 with as many rows";
  shape.tokens = tile[0];
  shape.rows = tile[1];
  shape.element = weight.getElement();
  shape.hasMins = weight.isQuantized() && weight.getOffset() == OffsetKind::min;
  shape.isWide = hasWideCodes(op);
  shape.isRounded = op.getBf16();
  int64_t all = llvm::divideCeil(weight.getK(), shape.isFloat() ? 16 : 32);
  // A product of 16 columns is short for all that a stage takes beside it.
  shape.units = shape.isRounded && all % 2 == 0 ? 2 : 1;
  constexpr int64_t kLeastStages = 3;
  if (shape.places() * kLeastStages > kTeamPlaces)
    shape.units = 1;
  shape.steps = all / shape.units;
  // What was rounded is not what decode has: no slices, for the bits' sake.
  shape.sliceSteps =
      shape.isRounded ? shape.steps : llvm::divideCeil(shape.steps, kGpuSlices);
  shape.stages = std::min(wantedStages, kTeamPlaces / shape.places());
  if (shape.stages < 2 || shape.stages > kMostCopyGroups + 2)
    return op.emitOpError()
           << "can have " << shape.stages << " stages of " << 4 * shape.places()
           << " bytes in the " << 4 * kTeamPlaces
           << " of a block; accepted are 2 to " << kMostCopyGroups + 2;
  return shape;
}

GemmStages::GemmStages(ImplicitLocOpBuilder &b, FusedLinearOp op,
                       const GemmShape &shape, const LinearRows &rows)
    : b(b), op(op), shape(shape), rowsOfOp(rows) {
  for (Value weight : op.getWeights())
    arrays.emplace_back(b, weight);
}

Value GemmStages::warpRow() { return div(here().warp, shape.tokenWarps()); }
Value GemmStages::warpColumn() { return rem(here().warp, shape.tokenWarps()); }

Value GemmStages::add(Value p, Value q) {
  return arith::AddIOp::create(b, p, q);
}
Value GemmStages::add(Value p, int64_t q) { return addIndex(b, p, q); }
Value GemmStages::mul(Value p, int64_t q) {
  return arith::MulIOp::create(b, p, constIndex(b, q));
}
Value GemmStages::div(Value p, int64_t q) {
  return arith::DivUIOp::create(b, p, constIndex(b, q));
}
Value GemmStages::rem(Value p, int64_t q) {
  return arith::RemUIOp::create(b, p, constIndex(b, q));
}
Value GemmStages::flip(Value p, Value q) {
  return arith::XOrIOp::create(b, p, q);
}
Value GemmStages::least(Value p, Value q) {
  return q ? Value(arith::MinUIOp::create(b, p, q)) : p;
}

void GemmStages::addCopies(int64_t count, function_ref<Value(Value)> from,
                           std::function<Value(Value)> place, int64_t stride,
                           int64_t places, bool isWord) {
  for (int64_t first = 0; first < count; first += kGpuBlockThreads) {
    // The last thread's piece exists; who has none reads none.
    Value number = least(add(here().thread, first), constIndex(b, count - 1));
    copies.push_back(
        {from(number), first, count, place, stride, places, isWord});
  }
}

/// [panel][word][row]: a warp's threads take 4 rows of a word each, 16 bytes,
/// and a quarter of a warp the words l of rows 4 q to 4 q + 3 for 2 q and 4 l,
/// which are in all 32 banks if the pieces of word l are swapped by 2 l.
void GemmStages::addRowCopies() {
  int64_t words = shape.rowWords();
  auto from = [&](Value number) {
    Value piece = rem(number, 8), word = rem(div(number, 8), words);
    Value panel = div(number, 8 * words);
    Value group = add(mul(rem(panel, shape.panels()), 2), div(piece, 4));
    group = least(group, lastGroup);
    Value start = ofWeight(div(panel, shape.panels()), [&](LinearWeight &each) {
      return addressOfRow(b, shape.isFloat() ? each.elements : each.codes,
                          group);
    });
    return add(start, add(mul(word, 64), mul(rem(piece, 4), 16)));
  };
  auto place = [this](Value number) {
    Value piece = rem(number, 8), row = div(number, 8);
    Value swizzle = mul(rem(row, 4), 2); // words are 4 or 8
    return add(mul(row, GemmShape::kPanel), mul(flip(piece, swizzle), 4));
  };
  addCopies(shape.weights * shape.panels() * words * 8, from, place, words * 64,
            shape.weights * shape.rows * words);
}

void GemmStages::addScaleCopies(bool isMin, int64_t start) {
  int64_t groups = 2 * shape.panels();
  auto from = [&](Value number) {
    Value group = least(rem(div(number, 2), groups), lastGroup);
    Value own = ofWeight(div(number, 2 * groups), [&](LinearWeight &each) {
      return addressOfRow(b, isMin ? each.mins : each.scales, group);
    });
    return add(own, mul(rem(number, 2), 16));
  };
  auto place = [this, start](Value number) {
    return add(mul(number, 4), start);
  };
  addCopies(shape.weights * groups * 2, from, place, 32, 0);
}

Value GemmStages::ofWeight(Value number,
                           function_ref<Value(LinearWeight &)> f) {
  Value chosen = f(arrays.front());
  for (size_t i = 1; i < arrays.size(); ++i) {
    Value isOwn = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, number,
                                        constIndex(b, static_cast<int64_t>(i)));
    chosen = arith::SelectOp::create(b, isOwn, f(arrays[i]), chosen);
  }
  return chosen;
}

Value GemmStages::tokenSwizzle(Value token) {
  if (shape.tokenWords() == 8) // 4 tokens to 32 banks, a word a thread
    return rem(div(token, 4), 2);
  if (shape.isWide) // 2 tokens
    return rem(div(token, 2), 4);
  return mul(rem(div(token, 2), 2), 2); // 2, two words a thread, half a warp
}

void GemmStages::addTokenCopies() {
  int64_t words = shape.tokenWords(), pieces = words / 4;
  auto from = [&](Value number) {
    Value token = least(div(number, pieces), lastToken);
    return add(addressOfRow(b, op.getActs()[0], token),
               mul(rem(number, pieces), 16));
  };
  auto place = [this, words, pieces](Value number) {
    Value token = div(number, pieces);
    Value piece = flip(rem(number, pieces), tokenSwizzle(token));
    return add(add(mul(token, words), mul(piece, 4)), shape.tokenPlace());
  };
  addCopies(shape.tokens * pieces, from, place, words * 4,
            shape.tokens * words);
}

void GemmStages::addTokenScaleCopies() {
  auto from = [&](Value number) {
    Value token = least(rem(number, shape.tokens), lastToken);
    Value isScale = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, number,
                                          constIndex(b, shape.tokens));
    return arith::SelectOp::create(b, isScale,
                                   addressOfRow(b, op.getActs()[1], token),
                                   addressOfRow(b, op.getActs()[2], token))
        .getResult();
  };
  auto place = [this](Value number) {
    return add(number, shape.tokenScalePlace());
  };
  addCopies(2 * shape.tokens, from, place, 4, 0, /*isWord=*/true);
}

Value GemmStages::stageOf(Value step) {
  return mul(rem(step, shape.stages), shape.places());
}

void GemmStages::start(Value step) {
  Value stage = stageOf(step);
  for (const Copy &copy : copies) {
    OpBuilder::InsertionGuard guard(b);
    // 256 pieces further on, places are as many pieces further on.
    Value place = add(copy.place(here().thread), stage);
    place = add(place, copy.number * (copy.isWord ? 1 : 4));
    if (copy.count - copy.number < kGpuBlockThreads) {
      Value exists =
          arith::CmpIOp::create(b, arith::CmpIPredicate::ult, here().thread,
                                constIndex(b, copy.count - copy.number));
      auto branch = scf::IfOp::create(b, exists, /*withElseRegion=*/false);
      b.setInsertionPointToStart(branch.thenBlock());
    }
    Value from = add(copy.from, mul(step, shape.units * copy.stride));
    for (int64_t unit = 0; unit < shape.units; ++unit) {
      Value to = here().word(add(place, unit * copy.places));
      Value own = add(from, unit * copy.stride);
      if (copy.isWord)
        here().copyWord(to, own);
      else
        here().copy(to, own);
    }
  }
}

void GemmStages::begin() {
  team.emplace(b);
  lastToken = add(dimSize(b, op.getActs()[0], 0), -1);
  if (rowsOfOp.known % shape.rows != 0 || ShapedType::isDynamic(rowsOfOp.known))
    lastGroup = add(rowsOfOp.groups, -1);
  addRowCopies();
  if (!shape.isFloat()) {
    addScaleCopies(/*isMin=*/false, shape.scalePlace());
    if (shape.hasMins)
      addScaleCopies(/*isMin=*/true, shape.minPlace());
  }
  addTokenCopies();
  if (!shape.isFloat())
    addTokenScaleCopies();
  for (int64_t step = 0; step + 1 < shape.stages; ++step) {
    if (step < shape.steps)
      start(constIndex(b, step));
    here().copyCommit();
  }
}

Value GemmStages::next(Value step) {
  // All have done with the stage before, whose place is the next one's.
  team.emplace(b);
  here().copyWait(shape.stages - 2);
  here().sync();
  Value further = add(step, shape.stages - 1);
  Value exists = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, further,
                                       constIndex(b, shape.steps));
  {
    auto branch = scf::IfOp::create(b, exists, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    start(further);
  }
  here().copyCommit();
  return stageOf(step);
}

void GemmStages::end() {
  team.emplace(b);
  here().copyWait(0);
  here().sync();
}

Value GemmStages::panelOf(Value panel) {
  return add(mul(panel, shape.rowWarps()), warpRow());
}

SmallVector<Values> GemmStages::rows(Value stage, int64_t unit, int64_t panel) {
  int64_t words = shape.rowWords(), panelPlaces = words * GemmShape::kPanel;
  Value piece = flip(here().quad, mul(here().quadLane, 2));
  Value at = add(add(mul(here().quadLane, GemmShape::kPanel), mul(piece, 4)),
                 mul(warpRow(), panelPlaces));
  at = add(add(stage, at), unit * shape.weights * shape.rows * words +
                               panel * shape.rowWarps() * panelPlaces);
  Values low = here().words(at, 4), high;
  if (shape.element == ElementKind::q4) {
    Value nibbles = here().i32(0x0f0f0f0f);
    for (Value &both : low) {
      Value upper = arith::ShRUIOp::create(b, both, here().i32(4));
      high.push_back(arith::AndIOp::create(b, upper, nibbles));
      both = arith::AndIOp::create(b, both, nibbles);
    }
  } else {
    high = here().words(add(at, 4 * GemmShape::kPanel), 4);
  }
  return {{low[0], low[1], high[0], high[1]},
          {low[2], low[3], high[2], high[3]}};
}

Values GemmStages::rowScales(Value stage, int64_t panel, bool isMin) {
  constexpr int64_t kWords = GemmShape::kPanel / 2;
  Value at = add(mul(here().quad, 2), mul(warpRow(), kWords));
  return here().words(
      add(add(stage, at), (isMin ? shape.minPlace() : shape.scalePlace()) +
                              panel * shape.rowWarps() * kWords),
      2);
}

Value GemmStages::tokenAt(Value stage, int64_t unit, int64_t tile) {
  int64_t words = shape.tokenWords();
  Value token = add(mul(warpColumn(), shape.warpTokens()), here().quad);
  return add(add(stage, mul(token, words)),
             shape.tokenPlace() + (unit * shape.tokens + tile * 8) * words);
}

Values GemmStages::words(Value stage, int64_t unit, int64_t tile,
                         int64_t part) {
  Value at = add(tokenAt(stage, unit, tile), here().quadLane);
  Value swizzle = tokenSwizzle(here().quad);
  Values two;
  for (int64_t half = 0; half < 2; ++half) {
    Value piece = flip(constIndex(b, 2 * part + half), swizzle);
    llvm::append_range(two, here().words(add(at, mul(piece, 4)), 1));
  }
  return two;
}

Values GemmStages::floats(Value stage, int64_t tile) {
  Value at = add(tokenAt(stage, 0, tile), mul(rem(here().quadLane, 2), 2));
  Value swizzle = tokenSwizzle(here().quad), piece = div(here().quadLane, 2);
  Values four;
  for (int64_t half = 0; half < 2; ++half) {
    Value own = flip(add(piece, 2 * half), swizzle);
    llvm::append_range(four, here().words(add(at, mul(own, 4)), 2));
  }
  return four;
}

Values GemmStages::tokenScales(Value stage, int64_t tile, int64_t which) {
  Value at =
      add(mul(warpColumn(), shape.warpTokens()), mul(here().quadLane, 2));
  return here().words(add(add(stage, at), shape.tokenScalePlace() +
                                              which * shape.tokens + tile * 8),
                      2);
}
