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
//     m = max s,  p[t] = exp(s[t] - m),  l[j] = sum of p[t] with t % 16 = j
//     o = p[t] v[t] + o                                     fma, t ascending
//     M' = max(M, m); L, O = fma(exp(m - M'), {l, o}, exp(M - M') * {L, O})
//   result = O * (1 / sum of L)
//
// Partials are m, l and o of one chunk as they stand before the merge.
//
// (Rabe and Staats 2021, algorithm 1, with a whole chunk's maximum.)

#include "compiler/Passes.h"
#include "compiler/vector/AttentionBuilder.h"
#include "dialect/CacheLayout.h"

#include "mlir/Interfaces/FunctionInterfaces.h"

namespace cria {
#define GEN_PASS_DEF_VECTORIZEATTENTION
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

constexpr int64_t kPageBlocks = CriaDialect::kPageTokens / CriaDialect::kLanes;
/// Rows of a tile. At 12, one converted K or V vector serves 12 FMAs; more
/// rows would leave fewer than two blocks' accumulators in the registers.
constexpr int64_t kMaxRows = 12;
/// Query heads that go over K and V together.
constexpr int64_t kMaxHeads = 8;

/// Writes the loops of one op.
class Emitter : AttentionBuilder {
public:
  template <typename OpTy>
  Emitter(OpTy op, int64_t accumulators)
      : AttentionBuilder(op, op.getHeadDim(), op.getWindow()), op(op),
        accumulators(accumulators), q(op.getQ()), keyCache(op.getKeys()),
        valueCache(op.getValues()), positionList(op.getPositions()),
        sequenceList(op.getSequences()), pageTables(op.getTables()),
        sinks(op.getSinks()), layer(op.getLayer()), init(op.getInit()),
        kvHeads(op.getKvHeads()), ratio(op.getHeads() / op.getKvHeads()),
        scale(op.getScale().convertToDouble()) {
    if (op.getSoftcap())
      softcap = op.getSoftcap()->convertToDouble();
    if constexpr (std::is_same_v<OpTy, AttentionPartialsOp>)
      first = op.getFirst();
  }

  void emit();

private:
  struct Tile {
    int64_t tokens, heads;
    Value row;       ///< first token
    Value firstHead; ///< first query head
    Value kvHead;
    int64_t rows() const { return tokens * heads; }
  };

  void allocateScratch();
  void emitRows(Value kvHead, int64_t headOffset, int64_t heads);
  Value emitFits(Value row, int64_t tokens);
  void emitTile(const Tile &tile);
  void emitScores(const Tile &tile, Value pageBegin, Value pageEnd);
  void emitExp(const Tile &tile, Value pageBegin, Value pageEnd);
  void emitMerge(const Tile &tile);
  void emitPartialSums(const Tile &tile);
  void emitValues(const Tile &tile, Value pageBegin, Value pageEnd);
  void emitColumns(const Tile &tile, Value pageBegin, Value pageEnd,
                   Value column, int64_t width, int64_t vectors);
  void emitResult(const Tile &tile);

  bool isQuantized() {
    return cast<MemRefType>(keyCache.getType()).getElementType().isInteger();
  }
  /// Element d of the 16 keys of a block.
  Value loadKeys(const Tile &tile, Value physical, Value block, Value d) {
    if (!isQuantized())
      return loadVector(keyCache,
                        {layer, physical, tile.kvHead, block, d, idx(0)});
    Value row = add(mul(block, headDim), d);
    return loadVector(keyCache,
                      {layer, physical, tile.kvHead, mul(row, kLanes)});
  }
  /// Elements of the value at place t of its page.
  Value loadValue(const Tile &tile, Value physical, Value t, Value column,
                  int64_t width) {
    if (!isQuantized())
      return loadVector(valueCache, {layer, physical, tile.kvHead, t, column},
                        width);
    return loadVector(
        valueCache,
        {layer, physical, tile.kvHead, add(mul(t, headDim), column)}, width);
  }
  /// Scales of 16 positions from place t of a page of i8.
  Value loadScales(Value cache, const Tile &tile, Value physical, Value t) {
    Value at = add(mul(t, kI8ScaleBytes), kPage * headDim);
    auto bytes = VectorType::get(kLanes * kI8ScaleBytes, b.getI8Type());
    Value v = vector::LoadOp::create(
        b, bytes, cache, ValueRange{layer, physical, tile.kvHead, at});
    return vector::BitCastOp::create(b, vecType, v);
  }

