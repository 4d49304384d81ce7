// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.fused_linear on memrefs becomes loops over groups of 16 output rows,
// tiles of tokens and K. Codes times codes are exact integers, and every f32
// sum runs over K in one fixed order, so the tile sizes cannot be seen in the
// result.

#include "compiler/Passes.h"
#include "compiler/target/Tiles.h"
#include "compiler/tile/Schedule.h"
#include "compiler/vector/LinearEpilogue.h"
#include "compiler/vector/LinearKernel.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace cria {
#define GEN_PASS_DEF_VECTORIZELINEAR
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

void LinearKernel::emit() {
  for (Value w : op.getWeights())
    weights.emplace_back(b, w);
  isWide = hasWideCodes(op);
  asWords = shape.words && codeBits() == 8;
  // Wide codes go over a block's weights twice, which pays only while these
  // stay in registers: eight more.
  if (isWide && !asWords)
    shape.tokens = std::min<int64_t>(shape.tokens, 8);
  if (!weight.isQuantized())
    shape.blockTokens = 0;
  // A block of two parts takes a register more for a token and panel, and
  // their scales.
  else if (numParts() > 1) {
    shape.tokens = std::min<int64_t>(shape.tokens, 6);
    shape.blockTokens = std::min<int64_t>(shape.blockTokens, 2);
  }

  outRows.emplace(b, op);
  Value count = outRows->groups;
  // The panels of a pass over K are a GLU's two weights, or two groups.
  bool paired = shape.panels > 1 &&
                (!weight.isQuantized() || shape.blockTokens > 0) &&
                weights.size() == 1;
  Value from = constIndex(b, 0);
  for (int64_t step : {2, 1}) {
    if (step == 2 && !paired)
      continue;
    Value to = count;
    if (std::optional<int64_t> known = getConstantIntValue(count)) {
      to = constIndex(b, *known / step * step);
      if (getConstantIntValue(from) == getConstantIntValue(to))
        continue;
    } else if (step == 2) {
      Value rest = arith::RemUIOp::create(b, count, constIndex(b, step));
      to = arith::SubIOp::create(b, count, rest);
    }
    buildLoop(b, from, to, step, {}, [&](Value g, ValueRange) {
      emitGroups(g, step);
      return SmallVector<Value>();
    });
    from = to;
  }
}

/// All tokens of `count` groups of rows.
void LinearKernel::emitGroups(Value first, int64_t count) {
  groupStep = count;
  groups.clear();
  SmallVector<Panel> panels;
  for (int64_t i = 0; i < count; ++i) {
    Group group;
    group.index = addIndex(b, first, i);
    group.lane = arith::MulIOp::create(b, group.index, constIndex(b, kLanes));
    group.mask = outRows->mask(b, group.lane);
    groups.push_back(group);
    for (const LinearWeight &w : weights)
      panels.push_back({&w, group.index});
  }
  bool shared =
      shape.blockTokens > 0 || (!weight.isQuantized() && shape.panels > 1);
  panelsInPass = shared ? panels.size() : 1;
  if (shape.blockTokens > 0)
    emitBlockStationary(panels);
  else
    emitTiles(panels);
}

/// Steps over K that are `bytes` ahead: the panels of a pass share the bytes,
/// which are on their way at the same time.
int64_t LinearKernel::stepsAhead(int64_t bytes, int64_t stepBytes) const {
  return bytes / panelsInPass / stepBytes;
}

void LinearKernel::emitTiles(ArrayRef<Panel> panels) {
  // Tiles of shape.tokens tokens, then what is left in powers of two. A token
  // takes two registers (f32 sums, integer dots), a block five or six (codes,
  // nibbles, scale, minimum, constants): 12 fill AVX-512's 32. Of floats a
  // token takes a register for each of two panels, of one on AVX2, whose
  // vectors are two of 16 registers: 6 tokens leave 4 for operands.
  Value n = dimSize(b, op.getActs()[0], 0);
  std::optional<int64_t> staticCount = getConstantIntValue(n);
  Value from = constIndex(b, 0);
  if (shape.pairTiles) {
    Value rest =
        arith::RemUIOp::create(b, n, constIndex(b, DotTile2Op::kTokens));
    Value to = b.createOrFold<arith::SubIOp>(n, rest);
    buildLoop(b, from, to, DotTile2Op::kTokens, {},
              [&](Value token, ValueRange) {
                emitPairTile(token);
                return SmallVector<Value>();
              });
    from = to;
    staticCount = std::nullopt;
  }
  for (int64_t count = shape.tokens; count >= 1;
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
      emitTokens(panels, token, count);
      return SmallVector<Value>();
    });
    from = to;
  }
}

