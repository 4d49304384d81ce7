// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.fused_attention on memrefs to vector loops; see Passes.td.
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
// (Rabe and Staats 2021, algorithm 1, with a whole chunk's maximum.)

#include "compiler/Passes.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

#include <cmath>
#include <limits>

namespace cria {
#define GEN_PASS_DEF_VECTORIZEATTENTION
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

constexpr int64_t kLanes = CriaDialect::kLanes;
constexpr int64_t kPage = CriaDialect::kPageTokens;
constexpr int64_t kPageBlocks = kPage / kLanes;
/// Part of what the op means: see its description.
constexpr int64_t kChunkPages = 4;
/// Rows of a tile. At 12, one converted K or V vector serves 12 FMAs; more
/// rows would leave fewer than two blocks' accumulators in the registers.
constexpr int64_t kMaxRows = 12;
/// Query heads that go over K and V together.
constexpr int64_t kMaxHeads = 8;

using Values = SmallVector<Value>;

/// Writes the loops of one op.
class Emitter {
public:
  Emitter(FusedAttentionOp op, int64_t accumulators)
      : op(op), accumulators(accumulators), b(op.getLoc(), op) {
    headDim = op.getHeadDim();
    ratio = op.getHeads() / op.getKvHeads();
    window = op.getWindow().value_or(0);
    vecType = VectorType::get(kLanes, b.getF32Type());
    intVecType = VectorType::get(kLanes, b.getI32Type());
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
  void emitExp(const Tile &tile, Value count);
  void emitValues(const Tile &tile, Value pageBegin, Value pageEnd);
  void emitColumns(const Tile &tile, Value pageBegin, Value pageEnd,
                   Value column, int64_t width, int64_t vectors);
  void emitResult(const Tile &tile);

  // --- Small things ---
  Value idx(int64_t v) { return arith::ConstantIndexOp::create(b, v); }
  Value f32(double v, Type type) {
    TypedAttr attr = b.getF32FloatAttr(static_cast<float>(v));
    if (auto vec = dyn_cast<VectorType>(type))
      attr = DenseElementsAttr::get(vec, cast<Attribute>(attr));
    return arith::ConstantOp::create(b, attr);
  }
  Value vec(double v) { return f32(v, vecType); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, x, y); }
  Value add(Value x, int64_t y) { return y ? add(x, idx(y)) : x; }
  Value mul(Value x, int64_t y) {
    return y == 1 ? x : arith::MulIOp::create(b, x, idx(y));
  }
  Value minIndex(Value x, Value y) { return arith::MinSIOp::create(b, x, y); }
  Value maxIndex(Value x, Value y) { return arith::MaxSIOp::create(b, x, y); }
  Value fadd(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
  Value fsub(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
  Value fmul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  Value fma(Value x, Value y, Value z) {
    return math::FmaOp::create(b, x, y, z);
  }
  /// Not maximumf: compare and select is one instruction on x86.
  Value fmax(Value x, Value y) {
    Value more = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x, y);
    return arith::SelectOp::create(b, more, x, y);
  }
  Value cmp(arith::CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, predicate, x, y);
  }
  Value broadcast(Value x, VectorType type) {
    return vector::BroadcastOp::create(b, type, x);
  }
  Value load(Value memref, ValueRange at) {
    return memref::LoadOp::create(b, memref, at);
  }
  Value loadSplat(Value memref, ValueRange at, VectorType type) {
    return broadcast(load(memref, at), type);
  }
  Value loadIndex(Value memref, ValueRange at) {
    return arith::IndexCastOp::create(b, b.getIndexType(), load(memref, at));
  }
  Value loadVector(Value memref, ValueRange at, int64_t width = kLanes) {
    Type element = cast<MemRefType>(memref.getType()).getElementType();
    auto type = VectorType::get(width, element);
    Value v = vector::LoadOp::create(b, type, memref, at);
    if (!element.isF32())
      v = arith::ExtFOp::create(b, VectorType::get(width, b.getF32Type()), v);
    return v;
  }
  void storeVector(Value v, Value memref, ValueRange at) {
    vector::StoreOp::create(b, v, memref, at);
  }
  /// Asks for `elements` elements of a page (of either cache: a page is
  /// contiguous, whatever its inner shape) from the given one on, into L2: the
  /// L1 cache cannot hold the 64 KB of a chunk.
  void prefetch(Value cache, Value physical, Value kvHead, Value from,
                int64_t elements) {
    auto type = cast<MemRefType>(cache.getType());
    int64_t line = 64 * 8 / type.getElementTypeBitWidth();
    Values at(type.getRank() - 1, idx(0));
    at[0] = op.getLayer();
    at[1] = physical;
    at[2] = kvHead;
    at.push_back(Value());
    for (int64_t e = 0; e < elements; e += line) {
      at.back() = add(from, e);
      memref::PrefetchOp::create(b, cache, at, /*isWrite=*/false,
                                 /*localityHint=*/2, /*isDataCache=*/true);
    }
  }
  /// body gets the induction variable and the carried values.
  Values loop(Value from, Value to, int64_t step, ValueRange init,
              function_ref<Values(Value, ValueRange)> body) {
    auto forOp = scf::ForOp::create(
        b, from, to, idx(step), init,
        [&](OpBuilder &, Location, Value iv, ValueRange carried) {
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToEnd(
              iv.getParentBlock()); // the nested builder's block
          Values next = body(iv, carried);
          scf::YieldOp::create(b, next);
        });
    return Values(forOp.getResults());
  }
  void loop(Value from, Value to, int64_t step, function_ref<void(Value)> f) {
    loop(from, to, step, {}, [&](Value iv, ValueRange) {
      f(iv);
      return Values();
    });
  }
  /// Combines the 16 lanes in a fixed tree: 8 + 8, 4 + 4, 2 + 2, 1 + 1.
  Value reduce(Value v, function_ref<Value(Value, Value)> combine) {
    for (int64_t n = kLanes / 2; n > 1; n /= 2) {
      Value low = vector::ExtractStridedSliceOp::create(b, v, {0}, {n}, {1});
      Value high = vector::ExtractStridedSliceOp::create(b, v, {n}, {n}, {1});
      v = combine(low, high);
    }
    return combine(vector::ExtractOp::create(b, v, 0),
                   vector::ExtractOp::create(b, v, 1));
  }
  Value expNonPositive(Value x);

