// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.fused_linear on memrefs becomes loops over groups of 16 output rows,
// tiles of tokens and K. Codes times codes are exact integers, and every f32
// sum runs over K in one fixed order, so the tile sizes cannot be seen in the
// result.

#include "compiler/Passes.h"
#include "compiler/target/Tiles.h"
#include "compiler/vector/KernelUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace cria {
#define GEN_PASS_DEF_VECTORIZELINEAR
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// Emits the loops for one fused_linear.
class LinearKernel {
public:
  LinearKernel(ImplicitLocOpBuilder &b, FusedLinearOp op, int64_t maxTokens,
               int64_t prefetchBytes)
      : b(b), op(op), weight(op.getWeightType()), maxTokens(maxTokens),
        prefetchBytes(prefetchBytes) {}

  void emit();

private:
  struct Weight {
    Value codes, scales, mins; // quantised
    Value elements;            // float
  };

  void emitGroup(Value group);
  void emitTokens(Value token, int64_t count);
  SmallVector<Value> accumulate(const Weight &w, Value token, int64_t count);
  SmallVector<Value> accumulateQuantized(const Weight &w, ValueRange tokens);
  SmallVector<Value> accumulateFloat(const Weight &w, ValueRange tokens);
  void prefetch(Value memref, Value step, int64_t ahead, int64_t line);
  void emitEpilogue(Value token, ArrayRef<Value> accumulators);
  void storeToCache(Value tile, Value token);
  Value loadRope(Value table, Value token, int64_t part);

  ImplicitLocOpBuilder &b;
  FusedLinearOp op;
  WeightType weight;
  int64_t maxTokens, prefetchBytes;
  bool isWide = false; // codes of 16 bits

  SmallVector<Weight> weights;
  Value numRows;   // N
  int64_t staticN; // or kDynamic
  // Of the group of 16 output rows at hand:
  Value group; // its index
  Value lane;  // its first row
  Value mask;  // null where all 16 rows exist
};

} // namespace

void LinearKernel::emit() {
  for (Value w : op.getWeights()) {
    SmallVector<Value> parts = weightComponents(b, w);
    Weight data;
    if (!weight.isQuantized()) {
      data.elements = parts[0];
      // bf16: the pairs of 16 rows as one dimension of 32.
      if (weight.getLayout() == WeightLayout::n16k2)
        data.elements = memref::CollapseShapeOp::create(
            b, parts[0], ArrayRef<ReassociationIndices>{{0}, {1}, {2, 3}});
    } else {
      data.codes = memref::CollapseShapeOp::create(
          b, parts[0], ArrayRef<ReassociationIndices>{{0}, {1}, {2}, {3, 4}});
      data.scales = parts[1];
      if (weight.getOffset() == OffsetKind::min)
        data.mins = parts[2];
    }
    weights.push_back(data);
  }

  isWide =
      weight.isQuantized() &&
      cast<MemRefType>(op.getActs()[0].getType()).getDimSize(1) ==
          llvm::divideCeilSigned(weight.getK(), kQuantBlock) * kQuantBlock / 2;
  // Wide codes go over a block's weights twice, which pays only while these
  // stay in registers: eight more.
  if (isWide)
    maxTokens = std::min<int64_t>(maxTokens, 8);

  Value init = op.getInit();
  auto initType = cast<MemRefType>(init.getType());
  if (op.getOut() == OutKind::rows) {
    staticN = initType.getDimSize(1);
    numRows = dimSize(b, init, 1);
  } else {
    int64_t headDim = initType.getDimSize(4);
    staticN = initType.isDynamicDim(2) ? ShapedType::kDynamic
                                       : initType.getDimSize(2) * headDim;
    numRows = ShapedType::isDynamic(staticN)
                  ? Value(arith::MulIOp::create(b, dimSize(b, init, 2),
                                                constIndex(b, headDim)))
                  : constIndex(b, staticN);
  }
  Value groups;
  if (ShapedType::isDynamic(staticN))
    groups = arith::DivUIOp::create(b, addIndex(b, numRows, kLanes - 1),
                                    constIndex(b, kLanes));
  else
    groups = constIndex(b, llvm::divideCeil(staticN, kLanes));
  buildLoop(b, constIndex(b, 0), groups, 1, {}, [&](Value g, ValueRange) {
    emitGroup(g);
    return SmallVector<Value>();
  });
}

