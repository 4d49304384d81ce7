// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a warp does with a step's positions, and how they come to shared memory.

#include "compiler/gpu/TeamAttentionKernel.h"

using namespace mlir;
using namespace cria;
using namespace cria::tiles;

TeamAttentionKernel::Values
TeamAttentionKernel::when(Value condition, TypeRange types,
                          function_ref<Values()> yes,
                          function_ref<Values()> no) {
  auto branch = scf::IfOp::create(b, types, condition, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  // An op without results has its yields already.
  b.setInsertionPointToStart(branch.thenBlock());
  if (Values results = yes(); !types.empty())
    scf::YieldOp::create(b, results);
  b.setInsertionPointToStart(branch.elseBlock());
  if (Values results = no(); !types.empty())
    scf::YieldOp::create(b, results);
  return Values(branch.getResults());
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// The thread's words of operand A: 4 for each 16 columns; null for the last
/// ones, if those are kept in shared memory.
TeamAttentionKernel::Values TeamAttentionKernel::loadQueries(Value kvHead) {
  Fresh fresh(*this);
  Values result(headDim / kDepth * 4);
  for (int64_t i : {0, 1}) {
    Row row = rowOf(i);
    Value head = add(mul(kvHead, ratio), row.head);
    Value column = add(mul(head, headDim), mul(team->quadLane, 2));
    for (int64_t k = 0; k < headDim / kDepth; ++k)
      for (int64_t half : {0, 1}) {
        SmallVector<Value> two = team->loadWords(
            q, {row.token, add(column, k * kDepth + half * kColumns)}, 2);
        Value low = fmul(bitcast(f32Type, two[0]), number(scale));
        Value high = fmul(bitcast(f32Type, two[1]), number(scale));
        result[k * 4 + half * 2 + i] = team->pack(isBf16, low, high);
      }
  }
  for (int64_t word = headDim / 4 - kept; word < headDim / 4; ++word) {
    team->put(keptPlace(word), bitcast(f32Type, result[word]));
    result[word] = nullptr;
  }
  return result;
}

/// Where `piece` of 16 bytes, of a `row` of `pieces`, lies in shared memory:
/// the lowest bits are other ones in rows whose pieces would be in the same
/// banks (8 pieces are all), so that 8 rows in a line are read at once, and
/// written. A row's pieces change places among themselves.
Value TeamAttentionKernel::swizzled(Value piece, Value row, int64_t pieces) {
  int64_t bits = swizzledBits(pieces);
  if (!bits)
    return piece;
  Value flip = row;
  if (bits < 3)
    flip = arith::ShRUIOp::create(b, flip, i32(3 - bits));
  flip = arith::AndIOp::create(b, flip, i32((1 << bits) - 1));
  return arith::XOrIOp::create(b, piece, flip);
}

/// Where a thread's rows of matrices are in shared memory, from `piece` of the
/// first 16 rows on. Both K (a block of 16 positions has a row of 16 for each
/// column) and V (a row a position) have rows along what is summed over, 16 of
/// a product: a thread's row is that of its lane, and the upper half of the
/// warp has the next 8 columns.
Value TeamAttentionKernel::readPlace(Value stage, Value piece, int64_t pieces) {
  Value lane = word(team->lane), upper = word(rem(team->group, 2));
  Value at = add(mul(lane, pieces), swizzled(add(piece, upper), lane, pieces));
  return add(stage, mul(at, kPieceWords));
}

/// The address of a cache's first page of the layer and head.
Value TeamAttentionKernel::pageBase(Value cache, Value kvHead) {
  auto layout = memref::ExtractStridedMetadataOp::create(b, cache);
  Value start = memref::ExtractAlignedPointerAsIndexOp::create(b, cache);
  Value elements = layout.getOffset();
  auto further = [&](Value index, int64_t dim) {
    elements = add(elements,
                   arith::MulIOp::create(b, index, layout.getStrides()[dim]));
  };
  further(layer, 0);
  further(kvHead, 2);
  return add(start, mul(elements, 2));
}

/// Begins to copy a step's K or V.
void TeamAttentionKernel::copyUnit(Value cache, Value base, Value stepIndex,
                                   Value physical, Value stage,
                                   int64_t pieces) {
  Fresh fresh(*this);
  auto layout = memref::ExtractStridedMetadataOp::create(b, cache);
  Value elements =
      arith::MulIOp::create(b, team->index(physical), layout.getStrides()[1]);
  if (step < kPage)
    elements =
        add(elements,
            team->index(mul(rem(stepIndex, kPage / step), step * headDim)));
  Value from = add(base, mul(elements, 2));
  int64_t all = step * headDim / kPiece;
  for (int64_t begin = 0; begin < all; begin += kGpuBlockThreads) {
    Value index = add(team->thread, begin);
    auto copy = [&] {
      Value piece = word(index);
      Value row = arith::DivUIOp::create(b, piece, i32(pieces));
      Value to = mul(swizzled(piece, row, pieces), kPieceWords);
      team->copy(arith::AddIOp::create(b, stage, to),
                 add(from, mul(index, kPiece * 2)));
    };
    if (begin + kGpuBlockThreads <= all)
      copy();
    else
      when(cmp(arith::CmpIPredicate::slt, index, idx(all)), copy);
  }
}

//===----------------------------------------------------------------------===//
// A step
//===----------------------------------------------------------------------===//

TeamAttentionKernel::State
TeamAttentionKernel::emitStep(Value start, Value stage, ArrayRef<Value> queries,
                              Value kvHead, ValueRange state) {
  Values scores = adjustScores(emitScores(stage, queries), start, kvHead);
  Value isEdge =
      cmp(arith::CmpIPredicate::sgt, add(start, step - 1), firstPosition);
  if (window)
    isEdge = arith::OrIOp::create(
        b, isEdge, cmp(arith::CmpIPredicate::slt, start, lowest(lastPosition)));
  SmallVector<Type> types(scores.size(), f32Type);
  scores = when(
      isEdge, types, [&] { return maskScores(scores, start); },
      [&] { return scores; });
  Values softmax = emitSoftmax(scores, state);
  ArrayRef factors = ArrayRef(softmax).slice(4, 2);
  // Mostly the maximum stays what it was.
  Value isScaled;
  for (Value factor : factors) {
    Value other = arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, factor,
                                        number(1.0));
    isScaled =
        isScaled ? Value(arith::OrIOp::create(b, isScaled, other)) : other;
  }
  ValueRange output = state.drop_front(4);
  types.assign(output.size(), f32Type);
  Values scaled = when(
      isScaled, types,
      [&] {
        Values result;
        for (auto [i, o] : llvm::enumerate(output))
          result.push_back(fmul(o, factors[i % 4 / 2]));
        return result;
      },
      [&] { return Values(output); });
  ArrayRef<Value> all = softmax;
  State result(all.take_front(4));
  llvm::append_range(
      result, addValues(add(stage, unitWords()), all.drop_front(6), scaled));
  return result;
}

/// Accumulators of 16 rows and the step's positions, 8 at a time.
TeamAttentionKernel::Values
TeamAttentionKernel::emitScores(Value stage, ArrayRef<Value> queries) {
  auto product =
      isBf16 ? TeamBuilder::Product::bf16 : TeamBuilder::Product::f16;
  Fresh fresh(*this);
  Value place = readPlace(stage, i32(0), 2);
  Values scores(step / kColumns * 4, number(0.0));
  for (int64_t k = 0; k < headDim / kDepth; ++k) {
    Values a(queries.slice(k * 4, 4));
    for (auto [i, query] : llvm::enumerate(a))
      if (!query)
        query = bitcast(i32Type, team->get(keptPlace(k * 4 + i)));
    for (int64_t block = 0; block < step / kLanes; ++block) {
      int64_t row = block * headDim + k * kDepth;
      SmallVector<Value> two =
          team->loadMatrices(place, row * 2 * kPieceWords, /*transposed=*/true);
      for (int64_t half : {0, 1}) {
        MutableArrayRef<Value> four =
            MutableArrayRef(scores).slice((block * 2 + half) * 4, 4);
        llvm::copy(
            team->mma(product, a, ArrayRef(two).slice(half * 2, 2), four),
            four.begin());
      }
    }
  }
  return scores;
}

/// What scores are besides products.
TeamAttentionKernel::Values TeamAttentionKernel::adjustScores(ValueRange scores,
                                                              Value start,
                                                              Value kvHead) {
  if (!softcap && !slopes && !bias)
    return Values(scores);
  Fresh fresh(*this);
  Row rows[] = {rowOf(0), rowOf(1)};
  Values result;
  Value column = arith::AddIOp::create(b, start, mul(word(team->quadLane), 2));
  for (auto [i, score] : llvm::enumerate(scores)) {
    const Row &row = rows[i % 4 / 2];
    Value s = capped(score, softcap);
    Value head = add(mul(kvHead, ratio), row.head);
    Value past;
    if (slopes || bias)
      past = arith::SubIOp::create(b, add(column, i / 4 * kColumns + i % 2),
                                   row.position);
    if (slopes)
      s = fma(load(slopes, head), arith::SIToFPOp::create(b, f32Type, past), s);
    if (bias) {
      // See AttentionBuilder::addByDistance.
      int64_t size = cast<MemRefType>(bias.getType()).getDimSize(1);
      Value at = add(past, size - kLanes - 1);
      at = arith::MaxSIOp::create(b, at, i32(0));
      at = arith::MinSIOp::create(b, at, i32(size - 1));
      s = fadd(s, load(bias, {head, team->index(at)}));
    }
    result.push_back(s);
  }
  return result;
}

TeamAttentionKernel::Values TeamAttentionKernel::maskScores(ValueRange scores,
                                                            Value start) {
  Fresh fresh(*this);
  Row rows[] = {rowOf(0), rowOf(1)};
  Values result;
  Value column = arith::AddIOp::create(b, start, mul(word(team->quadLane), 2));
  for (auto [i, score] : llvm::enumerate(scores)) {
    const Row &row = rows[i % 4 / 2];
    Value at = add(column, i / 4 * kColumns + i % 2);
    Value seen = cmp(arith::CmpIPredicate::sle, at, row.position);
    if (window)
      seen = both(seen, cmp(arith::CmpIPredicate::sge, at, row.lowest));
    result.push_back(select(seen, score, number(-kInfinity)));
  }
  return result;
}

/// Maxima, sums and factors of the two rows, and p as operand A of the values.
TeamAttentionKernel::Values TeamAttentionKernel::emitSoftmax(ValueRange scores,
                                                             ValueRange state) {
  Fresh fresh(*this);
  Value maxima[2], sums[2], factors[2], bases[2];
  for (int64_t row : {0, 1}) {
    Value most;
    for (auto [i, score] : llvm::enumerate(scores))
      if (static_cast<int64_t>(i % 4 / 2) == row)
        most = most ? max(most, score) : Value(score);
    for (int64_t bits : {1, 2})
      most = max(most, fromLane(most, bits));
    maxima[row] = max(state[row], most);
    // Of a row that has seen nothing yet, exp(-inf - 0) = 0.
    Value isNone = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ,
                                         maxima[row], number(-kInfinity));
    bases[row] = select(isNone, number(0.0), maxima[row]);
    factors[row] = expNonPositive(fsub(state[row], bases[row]));
    sums[row] = fmul(state[2 + row], factors[row]);
  }
  Values weights;
  for (size_t i = 0; i < scores.size(); i += 2) {
    int64_t row = i % 4 / 2;
    Value low = expNonPositive(fsub(scores[i], bases[row]));
    Value high = expNonPositive(fsub(scores[i + 1], bases[row]));
    sums[row] = fadd(fadd(sums[row], low), high);
    weights.push_back(team->pack(isBf16, low, high));
  }
  Values result{maxima[0], maxima[1], sums[0], sums[1], factors[0], factors[1]};
  llvm::append_range(result, weights);
  return result;
}

