// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention on products of integers, for caches of i16: cria.dot2_i16 takes 32
// codes of K or V as they lie in memory, without a conversion, and a word of
// two codes of a query or of p in all lanes. See cria.fused_attention for the
// arithmetic. A sum of integers has no order, so a tile's bits are those of its
// tokens one by one by construction; f32 are the steps between the two sums.
//
// Codes of queries and of p have up to 15 bits, as many as the bound on their
// sum leaves them (S = kMostCodeSum = 262176). Rounding moves a code by 1/2 at
// most, so before it magnitudes may add up to S less half a code each:
//
//   a query of 64 normal numbers: the largest has about 2.5 sigma, all have 51
//   sigma, so it becomes 12800; the error of a number, 1 / sqrt(12) of a step,
//   is 6e-5 sigma, that of K's own codes (2.5 sigma is 8191) 9e-5
//   p over a chunk of 256: where all are equal they are 1024 each, and 4.6, the
//   error of 256 codes, is 2e-5 of their sum; where one is far above the others
//   it is 32767, and 4.6 is 1.4e-4 of it. The f16 of a value has 1e-4
#include "compiler/vector/AttentionKernel.h"
#include "dialect/CacheLayout.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace cria {

/// What the magnitudes of `count` numbers over their step may add up to. Sums
/// of them in f32 may be off by 1e-5.
static double mostTotal(int64_t count) {
  return (1.0 - 1e-5) * static_cast<double>(kMostCodeSum) - count / 2.0 - 1.0;
}

/// The step of the codes of `count` numbers, whose magnitudes are `most` at
/// most and `total` together.
Value AttentionKernel::codeStep(Value most, Value total, int64_t count) {
  Type type = most.getType();
  return fmax(fmul(most, f32(1.0 / 32767.0, type)),
              fmul(total, f32(1.0 / mostTotal(count), type)));
}

/// What numbers are multiplied with to become codes, in all lanes; 0 for a step
/// that is as good as 0.
Value AttentionKernel::inverseStep(Value step) {
  Type type = step.getType();
  Value small = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, step,
                                      f32(1e-35, type));
  Value inverse = arith::DivFOp::create(b, f32(1.0, type), step);
  return broadcast(arith::SelectOp::create(b, small, f32(0.0, type), inverse),
                   vecType);
}

/// 16 numbers as 8 words of two codes. Adding 1.5 * 2^23 rounds to nearest
/// even, into the low mantissa bits.
Value AttentionKernel::codeWords(Value x, Value inverse) {
  Value sum = fma(x, inverse, vec(12582912.0));
  Value codes =
      arith::TruncIOp::create(b, VectorType::get(kLanes, b.getI16Type()),
                              arith::BitcastOp::create(b, intVecType, sum));
  return vector::BitCastOp::create(
      b, VectorType::get(kLanes / 2, b.getI32Type()), codes);
}

Value AttentionKernel::loadCodes(Value memref, ValueRange at) {
  return vector::LoadOp::create(b, codesType(), memref, at);
}

Value AttentionKernel::splatWord(Value words, ValueRange at) {
  return vector::BitCastOp::create(b, codesType(),
                                   loadSplat(words, at, intVecType));
}

Value AttentionKernel::intZero() {
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(intVecType, Attribute(b.getI32IntegerAttr(0))));
}

