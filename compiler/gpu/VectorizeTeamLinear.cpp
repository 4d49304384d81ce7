// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.fused_linear of a team: the warps of a block each take a slice of K of
// the same 16 rows, with products of tensor cores, and the slices' sums are
// added in their order.

#include "compiler/Passes.h"
#include "compiler/gpu/FetchAhead.h"
#include "compiler/gpu/TeamBuilder.h"
#include "compiler/target/GpuTarget.h"
#include "compiler/vector/LinearEpilogue.h"
#include "compiler/vector/LinearOperands.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

#include <optional>

namespace cria {
#define GEN_PASS_DEF_VECTORIZETEAMLINEAR
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// Emits the loops for one fused_linear.
class TeamLinear {
public:
  TeamLinear(ImplicitLocOpBuilder &b, FusedLinearOp op, bool isDecode)
      : b(b), op(op), isDecode(isDecode), weight(op.getWeightType()), team(b),
        rows(b, op), isFloat(!weight.isQuantized()),
        isWide(!isFloat && hasWideCodes(op)) {
    for (Value w : op.getWeights())
      weights.emplace_back(b, w);
    steps = llvm::divideCeil(weight.getK(), isFloat ? kColumns / 2 : kColumns);
    sliceSteps = llvm::divideCeil(steps, kGpuSlices);
  }

  void emit();

private:
  /// Columns of K that a product has: 32 bytes of codes, or 16 bf16.
  static constexpr int64_t kColumns = 32;
  /// Tokens of a product.
  static constexpr int64_t kTokens = 8;

  /// What a thread reads of 2 rows of a step of K, as it lies in memory.
  using Raw = SmallVector<Value>;

  Value add(Value p, Value q) { return arith::AddIOp::create(b, p, q); }
  Value mul(Value p, int64_t q) {
    return arith::MulIOp::create(b, p, constIndex(b, q));
  }
  Value least(Value p, Value q) { return arith::MinUIOp::create(b, p, q); }

  void emitTile(Value group, Value from, int64_t tiles);
  SmallVector<Value> sumSlice(Value group);
  Raw load(Value group, Value step);
  SmallVector<Value> addStep(Value step, ArrayRef<Value> raw, ValueRange sums);
  void addCodes(Value block, ArrayRef<Value> raw, size_t tile,
                MutableArrayRef<Value> sums);
  SmallVector<Value> addHalves(ArrayRef<Value> raw, size_t tile, Value block,
                               ArrayRef<Value> high, ArrayRef<Value> low);
  std::pair<Value, Value> subscales(Value word, std::pair<Value, Value> factor);
  void addFloats(Value step, ArrayRef<Value> raw, size_t tile,
                 MutableArrayRef<Value> sums);
  SmallVector<SmallVector<Value>> operandParts(ArrayRef<Value> raw);
  SmallVector<Value> operandA(ArrayRef<Value> raw);
  /// Of a weight.
  int64_t rawWords() const {
    return weight.getElement() == ElementKind::q4 ? 2 : 4;
  }
  int64_t rawCount() const {
    return rawWords() + (isFloat ? 0 : isSix() ? 3 : weights[0].mins ? 2 : 1);
  }
  bool isSix() const { return weight.getElement() == ElementKind::q6; }

  ImplicitLocOpBuilder &b;
  FusedLinearOp op;
  bool isDecode;
  WeightType weight;
  TeamBuilder team;
  LinearRows rows;
  bool isFloat, isWide;
  SmallVector<LinearWeight> weights;
  int64_t steps, sliceSteps;
  /// Of the tile at hand.
  SmallVector<Value> rowTokens;                      // a product's column quad
  SmallVector<std::pair<Value, Value>> columnTokens; // what a thread adds to
};

} // namespace

