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
// Partials are m, l and o of one chunk as they stand before the merge.
//
// (Rabe and Staats 2021, algorithm 1, with a whole chunk's maximum.)

#include "compiler/Passes.h"
#include "compiler/target/Tiles.h"
#include "compiler/tile/Schedule.h"
#include "compiler/vector/AttentionBuilder.h"
#include "compiler/vector/KernelUtils.h"

#include "mlir/Interfaces/FunctionInterfaces.h"

namespace cria {
#define GEN_PASS_DEF_VECTORIZEATTENTION
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

constexpr int64_t kPageBlocks = CriaDialect::kPageTokens / CriaDialect::kLanes;
/// Rows of a tile of several tokens. With four vectors of K or V, 6 rows are 24
/// FMAs, and take the fewest loads for them: 10; 12 rows by 2 would take 14.
constexpr int64_t kMaxRows = 6;
/// Query heads that go over K and V together.
constexpr int64_t kMaxHeads = 8;
/// Rows of the tiles that share a page of K or V as f32: converting it takes
/// 1.5 to 2 instructions a vector, 4 % of 48 FMAs, and the page (16 KB with a
/// head_dim of 64) stays in L1 with the rows' queries (12 KB) and with what
/// they write (12 KB). Their scores of a chunk (48 KB) are in L2.
constexpr int64_t kGroupRows = 48;

/// Writes the loops of one op.
class Emitter : AttentionBuilder {
public:
  template <typename OpTy>
  Emitter(OpTy op, int64_t accumulators)
      : AttentionBuilder(op, op.getHeadDim(), op.getWindow()), op(op),
        accumulators(accumulators), q(op.getQ()), keyCache(op.getKeys()),
        valueCache(op.getValues()), positionList(op.getPositions()),
        sequenceList(op.getSequences()), pageTables(op.getTables()),
        sinks(op.getSinks()), slopes(op.getSlopes()), bias(op.getBias()),
        layer(op.getLayer()), init(op.getInit()), kvHeads(op.getKvHeads()),
        ratio(op.getHeads() / op.getKvHeads()),
        scale(op.getScale().convertToDouble()) {
    if (op.getSoftcap())
      softcap = op.getSoftcap()->convertToDouble();
    if constexpr (std::is_same_v<OpTy, AttentionPartialsOp>)
      first = op.getFirst();
    planTiles();
  }

  void emit();

private:
  /// Some of these follow each other: a group.
  struct Tile {
    int64_t tokens, heads;
    Value row;       ///< first token
    Value position;  ///< of the first token
    Value index;     ///< in its group
    Value firstHead; ///< first query head
    Value kvHead;
    int64_t rows() const { return tokens * heads; }
  };
  /// A page of a chunk, where there is one: see cria.kv_append.
  struct Page {
    Value index; ///< in the sequence
    Value place; ///< its first column among a chunk's scores
    Value physical;
    Value isLast; ///< of its chunk
    Value next;   ///< what is read after it: of the other cache if isLast
  };

  void planTiles();
  void allocateScratch();
  void emitRows(Value kvHead, int64_t headOffset, int64_t heads);
  Value emitRun(Value row);
  void emitGroup(const Tile &first, Value count);
  void emitChunk(const Tile &first, Value count, Value pageBegin,
                 Value pageEnd);
  void stageKeys(const Tile &tile, const Page &page);
  void stageValues(const Tile &tile, const Page &page);
  void emitScores(const Tile &tile, const Page &page);
  Values emitMask(const Tile &tile, const Page &page, Value block,
                  Values scores);
  void emitExp(const Tile &tile, Value pageBegin, Value pageEnd);
  void emitValues(const Tile &tile, const Page &page);
  void emitColumns(const Tile &tile, const Page &page, Value ahead,
                   Value column, int64_t width, int64_t vectors);
  void emitMerge(const Tile &tile);
  void emitPartials(const Tile &tile);
  void emitResult(const Tile &tile);

  bool isPartial() const { return static_cast<bool>(first); }
  Type cacheElement() const {
    return cast<MemRefType>(keyCache.getType()).getElementType();
  }
  bool isQuantized() const { return cacheElement().isInteger(); }

