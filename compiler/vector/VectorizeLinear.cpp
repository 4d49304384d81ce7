// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.fused_linear on memrefs becomes loops over groups of 16 output rows,
// tiles of tokens and K. Codes times codes are exact integers, and every f32
// sum runs over K in one fixed order, so the tile sizes cannot be seen in the
// result.

#include "compiler/Passes.h"
#include "compiler/target/Tiles.h"
#include "compiler/tile/Schedule.h"
#include "compiler/vector/KernelUtils.h"
#include "compiler/vector/LinearEpilogue.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
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

namespace {

/// How a kernel is cut: speed only.
struct KernelShape {
  int64_t tokens;        // a register tile has, at most
  int64_t panels;        // vectors of 16 rows that one has, 1 or 2
  int64_t blockTokens;   // that go over a block's codes in registers; 0: none
  int64_t prefetchBytes; // of weights, ahead of their use
  Value sums;            // f32 sums outside of registers, or null
  Value tiles;           // bytes for the operands of dot_tile, or null
  bool pairs;            // of floats: rows are bf16 in words of two
  bool pairTiles;        // and 16 tokens at a time a dot_tile2
};

/// Emits the loops for one fused_linear.
class LinearKernel {
public:
  LinearKernel(ImplicitLocOpBuilder &b, FusedLinearOp op,
               const KernelShape &shape)
      : b(b), op(op), weight(op.getWeightType()), shape(shape) {}

  void emit();

private:
  struct Weight {
    Value codes, scales, mins; // quantised
    Value elements;            // float
  };
  /// 16 rows of one weight.
  struct Panel {
    const Weight *weight;
    Value group;
  };
  /// 16 rows of the result.
  struct Group {
    Value index;
    Value lane; // its first row
    Value mask; // null where all 16 rows exist
  };
  /// A block of K of one panel, in registers.
  struct BlockOperands {
    SmallVector<Value> codes; // by words of K
    Value scale, min;
  };

  void emitGroups(Value first, int64_t count);
  void emitTiles(ArrayRef<Panel> panels);
  void emitTokens(ArrayRef<Panel> panels, Value token, int64_t count);
  void emitPairTile(Value token);
  void emitBlockStationary(ArrayRef<Panel> panels);
  void emitBlock(ArrayRef<Panel> panels, Value from, Value count, Value block);
  void emitBlockTiles(ArrayRef<Panel> panels, ArrayRef<BlockOperands> operands,
                      Value from, Value count, Value block);
  void prefetchActs(Value token, int64_t ahead, Value word);
  void addToSums(Value dot, const BlockOperands &operands, Value place,
                 int64_t panel, Value token, Value block);
  SmallVector<Value> accumulateQuantized(const Panel &panel, ValueRange tokens);
  SmallVector<Value> accumulateFloat(ArrayRef<Panel> panels, ValueRange tokens);
  SmallVector<Value> loadCodes(const Panel &panel, Value block, int64_t vector);
  Value loadScale(Value memref, const Panel &panel, Value block);
  Value firstSum(const Panel &panel, Value token, Value block);
  Value scaleDot(Value dot, Value acc, Value scale, Value min, Value token,
                 Value block);
  Value loadWord(Value token, Value index);
  int64_t codeBits() const {
    return weight.getElement() == ElementKind::q4 ? 4 : 8;
  }
  int64_t stepsAhead(int64_t stepBytes) const;
  void prefetch(Value memref, const Panel &panel, Value step, int64_t ahead,
                int64_t line);
  void prefetchBlock(const Panel &panel, Value block);

  ImplicitLocOpBuilder &b;
  FusedLinearOp op;
  WeightType weight;
  KernelShape shape;
  bool isWide = false; // codes of 16 bits

