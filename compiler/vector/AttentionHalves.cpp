// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Groups of tiles in f16, for `--numerics fast`: 32 numbers a vector, no
// conversion of K and V, and half of the scratch. Rounded to f16 are queries
// times the scale; scores, after each of head_dim additions; p; and the sums of
// p times V over one page, which are added up in f32. Scores are in units of
// ln 2, so that the step to p, 2^x, is exact but for a polynomial. p has the
// precision of f16 down to 2^-14 and is 0 from 2^-25 on.
//
// Numbers that a vector is multiplied with lie in memory as 32-bit words of
// twice the same f16: x86 broadcasts words as it loads them, and 16-bit numbers
// by a shuffle.
#include "compiler/vector/AttentionKernel.h"

using namespace mlir;

namespace cria {

namespace {

/// Vectors of 32 f16 and their halves.
struct Halves {
  ImplicitLocOpBuilder &b;
  VectorType type = VectorType::get(2 * CriaDialect::kLanes, b.getF16Type());

  Value constant(double v) {
    llvm::APFloat value(v);
    bool ignored;
    value.convert(llvm::APFloat::IEEEhalf(), llvm::APFloat::rmNearestTiesToEven,
                  &ignored);
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(
               type, Attribute(b.getFloatAttr(b.getF16Type(), value))));
  }
  Value integer(int64_t v) {
    return arith::ConstantOp::create(
        b,
        DenseElementsAttr::get(bitsType(), Attribute(b.getI16IntegerAttr(v))));
  }
  VectorType bitsType() { return type.clone(b.getI16Type()); }
  Value load(Value memref, ValueRange at) {
    return vector::LoadOp::create(b, type, memref, at);
  }
  void store(Value v, Value memref, ValueRange at) {
    vector::StoreOp::create(b, v, memref, at);
  }
  /// 16 of them, as f32.
  Value wide(Value v, int64_t half) {
    int64_t lanes = CriaDialect::kLanes;
    Value part = vector::ExtractStridedSliceOp::create(b, v, {half * lanes},
                                                       {lanes}, {1});
    return arith::ExtFOp::create(b, VectorType::get(lanes, b.getF32Type()),
                                 part);
  }
  Value join(Value low, Value high) {
    Type half = VectorType::get(CriaDialect::kLanes, b.getF16Type());
    low = arith::TruncFOp::create(b, half, low);
    high = arith::TruncFOp::create(b, half, high);
    auto lanes = llvm::to_vector(llvm::seq<int64_t>(0, type.getNumElements()));
    return vector::ShuffleOp::create(b, low, high, lanes);
  }
  /// Numbers 16 * half to 16 * half + 15 as words, in a vector of f32.
  Value words(Value v, int64_t half) {
    SmallVector<int64_t> lanes;
    for (int64_t i = 0; i < CriaDialect::kLanes; ++i)
      lanes.append(2, half * CriaDialect::kLanes + i);
    return vector::BitCastOp::create(
        b, VectorType::get(CriaDialect::kLanes, b.getF32Type()),
        vector::ShuffleOp::create(b, v, v, lanes));
  }
  /// A word in all places.
  Value splat(Value word) {
    Value all = vector::BroadcastOp::create(
        b, VectorType::get(CriaDialect::kLanes, b.getF32Type()), word);
    return vector::BitCastOp::create(b, type, all);
  }
};

} // namespace

/// Of the exponent of 2 that is exp's.
static constexpr double kLog2E = 1.44269504088896341;

/// The queries of a tile, times the scale, as words.
void AttentionKernel::stageQueries(const Tile &tile) {
  Halves h{b};
  Value factor = vec(scale * (hasMore() ? 1.0 : kLog2E));
  eachRow(tile, [&](Value row) {
    Value token, head;
    std::tie(token, head) = tokenAndHead(tile, row);
    loop(idx(0), idx(headDim), kHalfLanes, [&](Value d) {
      Values both;
      for (int64_t half = 0; half < 2; ++half)
        both.push_back(fmul(
            loadVector(q,
                       {token, add(add(mul(head, headDim), d), half * kLanes)}),
            factor));
      Value v = h.join(both[0], both[1]);
      for (int64_t half = 0; half < 2; ++half)
        storeVector(h.words(v, half), queries,
                    {scratchRow(tile, row), add(d, half * kLanes)});
    });
  });
}

/// A page of K: [position / 32][d][position % 32].
void AttentionKernel::stageHalfKeys(const Tile &tile, const Page &keys) {
  Type sixteen = VectorType::get(kLanes, b.getF16Type());
  for (int64_t block = 0; block < kPageBlocks; ++block)
    loop(idx(0), idx(headDim), 2, [&](Value start) {
      for (int64_t u = 0; u < 2; ++u) {
        Value d = add(start, u);
        Value v = vector::LoadOp::create(
            b, sixteen, keyCache,
            Values{layer, keys.physical, tile.kvHead, idx(block), d, idx(0)});
        Value row = mul(add(d, block / 2 * headDim), kHalfLanes);
        storeVector(v, halfPage, add(row, block % 2 * kLanes));
      }
    });
}

