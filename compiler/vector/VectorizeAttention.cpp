// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.fused_attention and cria.attention_partials on memrefs to vector loops;
// see VectorPasses.td.
//
// A tile is T consecutive tokens of one sequence times R query heads of one kv
// head: T * R rows that read the same K and V. Every row's arithmetic is that
// of the row alone, so the tile's size changes the speed and not one bit:
//
//   for each chunk of 256 positions, ascending:
//     s[t] = scale * (q[0] k[t][0] + q[1] k[t][1] + ...)    fma, d ascending
//     s[t] = cap tanh(s[t] / cap), fma(slope, t - p, s[t]), s[t] + bias[p - t]
//     m = max s,  p[t] = exp(s[t] - m),  l[j] = sum of p[t] with t % 16 = j
//     o = p[t] v[t] + o                                     fma, t ascending
//     M' = max(M, m); L, O = fma(exp(m - M'), {l, o}, exp(M - M') * {L, O})
//   result = O * (1 / sum of L)
//
// With a cache of i16, k and p times v are products of integers: see
// AttentionIntegers.cpp.
//
// Partials are m, l and o of one chunk as they stand before the merge.
//
// (Rabe and Staats 2021, algorithm 1, with a whole chunk's maximum.)

#include "compiler/Passes.h"
#include "compiler/gpu/TeamBuilder.h"
#include "compiler/gpu/TeamPartials.h"
#include "compiler/target/Tiles.h"
#include "compiler/tile/Schedule.h"
#include "compiler/vector/AttentionKernel.h"
#include "compiler/vector/KernelUtils.h"

#include "mlir/Interfaces/FunctionInterfaces.h"

namespace cria {
#define GEN_PASS_DEF_VECTORIZEATTENTION
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// Rows of a tile of several tokens. With four vectors of K or V, 6 rows are 24
/// FMAs, and take the fewest loads for them: 10; 12 rows by 2 would take 14.
constexpr int64_t kMaxRows = 6;
/// In halves there are two vectors of 32: 14 loads.
constexpr int64_t kMaxHalfRows = 12;
/// Query heads that go over K and V together.
constexpr int64_t kMaxHeads = 8;
/// Rows of the tiles that share a page of K or V as f32: converting it takes
/// 1.5 to 2 instructions a vector, 4 % of 48 FMAs, and the page (16 KB with a
/// head_dim of 64) stays in L1 with the rows' queries (12 KB) and with what
/// they write (12 KB). Their scores of a chunk (48 KB) are in L2.
constexpr int64_t kGroupRows = 48;

} // namespace

/// More heads than the registers allow for read K and V again, in tiles of
/// equal size as far as possible. Tokens are a power of two, so that from any
/// misaligned start the tiles soon meet the page boundaries.
void AttentionKernel::planTiles() {
  mostHeads = llvm::divideCeil(ratio, llvm::divideCeil(ratio, kMaxHeads));
  int64_t known = cast<MemRefType>(q.getType()).getDimSize(0);
  auto isTooMany = [&](int64_t count) {
    return count > kAttentionTokenTile || (window && count > window) ||
           (!ShapedType::isDynamic(known) && count > known);
  };
  tileTokens = groupTokens = 1;
  // Partials are of single tokens.
  if (isPartial() || isTooMany(2))
    return;
  int64_t mostRows = hasHalves ? kMaxHalfRows : kMaxRows;
  while (2 * tileTokens * mostHeads <= mostRows && !isTooMany(2 * tileTokens))
    tileTokens *= 2;
  groupTokens = tileTokens;
  while (2 * groupTokens * mostHeads <= kGroupRows &&
         !isTooMany(2 * groupTokens))
    groupTokens *= 2;
}

