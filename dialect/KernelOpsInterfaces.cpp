// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// TilingInterface and memory effects of the kernel ops. Two loop shapes
// exist: tokens alone (rope_table, embed_rows, rows), and tokens x something
// (fused_linear: output rows, fused_attention: kv heads, attention_merge
// and head_rows: heads); attention_partials is split over the chunks as well.

#include "dialect/CriaOps.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace cria;

namespace {

/// One dimension of a slice; an absent entry keeps the whole dimension.
using SliceDims =
    SmallVector<std::pair<int64_t, std::pair<OpFoldResult, OpFoldResult>>>;

OpFoldResult dimOf(OpBuilder &b, Location loc, Value v, int64_t dim) {
  auto type = cast<RankedTensorType>(v.getType());
  if (!type.isDynamicDim(dim))
    return b.getIndexAttr(type.getDimSize(dim));
  return b.createOrFold<tensor::DimOp>(loc, v, dim);
}

/// Offsets and sizes of `v` with some dimensions narrowed.
void sliceBounds(OpBuilder &b, Location loc, Value v, const SliceDims &dims,
                 SmallVectorImpl<OpFoldResult> &offsets,
                 SmallVectorImpl<OpFoldResult> &sizes) {
  auto type = cast<RankedTensorType>(v.getType());
  for (int64_t d = 0; d < type.getRank(); ++d) {
    offsets.push_back(b.getIndexAttr(0));
    sizes.push_back(dimOf(b, loc, v, d));
  }
  for (const auto &[d, range] : dims) {
    offsets[d] = range.first;
    sizes[d] = range.second;
  }
}

/// Slices `v`, or returns it where the slice is all of it.
Value slice(OpBuilder &b, Location loc, Value v, const SliceDims &dims,
            SmallVectorImpl<Operation *> &slices) {
  SmallVector<OpFoldResult> offsets, sizes;
  sliceBounds(b, loc, v, dims, offsets, sizes);
  auto type = cast<RankedTensorType>(v.getType());
  bool whole =
      llvm::all_of(llvm::seq<int64_t>(0, type.getRank()), [&](int64_t d) {
        return isZeroInteger(offsets[d]) &&
               isEqualConstantIntOrValue(sizes[d], dimOf(b, loc, v, d));
      });
  if (whole)
    return v;
  SmallVector<OpFoldResult> strides(type.getRank(), b.getIndexAttr(1));
  auto op = tensor::ExtractSliceOp::create(b, loc, v, offsets, sizes, strides);
  slices.push_back(op);
  return op;
}

SliceDims rowsOf(OpFoldResult offset, OpFoldResult size) {
  return {{0, {offset, size}}};
}

/// Clones `op` on tiled operands; results take the types of the tiled inits.
Operation *cloneTiled(OpBuilder &b, Operation *op, ArrayRef<Value> operands) {
  SmallVector<Type> types;
  auto dps = cast<DestinationStyleOpInterface>(op);
  for (OpOperand &init : dps.getDpsInitsMutable())
    types.push_back(operands[init.getOperandNumber()].getType());
  return mlir::clone(b, op, types, operands);
}

FailureOr<TilingResult> tiledBy(OpBuilder &b, Operation *op,
                                ArrayRef<Value> operands,
                                ArrayRef<Operation *> slices) {
  Operation *tiled = cloneTiled(b, op, operands);
  return TilingResult{{tiled},
                      SmallVector<Value>(tiled->getResults()),
                      SmallVector<Operation *>(slices)};
}

SmallVector<Range> domain(OpBuilder &b, ArrayRef<OpFoldResult> extents) {
  SmallVector<Range> ranges;
  for (OpFoldResult extent : extents)
    ranges.push_back({b.getIndexAttr(0), extent, b.getIndexAttr(1)});
  return ranges;
}

constexpr auto kParallel = utils::IteratorType::parallel;

/// What memref operands a kernel reads and writes.
void kernelEffects(
    Operation *op,
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  auto dps = cast<DestinationStyleOpInterface>(op);
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    bool init = dps.isDpsInit(&operand);
    if (!init || op->hasAttr("accumulate"))
      effects.emplace_back(MemoryEffects::Read::get(), &operand,
                           SideEffects::DefaultResource::get());
    if (init)
      effects.emplace_back(MemoryEffects::Write::get(), &operand,
                           SideEffects::DefaultResource::get());
  }
}