void LinearKernel::emitGroup(Value g) {
  group = g;
  lane = arith::MulIOp::create(b, g, constIndex(b, kLanes));
  mask = {};
  if (ShapedType::isDynamic(staticN) || staticN % kLanes != 0) {
    Value left = arith::SubIOp::create(b, numRows, lane);
    mask = vector::CreateMaskOp::create(b, vectorOf(kLanes, b.getI1Type()),
                                        ValueRange{left});
  }

  // Tiles of maxTokens tokens, then what is left in powers of two. A token
  // takes two registers (f32 sums, integer dots), a block five or six (codes,
  // nibbles, scale, minimum, constants): 12 fill AVX-512's 32. On AVX2 a
  // vector is two of 16 registers; 4 were measured fastest, with some spills.
  Value n = dimSize(b, op.getActs()[0], 0);
  std::optional<int64_t> staticCount = getConstantIntValue(n);
  Value from = constIndex(b, 0);
  for (int64_t count = maxTokens; count >= 1;
       count = llvm::PowerOf2Ceil(count) / 2) {
    Value to = n;
    if (staticCount) {
      int64_t start = *getConstantIntValue(from);
      to = constIndex(b, start + (*staticCount - start) / count * count);
      if (*getConstantIntValue(to) == start)
        continue;
    } else if (count > 1) {
      Value left = arith::SubIOp::create(b, n, from);
      Value rest = arith::RemUIOp::create(b, left, constIndex(b, count));
      to = arith::SubIOp::create(b, n, rest);
    }
    buildLoop(b, from, to, count, {}, [&](Value token, ValueRange) {
      emitTokens(token, count);
      return SmallVector<Value>();
    });
    from = to;
  }
}

void LinearKernel::emitTokens(Value token, int64_t count) {
  // A GLU's two weights one after the other: both sets of accumulators would
  // not fit in registers during one loop over K.
  SmallVector<SmallVector<Value>> sums;
  for (const Weight &w : weights)
    sums.push_back(accumulate(w, token, count));
  for (int64_t i = 0; i < count; ++i) {
    SmallVector<Value> accumulators;
    for (const SmallVector<Value> &ofWeight : sums)
      accumulators.push_back(ofWeight[i]);
    emitEpilogue(addIndex(b, token, i), accumulators);
  }
}

SmallVector<Value> LinearKernel::accumulate(const Weight &w, Value token,
                                            int64_t count) {
  SmallVector<Value> tokens;
  for (int64_t i = 0; i < count; ++i)
    tokens.push_back(addIndex(b, token, i));
  return weight.isQuantized() ? accumulateQuantized(w, tokens)
                              : accumulateFloat(w, tokens);
}

/// Prefetches line `line` of step `step + ahead` of the group's weights; what
/// follows the group's last step in memory is the next group.
void LinearKernel::prefetch(Value memref, Value step, int64_t ahead,
                            int64_t line) {
  SmallVector<Value> indices(cast<MemRefType>(memref.getType()).getRank(),
                             constIndex(b, 0));
  indices[0] = group;
  indices[1] = addIndex(b, step, ahead);
  if (line != 0)
    indices[2] = constIndex(b, line);
  memref::PrefetchOp::create(b, memref, indices, /*isWrite=*/false,
                             /*localityHint=*/3, /*isDataCache=*/true);
}

