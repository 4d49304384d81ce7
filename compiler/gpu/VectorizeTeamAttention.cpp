// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Flash attention (Dao 2023, algorithm 1) by the warps of a block. A row is one
// token's query head; a warp has 16 rows of one kv head, or some columns of
// their output. For each chunk of 256 positions, ascending, and each step of it
// (64 positions, of wide heads fewer: gpu/AttentionTiles.h):
//
//   s = Q K                      m16n8k16, q rounded after it is scaled
//   m' = max(m, max s), f = exp(m - m'), p = exp(s - m')
//   l = l f + sum of p,  o = o f + P V      m16n8k16, p rounded
//
// and then M, L, O from m, l, o as in cria-vectorize-attention-merge. A row's
// numbers do not depend on the others': each is the same chain of instructions
// whatever the tile, and a step or chunk of which a row sees nothing leaves its
// numbers as they are: f = exp(0) = 1 and all p = 0, or, before the first
// position that it sees, f = 0 and zeros.

#include "compiler/Passes.h"
#include "compiler/gpu/TeamAttention.h"
#include "compiler/gpu/TeamAttentionKernel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace cria {
#define GEN_PASS_DEF_VECTORIZETEAMATTENTION
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;
using namespace cria::tiles;

//===----------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------===//

/// Tiles of consecutive positions of one sequence.
void TeamAttentionKernel::emitTokens() {
  Value tokens = word(memref::DimOp::create(b, q, 0));
  Split wide = *wideSplit(headDim), narrow = narrowSplit(headDim);
  bool isSingle = cast<MemRefType>(q.getType()).getDimSize(0) == 1;
  loop(idx(0), idx(kvHeads), 1, [&](Value kvHead) {
    if (isSingle) {
      emitTile(ratio <= kRows ? narrow : wide, i32(0), i32(1), kvHead, {}, {});
      return;
    }
    auto whileOp =
        scf::WhileOp::create(b, TypeRange{i32Type}, ValueRange{i32(0)});
    OpBuilder::InsertionGuard guard(b);
    Block *before =
        b.createBlock(&whileOp.getBefore(), {}, i32Type, b.getLoc());
    scf::ConditionOp::create(
        b, cmp(arith::CmpIPredicate::slt, before->getArgument(0), tokens),
        before->getArguments());
    Block *after = b.createBlock(&whileOp.getAfter(), {}, i32Type, b.getLoc());
    Value row = after->getArgument(0);
    Value run = emitRun(row, tokens, wide.rows() / ratio);
    auto tile = [&](Split split) { emitTile(split, row, run, kvHead, {}, {}); };
    if (ratio > kRows || narrow.parts == wide.parts) {
      tile(wide);
    } else {
      Value isNarrow =
          cmp(arith::CmpIPredicate::sle, mul(run, ratio), i32(kRows));
      when(
          isNarrow, {}, [&] { return tile(narrow), Values(); },
          [&] { return tile(wide), Values(); });
    }
    scf::YieldOp::create(b, add(row, run));
  });
}

/// How many tokens from this one on, up to `most`, are consecutive positions of
/// one sequence: the threads look at one each, and then at what they found.
Value TeamAttentionKernel::emitRun(Value row, Value tokens, int64_t most) {
  Fresh fresh(*this);
  assert(most <= kGpuBlockThreads);
  Value limit = minIndex(sub(tokens, row), i32(most));
  Value further = minIndex(word(team->thread), sub(limit, i32(1)));
  Value from = team->index(row), at = team->index(add(row, further));
  auto equal = [&](Value x, Value y) {
    return cmp(arith::CmpIPredicate::eq, x, y);
  };
  Value fits =
      both(equal(load(positions, at), add(load(positions, from), further)),
           equal(load(sequences, at), load(sequences, from)));
  Value miss = select(fits, limit, further);
  auto least = [&](Value x, Value y) -> Value {
    return arith::MinUIOp::create(b, x, y);
  };
  for (int64_t bits = kLanes / 2; bits; bits /= 2)
    miss = least(miss, fromLane(miss, bits));
  team->put(team->group, bitcast(f32Type, miss));
  team->sync();
  for (int64_t group = 0; group < kGpuTeam; ++group)
    miss = least(miss, bitcast(i32Type, team->get(idx(group))));
  team->sync(); // before the places are used again
  return miss;
}

/// A token's chunks.
void TeamAttentionKernel::emitPartials() {
  Value tokens = memref::DimOp::create(b, q, 0);
  Split split = ratio <= kRows ? narrowSplit(headDim) : *wideSplit(headDim);
  loop(idx(0), tokens, 1, [&](Value row) {
    Value position = loadIndex(positions, row);
    loop(idx(0), idx(kvHeads), 1, [&](Value kvHead) {
      Value begin = add(div(lowest(position), kChunk), first);
      Value slots = memref::DimOp::create(b, init, 2);
      Value end = minIndex(add(begin, slots), add(div(position, kChunk), 1));
      loop(begin, end, 1, [&](Value chunk) {
        emitTile(split, word(row), i32(1), kvHead, chunk, sub(chunk, begin));
      });
    });
  });
}