void TeamLinear::emit() {
  // Products of a pass over the weights, each of 8 tokens: 4 sums of a thread.
  // 8 of them spill: ptxas has the addresses of all kernels to keep as well.
  int64_t most = isDecode ? 1 : 4 / static_cast<int64_t>(weights.size());
  Value zero = constIndex(b, 0), n = dimSize(b, op.getActs()[0], 0);
  buildLoop(b, zero, rows.groups, 1, {}, [&](Value group, ValueRange) {
    Value from = zero;
    for (int64_t tiles : {most, int64_t(1)}) {
      Value to = n;
      if (tiles > 1) {
        Value rest =
            arith::RemUIOp::create(b, n, constIndex(b, tiles * kTokens));
        to = arith::SubIOp::create(b, n, rest);
      }
      buildLoop(b, from, to, tiles * kTokens, {}, [&](Value first, ValueRange) {
        emitTile(group, first, tiles);
        return SmallVector<Value>();
      });
      from = to;
      if (most == 1)
        break;
    }
    return SmallVector<Value>();
  });
}

/// 16 rows of `tiles` products' tokens.
void TeamLinear::emitTile(Value group, Value from, int64_t tiles) {
  Value n = dimSize(b, op.getActs()[0], 0), one = constIndex(b, 1);
  Value last = arith::SubIOp::create(b, n, one);
  rowTokens.clear();
  columnTokens.clear();
  // Columns past the last token are copies of it: in a tile of one product,
  // as the others are whole.
  auto exists = [&](Value token) {
    return tiles > 1 ? token : least(token, last);
  };
  Value row = add(from, team.quad), column = add(from, mul(team.quadLane, 2));
  for (int64_t tile = 0; tile < tiles; ++tile) {
    rowTokens.push_back(exists(addIndex(b, row, tile * kTokens)));
    columnTokens.push_back({exists(addIndex(b, column, tile * kTokens)),
                            exists(addIndex(b, column, tile * kTokens + 1))});
  }
  SmallVector<Value> sums = sumSlice(group);

  // [weight][slice][token][row] of the team's memory.
  int64_t tokens = tiles * kTokens;
  auto place = [&](size_t w, Value slice, Value token, Value row) {
    Value at =
        add(mul(add(slice, constIndex(b, w * kGpuSlices)), tokens), token);
    return add(mul(at, kLanes), row);
  };
  for (size_t w = 0; w < weights.size(); ++w)
    for (int64_t i = 0; i < 4 * tiles; ++i) {
      Value token = addIndex(b, mul(team.quadLane, 2), i / 4 * kTokens + i % 2);
      Value row = addIndex(b, mul(team.quad, 2), i / 2 % 2);
      team.put(place(w, team.warp, token, row), sums[w * 4 * tiles + i]);
    }
  team.sync();
  Value lane = mul(group, kLanes), mask = rows.mask(b, lane);
  Value left = arith::SubIOp::create(b, n, from);
  int64_t slices = llvm::divideCeil(steps, sliceSteps);
  buildLoop(b, team.group, least(left, constIndex(b, tokens)), kGpuTeam, {},
            [&](Value token, ValueRange) {
              SmallVector<Value> accumulators;
              for (size_t w = 0; w < weights.size(); ++w) {
                Value sum;
                for (int64_t s = 0; s < slices; ++s) {
                  Value part =
                      team.get(place(w, constIndex(b, s), token, team.lane));
                  sum = sum ? Value(arith::AddFOp::create(b, sum, part)) : part;
                }
                accumulators.push_back(team.lanes(sum));
              }
              emitEpilogue(b, op, add(from, token), lane, mask, rows.count,
                           accumulators);
              return SmallVector<Value>();
            });
  team.sync(); // before the next tile's sums
}