/// halfScores[row][t], -inf at positions that the token cannot see.
void AttentionKernel::emitHalfScores(const Tile &tile, const Page &keys) {
  Halves h{b};
  int64_t rows = tile.rows(), all = kPage / kHalfLanes;
  int64_t vectors = rows * all > accumulators ? 1 : all;
  int64_t unroll = 4, steps = headDim / unroll;
  loop(idx(0), idx(all), vectors, [&](Value block) {
    Values zeros(rows * vectors, h.constant(0.0));
    Values sums = loop(
        idx(0), idx(headDim), unroll, zeros,
        [&](Value start, ValueRange carried) {
          Values acc(carried);
          Value round =
              add(mul(tile.index, all / vectors), div(block, vectors));
          prefetchPart(valueCache, keys.physical, tile,
                       add(mul(round, steps), div(start, unroll)),
                       mostTiles * all / vectors * steps);
          for (int64_t u = 0; u < unroll; ++u) {
            Value d = add(start, u);
            Values k;
            for (int64_t i = 0; i < vectors; ++i)
              k.push_back(
                  h.load(halfPage,
                         mul(add(mul(add(block, i), headDim), d), kHalfLanes)));
            for (int64_t row = 0; row < rows; ++row) {
              Value query = h.splat(load(queries, {scratchRow(tile, row), d}));
              for (int64_t i = 0; i < vectors; ++i) {
                Value &sum = acc[row * vectors + i];
                sum = fma(k[i], query, sum);
              }
            }
          }
          return acc;
        });
    for (auto [i, sum] : llvm::enumerate(sums)) {
      int64_t row = i / vectors;
      Value from = mul(add(block, i % vectors), kHalfLanes);
      if (hasMore()) {
        Values parts;
        for (int64_t half = 0; half < 2; ++half) {
          Value score = addByDistance(
              capped(h.wide(sum, half), softcap), slopes, bias,
              add(tile.firstHead, row % tile.heads),
              add(tile.position, tokenOf(tile, row)),
              add(add(mul(keys.index, kPage), from), half * kLanes));
          parts.push_back(fmul(score, vec(kLog2E)));
        }
        sum = h.join(parts[0], parts[1]);
      }
      h.store(sum, halfScores, {scratchRow(tile, row), add(keys.place, from)});
    }
  });
  emitHalfMask(tile, keys);
}