void AttentionKernel::allocateScratch() {
  // In the entry block: an alloca in a loop would grow the stack.
  OpBuilder::InsertionGuard guard(b);
  auto function = op->getParentOfType<FunctionOpInterface>();
  b.setInsertionPointToStart(&function.getFunctionBody().front());
  auto allocate = [&](ArrayRef<int64_t> shape, Type element = {}) -> Value {
    auto type = MemRefType::get(shape, element ? element : b.getF32Type());
    return memref::AllocaOp::create(b, type, b.getI64IntegerAttr(64));
  };
  int64_t rows = groupTokens * mostHeads, tiles = groupTokens / tileTokens;
  // A vector more than a chunk: rows 1024 bytes apart would meet in a quarter
  // of L1's sets.
  scores = allocate({rows, kChunkPages * kPage + kLanes});
  chunkSum = allocate({rows, kLanes});
  int64_t columns = llvm::alignTo(headDim, kLanes);
  Type word = b.getI32Type();
  chunkOutput = inIntegers() ? allocate({rows, columns}, word)
                             : allocate({rows, headDim});
  chunkMax = allocate({tiles, kLanes});
  if (inIntegers()) {
    queries = allocate({rows, columns / 2}, word);
    weights = allocate({rows, (kChunkPages * kPage + kLanes) / 2}, word);
    queryStep = allocate({tiles, kLanes});
    valueStep = allocate({tiles, kLanes});
  }
  if (isPartial())
    return;
  if (groupTokens > 1 && !hasHalves && !inIntegers())
    page = allocate({kPage * headDim});
  if (groupTokens > 1 && hasHalves) {
    queries = allocate({rows, headDim});
    halfPage = allocate({kPage * headDim}, b.getF16Type());
    halfScores =
        allocate({rows, kChunkPages * kPage + kHalfLanes}, b.getF16Type());
  }
  sum = allocate({rows, kLanes});
  output = allocate({rows, headDim});
  for (Value *lanes : {&max, &oldFactor, &newFactor})
    *lanes = allocate({tiles, kLanes});
}

void AttentionKernel::emit() {
  allocateScratch();
  tokens = memref::DimOp::create(b, q, 0);
  loop(idx(0), idx(kvHeads), 1, [&](Value kvHead) {
    for (int64_t offset = 0; offset < ratio; offset += mostHeads)
      emitRows(kvHead, offset, std::min(mostHeads, ratio - offset));
  });
}

/// Goes over the tokens in tiles where they fit, one by one elsewhere.
void AttentionKernel::emitRows(Value kvHead, int64_t headOffset,
                               int64_t heads) {
  Value firstHead = add(mul(kvHead, ratio), headOffset);
  auto single = [&](Value row) {
    staged = inHalves = false;
    mostTiles = 1;
    emitGroup({1, heads, row, {}, {}, firstHead, kvHead}, idx(1));
  };
  if (groupTokens == 1) {
    loop(idx(0), tokens, 1, single);
    return;
  }
  auto whileOp =
      scf::WhileOp::create(b, TypeRange{b.getIndexType()}, ValueRange{idx(0)});
  OpBuilder::InsertionGuard guard(b);
  Block *before =
      b.createBlock(&whileOp.getBefore(), {}, b.getIndexType(), b.getLoc());
  scf::ConditionOp::create(
      b, cmp(arith::CmpIPredicate::slt, before->getArgument(0), tokens),
      before->getArguments());
  Block *after =
      b.createBlock(&whileOp.getAfter(), {}, b.getIndexType(), b.getLoc());
  Value row = after->getArgument(0);
  Value run = emitRun(row);
  Value least = idx(std::max<int64_t>(2, tileTokens));
  Value isTile = cmp(arith::CmpIPredicate::sge, run, least);
  auto choice = scf::IfOp::create(b, b.getIndexType(), isTile,
                                  /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPointToEnd(choice.thenBlock());
    inHalves = hasHalves;
    staged = !inHalves && !inIntegers() && !cacheElement().isF32();
    mostTiles = groupTokens / tileTokens;
    Value count = div(run, tileTokens);
    emitGroup({tileTokens, heads, row, {}, {}, firstHead, kvHead}, count);
    scf::YieldOp::create(b, add(row, mul(count, tileTokens)));
    b.setInsertionPointToEnd(choice.elseBlock());
    single(row);
    scf::YieldOp::create(b, add(row, 1));
  }
  scf::YieldOp::create(b, choice.getResults());
}

/// How many tokens from this one on, up to groupTokens, are consecutive
/// positions of one sequence that read the same pages, first and last.
Value AttentionKernel::emitRun(Value row) {
  Value position = loadIndex(positionList, row);
  Value sequence = load(sequenceList, row);
  auto firstPage = [&](Value p) { return div(lowest(p), kPage); };
  Value most = minIndex(sub(tokens, row), idx(groupTokens));
  Value run = idx(1);
  run = loop(idx(1), most, 1, run, [&](Value i, ValueRange carried) {
    Value at = add(row, i), expected = add(position, i);
    // Behind the first token that does not fit none does.
    Value fits = cmp(arith::CmpIPredicate::eq, carried[0], i);
    auto also = [&](Value x, Value y) {
      Value equal = cmp(arith::CmpIPredicate::eq, x, y);
      fits = arith::AndIOp::create(b, fits, equal);
    };
    also(loadIndex(positionList, at), expected);
    also(load(sequenceList, at), sequence);
    also(div(expected, kPage), div(position, kPage));
    if (window)
      also(firstPage(expected), firstPage(position));
    Value next = add(carried[0], 1);
    return Values{arith::SelectOp::create(b, fits, next, carried[0])};
  })[0];
  return run;
}