/// The sums over the warp's slice of K; by weight, product and the four of a
/// thread.
SmallVector<Value> TeamLinear::sumSlice(Value group) {
  Value end = constIndex(b, steps);
  Value from = least(mul(team.warp, sliceSteps), end);
  Value to = least(addIndex(b, from, sliceSteps), end);
  SmallVector<Value> sums(
      weights.size() * 4 * rowTokens.size(),
      arith::ConstantOp::create(b, b.getF32FloatAttr(0.0f)));
  // While products are made of some steps, the next ones are on their way.
  int64_t perStep = rawCount() * static_cast<int64_t>(weights.size());
  int64_t together = std::min<int64_t>(rowTokens.size() > 1 ? 2 : 8,
                                       llvm::PowerOf2Ceil(sliceSteps + 1) / 2);
  int64_t most = isDecode ? kGpuLoadsAhead : kGpuBatchLoadsAhead;
  while (together > 1 && together * perStep > most)
    together /= 2;
  Value whole = from;
  if (together > 1) {
    Value count = arith::SubIOp::create(b, to, from);
    Value rest = arith::RemUIOp::create(b, count, constIndex(b, together));
    whole = arith::SubIOp::create(b, to, rest);
    // What is past the slice is not used, and must only exist.
    Value last = constIndex(b, steps - together);
    SmallVector<Value> carried(sums);
    for (int64_t i = 0; i < together; ++i)
      llvm::append_range(carried,
                         load(group, addIndex(b, least(from, last), i)));
    SmallVector<Value> results = buildLoop(
        b, from, whole, together, carried, [&](Value step, ValueRange before) {
          SmallVector<Value> next;
          SmallVector<Value> now(before.take_front(sums.size()));
          Value at = least(addIndex(b, step, together), last);
          for (int64_t i = 0; i < together; ++i) {
            SmallVector<Value> raw(
                before.slice(now.size() + i * perStep, perStep));
            now = addStep(addIndex(b, step, i), raw, now);
            // Into the registers that are free now.
            llvm::append_range(next, load(group, addIndex(b, at, i)));
          }
          llvm::append_range(now, next);
          return now;
        });
    sums.assign(results.begin(), results.begin() + sums.size());
  }
  return buildLoop(b, whole, to, 1, sums, [&](Value step, ValueRange before) {
    return addStep(step, load(group, step), before);
  });
}

/// A step of all weights, as addStep takes it.
TeamLinear::Raw TeamLinear::load(Value group, Value step) {
  Raw raw;
  for (const LinearWeight &w : weights) {
    if (weight.getElement() == ElementKind::f16) {
      // A column's 16 rows do.
      Value column = add(mul(step, kColumns / 2), mul(team.quadLane, 2));
      for (int64_t further : {0, 1, 8, 9})
        llvm::append_range(raw,
                           team.loadWords(w.elements,
                                          {group, addIndex(b, column, further),
                                           mul(team.quad, 2)},
                                          2));
      continue;
    }
    if (isFloat) {
      // Pairs of 16 rows lie side by side.
      Value pair = add(mul(step, kColumns / 4), team.quadLane);
      for (int64_t further : {0, 4})
        llvm::append_range(raw,
                           team.loadWords(w.elements,
                                          {group, addIndex(b, pair, further),
                                           mul(team.quad, 4)},
                                          4));
      continue;
    }
    // So do words of four codes; of q4 a byte has one of word l and one of
    // word l + 4. Of q6 their high bits are in one more, of even or odd words.
    SmallVector<Value> words{team.quadLane};
    if (isSix())
      words.push_back(addIndex(
          b, arith::RemUIOp::create(b, team.quadLane, constIndex(b, 2)), 4));
    else if (rawWords() == 4)
      words.push_back(addIndex(b, team.quadLane, 4));
    for (Value word : words)
      llvm::append_range(
          raw,
          team.loadWords(w.codes, {group, step, word, mul(team.quad, 8)}, 8));
    if (isSix()) {
      Value blocks = constIndex(b, CriaDialect::kSuperBlock / kColumns);
      Value super = arith::DivUIOp::create(b, step, blocks);
      llvm::append_range(
          raw, team.loadWords(w.scales, {group, super, mul(team.quad, 2)}, 2));
      // Of 4 rows, which two quads share.
      Value four =
          mul(arith::DivUIOp::create(b, team.quad, constIndex(b, 2)), 4);
      for (int64_t half : {0, 1})
        llvm::append_range(
            raw, team.loadWords(w.subscales,
                                {group, step, constIndex(b, half), four}, 4));
      continue;
    }
    for (Value each : {w.scales, w.mins})
      if (each)
        llvm::append_range(
            raw, team.loadWords(each, {group, step, mul(team.quad, 2)}, 2));
  }
  return raw;
}

