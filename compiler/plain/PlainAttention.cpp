// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The KV cache and attention. One token and one kv head at a time: the keys and
// values that the token sees are gathered first, so that nothing is masked and
// no page past the token's position is ever looked up.

#include "compiler/plain/PlainBuilder.h"
#include "compiler/plain/PlainPatterns.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <limits>

using namespace cria;
using namespace mlir;

using LoopBody =
    llvm::function_ref<Value(PlainBuilder &, Value index, Value carried)>;

/// for index in [0, count): carried = body(index, carried)
static Value forLoop(PlainBuilder &b, Value count, Value init, LoopBody body) {
  auto loop = b.create<scf::ForOp>(
      b.index(0), count, b.index(1), init,
      [&](OpBuilder &builder, Location loc, Value index, ValueRange carried) {
        PlainBuilder inner(builder, loc);
        Value next = body(inner, index, carried.front());
        scf::YieldOp::create(inner, loc, next);
      });
  return loop.getResult(0);
}

/// Indices of the element (page, head, offset in the page, element of the
/// head) of one layer of a cache.
static SmallVector<Value> cacheIndices(PlainBuilder &b, CacheRole role,
                                       Value layer, Value page, Value head,
                                       Value offset, Value element) {
  if (role == CacheRole::value)
    return {layer, page, head, offset, element};
  AffineExpr d0 = b.getAffineDimExpr(0);
  int64_t lanes = CriaDialect::kLanes;
  return {layer,   page,
          head,    b.apply(d0.floorDiv(lanes), offset),
          element, b.apply(d0 % lanes, offset)};
}

namespace {

struct LowerKvAppend : OpRewritePattern<KvAppendOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(KvAppendOp op,
                                PatternRewriter &rewriter) const override {
    auto cacheType = cast<RankedTensorType>(op.getCache().getType());
    bool isKey = op.getRole() == CacheRole::key;
    int64_t heads = cacheType.getDimSize(2);
    int64_t headDim = cacheType.getDimSize(4);
    PlainBuilder b(rewriter, op.getLoc());
    AffineExpr d0 = b.getAffineDimExpr(0), d1 = b.getAffineDimExpr(1);
    int64_t pageTokens = CriaDialect::kPageTokens;
    Value rows = b.create<tensor::DimOp>(op.getX(), 0);
    auto row = [&](PlainBuilder &b, Value i, Value cache) -> Value {
      Value slot = b.extractIndex(op.getSlots(), i);
      Value page = b.apply(d0.floorDiv(pageTokens), slot);
      Value offset = b.apply(d0 % pageTokens, slot);
      auto head = [&](PlainBuilder &b, Value h, Value cache) -> Value {
        auto element = [&](PlainBuilder &b, Value d, Value cache) -> Value {
          Value column = b.apply(d0 * headDim + d1, {h, d});
          Value x =
              b.create<tensor::ExtractOp>(op.getX(), ValueRange{i, column});
          return b.create<tensor::InsertOp>(
              b.fromF32(x, cacheType.getElementType()), cache,
              cacheIndices(b, isKey ? CacheRole::key : CacheRole::value,
                           op.getLayer(), page, h, offset, d));
        };
        return forLoop(b, b.index(headDim), cache, element);
      };
      return forLoop(b, b.index(heads), cache, head);
    };
    rewriter.replaceOp(op, forLoop(b, rows, op.getCache(), row));
    return success();
  }
};

/// One cria.attention, piece by piece.
class AttentionBuilder {
public:
  explicit AttentionBuilder(AttentionOp op)
      : op(op), headDim(op.getHeadDim()),
        group(op.getHeads() / op.getKvHeads()) {}

  Value build(PlainBuilder &b);

private:
  /// Keys or values of kv head `head` at positions [low, low + count) of
  /// sequence `sequence`, count x head_dim.
  Value gather(PlainBuilder &b, CacheRole role, Value sequence, Value head,
               Value low, Value count);
  /// Scores of the heads of a group, group x count.
  Value score(PlainBuilder &b, Value q, Value keys, Value kvHead, Value count);
  /// What the distance adds to element (head of the group, position) of the
  /// scores; called in their loop.
  Value biased(PlainBuilder &b, Value score, Value kvHead, Value count);
  /// The result for the heads of a group, group x head_dim. `sinks` is null
  /// or has one element a head of the group.
  Value mix(PlainBuilder &b, Value scores, Value values, Value sinks);

  AttentionOp op;
  int64_t headDim, group;
  Value slopes; // or null
};

} // namespace

