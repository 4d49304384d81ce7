// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Code of one lane of a group, of which cria-distribute-lanes makes what was
// code for a vector of 16.

#ifndef CRIA_COMPILER_GPU_LANEBUILDER_H
#define CRIA_COMPILER_GPU_LANEBUILDER_H

#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Transforms/DialectConversion.h"
#include "llvm/Support/MathExtras.h"

#include <array>

namespace cria::lanes {

using namespace mlir;

constexpr int64_t kLanes = CriaDialect::kLanes;
constexpr llvm::StringLiteral kLane = "cria_gpu_lane";
constexpr llvm::StringLiteral kShuffle = "cria_gpu_shuffle";
constexpr llvm::StringLiteral kSync = "cria_gpu_sync";
constexpr llvm::StringLiteral kDot4 = "cria_gpu_dot4";

/// The lanes' scalars as a vector of them, and a vector as its lanes' scalars.
constexpr llvm::StringLiteral kScalars = "cria_gpu_lanes";
constexpr llvm::StringLiteral kScalar = "cria_gpu_scalar";

/// The lane that each lane reads; -1 where it does not matter.
using LaneTable = std::array<int, kLanes>;

/// On ops that work on a lane's own bytes as a vector, during the conversion:
/// their vectors are not to be spread again.
constexpr llvm::StringLiteral kOwnMark = "cria.lane";

inline int64_t elementsPerLane(VectorType type) {
  return std::max<int64_t>(1, type.getDimSize(0) / kLanes);
}

/// The several elements of a lane, as a vector.
inline VectorType ownType(VectorType type) {
  return VectorType::get(elementsPerLane(type), type.getElementType());
}

/// `bits` of `value`, `count` times side by side.
inline int64_t repeat(uint64_t value, unsigned bits, int64_t count) {
  uint64_t all = 0;
  for (int64_t i = 0; i < count; ++i)
    all |= (value & llvm::maskTrailingOnes<uint64_t>(bits)) << (bits * i);
  return static_cast<int64_t>(all);
}

/// Several elements of a lane are one integer: four bytes are a word, which is
/// what byte products take.
struct LaneConverter : TypeConverter {
  LaneConverter() {
    addConversion([](Type type) { return type; });
    addConversion([](VectorType type) -> Type {
      if (type.getRank() != 1 || type.isScalable())
        return {};
      int64_t size = type.getDimSize(0);
      if (size > kLanes && size % kLanes)
        return {};
      int64_t perLane = elementsPerLane(type);
      if (perLane == 1)
        return type.getElementType();
      if (!type.getElementType().isIntOrFloat())
        return {};
      int64_t bits = perLane * type.getElementTypeBitWidth();
      if (bits != 16 && bits != 32 && bits != 64)
        return {};
      return IntegerType::get(type.getContext(), bits);
    });
  }
};

/// Builds the code of one lane at a place.
class LaneBuilder : public ImplicitLocOpBuilder {
public:
  LaneBuilder(Location loc, OpBuilder &b, Value lane)
      : ImplicitLocOpBuilder(loc, b), lane(lane) {}

  Value lane; // i32

  Value i32(int64_t value) {
    return arith::ConstantOp::create(*this, getI32IntegerAttr(value));
  }
  Value idx(int64_t value) {
    return arith::ConstantIndexOp::create(*this, value);
  }
  void sync() { func::CallOp::create(*this, kSync, TypeRange(), ValueRange()); }
  Value isBelow(int64_t count) {
    return arith::CmpIOp::create(*this, arith::CmpIPredicate::ult, lane,
                                 i32(count));
  }

  /// `index` and the lane's first element of `type` after it. Lanes that a
  /// short vector does not have read its last element.
  Value place(Value index, VectorType type) {
    Value offset = lane;
    int64_t size = type.getDimSize(0), perLane = elementsPerLane(type);
    if (size < kLanes)
      offset = arith::MinUIOp::create(*this, offset, i32(size - 1));
    offset = arith::IndexCastUIOp::create(*this, getIndexType(), offset);
    if (perLane > 1)
      offset = arith::MulIOp::create(*this, offset, idx(perLane));
    return arith::AddIOp::create(*this, index, offset);
  }

