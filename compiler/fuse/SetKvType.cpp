// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "dialect/CacheLayout.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace cria {
#define GEN_PASS_DEF_SETKVTYPE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {
struct SetKvType : cria::impl::SetKvTypeBase<SetKvType> {
  using SetKvTypeBase::SetKvTypeBase;

  void runOnOperation() override {
    Builder b(&getContext());
    Type element = llvm::StringSwitch<Type>(type)
                       .Case("f32", b.getF32Type())
                       .Case("f16", b.getF16Type())
                       .Case("bf16", b.getBF16Type())
                       .Case("i8", b.getI8Type())
                       .Case("i16", b.getI16Type())
                       .Default(nullptr);
    if (!element) {
      getOperation().emitError()
          << "option type: '" << type
          << "' is not a KV type; accepted: f32, f16, bf16, i8, i16";
      return signalPassFailure();
    }
    // Caches are the values that reach a kv_append or an attention: follow
    // them through calls, loops and function arguments by their exact types.
    llvm::SmallPtrSet<Type, 4> cacheTypes;
    getOperation()->walk([&](Operation *op) {
      if (auto append = dyn_cast<KvAppendOp>(op))
        cacheTypes.insert(append.getCache().getType());
      if (auto attention = dyn_cast<AttentionOp>(op)) {
        cacheTypes.insert(attention.getKeys().getType());
        cacheTypes.insert(attention.getValues().getType());
      }
    });
    if (element.isInteger()) {
      CacheLayout layout{element.getIntOrFloatBitWidth()};
      for (Type cacheType : cacheTypes)
        if (int64_t headDim = cast<RankedTensorType>(cacheType).getDimSize(4);
            headDim % layout.pairs()) {
          getOperation().emitError()
              << "KV type " << type << " needs an even head_dim, not "
              << headDim << "; f32, f16, bf16 and i8 take any";
          return signalPassFailure();
        }
    }
    auto convertCache = [&](Type type) -> Type {
      auto cache = cast<RankedTensorType>(type);
      if (!element.isInteger())
        return cache.clone(element);
      // Of rank 6 and 5 alike, and head_dim is dimension 4 of both.
      CacheLayout layout{element.getIntOrFloatBitWidth()};
      SmallVector<int64_t> shape(cache.getShape().take_front(3));
      shape.push_back(layout.pageElements(cache.getDimSize(4)));
      return RankedTensorType::get(shape, element);
    };
    auto update = [&](Value v) {
      if (cacheTypes.contains(v.getType()))
        v.setType(convertCache(v.getType()));
    };
    getOperation()->walk([&](Operation *op) {
      for (Value result : op->getResults())
        update(result);
      for (Region &region : op->getRegions())
        for (Block &block : region)
          for (Value arg : block.getArguments())
            update(arg);
      if (auto func = dyn_cast<func::FuncOp>(op)) {
        auto convert = [&](ArrayRef<Type> types) {
          return llvm::map_to_vector(types, [&](Type t) -> Type {
            return cacheTypes.contains(t) ? convertCache(t) : t;
          });
        };
        FunctionType type = func.getFunctionType();
        func.setFunctionType(FunctionType::get(&getContext(),
                                               convert(type.getInputs()),
                                               convert(type.getResults())));
      }
    });
  }
};
} // namespace