/// Offset and size in the (kv_head, head_dim) dimensions of a cache of the
/// columns [offset, offset + size) of a kv_heads x head_dim row. size is a
/// multiple or a divisor of head_dim.
struct HeadRange {
  OpFoldResult head, heads, dim, dims;
};
HeadRange headRange(OpBuilder &b, Location loc, int64_t headDim,
                    OpFoldResult offset, OpFoldResult size) {
  AffineExpr x = b.getAffineDimExpr(0);
  std::optional<int64_t> constant = getConstantIntValue(size);
  if (constant && *constant < headDim)
    return {
        affine::makeComposedFoldedAffineApply(b, loc, x.floorDiv(headDim),
                                              {offset}),
        b.getIndexAttr(1),
        affine::makeComposedFoldedAffineApply(b, loc, x % headDim, {offset}),
        size};
  return {affine::makeComposedFoldedAffineApply(b, loc, x.floorDiv(headDim),
                                                {offset}),
          affine::makeComposedFoldedAffineApply(b, loc, x.floorDiv(headDim),
                                                {size}),
          b.getIndexAttr(0), b.getIndexAttr(headDim)};
}

SliceDims cacheDims(const HeadRange &range) {
  // [layer][page][kv_head][block][head_dim][16] or [..][kv_head][64][head_dim].
  return {{2, {range.head, range.heads}}, {4, {range.dim, range.dims}}};
}

} // namespace

//===----------------------------------------------------------------------===//
// rope_table, embed_rows: tokens
//===----------------------------------------------------------------------===//

#define CRIA_TOKEN_LOOP(OP, TOKENS)                                            \
  SmallVector<utils::IteratorType> OP::getLoopIteratorTypes() {                \
    return {kParallel};                                                        \
  }                                                                            \
  SmallVector<Range> OP::getIterationDomain(OpBuilder &b) {                    \
    return domain(b, {dimOf(b, getLoc(), TOKENS(), 0)});                       \
  }                                                                            \
  void OP::getEffects(                                                         \
      SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>      \
          &effects) {                                                          \
    kernelEffects(*this, effects);                                             \
  }

CRIA_TOKEN_LOOP(RopeTableOp, getPositions)
CRIA_TOKEN_LOOP(EmbedRowsOp, getTokens)
CRIA_TOKEN_LOOP(RowsOp, getX)
#undef CRIA_TOKEN_LOOP

FailureOr<TilingResult>
RopeTableOp::getTiledImplementation(OpBuilder &b,
                                    ArrayRef<OpFoldResult> offsets,
                                    ArrayRef<OpFoldResult> sizes) {
  SmallVector<Operation *> slices;
  SliceDims rows = rowsOf(offsets[0], sizes[0]);
  Value positions = slice(b, getLoc(), getPositions(), rows, slices);
  Value init = slice(b, getLoc(), getInit(), rows, slices);
  return tiledBy(b, *this, {positions, init}, slices);
}

LogicalResult RopeTableOp::getResultTilePosition(
    OpBuilder &b, unsigned, ArrayRef<OpFoldResult> offsets,
    ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,
    SmallVector<OpFoldResult> &resultSizes) {
  sliceBounds(b, getLoc(), getInit(), rowsOf(offsets[0], sizes[0]),
              resultOffsets, resultSizes);
  return success();
}