/// Two tiles of 8 scores are the 16 columns of operand A.
TeamAttentionKernel::State TeamAttentionKernel::addValues(Value stage,
                                                          ValueRange weights,
                                                          ValueRange output) {
  auto product =
      isBf16 ? TeamBuilder::Product::bf16 : TeamBuilder::Product::f16;
  Fresh fresh(*this);
  int64_t pieces = headDim / kPiece;
  Value firstPiece = mul(part(), pieces / split.parts);
  Values places; // of pairs of pieces
  for (int64_t pair = 0; pair < std::min(columnTiles / 2, valueWays()); ++pair)
    places.push_back(readPlace(stage, add(firstPiece, 2 * pair), pieces));
  State sums(output);
  for (int64_t k = 0; k < step / kDepth; ++k)
    for (int64_t pair = 0; pair < columnTiles / 2; ++pair) {
      int64_t way = pair % valueWays(), row = k * kDepth;
      SmallVector<Value> two = team->loadMatrices(
          places[way], row * headDim / 2 + (pair - way) * 2 * kPieceWords,
          /*transposed=*/true);
      for (int64_t half : {0, 1}) {
        MutableArrayRef<Value> four =
            MutableArrayRef(sums).slice((pair * 2 + half) * 4, 4);
        llvm::copy(team->mma(product, weights.slice(k * 4, 4),
                             ArrayRef(two).slice(half * 2, 2), four),
                   four.begin());
      }
    }
  return sums;
}

/// A chunk into those before, as cria.attention_merge does.
TeamAttentionKernel::State TeamAttentionKernel::merge(ValueRange running,
                                                      ValueRange chunk) {
  Fresh fresh(*this);
  Value maxima[2], oldFactors[2], newFactors[2];
  State result(running);
  for (int64_t row : {0, 1}) {
    maxima[row] = fmax(running[row], chunk[row]);
    // Neither may have seen anything.
    Value isNone = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ,
                                         maxima[row], number(-kInfinity));
    Value base = select(isNone, number(0.0), maxima[row]);
    oldFactors[row] = expNonPositive(fsub(running[row], base));
    newFactors[row] = expNonPositive(fsub(chunk[row], base));
    result[row] = maxima[row];
    result[2 + row] = merged(running[2 + row], oldFactors[row],
                             quadSum(chunk[2 + row]), newFactors[row]);
  }
  for (size_t i = 4; i < result.size(); ++i)
    result[i] = merged(running[i], oldFactors[i % 4 / 2], chunk[i],
                       newFactors[i % 4 / 2]);
  return result;
}
