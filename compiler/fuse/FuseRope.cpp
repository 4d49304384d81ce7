// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace cria {
#define GEN_PASS_DEF_FUSEROPE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {
struct FuseRope : cria::impl::FuseRopeBase<FuseRope> {
  /// One table a forward pass serves all layers: it depends on positions only.
  Value tableFor(RopeOp rope, func::FuncOp func) {
    Value &table = tables[{rope.getPositions(), rope.getRope(), rope.getHeadDim()}];
    if (!table) {
      OpBuilder b = OpBuilder::atBlockBegin(&func.getBody().front());
      Value init = emptyRows(b, rope.getLoc(), rope.getPositions(), {2, static_cast<int64_t>(rope.getHeadDim())},
                             b.getF32Type());
      table = RopeTableOp::create(b, rope.getLoc(), TypeRange{init.getType()},
                                  rope.getPositions(), init, rope.getRope())
                  .getResults()[0];
    }
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
      auto position = dyn_cast<BlockArgument>(rope.getPositions());
      bool hoistable = position && position.getOwner() == &func.getBody().front();
      if (!linear || !hoistable || rope.getHeadDim() % CriaDialect::kLanes != 0 ||
          rope.getRope().getPairs() != RopePairs::interleaved)
        continue;
      EpilogueChange change;
      change.extra = tableFor(rope, func);
      change.extraKind = ExtraKind::rope;
      fuseEpilogue(rewriter, linear, rope, change,
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