FailureOr<TilingResult>
EmbedRowsOp::getTiledImplementation(OpBuilder &b,
                                    ArrayRef<OpFoldResult> offsets,
                                    ArrayRef<OpFoldResult> sizes) {
  SmallVector<Operation *> slices;
  SliceDims rows = rowsOf(offsets[0], sizes[0]);
  Value tokens = slice(b, getLoc(), getTokens(), rows, slices);
  Value init = slice(b, getLoc(), getInit(), rows, slices);
  return tiledBy(b, *this, {tokens, getWeight(), init}, slices);
}

LogicalResult EmbedRowsOp::getResultTilePosition(
    OpBuilder &b, unsigned, ArrayRef<OpFoldResult> offsets,
    ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,
    SmallVector<OpFoldResult> &resultSizes) {
  sliceBounds(b, getLoc(), getInit(), rowsOf(offsets[0], sizes[0]),
              resultOffsets, resultSizes);
  return success();
}

//===----------------------------------------------------------------------===//
// rows: tokens
//===----------------------------------------------------------------------===//

FailureOr<TilingResult>
RowsOp::getTiledImplementation(OpBuilder &b, ArrayRef<OpFoldResult> offsets,
                               ArrayRef<OpFoldResult> sizes) {
  SmallVector<Operation *> slices;
  SliceDims rows = rowsOf(offsets[0], sizes[0]);
  SmallVector<Value> operands{slice(b, getLoc(), getX(), rows, slices)};
  llvm::append_range(operands, getParams());
  for (Value init : getInits())
    operands.push_back(slice(b, getLoc(), init, rows, slices));
  return tiledBy(b, *this, operands, slices);
}

LogicalResult RowsOp::getResultTilePosition(
    OpBuilder &b, unsigned result, ArrayRef<OpFoldResult> offsets,
    ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,
    SmallVector<OpFoldResult> &resultSizes) {
  sliceBounds(b, getLoc(), getInits()[result], rowsOf(offsets[0], sizes[0]),
              resultOffsets, resultSizes);
  return success();
}

//===----------------------------------------------------------------------===//
// fused_linear: tokens x output rows
//===----------------------------------------------------------------------===//

SmallVector<utils::IteratorType> FusedLinearOp::getLoopIteratorTypes() {
  return {kParallel, kParallel};
}

SmallVector<Range> FusedLinearOp::getIterationDomain(OpBuilder &b) {
  OpFoldResult n = ShapedType::isDynamic(getN())
                       ? dimOf(b, getLoc(), getInit(), 1)
                       : OpFoldResult(b.getIndexAttr(getN()));
  return domain(b, {dimOf(b, getLoc(), getActs()[0], 0), n});
}

FailureOr<TilingResult>
FusedLinearOp::getTiledImplementation(OpBuilder &b,
                                      ArrayRef<OpFoldResult> offsets,
                                      ArrayRef<OpFoldResult> sizes) {
  Location loc = getLoc();
  SmallVector<Operation *> slices;
  SliceDims rows = rowsOf(offsets[0], sizes[0]);
  std::pair<OpFoldResult, OpFoldResult> columns = {offsets[1], sizes[1]};

  SmallVector<Value> operands;
  for (Value act : getActs())
    operands.push_back(slice(b, loc, act, rows, slices));
  int64_t tile = getConstantIntValue(sizes[1]).value_or(ShapedType::kDynamic);
  for (Value weight : getWeights()) {
    auto type = cast<WeightType>(weight.getType());
    if (tile == type.getN()) {
      operands.push_back(weight);
      continue;
    }
    operands.push_back(WeightSliceOp::create(
        b, loc, type.withN(tile), weight,
        getValueOrCreateConstantIndexOp(b, loc, offsets[1])));
  }
  for (auto [i, extra] : llvm::enumerate(getExtras())) {
    switch (getExtraKind(i)) {
    case ExtraKind::elementwise:
      operands.push_back(slice(
          b, loc, extra, {{0, {offsets[0], sizes[0]}}, {1, columns}}, slices));
      break;
    case ExtraKind::bias:
      operands.push_back(slice(b, loc, extra, {{0, columns}}, slices));
      break;
    case ExtraKind::rope: {
      // A tile inside one head needs that head's part of the table only.
      int64_t headDim = cast<RankedTensorType>(extra.getType()).getDimSize(2);
      HeadRange range = headRange(b, loc, headDim, offsets[1], sizes[1]);
      operands.push_back(slice(
          b, loc, extra,
          {{0, {offsets[0], sizes[0]}}, {2, {range.dim, range.dims}}}, slices));
      break;
    }
    }
  }
  if (getLayer())
    operands.push_back(getLayer());
  if (getSlots())
    operands.push_back(slice(b, loc, getSlots(), rows, slices));
  SmallVector<OpFoldResult> initOffsets, initSizes;
  if (failed(
          getResultTilePosition(b, 0, offsets, sizes, initOffsets, initSizes)))
    return failure();
  SliceDims initDims;
  for (auto [d, range] :
       llvm::enumerate(llvm::zip_equal(initOffsets, initSizes)))
    initDims.push_back(
        {static_cast<int64_t>(d), {std::get<0>(range), std::get<1>(range)}});
  operands.push_back(slice(b, loc, getInit(), initDims, slices));
  return tiledBy(b, *this, operands, slices);
}