SmallVector<Value> LinearKernel::accumulateQuantized(const Weight &w,
                                                     ValueRange tokens) {
  Value codes = op.getActs()[0], scales = op.getActs()[1],
        sums = op.getActs()[2];
  bool isQ4 = weight.getElement() == ElementKind::q4;
  int64_t blocks = llvm::divideCeil(weight.getK(), kQuantBlock);
  // 64-byte vectors of codes in a block, and dot products made from one.
  int64_t vectors = isQ4 ? 4 : 8;
  int64_t groups = kQuantBlock / 4;
  int64_t bits = isQ4 ? 4 : 8;
  VectorType bytes = vectorOf(4 * kLanes, b.getI8Type());
  VectorType f32 = vectorOf(kLanes, b.getF32Type());

  int64_t ahead = prefetchBytes / (vectors * 4 * kLanes);
  auto body = [&](Value block, ValueRange carried) -> SmallVector<Value> {
    if (ahead > 0) {
      prefetch(w.scales, block, ahead, 0);
      if (w.mins)
        prefetch(w.mins, block, ahead, 0);
    }
    Value zero = constIndex(b, 0);
    Value scale = extendToF32(b, loadLanes(b, w.scales, {group, block, zero}));
    Value min;
    if (w.mins)
      min = extendToF32(b, loadLanes(b, w.mins, {group, block, zero}));

    SmallVector<Value> dots;
    auto firstSum = [&](Value token) -> Value {
      if (w.mins)
        return splatInt(b, b.getI32Type(), 0);
      return broadcast(
          b, memref::LoadOp::create(b, sums, ValueRange{token, block}));
    };
    for (Value token : tokens)
      dots.push_back(isWide ? splatInt(b, b.getI32Type(), 0) : firstSum(token));
    Value word = arith::MulIOp::create(
        b, block, constIndex(b, isWide ? 2 * groups : groups));
    auto dot = [&](Value weightCodes, int64_t k4) {
      Value index = addIndex(b, word, k4);
      for (auto [token, acc] : llvm::zip_equal(tokens, dots)) {
        Value four = memref::LoadOp::create(b, codes, ValueRange{token, index});
        Value all = vector::BitCastOp::create(b, bytes, broadcast(b, four));
        acc = Dot4Op::create(b, acc, weightCodes, all, bits);
      }
    };
    auto dotBlock = [&](int64_t part) {
      for (int64_t v = 0; v < vectors; ++v) {
        if (ahead > 0 && part == 0)
          prefetch(w.codes, block, ahead, v);
        Value loaded = loadLanes(
            b, w.codes, {group, block, constIndex(b, v), zero}, {}, 4 * kLanes);
        if (!isQ4) {
          dot(loaded, part + v);
          continue;
        }
        Type i8 = b.getI8Type();
        dot(arith::AndIOp::create(b, loaded, splatInt(b, i8, 15, 4 * kLanes)),
            part + v);
        dot(arith::ShRUIOp::create(b, loaded, splatInt(b, i8, 4, 4 * kLanes)),
            part + v + vectors);
      }
    };
    dotBlock(0);
    if (isWide) {
      // High bytes count 256; the low ones go on top.
      for (auto [token, acc] : llvm::zip_equal(tokens, dots))
        acc = arith::AddIOp::create(
            b, arith::ShLIOp::create(b, acc, splatInt(b, b.getI32Type(), 8)),
            firstSum(token));
      dotBlock(groups);
    }

    SmallVector<Value> next;
    for (auto [token, acc, exact] : llvm::zip_equal(tokens, carried, dots)) {
      Value scaleA = broadcast(
          b, memref::LoadOp::create(b, scales, ValueRange{token, block}));
      Value value = arith::SIToFPOp::create(b, f32, exact);
      Value sum = math::FmaOp::create(
          b, value, arith::MulFOp::create(b, scale, scaleA), acc);
      if (min) {
        Value sumA = broadcast(
            b, memref::LoadOp::create(b, sums, ValueRange{token, block}));
        sum = math::FmaOp::create(b, min, sumA, sum);
      }
      next.push_back(sum);
    }
    return next;
  };
  SmallVector<Value> init(tokens.size(), splat(b, 0.0f));
  return buildLoop(b, constIndex(b, 0), constIndex(b, blocks), 1, init, body);
}