  /// What lane `from` of the group passes.
  Value shuffle(Value value, Value from) {
    Type type = value.getType();
    if (type.isInteger(32))
      return func::CallOp::create(*this, kShuffle, type,
                                  ValueRange{value, from})
          .getResult(0);
    if (type.isIndex()) {
      Value wide = arith::IndexCastOp::create(*this, getI64Type(), value);
      return arith::IndexCastOp::create(*this, type, shuffle(wide, from));
    }
    unsigned width = type.getIntOrFloatBitWidth();
    if (!type.isInteger()) {
      Type bits = getIntegerType(width);
      Value moved = shuffle(arith::BitcastOp::create(*this, bits, value), from);
      return arith::BitcastOp::create(*this, type, moved);
    }
    if (width < 32) {
      Value wide = arith::ExtUIOp::create(*this, getI32Type(), value);
      return arith::TruncIOp::create(*this, type, shuffle(wide, from));
    }
    Value half = arith::ConstantOp::create(*this, getI64IntegerAttr(32));
    Value low = arith::TruncIOp::create(*this, getI32Type(), value);
    Value high = arith::TruncIOp::create(
        *this, getI32Type(), arith::ShRUIOp::create(*this, value, half));
    low = arith::ExtUIOp::create(*this, type, shuffle(low, from));
    high = arith::ExtUIOp::create(*this, type, shuffle(high, from));
    return arith::OrIOp::create(*this, low,
                                arith::ShLIOp::create(*this, high, half));
  }

  /// The value of lane table[l] in lane l.
  Value gather(Value value, const LaneTable &table) {
    auto fits = [&](llvm::function_ref<int(int)> f) {
      for (int l = 0; l < kLanes; ++l)
        if (table[l] >= 0 && table[l] != f(l))
          return false;
      return true;
    };
    if (fits([](int l) { return l; }))
      return value;
    int some = *llvm::find_if(table, [](int from) { return from >= 0; });
    if (fits([&](int) { return some; }))
      return shuffle(value, i32(some));
    int first = 0;
    while (table[first] < 0)
      ++first;
    int distance = (table[first] - first) & 15, flipped = table[first] ^ first;
    if (fits([&](int l) { return l ^ flipped; }))
      return shuffle(value, arith::XOrIOp::create(*this, lane, i32(flipped)));
    if (fits([&](int l) { return (l + distance) & 15; })) {
      Value from = arith::AddIOp::create(*this, lane, i32(distance));
      return shuffle(value, arith::AndIOp::create(*this, from, i32(15)));
    }
    // Sixteen numbers of four bits.
    uint64_t packed = 0;
    for (int l = 0; l < kLanes; ++l)
      packed |= static_cast<uint64_t>(std::max(table[l], 0)) << (4 * l);
    Value numbers = arith::ConstantOp::create(
        *this, getI64IntegerAttr(static_cast<int64_t>(packed)));
    Value shift = arith::ShLIOp::create(*this, lane, i32(2));
    shift = arith::ExtUIOp::create(*this, getI64Type(), shift);
    Value from = arith::TruncIOp::create(
        *this, getI32Type(), arith::ShRUIOp::create(*this, numbers, shift));
    return shuffle(value, arith::AndIOp::create(*this, from, i32(15)));
  }

  /// Element e[l] of two short vectors side by side in lane l; the second may
  /// be null.
  Value select(Value a, int64_t sizeOfA, Value second, const LaneTable &e) {
    LaneTable fromA, fromB;
    uint64_t isB = 0;
    bool anyA = false, anyB = false;
    for (int l = 0; l < kLanes; ++l) {
      bool inB = e[l] >= sizeOfA;
      fromA[l] = e[l] >= 0 && !inB ? e[l] : -1;
      fromB[l] = inB ? e[l] - static_cast<int>(sizeOfA) : -1;
      anyA |= fromA[l] >= 0;
      anyB |= inB;
      isB |= static_cast<uint64_t>(inB) << l;
    }
    if (!anyB)
      return gather(a, fromA);
    if (!anyA)
      return gather(second, fromB);
    Value chosen = arith::ShRUIOp::create(*this, i32(isB), lane);
    chosen = arith::TruncIOp::create(*this, getI1Type(), chosen);
    return arith::SelectOp::create(*this, chosen, gather(second, fromB),
                                   gather(a, fromA));
  }

  /// A scalar as another of as many bits.
  Value reinterpret(Value value, Type type) {
    if (value.getType() == type)
      return value;
    return arith::BitcastOp::create(*this, type, value);
  }

  Value own(Operation *op) {
    op->setAttr(kOwnMark, getUnitAttr());
    return op->getResult(0);
  }
  /// A lane's integer as a vector, and back.
  Value unpack(Value value, VectorType type) {
    auto one = VectorType::get(1, value.getType());
    value = own(vector::BroadcastOp::create(*this, one, value));
    return own(vector::BitCastOp::create(*this, type, value));
  }
  Value pack(Value value, Type type) {
    auto one = VectorType::get(1, type);
    value = own(vector::BitCastOp::create(*this, one, value));
    return own(vector::ExtractOp::create(*this, value, 0));
  }
};

} // namespace cria::lanes

#endif // CRIA_COMPILER_GPU_LANEBUILDER_H
