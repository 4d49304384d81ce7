// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// FMA in f32 without the instruction: in f64, rounded to odd first, in a
// function of its own.

#include "compiler/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/SymbolTable.h"

namespace cria {
#define GEN_PASS_DEF_EXPANDFMA
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;

/// What one 128-bit register holds.
static constexpr int64_t kQuarter = 4;

/// Rounds the exact `x y + z` to f64 and to odd, then to f32: with 53 bits of
/// 24 needed that is one rounding of the exact value (Boldo and Melquiond,
/// "Emulation of a FMA and correctly rounded sums: proved algorithms using
/// rounding to odd", IEEE TC 57(4), 2008). Infinities and NaNs have a NaN for
/// an error, which is left out.
static Value emitFma(ImplicitLocOpBuilder &b, ValueRange operands) {
  VectorType f32 = cast<VectorType>(operands[0].getType());
  VectorType f64 = f32.clone(b.getF64Type()), i64 = f32.clone(b.getI64Type());
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(i64, Attribute(b.getI64IntegerAttr(value))));
  };
  auto add = [&](Value x, Value y) { return arith::AddFOp::create(b, x, y); };
  auto sub = [&](Value x, Value y) { return arith::SubFOp::create(b, x, y); };
  auto land = [&](Value x, Value y) { return arith::AndIOp::create(b, x, y); };
  Value x = arith::ExtFOp::create(b, f64, operands[0]);
  Value y = arith::ExtFOp::create(b, f64, operands[1]);
  Value z = arith::ExtFOp::create(b, f64, operands[2]);
  Value product = arith::MulFOp::create(b, x, y); // exact: 48 bits
  // The sum's exact error (Knuth, TAOCP 2, 4.2.2, theorem B).
  Value sum = add(product, z);
  Value rest = sub(sum, product);
  Value error = add(sub(product, sub(sum, rest)), sub(z, rest));
  Value zero = arith::ConstantOp::create(
      b, DenseElementsAttr::get(f64, Attribute(b.getF64FloatAttr(0))));
  Value inexact = arith::ExtSIOp::create(
      b, i64, arith::CmpFOp::create(b, arith::CmpFPredicate::ONE, error, zero));
  // An even sum goes one step towards the exact value: away from zero if the
  // error has its sign.
  Value bits = arith::BitcastOp::create(b, i64, sum);
  Value even =
      arith::SubIOp::create(b, land(bits, constant(1)), constant(1)); // or 0
  Value signs =
      arith::XOrIOp::create(b, bits, arith::BitcastOp::create(b, i64, error));
  Value step = arith::OrIOp::create(
      b, arith::ShRSIOp::create(b, signs, constant(63)), constant(1));
  Value odd = arith::AddIOp::create(b, bits, land(land(inexact, even), step));
  return arith::TruncFOp::create(b, f32, arith::BitcastOp::create(b, f64, odd));
}

namespace {

struct ExpandFma : cria::impl::ExpandFmaBase<ExpandFma> {
  void runOnOperation() override {
    SmallVector<math::FmaOp> ops;
    getOperation().walk([&](math::FmaOp op) {
      if (isExpanded(op.getType()))
        ops.push_back(op);
    });
    if (ops.empty())
      return;
    func::FuncOp function = emitFunction();
    for (math::FmaOp op : ops) {
      ImplicitLocOpBuilder b(op.getLoc(), op);
      op.replaceAllUsesWith(isa<VectorType>(op.getType())
                                ? expandVector(b, function, op)
                                : expandScalar(b, function, op));
      op.erase();
    }
  }

  static bool isExpanded(Type type) {
    if (auto vector = dyn_cast<VectorType>(type))
      return vector.getElementType().isF32() && vector.getRank() == 1 &&
             !vector.isScalable() && vector.getNumElements() % kQuarter == 0;
    return type.isF32();
  }

  func::FuncOp emitFunction() {
    MLIRContext *context = &getContext();
    ImplicitLocOpBuilder b(getOperation().getLoc(), context);
    auto quarter = VectorType::get({kQuarter}, b.getF32Type());
    auto function = func::FuncOp::create(
        b, "fma_f32x4",
        b.getFunctionType({quarter, quarter, quarter}, {quarter}));
    function.setPrivate();
    function->setAttr("llvm.linkage",
                      LLVM::LinkageAttr::get(context, LLVM::Linkage::Internal));
    // Its 50 instructions would be the larger part of the code, once inlined.
    function->setAttr("passthrough", b.getStrArrayAttr({"noinline"}));
    SymbolTable(getOperation()).insert(function);
    b.setInsertionPointToStart(function.addEntryBlock());
    func::ReturnOp::create(b, emitFma(b, function.getArguments()));
    return function;
  }

  static Value call(ImplicitLocOpBuilder &b, func::FuncOp function,
                    ValueRange operands) {
    return func::CallOp::create(b, function, operands).getResult(0);
  }

  static Value expandVector(ImplicitLocOpBuilder &b, func::FuncOp function,
                            math::FmaOp op) {
    auto type = cast<VectorType>(op.getType());
    if (type.getNumElements() == kQuarter)
      return call(b, function, op->getOperands());
    Value result = arith::ConstantOp::create(b, b.getZeroAttr(type));
    for (int64_t i = 0; i < type.getNumElements(); i += kQuarter) {
      SmallVector<Value> parts;
      for (Value operand : op->getOperands())
        parts.push_back(vector::ExtractStridedSliceOp::create(
            b, operand, ArrayRef<int64_t>(i), ArrayRef<int64_t>(kQuarter),
            ArrayRef<int64_t>(1)));
      result = vector::InsertStridedSliceOp::create(
          b, call(b, function, parts), result, ArrayRef<int64_t>(i),
          ArrayRef<int64_t>(1));
    }
    return result;
  }

  static Value expandScalar(ImplicitLocOpBuilder &b, func::FuncOp function,
                            math::FmaOp op) {
    SmallVector<Value> vectors;
    for (Value operand : op->getOperands())
      vectors.push_back(vector::BroadcastOp::create(
          b, VectorType::get({kQuarter}, operand.getType()), operand));
    return vector::ExtractOp::create(b, call(b, function, vectors), 0);
  }
};

} // namespace