SmallVector<Value> LinearKernel::accumulateFloat(const Weight &w,
                                                 ValueRange tokens) {
  Value acts = op.getActs()[0];
  int64_t k = weight.getK();
  auto fma = [&](Value lanes, Value index, ValueRange carried) {
    SmallVector<Value> next;
    for (auto [token, acc] : llvm::zip_equal(tokens, carried)) {
      Value a = broadcast(
          b, memref::LoadOp::create(b, acts, ValueRange{token, index}));
      next.push_back(math::FmaOp::create(b, lanes, a, acc));
    }
    return next;
  };
  auto elements = cast<MemRefType>(w.elements.getType());
  int64_t stepBytes =
      elements.getDimSize(2) * elements.getElementTypeBitWidth() / 8;
  auto prefetchStep = [&](Value step) {
    if (prefetchBytes >= stepBytes)
      prefetch(w.elements, step, prefetchBytes / stepBytes, 0);
  };
  SmallVector<Value> sums(tokens.size(), splat(b, 0.0f));
  Value zero = constIndex(b, 0);
  if (weight.getLayout() == WeightLayout::n16)
    return buildLoop(b, zero, constIndex(b, k), 1, sums,
                     [&](Value i, ValueRange carried) {
                       prefetchStep(i);
                       Value lanes = loadLanes(b, w.elements, {group, i, zero});
                       return fma(extendToF32(b, lanes), i, carried);
                     });

  // bf16 pairs: a 32-bit word has w[2i] below w[2i+1], and either is the
  // upper half of its f32.
  VectorType i32 = vectorOf(kLanes, b.getI32Type());
  VectorType i16 = vectorOf(2 * kLanes, b.getI16Type());
  VectorType f32 = vectorOf(kLanes, b.getF32Type());
  auto pair = [&](Value i, ValueRange carried, bool both) {
    Value lanes = loadLanes(b, w.elements, {group, i, zero}, {}, 2 * kLanes);
    Value words = vector::BitCastOp::create(
        b, i32, arith::BitcastOp::create(b, i16, lanes));
    Value low =
        arith::ShLIOp::create(b, words, splatInt(b, b.getI32Type(), 16));
    Value index = arith::MulIOp::create(b, i, constIndex(b, 2));
    SmallVector<Value> next =
        fma(arith::BitcastOp::create(b, f32, low), index, carried);
    if (!both)
      return next;
    Value high = arith::AndIOp::create(
        b, words, splatInt(b, b.getI32Type(), int32_t(0xffff0000)));
    return fma(arith::BitcastOp::create(b, f32, high), addIndex(b, index, 1),
               next);
  };
  if (k > 1)
    sums = buildLoop(b, zero, constIndex(b, k / 2), 1, sums,
                     [&](Value i, ValueRange carried) {
                       prefetchStep(i);
                       return pair(i, carried, /*both=*/true);
                     });
  if (k % 2 != 0)
    sums = pair(constIndex(b, k / 2), sums, /*both=*/false);
  return sums;
}

/// The lanes' cosines (part 0) or sines (part 1) of a token.
Value LinearKernel::loadRope(Value table, Value token, int64_t part) {
  int64_t headDim = cast<MemRefType>(table.getType()).getDimSize(2);
  Value index = constIndex(b, part);
  Value offset = arith::RemUIOp::create(b, lane, constIndex(b, headDim));
  if (headDim % kLanes == 0)
    return loadLanes(b, table, {token, index, offset});
  // The group straddles heads: the lanes wrap around.
  Value lanes = splat(b, 0.0f);
  for (int64_t i = 0; i < kLanes; ++i) {
    Value wrapped = arith::RemUIOp::create(b, addIndex(b, offset, i),
                                           constIndex(b, headDim));
    Value element =
        memref::LoadOp::create(b, table, ValueRange{token, index, wrapped});
    lanes = vector::InsertOp::create(b, element, lanes, i);
  }
  return lanes;
}

void LinearKernel::emitEpilogue(Value token, ArrayRef<Value> accumulators) {
  Block &region = op.getEpilogue().front();
  SmallVector<Value> values(accumulators);
  for (auto [i, extra] : llvm::enumerate(op.getExtras())) {
    switch (op.getExtraKind(i)) {
    case ExtraKind::elementwise:
      values.push_back(loadLanes(b, extra, {token, lane}, mask));
      break;
    case ExtraKind::bias:
      values.push_back(loadLanes(b, extra, {lane}, mask));
      break;
    case ExtraKind::rope:
      values.push_back(loadRope(extra, token, 0));
      values.push_back(loadRope(extra, token, 1));
      break;
    }
  }
  if (op.getAccumulate())
    values.push_back(loadLanes(b, op.getInit(), {token, lane}, mask));

  IRMapping map;
  map.map(region.getArguments(), values);
  for (Operation &inner : region.without_terminator()) {
    if (auto activation = dyn_cast<ActivationOp>(inner))
      map.map(activation.getResult(),
              expandActivation(b, activation.getKind(),
                               map.lookup(activation.getX())));
    else
      b.clone(inner, map);
  }
  Value tile = map.lookup(region.getTerminator()->getOperand(0));
  if (op.getOut() == OutKind::rows)
    storeLanes(b, tile, op.getInit(), {token, lane}, mask);
  else
    storeToCache(tile, token);
}