  /// Asks for `elements` elements of a page (of either cache: a page is
  /// contiguous, whatever its inner shape) from the given one on, into L2: the
  /// L1 cache cannot hold the 64 KB of a chunk.
  void prefetch(Value cache, Value physical, Value kvHead, Value from,
                int64_t elements) {
    auto type = cast<MemRefType>(cache.getType());
    int64_t line = 64 * 8 / type.getElementTypeBitWidth();
    Values at(type.getRank() - 1, idx(0));
    at[0] = layer;
    at[1] = physical;
    at[2] = kvHead;
    at.push_back(Value());
    for (int64_t e = 0; e < elements; e += line) {
      at.back() = add(from, e);
      memref::PrefetchOp::create(b, cache, at, /*isWrite=*/false,
                                 /*localityHint=*/2, /*isDataCache=*/true);
    }
  }
  /// Of the tile's token.
  Value position(int64_t token) { return add(firstPosition, token); }
  /// Decode waits for memory: while the scores of a chunk are computed, its
  /// values are fetched, and meanwhile the keys of the next, so that memory is
  /// never idle. Tiles of several tokens mostly find K and V in the cache.
  static bool prefetches(const Tile &tile) { return tile.tokens == 1; }
  /// Rows are ordered token by token.
  static int64_t tokenOf(const Tile &tile, int64_t row) {
    return row / tile.heads;
  }