/// `count` tiles, of which this is the first.
void AttentionKernel::emitGroup(const Tile &start, Value count) {
  Tile first = start;
  first.position = loadIndex(positionList, first.row);
  sequence = loadIndex(sequenceList, first.row);
  Value firstPage = div(lowest(first.position), kPage);
  endPage = add(div(first.position, kPage), 1);
  Value firstChunk = div(firstPage, kChunkPages);
  // Chunks start at multiples of 256, whatever the window.
  auto chunkAt = [&](Value page) {
    emitChunk(first, count, maxIndex(page, firstPage),
              minIndex(add(page, kChunkPages), endPage));
  };
  if (inIntegers())
    eachTile(first, count, [&](const Tile &tile) { quantizeQueries(tile); });
  if (isPartial()) {
    Value offset = add(firstChunk, this->first);
    Value chunks = memref::DimOp::create(b, init, 2);
    Value end =
        minIndex(add(offset, chunks),
                 arith::CeilDivUIOp::create(b, endPage, idx(kChunkPages)));
    loop(offset, end, 1, [&](Value chunk) {
      place = sub(chunk, offset);
      chunkAt(mul(chunk, kChunkPages));
    });
    return;
  }
  eachTile(first, count, [&](const Tile &tile) {
    if (inHalves)
      stageQueries(tile);
    storeVector(vec(-kInfinity), max, {tile.index, idx(0)});
    eachRow(tile, [&](Value row) {
      Value at = scratchRow(tile, row);
      storeVector(vec(0.0), sum, {at, idx(0)});
      eachColumn(1, [&](Value column, int64_t width, int64_t) {
        auto type = VectorType::get(width, b.getF32Type());
        storeVector(f32(0.0, type), output, {at, column});
      });
    });
  });
  loop(mul(firstChunk, kChunkPages), endPage, kChunkPages, chunkAt);
  eachTile(first, count, [&](const Tile &tile) { emitResult(tile); });
}

void AttentionKernel::emitChunk(const Tile &first, Value count, Value pageBegin,
                                Value pageEnd) {
  // Then the chunk's values, and the next chunk's keys.
  Value lastPage = sub(endPage, idx(1));
  eachPage(pageBegin, pageEnd, /*after=*/pageBegin, sub(pageEnd, idx(1)),
           [&](const Page &page) {
             if (inHalves)
               stageHalfKeys(first, page);
             else if (staged)
               stageKeys(first, page);
             eachTile(first, count, [&](const Tile &tile) {
               if (inIntegers())
                 emitIntegerScores(tile, page);
               else
                 inHalves ? emitHalfScores(tile, page) : emitScores(tile, page);
             });
           });
  eachTile(first, count, [&](const Tile &tile) {
    if (inIntegers())
      emitIntegerExp(tile, pageBegin, pageEnd);
    else
      inHalves ? emitHalfExp(tile, pageBegin, pageEnd)
               : emitExp(tile, pageBegin, pageEnd);
  });
  Value nextChunk = minIndex(pageEnd, lastPage);
  eachPage(pageBegin, pageEnd, nextChunk, lastPage, [&](const Page &page) {
    if (staged)
      stageValues(first, page);
    eachTile(first, count, [&](const Tile &tile) {
      if (inIntegers())
        emitIntegerValues(tile, page);
      else
        inHalves ? emitHalfValues(tile, page) : emitValues(tile, page);
    });
  });
  eachTile(first, count, [&](const Tile &tile) {
    isPartial() ? emitPartials(tile) : emitMerge(tile);
  });
}

/// Elements of the chunk's output.
Value AttentionKernel::loadChunk(const Tile &tile, Value row, Value column,
                                 int64_t width) {
  Value o = loadVector(chunkOutput, {scratchRow(tile, row), column}, width);
  if (!inIntegers())
    return o;
  return fmul(o, loadRow(valueStep, tile, row, cast<VectorType>(o.getType())));
}

