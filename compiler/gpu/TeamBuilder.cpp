// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/gpu/TeamBuilder.h"

#include "compiler/gpu/LaneBuilder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace cria;

static Operation *outermost(ImplicitLocOpBuilder &b) {
  Operation *op = b.getInsertionBlock()->getParentOp();
  while (op->getParentOp())
    op = op->getParentOp();
  return op;
}

TeamBuilder::TeamBuilder(ImplicitLocOpBuilder &b)
    : TeamBuilder(b, outermost(b)) {}

TeamBuilder::TeamBuilder(ImplicitLocOpBuilder &b, Operation *module)
    : b(b), module(module) {
  thread = index(call("cria_gpu_thread", b.getI32Type(), {})[0]);
  auto divide = [&](Value value, int64_t by) -> Value {
    return arith::DivUIOp::create(b, value, constIndex(b, by));
  };
  auto remainder = [&](Value value, int64_t by) -> Value {
    return arith::RemUIOp::create(b, value, constIndex(b, by));
  };
  lane = remainder(thread, cria::kLanes);
  group = divide(thread, cria::kLanes);
  warp = divide(thread, 32);
  Value inWarp = remainder(thread, 32);
  quad = divide(inWarp, 4);
  quadLane = remainder(inWarp, 4);
}

SmallVector<Value> TeamBuilder::call(StringRef name, TypeRange results,
                                     ValueRange operands) {
  if (!SymbolTable::lookupSymbolIn(module, name)) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&module->getRegion(0).front());
    func::FuncOp::create(b, name,
                         b.getFunctionType(operands.getTypes(), results))
        .setPrivate();
  }
  return llvm::to_vector_of<Value>(
      func::CallOp::create(b, name, results, operands).getResults());
}

Value TeamBuilder::own(Operation *op) {
  op->setAttr(lanes::kOwnMark, b.getUnitAttr());
  return op->getResult(0);
}

Value TeamBuilder::i32(int64_t value) {
  return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
}
Value TeamBuilder::index(Value i32) {
  return arith::IndexCastUIOp::create(b, b.getIndexType(), i32);
}
Value TeamBuilder::word(Value index) {
  return arith::IndexCastUIOp::create(b, b.getI32Type(), index);
}

SmallVector<Value> TeamBuilder::loadWords(Value memref, ValueRange indices,
                                          int64_t count) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  int64_t bytes = count * element.getIntOrFloatBitWidth() / 8;
  auto load =
      vector::LoadOp::create(b, vectorOf(count, element), memref, indices);
  load.setAlignment(bytes);
  Value loaded = own(load);
  int64_t words = bytes / 4;
  if (words != count || !element.isInteger(32))
    loaded = own(
        vector::BitCastOp::create(b, vectorOf(words, b.getI32Type()), loaded));
  SmallVector<Value> result;
  for (int64_t i = 0; i < words; ++i)
    result.push_back(own(vector::ExtractOp::create(b, loaded, i)));
  return result;
}

std::pair<Value, Value> TeamBuilder::halves(Value word, Type type) {
  auto half = [&](int64_t shift) {
    Value bits = word;
    if (shift)
      bits = arith::ShRUIOp::create(b, bits, i32(shift));
    bits = arith::TruncIOp::create(b, b.getI16Type(), bits);
    return extendToF32(b, arith::BitcastOp::create(b, type, bits));
  };
  Value low = half(0);
  return {low, half(16)};
}

void TeamBuilder::fetch(Value address) {
  call("cria_gpu_fetch", {},
       arith::IndexCastUIOp::create(b, b.getI64Type(), address).getResult());
}

void TeamBuilder::put(Value place, Value value) {
  call("cria_gpu_put", {}, {word(place), value});
}
Value TeamBuilder::get(Value place) {
  return call("cria_gpu_get", b.getF32Type(), word(place))[0];
}
void TeamBuilder::sync() { call("cria_gpu_team_sync", {}, {}); }
void TeamBuilder::syncGroup() { call(lanes::kSync, {}, {}); }
void TeamBuilder::beginPhase() { call("cria_gpu_phase", {}, {}); }

Value TeamBuilder::shuffleXor(Value value, int64_t bits) {
  auto as = [&](Type type, Value x) -> Value {
    return x.getType() == type ? x : arith::BitcastOp::create(b, type, x);
  };
  Value moved = call("cria_gpu_shuffle_xor", b.getI32Type(),
                     {as(b.getI32Type(), value), i32(bits)})[0];
  return as(value.getType(), moved);
}

void TeamBuilder::store(ValueRange elements, Value memref, ValueRange indices) {
  auto type = vectorOf(static_cast<int64_t>(elements.size()), b.getF32Type());
  Value vector = own(vector::FromElementsOp::create(b, type, elements));
  auto store = vector::StoreOp::create(b, vector, memref, indices);
  store.setAlignment(elements.size() * sizeof(float));
  store->setAttr(lanes::kOwnMark, b.getUnitAttr());
}

Value TeamBuilder::lanes(Value scalar) {
  return call(lanes::kScalars, vectorOf(cria::kLanes, b.getF32Type()),
              scalar)[0];
}

Value TeamBuilder::scalar(Value vector) {
  return call(lanes::kScalar, b.getF32Type(), vector)[0];
}