Value AttentionBuilder::gather(PlainBuilder &b, CacheRole role, Value sequence,
                               Value head, Value low, Value count) {
  AffineExpr d0 = b.getAffineDimExpr(0), d1 = b.getAffineDimExpr(1);
  int64_t pageTokens = CriaDialect::kPageTokens;
  Value cache = role == CacheRole::key ? op.getKeys() : op.getValues();
  return b.elements({OpFoldResult(count), b.getIndexAttr(headDim)}, {},
                    [&](PlainBuilder &b, ValueRange) {
                      Value position = b.apply(d0 + d1, {low, b.loop(0)});
                      Value entry = b.apply(d0.floorDiv(pageTokens), position);
                      Value page =
                          b.extractIndex(op.getTables(), {sequence, entry});
                      Value offset = b.apply(d0 % pageTokens, position);
                      Value element = b.create<tensor::ExtractOp>(
                          cache, cacheIndices(b, role, op.getLayer(), page,
                                              head, offset, b.loop(1)));
                      return b.toF32(element);
                    });
}

Value AttentionBuilder::biased(PlainBuilder &b, Value score, Value kvHead,
                               Value count) {
  AffineExpr d0 = b.getAffineDimExpr(0), d1 = b.getAffineDimExpr(1);
  Value head = b.apply(d0 * group + d1, {kvHead, b.loop(0)});
  // The last position is the token's own.
  Value distance = b.apply(d0 - d1 - 1, {count, b.loop(1)});
  if (slopes) {
    Value slope = b.create<tensor::ExtractOp>(slopes, ValueRange{head});
    Value steps = b.create<arith::SIToFPOp>(
        b.getF32Type(), b.create<arith::IndexCastOp>(b.getI32Type(), distance));
    score =
        b.create<arith::SubFOp>(score, b.create<arith::MulFOp>(slope, steps));
  }
  if (Value bias = op.getBias()) {
    int64_t last = cast<RankedTensorType>(bias.getType()).getDimSize(1) - 1;
    Value column = b.create<arith::MinSIOp>(distance, b.index(last));
    Value added = b.create<tensor::ExtractOp>(bias, ValueRange{head, column});
    score = b.create<arith::AddFOp>(score, added);
  }
  return score;
}

Value AttentionBuilder::score(PlainBuilder &b, Value q, Value keys,
                              Value kvHead, Value count) {
  Value dots =
      b.reduce(3, {2}, {{q, b.select(3, {0, 2})}, {keys, b.select(3, {1, 2})}},
               b.filled({b.getIndexAttr(group), OpFoldResult(count)}, 0.0),
               [](PlainBuilder &b, ValueRange args) -> Value {
                 Value product = b.create<arith::MulFOp>(args[0], args[1]);
                 return b.create<arith::AddFOp>(args[2], product);
               });
  return b.elementwise(dots, [&](PlainBuilder &b, ValueRange args) -> Value {
    Value score = b.create<arith::MulFOp>(b.f32(op.getScale()), args[0]);
    if (std::optional<APFloat> softcap = op.getSoftcap()) {
      Value cap = b.f32(*softcap);
      Value ratio = b.create<arith::DivFOp>(score, cap);
      score = b.create<arith::MulFOp>(cap, b.create<math::TanhOp>(ratio));
    }
    return biased(b, score, kvHead, count);
  });
}

Value AttentionBuilder::mix(PlainBuilder &b, Value scores, Value values,
                            Value sinks) {
  PlainBuilder::Sizes heads = b.sizes({group});
  // Subtracting the largest score changes no quotient and keeps exp finite.
  Value init = sinks;
  if (!sinks)
    init = b.filled(heads, -std::numeric_limits<double>::infinity());
  Value max =
      b.reduceLast(scores, init, [](PlainBuilder &b, ValueRange args) -> Value {
        return b.create<arith::MaximumFOp>(args[0], args[1]);
      });
  auto shiftedExp = [](PlainBuilder &b, ValueRange args) -> Value {
    return b.create<math::ExpOp>(b.create<arith::SubFOp>(args[0], args[1]));
  };
  Value weights = b.elements(
      b.sizes(scores),
      {{scores, b.getMultiDimIdentityMap(2)}, {max, b.select(2, {0})}},
      shiftedExp);
  Value base =
      sinks ? b.elementwise({sinks, max}, shiftedExp) : b.filled(heads, 0.0);
  Value sum = b.reduceLast(weights, base,
                           [](PlainBuilder &b, ValueRange args) -> Value {
                             return b.create<arith::AddFOp>(args[1], args[0]);
                           });
  Value mixed = b.reduce(
      3, {1}, {{weights, b.select(3, {0, 1})}, {values, b.select(3, {1, 2})}},
      b.filled(b.sizes({group, headDim}), 0.0),
      [](PlainBuilder &b, ValueRange args) -> Value {
        Value product = b.create<arith::MulFOp>(args[0], args[1]);
        return b.create<arith::AddFOp>(args[2], product);
      });
  return b.elements(
      b.sizes({group, headDim}),
      {{mixed, b.getMultiDimIdentityMap(2)}, {sum, b.select(2, {0})}},
      [](PlainBuilder &b, ValueRange args) -> Value {
        return b.create<arith::DivFOp>(args[0], args[1]);
      });
}