SmallVector<Value> TeamLinear::addStep(Value step, ArrayRef<Value> raw,
                                       ValueRange sums) {
  SmallVector<Value> next(sums);
  for (size_t tile = 0; tile < rowTokens.size(); ++tile)
    if (isFloat)
      addFloats(step, raw, tile, next);
    else
      addCodes(step, raw, tile, next);
  return next;
}

/// The thread's part of the rows of a product.
SmallVector<Value> TeamLinear::operandA(ArrayRef<Value> raw) {
  if (weight.getElement() == ElementKind::q8 || isFloat)
    return SmallVector<Value>(raw.take_front(4));
  SmallVector<Value> words;
  Value nibbles = team.i32(0x0f0f0f0f);
  for (int64_t shift : {0, 4})
    for (Value both : raw.take_front(2)) {
      if (shift)
        both = arith::ShRUIOp::create(b, both, team.i32(shift));
      words.push_back(arith::AndIOp::create(b, both, nibbles));
    }
  if (!isSix())
    return words;
  // Two bits each, those of word l from bit l / 2 * 2 on, of word l + 4 four
  // bits further.
  Value first =
      mul(arith::DivUIOp::create(b, team.quadLane, constIndex(b, 2)), 2);
  for (auto [i, word] : llvm::enumerate(words)) {
    Value from = team.word(addIndex(b, first, i < 2 ? 0 : 4));
    Value bits = arith::ShRUIOp::create(b, raw[2 + i % 2], from);
    bits = arith::AndIOp::create(b, bits, team.i32(0x03030303));
    bits = arith::ShLIOp::create(b, bits, team.i32(4));
    word = arith::OrIOp::create(b, word, bits);
  }
  return words;
}

/// The f32 of two rows' bytes.
std::pair<Value, Value> TeamLinear::subscales(Value word,
                                              std::pair<Value, Value> factor) {
  Value odd = arith::RemUIOp::create(b, team.quad, constIndex(b, 2));
  Value two = arith::ShRUIOp::create(b, word, team.word(mul(odd, 16)));
  auto scale = [&](int64_t left, Value factor) -> Value {
    Value byte = arith::ShRSIOp::create(
        b, arith::ShLIOp::create(b, two, team.i32(left)), team.i32(24));
    return arith::MulFOp::create(
        b, arith::SIToFPOp::create(b, b.getF32Type(), byte), factor);
  };
  Value first = scale(24, factor.first);
  return {first, scale(16, factor.second)};
}