void TeamBuilder::copy(Value place, Value address) {
  Value wide = arith::IndexCastUIOp::create(b, b.getI64Type(), address);
  call("cria_gpu_copy", {}, {place, wide});
}
void TeamBuilder::copyWord(Value place, Value address) {
  Value wide = arith::IndexCastUIOp::create(b, b.getI64Type(), address);
  call("cria_gpu_copy_word", {}, {place, wide});
}
void TeamBuilder::copyCommit() { call("cria_gpu_copy_commit", {}, {}); }
void TeamBuilder::copyWait(int64_t pending) {
  assert(pending <= kMostCopyGroups);
  call("cria_gpu_copy_wait", {}, i32(pending));
}

SmallVector<Value> TeamBuilder::loadMatrices(Value place, int64_t further,
                                             bool transposed) {
  SmallVector<Type> words(4, b.getI32Type());
  return call(transposed ? "cria_gpu_load_transposed"
                         : "cria_gpu_load_matrices",
              words, {place, i32(further)});
}

SmallVector<Value> TeamBuilder::words(Value place, int64_t count) {
  SmallVector<Type> types(count, b.getI32Type());
  Value wide = arith::IndexCastUIOp::create(b, b.getI64Type(), place);
  return call(("cria_gpu_words" + Twine(count)).str(), types, wide);
}

std::array<SmallVector<Value>, 3> TeamBuilder::split(ValueRange bits) {
  std::array<SmallVector<Value>, 3> parts;
  Type i32Type = b.getI32Type(), f32 = b.getF32Type();
  for (size_t i = 0; i < bits.size(); i += 2) {
    Value two[] = {bits[i], bits[i + 1]};
    for (SmallVector<Value> &part : parts) {
      SmallVector<Value> upper;
      for (Value &rest : two) {
        upper.push_back(
            arith::AndIOp::create(b, rest, i32(int32_t(0xffff0000))));
        Value less = arith::SubFOp::create(
            b, arith::BitcastOp::create(b, f32, rest),
            arith::BitcastOp::create(b, f32, upper.back()));
        rest = arith::BitcastOp::create(b, i32Type, less);
      }
      part.push_back(arith::OrIOp::create(
          b, arith::ShRUIOp::create(b, upper[0], i32(16)), upper[1]));
    }
  }
  return parts;
}

Value TeamBuilder::pack(bool isBf16, Value low, Value high) {
  return call(isBf16 ? "cria_gpu_pack_bf16" : "cria_gpu_pack_f16",
              b.getI32Type(), {low, high})[0];
}

SmallVector<Value> TeamBuilder::mma(Product product, ValueRange a,
                                    ValueRange words, ValueRange c) {
  SmallVector<Value> operands(a);
  llvm::append_range(operands, words);
  llvm::append_range(operands, c);
  StringRef name = product == Product::u8s8   ? "cria_gpu_mma_u8s8"
                   : product == Product::bf16 ? "cria_gpu_mma_bf16"
                                              : "cria_gpu_mma_f16";
  return call(name, c.getTypes(), operands);
}

void TeamBuilder::initBarrier(Value place, int64_t arrivals) {
  call("cria_gpu_mbarrier_init", {}, {word(place), i32(arrivals)});
}
void TeamBuilder::endBarrier(Value place) {
  call("cria_gpu_mbarrier_inval", {}, word(place));
}
void TeamBuilder::arrive(Value place) {
  call("cria_gpu_mbarrier_arrive", {}, word(place));
}
void TeamBuilder::arriveAfterCopies(Value place) {
  call("cria_gpu_mbarrier_copies", {}, word(place));
}
void TeamBuilder::wait(Value place, Value parity) {
  call("cria_gpu_mbarrier_wait", {}, {word(place), word(parity)});
}
void TeamBuilder::bulkCopy(Value place, Value address, int64_t bytes,
                           Value barrier) {
  Value wide = arith::IndexCastUIOp::create(b, b.getI64Type(), address);
  call("cria_gpu_bulk_copy", {},
       {word(place), wide, i32(bytes), word(barrier)});
}
void TeamBuilder::fenceAsync() { call("cria_gpu_fence_async", {}, {}); }

SmallVector<Value> TeamBuilder::wgmma(ValueRange a, Value place,
                                      int64_t leading, int64_t stride,
                                      ValueRange c) {
  SmallVector<Value> operands(a);
  llvm::append_values(operands, word(place), i32(leading), i32(stride));
  llvm::append_range(operands, c);
  return call(("cria_gpu_wgmma_bf16_n" + Twine(2 * c.size())).str(),
              c.getTypes(), operands);
}

SmallVector<Value> TeamBuilder::fenceWgmma(ValueRange words,
                                           ValueRange floats) {
  SmallVector<Value> all(words);
  llvm::append_range(all, floats);
  return call(("cria_gpu_wgmma_fence_" + Twine(words.size()) + "x" +
               Twine(floats.size()))
                  .str(),
              ValueRange(all).getTypes(), all);
}
void TeamBuilder::commitWgmma() { call("cria_gpu_wgmma_commit", {}, {}); }
SmallVector<Value> TeamBuilder::waitWgmma(ValueRange floats) {
  return call(("cria_gpu_wgmma_wait_" + Twine(floats.size())).str(),
              floats.getTypes(), floats);
}
