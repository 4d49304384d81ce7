// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The loops of one cria.fused_attention or cria.attention_partials.
// VectorizeAttention.cpp has tokens, groups, chunks and merges,
// AttentionPages.cpp what a tile does with a page, AttentionHalves.cpp the same
// in f16, AttentionIntegers.cpp in integers.
#ifndef CRIA_COMPILER_VECTOR_ATTENTIONKERNEL_H
#define CRIA_COMPILER_VECTOR_ATTENTIONKERNEL_H

#include "compiler/vector/AttentionBuilder.h"

#include <tuple>

namespace cria {

/// Writes the loops of one op.
class AttentionKernel : AttentionBuilder {
public:
  template <typename OpTy>
  AttentionKernel(OpTy op, int64_t accumulators, bool halves)
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
    hasHalves = halves && cacheElement().isF16() && headDim % kHalfLanes == 0;
    planTiles();
  }

  void emit();

private:
  static constexpr int64_t kPageBlocks = kPage / kLanes;
  static constexpr int64_t kFarBytes = 16384;
  /// Numbers of f16 in a vector.
  static constexpr int64_t kHalfLanes = 2 * kLanes;
  /// Codes of i16 in a vector.
  static constexpr int64_t kCodes = 2 * kLanes;

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
    struct Later {
      Value isOther; ///< of the other cache, behind the chunk's last page
      Value physical;
      bool intoL1;
    };
    llvm::SmallVector<Later> later; ///< what is read after it
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
  Value isEdge(const Tile &tile, const Page &page);
  Values emitMask(const Tile &tile, const Page &page, Value block,
                  Values scores);
  void finishScores(const Tile &tile, const Page &page, Value block,
                    Values scores);
  Value emitChunkMax(const Tile &tile, Value row, Value count);
  void emitExp(const Tile &tile, Value pageBegin, Value pageEnd);
  void emitValues(const Tile &tile, const Page &page);
  void
  eachRange(const Tile &tile, Value start,
            llvm::function_ref<void(int64_t, int64_t, Value, Value)> range);
  void emitColumns(const Tile &tile, const Page &page, Value ahead,
                   Value column, int64_t width, int64_t vectors);
  void stageQueries(const Tile &tile);
  void stageHalfKeys(const Tile &tile, const Page &page);
  void emitHalfScores(const Tile &tile, const Page &page);
  void emitHalfMask(const Tile &tile, const Page &page);
  void emitHalfExp(const Tile &tile, Value pageBegin, Value pageEnd);
  Value exp2Half(Value x);
  void emitHalfValues(const Tile &tile, const Page &page);
  void emitHalfColumns(const Tile &tile, const Page &page, Value ahead,
                       int64_t column, int64_t vectors);
  void quantizeQueries(const Tile &tile);
  void emitIntegerScores(const Tile &tile, const Page &page);
  void emitIntegerExp(const Tile &tile, Value pageBegin, Value pageEnd);
  void emitIntegerValues(const Tile &tile, const Page &page);
  Value codeStep(Value most, Value total, int64_t count);
  Value inverseStep(Value step);
  Value codeWords(Value x, Value inverse);
  Value loadCodes(Value memref, ValueRange at);
  Value splatWord(Value words, ValueRange at);
  Value intZero();
  mlir::VectorType codesType() {
    return mlir::VectorType::get(kCodes, b.getI16Type());
  }
  Value loadChunk(const Tile &tile, Value row, Value column, int64_t width);
  void emitMerge(const Tile &tile);
  void emitPartials(const Tile &tile);
  void emitResult(const Tile &tile);

  /// Whether scores are more than products.
  bool hasMore() const { return softcap || slopes || bias; }
  bool isPartial() const { return static_cast<bool>(first); }
  Type cacheElement() const {
    return llvm::cast<mlir::MemRefType>(keyCache.getType()).getElementType();
  }
  /// Codes with scales that are converted as they are read.
  bool isQuantized() const { return cacheElement().isInteger(8); }
  /// Codes with scales that are multiplied as they are.
  bool inIntegers() const { return cacheElement().isInteger(16); }