void LinearKernel::emitTokens(ArrayRef<Panel> panels, Value token,
                              int64_t count) {
  SmallVector<Value> tokens;
  for (int64_t i = 0; i < count; ++i)
    tokens.push_back(addIndex(b, token, i));
  // By panel, then by token. Codes take one panel after the other: sums and
  // dots of two would not fit in registers during one loop over K.
  SmallVector<Value> sums;
  if (panelsInPass > 1)
    sums = accumulateFloat(panels, tokens);
  else
    for (const Panel &panel : panels)
      llvm::append_range(sums, weight.isQuantized()
                                   ? accumulateQuantized(panel, tokens)
                                   : accumulateFloat(panel, tokens));
  for (auto [g, group] : llvm::enumerate(groups)) {
    for (int64_t i = 0; i < count; ++i) {
      SmallVector<Value> accumulators;
      for (size_t w = 0; w < weights.size(); ++w)
        accumulators.push_back(sums[(g * weights.size() + w) * count + i]);
      emitEpilogue(b, op, tokens[i], group.lane, group.mask, outRows->count,
                   accumulators);
    }
  }
}

/// 16 tokens of a pass, whose sums come through memory.
void LinearKernel::emitPairTile(Value token) {
  constexpr int64_t kTokens = DotTile2Op::kTokens;
  auto type = MemRefType::get({int64_t(groups.size()), kTokens, kLanes},
                              b.getF32Type());
  SmallVector<Value> sums; // by weight
  for (const LinearWeight &w : weights) {
    Value offset = constIndex(b, 4 * type.getNumElements() * sums.size());
    sums.push_back(
        memref::ViewOp::create(b, type, shape.tiles, offset, ValueRange()));
    DotTile2Op::create(b, op.getActs()[0], token, w.elements, groups[0].index,
                       sums.back());
  }
  Value zero = constIndex(b, 0);
  buildLoop(b, zero, constIndex(b, kTokens), 1, {}, [&](Value t, ValueRange) {
    Value row = arith::AddIOp::create(b, token, t);
    for (auto [g, group] : llvm::enumerate(groups)) {
      SmallVector<Value> accumulators;
      for (Value sum : sums)
        accumulators.push_back(loadLanes(b, sum, {constIndex(b, g), t, zero}));
      emitEpilogue(b, op, row, group.lane, group.mask, outRows->count,
                   accumulators);
    }
    return SmallVector<Value>();
  });
}

namespace {

struct VectorizeLinear : cria::impl::VectorizeLinearBase<VectorizeLinear> {
  using VectorizeLinearBase::VectorizeLinearBase;