/// As emitMask, of the scores in memory.
void AttentionKernel::emitHalfMask(const Tile &tile, const Page &keys) {
  auto choice = scf::IfOp::create(b, isEdge(tile, keys), /*else=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(choice.thenBlock());
  auto sixteen = VectorType::get(kLanes, b.getF16Type());
  Value hidden = arith::ConstantOp::create(
      b, DenseElementsAttr::get(
             sixteen, llvm::APFloat::getInf(llvm::APFloat::IEEEhalf(), true)));
  loop(idx(0), idx(kPage), kLanes, [&](Value column) {
    Value positions = sixteenFrom(add(mul(keys.index, kPage), column));
    for (int64_t token = 0; token < tile.tokens; ++token) {
      Value seen = sees(add(tile.position, token), positions);
      for (int64_t head = 0; head < tile.heads; ++head) {
        Values at{scratchRow(tile, token * tile.heads + head),
                  add(keys.place, column)};
        Value s = vector::LoadOp::create(b, sixteen, halfScores, at);
        storeVector(arith::SelectOp::create(b, seen, s, hidden), halfScores,
                    at);
      }
    }
  });
}

/// 2^x for x <= 0 as the square of 2^(x / 2), whose exponent stays normal: x =
/// 2 n + r, a minimax polynomial on |r| <= 1 (relative error 1.7e-4, half an
/// ulp is 4.9e-4), and n into the exponent.
Value AttentionKernel::exp2Half(Value x) {
  Halves h{b};
  // 2^x of this rounds to 0; -inf ends here.
  x = fmax(x, h.constant(-26.0));
  // Adding 1.5 * 2^10 rounds to an integer, kept in the low mantissa bits.
  Value magic = h.constant(1536.0);
  Value shifted = fma(x, h.constant(0.5), magic);
  Value n = fsub(shifted, magic);
  Value r = fma(n, h.constant(-2.0), x);
  Value y = h.constant(0.0068778991699);
  for (double c : {0.060546875, 0.3466796875, 1.0})
    y = fma(y, r, h.constant(c));
  Value bits = arith::ShLIOp::create(
      b, arith::BitcastOp::create(b, h.bitsType(), shifted), h.integer(10));
  bits = add(bits, arith::BitcastOp::create(b, h.bitsType(), y));
  y = arith::BitcastOp::create(b, h.type, bits);
  return fmul(y, y);
}

/// As emitExp: words of p go to `scores`.
void AttentionKernel::emitHalfExp(const Tile &tile, Value pageBegin,
                                  Value pageEnd) {
  Halves h{b};
  Value zero = idx(0);
  Value count = mul(sub(pageEnd, pageBegin), kPage);
  auto larger = [&](Value x, Value y) { return fmax(x, y); };
  eachRow(tile, [&](Value row) {
    Value at = scratchRow(tile, row);
    auto scoresAt = [&](Value t, int64_t k) {
      return h.load(halfScores, {at, add(t, k * kHalfLanes)});
    };
    Values two = loop(zero, count, kPage, Values(2, h.constant(-kInfinity)),
                      [&](Value t, ValueRange carried) {
                        Values next;
                        for (auto [k, m] : llvm::enumerate(carried))
                          next.push_back(fmax(m, scoresAt(t, k)));
                        return next;
                      });
    Value most = fmax(two[0], two[1]);
    Value m = reduce(fmax(h.wide(most, 0), h.wide(most, 1)), larger);
    // What merges chunks takes exp of it.
    memref::StoreOp::create(b, fmul(m, f32(1 / kLog2E, m.getType())), chunkMax,
                            ValueRange{tile.index, row});
    Value all = vector::BroadcastOp::create(
        b, h.type, arith::TruncFOp::create(b, b.getF16Type(), m));
    Value l = loop(zero, count, kPage, h.constant(0.0),
                   [&](Value t, ValueRange carried) {
                     Value l = carried[0];
                     for (int64_t k = 0; k < kPage / kHalfLanes; ++k) {
                       Value p = exp2Half(fsub(scoresAt(t, k), all));
                       l = fadd(l, p);
                       for (int64_t half = 0; half < 2; ++half)
                         storeVector(h.words(p, half), scores,
                                     {at, add(t, (2 * k + half) * kLanes)});
                     }
                     return Values{l};
                   })[0];
    storeVector(fadd(h.wide(l, 0), h.wide(l, 1)), chunkSum, {at, zero});
    eachColumn(1, [&](Value column, int64_t, int64_t) {
      storeVector(vec(0.0), chunkOutput, {at, column});
    });
  });
}

void AttentionKernel::emitHalfValues(const Tile &tile, const Page &values) {
  Value ahead = physicalPage(
      minIndex(add(values.index, kChunkPages), sub(endPage, idx(1))));
  int64_t all = headDim / kHalfLanes;
  int64_t vectors =
      std::max<int64_t>(1, std::min<int64_t>(all, accumulators / tile.rows()));
  while (all % vectors)
    --vectors;
  for (int64_t i = 0; i < all; i += vectors)
    emitHalfColumns(tile, values, ahead, i * kHalfLanes, vectors);
}

/// As emitColumns: the sums of a page in f16, which are added to the output.
void AttentionKernel::emitHalfColumns(const Tile &tile, const Page &values,
                                      Value ahead, int64_t column,
                                      int64_t vectors) {
  Halves h{b};
  int64_t groups = headDim / kHalfLanes / vectors;
  prefetchPart(keyCache, ahead, tile,
               add(mul(tile.index, groups), column / kHalfLanes / vectors),
               mostTiles * groups);
  Values acc(tile.rows() * vectors, h.constant(0.0));
  Value start = mul(values.index, kPage);
  eachRange(
      tile, start, [&](int64_t first, int64_t count, Value from, Value to) {
        int64_t perToken = tile.heads * vectors;
        auto own = MutableArrayRef<Value>(acc).slice(first * perToken,
                                                     count * perToken);
        Values next =
            loop(from, to, 1, ValueRange(ArrayRef<Value>(own)),
                 [&](Value position, ValueRange carried) {
                   Values acc(carried);
                   Value t = sub(position, start);
                   Values v;
                   for (int64_t k = 0; k < vectors; ++k)
                     v.push_back(h.load(valueCache,
                                        {layer, values.physical, tile.kvHead, t,
                                         idx(column + k * kHalfLanes)}));
                   for (int64_t row = 0; row < count * tile.heads; ++row) {
                     Value p = h.splat(load(
                         scores, {scratchRow(tile, first * tile.heads + row),
                                  add(values.place, t)}));
                     for (int64_t k = 0; k < vectors; ++k) {
                       Value &sum = acc[row * vectors + k];
                       sum = fma(p, v[k], sum);
                     }
                   }
                   return acc;
                 });
        llvm::copy(next, own.begin());
      });
  for (auto [i, sum] : llvm::enumerate(acc))
    for (int64_t half = 0; half < 2; ++half) {
      Values at{scratchRow(tile, i / vectors),
                idx(column + i % vectors * kHalfLanes + half * kLanes)};
      storeVector(fadd(loadVector(chunkOutput, at), h.wide(sum, half)),
                  chunkOutput, at);
    }
}

} // namespace cria
