// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sums over K of a linear's tiles: codes block by block, floats one by one.
#include "compiler/vector/LinearEpilogue.h"
#include "compiler/vector/LinearKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace cria {

/// Prefetches line `line` of step `step + ahead` of a panel's weights, which
/// for the last steps is in the panel of the next pass over K, and of the body
/// of weights where the stream goes on when the thread's range has ended.
void LinearKernel::prefetch(Value memref, const Panel &panel, Value step,
                            int64_t ahead, int64_t line, bool intoL1) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t steps = type.getDimSize(1);
  SmallVector<Value> indices(type.getRank(), constIndex(b, 0));
  indices[0] = panel.group;
  indices[1] = addIndex(b, step, ahead);
  // The next group follows in memory.
  if (groupStep > 1) {
    Value past = arith::CmpIOp::create(b, arith::CmpIPredicate::uge, indices[1],
                                       constIndex(b, steps));
    indices[0] = arith::SelectOp::create(
        b, past, addIndex(b, panel.group, groupStep), panel.group);
    indices[1] = arith::SelectOp::create(
        b, past, arith::SubIOp::create(b, indices[1], constIndex(b, steps)),
        indices[1]);
  }
  if (line != 0)
    indices[2] = constIndex(b, line);
  if (stream.groups && memref == panel.weight->body()) {
    Value left = arith::SubIOp::create(b, stream.groups, indices[0]);
    Value end = arith::MulIOp::create(b, left, constIndex(b, steps));
    Value past =
        arith::CmpIOp::create(b, arith::CmpIPredicate::sge, indices[1], end);
    indices.back() = arith::SelectOp::create(
        b, past, stream.jumps[panel.weight - weights.data()], indices.back());
  }
  prefetchLine(b, memref, indices, intoL1);
}

/// Prefetches line `line` of what will be read in place of step `step` of the
/// body of a panel's weights: from L2 into L1 shortly before its use, and into
/// L2 well before. A core has 16 requests on their way to L1 and 48 to L2, and
/// bandwidth is requests over latency: either distance alone reads a tenth
/// slower.
void LinearKernel::prefetchBody(Value memref, const Panel &panel, Value step,
                                int64_t stepBytes, int64_t line) {
  if (int64_t ahead = stepsAhead(shape.prefetchBytes, stepBytes))
    prefetch(memref, panel, step, ahead, line);
  if (int64_t ahead = stepsAhead(shape.streamBytes, stepBytes))
    prefetch(memref, panel, step, ahead, line, /*intoL1=*/false);
}

/// Prefetches scales and minima for `block`.
void LinearKernel::prefetchBlock(const Panel &panel, Value block) {
  int64_t codes = cast<MemRefType>(panel.weight->codes.getType()).getDimSize(2);
  int64_t ahead = stepsAhead(shape.prefetchBytes, codes * 4 * kLanes);
  if (ahead == 0)
    return;
  if (panel.weight->subscales) {
    prefetch(panel.weight->subscales, panel, block, ahead, 0);
    prefetch(panel.weight->scales, panel, superBlock(block),
             llvm::divideCeil(ahead, kSuperBlocks), 0);
    return;
  }
  prefetch(panel.weight->scales, panel, block, ahead, 0);
  if (panel.weight->mins)
    prefetch(panel.weight->mins, panel, block, ahead, 0);
}

Value LinearKernel::loadF16(Value memref, const Panel &panel, Value block) {
  return extendToF32(
      b, loadLanes(b, memref, {panel.group, block, constIndex(b, 0)}));
}

/// The scales of a block's parts.
SmallVector<Value> LinearKernel::loadScales(const Panel &panel, Value block) {
  const LinearWeight &w = *panel.weight;
  if (!w.subscales)
    return {loadF16(w.scales, panel, block)};
  Value factor = loadF16(w.scales, panel, superBlock(block));
  SmallVector<Value> scales;
  for (int64_t part = 0; part < numParts(); ++part) {
    Value bytes =
        loadLanes(b, w.subscales,
                  {panel.group, block, constIndex(b, part), constIndex(b, 0)});
    Value wide =
        arith::ExtSIOp::create(b, vectorOf(kLanes, b.getI32Type()), bytes);
    Value scale =
        arith::SIToFPOp::create(b, vectorOf(kLanes, b.getF32Type()), wide);
    scales.push_back(arith::MulFOp::create(b, scale, factor));
  }
  return scales;
}

/// Stored vector `vector` of a block's codes.
Value LinearKernel::loadCodes(const Panel &panel, Value block, int64_t vector) {
  Value codes = panel.weight->codes;
  int64_t vectors = cast<MemRefType>(codes.getType()).getDimSize(2);
  prefetchBody(codes, panel, block, vectors * 4 * kLanes, vector);
  Value zero = constIndex(b, 0);
  return loadLanes(b, codes, {panel.group, block, constIndex(b, vector), zero},
                   {}, 4 * kLanes);
}

