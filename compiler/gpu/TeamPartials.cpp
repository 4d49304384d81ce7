// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/gpu/TeamPartials.h"

#include "compiler/gpu/TeamBuilder.h"
#include "compiler/target/GpuTarget.h"
#include "compiler/vector/AttentionBuilder.h"

#include <numeric>

using namespace mlir;
using namespace cria;

namespace {

/// Loads that are on their way at once, of 32 bytes a group: 16 groups, or the
/// 4 to 8 that have columns of values, then have 8 or 2 to 4 KB.
constexpr int64_t kLoads = 16;

/// Query heads of a kv head: registers, and 8 of the team's 48 KB for scores.
constexpr int64_t kMostHeads = 8;
static_assert(kMostHeads * CriaDialect::kChunkTokens <= kTeamPlaces);

class Emitter : AttentionBuilder {
public:
  explicit Emitter(AttentionPartialsOp op)
      : AttentionBuilder(op, op.getHeadDim(), op.getWindow()), op(op), team(b),
        ratio(op.getHeads() / op.getKvHeads()) {}

  void emit();

private:
  static constexpr int64_t kChunk = kPage * kChunkPages;

  /// Of the team's memory: a score, later p, of a query head of the kv head.
  Value place(Value head, Value position) {
    return add(mul(head, kChunk), position);
  }
  Value physicalPage(Value page) {
    return loadIndex(op.getTables(), {sequence, page});
  }
  void when(Value condition, function_ref<void()> f) {
    auto branch = scf::IfOp::create(b, condition, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    f();
  }
  Value isBelow(Value x, int64_t y) {
    return cmp(arith::CmpIPredicate::slt, x, idx(y));
  }

  void emitChunk(Value kvHead, Value chunk, Value slot);
  void emitScores(Value kvHead, Value block);
  void emitSums(Value kvHead, Value slot);
  void emitValues(Value kvHead, Value from, Value to, Value slot);

  AttentionPartialsOp op;
  TeamBuilder team;
  int64_t ratio;
  Value token, position, sequence, chunkStart;
};

} // namespace

void Emitter::emit() {
  Value tokens = memref::DimOp::create(b, op.getQ(), 0);
  loop(idx(0), tokens, 1, [&](Value row) {
    token = row;
    position = loadIndex(op.getPositions(), row);
    sequence = loadIndex(op.getSequences(), row);
    loop(idx(0), idx(op.getKvHeads()), 1, [&](Value kvHead) {
      Value begin = add(div(lowest(position), kChunk), op.getFirst());
      Value slots = memref::DimOp::create(b, op.getInit(), 2);
      Value end = minIndex(add(begin, slots), add(div(position, kChunk), 1));
      loop(begin, end, 1,
           [&](Value chunk) { emitChunk(kvHead, chunk, sub(chunk, begin)); });
    });
  });
}

void Emitter::emitChunk(Value kvHead, Value chunk, Value slot) {
  chunkStart = mul(chunk, kChunk);
  Value end = minIndex(add(chunkStart, kChunk), add(position, 1));
  Value from = maxIndex(chunkStart, lowest(position));
  // Whole blocks of 16 that the token sees some of.
  Value firstBlock = div(sub(from, chunkStart), kLanes);
  Value lastBlock = div(sub(sub(end, idx(1)), chunkStart), kLanes);
  Value isSeen = arith::AndIOp::create(
      b, cmp(arith::CmpIPredicate::sge, team.group, firstBlock),
      cmp(arith::CmpIPredicate::sle, team.group, lastBlock));
  auto branch = scf::IfOp::create(b, isSeen, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    emitScores(kvHead, team.group);
    b.setInsertionPointToStart(branch.elseBlock());
    Value at = add(mul(team.group, kLanes), team.lane);
    loop(idx(0), idx(ratio), 1, [&](Value head) {
      team.put(place(head, at), f32(-kInfinity, b.getF32Type()));
    });
  }
  team.sync();
  emitSums(kvHead, slot);
  team.sync();
  emitValues(kvHead, from, end, slot);
  team.sync(); // before the next chunk's scores
}

/// Scores of 16 positions for all heads.
void Emitter::emitScores(Value kvHead, Value block) {
  Value start = add(chunkStart, mul(block, kLanes));
  Value physical = physicalPage(div(start, kPage));
  Value inPage = arith::RemUIOp::create(b, block, idx(kPage / kLanes));
  Value firstHead = mul(kvHead, ratio);
  int64_t unroll = std::gcd(headDim, kLoads);
  Values sums =
      loop(idx(0), idx(headDim), unroll, Values(ratio, vec(0.0)),
           [&](Value first, ValueRange carried) {
             Values acc(carried), keys;
             for (int64_t u = 0; u < unroll; ++u)
               keys.push_back(
                   loadVector(op.getKeys(), {op.getLayer(), physical, kvHead,
                                             inPage, add(first, u), idx(0)}));
             for (int64_t u = 0; u < unroll; ++u)
               for (int64_t head = 0; head < ratio; ++head) {
                 Value column =
                     add(mul(add(firstHead, head), headDim), add(first, u));
                 acc[head] = fma(keys[u],
                                 loadSplat(op.getQ(), {token, column}, vecType),
                                 acc[head]);
               }
             return acc;
           });
  std::optional<double> softcap;
  if (op.getSoftcap())
    softcap = op.getSoftcap()->convertToDouble();
  Value seen = sees(position, sixteenFrom(start));
  Value factor = vec(op.getScale().convertToDouble());
  Value at = add(mul(block, kLanes), team.lane);
  for (int64_t head = 0; head < ratio; ++head) {
    Value s = capped(fmul(sums[head], factor), softcap);
    s = addByDistance(s, op.getSlopes(), op.getBias(), add(firstHead, head),
                      position, start);
    s = arith::SelectOp::create(b, seen, s, vec(-kInfinity));
    team.put(place(idx(head), at), team.scalar(s));
  }
}

/// Scores to p, a head a group; sums and maxima to the partials.
void Emitter::emitSums(Value kvHead, Value slot) {
  loop(team.group, idx(ratio), kGpuTeam, [&](Value head) {
    Values scores;
    Value most;
    for (int64_t i = 0; i < kChunk / kLanes; ++i) {
      Value at = add(team.lane, i * kLanes);
      scores.push_back(team.lanes(team.get(place(head, at))));
      most = most ? fmax(most, scores.back()) : scores.back();
    }
    Value m = reduce(most, [&](Value x, Value y) { return fmax(x, y); });
    Value all = broadcast(m, vecType), sum = vec(0.0);
    for (int64_t i = 0; i < kChunk / kLanes; ++i) {
      Value p = expNonPositive(fsub(scores[i], all));
      sum = fadd(sum, p);
      team.put(place(head, add(team.lane, i * kLanes)), team.scalar(p));
    }
    Value row = add(mul(kvHead, ratio), head);
    storeVector(sum, op.getInit(), {token, row, slot, idx(headDim)});
    memref::StoreOp::create(
        b, m, op.getInit(),
        ValueRange{token, row, slot, idx(headDim + kLanes)});
  });
}

/// The sum of p times values at positions [from, to), 16 columns a group.
void Emitter::emitValues(Value kvHead, Value from, Value to, Value slot) {
  when(isBelow(team.group, headDim / kLanes), [&] {
    Value column = mul(team.group, kLanes);
    auto addPositions = [&](Value first, int64_t count, ValueRange carried) {
      Values acc(carried), values;
      for (int64_t u = 0; u < count; ++u) {
        Value t = add(first, u);
        values.push_back(
            loadVector(op.getValues(),
                       {op.getLayer(), physicalPage(div(t, kPage)), kvHead,
                        arith::RemUIOp::create(b, t, idx(kPage)), column}));
      }
      for (int64_t u = 0; u < count; ++u)
        for (int64_t head = 0; head < ratio; ++head) {
          Value at = sub(add(first, u), chunkStart);
          Value p = team.get(place(idx(head), at));
          acc[head] = fma(team.lanes(p), values[u], acc[head]);
        }
      return acc;
    };
    Value rest = arith::RemUIOp::create(b, sub(to, from), idx(kLoads));
    Value whole = sub(to, rest);
    Values sums = loop(from, whole, kLoads, Values(ratio, vec(0.0)),
                       [&](Value t, ValueRange carried) {
                         return addPositions(t, kLoads, carried);
                       });
    sums = loop(whole, to, 1, sums, [&](Value t, ValueRange carried) {
      return addPositions(t, 1, carried);
    });
    for (int64_t head = 0; head < ratio; ++head)
      storeVector(sums[head], op.getInit(),
                  {token, add(mul(kvHead, ratio), head), slot, column});
  });
}

bool cria::isForTeam(AttentionPartialsOp op) {
  int64_t headDim = op.getHeadDim(), ratio = op.getHeads() / op.getKvHeads();
  Type element = cast<ShapedType>(op.getKeys().getType()).getElementType();
  return !element.isInteger() && headDim % CriaDialect::kLanes == 0 &&
         headDim / CriaDialect::kLanes <= kGpuTeam &&
         CriaDialect::kChunkTokens == kGpuTeam * CriaDialect::kLanes &&
         ratio <= kMostHeads;
}

void cria::emitTeamPartials(AttentionPartialsOp op) { Emitter(op).emit(); }