  /// Of the tile's token.
  Value position(int64_t token) { return add(firstPosition, token); }
  /// First position that a token sees.
  Value lowest(Value position) {
    if (!window)
      return idx(0);
    return maxIndex(add(position, 1 - window), idx(0));
  }
  /// Decode waits for memory: while the scores of a chunk are computed, its
  /// values are fetched, and meanwhile the keys of the next, so that memory is
  /// never idle. Tiles of several tokens mostly find K and V in the cache.
  static bool prefetches(const Tile &tile) { return tile.tokens == 1; }
  /// Rows are ordered token by token.
  static int64_t tokenOf(const Tile &tile, int64_t row) {
    return row / tile.heads;
  }

  FusedAttentionOp op;
  int64_t accumulators;
  ImplicitLocOpBuilder b;
  int64_t headDim, ratio, window;
  VectorType vecType, intVecType;
  Value tokens;
  Value firstPosition, firstLowest, sequence, endPage; // of the tile
  // Scratch, on the stack: scores and then p of a chunk (12 KB), the chunk's
  // l, and a row's running sum and output. Maxima and merge factors hold one
  // row a lane.
  Value scores, chunkSum, sum, output;
  Value chunkMax, max, oldFactor, newFactor;
};

/// exp(x) for x <= 0, under 1 ulp from exp of the same float; exactly 1 at 0,
/// and 0 below -87, where the result would soon not be a normal number.
/// x = n ln 2 + r; a minimax polynomial on |r| <= ln 2 / 2 (relative error
/// 4e-9 before rounding); n goes straight into the exponent's bits.
Value Emitter::expNonPositive(Value x) {
  constexpr float coefficients[] = {
      0.00138131320f, 0.00836941972f, 0.0416684560f, 0.166665152f,
      0.499999940f,   1.0f,           1.0f};
  // Adding 1.5 * 2^23 rounds to an integer, kept in the low mantissa bits.
  Value magic = vec(12582912.0);
  Value shifted = fma(x, vec(1.44269504088896341), magic);
  Value n = fsub(shifted, magic);
  constexpr float ln2High = 0.693147180559945309f;
  Value r = fma(n, vec(-ln2High), x);
  r = fma(n, vec(ln2High - 0.693147180559945309), r);
  Value y = vec(coefficients[0]);
  for (float c : ArrayRef(coefficients).drop_front())
    y = fma(y, r, vec(c));
  auto mantissaBits = DenseElementsAttr::get(
      intVecType, cast<Attribute>(b.getI32IntegerAttr(23)));
  Value bits =
      arith::ShLIOp::create(b, arith::BitcastOp::create(b, intVecType, shifted),
                            arith::ConstantOp::create(b, mantissaBits));
  bits = add(bits, arith::BitcastOp::create(b, intVecType, y));
  y = arith::BitcastOp::create(b, vecType, bits);
  Value tiny =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, vec(-87.0));
  return arith::SelectOp::create(b, tiny, vec(0.0), y);
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
  scores = allocate({kMaxRows, kChunkPages * kPage});
  chunkSum = allocate({kMaxRows, kLanes});
  sum = allocate({kMaxRows, kLanes});
  output = allocate({kMaxRows, headDim});
  for (Value *lanes : {&chunkMax, &max, &oldFactor, &newFactor})
    *lanes = allocate({kLanes});
}

