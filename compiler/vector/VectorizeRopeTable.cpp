// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.rope_table on memrefs to vector loops; see VectorPasses.td.
//
// Sines and cosines are computed here, in f64 with fma and without a library
// call, so that they are the same bits on every machine. The angle is the
// float32 product that checkpoints were trained with.

#include "compiler/Passes.h"
#include "compiler/target/RopeFrequencies.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <cmath>

namespace cria {
#define GEN_PASS_DEF_VECTORIZEROPETABLE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

constexpr double kPi = 3.14159265358979323846;
/// pi = kPi + kPiLow to 106 bits.
constexpr double kPiLow = 1.2246467991473532e-16;

/// Writes the loop of one op.
class Emitter {
public:
  explicit Emitter(RopeTableOp op) : op(op), b(op.getLoc(), op) {}
  void emit();

private:
  void emitGroup(Value row, Value position, int64_t element, int64_t pairs);
  Value frequencies(Value position, int64_t pair, int64_t pairs);
  std::pair<Value, Value> sinCos(Value x);
  Value log2(Value x);
  Value exp2(Value x);

  Value constant(TypedAttr attr) { return arith::ConstantOp::create(b, attr); }
  /// A double, or a vector of it, whichever `like` is.
  Value f64(double v, Value like) { return splat(b.getF64FloatAttr(v), like); }
  Value i64(int64_t v, Value like) {
    return splat(b.getI64IntegerAttr(v), like);
  }
  Value splat(TypedAttr attr, Value like) {
    if (auto type = dyn_cast<VectorType>(like.getType()))
      attr = DenseElementsAttr::get(type.clone(attr.getType()),
                                    cast<Attribute>(attr));
    return constant(attr);
  }
  template <typename T> Value table(ArrayRef<T> values) {
    Type type =
        std::is_same_v<T, float> ? Type(b.getF32Type()) : Type(b.getF64Type());
    return constant(DenseElementsAttr::get(
        VectorType::get(static_cast<int64_t>(values.size()), type), values));
  }
  Type typeLike(Type element, Value like) {
    if (auto type = dyn_cast<VectorType>(like.getType()))
      return type.clone(element);
    return element;
  }
  Value fma(Value x, Value y, Value z) {
    return math::FmaOp::create(b, x, y, z);
  }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
  Value add(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
  Value bits(Value x) {
    return arith::BitcastOp::create(b, typeLike(b.getI64Type(), x), x);
  }
  Value fromBits(Value x) {
    return arith::BitcastOp::create(b, typeLike(b.getF64Type(), x), x);
  }
  Value bitSet(Value x, int64_t mask) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne,
                                 arith::AndIOp::create(b, x, i64(mask, x)),
                                 i64(0, x));
  }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, condition, x, y);
  }
  /// c[0] x^(n-1) + ... + c[n-1]
  Value polynomial(Value x, ArrayRef<double> c) {
    Value y = f64(c.front(), x);
    for (double next : c.drop_front())
      y = fma(y, x, f64(next, x));
    return y;
  }

  RopeTableOp op;
  ImplicitLocOpBuilder b;
  RopeFrequencies shortContext, longContext;
};

/// For |x| up to 2^31, to about 1e-16. Adding 1.5 * 2^52 rounds x / (pi/2) to
/// the integer k, whose low bits are then the mantissa's; two fma take k pi/2
/// off x exactly enough; then the kernels of FreeBSD's k_sin.c and k_cos.c.
std::pair<Value, Value> Emitter::sinCos(Value x) {
  Value magic = f64(6755399441055744.0, x);
  Value shifted = fma(x, f64(2 / kPi, x), magic);
  Value k = sub(shifted, magic);
  Value r = fma(k, f64(-kPi / 2, x), x);
  r = fma(k, f64(-kPiLow / 2, x), r);
  Value z = mul(r, r);
  Value s =
      polynomial(z, {1.58969099521155010221e-10, -2.50507602534068634195e-08,
                     2.75573137070700676789e-06, -1.98412698298579493134e-04,
                     8.33333333332248946124e-03, -1.66666666666666324348e-01});
  s = fma(mul(r, z), s, r);
  Value c = polynomial(
      z, {-1.13596475577881948265e-11, 2.08757232129817482790e-09,
          -2.75573143513906633035e-07, 2.48015872894767294178e-05,
          -1.38888888888741095749e-03, 4.16666666666666019037e-02, -0.5, 1.0});
  Value quadrant = bits(shifted);
  Value odd = bitSet(quadrant, 1);
  Value sine = select(odd, c, s), cosine = select(odd, s, c);
  auto negateIf = [&](Value condition, Value v) {
    return select(condition, arith::NegFOp::create(b, v), v);
  };
  Value next = arith::AddIOp::create(b, quadrant, i64(1, quadrant));
  return {negateIf(bitSet(quadrant, 2), sine),
          negateIf(bitSet(next, 2), cosine)};
}