/// Of q6, whose halves of a block have scales of their own: their sum, before
/// it is scaled by the token's. A half is a product of which the other one's
/// codes are 0.
SmallVector<Value> TeamLinear::addHalves(ArrayRef<Value> raw, size_t tile,
                                         Value block, ArrayRef<Value> high,
                                         ArrayRef<Value> low) {
  SmallVector<Value> a = operandA(raw), values;
  Value zero = team.i32(0);
  auto factor = team.halves(raw[rawWords()], b.getF16Type());
  for (int64_t half : {0, 1}) {
    SmallVector<Value> own(4, zero);
    own[2 * half] = a[2 * half];
    own[2 * half + 1] = a[2 * half + 1];
    Value at = addIndex(b, mul(block, 2), half);
    SmallVector<Value> start;
    for (Value token : {columnTokens[tile].first, columnTokens[tile].second})
      start.push_back(
          memref::LoadOp::create(b, op.getActs()[2], ValueRange{token, at}));
    llvm::append_range(start, SmallVector<Value>(start));
    if (isWide) {
      SmallVector<Value> dots = team.mma(TeamBuilder::Product::u8s8, own, high,
                                         {zero, zero, zero, zero});
      for (auto [dot, more] : llvm::zip_equal(dots, start))
        more = add(arith::ShLIOp::create(b, dot, team.i32(8)), more);
    }
    SmallVector<Value> dots =
        team.mma(TeamBuilder::Product::u8s8, own, low, start);
    auto scales = subscales(raw[rawWords() + 1 + half], factor);
    for (auto [i, dot] : llvm::enumerate(dots)) {
      Value scale = i < 2 ? scales.first : scales.second;
      Value value = arith::SIToFPOp::create(b, b.getF32Type(), dot);
      if (half == 0)
        values.push_back(arith::MulFOp::create(b, value, scale));
      else
        values[i] = math::FmaOp::create(b, value, scale, values[i]);
    }
  }
  return values;
}

/// A block of 32 columns: integers are exact, and then as on a CPU.
void TeamLinear::addCodes(Value block, ArrayRef<Value> raw, size_t tile,
                          MutableArrayRef<Value> sums) {
  constexpr int64_t kWords = kColumns / 4;
  Value first = mul(block, isWide ? 2 * kWords : kWords);
  auto words = [&](int64_t from) {
    SmallVector<Value> two;
    for (int64_t further : {0, 4})
      two.push_back(memref::LoadOp::create(
          b, op.getActs()[0],
          ValueRange{rowTokens[tile],
                     addIndex(b, add(first, team.quadLane), from + further)}));
    return two;
  };
  SmallVector<Value> high, low;
  if (isWide)
    high = words(0);
  low = words(isWide ? kWords : 0);
  Value left = columnTokens[tile].first, right = columnTokens[tile].second;
  auto ofColumns = [&](int64_t part) -> std::pair<Value, Value> {
    Value acts = op.getActs()[part];
    Value one = memref::LoadOp::create(b, acts, ValueRange{left, block});
    return {one, memref::LoadOp::create(b, acts, ValueRange{right, block})};
  };
  auto scaleA = ofColumns(1);
  if (isSix()) {
    for (size_t w = 0; w < weights.size(); ++w) {
      SmallVector<Value> values = addHalves(
          raw.slice(w * rawCount(), rawCount()), tile, block, high, low);
      for (auto [i, value] : llvm::enumerate(values)) {
        Value &sum = sums[(w * rowTokens.size() + tile) * 4 + i];
        sum = math::FmaOp::create(b, value,
                                  i % 2 ? scaleA.second : scaleA.first, sum);
      }
    }
    return;
  }
  auto offset = ofColumns(2);
  bool hasMins = weights[0].mins != nullptr;
  Value zero = team.i32(0);
  for (size_t w = 0; w < weights.size(); ++w) {
    ArrayRef<Value> own = raw.slice(w * rawCount(), rawCount());
    SmallVector<Value> a = operandA(own);
    SmallVector<Value> start(4, zero);
    if (!hasMins)
      start = {offset.first, offset.second, offset.first, offset.second};
    if (isWide) {
      // High bytes count 256; the low ones go on top.
      SmallVector<Value> dots = team.mma(TeamBuilder::Product::u8s8, a, high,
                                         {zero, zero, zero, zero});
      for (auto [dot, more] : llvm::zip_equal(dots, start))
        more = add(arith::ShLIOp::create(b, dot, team.i32(8)), more);
    }
    SmallVector<Value> dots =
        team.mma(TeamBuilder::Product::u8s8, a, low, start);
    auto scales = team.halves(own[rawWords()], b.getF16Type());
    std::pair<Value, Value> mins;
    if (hasMins)
      mins = team.halves(own[rawWords() + 1], b.getF16Type());
    for (auto [i, dot] : llvm::enumerate(dots)) {
      Value &sum = sums[(w * rowTokens.size() + tile) * 4 + i];
      Value ofA = i % 2 ? scaleA.second : scaleA.first;
      Value scale =
          arith::MulFOp::create(b, i < 2 ? scales.first : scales.second, ofA);
      Value value = arith::SIToFPOp::create(b, b.getF32Type(), dot);
      sum = math::FmaOp::create(b, value, scale, sum);
      if (hasMins)
        sum = math::FmaOp::create(b, i < 2 ? mins.first : mins.second,
                                  i % 2 ? offset.second : offset.first, sum);
    }
  }
}