/// What the dots of a block's part start from: the zero point's share.
Value LinearKernel::firstSum(const Panel &panel, Value token, Value block,
                             int64_t part) {
  if (panel.weight->mins)
    return splatInt(b, b.getI32Type(), 0);
  if (numParts() > 1)
    block = addIndex(
        b, arith::MulIOp::create(b, block, constIndex(b, numParts())), part);
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

/// A token's activations of words `index` and `index + 1` of the block that
/// begins at `word`, in 16 bits, for all rows.
std::array<LinearKernel::EvenOdd, 2>
LinearKernel::widenActs(Value token, Value word, int64_t index) {
  auto load = [&](int64_t at) -> Value {
    Value two =
        vector::LoadOp::create(b, vectorOf(2, b.getI32Type()), op.getActs()[0],
                               ValueRange{token, addIndex(b, word, at)});
    return arith::ExtSIOp::create(
        b, vectorOf(8, b.getI16Type()),
        vector::BitCastOp::create(b, vectorOf(8, b.getI8Type()), two));
  };
  Value columns = load(isWide ? BlockCodes::kWords + index : index);
  // Those are low bytes, with a sign; the high ones count 256.
  if (isWide)
    columns = arith::AddIOp::create(
        b, columns,
        arith::ShLIOp::create(b, load(index),
                              splatInt(b, b.getI16Type(), 8, 8)));
  auto forAllRows = [&](int64_t column) -> Value {
    SmallVector<int64_t> lanes;
    for (int64_t i = 0; i < kLanes; ++i)
      lanes.append({column, column + 2});
    return vector::ShuffleOp::create(b, columns, columns, lanes);
  };
  return {EvenOdd{forAllRows(0), forAllRows(1)},
          EvenOdd{forAllRows(4), forAllRows(5)}};
}

/// `acc` and the products of four columns of codes of 8 bits. Those of a block
/// stay below 32 * 255 * 32767 < 2^31.
Value LinearKernel::addProducts(Value acc, Value codes, const EvenOdd &acts) {
  Type i16 = b.getI16Type();
  Value all = vector::BitCastOp::create(b, vectorOf(2 * kLanes, i16), codes);
  Value even = arith::AndIOp::create(b, all, splatInt(b, i16, 255, 2 * kLanes));
  Value odd = arith::ShRUIOp::create(b, all, splatInt(b, i16, 8, 2 * kLanes));
  acc = Dot2I16Op::create(b, acc, even, acts[0]);
  return Dot2I16Op::create(b, acc, odd, acts[1]);
}

/// Adds the products of the block that begins at `word` to `dots`, which are by
/// token and then by panel; `codes` are those of a panel's word.
void LinearKernel::addBlockProducts(
    MutableArrayRef<Value> dots, ValueRange tokens, Value word,
    function_ref<Value(size_t, int64_t)> codes) {
  size_t panels = dots.size() / tokens.size();
  for (int64_t k = 0; k < BlockCodes::kWords; k += 2)
    for (auto [t, token] : llvm::enumerate(tokens))
      for (auto [i, acts] : llvm::enumerate(widenActs(token, word, k)))
        for (size_t p = 0; p < panels; ++p) {
          Value &dot = dots[t * panels + p];
          dot = addProducts(dot, codes(p, k + i), acts);
        }
}

/// Appends the next part of a block to `parts`: of one, its exact `dot`; of
/// several, f32 sums with their scales.
void LinearKernel::addPart(SmallVectorImpl<Value> &parts, Value dot,
                           ArrayRef<Value> scales) {
  Value value = dot;
  if (scales.size() > 1) {
    Value scale = scales[parts.size()];
    value = arith::SIToFPOp::create(b, vectorOf(kLanes, b.getF32Type()), dot);
    value = parts.empty()
                ? Value(arith::MulFOp::create(b, value, scale))
                : Value(math::FmaOp::create(b, value, scale, parts.back()));
  }
  parts.push_back(value);
}

/// `acc` and a block of which all parts were added, scaled.
Value LinearKernel::addBlock(ArrayRef<Value> parts, Value acc,
                             ArrayRef<Value> scales, Value min, Value token,
                             Value block) {
  auto activation = [&](int64_t part) {
    return broadcast(b, memref::LoadOp::create(b, op.getActs()[part],
                                               ValueRange{token, block}));
  };
  Value scaleA = activation(1);
  if (parts.size() > 1)
    return math::FmaOp::create(b, parts.back(), scaleA, acc);
  Value value = arith::SIToFPOp::create(b, vectorOf(kLanes, b.getF32Type()),
                                        parts.front());
  Value sum = math::FmaOp::create(
      b, value, arith::MulFOp::create(b, scales.front(), scaleA), acc);
  return min ? Value(math::FmaOp::create(b, min, activation(2), sum)) : sum;
}

SmallVector<Value> LinearKernel::accumulateQuantized(const Panel &panel,
                                                     ValueRange tokens) {
  int64_t blocks = llvm::divideCeil(weight.getK(), kQuantBlock);
  constexpr int64_t kWords = BlockCodes::kWords;

  auto body = [&](Value block, ValueRange carried) -> SmallVector<Value> {
    prefetchBlock(panel, block);
    SmallVector<Value> scales = loadScales(panel, block);
    Value min;
    if (panel.weight->mins)
      min = loadF16(panel.weight->mins, panel, block);

    Value word = arith::MulIOp::create(
        b, block, constIndex(b, isWide ? 2 * kWords : kWords));
    auto load = [&](int64_t v) { return loadCodes(panel, block, v); };
    BlockCodes codes(b, weight.getElement(), load);
    SmallVector<SmallVector<Value>> all(tokens.size()); // the parts of each
    for (int64_t part = 0; part < numParts(); ++part) {
      auto first = [&](Value token) {
        return firstSum(panel, token, block, part);
      };
      if (asWords) {
        SmallVector<Value> dots = llvm::map_to_vector(tokens, first);
        addBlockProducts(dots, tokens, word,
                         [&](size_t, int64_t k) { return codes.word(k); });
        for (auto [parts, dot] : llvm::zip_equal(all, dots))
          addPart(parts, dot, scales);
        continue;
      }
      auto highs = llvm::map_to_vector(tokens, [&](Value token) {
        return isWide ? splatInt(b, b.getI32Type(), 0) : first(token);
      });
      auto dot = [&](int64_t from, int64_t w, SmallVector<Value> &sums) {
        Value these = codes.word(w), index = addIndex(b, word, from + w);
        for (auto [token, acc] : llvm::zip_equal(tokens, sums))
          acc =
              Dot4Op::create(b, acc, these, loadWord(token, index), codeBits());
      };
      // High bytes count 256. Sums of their own for the low ones halve a chain
      // of dots; with more tokens there are chains enough, and low ones go on
      // top.
      bool isApart = isWide && tokens.size() <= 2;
      SmallVector<Value> lows;
      if (isApart)
        lows = llvm::map_to_vector(tokens, first);
      auto order = BlockCodes::order(weight.getElement(), part, numParts());
      for (int64_t w : order) {
        dot(0, w, highs);
        if (isApart)
          dot(kWords, w, lows);
      }
      auto addHighs = [&](Value high, Value low) -> Value {
        Value eight = splatInt(b, b.getI32Type(), 8);
        return arith::AddIOp::create(b, arith::ShLIOp::create(b, high, eight),
                                     low);
      };
      SmallVector<Value> dots = highs;
      for (auto [i, token] : llvm::enumerate(tokens))
        if (isWide)
          dots[i] = addHighs(highs[i], isApart ? lows[i] : first(token));
      if (isWide && !isApart)
        for (int64_t w : order)
          dot(kWords, w, dots);
      for (auto [parts, dot] : llvm::zip_equal(all, dots))
        addPart(parts, dot, scales);
    }
    SmallVector<Value> next;
    for (auto [token, acc, parts] : llvm::zip_equal(tokens, carried, all))
      next.push_back(addBlock(parts, acc, scales, min, token, block));
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
        emitEpilogue(b, op, token, group.lane, group.mask, outRows->count,
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
  constexpr int64_t kWords = BlockCodes::kWords;
  Value zero = constIndex(b, 0);
  SmallVector<BlockOperands> operands;
  for (const Panel &panel : panels) {
    prefetchBlock(panel, block);
    BlockOperands &these = operands.emplace_back();
    auto load = [&](int64_t v) { return loadCodes(panel, block, v); };
    BlockCodes codes(b, weight.getElement(), load);
    these.codes.resize(kWords);
    for (int64_t w : BlockCodes::order(weight.getElement(), 0, 1))
      these.codes[w] = codes.word(w);
    these.scales = loadScales(panel, block);
    if (panel.weight->mins)
      these.min = loadF16(panel.weight->mins, panel, block);
  }
  Value word = arith::MulIOp::create(
      b, block, constIndex(b, isWide ? 2 * kWords : kWords));
  auto step = [&](Value first, int64_t tokens) {
    int64_t parts = numParts(), partWords = kWords / parts;
    bool isInTwo = isWide && !asWords; // high bytes, then low ones
    SmallVector<Value> rows;
    for (int64_t t = 0; t < tokens; ++t) {
      Value i = addIndex(b, first, t);
      rows.push_back(arith::AddIOp::create(b, from, i));
      prefetchActs(rows.back(), tokens, word);
    }
    // By token and panel, the parts of each.
    SmallVector<SmallVector<Value>> all(tokens * panels.size());
    for (int64_t part = 0; part < parts; ++part) {
      SmallVector<Value> dots; // by token, then by panel
      for (Value row : rows)
        for (const Panel &panel : panels)
          dots.push_back(isInTwo ? splatInt(b, b.getI32Type(), 0)
                                 : firstSum(panel, row, block, part));
      auto dotPart = [&](int64_t at) {
        for (int64_t k = part * partWords; k < (part + 1) * partWords; ++k)
          for (int64_t t = 0; t < tokens; ++t) {
            Value acts = loadWord(rows[t], addIndex(b, word, at + k));
            for (size_t p = 0; p < panels.size(); ++p) {
              Value &dot = dots[t * panels.size() + p];
              dot = Dot4Op::create(b, dot, operands[p].codes[k], acts,
                                   codeBits());
            }
          }
      };
      if (asWords)
        addBlockProducts(dots, rows, word, [&](size_t p, int64_t k) {
          return operands[p].codes[k];
        });
      else
        dotPart(0);
      if (isInTwo) {
        for (int64_t t = 0; t < tokens; ++t)
          for (size_t p = 0; p < panels.size(); ++p) {
            Value &dot = dots[t * panels.size() + p];
            dot = arith::AddIOp::create(
                b,
                arith::ShLIOp::create(b, dot, splatInt(b, b.getI32Type(), 8)),
                firstSum(panels[p], rows[t], block, part));
          }
        dotPart(kWords);
      }
      for (auto [p, dot] : llvm::enumerate(dots))
        addPart(all[p], dot, operands[p % panels.size()].scales);
    }
    for (int64_t t = 0; t < tokens; ++t)
      for (size_t p = 0; p < panels.size(); ++p)
        addToSums(all[t * panels.size() + p], operands[p],
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

/// Adds a block's parts to the sum at `place` of the tokens'
/// buffer.
void LinearKernel::addToSums(ArrayRef<Value> parts,
                             const BlockOperands &operands, Value place,
                             int64_t panel, Value token, Value block) {
  SmallVector<Value> indices = {place, constIndex(b, panel), constIndex(b, 0)};
  Value sum = addBlock(parts, loadLanes(b, shape.sums, indices),
                       operands.scales, operands.min, token, block);
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
  // Parts of a block are panels whose other codes are 0.
  int64_t parts = numParts(), partWords = kWords / parts;
  Value codes =
      allocate({numPanels * parts, kWords, 4 * kLanes}, b.getI8Type());
  for (int64_t p = 0; p < numPanels * parts; ++p)
    for (int64_t k = 0; k < kWords; ++k)
      storeLanes(b,
                 k / partWords == p % parts
                     ? operands[p / parts].codes[k]
                     : splatInt(b, b.getI8Type(), 0, 4 * kLanes),
                 codes, {constIndex(b, p), constIndex(b, k), zero});
  SmallVector<Value> dots; // of wide codes, the high bytes' and the low ones'
  for (int64_t half = 0; half < (isWide ? 2 : 1); ++half)
    dots.push_back(
        allocate({numPanels * parts, kTokens, kLanes}, b.getI32Type()));

  Value word =
      arith::MulIOp::create(b, block, constIndex(b, kWords * dots.size()));
  buildLoop(b, zero, count, kTokens, {}, [&](Value first, ValueRange) {
    Value row = arith::AddIOp::create(b, from, first);
    for (auto [half, out] : llvm::enumerate(dots))
      DotTileOp::create(b, op.getActs()[0], row,
                        addIndex(b, word, half * kWords), codes, out);
    return buildLoop(b, zero, tokens, 1, {}, [&](Value t, ValueRange) {
      Value place = arith::AddIOp::create(b, first, t);
      Value token = arith::AddIOp::create(b, row, t);
      prefetchActs(token, kTokens, word);
      for (int64_t p = 0; p < numPanels; ++p) {
        SmallVector<Value> sums;
        for (int64_t part = 0; part < parts; ++part) {
          SmallVector<Value> indices = {constIndex(b, p * parts + part), t,
                                        zero};
          Value dot = loadLanes(b, dots[0], indices);
          if (isWide)
            dot = arith::AddIOp::create(
                b,
                arith::ShLIOp::create(b, dot, splatInt(b, b.getI32Type(), 8)),
                loadLanes(b, dots[1], indices));
          dot = arith::AddIOp::create(b, dot,
                                      firstSum(panels[p], token, block, part));
          addPart(sums, dot, operands[p].scales);
        }
        addToSums(sums, operands[p], place, p, token, block);
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
    if (ahead)
      prefetchBody(memref, panel, step, stepBytes, 0);
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

} // namespace cria