TeamAttentionKernel::Row TeamAttentionKernel::rowOf(int64_t which) {
  Row result;
  Value row = add(add(firstRow(), word(team->quad)), which * kColumns);
  result.exists = cmp(arith::CmpIPredicate::sle, row, lastRow);
  row = minIndex(row, lastRow);
  Value token = div(row, ratio);
  result.head = team->index(rem(row, ratio));
  result.token = team->index(add(firstToken, token));
  result.position = add(firstPosition, token);
  if (window)
    result.lowest = lowest(result.position);
  return result;
}

/// `run` tokens from `row` on; of one chunk, or of all and then stored as a
/// result.
void TeamAttentionKernel::emitTile(Split way, Value row, Value run,
                                   Value kvHead, Value chunk, Value slot) {
  split = way;
  columnTiles = headDim / kColumns / split.parts;
  stageCount = stages(headDim, split);
  kept = keptQueries(headDim, split);
  firstToken = row;
  sequence = loadIndex(sequences, team->index(row));
  firstPosition = load(positions, team->index(row));
  lastPosition = add(firstPosition, sub(run, i32(1)));
  lastRow = add(mul(run, ratio), -1);
  Value isActive;
  {
    Fresh fresh(*this);
    isActive = cmp(arith::CmpIPredicate::sle, firstRow(), lastRow);
    if (kGpuSlices % split.parts)
      isActive = both(isActive, cmp(arith::CmpIPredicate::slt, team->warp,
                                    idx(split.parts * split.groups())));
  }
  int64_t chunkSteps = kChunk / step;
  Value firstStep = div(lowest(firstPosition), step);
  Value lastStep = div(lastPosition, step);
  if (chunk) {
    Value start = mul(word(chunk), chunkSteps);
    firstStep = maxIndex(firstStep, start);
    lastStep = minIndex(lastStep, add(start, chunkSteps - 1));
  }
  Value keyBase = pageBase(keys, kvHead), valueBase = pageBase(values, kvHead);

  auto copyStep = [&](Value at, Value physical, Value stage) {
    copyUnit(keys, keyBase, at, physical, stage, 2);
    copyUnit(values, valueBase, at, physical, add(stage, unitWords()),
             headDim / kPiece);
  };
  // The first steps are on their way before the queries are read.
  int64_t ahead = stageCount - 1;
  for (int64_t i = 0; i < ahead; ++i) {
    Value at = add(firstStep, i);
    when(cmp(arith::CmpIPredicate::sle, at, lastStep),
         [&] { copyStep(at, physicalPage(at), i32(i * 2 * unitWords())); });
    team->copyCommit();
  }
  Values queries = loadQueries(kvHead);

  Values empty(2, number(-kInfinity));
  empty.append(2 + 4 * columnTiles, number(0.0));
  auto stepAhead = [&](Value at) { return minIndex(add(at, ahead), lastStep); };

  // Carried: the state, then the stage and the physical page of `ahead`.
  auto steps = [&](Value from, Value to, Value stage, Value physical) {
    Values carried(empty);
    carried.append({stage, physical});
    return loop(from, to, 1, carried, [&](Value at, ValueRange carried) {
      ValueRange state = carried.drop_back(2);
      Value stage = carried[state.size()], physical = carried.back();
      Value further = add(at, ahead);
      Value next = physicalPage(stepAhead(add(at, 1)));
      team->copyWait(stageCount - 2);
      // The step is there for all, and all are done with the one before.
      team->sync();
      when(cmp(arith::CmpIPredicate::sle, further, lastStep),
           [&] { copyStep(further, physical, stageBefore(stage)); });
      team->copyCommit();
      SmallVector<Type> types(state.size(), f32Type);
      Values result = when(
          isActive, types,
          [&] {
            return emitStep(mul(at, step), stage, queries, kvHead, state);
          },
          [&] { return Values(state); });
      result.append({stageAfter(stage), next});
      return result;
    });
  };

  Value physical = physicalPage(stepAhead(firstStep));
  if (chunk) {
    Values state = steps(firstStep, add(lastStep, 1), i32(0), physical);
    when(isActive, [&] { storePartials(state, kvHead, slot); });
  } else {
    Values carried(empty);
    carried.append({i32(0), physical});
    Values running =
        loop(div(firstStep, chunkSteps), add(div(lastStep, chunkSteps), 1), 1,
             carried, [&](Value at, ValueRange carried) {
               Value from = maxIndex(mul(at, chunkSteps), firstStep);
               Value to =
                   minIndex(mul(add(at, 1), chunkSteps), add(lastStep, 1));
               ValueRange running = carried.drop_back(2);
               Values state =
                   steps(from, to, carried[running.size()], carried.back());
               Values next = merge(running, ArrayRef(state).drop_back(2));
               next.append(state.end() - 2, state.end());
               return next;
             });
    when(isActive, [&] { storeResult(running, kvHead); });
  }
  team->copyWait(0);
  team->sync(); // before the places are used again
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

void TeamAttentionKernel::storeResult(ValueRange state, Value kvHead) {
  Fresh fresh(*this);
  Row rows[] = {rowOf(0), rowOf(1)};
  Value column = add(team->index(mul(part(), columnTiles * kColumns)),
                     mul(team->quadLane, 2));
  for (int64_t i : {0, 1})
    when(rows[i].exists, [&] {
      Value head = add(mul(kvHead, ratio), rows[i].head);
      Value total = state[2 + i], factor = number(1.0);
      if (sinks) {
        Merge merge = mergeFactors(state[i], load(sinks, head));
        factor = merge.oldFactor;
        total = fma(factor, total, merge.newFactor);
      }
      factor = arith::DivFOp::create(b, factor, total);
      Value start = add(mul(head, headDim), column);
      for (int64_t tile = 0; tile < columnTiles; ++tile) {
        ValueRange two = state.slice(4 + tile * 4 + i * 2, 2);
        team->store({fmul(two[0], factor), fmul(two[1], factor)}, init,
                    {rows[i].token, add(start, tile * kColumns)});
      }
    });
}

void TeamAttentionKernel::storePartials(ValueRange state, Value kvHead,
                                        Value slot) {
  Fresh fresh(*this);
  Row rows[] = {rowOf(0), rowOf(1)};
  Value column = add(team->index(mul(part(), columnTiles * kColumns)),
                     mul(team->quadLane, 2));
  Values sums{quadSum(state[2]), quadSum(state[3])};
  for (int64_t i : {0, 1})
    when(rows[i].exists, [&] {
      Value head = add(mul(kvHead, ratio), rows[i].head);
      for (int64_t tile = 0; tile < columnTiles; ++tile)
        team->store(state.slice(4 + tile * 4 + i * 2, 2), init,
                    {rows[i].token, head, slot, add(column, tile * kColumns)});
      // The sum is that of position 0 modulo 16; the other 15 are 0.
      auto isFirst = [&](Value x) {
        return cmp(arith::CmpIPredicate::eq, x, like(x, 0));
      };
      when(isFirst(part()), [&] {
        Value zero = number(0.0);
        Value sum = select(isFirst(team->quadLane), sums[i], zero);
        team->store(
            {sum, zero, zero, zero}, init,
            {rows[i].token, head, slot, add(mul(team->quadLane, 4), headDim)});
        when(isFirst(team->quadLane), [&] {
          team->store({state[i], zero}, init,
                      {rows[i].token, head, slot, idx(headDim + kLanes)});
        });
      });
    });
}

namespace {

template <typename OpTy> bool isTaken(OpTy op) {
  int64_t headDim = op.getHeadDim(), ratio = op.getHeads() / op.getKvHeads();
  Type element = cast<ShapedType>(op.getKeys().getType()).getElementType();
  std::optional<Split> wide = wideSplit(headDim);
  return (element.isF16() || element.isBF16()) && headDim % kDepth == 0 &&
         headDim <= kMostHeadDim && wide && ratio <= wide->rows();
}

} // namespace

bool cria::isForTensorCores(FusedAttentionOp op) { return isTaken(op); }
bool cria::isForTensorCores(AttentionPartialsOp op) { return isTaken(op); }

int64_t cria::teamAttentionTokens(FusedAttentionOp op) {
  return wideSplit(op.getHeadDim())->rows() / (op.getHeads() / op.getKvHeads());
}

namespace {

struct VectorizeTeamAttention
    : cria::impl::VectorizeTeamAttentionBase<VectorizeTeamAttention> {
  template <typename OpTy, typename Fn> LogicalResult lower(Fn emit) {
    SmallVector<OpTy> ops;
    getOperation().walk([&](OpTy op) {
      if (op->hasAttr(kTeamAttr))
        ops.push_back(op);
    });
    for (OpTy op : ops) {
      // Other partials of a team are cria-vectorize-attention's.
      if (!isForTensorCores(op) && std::is_same_v<OpTy, AttentionPartialsOp>)
        continue;
      if (!isForTensorCores(op))
        return op->emitOpError(
                   "of a team needs caches of f16 or bf16, a head_dim that is "
                   "a multiple of 16 and at most ")
               << kMostHeadDim << ", and heads that fit into a tile";
      if (failed(checkBufferized(op)))
        return failure();
      ImplicitLocOpBuilder b(op.getLoc(), op);
      TeamBuilder(b).beginPhase();
      TeamAttentionKernel emitter(op);
      emit(emitter);
      TeamBuilder(b).beginPhase();
      op.erase();
    }
    return success();
  }

  void runOnOperation() override {
    if (failed(lower<FusedAttentionOp>(
            [](TeamAttentionKernel &emitter) { emitter.emitTokens(); })) ||
        failed(lower<AttentionPartialsOp>(
            [](TeamAttentionKernel &emitter) { emitter.emitPartials(); })))
      signalPassFailure();
  }
};

} // namespace
