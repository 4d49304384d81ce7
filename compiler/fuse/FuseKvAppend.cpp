// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace cria {
#define GEN_PASS_DEF_FUSEKVAPPEND
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// Where an append has no linear to go into: a parallel loop over the heads
/// of the rows, each of which writes head_dim elements of its slot.
Value appendHeads(OpBuilder &b, KvAppendOp append) {
  Location loc = append.getLoc();
  auto cacheType = cast<RankedTensorType>(append.getCache().getType());
  int64_t heads = cacheType.getDimSize(2), headDim = cacheType.getDimSize(4);
  Type element = cacheType.getElementType();
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  OpFoldResult bounds[] = {tensor::getMixedSize(b, loc, append.getX(), 0),
                           b.getIndexAttr(heads)};
  auto loop = scf::ForallOp::create(b, loc, bounds, append.getCache(),
                                    /*mapping=*/std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value token = loop.getInductionVar(0), head = loop.getInductionVar(1);
  Value cache = loop.getRegionIterArgs()[0];

  auto divide = [&](Value v, int64_t by) -> std::pair<Value, Value> {
    Value divisor = arith::ConstantIndexOp::create(b, loc, by);
    return {arith::DivUIOp::create(b, loc, v, divisor),
            arith::RemUIOp::create(b, loc, v, divisor)};
  };
  Value slot = arith::IndexCastUIOp::create(
      b, loc, b.getIndexType(),
      tensor::ExtractOp::create(b, loc, append.getSlots(), token));
  auto [page, place] = divide(slot, CriaDialect::kPageTokens);
  SmallVector<OpFoldResult> offsets{append.getLayer(), page, head};
  if (append.getRole() == CacheRole::key) {
    auto [block, lane] = divide(place, CriaDialect::kLanes);
    offsets.append({block, zero, lane});
  } else {
    offsets.append({place, zero});
  }
  SmallVector<OpFoldResult> sizes(offsets.size(), one),
      strides(offsets.size(), one);
  sizes[4] = b.getIndexAttr(headDim);
  Value width = arith::ConstantIndexOp::create(b, loc, headDim);
  OpFoldResult column = arith::MulIOp::create(b, loc, head, width).getResult();
  OpFoldResult two[] = {one, one};
  Value row = tensor::ExtractSliceOp::create(
      b, loc, RankedTensorType::get({headDim}, b.getF32Type()), append.getX(),
      {token, column}, {one, b.getIndexAttr(headDim)}, two);
  Value old = tensor::ExtractSliceOp::create(
      b, loc, RankedTensorType::get({headDim}, element), cache, offsets, sizes,
      strides);
  AffineMap every = b.getMultiDimIdentityMap(1);
  Value stored =
      linalg::GenericOp::create(
          b, loc, TypeRange{old.getType()}, ValueRange{row}, ValueRange{old},
          ArrayRef<AffineMap>{every, every}, utils::IteratorType::parallel,
          [&](OpBuilder &b, Location loc, ValueRange args) {
            Value value = args[0];
            if (value.getType() != element)
              value = arith::TruncFOp::create(b, loc, element, value);
            linalg::YieldOp::create(b, loc, value);
          })
          .getResult(0);
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
      StringRef why;
      FusedLinearOp linear = fusableProducer(append.getX(), &why);
      if (!why.empty()) {
        missedFusion(append, "FuseKvAppend", why);
        rewriter.setInsertionPoint(append);
        rewriter.replaceOp(append, appendHeads(rewriter, append));
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
