// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"

namespace cria {
#define GEN_PASS_DEF_ROUNDACTIVATIONS
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// The rows op of `acts`, if it only makes rows and adds to none.
RowsOp plainRows(Value acts) {
  auto rows = acts.getDefiningOp<RowsOp>();
  return rows && !rows.getAccumulate() ? rows : RowsOp();
}

/// A rows op that is a copy of `acts`: of its rows op, if it has one.
RowsOp copyRows(OpBuilder &b, Location loc, Value acts) {
  if (RowsOp rows = plainRows(acts))
    return cast<RowsOp>(b.clone(*rows));
  auto type = cast<RankedTensorType>(acts.getType());
  int64_t k = type.getDimSize(1);
  Value init = emptyRows(b, loc, acts, k, b.getF32Type());
  auto rows =
      RowsOp::create(b, loc, TypeRange{init.getType()}, acts, ValueRange(),
                     init, IntegerAttr(), UnitAttr(), UnitAttr());
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&rows.getPrologue());
  Value row =
      body->addArgument(RankedTensorType::get({1, k}, b.getF32Type()), loc);
  YieldOp::create(b, loc, row);
  return rows;
}

bool takesPairs(Operation *op, Value acts) {
  auto linear = dyn_cast<FusedLinearOp>(op);
  return linear && linear.getActs()[0] == acts &&
         llvm::count(linear->getOperands(), acts) == 1 &&
         linear.getWeightType().getElement() == ElementKind::bf16 &&
         linear.getWeightType().getLayout() == WeightLayout::n16k2;
}

/// The rows op that quantises what a linear of codes takes, if rounded rows
/// could be its instead: whole blocks, and nothing that goes by heads.
RowsOp codesRows(FusedLinearOp linear) {
  WeightType weight = linear.getWeightType();
  if (weight.getLayout() != WeightLayout::n16k4 ||
      (weight.getElement() != ElementKind::q4 &&
       weight.getElement() != ElementKind::q8) ||
      weight.getK() % CriaDialect::kQuantBlock != 0)
    return {};
  auto rows = linear.getActs()[0].getDefiningOp<RowsOp>();
  if (!rows)
    return {};
  NormOp norm = rows.getNorm();
  return norm && norm.getKind() == NormKind::per_head ? RowsOp() : rows;
}

/// The same rows, rounded.
RowsOp roundedRows(RowsOp rows, int64_t k) {
  OpBuilder b(rows);
  Value init = emptyRows(b, rows.getLoc(), rows.getX(), k, b.getF32Type());
  auto rounded = RowsOp::create(b, rows.getLoc(), TypeRange{init.getType()},
                                rows.getX(), rows.getParams(), init,
                                IntegerAttr(), UnitAttr(), b.getUnitAttr());
  IRMapping mapping;
  rows.getPrologue().cloneInto(&rounded.getPrologue(), mapping);
  return rounded;
}

struct RoundActivations : cria::impl::RoundActivationsBase<RoundActivations> {
  using RoundActivationsBase::RoundActivationsBase;

  void roundForCodes(func::FuncOp func) {
    llvm::DenseMap<RowsOp, RowsOp> made;
    SmallVector<FusedLinearOp> linears;
    func.walk([&](FusedLinearOp linear) { linears.push_back(linear); });
    for (FusedLinearOp linear : linears) {
      RowsOp rows = codesRows(linear);
      if (!rows)
        continue;
      RowsOp &rounded = made[rows];
      if (!rounded)
        rounded = roundedRows(rows, linear.getWeightType().getK());
      linear.setBf16(true);
      linear.getActsMutable().assign(rounded.getResults());
    }
  }

  void runOnOperation() override {
    func::FuncOp func = getOperation();
    auto version = func->getAttrOfType<StringAttr>("cria.version");
    if (!version || version.getValue() != "prefill")
      return;
    llvm::DenseMap<std::pair<Block *, Value>, RowsOp> copies;
    SmallVector<FusedLinearOp> linears;
    func.walk([&](FusedLinearOp linear) {
      if (takesPairs(linear, linear.getActs()[0]))
        linears.push_back(linear);
    });
    for (FusedLinearOp linear : linears) {
      Value acts = linear.getActs()[0];
      RowsOp rows = plainRows(acts);
      bool own = rows && llvm::all_of(acts.getUsers(), [&](Operation *user) {
                   return takesPairs(user, acts);
                 });
      if (!own) {
        RowsOp &copy = copies[{linear->getBlock(), acts}];
        if (!copy) {
          OpBuilder b(linear);
          copy = copyRows(b, linear.getLoc(), acts);
        }
        rows = copy;
        linear.getActsMutable()[0].set(rows.getResults()[0]);
      }
      rows.setBf16(true);
      linear.setBf16(true);
    }
    if (codes)
      roundForCodes(func);
  }
};

} // namespace