/// Of a normal x >= 1: x = 2^n m with m in [1, 2), and with f = (m-1) / (m+1)
/// <= 1/3, ln m = 2 (f + f^3 / 3 + f^5 / 5 + ...).
Value Emitter::log2(Value x) {
  Value all = bits(x);
  Value exponent = arith::SubIOp::create(
      b, arith::ShRUIOp::create(b, all, i64(52, all)), i64(1023, all));
  Value mantissa = arith::OrIOp::create(
      b, arith::AndIOp::create(b, all, i64((int64_t(1) << 52) - 1, all)),
      i64(int64_t(1023) << 52, all));
  Value m = fromBits(mantissa);
  Value one = f64(1.0, x);
  Value f = arith::DivFOp::create(b, sub(m, one), add(m, one));
  // f^2 <= 1/9: 16 terms leave 9^-16 / 33.
  SmallVector<double> series;
  for (int n = 15; n >= 0; --n)
    series.push_back(2.0 / (2 * n + 1) * 1.44269504088896340736);
  Value n = arith::SIToFPOp::create(b, x.getType(), exponent);
  return fma(f, polynomial(mul(f, f), series), n);
}

/// For |x| < 1000: 2^x = 2^n e^(r ln 2), |r| <= 1/2, by Taylor to r^13.
Value Emitter::exp2(Value x) {
  Value magic = f64(6755399441055744.0, x);
  Value shifted = add(x, magic);
  Value r = mul(sub(x, sub(shifted, magic)), f64(0.693147180559945309417, x));
  SmallVector<double> series(14, 1.0);
  for (int n = 1; n < 14; ++n)
    series[13 - n] = series[14 - n] / n;
  Value y = polynomial(r, series);
  Value n = bits(shifted);
  return fromBits(arith::AddIOp::create(
      b, bits(y), arith::ShLIOp::create(b, n, i64(52, n))));
}

/// float32 frequencies of `pairs` pairs from `pair` on; 0 past rope.dims.
Value Emitter::frequencies(Value position, int64_t pair, int64_t pairs) {
  RopeAttr rope = op.getRope();
  auto slice = [&](auto &values) {
    using T = typename std::decay_t<decltype(values)>::value_type;
    SmallVector<T> part(pairs, T(0));
    for (int64_t j = 0; j < pairs; ++j)
      if (pair + j < static_cast<int64_t>(values.size()))
        part[j] = values[pair + j];
    return table(ArrayRef<T>(part));
  };
  Value result = slice(shortContext.invFreq);
  if (rope.getScaling() != RopeScaling::longrope &&
      rope.getScaling() != RopeScaling::ntk)
    return result;
  Value context = arith::ConstantIndexOp::create(b, rope.getOriginalContext());
  Value within =
      arith::CmpIOp::create(b, arith::CmpIPredicate::slt, position, context);
  if (rope.getScaling() == RopeScaling::longrope)
    return select(within, result, slice(longContext.invFreq));
  double factor = rope.getFactor().convertToDouble();
  double perPosition = factor / static_cast<double>(rope.getOriginalContext());
  Value p = arith::IndexCastOp::create(b, b.getI64Type(), position);
  p = arith::SIToFPOp::create(b, b.getF64Type(), p);
  p = add(p, f64(1.0, p));
  Value stretch = fma(p, f64(perPosition, p), f64(1.0 - factor, p));
  // Positions within the context do not use it: keep log2 in its domain.
  stretch = select(within, f64(1.0, p), stretch);
  Value log = slice(longContext.ntkLog2);
  Value all = vector::BroadcastOp::create(b, log.getType(), log2(stretch));
  Value exponent = arith::NegFOp::create(b, slice(longContext.ntkExponent));
  Value stretched = arith::TruncFOp::create(b, result.getType(),
                                            exp2(fma(exponent, all, log)));
  if (pair + pairs > rope.getDims() / 2) {
    // Past rope.dims exp2(0) is 1, and must be 0.
    SmallVector<float> keep(pairs, 0.0f);
    for (int64_t j = 0; pair + j < rope.getDims() / 2; ++j)
      keep[j] = 1.0f;
    stretched = mul(stretched, table(ArrayRef<float>(keep)));
  }
  return select(within, result, stretched);
}

