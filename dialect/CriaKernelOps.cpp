// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers of the kernel ops; KernelOpsInterfaces.cpp has their tiling and
// memory effects.

#include "dialect/CriaOps.h"
#include "dialect/Verification.h"

#include "mlir/IR/TypeUtilities.h"

using namespace cria;
using namespace cria::detail;
using namespace mlir;

static int64_t ceilDiv(int64_t size, int64_t by) {
  return isDynamic(size) ? size
                         : static_cast<int64_t>(llvm::divideCeil(size, by));
}

/// Whether `value` has this element type and a shape that agrees with rows x
/// columns.
static bool isMatrix(Value value, int64_t rows, int64_t columns,
                     bool isInteger) {
  bool elementMatches = isInteger ? getElementTypeOrSelf(value).isInteger(32)
                                  : getElementTypeOrSelf(value).isF32();
  return elementMatches && shapesAgree(shapeOf(value), {rows, columns});
}

/// An argument of a prologue or epilogue is a tensor even where the operand
/// that it stands for is a memref.
static bool isF32TensorOf(Type type, ArrayRef<int64_t> shape) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getElementType().isF32() &&
         shapesAgree(tensor.getShape(), shape);
}

static bool isLanes(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return vector && vector.getRank() == 1 && !vector.isScalable() &&
         vector.getDimSize(0) == CriaDialect::kLanes &&
         vector.getElementType().isF32();
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

LogicalResult RopeTableOp::verify() {
  if (getRope().getPairs() != RopePairs::interleaved)
    return emitOpError() << "rope_table_c1: pairs must be interleaved; "
                            "cria-canonicalize-rope makes them so";
  ArrayRef<int64_t> init = shapeOf(getInit());
  int64_t n = shapeOf(getPositions())[0];
  if (!sizesAgree(init[0], n) || !sizesAgree(init[1], 2) ||
      (!isDynamic(init[2]) && init[2] < getRope().getDims()))
    return emitOpError() << "rope_table_c2: init is " << getInit().getType()
                         << ", expected " << spell(n)
                         << "x2xhead_dim with head_dim >= "
                         << getRope().getDims();
  return success();
}

LogicalResult EmbedRowsOp::verify() {
  auto weight = cast<WeightType>(getWeight().getType());
  int64_t expected[] = {shapeOf(getTokens())[0], weight.getK()};
  if (weight.isStacked() || !shapesAgree(shapeOf(getInit()), expected))
    return emitOpError() << "embed_rows_c1: init is " << getInit().getType()
                         << ", expected " << spell(expected[0]) << "x"
                         << spell(expected[1]) << " for an NxK weight, got "
                         << weight;
  return success();
}

template <typename OpTy> static OpTy findIn(Block &body) {
  auto ops = body.getOps<OpTy>();
  return ops.empty() ? OpTy() : *ops.begin();
}

NormOp RowsOp::getNorm() { return findIn<NormOp>(*getBody()); }
ScaleOp RowsOp::getScale() { return findIn<ScaleOp>(*getBody()); }

LogicalResult RowsOp::verify() {
  ArrayRef<int64_t> x = shapeOf(getX());
  int64_t n = x[0], k = x[1];
  OperandRange inits = getInits();
  if (inits.size() != 1 && inits.size() != 3)
    return emitOpError() << "rows_c1: " << inits.size()
                         << " inits, expected 1 (f32 rows) or 3 (codes, "
                            "scales, sums)";
  if (inits.size() == 1) {
    if (!isMatrix(inits[0], n, k, /*isInteger=*/false))
      return emitOpError() << "rows_c1: init is " << inits[0].getType()
                           << ", expected f32 of " << spell(n) << "x"
                           << spell(k);
  } else {
    int64_t blocks = ceilDiv(k, CriaDialect::kQuantBlock);
    int64_t words = product(blocks, CriaDialect::kQuantBlock / 4);
    bool integerSums = getElementTypeOrSelf(inits[2]).isInteger(32);
    bool halves = integerSums && shapeOf(inits[2])[1] == product(blocks, 2);
    if ((!isMatrix(inits[0], n, words, /*isInteger=*/true) &&
         !isMatrix(inits[0], n, 2 * words, /*isInteger=*/true)) ||
        !isMatrix(inits[1], n, blocks, /*isInteger=*/false) ||
        !isMatrix(inits[2], n, product(blocks, halves ? 2 : 1), integerSums))
      return emitOpError() << "rows_c1: inits are " << inits[0].getType()
                           << ", " << inits[1].getType() << ", "
                           << inits[2].getType() << ", expected i32 of "
                           << spell(n) << "x" << spell(words)
                           << " (or twice as many)"
                           << ", f32 and i32 or f32 of " << spell(n) << "x"
                           << spell(blocks) << " (twice as many for i32)";
  }
  if (getAccumulate() && inits.size() != 1)
    return emitOpError() << "rows_c5: accumulate adds to one init, there are "
                         << inits.size();
  bool integerSums =
      inits.size() == 3 && getElementTypeOrSelf(inits[2]).isInteger(32);
  if (integerSums != getZeroPoint().has_value())
    return emitOpError() << "rows_c4: zero_point is given exactly when "
                            "inits[2] holds i32";
  if (getBf16() && (isQuantized() || getAccumulate()))
    return emitOpError() << "rows_c6: bf16 with "
                         << (isQuantized() ? "codes" : "accumulate");
  return success();
}

LogicalResult RowsOp::verifyRegions() {
  Block &body = *getBody();
  int64_t k = shapeOf(getX())[1];
  bool argumentsMatch =
      body.getNumArguments() ==
          1 + getParams().size() + (getAccumulate() ? 1 : 0) &&
      isF32TensorOf(body.getArgument(0).getType(), {1, k}) &&
      (!getAccumulate() ||
       isF32TensorOf(body.getArguments().back().getType(), {1, k}));
  for (auto [index, param] : llvm::enumerate(getParams()))
    argumentsMatch =
        argumentsMatch &&
        isF32TensorOf(body.getArgument(index + 1).getType(), shapeOf(param));
  if (!argumentsMatch)
    return emitOpError() << "rows_c2: the region takes a row, tensor<1x"
                         << spell(k)
                         << "xf32>, the params as tensors, and with accumulate "
                            "the old row";
  auto yield = dyn_cast<YieldOp>(body.getTerminator());
  if (!yield || yield.getValues().size() != 1 ||
      !isF32TensorOf(yield.getValues()[0].getType(), {1, k}))
    return emitOpError() << "rows_c2: the region yields one row, tensor<1x"
                         << spell(k) << "xf32>";

  // A chain: each op takes the value of the one before.
  Value chain = body.getArgument(0);
  int stage = 0;
  for (Operation &op : body.without_terminator()) {
    int next = isa<NormOp>(op)                     ? 1
               : isa<ScaleOp>(op)                  ? 2
               : isa<AddOp>(op) && getAccumulate() ? 3
                                                   : 0;
    if (next <= stage)
      return emitOpError() << "rows_c3: the region holds '" << op.getName()
                           << "', expected at most one cria.norm, then one "
                              "cria.scale, then with accumulate one cria.add";
    stage = next;
    if (auto norm = dyn_cast<NormOp>(op);
        norm && norm.isPerHead() && (norm.isCentered() || norm.getHeadDim()))
      return emitOpError() << "rows_c3: the norm is "
                           << stringifyNormKind(norm.getKind())
                           << (norm.getHeadDim() ? " with a head_dim" : "")
                           << ", expected rms, layer or per_head";
    bool follows = next == 3
                       ? llvm::is_contained(op.getOperands(), chain) &&
                             llvm::is_contained(op.getOperands(),
                                                body.getArguments().back())
                       : op.getOperand(0) == chain;
    if (!follows)
      return emitOpError() << "rows_c3: '" << op.getName()
                           << "' must take the value of the op before it";
    chain = op.getResult(0);
  }
  if (yield.getValues()[0] != chain || (getAccumulate() && stage != 3))
    return emitOpError() << "rows_c3: the region must yield the end of its "
                            "chain, with accumulate the sum";
  return success();
}

//===----------------------------------------------------------------------===//
// Linear
//===----------------------------------------------------------------------===//

/// fused_linear_c2: the acts are what the weights' kernel reads.
static LogicalResult verifyActs(FusedLinearOp op, WeightType weight) {
  OperandRange acts = op.getActs();
  bool takesCodes = weight.isQuantized() && !op.getBf16();
  size_t expected = takesCodes ? 3 : 1;
  if (acts.size() != expected)
    return op.emitOpError()
           << "fused_linear_c2: " << acts.size() << " acts, weight " << weight
           << " needs " << expected;
  int64_t n = shapeOf(acts[0])[0], k = weight.getK();
  if (!takesCodes) {
    if (!isMatrix(acts[0], n, k, /*isInteger=*/false))
      return op.emitOpError()
             << "fused_linear_c2: acts are " << acts[0].getType()
             << ", expected f32 with " << spell(k) << " columns";
    return success();
  }
  int64_t blocks = ceilDiv(k, CriaDialect::kQuantBlock);
  int64_t words = product(blocks, CriaDialect::kQuantBlock / 4);
  bool integerSums = weight.getOffset() == OffsetKind::zero_point;
  int64_t sums = product(blocks, weight.getScalesPerBlock());
  if ((!isMatrix(acts[0], n, words, /*isInteger=*/true) &&
       !isMatrix(acts[0], n, 2 * words, /*isInteger=*/true)) ||
      !isMatrix(acts[1], n, blocks, /*isInteger=*/false) ||
      !isMatrix(acts[2], n, sums, integerSums))
    return op.emitOpError()
           << "fused_linear_c2: acts are " << acts[0].getType() << ", "
           << acts[1].getType() << ", " << acts[2].getType()
           << ", expected i32 of " << spell(n) << "x" << spell(words)
           << " (or twice as many)"
           << ", f32 of " << spell(n) << "x" << spell(blocks) << " and "
           << (integerSums ? "i32" : "f32") << " of " << spell(n) << "x"
           << spell(sums);
  return success();
}

/// fused_linear_c4: each extra has the shape of its kind.
static LogicalResult verifyExtras(FusedLinearOp op, int64_t tokens, int64_t n) {
  ArrayAttr kinds = op.getExtraKinds();
  if (kinds.size() != op.getExtras().size())
    return op.emitOpError()
           << "fused_linear_c4: " << kinds.size() << " extra_kinds for "
           << op.getExtras().size() << " extras";
  for (auto [index, attr] : llvm::enumerate(kinds)) {
    auto kind = dyn_cast<ExtraKindAttr>(attr);
    if (!kind)
      return op.emitOpError() << "fused_linear_c4: extra_kinds holds " << attr
                              << ", expected elementwise, bias or rope";
    Value extra = op.getExtras()[index];
    ArrayRef<int64_t> shape = shapeOf(extra);
    bool matches = false;
    switch (kind.getValue()) {
    case ExtraKind::elementwise:
      matches = shapesAgree(shape, {tokens, n});
      break;
    case ExtraKind::bias:
      matches = shapesAgree(shape, {n});
      break;
    case ExtraKind::rope:
      matches = shapesAgree(shape, {tokens, 2, ShapedType::kDynamic});
      break;
    }
    if (!matches)
      return op.emitOpError()
             << "fused_linear_c4: extra " << index << " of kind "
             << stringifyExtraKind(kind.getValue()) << " is " << extra.getType()
             << " for " << spell(tokens) << "x" << spell(n) << " outputs";
  }
  return success();
}

LogicalResult FusedLinearOp::verify() {
  OperandRange weights = getWeights();
  if (weights.empty() || weights.size() > 2)
    return emitOpError() << "fused_linear_c1: " << weights.size()
                         << " weights, expected one or two";
  WeightType weight = getWeightType();
  if (weight.isStacked())
    return emitOpError() << "fused_linear_c1: weight " << weight
                         << " must be one layer's";
  if (weights.size() == 2 && weights[1].getType() != weight)
    return emitOpError() << "fused_linear_c1: weights " << weight << " and "
                         << weights[1].getType() << " must be of one type";
  if (failed(verifyActs(*this, weight)))
    return failure();

  if (getBf16() && weight.getElement() != ElementKind::bf16 &&
      weight.getElement() != ElementKind::q4 &&
      weight.getElement() != ElementKind::q8)
    return emitOpError() << "fused_linear_c7: bf16 with weight " << weight;
  int64_t tokens = shapeOf(getActs()[0])[0], n = weight.getN();
  if (failed(verifyExtras(*this, tokens, n)))
    return failure();

  bool isCache = getOut() != OutKind::rows;
  if (isCache != static_cast<bool>(getLayer()) ||
      isCache != static_cast<bool>(getSlots()))
    return emitOpError() << "fused_linear_c5: out "
                         << stringifyOutKind(getOut())
                         << (isCache ? " needs layer and slots"
                                     : " takes neither layer nor slots");
  if (!isCache) {
    ArrayRef<int64_t> init = shapeOf(getInit());
    if (!shapesAgree(init, {tokens, n}))
      return emitOpError() << "fused_linear_c5: init is " << getInit().getType()
                           << ", expected " << spell(tokens) << "x" << spell(n);
    return success();
  }

  CacheRole role = getOut() == OutKind::key ? CacheRole::key : CacheRole::value;
  int64_t any = ShapedType::kDynamic;
  if (failed(verifyCache(*this, "fused_linear_c5", role, getInit(), any, any)))
    return failure();
  // A tile has fewer rows than the cache has elements a token.
  ArrayRef<int64_t> cache = shapeOf(getInit());
  int64_t width =
      product(getCacheKvHeads(role, cache),
              getCacheHeadDim(getElementTypeOrSelf(getInit()), cache));
  if (!isDynamic(n) && !isDynamic(width) && n > width)
    return emitOpError() << "fused_linear_c5: N (" << n
                         << ") exceeds the cache's kv_heads * head_dim ("
                         << width << ")";
  if (!sizesAgree(shapeOf(getSlots())[0], tokens))
    return emitOpError() << "fused_linear_c5: " << spell(shapeOf(getSlots())[0])
                         << " slots for " << spell(tokens) << " tokens";
  if (getAccumulate())
    return emitOpError() << "fused_linear_c6: accumulate needs out rows";
  return success();
}

LogicalResult FusedLinearOp::verifyRegions() {
  Block &body = *getBody();
  size_t expected = getWeights().size() + (getAccumulate() ? 1 : 0);
  for (Attribute kind : getExtraKinds())
    expected += cast<ExtraKindAttr>(kind).getValue() == ExtraKind::rope ? 2 : 1;
  if (body.getNumArguments() != expected ||
      !llvm::all_of(body.getArgumentTypes(), isLanes))
    return emitOpError() << "fused_linear_c3: the region takes " << expected
                         << " arguments of vector<16xf32>: accumulators, "
                            "extras (rope has two), the old value";
  auto yield = dyn_cast<YieldOp>(body.getTerminator());
  if (!yield || yield.getValues().size() != 1 ||
      !isLanes(yield.getValues()[0].getType()))
    return emitOpError()
           << "fused_linear_c3: the region yields one vector<16xf32>";
  return success();
}

//===----------------------------------------------------------------------===//
// Attention and the rest
//===----------------------------------------------------------------------===//

/// fused_attention_c2 and fused_attention_c3.
template <typename OpTy> static LogicalResult verifyBiases(OpTy op) {
  int64_t heads = op.getHeads();
  if (op.getSlopes() && !sizesAgree(shapeOf(op.getSlopes())[0], heads))
    return op.emitOpError()
           << "fused_attention_c2: slopes has "
           << spell(shapeOf(op.getSlopes())[0])
           << " elements, expected one a head (" << heads << ")";
  if (!op.getBias())
    return success();
  ArrayRef<int64_t> bias = shapeOf(op.getBias());
  if (!sizesAgree(bias[0], heads) || isDynamic(bias[1]) ||
      bias[1] <= 2 * CriaDialect::kLanes)
    return op.emitOpError()
           << "fused_attention_c3: bias is " << op.getBias().getType()
           << ", expected " << heads << "x(D + 32)";
  return success();
}

LogicalResult HeadRowsOp::verify() {
  ArrayRef<int64_t> x = shapeOf(getX());
  int64_t headDim = getHeadDim();
  if (headDim <= 0 || isDynamic(x[1]) || x[1] % headDim != 0)
    return emitOpError() << "head_rows_c1: head_dim (" << headDim
                         << ") must divide x's columns (" << spell(x[1]) << ")";
  auto fits = [&](Value v) {
    return !v || sizesAgree(shapeOf(v)[0], headDim) ||
           sizesAgree(shapeOf(v)[0], x[1]);
  };
  if (static_cast<bool>(getWeight()) != getEps().has_value() ||
      !fits(getWeight()))
    return emitOpError() << "head_rows_c2: a weight of head_dim (" << headDim
                         << ") elements or x's columns (" << x[1]
                         << ") and eps come together";
  if (!getWeight() && (getBias() || getCenter()))
    return emitOpError() << "head_rows_c2: bias and center need a weight";
  if (getBias() && !shapesAgree(shapeOf(getBias()), shapeOf(getWeight())))
    return emitOpError() << "head_rows_c2: bias has "
                         << spell(shapeOf(getBias())[0])
                         << " elements, weight has "
                         << spell(shapeOf(getWeight())[0]);
  if (getRope() && (headDim % 2 != 0 ||
                    !shapesAgree(shapeOf(getRope()), {x[0], 2, headDim})))
    return emitOpError() << "head_rows_c3: rope is " << getRope().getType()
                         << ", expected " << spell(x[0]) << "x2x" << headDim
                         << " with an even head_dim";
  bool isCache = getOut() != OutKind::rows;
  if (isCache != static_cast<bool>(getLayer()) ||
      isCache != static_cast<bool>(getSlots()))
    return emitOpError() << "head_rows_c4: out " << stringifyOutKind(getOut())
                         << (isCache ? " needs layer and slots"
                                     : " takes neither layer nor slots");
  if (!isCache) {
    if (!shapesAgree(shapeOf(getInit()), x))
      return emitOpError() << "head_rows_c4: init is " << getInit().getType()
                           << ", expected x's shape, " << getX().getType();
    return success();
  }
  if (!sizesAgree(shapeOf(getSlots())[0], x[0]))
    return emitOpError() << "head_rows_c4: " << spell(shapeOf(getSlots())[0])
                         << " slots for " << spell(x[0]) << " rows";
  return verifyCache(*this, "head_rows_c4",
                     getOut() == OutKind::key ? CacheRole::key
                                              : CacheRole::value,
                     getInit(), x[1] / headDim, headDim);
}

LogicalResult FusedAttentionOp::verify() {
  if (failed(verifyAttention(*this)) || failed(verifyBiases(*this)))
    return failure();
  if (!shapesAgree(shapeOf(getInit()), shapeOf(getQ())))
    return emitOpError() << "fused_attention_c1: init is "
                         << getInit().getType() << ", expected q's shape, "
                         << getQ().getType();
  return success();
}

/// Whether `value` holds the partials of so many tokens and heads.
static bool isPartials(Value value, int64_t n, int64_t heads, int64_t headDim) {
  int64_t row = headDim + CriaDialect::kPartialExtra;
  return shapesAgree(shapeOf(value), {n, heads, ShapedType::kDynamic, row});
}

LogicalResult AttentionPartialsOp::verify() {
  if (failed(verifyAttention(*this)) || failed(verifyBiases(*this)))
    return failure();
  int64_t n = shapeOf(getQ())[0];
  if (!isPartials(getInit(), n, getHeads(), getHeadDim()))
    return emitOpError() << "attention_partials_c1: init is "
                         << getInit().getType() << ", expected " << spell(n)
                         << "x" << getHeads() << "xCx(" << getHeadDim() << " + "
                         << CriaDialect::kPartialExtra << ")";
  return success();
}

LogicalResult AttentionMergeOp::verify() {
  int64_t heads = getHeads(), headDim = getHeadDim();
  ArrayRef<int64_t> init = shapeOf(getInit());
  if (heads <= 0 || headDim <= 0 || !isProduct(init[1], heads, headDim) ||
      !sizesAgree(shapeOf(getPositions())[0], init[0]) ||
      !isPartials(getPartials(), init[0], heads, headDim))
    return emitOpError() << "attention_merge_c1: " << getPartials().getType()
                         << " with " << getPositions().getType() << " into "
                         << getInit().getType() << ", expected nxheadsxCx("
                         << "head_dim + " << CriaDialect::kPartialExtra
                         << "), n and nx(heads * head_dim) for " << heads
                         << " heads of " << headDim;
  if (getWindow() && static_cast<int64_t>(*getWindow()) <= 0)
    return emitOpError() << "attention_merge_c2: window ("
                         << static_cast<int64_t>(*getWindow())
                         << ") must be positive";
  if (getSinks() && !sizesAgree(shapeOf(getSinks())[0], heads))
    return emitOpError() << "attention_merge_c3: sinks has "
                         << spell(shapeOf(getSinks())[0])
                         << " elements, expected one a head (" << heads << ")";
  return success();
}

LogicalResult WeightSliceOp::verify() {
  auto source = cast<WeightType>(getSource().getType());
  auto result = cast<WeightType>(getResult().getType());
  if (source.isStacked() || source.withN(result.getN()) != result)
    return emitOpError() << "weight_slice_c1: " << source << " and " << result
                         << " must be of rank 2 and differ in N only";
  if (!isDynamic(source.getN()) && !isDynamic(result.getN()) &&
      result.getN() > source.getN())
    return emitOpError() << "weight_slice_c2: the result has " << result.getN()
                         << " rows, the source " << source.getN();
  return success();
}

LogicalResult WeightDataOp::verify() {
  auto weight = cast<WeightType>(getWeight().getType());
  SmallVector<WeightType::Component> storage = weight.getStorage();
  if (getComponents().size() != storage.size())
    return emitOpError() << "weight_data_c1: " << getComponents().size()
                         << " results, " << weight << " is stored in "
                         << storage.size();
  for (auto [index, component] : llvm::enumerate(storage))
    if (getComponents()[index].getType() != component.type)
      return emitOpError() << "weight_data_c2: result " << index << " is "
                           << getComponents()[index].getType() << ", expected "
                           << component.type;
  return success();
}

LogicalResult Dot4Op::verify() {
  if (getABits() != 4 && getABits() != 6 && getABits() != 8)
    return emitOpError() << "dot4_c1: a_bits ("
                         << static_cast<int64_t>(getABits())
                         << ") must be 4, 6 or 8";
  return success();
}

LogicalResult DotTileOp::verify() {
  MemRefType codes = getCodes().getType(), out = getOut().getType();
  int64_t panels = codes.getDimSize(0);
  if (panels < 1 || codes.getShape().drop_front() != ArrayRef<int64_t>{8, 64} ||
      out.getShape() != ArrayRef<int64_t>{panels, 16, 16})
    return emitOpError() << "dot_tile_c1: codes " << codes << " and out " << out
                         << " must be memref<Px8x64xi8> and "
                            "memref<Px16x16xi32> with the same P";
  MemRefType acts = getActs().getType();
  if (!acts.isLastDimUnitStride() || !codes.getLayout().isIdentity() ||
      !out.getLayout().isIdentity())
    return emitOpError() << "dot_tile_c2: the words of a row of acts " << acts
                         << ", codes " << codes << " and out " << out
                         << " must be contiguous";
  return success();
}

LogicalResult DotTile2Op::verify() {
  MemRefType acts = getActs().getType(), weights = getWeights().getType(),
             out = getOut().getType();
  if (weights.isDynamicDim(1) || weights.getDimSize(2) != 32 ||
      out.getDimSize(0) < 1 ||
      out.getShape().drop_front() != ArrayRef<int64_t>{16, 16})
    return emitOpError() << "dot_tile2_c1: weights " << weights << " and out "
                         << out
                         << " must be memref<NxWx32xbf16> with a known W and "
                            "memref<Px16x16xf32>";
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(weights.getStridesAndOffset(strides, offset)) || strides[2] != 1 ||
      strides[1] != 32 || !acts.isLastDimUnitStride() ||
      !out.getLayout().isIdentity())
    return emitOpError() << "dot_tile2_c2: the words of a row of acts " << acts
                         << ", a panel of weights " << weights << " and out "
                         << out << " must be contiguous";
  return success();
}