/// The queries of a tile as words of two codes, and the steps of their scores.
void AttentionKernel::quantizeQueries(const Tile &tile) {
  eachRow(tile, [&](Value row) {
    Value at = scratchRow(tile, row);
    Value token, head;
    std::tie(token, head) = tokenAndHead(tile, row);
    Value from = mul(head, headDim);
    Values numbers;
    Value most, total;
    for (int64_t d = 0; d < headDim; d += kLanes) {
      int64_t width = std::min(kLanes, headDim - d);
      Value x = loadVector(q, {token, add(from, d)}, width);
      if (width < kLanes)
        x = vector::InsertStridedSliceOp::create(b, x, vec(0.0), {0}, {1});
      numbers.push_back(x);
      Value magnitude = math::AbsFOp::create(b, x);
      most = most ? fmax(most, magnitude) : magnitude;
      total = total ? fadd(total, magnitude) : magnitude;
    }
    most = reduce(most, [&](Value x, Value y) { return fmax(x, y); });
    total = reduce(total, [&](Value x, Value y) { return fadd(x, y); });
    Value step = codeStep(most, total, headDim);
    memref::StoreOp::create(b, fmul(step, f32(scale, step.getType())),
                            queryStep, ValueRange{tile.index, row});
    Value inverse = inverseStep(step);
    for (auto [i, x] : llvm::enumerate(numbers))
      storeVector(codeWords(x, inverse), queries, {at, idx(i * (kLanes / 2))});
  });
}

/// As emitScores.
void AttentionKernel::emitIntegerScores(const Tile &tile, const Page &keys) {
  int64_t rows = tile.rows(), pairs = headDim / 2;
  int64_t blocks = kPageBlocks;
  while (blocks > 1 && rows * blocks > accumulators)
    blocks /= 2;
  int64_t rounds = kPageBlocks / blocks;
  loop(idx(0), idx(kPageBlocks), blocks, [&](Value block) {
    Value round = add(mul(tile.index, rounds), div(block, blocks));
    // One pair at a time: of two products in a row LLVM makes one and a
    // vpmaddwd with an addition.
    Values sums = loop(
        idx(0), idx(pairs), 1, Values(rows * blocks, intZero()),
        [&](Value pair, ValueRange carried) {
          Values acc(carried);
          Values places; // of the pair in each block
          for (int64_t k = 0; k < blocks; ++k)
            places.push_back(mul(add(mul(add(block, k), pairs), pair), kCodes));
          if (readsAhead())
            prefetchNext(keys, keyCache, valueCache, tile, places, kCodes);
          else
            prefetchPart(valueCache, keys.physical, tile,
                         add(mul(round, pairs), pair),
                         mostTiles * rounds * pairs);
          Values codes;
          for (Value place : places)
            codes.push_back(loadCodes(
                keyCache, {layer, keys.physical, tile.kvHead, place}));
          for (int64_t row = 0; row < rows; ++row) {
            Value query = splatWord(queries, {scratchRow(tile, row), pair});
            for (int64_t k = 0; k < blocks; ++k) {
              Value &sum = acc[row * blocks + k];
              sum = Dot2I16Op::create(b, intVecType, sum, codes[k], query);
            }
          }
          return acc;
        });
    for (int64_t k = 0; k < blocks; ++k) {
      Value scales = loadScales(keyCache, {layer, keys.physical, tile.kvHead},
                                mul(add(block, k), kLanes));
      for (int64_t row = 0; row < rows; ++row) {
        Value &s = sums[row * blocks + k];
        s = fmul(arith::SIToFPOp::create(b, vecType, s), scales);
        s = fmul(s, loadRow(queryStep, tile, idx(row), vecType));
      }
    }
    finishScores(tile, keys, block, sums);
  });
}

