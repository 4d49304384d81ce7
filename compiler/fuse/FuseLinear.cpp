// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/MathExtras.h"

namespace cria {
#define GEN_PASS_DEF_FUSELINEAR
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

/// A row-wise norm that may run where the row is quantised. Of the kinds per
/// head that is RMS with one weight for all heads; the others are head_rows.
static NormOp prologueNorm(Value x) {
  auto norm = x.getDefiningOp<NormOp>();
  return norm && (!norm.isPerHead() ||
                  (norm.getKind() == NormKind::per_head && !norm.getHeadDim()))
             ? norm
             : NormOp();
}

/// Linears whose input is quantised to 16 bits: those that make queries, keys
/// and values, and the logits. An error in a score moves the whole row of
/// attention, and one in a logit is the result. On SmolLM2-135M Q4_1, mean KL
/// against f32 activations with 8 bits everywhere is 0.0033; the inputs of
/// these two alone cost 0.0012 and 0.0006 of it, for a sixth of the products.
static bool wantsWideCodes(LinearOp linear) {
  SmallVector<Operation *> users(linear.getResult().getUsers());
  while (!users.empty()) {
    Operation *user = users.pop_back_val();
    if (isa<KvAppendOp, AttentionOp, func::ReturnOp>(user))
      return true;
    if (isa<RopeOp, NormOp, SoftcapOp, ScaleOp, ClipOp>(user))
      llvm::append_range(users, user->getResult(0).getUsers());
  }
  return false;
}

/// Builds the rows op that feeds linears of one weight format from `x`.
static RowsOp buildRows(OpBuilder &b, LinearOp linear, bool wide) {
  Value x = linear.getX();
  Location loc = linear.getLoc();
  NormOp norm = prologueNorm(x);
  SmallVector<Value> params;
  if (norm) {
    x = norm.getX();
    loc = norm.getLoc();
    if (norm.getWeight())
      params.push_back(norm.getWeight());
    if (norm.getBias())
      params.push_back(norm.getBias());
  }
  auto weight = cast<WeightType>(linear.getWeight().getType());
  int64_t k = weight.getK();
  SmallVector<Value> inits;
  IntegerAttr zeroPoint;
  if (weight.isQuantized()) {
    int64_t blocks = llvm::divideCeil(k, CriaDialect::kQuantBlock);
    bool zero = weight.getOffset() == OffsetKind::zero_point;
    if (zero)
      zeroPoint = b.getI64IntegerAttr(weight.getZeroPoint());
    inits = {emptyRows(b, loc, x,
                       blocks * CriaDialect::kQuantBlock / (wide ? 2 : 4),
                       b.getI32Type()),
             emptyRows(b, loc, x, blocks, b.getF32Type()),
             emptyRows(b, loc, x, blocks * weight.getScalesPerBlock(),
                       zero ? Type(b.getI32Type()) : b.getF32Type())};
  } else {
    inits = {emptyRows(b, loc, x, k, b.getF32Type())};
  }
  auto rows = RowsOp::create(b, loc, ValueRange(inits).getTypes(), x, params,
                             inits, zeroPoint, UnitAttr(), UnitAttr());

  Block *body = b.createBlock(&rows.getPrologue());
  Value row =
      body->addArgument(RankedTensorType::get({1, k}, b.getF32Type()), loc);
  IRMapping map;
  for (Value param : params)
    map.map(param, body->addArgument(param.getType(), loc));
  if (norm) {
    map.map(x, row);
    Operation *clone = b.clone(*norm, map);
    clone->getResult(0).setType(row.getType());
    row = clone->getResult(0);
  }
  YieldOp::create(b, loc, row);
  b.setInsertionPointAfter(rows);
  return rows;
}

namespace {
struct FuseLinear : cria::impl::FuseLinearBase<FuseLinear> {
  void runOnOperation() override {
    // Linears of one row and weight format in one block share its rows op.
    using Key = std::tuple<Block *, Value, int64_t, int>;
    llvm::DenseMap<Key, RowsOp> shared;
    // Erased at the end: `shared` knows them by their results.
    llvm::SetVector<Operation *> norms;
    SmallVector<LinearOp> linears;
    getOperation()->walk([&](LinearOp linear) { linears.push_back(linear); });
    for (LinearOp linear : linears) {
      auto weight = cast<WeightType>(linear.getWeight().getType());
      bool quantized = weight.isQuantized();
      if ((quantized && weight.getLayout() != WeightLayout::n16k4) ||
          (!quantized && weight.getLayout() == WeightLayout::rows)) {
        linear.emitOpError()
            << "reads " << weight
            << ", which no kernel does; run cria-assign-layouts first";
        return signalPassFailure();
      }
      OpBuilder b(linear);
      Location loc = linear.getLoc();
      NormOp norm = prologueNorm(linear.getX());
      SmallVector<Value> acts;
      if (!quantized && !norm) {
        acts = {linear.getX()};
      } else {
        int64_t format = !quantized ? -1
                         : weight.getOffset() == OffsetKind::min
                             ? 0
                             : weight.getZeroPoint();
        bool wide = wantsWideCodes(linear);
        RowsOp &rows =
            shared[{linear->getBlock(), linear.getX(), format, wide ? 16 : 8}];
        if (!rows)
          rows = buildRows(b, linear, wide);
        acts = rows.getResults();
      }
      b.setInsertionPoint(linear);
      // Not the norm's rows: it shall have no use left.
      Value like = norm ? norm.getX() : linear.getX();
      Value init = emptyRows(b, loc, like, weight.getN(), b.getF32Type());
      SmallVector<Value> extras;
      SmallVector<Attribute> kinds;
      if (linear.getBias()) {
        extras.push_back(linear.getBias());
        kinds.push_back(ExtraKindAttr::get(&getContext(), ExtraKind::bias));
      }
      auto fused = FusedLinearOp::create(
          b, loc, TypeRange{init.getType()}, acts, linear.getWeight(), extras,
          Value(), Value(), init, b.getArrayAttr(kinds),
          OutKindAttr::get(&getContext(), OutKind::rows), UnitAttr(),
          UnitAttr());
      Type lanes = VectorType::get(CriaDialect::kLanes, b.getF32Type());
      Block *body = b.createBlock(&fused.getEpilogue(), {}, lanes, loc);
      Value tile = body->getArgument(0);
      if (linear.getBias())
        tile =
            arith::AddFOp::create(b, loc, tile, body->addArgument(lanes, loc));
      YieldOp::create(b, loc, tile);
      linear.getResult().replaceAllUsesWith(fused.getResults()[0]);
      linear.erase();
      if (norm)
        norms.insert(norm);
    }
    for (Operation *norm : norms)
      if (norm->use_empty())
        norm->erase();
  }
};
} // namespace