  void runOnOperation() override {
    auto isIn = [&](StringRef name, int64_t value, int64_t least,
                    int64_t most) {
      if (value >= least && value <= most)
        return true;
      getOperation()->emitError("cria-vectorize-linear: ")
          << name << " = " << value << " is not in " << least << " to " << most;
      return false;
    };
    if (!isIn("tokens", tokens, 1, 64) || !isIn("panels", panels, 1, 2) ||
        !isIn("float-panels", floatPanels, 0, 2) ||
        !isIn("block-tokens", blockTokens, 0, kTokenBlock) ||
        !isIn("prefetch", prefetch, 0, 1 << 20) ||
        !isIn("stream", stream, 0, 1 << 20))
      return signalPassFailure();
    SmallVector<FusedLinearOp> ops;
    getOperation()->walk([&](FusedLinearOp op) { ops.push_back(op); });
    llvm::DenseMap<Operation *, Buffers> buffers; // by function
    // What dot_tile takes at once.
    int64_t tilePanels = 2;
    for (FusedLinearOp op : ops)
      if (WeightType weight = op.getWeightType(); weight.isQuantized())
        tilePanels = std::max(tilePanels, 2 * weight.getScalesPerBlock());
    for (FusedLinearOp op : ops)
      if (failed(checkBufferized(op)) || failed(checkLinear(op)))
        return signalPassFailure();
    llvm::DenseMap<Operation *, WeightStream> following;
    if (stream > 0)
      following =
          streamWeights(llvm::filter_to_vector(
                            ops, [](FusedLinearOp op) { return isDecode(op); }),
                        stream);
    for (FusedLinearOp op : ops) {
      bool pairs = dot2 && op.getBf16();
      bool isFloat = !op.getWeightType().isQuantized();
      int64_t usual = isFloat && floatPanels > 0 ? floatPanels : panels;
      // Memory sets the pace of the decode version alone. A line of floats is
      // little work beside where to prefetch from, and two panels of them read
      // at the limit as it is.
      bool streams = isDecode(op) && !isFloat;
      KernelShape shape = {
          tokens, usual, blockTokens, prefetch, streams ? stream : 0,
          {},     {},    pairs,       false,    words};
      if (failed(takeSchedule(op, {{"tokens", shape.tokens},
                                   {"panels", shape.panels},
                                   {"block-tokens", shape.blockTokens},
                                   {"prefetch", shape.prefetchBytes},
                                   {"stream", shape.streamBytes}})))
        return signalPassFailure();
      shape.pairTiles = pairs && dotTile2 && shape.blockTokens > 0;
      // The decode version never has more tokens: larger tiles would be dead
      // code there, and all sums fit in registers.
      if (isDecode(op)) {
        shape.tokens = std::min<int64_t>(shape.tokens, kDecodeTokens);
        shape.blockTokens = 0;
      }
      if (shape.blockTokens > 0) {
        auto func = op->getParentOfType<FunctionOpInterface>();
        auto [place, isNew] = buffers.try_emplace(func);
        if (isNew)
          place->second =
              allocateBuffers(func, dotTile || dotTile2, tilePanels);
        shape.sums = place->second.sums;
        if (dotTile || shape.pairTiles)
          shape.tiles = place->second.tiles;
      }
      ImplicitLocOpBuilder b(op.getLoc(), op);
      LinearKernel(b, op, shape,
                   shape.streamBytes > 0 ? following.lookup(op)
                                         : WeightStream())
          .emit();
      op.erase();
    }
  }

  static bool isDecode(FusedLinearOp op) {
    auto version =
        op->getParentOfType<FunctionOpInterface>()->getAttrOfType<StringAttr>(
            "cria.version");
    return version && version.getValue() == "decode";
  }

  /// What a function's kernels use one after the other: f32 sums of a block of
  /// tokens by the panels of a pass; and codes of that many panels of dot_tile
  /// with two sets of integers, which are more than 16 tokens' f32 sums, or
  /// null.
  struct Buffers {
    Value sums, tiles;
  };
  static Buffers allocateBuffers(FunctionOpInterface func, bool anyTile,
                                 int64_t panels) {
    auto b = ImplicitLocOpBuilder::atBlockBegin(
        func.getLoc(), &func.getFunctionBody().front());
    auto allocate = [&](ArrayRef<int64_t> sizes, Type element) -> Value {
      auto type = MemRefType::get(sizes, element);
      return memref::AllocaOp::create(b, type, b.getI64IntegerAttr(64));
    };
    Buffers buffers = {allocate({kTokenBlock, 2, kLanes}, b.getF32Type()), {}};
    constexpr int64_t kCodes = DotTileOp::kWords * 4 * kLanes,
                      kDots = DotTileOp::kTokens * 4 * kLanes;
    if (anyTile)
      buffers.tiles = allocate({panels * (kCodes + 2 * kDots)}, b.getI8Type());
    return buffers;
  }
};

} // namespace