  Operation *op;
  int64_t accumulators;
  Value q, keyCache, valueCache, positionList, sequenceList, pageTables;
  Value sinks, layer, init;
  Value first; ///< chunk of the first partials, or null: merge here
  bool isPartial() const { return static_cast<bool>(first); }
  int64_t kvHeads, ratio;
  double scale;
  std::optional<double> softcap;
  Value tokens;
  Value firstPosition, sequence, endPage; // of the tile
  Value place;                            // of the chunk among the partials
  // Scratch, on the stack: scores and then p of a chunk (12 KB), the chunk's
  // l, and a row's running sum and output. Maxima and merge factors hold one
  // row a lane.
  Value scores, chunkSum, sum, output;
  Value chunkMax, max, oldFactor, newFactor;
};

void Emitter::allocateScratch() {
  // In the entry block: an alloca in a loop would grow the stack.
  OpBuilder::InsertionGuard guard(b);
  auto function = op->getParentOfType<FunctionOpInterface>();
  b.setInsertionPointToStart(&function.getFunctionBody().front());
  auto allocate = [&](ArrayRef<int64_t> shape) -> Value {
    auto type = MemRefType::get(shape, b.getF32Type());
    return memref::AllocaOp::create(b, type, b.getI64IntegerAttr(64));
  };
  scores = allocate({kMaxRows, kChunkPages * kPage});
  chunkSum = allocate({kMaxRows, kLanes});
  chunkMax = allocate({kLanes});
  if (isPartial())
    return;
  sum = allocate({kMaxRows, kLanes});
  output = allocate({kMaxRows, headDim});
  for (Value *lanes : {&max, &oldFactor, &newFactor})
    *lanes = allocate({kLanes});
}

void Emitter::emit() {
  allocateScratch();
  tokens = memref::DimOp::create(b, q, 0);
  // More heads than the registers allow for read K and V again, in groups of
  // equal size as far as possible.
  int64_t groups = llvm::divideCeil(ratio, kMaxHeads);
  int64_t heads = llvm::divideCeil(ratio, groups);
  loop(idx(0), idx(kvHeads), 1, [&](Value kvHead) {
    for (int64_t offset = 0; offset < ratio; offset += heads)
      emitRows(kvHead, offset, std::min(heads, ratio - offset));
  });
}

/// Goes over the tokens in tiles where they fit, one by one elsewhere.
void Emitter::emitRows(Value kvHead, int64_t headOffset, int64_t heads) {
  Value firstHead = add(mul(kvHead, ratio), headOffset);
  // A power of two, so that from any misaligned start the tiles soon meet the
  // page boundaries.
  int64_t most = 1;
  while (most < 8 && 2 * most * heads <= kMaxRows)
    most *= 2;
  int64_t known = cast<MemRefType>(q.getType()).getDimSize(0);
  while (most > 1 && ((window && window < most) ||
                      (!ShapedType::isDynamic(known) && known < most)))
    most /= 2;
  if (most == 1) {
    loop(idx(0), tokens, 1,
         [&](Value row) { emitTile({1, heads, row, firstHead, kvHead}); });
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
  auto choice = scf::IfOp::create(b, b.getIndexType(), emitFits(row, most),
                                  /*withElseRegion=*/true);
  auto fill = [&](Block *block, int64_t count) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(block);
    emitTile({count, heads, row, firstHead, kvHead});
    scf::YieldOp::create(b, add(row, count));
  };
  fill(choice.thenBlock(), most);
  fill(choice.elseBlock(), 1);
  scf::YieldOp::create(b, choice.getResults());
}

/// Whether the next tokens are consecutive positions of one sequence that read
/// the same pages, first and last.
Value Emitter::emitFits(Value row, int64_t count) {
  Value last = sub(tokens, idx(1));
  Value fits = cmp(arith::CmpIPredicate::sle, add(row, count), tokens);
  auto also = [&](Value x, Value y) {
    fits = arith::AndIOp::create(b, fits, cmp(arith::CmpIPredicate::eq, x, y));
  };
  Value position = loadIndex(positionList, row);
  Value sequence = load(sequenceList, row);
  for (int64_t i = 1; i < count; ++i) {
    Value other = minIndex(add(row, i), last);
    also(loadIndex(positionList, other), add(position, i));
    also(load(sequenceList, other), sequence);
  }
  auto page = [&](Value p) -> Value { return div(p, kPage); };
  Value end = add(position, count - 1);
  also(page(position), page(end));
  if (window)
    also(page(lowest(position)), page(lowest(end)));
  return fits;
}

void Emitter::emitTile(const Tile &tile) {
  firstPosition = loadIndex(positionList, tile.row);
  sequence = loadIndex(sequenceList, tile.row);
  Value firstPage = div(lowest(firstPosition), kPage);
  endPage = add(div(firstPosition, kPage), 1);
  Value firstChunk = div(firstPage, kChunkPages);
  // Chunks start at multiples of 256, whatever the window.
  auto emitChunk = [&](Value page) {
    Value pageBegin = maxIndex(page, firstPage);
    Value pageEnd = minIndex(add(page, kChunkPages), endPage);
    emitScores(tile, pageBegin, pageEnd);
    emitExp(tile, pageBegin, pageEnd);
    if (!isPartial())
      emitMerge(tile);
    emitValues(tile, pageBegin, pageEnd);
  };
  if (isPartial()) {
    Value offset = add(firstChunk, first);
    Value count = memref::DimOp::create(b, init, 2);
    Value end =
        minIndex(add(offset, count),
                 arith::CeilDivUIOp::create(b, endPage, idx(kChunkPages)));
    loop(offset, end, 1, [&](Value chunk) {
      place = sub(chunk, offset);
      emitChunk(mul(chunk, kChunkPages));
      emitPartialSums(tile);
    });
    return;
  }
  storeVector(vec(-kInfinity), max, idx(0));
  loop(idx(0), idx(tile.rows()), 1, [&](Value row) {
    storeVector(vec(0.0), sum, {row, idx(0)});
    Value zero = f32(0.0, b.getF32Type());
    loop(idx(0), idx(headDim), 1, [&](Value column) {
      memref::StoreOp::create(b, zero, output, ValueRange{row, column});
    });
  });
  loop(mul(firstChunk, kChunkPages), endPage, kChunkPages, emitChunk);
  emitResult(tile);
}

/// scores[row][t - 64 pageBegin], -inf at positions that the token cannot see.
void Emitter::emitScores(const Tile &tile, Value pageBegin, Value pageEnd) {
  int64_t rows = tile.rows();
  // rows * blocks chains of FMAs, all in registers.
  int64_t blocks = kPageBlocks;
  while (blocks > 1 && rows * blocks > accumulators)
    blocks /= 2;
  int64_t unroll = headDim % 4 ? 2 : 4;
  auto lanes = llvm::to_vector(llvm::seq<int32_t>(0, kLanes));
  Value iota = arith::ConstantOp::create(
      b, DenseElementsAttr::get(intVecType, ArrayRef<int32_t>(lanes)));
  auto splat = [&](Value index) {
    return broadcast(arith::IndexCastOp::create(b, b.getI32Type(), index),
                     intVecType);
  };
  Value firstColumn = mul(tile.firstHead, headDim);
  loop(pageBegin, pageEnd, 1, [&](Value page) {
    Value physical = loadIndex(pageTables, {sequence, page});
    loop(idx(0), idx(kPageBlocks), blocks, [&](Value block) {
      Values zeros(rows * blocks, vec(0.0));
      Values sums =
          loop(idx(0), idx(headDim), unroll, zeros,
               [&](Value start, ValueRange carried) {
                 Values acc(carried);
                 for (int64_t u = 0; u < unroll; ++u) {
                   Value d = add(start, u);
                   if (prefetches(tile))
                     prefetch(valueCache, physical, tile.kvHead,
                              add(mul(d, kPage), mul(block, kLanes)),
                              blocks * kLanes);
                   Values keys;
                   for (int64_t k = 0; k < blocks; ++k)
                     keys.push_back(loadKeys(tile, physical, add(block, k), d));
                   for (int64_t row = 0; row < rows; ++row) {
                     Value query = loadSplat(
                         q,
                         {add(tile.row, tokenOf(tile, row)),
                          add(add(firstColumn, d), row % tile.heads * headDim)},
                         vecType);
                     for (int64_t k = 0; k < blocks; ++k) {
                       Value &sum = acc[row * blocks + k];
                       sum = fma(keys[k], query, sum);
                     }
                   }
                 }
                 return acc;
               });
      for (int64_t k = 0; k < blocks; ++k) {
        Value offset = mul(add(block, k), kLanes);
        Value factor = vec(scale);
        if (isQuantized())
          factor = fmul(factor, loadScales(keyCache, tile, physical, offset));
        Value positions = add(splat(add(mul(page, kPage), offset)), iota);
        Value at = add(mul(sub(page, pageBegin), kPage), offset);
        Value seen;
        for (int64_t row = 0; row < rows; ++row) {
          if (row % tile.heads == 0) {
            Value p = position(tokenOf(tile, row));
            seen = cmp(arith::CmpIPredicate::sle, positions, splat(p));
            if (window)
              seen = arith::AndIOp::create(
                  b, seen,
                  cmp(arith::CmpIPredicate::sge, positions, splat(lowest(p))));
          }
          Value s = fmul(sums[row * blocks + k], factor);
          if (softcap) {
            s = math::TanhOp::create(b, fmul(s, vec(1.0 / *softcap)));
            s = fmul(s, vec(*softcap));
          }
          s = arith::SelectOp::create(b, seen, s, vec(-kInfinity));
          storeVector(s, scores, {idx(row), at});
        }
      }
    });
  });
}

/// Scores to exp(score - chunk maximum), and the chunk's sums. The scales of
/// values go onto the numbers that multiply them; those past the token's own
/// position are never read again.
void Emitter::emitExp(const Tile &tile, Value pageBegin, Value pageEnd) {
  Value count = mul(sub(pageEnd, pageBegin), kPage);
  auto larger = [&](Value x, Value y) { return fmax(x, y); };
  loop(idx(0), idx(tile.rows()), 1, [&](Value row) {
    Values four =
        loop(idx(0), count, kPage, Values(4, vec(-kInfinity)),
             [&](Value t, ValueRange carried) {
               Values next;
               for (auto [k, m] : llvm::enumerate(carried))
                 next.push_back(
                     fmax(m, loadVector(scores, {row, add(t, k * kLanes)})));
               return next;
             });
    Value m =
        reduce(fmax(fmax(four[0], four[1]), fmax(four[2], four[3])), larger);
    memref::StoreOp::create(b, m, chunkMax, row);
    Value all = broadcast(m, vecType);
    Values l =
        loop(idx(0), count, kPage, vec(0.0), [&](Value t, ValueRange carried) {
          Value l = carried[0];
          Value physical;
          if (isQuantized())
            physical = loadIndex(pageTables,
                                 {sequence, add(pageBegin, div(t, kPage))});
          for (int64_t k = 0; k < kPageBlocks; ++k) {
            Value at = add(t, k * kLanes);
            Value p = expNonPositive(fsub(loadVector(scores, {row, at}), all));
            l = fadd(l, p);
            if (isQuantized())
              p = fmul(p,
                       loadScales(valueCache, tile, physical, idx(k * kLanes)));
            storeVector(p, scores, {row, at});
          }
          return Values{l};
        });
    storeVector(l[0], chunkSum, {row, idx(0)});
  });
}

/// The factors that the merge multiplies with, a row a lane; merges the sums.
void Emitter::emitMerge(const Tile &tile) {
  Value zero = idx(0);
  Merge merge = mergeFactors(loadVector(max, zero), loadVector(chunkMax, zero));
  storeVector(merge.max, max, zero);
  storeVector(merge.oldFactor, oldFactor, zero);
  storeVector(merge.newFactor, newFactor, zero);
  loop(idx(0), idx(tile.rows()), 1, [&](Value row) {
    Value next = merged(
        loadVector(sum, {row, zero}), loadSplat(oldFactor, row, vecType),
        loadVector(chunkSum, {row, zero}), loadSplat(newFactor, row, vecType));
    storeVector(next, sum, {row, zero});
  });
}

/// What emitExp left, behind the outputs of the rows' partials.
void Emitter::emitPartialSums(const Tile &tile) {
  loop(idx(0), idx(tile.rows()), 1, [&](Value row) {
    Value token = add(tile.row, div(row, tile.heads));
    Value head =
        add(tile.firstHead, arith::RemUIOp::create(b, row, idx(tile.heads)));
    storeVector(loadVector(chunkSum, {row, idx(0)}), init,
                {token, head, place, idx(headDim)});
    memref::StoreOp::create(
        b, load(chunkMax, row), init,
        ValueRange{token, head, place, idx(headDim + kLanes)});
  });
}

void Emitter::emitValues(const Tile &tile, Value pageBegin, Value pageEnd) {
  int64_t full = headDim / kLanes, tail = headDim % kLanes;
  if (full) {
    int64_t vectors =
        std::min(full, std::max<int64_t>(1, accumulators / tile.rows()));
    while (full % vectors)
      --vectors;
    loop(idx(0), idx(full * kLanes), vectors * kLanes, [&](Value column) {
      emitColumns(tile, pageBegin, pageEnd, column, kLanes, vectors);
    });
  }
  if (tail)
    emitColumns(tile, pageBegin, pageEnd, idx(full * kLanes), tail, 1);
}

/// Adds p times V to `vectors` vectors of each row's output. Only positions
/// that a token sees are read for it: what else is in the pages may be NaN,
/// and even adding 0 could change the sign of a zero.
void Emitter::emitColumns(const Tile &tile, Value pageBegin, Value pageEnd,
                          Value column, int64_t width, int64_t vectors) {
  auto type = VectorType::get(width, b.getF32Type());
  int64_t perToken = tile.heads * vectors;
  Value base = mul(pageBegin, kPage);
  Values zeros(tile.rows() * vectors, f32(0.0, type));
  Values sums =
      loop(pageBegin, pageEnd, 1, zeros, [&](Value page, ValueRange carried) {
        Values acc(carried);
        Value physical = loadIndex(pageTables, {sequence, page});
        Value start = mul(page, kPage), end = add(start, kPage);
        Value ahead;
        if (prefetches(tile))
          ahead =
              loadIndex(pageTables, {sequence, minIndex(add(page, kChunkPages),
                                                        sub(endPage, idx(1)))});
        // Tokens [first, first + count) over positions [from, to).
        auto range = [&](int64_t first, int64_t count, Value from, Value to) {
          MutableArrayRef<Value> part = MutableArrayRef<Value>(acc).slice(
              first * perToken, count * perToken);
          Values next = loop(
              from, to, 1, ValueRange(ArrayRef<Value>(part)),
              [&](Value t, ValueRange carried) {
                Values acc(carried);
                Values values;
                for (int64_t k = 0; k < vectors; ++k)
                  values.push_back(loadValue(tile, physical, sub(t, start),
                                             add(column, k * kLanes), width));
                Value at = sub(t, base);
                if (ahead)
                  prefetch(keyCache, ahead, tile.kvHead,
                           add(mul(sub(t, start), headDim), column),
                           vectors * kLanes);
                for (int64_t row = 0; row < count * tile.heads; ++row) {
                  Value p = loadSplat(
                      scores, {idx(first * tile.heads + row), at}, type);
                  for (int64_t k = 0; k < vectors; ++k) {
                    Value &sum = acc[row * vectors + k];
                    sum = fma(p, values[k], sum);
                  }
                }
                return acc;
              });
          llvm::copy(next, part.begin());
        };
        int64_t last = tile.tokens - 1;
        // Shared by all tokens: from the last one's lowest position to the
        // first one's own. Each range is empty but in the first or last page.
        Value from = maxIndex(start, lowest(position(last)));
        Value to = minIndex(end, add(firstPosition, 1));
        if (window)
          for (int64_t i = 0; i < last; ++i)
            range(i, 1, maxIndex(start, lowest(position(i))), from);
        range(0, tile.tokens, from, to);
        for (int64_t i = 1; i <= last; ++i)
          range(i, 1, to, minIndex(end, add(position(i), 1)));
        return acc;
      });
  for (int64_t row = 0; row < tile.rows() && isPartial(); ++row)
    for (int64_t k = 0; k < vectors; ++k)
      storeVector(sums[row * vectors + k], init,
                  {add(tile.row, tokenOf(tile, row)),
                   add(tile.firstHead, row % tile.heads), place,
                   add(column, k * kLanes)});
  for (int64_t row = 0; row < tile.rows() && !isPartial(); ++row) {
    Value old = loadSplat(oldFactor, idx(row), type);
    Value fresh = loadSplat(newFactor, idx(row), type);
    for (int64_t k = 0; k < vectors; ++k) {
      Value at = add(column, k * kLanes);
      Value previous = loadVector(output, {idx(row), at}, width);
      storeVector(merged(previous, old, sums[row * vectors + k], fresh), output,
                  {idx(row), at});
    }
  }
}

void Emitter::emitResult(const Tile &tile) {
  Value zero = idx(0);
  loop(zero, idx(tile.tokens), 1, [&](Value token) {
    loop(zero, idx(tile.heads), 1, [&](Value head) {
      Value row = add(mul(token, tile.heads), head);
      Value globalHead = add(tile.firstHead, head);
      Value factor = resultFactor(loadVector(sum, {row, zero}),
                                  loadSplat(max, row, vecType),
                                  sinks ? load(sinks, globalHead) : Value());
      Value outRow = add(tile.row, token);
      Value outColumn = mul(globalHead, headDim);
      auto store = [&](Value column, int64_t width) {
        auto type = VectorType::get(width, b.getF32Type());
        Value o = loadVector(output, {row, column}, width);
        storeVector(fmul(o, broadcast(factor, type)), init,
                    {outRow, add(outColumn, column)});
      };
      int64_t full = headDim / kLanes * kLanes;
      loop(zero, idx(full), kLanes,
           [&](Value column) { store(column, kLanes); });
      if (full < headDim)
        store(idx(full), headDim - full);
    });
  });
}

struct VectorizeAttentionPass
    : public cria::impl::VectorizeAttentionBase<VectorizeAttentionPass> {
  using VectorizeAttentionBase::VectorizeAttentionBase;

  LogicalResult check(Operation *op, Value keys, Value values) {
    for (Value operand : op->getOperands()) {
      if (isa<TensorType>(operand.getType()))
        return op->emitOpError("is not bufferized");
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
      Emitter(op, accumulators).emit();
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