  Value physicalPage(Value page) {
    return loadIndex(pageTables, {sequence, page});
  }
  /// Behind the last one, the pages from `after` up to `mostAfter` of the other
  /// cache are read.
  void eachPage(Value begin, Value end, Value after, Value mostAfter,
                llvm::function_ref<void(const Page &)> f) {
    Value last = sub(end, idx(1));
    // The next page into L1 and, because of the requests that a core may have
    // on their way (LinearKernel::prefetchBody), one further on into L2.
    auto laterPage = [&](Value index, int64_t ahead, bool intoL1) {
      Value at = add(index, ahead), past = sub(at, end);
      Value isOther = cmp(mlir::arith::CmpIPredicate::sge, past, idx(0));
      Value next = mlir::arith::SelectOp::create(
          b, isOther, minIndex(add(after, past), mostAfter),
          minIndex(at, last));
      return Page::Later{isOther, physicalPage(next), intoL1};
    };
    int64_t bytes =
        kPage * headDim * cacheElement().getIntOrFloatBitWidth() / 8;
    int64_t far = 1 + std::max<int64_t>(1, kFarBytes / bytes);
    loop(begin, end, 1, [&](Value index) {
      Page page{index, mul(sub(index, begin), kPage), physicalPage(index), {}};
      if (readsAhead())
        page.later = {laterPage(index, 1, true), laterPage(index, far, false)};
      f(page);
    });
  }
  void eachTile(const Tile &first, Value count,
                llvm::function_ref<void(const Tile &)> f) {
    loop(idx(0), count, 1, [&](Value i) {
      Tile tile = first;
      Value token = mul(i, first.tokens);
      tile.row = add(first.row, token);
      tile.position = add(first.position, token);
      tile.index = i;
      f(tile);
    });
  }
  void eachRow(const Tile &tile, llvm::function_ref<void(Value)> f) {
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
  /// reads next into L1, in the same order. Several tiles, and bytes, take
  /// longer for a page than memory does: they fetch a chunk's values beside its
  /// scores and then the next keys, into L2, as L1 cannot hold the 64 KB of a
  /// chunk.
  bool readsAhead() const { return mostTiles == 1 && !isQuantized(); }
  void prefetchNext(const Page &page, Value cache, Value other,
                    const Tile &tile, ValueRange from, int64_t elements) {
    for (const Page::Later &later : page.later) {
      auto choice =
          mlir::scf::IfOp::create(b, later.isOther, /*withElseRegion=*/true);
      mlir::OpBuilder::InsertionGuard guard(b);
      Values at{layer, later.physical, tile.kvHead};
      b.setInsertionPoint(choice.thenYield());
      prefetch(other, at, from, elements, later.intoL1);
      b.setInsertionPoint(choice.elseYield());
      prefetch(cache, at, from, elements, later.intoL1);
    }
  }
  /// Rows are ordered token by token.
  static int64_t tokenOf(const Tile &tile, int64_t row) {
    return row / tile.heads;
  }
  /// The token among all, and the query head, of a row that only a loop knows.
  std::pair<Value, Value> tokenAndHead(const Tile &tile, Value row) {
    Value count = idx(tile.heads);
    Value token = add(tile.row, mlir::arith::DivUIOp::create(b, row, count));
    Value head =
        add(tile.firstHead, mlir::arith::RemUIOp::create(b, row, count));
    return {token, head};
  }
  /// Among the scratch of all tiles of a group.
  Value scratchRow(const Tile &tile, Value row) {
    return add(mul(tile.index, tile.rows()), row);
  }
  Value scratchRow(const Tile &tile, int64_t row) {
    return scratchRow(tile, idx(row));
  }
  /// One number of each row, in all lanes.
  Value loadRow(Value lanes, const Tile &tile, Value row,
                mlir::VectorType type) {
    return loadSplat(lanes, {tile.index, row}, type);
  }

  mlir::Operation *op;
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
  bool hasHalves;          // whether groups of tiles compute in f16
  bool inHalves = false;   // whether this one does
  int64_t mostTiles = 1;   // of the group
  Value place;             // of the chunk among the partials
  // Scratch, on the stack: of each row the scores and then p of a chunk, the
  // chunk's l and o, the running sum and output. Maxima and merge factors are
  // one number a row, 16 a tile.
  Value scores, chunkSum, chunkOutput, sum, output;
  Value chunkMax, max, oldFactor, newFactor;
  Value page; // of K or V, as f32
  // In halves: queries as words of twice the same f16, as p then is in
  // `scores`; a page of K with 32 positions side by side; scores.
  Value queries, halfPage, halfScores;
  // In integers: queries, and p times the scales of values, as words of two
  // codes; their steps, one number a row as chunkMax. chunkOutput is of i32,
  // in whole vectors.
  Value weights, queryStep, valueStep;
};

} // namespace cria

#endif // CRIA_COMPILER_VECTOR_ATTENTIONKERNEL_H