  Value physicalPage(Value page) {
    return loadIndex(pageTables, {sequence, page});
  }
  /// Behind the last one, page `after` of the other cache is read.
  void eachPage(Value begin, Value end, Value after,
                function_ref<void(const Page &)> f) {
    Value last = sub(end, idx(1));
    loop(begin, end, 1, [&](Value index) {
      Page page{
          index, mul(sub(index, begin), kPage), physicalPage(index), {}, {}};
      if (readsAhead()) {
        page.isLast = cmp(arith::CmpIPredicate::eq, index, last);
        Value next = arith::SelectOp::create(b, page.isLast, after,
                                             minIndex(add(index, 1), last));
        page.next = physicalPage(next);
      }
      f(page);
    });
  }
  void eachTile(const Tile &first, Value count,
                function_ref<void(const Tile &)> f) {
    loop(idx(0), count, 1, [&](Value i) {
      Tile tile = first;
      Value token = mul(i, first.tokens);
      tile.row = add(first.row, token);
      tile.position = add(first.position, token);
      tile.index = i;
      f(tile);
    });
  }
  void eachRow(const Tile &tile, function_ref<void(Value)> f) {
    loop(idx(0), idx(tile.rows()), 1, f);
  }

  /// Element d of the 16 keys of a block.
  Value loadKeys(const Tile &tile, const Page &page, Value block, Value d) {
    Values at{layer, page.physical, tile.kvHead};
    if (isQuantized())
      at.push_back(mul(add(mul(block, headDim), d), kLanes));
    else
      at.append({block, d, idx(0)});
    return loadVector(keyCache, at);
  }
  /// Elements of the value at place t of its page.
  Value loadValue(const Tile &tile, const Page &page, Value t, Value column,
                  int64_t width) {
    Values at{layer, page.physical, tile.kvHead};
    if (isQuantized())
      at.push_back(add(mul(t, headDim), column));
    else
      at.append({t, column});
    return loadVector(valueCache, at, width);
  }
  /// Asks L2 for one of equal parts of a page.
  void prefetchPart(Value cache, Value physical, const Tile &tile, Value part,
                    int64_t parts) {
    int64_t elements = kPage * headDim / parts;
    prefetch(cache, {layer, physical, tile.kvHead}, {mul(part, elements)},
             elements, /*intoL1=*/false);
  }
  /// A single token waits for memory: while it reads a page, it fetches what it
  /// reads next into L1, in the same order. Several tiles, and i8, take longer
  /// for a page than memory does: they fetch a chunk's values beside its scores
  /// and then the next keys, into L2, as L1 cannot hold the 64 KB of a chunk.
  bool readsAhead() const { return mostTiles == 1 && !isQuantized(); }
  void prefetchNext(const Page &page, Value cache, Value other,
                    const Tile &tile, ValueRange from, int64_t elements) {
    auto choice = scf::IfOp::create(b, page.isLast, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    Values at{layer, page.next, tile.kvHead};
    b.setInsertionPoint(choice.thenYield());
    prefetch(other, at, from, elements, /*intoL1=*/true);
    b.setInsertionPoint(choice.elseYield());
    prefetch(cache, at, from, elements, /*intoL1=*/true);
  }
  /// Rows are ordered token by token.
  static int64_t tokenOf(const Tile &tile, int64_t row) {
    return row / tile.heads;
  }
  /// Among the scratch of all tiles of a group.
  Value scratchRow(const Tile &tile, Value row) {
    return add(mul(tile.index, tile.rows()), row);
  }
  Value scratchRow(const Tile &tile, int64_t row) {
    return scratchRow(tile, idx(row));
  }
  /// One number of each row, in all lanes.
  Value loadRow(Value lanes, const Tile &tile, Value row, VectorType type) {
    return loadSplat(lanes, {tile.index, row}, type);
  }

  Operation *op;
  int64_t accumulators;
  Value q, keyCache, valueCache, positionList, sequenceList, pageTables;
  Value sinks, slopes, bias, layer, init;
  Value first; ///< chunk of the first partials, or null: merge here
  int64_t kvHeads, ratio;
  double scale;
  std::optional<double> softcap;
  int64_t mostHeads;   // of a tile
  int64_t tileTokens;  // 1: there are no groups
  int64_t groupTokens; // a power of two times tileTokens
  Value tokens;
  Value sequence, endPage; // of the group
  bool staged = false;     // whether the group's tiles read `page`
  int64_t mostTiles = 1;   // of the group
  Value place;             // of the chunk among the partials
  // Scratch, on the stack: of each row the scores and then p of a chunk, the
  // chunk's l and o, the running sum and output. Maxima and merge factors are
  // one number a row, 16 a tile.
  Value scores, chunkSum, chunkOutput, sum, output;
  Value chunkMax, max, oldFactor, newFactor;
  Value page; // of K or V, as f32
};

/// More heads than the registers allow for read K and V again, in tiles of
/// equal size as far as possible. Tokens are a power of two, so that from any
/// misaligned start the tiles soon meet the page boundaries.
void Emitter::planTiles() {
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
  while (2 * tileTokens * mostHeads <= kMaxRows && !isTooMany(2 * tileTokens))
    tileTokens *= 2;
  groupTokens = tileTokens;
  while (2 * groupTokens * mostHeads <= kGroupRows &&
         !isTooMany(2 * groupTokens))
    groupTokens *= 2;
}

void Emitter::allocateScratch() {
  // In the entry block: an alloca in a loop would grow the stack.
  OpBuilder::InsertionGuard guard(b);
  auto function = op->getParentOfType<FunctionOpInterface>();
  b.setInsertionPointToStart(&function.getFunctionBody().front());
  auto allocate = [&](ArrayRef<int64_t> shape) -> Value {
    auto type = MemRefType::get(shape, b.getF32Type());
    return memref::AllocaOp::create(b, type, b.getI64IntegerAttr(64));
  };
  int64_t rows = groupTokens * mostHeads, tiles = groupTokens / tileTokens;
  // A vector more than a chunk: rows 1024 bytes apart would meet in a quarter
  // of L1's sets.
  scores = allocate({rows, kChunkPages * kPage + kLanes});
  chunkSum = allocate({rows, kLanes});
  chunkOutput = allocate({rows, headDim});
  chunkMax = allocate({tiles, kLanes});
  if (isPartial())
    return;
  if (groupTokens > 1)
    page = allocate({kPage * headDim});
  sum = allocate({rows, kLanes});
  output = allocate({rows, headDim});
  for (Value *lanes : {&max, &oldFactor, &newFactor})
    *lanes = allocate({tiles, kLanes});
}

void Emitter::emit() {
  allocateScratch();
  tokens = memref::DimOp::create(b, q, 0);
  loop(idx(0), idx(kvHeads), 1, [&](Value kvHead) {
    for (int64_t offset = 0; offset < ratio; offset += mostHeads)
      emitRows(kvHead, offset, std::min(mostHeads, ratio - offset));
  });
}

/// Goes over the tokens in tiles where they fit, one by one elsewhere.
void Emitter::emitRows(Value kvHead, int64_t headOffset, int64_t heads) {
  Value firstHead = add(mul(kvHead, ratio), headOffset);
  auto single = [&](Value row) {
    staged = false;
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
    staged = !cacheElement().isF32();
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
Value Emitter::emitRun(Value row) {
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
void Emitter::emitGroup(const Tile &start, Value count) {
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

void Emitter::emitChunk(const Tile &first, Value count, Value pageBegin,
                        Value pageEnd) {
  eachPage(pageBegin, pageEnd, /*after=*/pageBegin, [&](const Page &page) {
    if (staged)
      stageKeys(first, page);
    eachTile(first, count, [&](const Tile &tile) { emitScores(tile, page); });
  });
  eachTile(first, count,
           [&](const Tile &tile) { emitExp(tile, pageBegin, pageEnd); });
  Value nextChunk = minIndex(pageEnd, sub(endPage, idx(1)));
  eachPage(pageBegin, pageEnd, nextChunk, [&](const Page &page) {
    if (staged)
      stageValues(first, page);
    eachTile(first, count, [&](const Tile &tile) { emitValues(tile, page); });
  });
  eachTile(first, count, [&](const Tile &tile) {
    isPartial() ? emitPartials(tile) : emitMerge(tile);
  });
}

/// A page as f32, in the cache's order of elements.
void Emitter::stageKeys(const Tile &tile, const Page &keys) {
  loop(idx(0), idx(kPageBlocks), 1, [&](Value block) {
    loop(idx(0), idx(headDim), 2, [&](Value start) {
      for (int64_t u = 0; u < 2; ++u) {
        Value d = add(start, u);
        storeVector(loadKeys(tile, keys, block, d), page,
                    mul(add(mul(block, headDim), d), kLanes));
      }
    });
  });
}

void Emitter::stageValues(const Tile &tile, const Page &values) {
  loop(idx(0), idx(kPage), 1, [&](Value t) {
    eachColumn(4, [&](Value column, int64_t width, int64_t vectors) {
      for (int64_t k = 0; k < vectors; ++k) {
        Value at = add(column, k * kLanes);
        storeVector(loadValue(tile, values, t, at, width), page,
                    add(mul(t, headDim), at));
      }
    });
  });
}

/// scores[row][t], -inf at positions that the token cannot see.
void Emitter::emitScores(const Tile &tile, const Page &keys) {
  int64_t rows = tile.rows();
  // rows * blocks chains of FMAs, all in registers.
  int64_t blocks = kPageBlocks;
  while (blocks > 1 && rows * blocks > accumulators)
    blocks /= 2;
  int64_t unroll = headDim % 4 ? 2 : 4;
  int64_t steps = headDim / unroll, rounds = kPageBlocks / blocks;
  Value firstColumn = mul(tile.firstHead, headDim);
  loop(idx(0), idx(kPageBlocks), blocks, [&](Value block) {
    Value round = add(mul(tile.index, rounds), div(block, blocks));
    Values zeros(rows * blocks, vec(0.0));
    Values sums = loop(
        idx(0), idx(headDim), unroll, zeros,
        [&](Value start, ValueRange carried) {
          Values acc(carried);
          Values ahead; // where each block's keys are
          for (int64_t k = 0; k < blocks; ++k)
            ahead.push_back(
                mul(add(mul(add(block, k), headDim), start), kLanes));
          if (readsAhead())
            prefetchNext(keys, keyCache, valueCache, tile, ahead,
                         unroll * kLanes);
          else
            prefetchPart(valueCache, keys.physical, tile,
                         add(mul(round, steps), div(start, unroll)),
                         mostTiles * rounds * steps);
          for (int64_t u = 0; u < unroll; ++u) {
            Value d = add(start, u);
            Values vectors;
            for (int64_t k = 0; k < blocks; ++k) {
              Value at = add(block, k);
              vectors.push_back(
                  staged
                      ? loadVector(page, mul(add(mul(at, headDim), d), kLanes))
                      : loadKeys(tile, keys, at, d));
            }
            for (int64_t row = 0; row < rows; ++row) {
              Value query = loadSplat(
                  q,
                  {add(tile.row, tokenOf(tile, row)),
                   add(add(firstColumn, d), row % tile.heads * headDim)},
                  vecType);
              for (int64_t k = 0; k < blocks; ++k) {
                Value &sum = acc[row * blocks + k];
                sum = fma(vectors[k], query, sum);
              }
            }
          }
          return acc;
        });
    for (int64_t k = 0; k < blocks; ++k) {
      Value from = add(mul(keys.index, kPage), mul(add(block, k), kLanes));
      Value factor = vec(scale);
      if (isQuantized())
        factor = fmul(factor,
                      loadScales(keyCache, {layer, keys.physical, tile.kvHead},
                                 mul(add(block, k), kLanes)));
      for (int64_t row = 0; row < rows; ++row) {
        Value &s = sums[row * blocks + k];
        s = addByDistance(capped(fmul(s, factor), softcap), slopes, bias,
                          add(tile.firstHead, row % tile.heads),
                          add(tile.position, tokenOf(tile, row)), from);
      }
    }
    sums = emitMask(tile, keys, block, sums);
    for (auto [i, s] : llvm::enumerate(sums))
      storeVector(
          s, scores,
          {scratchRow(tile, i / blocks),
           add(add(keys.place, mul(block, kLanes)), i % blocks * kLanes)});
  });
}

/// -inf for positions that the row's token does not see. Only the pages at
/// both ends have some.
Emitter::Values Emitter::emitMask(const Tile &tile, const Page &keys,
                                  Value block, Values unmasked) {
  int64_t blocks = unmasked.size() / tile.rows();
  Value start = mul(keys.index, kPage);
  Value isEdge =
      cmp(arith::CmpIPredicate::sgt, add(start, kPage - 1), tile.position);
  if (window)
    isEdge =
        arith::OrIOp::create(b, isEdge,
                             cmp(arith::CmpIPredicate::slt, start,
                                 lowest(add(tile.position, tile.tokens - 1))));
  auto types = llvm::to_vector_of<Type>(ValueRange(unmasked).getTypes());
  auto choice = scf::IfOp::create(b, types, isEdge, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(choice.elseBlock());
  scf::YieldOp::create(b, unmasked);
  b.setInsertionPointToEnd(choice.thenBlock());
  Values masked(unmasked);
  for (int64_t k = 0; k < blocks; ++k) {
    Value offset = mul(add(block, k), kLanes);
    Value positions = sixteenFrom(add(start, offset));
    for (int64_t token = 0; token < tile.tokens; ++token) {
      Value seen = sees(add(tile.position, token), positions);
      for (int64_t head = 0; head < tile.heads; ++head) {
        Value &s = masked[(token * tile.heads + head) * blocks + k];
        s = arith::SelectOp::create(b, seen, s, vec(-kInfinity));
      }
    }
  }
  scf::YieldOp::create(b, masked);
  return Values(choice.getResults());
}

/// Scores to exp(score - chunk maximum), and the chunk's sums; then the running
/// maximum and sum, and the factors of the merge. The scales of values go onto
/// the numbers that multiply them; those past the token's own position are
/// never read again.
void Emitter::emitExp(const Tile &tile, Value pageBegin, Value pageEnd) {
  Value zero = idx(0);
  Value count = mul(sub(pageEnd, pageBegin), kPage);
  auto larger = [&](Value x, Value y) { return fmax(x, y); };
  eachRow(tile, [&](Value row) {
    Value at = scratchRow(tile, row);
    Values four =
        loop(zero, count, kPage, Values(4, vec(-kInfinity)),
             [&](Value t, ValueRange carried) {
               Values next;
               for (auto [k, m] : llvm::enumerate(carried))
                 next.push_back(
                     fmax(m, loadVector(scores, {at, add(t, k * kLanes)})));
               return next;
             });
    Value m =
        reduce(fmax(fmax(four[0], four[1]), fmax(four[2], four[3])), larger);
    memref::StoreOp::create(b, m, chunkMax, ValueRange{tile.index, row});
    Value all = broadcast(m, vecType);
    Values l =
        loop(zero, count, kPage, vec(0.0), [&](Value t, ValueRange carried) {
          Value l = carried[0];
          Value physical;
          if (isQuantized())
            physical = loadIndex(pageTables,
                                 {sequence, add(pageBegin, div(t, kPage))});
          for (int64_t k = 0; k < kPageBlocks; ++k) {
            Values place{at, add(t, k * kLanes)};
            Value p = expNonPositive(fsub(loadVector(scores, place), all));
            l = fadd(l, p);
            if (isQuantized())
              p = fmul(p, loadScales(valueCache, {layer, physical, tile.kvHead},
                                     idx(k * kLanes)));
            storeVector(p, scores, place);
          }
          return Values{l};
        });
    storeVector(l[0], chunkSum, {at, zero});
    eachColumn(1, [&](Value column, int64_t width, int64_t) {
      auto type = VectorType::get(width, b.getF32Type());
      storeVector(f32(0.0, type), chunkOutput, {at, column});
    });
  });
}

void Emitter::emitValues(const Tile &tile, const Page &values) {
  Value ahead = physicalPage(
      minIndex(add(values.index, kChunkPages), sub(endPage, idx(1))));
  eachColumn(accumulators / tile.rows(),
             [&](Value column, int64_t width, int64_t vectors) {
               emitColumns(tile, values, ahead, column, width, vectors);
             });
}

/// Adds p times V to `vectors` vectors of each row's output. Only positions
/// that a token sees are read for it: what else is in the page may be NaN,
/// and even adding 0 could change the sign of a zero.
void Emitter::emitColumns(const Tile &tile, const Page &values, Value ahead,
                          Value column, int64_t width, int64_t vectors) {
  auto type = VectorType::get(width, b.getF32Type());
  int64_t perToken = tile.heads * vectors;
  Value start = mul(values.index, kPage), end = add(start, kPage);
  auto outputAt = [&](int64_t i) {
    return Values{scratchRow(tile, i / vectors),
                  add(column, i % vectors * kLanes)};
  };
  Values acc;
  for (int64_t i = 0; i < tile.rows() * vectors; ++i)
    acc.push_back(loadVector(chunkOutput, outputAt(i), width));
  // Of several tiles, each asks for a few lines at once.
  int64_t groups = llvm::divideCeil(headDim, kLanes * vectors);
  int64_t parts = mostTiles * groups;
  Value part = add(mul(tile.index, groups), div(column, kLanes * vectors));
  if (mostTiles > 1)
    prefetchPart(keyCache, ahead, tile, part, parts);
  // Tokens [first, first + count) over positions [from, to).
  auto range = [&](int64_t first, int64_t count, Value from, Value to) {
    MutableArrayRef<Value> own =
        MutableArrayRef<Value>(acc).slice(first * perToken, count * perToken);
    Values next = loop(
        from, to, 1, ValueRange(ArrayRef<Value>(own)),
        [&](Value position, ValueRange carried) {
          Values acc(carried);
          Value t = sub(position, start);
          Values v;
          for (int64_t k = 0; k < vectors; ++k) {
            Value at = add(column, k * kLanes);
            v.push_back(staged
                            ? loadVector(page, add(mul(t, headDim), at), width)
                            : loadValue(tile, values, t, at, width));
          }
          if (readsAhead())
            prefetchNext(values, valueCache, keyCache, tile,
                         add(mul(t, headDim), column), vectors * width);
          else if (mostTiles == 1)
            prefetchPart(keyCache, ahead, tile, add(mul(part, kPage), t),
                         parts * kPage);
          Value at = add(values.place, t);
          for (int64_t row = 0; row < count * tile.heads; ++row) {
            Value p = loadSplat(
                scores, {scratchRow(tile, first * tile.heads + row), at}, type);
            for (int64_t k = 0; k < vectors; ++k) {
              Value &sum = acc[row * vectors + k];
              sum = fma(p, v[k], sum);
            }
          }
          return acc;
        });
    llvm::copy(next, own.begin());
  };
  auto position = [&](int64_t token) { return add(tile.position, token); };
  int64_t last = tile.tokens - 1;
  // Shared by all tokens: from the last one's lowest position to the first
  // one's own. Each range is empty but in the first or last page.
  Value from = maxIndex(start, lowest(position(last)));
  Value to = minIndex(end, add(tile.position, 1));
  if (window)
    for (int64_t i = 0; i < last; ++i)
      range(i, 1, maxIndex(start, lowest(position(i))), from);
  range(0, tile.tokens, from, to);
  for (int64_t i = 1; i <= last; ++i)
    range(i, 1, to, minIndex(end, add(position(i), 1)));
  for (auto [i, value] : llvm::enumerate(acc))
    storeVector(value, chunkOutput, outputAt(i));
}

/// The chunk's maximum, sum and output into the running ones.
void Emitter::emitMerge(const Tile &tile) {
  Value zero = idx(0);
  Values lanes{tile.index, zero};
  Merge merge =
      mergeFactors(loadVector(max, lanes), loadVector(chunkMax, lanes));
  storeVector(merge.max, max, lanes);
  storeVector(merge.oldFactor, oldFactor, lanes);
  storeVector(merge.newFactor, newFactor, lanes);
  eachRow(tile, [&](Value row) {
    Value at = scratchRow(tile, row);
    auto into = [&](Value running, Value chunk, Value column, int64_t width) {
      auto type = VectorType::get(width, b.getF32Type());
      Value next = merged(loadVector(running, {at, column}, width),
                          loadRow(oldFactor, tile, row, type),
                          loadVector(chunk, {at, column}, width),
                          loadRow(newFactor, tile, row, type));
      storeVector(next, running, {at, column});
    };
    into(sum, chunkSum, zero, kLanes);
    eachColumn(1, [&](Value column, int64_t width, int64_t) {
      into(output, chunkOutput, column, width);
    });
  });
}

/// The chunk's output, and behind it its sums and maximum.
void Emitter::emitPartials(const Tile &tile) {
  eachRow(tile, [&](Value row) {
    Value at = scratchRow(tile, row);
    Value token = add(tile.row, div(row, tile.heads));
    Value head =
        add(tile.firstHead, arith::RemUIOp::create(b, row, idx(tile.heads)));
    eachColumn(1, [&](Value column, int64_t width, int64_t) {
      storeVector(loadVector(chunkOutput, {at, column}, width), init,
                  {token, head, place, column});
    });
    storeVector(loadVector(chunkSum, {at, idx(0)}), init,
                {token, head, place, idx(headDim)});
    memref::StoreOp::create(
        b, load(chunkMax, {tile.index, row}), init,
        ValueRange{token, head, place, idx(headDim + kLanes)});
  });
}

void Emitter::emitResult(const Tile &tile) {
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
                               "with i8, not ")
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
      int64_t chosen = accumulators;
      if (failed(takeSchedule(op, {{"accumulators", chosen}})))
        return failure();
      Emitter(op, chosen).emit();
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