/// As emitExp, and then p times the scales of values as words of two codes.
/// Positions that a token does not see have p = 0, so code 0, whatever is
/// there instead of a scale, even NaN.
void AttentionKernel::emitIntegerExp(const Tile &tile, Value pageBegin,
                                     Value pageEnd) {
  Value zero = idx(0);
  Value count = mul(sub(pageEnd, pageBegin), kPage);
  eachRow(tile, [&](Value row) {
    Value at = scratchRow(tile, row);
    Value all = broadcast(emitChunkMax(tile, row, count), vecType);
    Values sums = loop(
        zero, count, kPage, Values(3, vec(0.0)),
        [&](Value t, ValueRange carried) {
          Value l = carried[0], most = carried[1], total = carried[2];
          Value physical =
              loadIndex(pageTables, {sequence, add(pageBegin, div(t, kPage))});
          for (int64_t k = 0; k < kPageBlocks; ++k) {
            Values place{at, add(t, k * kLanes)};
            Value p = expNonPositive(fsub(loadVector(scores, place), all));
            l = fadd(l, p);
            p = fmul(p, loadScales(valueCache, {layer, physical, tile.kvHead},
                                   idx(k * kLanes)));
            p = fmax(p, vec(0.0)); // NaN is not more than 0
            storeVector(p, scores, place);
            most = fmax(most, p);
            total = fadd(total, p);
          }
          return Values{l, most, total};
        });
    storeVector(sums[0], chunkSum, {at, zero});
    Value most = reduce(sums[1], [&](Value x, Value y) { return fmax(x, y); });
    Value total = reduce(sums[2], [&](Value x, Value y) { return fadd(x, y); });
    Value step = codeStep(most, total, kChunkPages * kPage);
    memref::StoreOp::create(b, step, valueStep, ValueRange{tile.index, row});
    Value inverse = inverseStep(step);
    loop(zero, count, kPage, [&](Value t) {
      Value word = div(t, 2);
      for (int64_t k = 0; k < kPageBlocks; ++k)
        storeVector(
            codeWords(loadVector(scores, {at, add(t, k * kLanes)}), inverse),
            weights, {at, add(word, k * (kLanes / 2))});
    });
    for (int64_t d = 0; d < headDim; d += kLanes)
      storeVector(intZero(), chunkOutput, {at, idx(d)});
  });
}

void AttentionKernel::emitIntegerValues(const Tile &tile, const Page &values) {
  int64_t rows = tile.rows(), all = llvm::divideCeil(headDim, kLanes);
  int64_t vectors =
      std::max<int64_t>(1, std::min<int64_t>(all, accumulators / rows));
  while (all % vectors)
    --vectors;
  int64_t groups = all / vectors, parts = mostTiles * groups;
  Value ahead = physicalPage(
      minIndex(add(values.index, kChunkPages), sub(endPage, idx(1))));
  // Pairs of which some token sees a position.
  Value start = mul(values.index, kPage);
  Value from = maxIndex(start, lowest(tile.position));
  Value to = minIndex(add(start, kPage), add(tile.position, tile.tokens));
  from = div(sub(from, start), 2);
  to = div(add(sub(to, start), 1), 2);
  Value firstWord = div(values.place, 2);
  loop(idx(0), idx(all * kLanes), vectors * kLanes, [&](Value column) {
    if (mostTiles > 1)
      prefetchPart(keyCache, ahead, tile,
                   add(mul(tile.index, groups), div(column, vectors * kLanes)),
                   parts);
    auto outputAt = [&](int64_t i) {
      return Values{scratchRow(tile, i / vectors),
                    add(column, i % vectors * kLanes)};
    };
    Values acc;
    for (int64_t i = 0; i < rows * vectors; ++i)
      acc.push_back(
          vector::LoadOp::create(b, intVecType, chunkOutput, outputAt(i)));
    acc = loop(from, to, 1, acc, [&](Value pair, ValueRange carried) {
      Values acc(carried);
      // Of a last vector that is narrower the rest is of the next pair, or of
      // the scales, and goes nowhere.
      Value place = add(mul(pair, 2 * headDim), mul(column, 2));
      Values v;
      for (int64_t k = 0; k < vectors; ++k)
        v.push_back(loadCodes(valueCache, {layer, values.physical, tile.kvHead,
                                           add(place, k * kCodes)}));
      if (readsAhead())
        prefetchNext(values, valueCache, keyCache, tile, place,
                     vectors * kCodes);
      for (int64_t row = 0; row < rows; ++row) {
        Value p =
            splatWord(weights, {scratchRow(tile, row), add(firstWord, pair)});
        for (int64_t k = 0; k < vectors; ++k) {
          Value &sum = acc[row * vectors + k];
          sum = Dot2I16Op::create(b, intVecType, sum, v[k], p);
        }
      }
      return acc;
    });
    for (auto [i, sum] : llvm::enumerate(acc))
      storeVector(sum, chunkOutput, outputAt(i));
  });
}

} // namespace cria