/// Elements [element, element + 2 * pairs) of both rows of a token.
void Emitter::emitGroup(Value row, Value position, int64_t element,
                        int64_t pairs) {
  Value freq = frequencies(position, element / 2, pairs);
  auto f32 = cast<VectorType>(freq.getType());
  Value p = arith::IndexCastOp::create(b, b.getI32Type(), position);
  p = arith::SIToFPOp::create(b, b.getF32Type(), p);
  Value angle = mul(vector::BroadcastOp::create(b, f32, p), freq);
  auto [sine, cosine] =
      sinCos(arith::ExtFOp::create(b, f32.clone(b.getF64Type()), angle));
  sine = arith::TruncFOp::create(b, f32, sine);
  cosine = arith::TruncFOp::create(b, f32, cosine);
  if (shortContext.attentionFactor != 1.0f) {
    SmallVector<float> factor(pairs, 1.0f);
    for (int64_t j = 0; j < pairs; ++j)
      if (element / 2 + j < op.getRope().getDims() / 2)
        factor[j] = shortContext.attentionFactor;
    Value m = table(ArrayRef<float>(factor));
    sine = mul(sine, m);
    cosine = mul(cosine, m);
  }
  auto store = [&](int64_t which, Value even, Value odd) {
    Value lanes = vector::InterleaveOp::create(b, even, odd);
    Value first = arith::ConstantIndexOp::create(b, which);
    Value column = arith::ConstantIndexOp::create(b, element);
    vector::StoreOp::create(b, lanes, op.getInit(),
                            ValueRange{row, first, column});
  };
  store(0, cosine, cosine);
  store(1, arith::NegFOp::create(b, sine), sine);
}

void Emitter::emit() {
  shortContext = computeRopeFrequencies(op.getRope(), /*longContext=*/false);
  longContext = computeRopeFrequencies(op.getRope(), /*longContext=*/true);
  int64_t headDim = cast<MemRefType>(op.getInit().getType()).getDimSize(2);
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  Value tokens = memref::DimOp::create(b, op.getPositions(), 0);
  auto loop = scf::ForOp::create(b, zero, tokens, one);
  b.setInsertionPointToStart(loop.getBody());
  Value row = loop.getInductionVar();
  Value position = memref::LoadOp::create(b, op.getPositions(), row);
  position = arith::IndexCastOp::create(b, b.getIndexType(), position);
  for (int64_t element = 0; element < headDim; element += CriaDialect::kLanes)
    emitGroup(row, position, element,
              std::min(CriaDialect::kLanes, headDim - element) / 2);
}

struct VectorizeRopeTablePass
    : public cria::impl::VectorizeRopeTableBase<VectorizeRopeTablePass> {
  LogicalResult check(RopeTableOp op) {
    auto init = dyn_cast<MemRefType>(op.getInit().getType());
    if (!init || !isa<MemRefType>(op.getPositions().getType()))
      return op.emitOpError("is not bufferized");
    if (!init.isLastDimUnitStride() || init.isDynamicDim(2) ||
        init.getDimSize(2) % 2)
      return op.emitOpError("init of type ")
             << init << " needs an even, static last dimension of unit stride";
    return success();
  }

  void runOnOperation() override {
    SmallVector<RopeTableOp> ops;
    getOperation()->walk([&](RopeTableOp op) { ops.push_back(op); });
    for (RopeTableOp op : ops) {
      if (failed(check(op)))
        return signalPassFailure();
      Emitter(op).emit();
      op.erase();
    }
  }
};

} // namespace
