// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a tile of an attention kernel does with a page: scores, and the values
// that they weigh; and the step between the two.
#include "compiler/vector/AttentionKernel.h"

using namespace mlir;

namespace cria {

/// A page as f32, in the cache's order of elements.
void AttentionKernel::stageKeys(const Tile &tile, const Page &keys) {
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

void AttentionKernel::stageValues(const Tile &tile, const Page &values) {
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
void AttentionKernel::emitScores(const Tile &tile, const Page &keys) {
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
      Value factor = vec(scale);
      if (isQuantized())
        factor = fmul(factor,
                      loadScales(keyCache, {layer, keys.physical, tile.kvHead},
                                 mul(add(block, k), kLanes)));
      for (int64_t row = 0; row < rows; ++row) {
        Value &s = sums[row * blocks + k];
        s = fmul(s, factor);
      }
    }
    finishScores(tile, keys, block, sums);
  });
}

/// What is done to scaled products of the blocks from `block` on; then they are
/// scores.
void AttentionKernel::finishScores(const Tile &tile, const Page &keys,
                                   Value block, Values sums) {
  int64_t rows = tile.rows(), blocks = sums.size() / rows;
  for (int64_t k = 0; k < blocks; ++k) {
    Value from = add(mul(keys.index, kPage), mul(add(block, k), kLanes));
    for (int64_t row = 0; row < rows; ++row) {
      Value &s = sums[row * blocks + k];
      s = addByDistance(capped(s, softcap), slopes, bias,
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
}

/// Whether some token does not see all of a page.
Value AttentionKernel::isEdge(const Tile &tile, const Page &keys) {
  Value start = mul(keys.index, kPage);
  Value edge =
      cmp(arith::CmpIPredicate::sgt, add(start, kPage - 1), tile.position);
  if (!window)
    return edge;
  return arith::OrIOp::create(b, edge,
                              cmp(arith::CmpIPredicate::slt, start,
                                  lowest(add(tile.position, tile.tokens - 1))));
}

/// -inf for positions that the row's token does not see. Only the pages at
/// both ends have some.
AttentionKernel::Values AttentionKernel::emitMask(const Tile &tile,
                                                  const Page &keys, Value block,
                                                  Values unmasked) {
  int64_t blocks = unmasked.size() / tile.rows();
  auto types = llvm::to_vector_of<Type>(ValueRange(unmasked).getTypes());
  auto choice = scf::IfOp::create(b, types, isEdge(tile, keys),
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(choice.elseBlock());
  scf::YieldOp::create(b, unmasked);
  b.setInsertionPointToEnd(choice.thenBlock());
  Values masked(unmasked);
  for (int64_t k = 0; k < blocks; ++k) {
    Value offset = mul(add(block, k), kLanes);
    Value positions = sixteenFrom(add(mul(keys.index, kPage), offset));
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

/// The largest of a row's scores of a chunk.
Value AttentionKernel::emitChunkMax(const Tile &tile, Value row, Value count) {
  Value at = scratchRow(tile, row);
  Values four = loop(
      idx(0), count, kPage, Values(4, vec(-kInfinity)),
      [&](Value t, ValueRange carried) {
        Values next;
        for (auto [k, m] : llvm::enumerate(carried))
          next.push_back(fmax(m, loadVector(scores, {at, add(t, k * kLanes)})));
        return next;
      });
  Value m = reduce(fmax(fmax(four[0], four[1]), fmax(four[2], four[3])),
                   [&](Value x, Value y) { return fmax(x, y); });
  memref::StoreOp::create(b, m, chunkMax, ValueRange{tile.index, row});
  return m;
}

/// Scores to exp(score - chunk maximum), and the chunk's sums; then the running
/// maximum and sum, and the factors of the merge. The scales of values go onto
/// the numbers that multiply them; those past the token's own position are
/// never read again.
void AttentionKernel::emitExp(const Tile &tile, Value pageBegin,
                              Value pageEnd) {
  Value zero = idx(0);
  Value count = mul(sub(pageEnd, pageBegin), kPage);
  eachRow(tile, [&](Value row) {
    Value at = scratchRow(tile, row);
    Value all = broadcast(emitChunkMax(tile, row, count), vecType);
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

void AttentionKernel::emitValues(const Tile &tile, const Page &values) {
  Value ahead = physicalPage(
      minIndex(add(values.index, kChunkPages), sub(endPage, idx(1))));
  eachColumn(accumulators / tile.rows(),
             [&](Value column, int64_t width, int64_t vectors) {
               emitColumns(tile, values, ahead, column, width, vectors);
             });
}

/// f(first, count, from, to): tokens [first, first + count) of a tile see
/// positions [from, to) of the page that begins at `start`.
void AttentionKernel::eachRange(
    const Tile &tile, Value start,
    function_ref<void(int64_t, int64_t, Value, Value)> range) {
  Value end = add(start, kPage);
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
}

/// Adds p times V to `vectors` vectors of each row's output. Only positions
/// that a token sees are read for it: what else is in the page may be NaN,
/// and even adding 0 could change the sign of a zero.
void AttentionKernel::emitColumns(const Tile &tile, const Page &values,
                                  Value ahead, Value column, int64_t width,
                                  int64_t vectors) {
  auto type = VectorType::get(width, b.getF32Type());
  int64_t perToken = tile.heads * vectors;
  Value start = mul(values.index, kPage);
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
  eachRange(
      tile, start, [&](int64_t first, int64_t count, Value from, Value to) {
        MutableArrayRef<Value> own = MutableArrayRef<Value>(acc).slice(
            first * perToken, count * perToken);
        Values next = loop(
            from, to, 1, ValueRange(ArrayRef<Value>(own)),
            [&](Value position, ValueRange carried) {
              Values acc(carried);
              Value t = sub(position, start);
              Values v;
              for (int64_t k = 0; k < vectors; ++k) {
                Value at = add(column, k * kLanes);
                v.push_back(
                    staged ? loadVector(page, add(mul(t, headDim), at), width)
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
                    scores, {scratchRow(tile, first * tile.heads + row), at},
                    type);
                for (int64_t k = 0; k < vectors; ++k) {
                  Value &sum = acc[row * vectors + k];
                  sum = fma(p, v[k], sum);
                }
              }
              return acc;
            });
        llvm::copy(next, own.begin());
      });
  for (auto [i, value] : llvm::enumerate(acc))
    storeVector(value, chunkOutput, outputAt(i));
}

} // namespace cria
