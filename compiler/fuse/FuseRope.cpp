// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace cria {
#define GEN_PASS_DEF_FUSEROPE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// Where pairs are halves: a loop over the elements of the row. The table knows
/// neighbours only; element e of a head has the other half of its pair, and the
/// table its cosine and signed sine, at
///
///   pairs        | partner            | table
///   interleaved  | e ^ 1              | e
///   half, e < h  | e + h              | 2e            h = dims / 2
///   half, e < 2h | e - h              | 2(e - h) + 1
///   past dims    | e                  | e             (cosine 1, sine 0)
Value rotateRows(OpBuilder &b, RopeOp rope, Value table) {
  Location loc = rope.getLoc();
  auto type = cast<RankedTensorType>(rope.getX().getType());
  Value init =
      emptyRows(b, loc, rope.getX(), type.getDimSize(1), b.getF32Type());
  int64_t headDim = rope.getHeadDim(), dims = rope.getRope().getDims();
  bool half = rope.getRope().getPairs() == RopePairs::half;
  AffineMap rows = b.getMultiDimIdentityMap(2);
  auto body = [&](OpBuilder &b, Location loc, ValueRange args) {
    auto index = [&](int64_t v) -> Value {
      return arith::ConstantIndexOp::create(b, loc, v);
    };
    auto below = [&](Value v, int64_t bound) -> Value {
      return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, v,
                                   index(bound));
    };
    auto select = [&](Value condition, Value yes, Value no) -> Value {
      return arith::SelectOp::create(b, loc, condition, yes, no);
    };
    Value token = linalg::IndexOp::create(b, loc, 0);
    Value column = linalg::IndexOp::create(b, loc, 1);
    Value element = arith::RemUIOp::create(b, loc, column, index(headDim));
    Value head = arith::SubIOp::create(b, loc, column, element);
    Value partner, entry;
    if (half) {
      Value first = below(element, dims / 2);
      Value up = arith::AddIOp::create(b, loc, element, index(dims / 2));
      Value down = arith::SubIOp::create(b, loc, element, index(dims / 2));
      Value twice = arith::MulIOp::create(b, loc, element, index(2));
      Value odd = arith::AddIOp::create(
          b, loc, arith::MulIOp::create(b, loc, down, index(2)), index(1));
      partner = select(first, up, down);
      entry = select(first, twice, odd);
    } else {
      partner = arith::XOrIOp::create(b, loc, element, index(1));
      entry = element;
    }
    Value rotated = below(element, dims);
    partner = select(rotated, partner, element);
    entry = select(rotated, entry, element);
    Value other = tensor::ExtractOp::create(
        b, loc, rope.getX(),
        ValueRange{token, arith::AddIOp::create(b, loc, head, partner)});
    Value cosine = tensor::ExtractOp::create(
        b, loc, table, ValueRange{token, index(0), entry});
    Value sine = tensor::ExtractOp::create(b, loc, table,
                                           ValueRange{token, index(1), entry});
    Value scaled = arith::MulFOp::create(b, loc, args[0], cosine);
    Value result = math::FmaOp::create(b, loc, other, sine, scaled);
    linalg::YieldOp::create(b, loc, result);
  };
  SmallVector<utils::IteratorType> loops(2, utils::IteratorType::parallel);
  return linalg::GenericOp::create(b, loc, TypeRange{init.getType()},
                                   ValueRange{rope.getX()}, ValueRange{init},
                                   ArrayRef<AffineMap>{rows, rows}, loops, body)
      .getResult(0);
}

struct FuseRope : cria::impl::FuseRopeBase<FuseRope> {
  /// One table a forward pass serves all layers: it depends on positions only.
  Value tableFor(RopeOp rope, func::FuncOp func) {
    RopeAttr attr = interleaved(rope.getRope());
    auto position = dyn_cast<BlockArgument>(rope.getPositions());
    bool hoist = position && position.getOwner() == &func.getBody().front();
    Value &table = tables[{rope.getPositions(), attr, rope.getHeadDim()}];
    if (table && hoist)
      return table;
    OpBuilder b(rope);
    if (hoist)
      b.setInsertionPointToStart(position.getOwner());
    int64_t columns[] = {2, static_cast<int64_t>(rope.getHeadDim())};
    Value init = emptyRows(b, rope.getLoc(), rope.getPositions(), columns,
                           b.getF32Type());
    table = RopeTableOp::create(b, rope.getLoc(), TypeRange{init.getType()},
                                rope.getPositions(), init, attr)
                .getResults()[0];
    return table;
  }

  void runOnOperation() override {
    func::FuncOp func = getOperation();
    tables.clear();
    SmallVector<RopeOp> ropes;
    func.walk([&](RopeOp rope) { ropes.push_back(rope); });
    IRRewriter rewriter(&getContext());
    for (RopeOp rope : ropes) {
      FusedLinearOp linear = fusableProducer(rope.getX());
      if (rope.getRope().getPairs() != RopePairs::interleaved) {
        missedFusion(rope, "FuseRope", "it rotates half pairs");
        Value table = tableFor(rope, func);
        rewriter.setInsertionPoint(rope);
        rewriter.replaceOp(rope, rotateRows(rewriter, rope, table));
        continue;
      }
      if (!linear || rope.getHeadDim() % CriaDialect::kLanes != 0) {
        // A kernel of its own, which takes in a norm of the heads. Heads that
        // share vectors would keep the linear from being split.
        Value table = tableFor(rope, func);
        rewriter.setInsertionPoint(rope);
        NormOp norm = headNorm(rope.getX(), rope.getHeadDim());
        HeadRowsOp rows =
            headRows(rewriter, rope.getLoc(), norm ? norm.getX() : rope.getX(),
                     rope.getHeadDim(), table, norm);
        rewriter.replaceOp(rope, rows.getResults());
        if (norm)
          rewriter.eraseOp(norm);
        continue;
      }
      EpilogueChange change;
      change.extra = tableFor(rope, func);
      change.extraKind = ExtraKind::rope;
      fuseEpilogue(
          rewriter, linear, rope, change,
          [&](OpBuilder &b, Value tile, ValueRange added) -> Value {
            // Neighbours rotate: x * cos + swap(x) * signed sin.
            SmallVector<int64_t> swap;
            for (int64_t i = 0; i < CriaDialect::kLanes; ++i)
              swap.push_back(i ^ 1);
            Location loc = rope.getLoc();
            Value swapped = vector::ShuffleOp::create(b, loc, tile, tile, swap);
            Value scaled = arith::MulFOp::create(b, loc, tile, added[0]);
            return math::FmaOp::create(b, loc, swapped, added[1], scaled);
          });
    }
  }

private:
  llvm::DenseMap<std::tuple<Value, Attribute, int64_t>, Value> tables;
};
} // namespace