Value AttentionBuilder::build(PlainBuilder &b) {
  int64_t kvHeads = op.getKvHeads();
  AffineExpr d0 = b.getAffineDimExpr(0), d1 = b.getAffineDimExpr(1);
  // Head h reads kv head h / group: n x kv_heads x group x head_dim.
  Value q = b.splitLast(op.getQ(), {kvHeads, group, headDim});
  if (std::optional<ArrayRef<float>> values = op.getSlopes())
    slopes = b.create<arith::ConstantOp>(DenseElementsAttr::get(
        RankedTensorType::get(values->size(), b.getF32Type()), *values));
  Value sinks = op.getSinks();
  if (sinks)
    sinks = b.splitLast(sinks, {kvHeads, group});
  auto token = [&](PlainBuilder &b, Value i, Value result) -> Value {
    Value position = b.extractIndex(op.getPositions(), i);
    Value sequence = b.extractIndex(op.getSequences(), i);
    Value low = b.index(0);
    if (std::optional<uint64_t> window = op.getWindow())
      low = b.create<arith::MaxSIOp>(
          low, b.apply(d0 - (int64_t(*window) - 1), position));
    Value count = b.apply(d1 - d0 + 1, {low, position});
    auto head = [&](PlainBuilder &b, Value g, Value result) -> Value {
      Value keys = gather(b, CacheRole::key, sequence, g, low, count);
      Value values = gather(b, CacheRole::value, sequence, g, low, count);
      OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
      PlainBuilder::Sizes offsets{i, g, zero, zero};
      PlainBuilder::Sizes sizes = b.sizes({1, 1, group, headDim});
      PlainBuilder::Sizes strides(4, one);
      auto type = RankedTensorType::get({group, headDim}, b.getF32Type());
      Value row =
          b.create<tensor::ExtractSliceOp>(type, q, offsets, sizes, strides);
      Value sink;
      if (sinks)
        sink = b.create<tensor::ExtractSliceOp>(
            RankedTensorType::get({group}, b.getF32Type()), sinks,
            PlainBuilder::Sizes{g, zero}, b.sizes({1, group}),
            PlainBuilder::Sizes{one, one});
      Value mixed = mix(b, score(b, row, keys, g, count), values, sink);
      return b.create<tensor::InsertSliceOp>(mixed, result, offsets, sizes,
                                             strides);
    };
    return forLoop(b, b.index(kvHeads), result, head);
  };
  Value rows = b.create<tensor::DimOp>(op.getQ(), 0);
  Value result = forLoop(b, rows, b.empty(b.sizes(q)), token);
  return b.mergeLast(result, 1);
}

namespace {

struct LowerRelativeBias : OpRewritePattern<RelativeBiasOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RelativeBiasOp op,
                                PatternRewriter &rewriter) const override {
    PlainBuilder b(rewriter, op.getLoc());
    SmallVector<int32_t> buckets = op.getBuckets();
    Value bucketOf = b.create<arith::ConstantOp>(DenseElementsAttr::get(
        RankedTensorType::get(buckets.size(), b.getI32Type()),
        ArrayRef<int32_t>(buckets)));
    PlainBuilder::Sizes sizes{b.sizes(op.getTable())[1],
                              b.getIndexAttr(buckets.size())};
    Value result = b.elements(
        sizes, {{bucketOf, b.select(2, {1})}},
        [&](PlainBuilder &b, ValueRange args) -> Value {
          Value bucket =
              b.create<arith::IndexCastOp>(b.getIndexType(), args[0]);
          return b.create<tensor::ExtractOp>(op.getTable(),
                                             ValueRange{bucket, b.loop(0)});
        });
    rewriter.replaceOp(op, b.asType(result, op.getType()));
    return success();
  }
};

struct LowerAttention : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    PlainBuilder b(rewriter, op.getLoc());
    rewriter.replaceOp(op, AttentionBuilder(op).build(b));
    return success();
  }
};

} // namespace

void cria::populatePlainAttentionPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerKvAppend, LowerRelativeBias, LowerAttention>(
      patterns.getContext());
}