LogicalResult FusedLinearOp::getResultTilePosition(
    OpBuilder &b, unsigned, ArrayRef<OpFoldResult> offsets,
    ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,
    SmallVector<OpFoldResult> &resultSizes) {
  Location loc = getLoc();
  if (getOut() == OutKind::rows) {
    sliceBounds(b, loc, getInit(),
                {{0, {offsets[0], sizes[0]}}, {1, {offsets[1], sizes[1]}}},
                resultOffsets, resultSizes);
    return success();
  }
  // Tokens scatter to slots: a tile owns its heads in every page.
  int64_t headDim = cast<RankedTensorType>(getInit().getType()).getDimSize(4);
  sliceBounds(b, loc, getInit(),
              cacheDims(headRange(b, loc, headDim, offsets[1], sizes[1])),
              resultOffsets, resultSizes);
  return success();
}

void FusedLinearOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  kernelEffects(*this, effects);
}

//===----------------------------------------------------------------------===//
// fused_attention: tokens x kv heads
//===----------------------------------------------------------------------===//

SmallVector<utils::IteratorType> FusedAttentionOp::getLoopIteratorTypes() {
  return {kParallel, kParallel};
}

SmallVector<Range> FusedAttentionOp::getIterationDomain(OpBuilder &b) {
  return domain(b,
                {dimOf(b, getLoc(), getQ(), 0), b.getIndexAttr(getKvHeads())});
}

/// Where the `perHead` elements of each of some heads lie in a dimension.
static std::pair<OpFoldResult, OpFoldResult>
headElements(OpBuilder &b, Location loc, int64_t perHead, OpFoldResult offset,
             OpFoldResult size) {
  AffineExpr scaled = b.getAffineDimExpr(0) * perHead;
  return {affine::makeComposedFoldedAffineApply(b, loc, scaled, {offset}),
          affine::makeComposedFoldedAffineApply(b, loc, scaled, {size})};
}

/// Columns of q that belong to kv heads [offset, offset + size).
template <typename OpTy>
static std::pair<OpFoldResult, OpFoldResult>
queryColumns(OpBuilder &b, OpTy op, OpFoldResult offset, OpFoldResult size) {
  int64_t columns = op.getHeads() / op.getKvHeads() * op.getHeadDim();
  return headElements(b, op.getLoc(), columns, offset, size);
}

/// q, keys, values, positions, sequences and tables of some tokens and heads.
template <typename OpTy>
static SmallVector<Value>
attentionOperands(OpBuilder &b, OpTy op, ArrayRef<OpFoldResult> offsets,
                  ArrayRef<OpFoldResult> sizes,
                  SmallVectorImpl<Operation *> &slices) {
  Location loc = op.getLoc();
  SliceDims rows = rowsOf(offsets[0], sizes[0]);
  std::pair<OpFoldResult, OpFoldResult> heads = {offsets[1], sizes[1]};
  SliceDims queries = {{0, {offsets[0], sizes[0]}},
                       {1, queryColumns(b, op, offsets[1], sizes[1])}};
  return {slice(b, loc, op.getQ(), queries, slices),
          slice(b, loc, op.getKeys(), {{2, heads}}, slices),
          slice(b, loc, op.getValues(), {{2, heads}}, slices),
          slice(b, loc, op.getPositions(), rows, slices),
          slice(b, loc, op.getSequences(), rows, slices),
          op.getTables()};
}