/// The chunk's maximum, sum and output into the running ones.
void AttentionKernel::emitMerge(const Tile &tile) {
  Value zero = idx(0);
  Values lanes{tile.index, zero};
  Merge merge =
      mergeFactors(loadVector(max, lanes), loadVector(chunkMax, lanes));
  storeVector(merge.max, max, lanes);
  storeVector(merge.oldFactor, oldFactor, lanes);
  storeVector(merge.newFactor, newFactor, lanes);
  eachRow(tile, [&](Value row) {
    Value at = scratchRow(tile, row);
    auto into = [&](Value running, Value column, Value chunk) {
      auto type = cast<VectorType>(chunk.getType());
      Value next =
          merged(loadVector(running, {at, column}, type.getNumElements()),
                 loadRow(oldFactor, tile, row, type), chunk,
                 loadRow(newFactor, tile, row, type));
      storeVector(next, running, {at, column});
    };
    into(sum, zero, loadVector(chunkSum, {at, zero}));
    eachColumn(1, [&](Value column, int64_t width, int64_t) {
      into(output, column, loadChunk(tile, row, column, width));
    });
  });
}

/// The chunk's output, and behind it its sums and maximum.
void AttentionKernel::emitPartials(const Tile &tile) {
  eachRow(tile, [&](Value row) {
    Value at = scratchRow(tile, row);
    Value token, head;
    std::tie(token, head) = tokenAndHead(tile, row);
    eachColumn(1, [&](Value column, int64_t width, int64_t) {
      storeVector(loadChunk(tile, row, column, width), init,
                  {token, head, place, column});
    });
    storeVector(loadVector(chunkSum, {at, idx(0)}), init,
                {token, head, place, idx(headDim)});
    memref::StoreOp::create(
        b, load(chunkMax, {tile.index, row}), init,
        ValueRange{token, head, place, idx(headDim + kLanes)});
  });
}

void AttentionKernel::emitResult(const Tile &tile) {
  Value zero = idx(0);
  loop(zero, idx(tile.tokens), 1, [&](Value token) {
    loop(zero, idx(tile.heads), 1, [&](Value head) {
      Value row = add(mul(token, tile.heads), head);
      Value at = scratchRow(tile, row);
      Value globalHead = add(tile.firstHead, head);
      Value factor = resultFactor(loadVector(sum, {at, zero}),
                                  loadRow(max, tile, row, vecType),
                                  sinks ? load(sinks, globalHead) : Value());
      Values out{add(tile.row, token), mul(globalHead, headDim)};
      eachColumn(1, [&](Value column, int64_t width, int64_t) {
        auto type = VectorType::get(width, b.getF32Type());
        Value o = loadVector(output, {at, column}, width);
        storeVector(fmul(o, broadcast(factor, type)), init,
                    {out[0], add(out[1], column)});
      });
    });
  });
}

namespace {

struct VectorizeAttentionPass
    : public cria::impl::VectorizeAttentionBase<VectorizeAttentionPass> {
  using VectorizeAttentionBase::VectorizeAttentionBase;

  LogicalResult check(Operation *op, Value keys, Value values) {
    if (failed(checkBufferized(op)))
      return failure();
    for (Value operand : op->getOperands()) {
      auto type = dyn_cast<MemRefType>(operand.getType());
      if (type && !type.isLastDimUnitStride())
        return op->emitOpError("operand of type ")
               << type << " needs unit stride in its last dimension";
    }
    if (!op->getParentOfType<FunctionOpInterface>())
      return op->emitOpError("is not in a function");
    for (Value cache : {keys, values}) {
      auto type = cast<MemRefType>(cache.getType());
      int64_t rank = type.getElementType().isInteger() ? 4
                     : cache == keys                   ? 6
                                                       : 5;
      if (type.getRank() != rank)
        return op->emitOpError("keys have rank 6 and values rank 5, both 4 "
                               "with i8 and i16, not ")
               << cache.getType();
    }
    return success();
  }

  template <typename OpTy> LogicalResult lower() {
    SmallVector<OpTy> ops;
    getOperation()->walk([&](OpTy op) { ops.push_back(op); });
    for (OpTy op : ops) {
      if (failed(check(op, op.getKeys(), op.getValues())))
        return failure();
      if constexpr (std::is_same_v<OpTy, AttentionPartialsOp>)
        if (op->hasAttr(kTeamAttr)) {
          emitTeamPartials(op);
          op.erase();
          continue;
        }
      int64_t chosen = accumulators;
      if (failed(takeSchedule(op, {{"accumulators", chosen}})))
        return failure();
      auto version = op->template getParentOfType<FunctionOpInterface>()
                         ->template getAttrOfType<StringAttr>("cria.version");
      bool isPrefill = version && version.getValue() == "prefill";
      AttentionKernel(op, chosen, halves && isPrefill).emit();
      op.erase();
    }
    return success();
  }

  void runOnOperation() override {
    if (failed(lower<FusedAttentionOp>()) ||
        failed(lower<AttentionPartialsOp>()))
      signalPassFailure();
  }
};

} // namespace