/// The bf16 that the weights are the sum of, the largest first: of f16, whose
/// 11 bits are 8 and 3, two.
SmallVector<SmallVector<Value>> TeamLinear::operandParts(ArrayRef<Value> raw) {
  if (weight.getElement() == ElementKind::bf16)
    return {operandA(raw)};
  SmallVector<Value> bits;
  for (int64_t pair : {0, 2}) {
    auto even = team.halves(raw[pair], b.getF16Type());
    auto odd = team.halves(raw[pair + 1], b.getF16Type());
    for (Value value : {even.first, odd.first, even.second, odd.second})
      bits.push_back(arith::BitcastOp::create(b, b.getI32Type(), value));
  }
  auto parts = team.split(bits); // the third is 0
  return {parts[0], parts[1]};
}

/// 16 columns. An f32 is a sum of three bf16, and products of bf16 are exact in
/// f32: all of them, the smallest first.
void TeamLinear::addFloats(Value step, ArrayRef<Value> raw, size_t tile,
                           MutableArrayRef<Value> sums) {
  Value column = add(mul(step, kColumns / 2), mul(team.quadLane, 2));
  SmallVector<Value> bits;
  for (int64_t further : {0, 8})
    llvm::append_range(
        bits,
        team.loadWords(op.getActs()[0],
                       {rowTokens[tile], addIndex(b, column, further)}, 2));
  auto parts = team.split(bits);
  for (size_t w = 0; w < weights.size(); ++w) {
    MutableArrayRef<Value> four =
        sums.slice((w * rowTokens.size() + tile) * 4, 4);
    auto own = operandParts(raw.slice(w * rawCount(), rawCount()));
    for (SmallVector<Value> &part : llvm::reverse(parts))
      for (SmallVector<Value> &a : llvm::reverse(own))
        llvm::copy(team.mma(TeamBuilder::Product::bf16, a, part, four),
                   four.begin());
  }
}

namespace {

struct VectorizeTeamLinear
    : cria::impl::VectorizeTeamLinearBase<VectorizeTeamLinear> {
  void runOnOperation() override {
    SmallVector<FusedLinearOp> ops;
    getOperation().walk([&](FusedLinearOp op) {
      if (op->hasAttr(kTeamAttr) && !op->hasAttr(kGemmAttr))
        ops.push_back(op);
    });
    // While the ops are there to say what comes next.
    fetchAhead(ops);
    for (FusedLinearOp op : ops) {
      if (failed(checkBufferized(op)) || failed(checkLinear(op)))
        return signalPassFailure();
      auto groups = op->getAttrOfType<IntegerAttr>(kTeamAttr);
      if (!groups || groups.getInt() != kGpuTeam) {
        op.emitOpError() << kTeamAttr << " is " << op->getAttr(kTeamAttr)
                         << "; a team has " << kGpuTeam << " groups";
        return signalPassFailure();
      }
      auto func = op->getParentOfType<FunctionOpInterface>();
      auto version = func->getAttrOfType<StringAttr>("cria.version");
      bool decode = version && version.getValue() == "decode";
      // With more tokens, products take longer than the weights' way.
      if (decode)
        fetchNextTask(op);
      ImplicitLocOpBuilder b(op.getLoc(), op);
      TeamLinear(b, op, decode).emit();
      op.erase();
    }
  }
};

} // namespace