/// Appends the slopes and the bias of some heads.
template <typename OpTy>
static void biasOperands(OpBuilder &b, OpTy op, OpFoldResult offset,
                         OpFoldResult size, SmallVectorImpl<Value> &operands,
                         SmallVectorImpl<Operation *> &slices) {
  int64_t group = op.getHeads() / op.getKvHeads();
  for (Value perHead : {op.getSlopes(), op.getBias()})
    if (perHead)
      operands.push_back(slice(
          b, op.getLoc(), perHead,
          {{0, headElements(b, op.getLoc(), group, offset, size)}}, slices));
}

FailureOr<TilingResult>
FusedAttentionOp::getTiledImplementation(OpBuilder &b,
                                         ArrayRef<OpFoldResult> offsets,
                                         ArrayRef<OpFoldResult> sizes) {
  Location loc = getLoc();
  std::optional<int64_t> kvHeads = getConstantIntValue(sizes[1]);
  if (!kvHeads)
    return emitOpError("tiles of kv heads must have a static size");
  SmallVector<Operation *> slices;
  SmallVector<Value> operands =
      attentionOperands(b, *this, offsets, sizes, slices);
  int64_t group = getHeads() / getKvHeads();
  if (getSinks())
    operands.push_back(slice(
        b, loc, getSinks(),
        {{0, headElements(b, loc, group, offsets[1], sizes[1])}}, slices));
  biasOperands(b, *this, offsets[1], sizes[1], operands, slices);
  operands.push_back(getLayer());
  operands.push_back(slice(b, loc, getInit(),
                           {{0, {offsets[0], sizes[0]}},
                            {1, queryColumns(b, *this, offsets[1], sizes[1])}},
                           slices));
  Operation *tiled = cloneTiled(b, *this, operands);
  cast<FusedAttentionOp>(tiled).setHeads(*kvHeads * group);
  cast<FusedAttentionOp>(tiled).setKvHeads(*kvHeads);
  return TilingResult{{tiled}, SmallVector<Value>(tiled->getResults()), slices};
}

LogicalResult FusedAttentionOp::getResultTilePosition(
    OpBuilder &b, unsigned, ArrayRef<OpFoldResult> offsets,
    ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,
    SmallVector<OpFoldResult> &resultSizes) {
  sliceBounds(b, getLoc(), getInit(),
              {{0, {offsets[0], sizes[0]}},
               {1, queryColumns(b, *this, offsets[1], sizes[1])}},
              resultOffsets, resultSizes);
  return success();
}

void FusedAttentionOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  kernelEffects(*this, effects);
}

//===----------------------------------------------------------------------===//
// head_rows: tokens x heads
//===----------------------------------------------------------------------===//

SmallVector<utils::IteratorType> HeadRowsOp::getLoopIteratorTypes() {
  return {kParallel, kParallel};
}

SmallVector<Range> HeadRowsOp::getIterationDomain(OpBuilder &b) {
  int64_t columns = cast<ShapedType>(getX().getType()).getDimSize(1);
  return domain(b, {dimOf(b, getLoc(), getX(), 0),
                    b.getIndexAttr(columns / int64_t(getHeadDim()))});
}

/// Rows and columns of some tokens and heads.
static SliceDims headRowsTile(OpBuilder &b, HeadRowsOp op,
                              ArrayRef<OpFoldResult> offsets,
                              ArrayRef<OpFoldResult> sizes) {
  return {
      {0, {offsets[0], sizes[0]}},
      {1, headElements(b, op.getLoc(), op.getHeadDim(), offsets[1], sizes[1])}};
}