void LinearKernel::storeToCache(Value tile, Value token) {
  Value cache = op.getInit();
  auto type = cast<MemRefType>(cache.getType());
  bool isKey = op.getOut() == OutKind::key;
  int64_t headDim = type.getDimSize(4);
  tile = truncateFromF32(b, tile, type.getElementType());

  Value slot = arith::IndexCastUIOp::create(
      b, b.getIndexType(),
      memref::LoadOp::create(b, op.getSlots(), ValueRange{token}));
  auto divide = [&](Value value, int64_t by) -> Value {
    return arith::DivUIOp::create(b, value, constIndex(b, by));
  };
  auto remainder = [&](Value value, int64_t by) -> Value {
    return arith::RemUIOp::create(b, value, constIndex(b, by));
  };
  Value page = divide(slot, CriaDialect::kPageTokens);
  Value position = remainder(slot, CriaDialect::kPageTokens);
  // [layer][page][head][position / 16][d][position % 16], or
  // [layer][page][head][position][d].
  auto indices = [&](Value head, Value d) -> SmallVector<Value> {
    if (isKey)
      return {op.getLayer(),
              page,
              head,
              divide(position, kLanes),
              d,
              remainder(position, kLanes)};
    return {op.getLayer(), page, head, position, d};
  };

  bool straddles = headDim % kLanes != 0;
  if (!straddles && !isKey) {
    storeLanes(b, tile, cache,
               indices(divide(lane, headDim), remainder(lane, headDim)));
    return;
  }
  for (int64_t i = 0; i < kLanes; ++i) {
    Value row = addIndex(b, lane, i);
    auto scatter = [&] {
      Value element = vector::ExtractOp::create(b, tile, i);
      Value head = divide(straddles ? row : lane, headDim);
      Value d = straddles ? remainder(row, headDim)
                          : addIndex(b, remainder(lane, headDim), i);
      memref::StoreOp::create(b, element, cache, indices(head, d));
    };
    if (!straddles) {
      scatter();
      continue;
    }
    // The last group may have lanes past N.
    Value exists =
        arith::CmpIOp::create(b, arith::CmpIPredicate::ult, row, numRows);
    auto branch = scf::IfOp::create(b, TypeRange(), exists, false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    scatter();
  }
}

namespace {

struct VectorizeLinear : cria::impl::VectorizeLinearBase<VectorizeLinear> {
  using VectorizeLinearBase::VectorizeLinearBase;

  void runOnOperation() override {
    if (tokens < 1 || tokens > 64) {
      getOperation()->emitError("cria-vectorize-linear: tokens = ")
          << tokens.getValue() << " is not in 1 to 64";
      return signalPassFailure();
    }
    if (prefetch < 0 || prefetch > (1 << 20)) {
      getOperation()->emitError("cria-vectorize-linear: prefetch = ")
          << prefetch.getValue() << " is not in 0 to 1048576";
      return signalPassFailure();
    }
    SmallVector<FusedLinearOp> ops;
    getOperation()->walk([&](FusedLinearOp op) { ops.push_back(op); });
    for (FusedLinearOp op : ops) {
      if (failed(checkBufferized(op)) || failed(checkLayout(op)))
        return signalPassFailure();
      ImplicitLocOpBuilder b(op.getLoc(), op);
      // The decode version never has more tokens, so larger tiles would be
      // dead code there.
      int64_t most = tokens;
      auto func = op->getParentOfType<FunctionOpInterface>();
      if (auto version = func->getAttrOfType<StringAttr>("cria.version"))
        if (version.getValue() == "decode")
          most = std::min(most, kDecodeTokens);
      LinearKernel(b, op, most, prefetch).emit();
      op.erase();
    }
  }

  static LogicalResult checkLayout(FusedLinearOp op) {
    WeightType type = op.getWeightType();
    if (type.getLayout() == WeightLayout::rows)
      return op.emitOpError("weight ")
             << type << " has layout rows; pack it to n16, n16k2 or n16k4";
    for (Value extra : op.getExtras())
      if (auto table = cast<MemRefType>(extra.getType());
          table.getRank() == 3 && table.isDynamicDim(2))
        return op.emitOpError("rope table ")
               << table << " needs a static head_dim";
    auto init = cast<MemRefType>(op.getInit().getType());
    if (op.getOut() != OutKind::rows && init.isDynamicDim(4))
      return op.emitOpError("cache ") << init << " needs a static head_dim";
    return success();
  }
};

} // namespace
