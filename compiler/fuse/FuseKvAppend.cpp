// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"
#include "dialect/CacheLayout.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace cria {
#define GEN_PASS_DEF_FUSEKVAPPEND
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// Where an append has no linear to go into: a kernel of its own, which takes
/// in what stands in front of it.
void appendHeads(IRRewriter &rewriter, KvAppendOp append) {
  auto cache = cast<RankedTensorType>(append.getCache().getType());
  int64_t headDim = cache.getDimSize(4);
  OutKind out =
      append.getRole() == CacheRole::key ? OutKind::key : OutKind::value;
  auto rows = append.getX().getDefiningOp<HeadRowsOp>();
  NormOp norm = headNorm(append.getX(), headDim);
  if (!rows || !rows->hasOneUse() || rows.getOut() != OutKind::rows ||
      static_cast<int64_t>(rows.getHeadDim()) != headDim)
    rows = headRows(rewriter, append.getLoc(),
                    norm ? norm.getX() : append.getX(), headDim, Value(), norm);
  auto stored = HeadRowsOp::create(
      rewriter, rewriter.getFusedLoc({rows.getLoc(), append.getLoc()}),
      TypeRange{cache}, rows.getX(), rows.getWeight(), rows.getBias(),
      rows.getRope(), append.getLayer(), append.getSlots(), append.getCache(),
      rows.getHeadDimAttr(), rows.getEpsAttr(), rows.getPlusOneAttr(),
      rows.getCenterAttr(), OutKindAttr::get(rewriter.getContext(), out));
  rewriter.replaceOp(append, stored.getResults());
  rewriter.eraseOp(rows);
  if (norm)
    rewriter.eraseOp(norm);
}

/// The arithmetic of a quantised append, on the bits of floats where that is
/// exact on every machine.
struct Quantizer {
  OpBuilder &b;
  Location loc;
  CacheLayout layout;

  Value f32(float v) {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(v));
  }
  Value i32(int32_t v) {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(v));
  }
  Value idx(int64_t v) { return arith::ConstantIndexOp::create(b, loc, v); }
  Value bits(Value x) {
    return arith::BitcastOp::create(b, loc, b.getI32Type(), x);
  }
  /// The lowest bits of a word.
  Value element(Value word) {
    return arith::TruncIOp::create(b, loc, b.getIntegerType(layout.bits), word);
  }
  /// The bits of |x|: ordered as the floats are.
  Value magnitude(Value x) {
    return arith::AndIOp::create(b, loc, bits(x), i32(0x7fffffff));
  }
  Value mostCode() { return f32(static_cast<float>(layout.mostCode())); }
  /// mostCode / m, or 0 for an m that is as good as 0.
  Value inverse(Value m) {
    Value small = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, m,
                                        f32(1e-30f));
    Value inverse = arith::DivFOp::create(b, loc, mostCode(), m);
    return arith::SelectOp::create(b, loc, small, f32(0.0f), inverse);
  }
  /// Adding 1.5 * 2^23 rounds to nearest even, into the low mantissa bits.
  Value code(Value x, Value inverse) {
    Value scaled = arith::MulFOp::create(b, loc, x, inverse);
    Value sum = arith::AddFOp::create(b, loc, scaled, f32(12582912.0f));
    return element(bits(sum));
  }
};