void Emitter::emit() {
  allocateScratch();
  tokens = memref::DimOp::create(b, op.getQ(), 0);
  // More heads than the registers allow for read K and V again, in groups of
  // equal size as far as possible.
  int64_t groups = llvm::divideCeil(ratio, kMaxHeads);
  int64_t heads = llvm::divideCeil(ratio, groups);
  loop(idx(0), idx(op.getKvHeads()), 1, [&](Value kvHead) {
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
  int64_t known = cast<MemRefType>(op.getQ().getType()).getDimSize(0);
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
  Value position = loadIndex(op.getPositions(), row);
  Value sequence = load(op.getSequences(), row);
  for (int64_t i = 1; i < count; ++i) {
    Value other = minIndex(add(row, i), last);
    also(loadIndex(op.getPositions(), other), add(position, i));
    also(load(op.getSequences(), other), sequence);
  }
  auto page = [&](Value p) -> Value {
    return arith::DivUIOp::create(b, p, idx(kPage));
  };
  Value end = add(position, count - 1);
  also(page(position), page(end));
  if (window)
    also(page(lowest(position)), page(lowest(end)));
  return fits;
}

void Emitter::emitTile(const Tile &tile) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  firstPosition = loadIndex(op.getPositions(), tile.row);
  sequence = loadIndex(op.getSequences(), tile.row);
  firstLowest = lowest(firstPosition);
  storeVector(vec(-infinity), max, idx(0));
  loop(idx(0), idx(tile.rows()), 1, [&](Value row) {
    storeVector(vec(0.0), sum, {row, idx(0)});
    Value zero = f32(0.0, b.getF32Type());
    loop(idx(0), idx(headDim), 1, [&](Value column) {
      memref::StoreOp::create(b, zero, output, ValueRange{row, column});
    });
  });
  Value firstPage = arith::DivUIOp::create(b, firstLowest, idx(kPage));
  endPage = add(arith::DivUIOp::create(b, firstPosition, idx(kPage)), 1);
  Value firstChunk = arith::DivUIOp::create(b, firstPage, idx(kChunkPages));
  // Chunks start at multiples of 256, whatever the window.
  loop(mul(firstChunk, kChunkPages), endPage, kChunkPages, [&](Value page) {
    Value pageBegin = maxIndex(page, firstPage);
    Value pageEnd = minIndex(add(page, kChunkPages), endPage);
    emitScores(tile, pageBegin, pageEnd);
    emitExp(tile, mul(sub(pageEnd, pageBegin), kPage));
    emitValues(tile, pageBegin, pageEnd);
  });
  emitResult(tile);
}

/// scores[row][t - 64 pageBegin], -inf at positions that the token cannot see.
void Emitter::emitScores(const Tile &tile, Value pageBegin, Value pageEnd) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
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
    Value physical = loadIndex(op.getTables(), {sequence, page});
    loop(idx(0), idx(kPageBlocks), blocks, [&](Value block) {
      Values zeros(rows * blocks, vec(0.0));
      Values sums =
          loop(idx(0), idx(headDim), unroll, zeros,
               [&](Value start, ValueRange carried) {
                 Values acc(carried);
                 for (int64_t u = 0; u < unroll; ++u) {
                   Value d = add(start, u);
                   if (prefetches(tile))
                     prefetch(op.getValues(), physical, tile.kvHead,
                              add(mul(d, kPage), mul(block, kLanes)),
                              blocks * kLanes);
                   Values keys;
                   for (int64_t k = 0; k < blocks; ++k)
                     keys.push_back(loadVector(
                         op.getKeys(), {op.getLayer(), physical, tile.kvHead,
                                        add(block, k), d, idx(0)}));
                   for (int64_t row = 0; row < rows; ++row) {
                     Value q = loadSplat(
                         op.getQ(),
                         {add(tile.row, tokenOf(tile, row)),
                          add(add(firstColumn, d), row % tile.heads * headDim)},
                         vecType);
                     for (int64_t k = 0; k < blocks; ++k) {
                       Value &sum = acc[row * blocks + k];
                       sum = fma(keys[k], q, sum);
                     }
                   }
                 }
                 return acc;
               });
      for (int64_t k = 0; k < blocks; ++k) {
        Value offset = mul(add(block, k), kLanes);
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
          double scale = op.getScale().convertToDouble();
          Value s = fmul(sums[row * blocks + k], vec(scale));
          if (std::optional<APFloat> cap = op.getSoftcap()) {
            double limit = cap->convertToDouble();
            s = math::TanhOp::create(b, fmul(s, vec(1.0 / limit)));
            s = fmul(s, vec(limit));
          }
          s = arith::SelectOp::create(b, seen, s, vec(-infinity));
          storeVector(s, scores, {idx(row), at});
        }
      }
    });
  });
}