FailureOr<TilingResult>
HeadRowsOp::getTiledImplementation(OpBuilder &b, ArrayRef<OpFoldResult> offsets,
                                   ArrayRef<OpFoldResult> sizes) {
  Location loc = getLoc();
  if (!getConstantIntValue(sizes[1]))
    return emitOpError("tiles of heads must have a static size");
  SmallVector<Operation *> slices;
  SliceDims rows = rowsOf(offsets[0], sizes[0]);
  SmallVector<Value> operands{
      slice(b, loc, getX(), headRowsTile(b, *this, offsets, sizes), slices)};
  // Of one head, or of those that the tile has.
  for (Value vector : {getWeight(), getBias()})
    if (vector && cast<ShapedType>(vector.getType()).getDimSize(0) !=
                      static_cast<int64_t>(getHeadDim()))
      operands.push_back(
          slice(b, loc, vector,
                {{0, headElements(b, loc, getHeadDim(), offsets[1], sizes[1])}},
                slices));
    else if (vector)
      operands.push_back(vector);
  if (getRope())
    operands.push_back(slice(b, loc, getRope(), rows, slices));
  if (getLayer())
    operands.push_back(getLayer());
  if (getSlots())
    operands.push_back(slice(b, loc, getSlots(), rows, slices));
  // Tokens scatter to slots: a tile owns its heads in every page.
  SliceDims init{{2, {offsets[1], sizes[1]}}};
  if (getOut() == OutKind::rows)
    init = headRowsTile(b, *this, offsets, sizes);
  operands.push_back(slice(b, loc, getInit(), init, slices));
  return tiledBy(b, *this, operands, slices);
}

LogicalResult HeadRowsOp::getResultTilePosition(
    OpBuilder &b, unsigned, ArrayRef<OpFoldResult> offsets,
    ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,
    SmallVector<OpFoldResult> &resultSizes) {
  SliceDims init{{2, {offsets[1], sizes[1]}}};
  if (getOut() == OutKind::rows)
    init = headRowsTile(b, *this, offsets, sizes);
  sliceBounds(b, getLoc(), getInit(), init, resultOffsets, resultSizes);
  return success();
}

void HeadRowsOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  kernelEffects(*this, effects);
}

//===----------------------------------------------------------------------===//
// attention_partials: tokens x kv heads x chunks
//===----------------------------------------------------------------------===//

SmallVector<utils::IteratorType> AttentionPartialsOp::getLoopIteratorTypes() {
  return {kParallel, kParallel, kParallel};
}

SmallVector<Range> AttentionPartialsOp::getIterationDomain(OpBuilder &b) {
  return domain(b, {dimOf(b, getLoc(), getQ(), 0), b.getIndexAttr(getKvHeads()),
                    dimOf(b, getLoc(), getInit(), 2)});
}

/// Tokens, heads and chunks of init.
static SliceDims partialsTile(OpBuilder &b, AttentionPartialsOp op,
                              ArrayRef<OpFoldResult> offsets,
                              ArrayRef<OpFoldResult> sizes) {
  int64_t group = op.getHeads() / op.getKvHeads();
  return {{0, {offsets[0], sizes[0]}},
          {1, headElements(b, op.getLoc(), group, offsets[1], sizes[1])},
          {2, {offsets[2], sizes[2]}}};
}

