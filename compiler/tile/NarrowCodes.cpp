// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/fuse/FuseUtils.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace cria {
#define GEN_PASS_DEF_NARROWCODES
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// Words of a row's codes if they are 8 bits, where they are 16; else 0.
int64_t narrowWords(RowsOp rows) {
  if (rows.getNumResults() != 3)
    return 0;
  auto sizeOf = [&](int64_t i) {
    return cast<RankedTensorType>(rows.getResult(i).getType()).getDimSize(1);
  };
  int64_t narrow = sizeOf(1) * CriaDialect::kQuantBlock / 4;
  return sizeOf(0) == 2 * narrow ? narrow : 0;
}

/// Whether the function returns rows of `linear`, or what loops make of them.
bool makesLogits(FusedLinearOp linear) {
  if (linear.getOut() != OutKind::rows)
    return false;
  SmallVector<Operation *> users(linear->getUsers());
  while (!users.empty()) {
    Operation *user = users.pop_back_val();
    if (isa<func::ReturnOp>(user))
      return true;
    if (!isa<CriaDialect>(user->getDialect()) &&
        !user->hasTrait<OpTrait::IsTerminator>())
      llvm::append_range(users, user->getUsers());
  }
  return false;
}

struct NarrowCodes : cria::impl::NarrowCodesBase<NarrowCodes> {
  void runOnOperation() override {
    func::FuncOp func = getOperation();
    auto version = func->getAttrOfType<StringAttr>("cria.version");
    if (!version || version.getValue() != "prefill")
      return;
    func.walk([](RowsOp rows) {
      int64_t words = narrowWords(rows);
      bool isFree = words && llvm::all_of(rows->getUsers(), [](Operation *op) {
                      auto linear = dyn_cast<FusedLinearOp>(op);
                      return linear && !makesLogits(linear);
                    });
      if (!isFree)
        return;
      OpBuilder b(rows);
      Value init =
          emptyRows(b, rows.getLoc(), rows.getX(), words, b.getI32Type());
      rows.getInitsMutable()[0].set(init);
      rows.getResult(0).setType(cast<RankedTensorType>(init.getType()));
    });
  }
};

} // namespace