/// Scores to exp(score - chunk maximum), and the chunk's sums; then the
/// factors that the merge multiplies with, a row a lane.
void Emitter::emitExp(const Tile &tile, Value count) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  auto larger = [&](Value x, Value y) { return fmax(x, y); };
  loop(idx(0), idx(tile.rows()), 1, [&](Value row) {
    Values four =
        loop(idx(0), count, kPage, Values(4, vec(-infinity)),
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
          for (int64_t k = 0; k < kPageBlocks; ++k) {
            Value at = add(t, k * kLanes);
            Value p = expNonPositive(fsub(loadVector(scores, {row, at}), all));
            storeVector(p, scores, {row, at});
            l = fadd(l, p);
          }
          return Values{l};
        });
    storeVector(l[0], chunkSum, {row, idx(0)});
  });
  Value zero = idx(0);
  Value mOld = loadVector(max, zero), mChunk = loadVector(chunkMax, zero);
  Value mNew = fmax(mOld, mChunk);
  storeVector(mNew, max, zero);
  storeVector(expNonPositive(fsub(mOld, mNew)), oldFactor, zero);
  storeVector(expNonPositive(fsub(mChunk, mNew)), newFactor, zero);
  loop(idx(0), idx(tile.rows()), 1, [&](Value row) {
    Value old =
        fmul(loadVector(sum, {row, zero}), loadSplat(oldFactor, row, vecType));
    Value merged = fma(loadSplat(newFactor, row, vecType),
                       loadVector(chunkSum, {row, zero}), old);
    storeVector(merged, sum, {row, zero});
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
        Value physical = loadIndex(op.getTables(), {sequence, page});
        Value start = mul(page, kPage), end = add(start, kPage);
        Value ahead;
        if (prefetches(tile))
          ahead = loadIndex(op.getTables(),
                            {sequence, minIndex(add(page, kChunkPages),
                                                sub(endPage, idx(1)))});
        // Tokens [first, first + count) over positions [from, to).
        auto range = [&](int64_t first, int64_t count, Value from, Value to) {
          MutableArrayRef<Value> part = MutableArrayRef<Value>(acc).slice(
              first * perToken, count * perToken);
          Values next =
              loop(from, to, 1, ValueRange(ArrayRef<Value>(part)),
                   [&](Value t, ValueRange carried) {
                     Values acc(carried);
                     Values values;
                     for (int64_t k = 0; k < vectors; ++k)
                       values.push_back(
                           loadVector(op.getValues(),
                                      {op.getLayer(), physical, tile.kvHead,
                                       sub(t, start), add(column, k * kLanes)},
                                      width));
                     Value at = sub(t, base);
                     if (ahead)
                       prefetch(op.getKeys(), ahead, tile.kvHead,
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
  for (int64_t row = 0; row < tile.rows(); ++row) {
    Value old = loadSplat(oldFactor, idx(row), type);
    Value fresh = loadSplat(newFactor, idx(row), type);
    for (int64_t k = 0; k < vectors; ++k) {
      Value at = add(column, k * kLanes);
      Value previous = loadVector(output, {idx(row), at}, width);
      storeVector(fma(fresh, sums[row * vectors + k], fmul(previous, old)),
                  output, {idx(row), at});
    }
  }
}

void Emitter::emitResult(const Tile &tile) {
  Value zero = idx(0);
  loop(zero, idx(tile.tokens), 1, [&](Value token) {
    loop(zero, idx(tile.heads), 1, [&](Value head) {
      Value row = add(mul(token, tile.heads), head);
      Value globalHead = add(tile.firstHead, head);
      Value total = reduce(loadVector(sum, {row, zero}),
                           [&](Value x, Value y) { return fadd(x, y); });
      total = broadcast(total, vecType);
      Value factor = vec(1.0);
      if (op.getSinks()) {
        Value m = loadSplat(max, row, vecType);
        Value sink = loadSplat(op.getSinks(), globalHead, vecType);
        Value mNew = fmax(m, sink);
        factor = expNonPositive(fsub(m, mNew));
        total = fma(factor, total, expNonPositive(fsub(sink, mNew)));
      }
      factor = vector::ExtractOp::create(
          b, arith::DivFOp::create(b, factor, total), 0);
      Value outRow = add(tile.row, token);
      Value outColumn = mul(globalHead, headDim);
      auto store = [&](Value column, int64_t width) {
        auto type = VectorType::get(width, b.getF32Type());
        Value o = loadVector(output, {row, column}, width);
        storeVector(fmul(o, broadcast(factor, type)), op.getInit(),
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

  LogicalResult check(FusedAttentionOp op) {
    for (Value operand : op->getOperands()) {
      if (isa<TensorType>(operand.getType()))
        return op.emitOpError("is not bufferized");
      auto type = dyn_cast<MemRefType>(operand.getType());
      if (type && !type.isLastDimUnitStride())
        return op.emitOpError("operand of type ")
               << type << " needs unit stride in its last dimension";
    }
    if (!op->getParentOfType<FunctionOpInterface>())
      return op.emitOpError("is not in a function");
    for (Value cache : {op.getKeys(), op.getValues()}) {
      int64_t rank = cast<MemRefType>(cache.getType()).getRank();
      if (rank != (cache == op.getKeys() ? 6 : 5))
        return op.emitOpError("keys have rank 6 and values rank 5, not ")
               << cache.getType();
    }
    return success();
  }

  void runOnOperation() override {
    SmallVector<FusedAttentionOp> ops;
    getOperation()->walk([&](FusedAttentionOp op) { ops.push_back(op); });
    for (FusedAttentionOp op : ops) {
      if (failed(check(op)))
        return signalPassFailure();
      Emitter(op, accumulators).emit();
      op.erase();
    }
  }
};

} // namespace
