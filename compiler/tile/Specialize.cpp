// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace cria {
#define GEN_PASS_DEF_SPECIALIZE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {
struct Specialize : cria::impl::SpecializeBase<Specialize> {
  using SpecializeBase::SpecializeBase;

  void runOnOperation() override {
    SmallVector<func::FuncOp> entries;
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (func->hasAttr("cria.entry"))
        entries.push_back(func);
    for (func::FuncOp entry : entries) {
      OpBuilder b(entry);
      auto add = [&](StringRef version) {
        auto few = cast<func::FuncOp>(b.clone(*entry));
        few.setName((entry.getName() + "_" + version).str());
        few->setAttr("cria.version", b.getStringAttr(version));
      };
      add("decode");
      if (batch)
        add("batch");
      entry.setName((entry.getName() + "_prefill").str());
      entry->setAttr("cria.version", b.getStringAttr("prefill"));
    }
  }
};
} // namespace