  SmallVector<Weight> weights;
  Value numRows;         // N
  int64_t staticN;       // or kDynamic
  int64_t groupStep = 1; // groups from one pass over K to the next
  int64_t panelsInPass = 1;
  SmallVector<Group> groups;
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
    shape.tokens = std::min<int64_t>(shape.tokens, 8);
  if (!weight.isQuantized())
    shape.blockTokens = 0;

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
  Value count;
  if (ShapedType::isDynamic(staticN))
    count = arith::DivUIOp::create(b, addIndex(b, numRows, kLanes - 1),
                                   constIndex(b, kLanes));
  else
    count = constIndex(b, llvm::divideCeil(staticN, kLanes));
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
    if (ShapedType::isDynamic(staticN) || staticN % kLanes != 0) {
      Value left = arith::SubIOp::create(b, numRows, group.lane);
      group.mask = vector::CreateMaskOp::create(
          b, vectorOf(kLanes, b.getI1Type()), ValueRange{left});
    }
    groups.push_back(group);
    for (const Weight &w : weights)
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

/// Steps over K that a panel is prefetched ahead: the panels of a pass share
/// the bytes, which are on their way at the same time.
int64_t LinearKernel::stepsAhead(int64_t stepBytes) const {
  return shape.prefetchBytes / panelsInPass / stepBytes;
}

void LinearKernel::emitTiles(ArrayRef<Panel> panels) {
  // Tiles of shape.tokens tokens, then what is left in powers of two. A token
  // takes two registers (f32 sums, integer dots), a block five or six (codes,
  // nibbles, scale, minimum, constants): 12 fill AVX-512's 32. On AVX2 a
  // vector is two of 16 registers; 4 were measured fastest, with some spills.
  // Of floats a token takes a register for each of two panels.
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
      emitEpilogue(b, op, tokens[i], group.lane, group.mask, numRows,
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
  for (const Weight &w : weights) {
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
      emitEpilogue(b, op, row, group.lane, group.mask, numRows, accumulators);
    }
    return SmallVector<Value>();
  });
}

/// Prefetches line `line` of step `step + ahead` of a panel's weights, which
/// for the last steps is in the panel of the next pass over K.
void LinearKernel::prefetch(Value memref, const Panel &panel, Value step,
                            int64_t ahead, int64_t line) {
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<Value> indices(type.getRank(), constIndex(b, 0));
  indices[0] = panel.group;
  indices[1] = addIndex(b, step, ahead);
  // The next group follows in memory.
  if (groupStep > 1) {
    Value steps = constIndex(b, type.getDimSize(1));
    Value past =
        arith::CmpIOp::create(b, arith::CmpIPredicate::uge, indices[1], steps);
    indices[0] = arith::SelectOp::create(
        b, past, addIndex(b, panel.group, groupStep), panel.group);
    indices[1] = arith::SelectOp::create(
        b, past, arith::SubIOp::create(b, indices[1], steps), indices[1]);
  }
  if (line != 0)
    indices[2] = constIndex(b, line);
  prefetchLine(b, memref, indices);
}

/// Prefetches scales and minima for `block`.
void LinearKernel::prefetchBlock(const Panel &panel, Value block) {
  int64_t codes = cast<MemRefType>(panel.weight->codes.getType()).getDimSize(2);
  int64_t ahead = stepsAhead(codes * 4 * kLanes);
  if (ahead == 0)
    return;
  prefetch(panel.weight->scales, panel, block, ahead, 0);
  if (panel.weight->mins)
    prefetch(panel.weight->mins, panel, block, ahead, 0);
}

Value LinearKernel::loadScale(Value memref, const Panel &panel, Value block) {
  return extendToF32(
      b, loadLanes(b, memref, {panel.group, block, constIndex(b, 0)}));
}

/// Vector `vector` of a block's codes: one set of products' operands for 8
/// bits, two for 4.
SmallVector<Value> LinearKernel::loadCodes(const Panel &panel, Value block,
                                           int64_t vector) {
  Value codes = panel.weight->codes;
  int64_t vectors = cast<MemRefType>(codes.getType()).getDimSize(2);
  int64_t ahead = stepsAhead(vectors * 4 * kLanes);
  if (ahead > 0)
    prefetch(codes, panel, block, ahead, vector);
  Value zero = constIndex(b, 0);
  Value loaded =
      loadLanes(b, codes, {panel.group, block, constIndex(b, vector), zero}, {},
                4 * kLanes);
  if (weight.getElement() != ElementKind::q4)
    return {loaded};
  Type i8 = b.getI8Type();
  return {arith::AndIOp::create(b, loaded, splatInt(b, i8, 15, 4 * kLanes)),
          arith::ShRUIOp::create(b, loaded, splatInt(b, i8, 4, 4 * kLanes))};
}

/// What a block's dots start from: the zero point's share.
Value LinearKernel::firstSum(const Panel &panel, Value token, Value block) {
  if (panel.weight->mins)
    return splatInt(b, b.getI32Type(), 0);
  return broadcast(
      b, memref::LoadOp::create(b, op.getActs()[2], ValueRange{token, block}));
}

/// Four codes of a token, for all rows.
Value LinearKernel::loadWord(Value token, Value index) {
  Value four =
      memref::LoadOp::create(b, op.getActs()[0], ValueRange{token, index});
  return vector::BitCastOp::create(b, vectorOf(4 * kLanes, b.getI8Type()),
                                   broadcast(b, four));
}

/// `acc` and a block's exact `dot`, scaled.
Value LinearKernel::scaleDot(Value dot, Value acc, Value scale, Value min,
                             Value token, Value block) {
  auto activation = [&](int64_t part) {
    return broadcast(b, memref::LoadOp::create(b, op.getActs()[part],
                                               ValueRange{token, block}));
  };
  Value scaleA = activation(1);
  Value value =
      arith::SIToFPOp::create(b, vectorOf(kLanes, b.getF32Type()), dot);
  Value sum = math::FmaOp::create(b, value,
                                  arith::MulFOp::create(b, scale, scaleA), acc);
  return min ? Value(math::FmaOp::create(b, min, activation(2), sum)) : sum;
}

SmallVector<Value> LinearKernel::accumulateQuantized(const Panel &panel,
                                                     ValueRange tokens) {
  int64_t blocks = llvm::divideCeil(weight.getK(), kQuantBlock);
  int64_t vectors =
      cast<MemRefType>(panel.weight->codes.getType()).getDimSize(2);
  constexpr int64_t kWords = kQuantBlock / 4;

  auto body = [&](Value block, ValueRange carried) -> SmallVector<Value> {
    prefetchBlock(panel, block);
    Value scale = loadScale(panel.weight->scales, panel, block);
    Value min;
    if (panel.weight->mins)
      min = loadScale(panel.weight->mins, panel, block);

    SmallVector<Value> dots;
    for (Value token : tokens)
      dots.push_back(isWide ? splatInt(b, b.getI32Type(), 0)
                            : firstSum(panel, token, block));
    Value word = arith::MulIOp::create(
        b, block, constIndex(b, isWide ? 2 * kWords : kWords));
    auto dotBlock = [&](int64_t part) {
      for (int64_t v = 0; v < vectors; ++v)
        for (auto [i, codes] : llvm::enumerate(loadCodes(panel, block, v))) {
          Value index = addIndex(b, word, part + v + i * vectors);
          for (auto [token, acc] : llvm::zip_equal(tokens, dots))
            acc = Dot4Op::create(b, acc, codes, loadWord(token, index),
                                 codeBits());
        }
    };
    dotBlock(0);
    if (isWide) {
      // High bytes count 256; the low ones go on top.
      for (auto [token, acc] : llvm::zip_equal(tokens, dots))
        acc = arith::AddIOp::create(
            b, arith::ShLIOp::create(b, acc, splatInt(b, b.getI32Type(), 8)),
            firstSum(panel, token, block));
      dotBlock(kWords);
    }
    SmallVector<Value> next;
    for (auto [token, acc, exact] : llvm::zip_equal(tokens, carried, dots))
      next.push_back(scaleDot(exact, acc, scale, min, token, block));
    return next;
  };
  SmallVector<Value> init(tokens.size(), splat(b, 0.0f));
  return buildLoop(b, constIndex(b, 0), constIndex(b, blocks), 1, init, body);
}

/// Tokens go over a block's unpacked codes in registers, a few at a time, and
/// their f32 sums wait in L1. Codes are unpacked once for all of them, memory
/// is read at an even pace, and a broadcast serves both panels.
void LinearKernel::emitBlockStationary(ArrayRef<Panel> panels) {
  int64_t blocks = llvm::divideCeil(weight.getK(), kQuantBlock);
  Value zero = constIndex(b, 0);
  auto none = [] { return SmallVector<Value>(); };
  Value n = dimSize(b, op.getActs()[0], 0);
  int64_t most = cast<MemRefType>(shape.sums.getType()).getDimSize(0);
  if (!shape.tiles)
    most -= most % shape.blockTokens; // no leftovers but the last
  buildLoop(b, zero, n, most, {}, [&](Value from, ValueRange) {
    Value count = arith::MinUIOp::create(b, arith::SubIOp::create(b, n, from),
                                         constIndex(b, most));
    buildLoop(b, zero, count, 1, {}, [&](Value i, ValueRange) {
      for (size_t p = 0; p < panels.size(); ++p)
        storeLanes(b, splat(b, 0.0f), shape.sums, {i, constIndex(b, p), zero});
      return none();
    });
    buildLoop(b, zero, constIndex(b, blocks), 1, {},
              [&](Value block, ValueRange) {
                emitBlock(panels, from, count, block);
                return none();
              });
    buildLoop(b, zero, count, 1, {}, [&](Value i, ValueRange) {
      Value token = arith::AddIOp::create(b, from, i);
      for (auto [g, group] : llvm::enumerate(groups)) {
        SmallVector<Value> accumulators;
        for (size_t w = 0; w < weights.size(); ++w)
          accumulators.push_back(loadLanes(
              b, shape.sums, {i, constIndex(b, g * weights.size() + w), zero}));
        emitEpilogue(b, op, token, group.lane, group.mask, numRows,
                     accumulators);
      }
      return none();
    });
    return none();
  });
}

/// Adds one block of K to the sums of `count` tokens.
void LinearKernel::emitBlock(ArrayRef<Panel> panels, Value from, Value count,
                             Value block) {
  constexpr int64_t kWords = kQuantBlock / 4;
  Value zero = constIndex(b, 0);
  SmallVector<BlockOperands> operands;
  int64_t vectors =
      cast<MemRefType>(panels[0].weight->codes.getType()).getDimSize(2);
  for (const Panel &panel : panels) {
    prefetchBlock(panel, block);
    BlockOperands &these = operands.emplace_back();
    these.codes.resize(kWords);
    for (int64_t v = 0; v < vectors; ++v)
      for (auto [i, codes] : llvm::enumerate(loadCodes(panel, block, v)))
        these.codes[v + i * vectors] = codes;
    these.scale = loadScale(panel.weight->scales, panel, block);
    if (panel.weight->mins)
      these.min = loadScale(panel.weight->mins, panel, block);
  }
  Value word = arith::MulIOp::create(
      b, block, constIndex(b, isWide ? 2 * kWords : kWords));
  auto step = [&](Value first, int64_t tokens) {
    SmallVector<Value> rows, dots; // dots by token, then by panel
    for (int64_t t = 0; t < tokens; ++t) {
      Value i = addIndex(b, first, t);
      rows.push_back(arith::AddIOp::create(b, from, i));
      prefetchActs(rows.back(), tokens, word);
      for (const Panel &panel : panels)
        dots.push_back(isWide ? splatInt(b, b.getI32Type(), 0)
                              : firstSum(panel, rows.back(), block));
    }
    auto dotBlock = [&](int64_t part) {
      for (int64_t k = 0; k < kWords; ++k)
        for (int64_t t = 0; t < tokens; ++t) {
          Value acts = loadWord(rows[t], addIndex(b, word, part + k));
          for (size_t p = 0; p < panels.size(); ++p) {
            Value &dot = dots[t * panels.size() + p];
            dot =
                Dot4Op::create(b, dot, operands[p].codes[k], acts, codeBits());
          }
        }
    };
    dotBlock(0);
    if (isWide) {
      for (int64_t t = 0; t < tokens; ++t)
        for (size_t p = 0; p < panels.size(); ++p) {
          Value &dot = dots[t * panels.size() + p];
          dot = arith::AddIOp::create(
              b, arith::ShLIOp::create(b, dot, splatInt(b, b.getI32Type(), 8)),
              firstSum(panels[p], rows[t], block));
        }
      dotBlock(kWords);
    }
    for (int64_t t = 0; t < tokens; ++t)
      for (size_t p = 0; p < panels.size(); ++p)
        addToSums(dots[t * panels.size() + p], operands[p],
                  addIndex(b, first, t), p, rows[t], block);
  };
  auto upTo = [&](Value lower, int64_t step) -> Value {
    if (step == 1)
      return count;
    Value left = arith::SubIOp::create(b, count, lower);
    Value rest = arith::RemUIOp::create(b, left, constIndex(b, step));
    return arith::SubIOp::create(b, count, rest);
  };
  Value tiled = zero;
  if (shape.tiles) {
    tiled = upTo(zero, DotTileOp::kTokens);
    emitBlockTiles(panels, operands, from, tiled, block);
  }
  Value lower = tiled;
  // What the largest step leaves goes by twos: sequences side by side are few.
  SmallVector<int64_t, 3> steps = {shape.blockTokens};
  for (int64_t fewer : {2, 1})
    if (fewer < steps.back())
      steps.push_back(fewer);
  for (int64_t tokens : steps) {
    Value upper = upTo(lower, tokens);
    buildLoop(b, lower, upper, tokens, {}, [&](Value first, ValueRange) {
      step(first, tokens);
      return SmallVector<Value>();
    });
    lower = upper;
  }
}

/// Rows of 1 KB and more share few sets of L1: the codes of a later token.
void LinearKernel::prefetchActs(Value token, int64_t ahead, Value word) {
  if (weight.getK() * (isWide ? 2 : 1) >= 1024)
    prefetchLine(b, op.getActs()[0], {addIndex(b, token, ahead), word});
}

/// Adds a block's exact dot to the sum at `place` of the tokens' buffer.
void LinearKernel::addToSums(Value dot, const BlockOperands &operands,
                             Value place, int64_t panel, Value token,
                             Value block) {
  SmallVector<Value> indices = {place, constIndex(b, panel), constIndex(b, 0)};
  Value sum = scaleDot(dot, loadLanes(b, shape.sums, indices), operands.scale,
                       operands.min, token, block);
  storeLanes(b, sum, shape.sums, indices);
}

/// As emitBlock for the first `count` tokens, a multiple of 16. Their integers
/// come through memory, from cria.dot_tile.
void LinearKernel::emitBlockTiles(ArrayRef<Panel> panels,
                                  ArrayRef<BlockOperands> operands, Value from,
                                  Value count, Value block) {
  constexpr int64_t kWords = DotTileOp::kWords, kTokens = DotTileOp::kTokens;
  int64_t numPanels = panels.size(), used = 0;
  auto allocate = [&](ArrayRef<int64_t> sizes, Type element) -> Value {
    auto type = MemRefType::get(sizes, element);
    Value offset = constIndex(b, used);
    used += type.getNumElements() * type.getElementTypeBitWidth() / 8;
    return memref::ViewOp::create(b, type, shape.tiles, offset, ValueRange());
  };
  Value zero = constIndex(b, 0), tokens = constIndex(b, kTokens);
  Value codes = allocate({numPanels, kWords, 4 * kLanes}, b.getI8Type());
  for (int64_t p = 0; p < numPanels; ++p)
    for (int64_t k = 0; k < kWords; ++k)
      storeLanes(b, operands[p].codes[k], codes,
                 {constIndex(b, p), constIndex(b, k), zero});
  SmallVector<Value> dots; // of wide codes, the high bytes' and the low ones'
  for (int64_t part = 0; part < (isWide ? 2 : 1); ++part)
    dots.push_back(allocate({numPanels, kTokens, kLanes}, b.getI32Type()));

  Value word =
      arith::MulIOp::create(b, block, constIndex(b, kWords * dots.size()));
  buildLoop(b, zero, count, kTokens, {}, [&](Value first, ValueRange) {
    Value row = arith::AddIOp::create(b, from, first);
    for (auto [part, out] : llvm::enumerate(dots))
      DotTileOp::create(b, op.getActs()[0], row,
                        addIndex(b, word, part * kWords), codes, out);
    return buildLoop(b, zero, tokens, 1, {}, [&](Value t, ValueRange) {
      Value place = arith::AddIOp::create(b, first, t);
      Value token = arith::AddIOp::create(b, row, t);
      prefetchActs(token, kTokens, word);
      for (int64_t p = 0; p < numPanels; ++p) {
        SmallVector<Value> indices = {constIndex(b, p), t, zero};
        Value dot = loadLanes(b, dots[0], indices);
        if (isWide)
          dot = arith::AddIOp::create(
              b, arith::ShLIOp::create(b, dot, splatInt(b, b.getI32Type(), 8)),
              loadLanes(b, dots[1], indices));
        dot = arith::AddIOp::create(b, dot, firstSum(panels[p], token, block));
        addToSums(dot, operands[p], place, p, token, block);
      }
      return SmallVector<Value>();
    });
  });
}

/// Sums of floats, by panel and then by token.
SmallVector<Value> LinearKernel::accumulateFloat(ArrayRef<Panel> panels,
                                                 ValueRange tokens) {
  Value acts = op.getActs()[0];
  int64_t k = weight.getK();
  /// Column or word `index` of the activations times a vector of each panel.
  auto fma = [&](ArrayRef<Value> lanes, Value index, ValueRange carried) {
    SmallVector<Value> next(carried);
    for (auto [t, token] : llvm::enumerate(tokens)) {
      Value a = broadcast(
          b, memref::LoadOp::create(b, acts, ValueRange{token, index}));
      if (shape.pairs)
        a = vector::BitCastOp::create(b, vectorOf(2 * kLanes, b.getBF16Type()),
                                      a);
      for (size_t p = 0; p < panels.size(); ++p) {
        Value &sum = next[p * tokens.size() + t];
        sum = shape.pairs
                  ? Value(Dot2Op::create(b, sum.getType(), sum, lanes[p], a))
                  : Value(math::FmaOp::create(b, lanes[p], a, sum));
      }
    }
    return next;
  };
  auto elements = cast<MemRefType>(panels[0].weight->elements.getType());
  int64_t stepBytes =
      elements.getDimSize(2) * elements.getElementTypeBitWidth() / 8;
  auto load = [&](const Panel &panel, Value step, bool ahead) {
    Value memref = panel.weight->elements;
    int64_t steps = stepsAhead(stepBytes);
    if (ahead && steps > 0)
      prefetch(memref, panel, step, steps, 0);
    return loadLanes(b, memref, {panel.group, step, constIndex(b, 0)}, {},
                     elements.getDimSize(2));
  };
  SmallVector<Value> sums(panels.size() * tokens.size(), splat(b, 0.0f));
  Value zero = constIndex(b, 0);
  if (weight.getLayout() == WeightLayout::n16 || shape.pairs)
    return buildLoop(b, zero, constIndex(b, elements.getDimSize(1)), 1, sums,
                     [&](Value i, ValueRange carried) {
                       SmallVector<Value> lanes;
                       for (const Panel &panel : panels)
                         lanes.push_back(load(panel, i, true));
                       if (!shape.pairs)
                         for (Value &vector : lanes)
                           vector = extendToF32(b, vector);
                       return fma(lanes, i, carried);
                     });

  // bf16 pairs: a 32-bit word has w[2i] below w[2i+1], and either is the
  // upper half of its f32.
  VectorType i32 = vectorOf(kLanes, b.getI32Type());
  VectorType i16 = vectorOf(2 * kLanes, b.getI16Type());
  VectorType f32 = vectorOf(kLanes, b.getF32Type());
  auto pair = [&](Value i, ValueRange carried, bool both) {
    Type word = b.getI32Type();
    SmallVector<Value> words, low, high;
    for (const Panel &panel : panels) {
      words.push_back(vector::BitCastOp::create(
          b, i32, arith::BitcastOp::create(b, i16, load(panel, i, both))));
      low.push_back(arith::BitcastOp::create(
          b, f32,
          arith::ShLIOp::create(b, words.back(), splatInt(b, word, 16))));
    }
    Value index = arith::MulIOp::create(b, i, constIndex(b, 2));
    SmallVector<Value> next = fma(low, index, carried);
    if (!both)
      return next;
    for (Value lanes : words)
      high.push_back(arith::BitcastOp::create(
          b, f32,
          arith::AndIOp::create(b, lanes,
                                splatInt(b, word, int32_t(0xffff0000)))));
    return fma(high, addIndex(b, index, 1), next);
  };
  if (k > 1)
    sums = buildLoop(b, zero, constIndex(b, k / 2), 1, sums,
                     [&](Value i, ValueRange carried) {
                       return pair(i, carried, /*both=*/true);
                     });
  if (k % 2 != 0)
    sums = pair(constIndex(b, k / 2), sums, /*both=*/false);
  return sums;
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
        !isIn("block-tokens", blockTokens, 0, kTokenBlock) ||
        !isIn("prefetch", prefetch, 0, 1 << 20))
      return signalPassFailure();
    SmallVector<FusedLinearOp> ops;
    getOperation()->walk([&](FusedLinearOp op) { ops.push_back(op); });
    llvm::DenseMap<Operation *, Buffers> buffers; // by function
    for (FusedLinearOp op : ops) {
      if (failed(checkBufferized(op)) || failed(checkLinear(op)))
        return signalPassFailure();
      bool pairs = dot2 && op.getBf16();
      KernelShape shape = {tokens, panels, blockTokens, prefetch,
                           {},     {},     pairs,       false};
      if (failed(takeSchedule(op, {{"tokens", shape.tokens},
                                   {"panels", shape.panels},
                                   {"block-tokens", shape.blockTokens},
                                   {"prefetch", shape.prefetchBytes}})))
        return signalPassFailure();
      shape.pairTiles = pairs && dotTile2 && shape.blockTokens > 0;
      auto func = op->getParentOfType<FunctionOpInterface>();
      // The decode version never has more tokens: larger tiles would be dead
      // code there, and all sums fit in registers.
      if (auto version = func->getAttrOfType<StringAttr>("cria.version"))
        if (version.getValue() == "decode") {
          shape.tokens = std::min<int64_t>(shape.tokens, kDecodeTokens);
          shape.blockTokens = 0;
        }
      if (shape.blockTokens > 0) {
        auto [place, isNew] = buffers.try_emplace(func);
        if (isNew)
          place->second = allocateBuffers(func, dotTile || dotTile2);
        shape.sums = place->second.sums;
        if (dotTile || shape.pairTiles)
          shape.tiles = place->second.tiles;
      }
      ImplicitLocOpBuilder b(op.getLoc(), op);
      LinearKernel(b, op, shape).emit();
      op.erase();
    }
  }

  /// What a function's kernels use one after the other: f32 sums of a block of
  /// tokens by the panels of a pass; and codes of two panels with two parts of
  /// the integers, which are more than 16 tokens' f32 sums, or null.
  struct Buffers {
    Value sums, tiles;
  };
  static Buffers allocateBuffers(FunctionOpInterface func, bool anyTile) {
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
      buffers.tiles = allocate({2 * (kCodes + 2 * kDots)}, b.getI8Type());
    return buffers;
  }
};

} // namespace