FailureOr<TilingResult>
AttentionPartialsOp::getTiledImplementation(OpBuilder &b,
                                            ArrayRef<OpFoldResult> offsets,
                                            ArrayRef<OpFoldResult> sizes) {
  Location loc = getLoc();
  std::optional<int64_t> kvHeads = getConstantIntValue(sizes[1]);
  if (!kvHeads)
    return emitOpError("tiles of kv heads must have a static size");
  SmallVector<Operation *> slices;
  SmallVector<Value> operands =
      attentionOperands(b, *this, offsets, sizes, slices);
  biasOperands(b, *this, offsets[1], sizes[1], operands, slices);
  operands.push_back(getLayer());
  AffineExpr sum = b.getAffineDimExpr(0) + b.getAffineDimExpr(1);
  operands.push_back(getValueOrCreateConstantIndexOp(
      b, loc,
      affine::makeComposedFoldedAffineApply(
          b, loc, sum, {OpFoldResult(getFirst()), offsets[2]})));
  operands.push_back(
      slice(b, loc, getInit(), partialsTile(b, *this, offsets, sizes), slices));
  Operation *tiled = cloneTiled(b, *this, operands);
  auto op = cast<AttentionPartialsOp>(tiled);
  op.setHeads(*kvHeads * (getHeads() / getKvHeads()));
  op.setKvHeads(*kvHeads);
  return TilingResult{{tiled}, SmallVector<Value>(tiled->getResults()), slices};
}

LogicalResult AttentionPartialsOp::getResultTilePosition(
    OpBuilder &b, unsigned, ArrayRef<OpFoldResult> offsets,
    ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,
    SmallVector<OpFoldResult> &resultSizes) {
  sliceBounds(b, getLoc(), getInit(), partialsTile(b, *this, offsets, sizes),
              resultOffsets, resultSizes);
  return success();
}

void AttentionPartialsOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  kernelEffects(*this, effects);
}

//===----------------------------------------------------------------------===//
// attention_merge: tokens x heads
//===----------------------------------------------------------------------===//

SmallVector<utils::IteratorType> AttentionMergeOp::getLoopIteratorTypes() {
  return {kParallel, kParallel};
}

SmallVector<Range> AttentionMergeOp::getIterationDomain(OpBuilder &b) {
  return domain(b,
                {dimOf(b, getLoc(), getInit(), 0), b.getIndexAttr(getHeads())});
}

/// Tokens and columns of init.
static SliceDims mergeTile(OpBuilder &b, AttentionMergeOp op,
                           ArrayRef<OpFoldResult> offsets,
                           ArrayRef<OpFoldResult> sizes) {
  return {
      {0, {offsets[0], sizes[0]}},
      {1, headElements(b, op.getLoc(), op.getHeadDim(), offsets[1], sizes[1])}};
}

FailureOr<TilingResult>
AttentionMergeOp::getTiledImplementation(OpBuilder &b,
                                         ArrayRef<OpFoldResult> offsets,
                                         ArrayRef<OpFoldResult> sizes) {
  Location loc = getLoc();
  std::optional<int64_t> heads = getConstantIntValue(sizes[1]);
  if (!heads)
    return emitOpError("tiles of heads must have a static size");
  SmallVector<Operation *> slices;
  SliceDims rows = rowsOf(offsets[0], sizes[0]);
  std::pair<OpFoldResult, OpFoldResult> range = {offsets[1], sizes[1]};
  SmallVector<Value> operands{slice(b, loc, getPartials(),
                                    {{0, {offsets[0], sizes[0]}}, {1, range}},
                                    slices),
                              slice(b, loc, getPositions(), rows, slices)};
  if (getSinks())
    operands.push_back(slice(b, loc, getSinks(), {{0, range}}, slices));
  operands.push_back(
      slice(b, loc, getInit(), mergeTile(b, *this, offsets, sizes), slices));
  Operation *tiled = cloneTiled(b, *this, operands);
  cast<AttentionMergeOp>(tiled).setHeads(*heads);
  return TilingResult{{tiled}, SmallVector<Value>(tiled->getResults()), slices};
}

LogicalResult AttentionMergeOp::getResultTilePosition(
    OpBuilder &b, unsigned, ArrayRef<OpFoldResult> offsets,
    ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,
    SmallVector<OpFoldResult> &resultSizes) {
  sliceBounds(b, getLoc(), getInit(), mergeTile(b, *this, offsets, sizes),
              resultOffsets, resultSizes);
  return success();
}

void AttentionMergeOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  kernelEffects(*this, effects);
}