/// An append to a cache of codes. It needs all of a head before it can store
/// the first element, so it goes into no linear.
Value appendQuantized(OpBuilder &b, KvAppendOp append) {
  Location loc = append.getLoc();
  auto cacheType = cast<RankedTensorType>(append.getCache().getType());
  CacheLayout layout{cacheType.getElementTypeBitWidth()};
  Quantizer q{b, loc, layout};
  int64_t heads = cacheType.getDimSize(2), size = cacheType.getDimSize(3);
  int64_t headDim = layout.headDim(size);
  constexpr int64_t lanes = CriaDialect::kLanes;
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  OpFoldResult bounds[] = {tensor::getMixedSize(b, loc, append.getX(), 0),
                           b.getIndexAttr(heads)};
  auto loop = scf::ForallOp::create(b, loc, bounds, append.getCache(),
                                    /*mapping=*/std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value token = loop.getInductionVar(0), head = loop.getInductionVar(1);
  Value cache = loop.getRegionIterArgs()[0];

  auto add = [&](Value x, Value y) -> Value {
    return arith::AddIOp::create(b, loc, x, y);
  };
  auto mul = [&](Value x, int64_t y) -> Value {
    if (y == 1)
      return x;
    return arith::MulIOp::create(b, loc, x, q.idx(y));
  };
  auto divide = [&](Value v, int64_t by) -> std::pair<Value, Value> {
    return {arith::DivUIOp::create(b, loc, v, q.idx(by)),
            arith::RemUIOp::create(b, loc, v, q.idx(by))};
  };
  Value slot = arith::IndexCastUIOp::create(
      b, loc, b.getIndexType(),
      tensor::ExtractOp::create(b, loc, append.getSlots(), token));
  auto [page, place] = divide(slot, CriaDialect::kPageTokens);
  // The codes of `group` positions alternate, `neighbours` of each at a time:
  // where the position's first ones go, and how far the next ones are. See
  // CacheLayout::keyAt and valueAt.
  bool isKey = append.getRole() == CacheRole::key;
  int64_t group = isKey ? lanes : layout.pairs();
  int64_t neighbours = isKey ? layout.pairs() : 1;
  Value first = mul(place, headDim);
  if (group > 1) {
    auto [block, lane] = divide(place, group);
    first = add(mul(block, headDim * group), mul(lane, neighbours));
  }
  Value column = mul(head, headDim);
  auto element = [&](Value d) -> Value {
    return tensor::ExtractOp::create(b, loc, append.getX(),
                                     ValueRange{token, add(column, d)});
  };
  auto elements = [&](Value init, int64_t by, auto body) {
    return scf::ForOp::create(
               b, loc, q.idx(0), q.idx(headDim / by), q.idx(1), init,
               [&](OpBuilder &, Location, Value d, ValueRange carried) {
                 OpBuilder::InsertionGuard guard(b);
                 b.setInsertionPointToEnd(d.getParentBlock());
                 Value next = body(d, carried[0]);
                 scf::YieldOp::create(b, loc, next);
               })
        .getResult(0);
  };
  Value most = elements(q.i32(0), 1, [&](Value d, Value carried) -> Value {
    return arith::MaxUIOp::create(b, loc, carried, q.magnitude(element(d)));
  });
  most = arith::BitcastOp::create(b, loc, b.getF32Type(), most);
  Value inverse = q.inverse(most);
  Value scale = q.bits(arith::DivFOp::create(b, loc, most, q.mostCode()));

  OpFoldResult offsets[] = {append.getLayer(), page, head, zero};
  OpFoldResult sizes[] = {one, one, one, b.getIndexAttr(size)};
  SmallVector<OpFoldResult> strides(4, one);
  Value stored = tensor::ExtractSliceOp::create(
      b, loc, RankedTensorType::get({size}, cacheType.getElementType()), cache,
      offsets, sizes, strides);
  stored = elements(stored, neighbours, [&](Value i, Value carried) -> Value {
    Value to = add(first, mul(i, group * neighbours));
    for (int64_t j = 0; j < neighbours; ++j) {
      Value d = mul(i, neighbours), at = to;
      if (j) {
        d = add(d, q.idx(j));
        at = add(at, q.idx(j));
      }
      carried = tensor::InsertOp::create(b, loc, q.code(element(d), inverse),
                                         carried, at);
    }
    return carried;
  });
  // Little endian, as every target is.
  Value at = add(mul(place, layout.scaleElements()),
                 q.idx(CriaDialect::kPageTokens * headDim));
  for (int64_t i = 0; i < layout.scaleElements(); ++i) {
    Value part = arith::ShRUIOp::create(b, loc, scale, q.i32(layout.bits * i));
    stored = tensor::InsertOp::create(b, loc, q.element(part), stored,
                                      add(at, q.idx(i)));
  }
  b.setInsertionPointToStart(loop.getTerminator().getBody());
  tensor::ParallelInsertSliceOp::create(b, loc, stored, cache, offsets, sizes,
                                        strides);
  return loop.getResult(0);
}

struct FuseKvAppend : cria::impl::FuseKvAppendBase<FuseKvAppend> {
  void runOnOperation() override {
    SmallVector<KvAppendOp> appends;
    getOperation()->walk([&](KvAppendOp append) { appends.push_back(append); });
    IRRewriter rewriter(&getContext());
    for (KvAppendOp append : appends) {
      auto cache = cast<RankedTensorType>(append.getCache().getType());
      if (cache.getElementType().isInteger()) {
        rewriter.setInsertionPoint(append);
        rewriter.replaceOp(append, appendQuantized(rewriter, append));
        continue;
      }
      FusedLinearOp linear = fusableProducer(append.getX());
      // Heads that share vectors would keep the linear from being split.
      if (!linear || cache.getDimSize(4) % CriaDialect::kLanes != 0) {
        rewriter.setInsertionPoint(append);
        appendHeads(rewriter, append);
        continue;
      }
      EpilogueChange change;
      change.init = append.getCache();
      change.out =
          append.getRole() == CacheRole::key ? OutKind::key : OutKind::value;
      change.layer = append.getLayer();
      change.slots = append.getSlots();
      fuseEpilogue(rewriter, linear, append, change,
                   [](OpBuilder &, Value tile, ValueRange) { return tile; });
    }
  }
};
} // namespace
