// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/halide/HalideCall.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace cria {
#define GEN_PASS_DEF_LOWERHALIDECALLS
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

// halide_buffer_t and halide_dimension_t of HalideRuntime.h, on 64 bits.
constexpr int64_t kHostOffset = 16, kDimOffset = 40, kBufferBytes = 56;
constexpr int64_t kExtentOffset = 4, kStrideOffset = 8, kDimBytes = 16;

/// Calls in one function, whose buffers they share.
class Caller {
public:
  explicit Caller(FunctionOpInterface func) : func(func) {}

  void lower(func::CallOp call, ArrayRef<int64_t> bytes) {
    ImplicitLocOpBuilder b(call.getLoc(), call);
    SmallVector<Value> operands;
    size_t buffers = 0;
    for (auto [i, operand] : llvm::enumerate(call.getOperands())) {
      if (isa<MemRefType>(operand.getType()))
        operands.push_back(
            fill(b, buffers++, operand, llvm::is_contained(bytes, int64_t(i))));
      else if (operand.getType().isIndex())
        operands.push_back(
            arith::IndexCastOp::create(b, b.getI32Type(), operand));
      else
        operands.push_back(operand);
    }
    LLVM::CallOp::create(b, b.getI32Type(), call.getCallee(), operands);
  }

private:
  /// Memory for buffer `index` with room for `rank` dimensions, at least.
  Value place(size_t index, int64_t rank, Location loc) {
    if (places.size() <= index)
      places.resize(index + 1);
    auto &[memory, room] = places[index];
    if (memory && room >= rank)
      return memory;
    auto b = ImplicitLocOpBuilder::atBlockBegin(
        loc, &func.getFunctionBody().front());
    room = std::max<int64_t>(rank, 4);
    auto type = LLVM::LLVMArrayType::get(b.getI8Type(),
                                         kBufferBytes + room * kDimBytes);
    Value one = LLVM::ConstantOp::create(b, b.getI64IntegerAttr(1));
    memory = LLVM::AllocaOp::create(
        b, LLVM::LLVMPointerType::get(b.getContext()), type, one, 8);
    return memory;
  }

  static Value at(ImplicitLocOpBuilder &b, Value pointer, int64_t offset) {
    return LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer,
                               ArrayRef<LLVM::GEPArg>{int32_t(offset)});
  }

  Value fill(ImplicitLocOpBuilder &b, size_t index, Value memref, bool bytes) {
    auto type = cast<MemRefType>(memref.getType());
    int64_t rank = type.getRank();
    Value buffer = place(index, rank, b.getLoc());
    auto data = memref::ExtractStridedMetadataOp::create(b, memref);
    Type i32 = b.getI32Type(), i64 = b.getI64Type();
    auto scaled = [&](Value value, int64_t by) -> Value {
      if (by == 1)
        return value;
      Value factor = arith::ConstantIndexOp::create(b, by);
      return arith::MulIOp::create(b, value, factor);
    };
    int64_t elementBytes = type.getElementTypeBitWidth() / 8;
    Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
    address = arith::AddIOp::create(b, address,
                                    scaled(data.getOffset(), elementBytes));
    Value number = arith::IndexCastOp::create(b, i64, address);
    Value host = LLVM::IntToPtrOp::create(b, buffer.getType(), number);
    LLVM::StoreOp::create(b, host, at(b, buffer, kHostOffset));
    LLVM::StoreOp::create(b, at(b, buffer, kBufferBytes),
                          at(b, buffer, kDimOffset));
    auto store = [&](Value value, int64_t offset) {
      Value number = arith::IndexCastOp::create(b, i32, value);
      LLVM::StoreOp::create(b, number, at(b, buffer, offset));
    };
    int64_t perElement = bytes ? elementBytes : 1;
    Value zero = arith::ConstantIndexOp::create(b, 0);
    for (int64_t i = 0; i < rank; ++i) {
      int64_t from = rank - 1 - i, offset = kBufferBytes + i * kDimBytes;
      bool isInner = i == 0;
      store(zero, offset);
      store(scaled(data.getSizes()[from], isInner ? perElement : 1),
            offset + kExtentOffset);
      store(scaled(data.getStrides()[from], isInner ? 1 : perElement),
            offset + kStrideOffset);
    }
    return buffer;
  }

  FunctionOpInterface func;
  SmallVector<std::pair<Value, int64_t>> places;
};

struct LowerHalideCalls : cria::impl::LowerHalideCallsBase<LowerHalideCalls> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    llvm::StringMap<SmallVector<int64_t>> kernels; // their `bytes`
    Type pointer = LLVM::LLVMPointerType::get(&getContext());
    Builder builder(&getContext());
    for (auto func :
         llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
      auto made = func->getAttrOfType<DictionaryAttr>(kHalideAttr);
      if (!made)
        continue;
      SmallVector<int64_t> bytes;
      if (auto list = made.getAs<ArrayAttr>("bytes"))
        for (auto index : list.getAsRange<IntegerAttr>())
          bytes.push_back(index.getInt());
      kernels[func.getName()] = bytes;
      SmallVector<Type> types;
      for (Type type : func.getArgumentTypes())
        types.push_back(isa<MemRefType>(type) ? pointer
                        : type.isIndex()      ? builder.getI32Type()
                                              : type);
      ImplicitLocOpBuilder b(func.getLoc(), func);
      auto lowered = LLVM::LLVMFuncOp::create(
          b, func.getName(),
          LLVM::LLVMFunctionType::get(b.getI32Type(), types));
      lowered->setAttr(kHalideAttr, made);
      func.erase();
    }
    if (kernels.empty())
      return;
    llvm::DenseMap<Operation *, Caller> callers;
    SmallVector<func::CallOp> calls;
    module.walk([&](func::CallOp call) { calls.push_back(call); });
    for (func::CallOp call : calls) {
      auto found = kernels.find(call.getCallee());
      if (found == kernels.end())
        continue;
      auto func = call->getParentOfType<FunctionOpInterface>();
      callers.try_emplace(func, func).first->second.lower(call, found->second);
      call.erase();
    }
  }
};

} // namespace
