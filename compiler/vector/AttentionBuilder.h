// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the attention kernels share: short names for ops, the softmax's exp,
// and the arithmetic by which chunks become a result. One place for it,
// because all of them must give the same bits.

#ifndef CRIA_COMPILER_VECTOR_ATTENTIONBUILDER_H
#define CRIA_COMPILER_VECTOR_ATTENTIONBUILDER_H

#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <limits>

namespace cria {

class AttentionBuilder {
protected:
  using Value = mlir::Value;
  using Type = mlir::Type;
  using ValueRange = mlir::ValueRange;
  using Values = llvm::SmallVector<Value>;

  static constexpr int64_t kLanes = CriaDialect::kLanes;
  static constexpr int64_t kPage = CriaDialect::kPageTokens;
  static constexpr int64_t kChunkPages = CriaDialect::kChunkTokens / kPage;
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();

  AttentionBuilder(mlir::Operation *op, int64_t headDim,
                   std::optional<uint64_t> window);

  Value idx(int64_t v) { return mlir::arith::ConstantIndexOp::create(b, v); }
  /// Of any scalar or vector of f32.
  Value f32(double v, Type type);
  Value vec(double v) { return f32(v, vecType); }
  Value add(Value x, Value y) { return mlir::arith::AddIOp::create(b, x, y); }
  Value add(Value x, int64_t y) { return y ? add(x, idx(y)) : x; }
  Value sub(Value x, Value y) { return mlir::arith::SubIOp::create(b, x, y); }
  Value mul(Value x, int64_t y) {
    return y == 1 ? x : mlir::arith::MulIOp::create(b, x, idx(y));
  }
  Value div(Value x, int64_t y) {
    return mlir::arith::DivUIOp::create(b, x, idx(y));
  }
  Value minIndex(Value x, Value y) {
    return mlir::arith::MinSIOp::create(b, x, y);
  }
  Value maxIndex(Value x, Value y) {
    return mlir::arith::MaxSIOp::create(b, x, y);
  }
  Value fadd(Value x, Value y) { return mlir::arith::AddFOp::create(b, x, y); }
  Value fsub(Value x, Value y) { return mlir::arith::SubFOp::create(b, x, y); }
  Value fmul(Value x, Value y) { return mlir::arith::MulFOp::create(b, x, y); }
  Value fma(Value x, Value y, Value z) {
    return mlir::math::FmaOp::create(b, x, y, z);
  }
  /// Not maximumf: compare and select is one instruction on x86.
  Value fmax(Value x, Value y);
  Value cmp(mlir::arith::CmpIPredicate predicate, Value x, Value y) {
    return mlir::arith::CmpIOp::create(b, predicate, x, y);
  }
  Value broadcast(Value x, mlir::VectorType type) {
    return mlir::vector::BroadcastOp::create(b, type, x);
  }
  Value load(Value memref, ValueRange at) {
    return mlir::memref::LoadOp::create(b, memref, at);
  }
  Value loadSplat(Value memref, ValueRange at, mlir::VectorType type) {
    return broadcast(load(memref, at), type);
  }
  Value loadIndex(Value memref, ValueRange at) {
    return mlir::arith::IndexCastOp::create(b, b.getIndexType(),
                                            load(memref, at));
  }
  /// `width` consecutive elements, as f32.
  Value loadVector(Value memref, ValueRange at, int64_t width = kLanes);
  void storeVector(Value v, Value memref, ValueRange at) {
    mlir::vector::StoreOp::create(b, v, memref, at);
  }

  /// Scales of 16 positions from place t of a page of codes.
  Value loadScales(Value cache, ValueRange page, Value t);

  /// An index in 16 lanes of i32.
  Value splatIndex(Value index) {
    Value word = mlir::arith::IndexCastOp::create(b, b.getI32Type(), index);
    return broadcast(word, intVecType);
  }

  /// body gets the induction variable, of the type of `from`, and the carried
  /// values.
  Values loop(Value from, Value to, int64_t step, ValueRange init,
              llvm::function_ref<Values(Value, ValueRange)> body);
  void loop(Value from, Value to, int64_t step,
            llvm::function_ref<void(Value)> f);

  /// f(column, width, vectors) over the elements of a head, in as many vectors
  /// at a time as divide it, at most `most`; the last one may be narrower.
  void eachColumn(int64_t most,
                  llvm::function_ref<void(Value, int64_t, int64_t)> f);

  /// Asks L1 or L2 for so many elements from each of `from` on, of the page at
  /// three indices of a cache. It is contiguous, whatever its inner shape.
  void prefetch(Value cache, ValueRange page, ValueRange from, int64_t elements,
                bool intoL1);

  /// Combines the 16 lanes in a fixed tree: 8 + 8, 4 + 4, 2 + 2, 1 + 1.
  Value reduce(Value v, llvm::function_ref<Value(Value, Value)> combine);

  /// First position that a token sees.
  Value lowest(Value position);
  /// first, first + 1 .. first + 15, as i32.
  Value sixteenFrom(Value first);
  /// Which of such positions a token sees.
  Value sees(Value position, Value sixteen);

  /// exp(x) for x <= 0, under 1 ulp from exp of the same float; exactly 1 at
  /// 0, and 0 below -87, where the result would soon not be a normal number.
  Value expNonPositive(Value x);

  /// cap * tanh(scores / cap), or the scores without a cap.
  Value capped(Value scores, std::optional<double> cap);

  /// Scores of the 16 positions from `from` on, after what their distances
  /// from `position` add for a head: of slopes and bias, one may be null.
  Value addByDistance(Value scores, Value slopes, Value bias, Value head,
                      Value position, Value from);

  /// The step from chunks with maximum `old` to those and one with `chunk`.
  struct Merge {
    Value max, oldFactor, newFactor;
  };
  Merge mergeFactors(Value old, Value chunk);
  /// newFactor * chunk + oldFactor * old
  Value merged(Value old, Value oldFactor, Value chunk, Value newFactor) {
    return fma(newFactor, chunk, fmul(old, oldFactor));
  }

  /// What a head's output is multiplied with in the end, from the lanes of
  /// the sum, the maximum in all lanes, and the head's sink or null.
  Value resultFactor(Value sum, Value max, Value sink);

  mlir::ImplicitLocOpBuilder b;
  int64_t headDim;
  int64_t window; ///< 0: none
  mlir::VectorType vecType, intVecType;
};

} // namespace cria

#endif // CRIA_COMPILER_VECTOR_ATTENTIONBUILDER_H
