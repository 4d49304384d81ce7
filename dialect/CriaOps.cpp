// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers, folds and canonicalisations of the model ops.

#include "dialect/CriaOps.h"
#include "dialect/CacheLayout.h"
#include "dialect/Verification.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/TypeUtilities.h"

#include <cmath>

using namespace cria;
using namespace cria::detail;
using namespace mlir;

#define GET_OP_CLASSES
#include "dialect/CriaOps.cpp.inc"

//===----------------------------------------------------------------------===//
// Shared checks
//===----------------------------------------------------------------------===//

SmallVector<int64_t> cria::detail::getCacheShape(CacheRole role, Type element,
                                                 int64_t kvHeads,
                                                 int64_t headDim) {
  int64_t any = ShapedType::kDynamic;
  if (element.isInteger()) {
    CacheLayout layout{element.getIntOrFloatBitWidth()};
    return {any, any, kvHeads,
            isDynamic(headDim) ? any : layout.pageElements(headDim)};
  }
  if (role == CacheRole::key)
    return {any,     any,
            kvHeads, CriaDialect::kPageTokens / CriaDialect::kLanes,
            headDim, CriaDialect::kLanes};
  return {any, any, kvHeads, CriaDialect::kPageTokens, headDim};
}

int64_t cria::detail::getCacheKvHeads(CacheRole, ArrayRef<int64_t> shape) {
  return shape[2];
}

int64_t cria::detail::getCacheHeadDim(Type element, ArrayRef<int64_t> shape) {
  if (element.isInteger())
    return isDynamic(shape[3])
               ? shape[3]
               : CacheLayout{element.getIntOrFloatBitWidth()}.headDim(shape[3]);
  return shape[4];
}

LogicalResult cria::detail::verifyCache(Operation *op, StringRef label,
                                        CacheRole role, Value cache,
                                        int64_t kvHeads, int64_t headDim) {
  auto type = cast<ShapedType>(cache.getType());
  SmallVector<int64_t> expected =
      getCacheShape(role, type.getElementType(), kvHeads, headDim);
  bool wholePages =
      !type.hasRank() || type.getRank() != 4 ||
      !type.getElementType().isInteger() || isDynamic(type.getShape()[3]) ||
      CacheLayout{type.getElementTypeBitWidth()}.isPage(type.getShape()[3]);
  if (type.hasRank() && shapesAgree(type.getShape(), expected) && wholePages)
    return success();
  std::string shape = llvm::join(llvm::map_range(expected, spell), "x");
  return op->emitOpError() << label << ": a " << stringifyCacheRole(role)
                           << " cache has shape " << shape << ", got "
                           << cache.getType();
}

static bool isPositive(const APFloat &value) {
  return value.isFinite() && !value.isZero() && !value.isNegative();
}

//===----------------------------------------------------------------------===//
// Params
//===----------------------------------------------------------------------===//

bool ParamOp::isStacked() {
  if (auto weight = dyn_cast<WeightType>(getType()))
    return weight.isStacked();
  return getStacked() && cast<RankedTensorType>(getType()).getRank() > 1;
}

int64_t ParamOp::getNumLayers() {
  if (!isStacked())
    return 1;
  if (auto weight = dyn_cast<WeightType>(getType()))
    return weight.getShape().front();
  return cast<RankedTensorType>(getType()).getDimSize(0);
}

Type ParamOp::getLayerType() {
  if (auto weight = dyn_cast<WeightType>(getType()))
    return weight.getLayerType();
  auto tensor = cast<RankedTensorType>(getType());
  if (!isStacked())
    return tensor;
  return RankedTensorType::get(tensor.getShape().drop_front(),
                               tensor.getElementType());
}

LogicalResult ParamOp::verify() {
  auto weight = dyn_cast<WeightType>(getType());
  auto tensor = dyn_cast<RankedTensorType>(getType());
  bool isTensor = tensor && tensor.hasStaticShape() &&
                  tensor.getElementType().isF32() && tensor.getRank() >= 1 &&
                  tensor.getRank() <= 3;
  if (!isTensor && !(weight && !isDynamic(weight.getN())))
    return emitOpError() << "param_c1: type " << getType()
                         << " must be a static weight or a static f32 tensor "
                            "of rank 1 to 3";
  if (getStacked() && (weight ? !weight.isStacked() : tensor.getRank() < 2))
    return emitOpError() << "param_c1: a stacked type has a leading layer "
                            "dimension, "
                         << getType() << " has none";

  if (std::optional<ArrayAttr> sources = getSources()) {
    int64_t expected = getNumLayers();
    int64_t count = sources->size();
    if (count != 0 && count != expected)
      return emitOpError() << "param_c2: " << count << " sources for "
                           << expected << " layers";
  }

  if (getPermuteHeads().has_value() != getPermuteDims().has_value())
    return emitOpError()
           << "param_c3: permute_heads and permute_dims go together";
  if (getPermuteHeads()) {
    int64_t headDim = *getPermuteHeads(), dims = *getPermuteDims();
    // A bias is permuted like the rows of its weight.
    int64_t n = weight ? weight.getN() : tensor.getShape().back();
    if (headDim <= 0 || n % headDim != 0)
      return emitOpError() << "param_c3: permute_heads (" << headDim
                           << ") must divide N (" << n << ")";
    if (dims <= 0 || dims % 2 != 0 || dims > headDim)
      return emitOpError() << "param_c3: permute_dims (" << dims
                           << ") must be even, positive and at most "
                              "permute_heads ("
                           << headDim << ")";
  }
  return success();
}

LogicalResult LoadOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto param =
      symbolTable.lookupNearestSymbolFrom<ParamOp>(*this, getParamAttr());
  if (!param)
    return emitOpError() << "load_c1: " << getParamAttr()
                         << " is not a cria.param";
  // This may run before the param itself is verified.
  if (!isa<WeightType, RankedTensorType>(param.getType()))
    return emitOpError() << "load_c1: " << getParamAttr()
                         << " has no loadable type";
  if (param.isStacked() != static_cast<bool>(getLayer()))
    return emitOpError() << "load_c2: " << getParamAttr()
                         << (param.isStacked()
                                 ? " is stacked and needs a layer index"
                                 : " is not stacked and takes no layer index");
  Type expected = param.getLayerType();
  if (getResult().getType() != expected)
    return emitOpError() << "load_c3: result type is " << getResult().getType()
                         << ", expected " << expected;
  return success();
}

//===----------------------------------------------------------------------===//
// Rows in, rows out
//===----------------------------------------------------------------------===//

LogicalResult EmbedOp::verify() {
  auto weight = cast<WeightType>(getWeight().getType());
  int64_t expected[] = {shapeOf(getTokens())[0], weight.getK()};
  if (weight.isStacked() || !shapesAgree(shapeOf(getResult()), expected))
    return emitOpError() << "embed_c1: result is " << getResult().getType()
                         << ", expected " << spell(expected[0]) << "x"
                         << spell(expected[1]) << " for an NxK weight, got "
                         << weight;
  return success();
}

LogicalResult LinearOp::verify() {
  auto weight = cast<WeightType>(getWeight().getType());
  ArrayRef<int64_t> x = shapeOf(getX()), result = shapeOf(getResult());
  if (weight.isStacked() || !sizesAgree(x[1], weight.getK()))
    return emitOpError() << "linear_c1: x has " << spell(x[1])
                         << " columns for weight " << weight;
  if (!sizesAgree(result[0], x[0]) || !sizesAgree(result[1], weight.getN()))
    return emitOpError() << "linear_c2: result is " << spell(result[0]) << "x"
                         << spell(result[1]) << ", expected " << spell(x[0])
                         << "x" << spell(weight.getN());
  if (getBias() && !sizesAgree(shapeOf(getBias())[0], weight.getN()))
    return emitOpError() << "linear_c3: bias has "
                         << spell(shapeOf(getBias())[0])
                         << " elements, expected " << spell(weight.getN());
  return success();
}

int64_t NormOp::headSize() {
  return getHeadDim() ? static_cast<int64_t>(*getHeadDim())
                      : shapeOf(getWeight())[0];
}

LogicalResult NormOp::verify() {
  int64_t d = shapeOf(getX())[1];
  NormKind kind = getKind();
  if (isPerHead()) {
    if (!getWeight())
      return emitOpError() << "norm_c2: " << stringifyNormKind(kind)
                           << " needs a weight, of the size of a head or of "
                              "all";
    int64_t size = shapeOf(getWeight())[0], headDim = headSize();
    if (!isDynamic(headDim) &&
        (headDim <= 0 || (!isDynamic(d) && d % headDim != 0)))
      return emitOpError() << "norm_c2: a head's size (" << headDim
                           << ") must divide x's columns (" << spell(d) << ")";
    if (!sizesAgree(size, headDim) && !sizesAgree(size, d))
      return emitOpError() << "norm_c2: weight has " << spell(size)
                           << " elements, expected " << spell(headDim)
                           << ", a head's, or " << spell(d);
  } else if (getWeight() && !sizesAgree(shapeOf(getWeight())[0], d)) {
    return emitOpError() << "norm_c1: weight has "
                         << spell(shapeOf(getWeight())[0])
                         << " elements, x has " << spell(d) << " columns";
  }
  if (getBias() && (!isCentered() || !getWeight()))
    return emitOpError() << "norm_c3: only layer and layer_per_head take a "
                            "bias, beside a weight";
  if (getBias() && !sizesAgree(shapeOf(getBias())[0], shapeOf(getWeight())[0]))
    return emitOpError() << "norm_c3: bias has " << spell(shapeOf(getBias())[0])
                         << " elements, weight has "
                         << spell(shapeOf(getWeight())[0]);
  if (getHeadDim() && !isPerHead())
    return emitOpError() << "norm_c5: " << stringifyNormKind(kind)
                         << " takes no head_dim";
  if (!isPositive(getEps()))
    return emitOpError() << "norm_c4: eps (" << getEps().convertToDouble()
                         << ") must be positive and finite";
  return success();
}

LogicalResult RopeOp::verify() {
  ArrayRef<int64_t> x = shapeOf(getX());
  int64_t headDim = getHeadDim();
  if (headDim <= 0 || (!isDynamic(x[1]) && x[1] % headDim != 0))
    return emitOpError() << "rope_c1: head_dim (" << headDim
                         << ") must divide x's columns (" << spell(x[1]) << ")";
  if (getRope().getDims() > headDim)
    return emitOpError() << "rope_c2: rope dims (" << getRope().getDims()
                         << ") must be at most head_dim (" << headDim << ")";
  if (headDim % 2 != 0)
    return emitOpError() << "rope_c3: head_dim (" << headDim
                         << ") must be even";
  if (!sizesAgree(shapeOf(getPositions())[0], x[0]))
    return emitOpError() << "rope_c4: " << spell(shapeOf(getPositions())[0])
                         << " positions for " << spell(x[0]) << " rows";
  return success();
}

LogicalResult PositionOp::verify() {
  ArrayRef<int64_t> x = shapeOf(getX());
  if (getKind() == PositionKind::learned) {
    if (!getTable() || !sizesAgree(shapeOf(getTable())[1], x[1]))
      return emitOpError() << "position_c1: learned needs a table with x's "
                           << spell(x[1]) << " columns";
  } else {
    if (getTable())
      return emitOpError() << "position_c1: sinusoidal takes no table";
    if (!isDynamic(x[1]) && x[1] % 2 != 0)
      return emitOpError() << "position_c2: sinusoidal needs an even number "
                              "of columns, x has "
                           << x[1];
  }
  if (!sizesAgree(shapeOf(getPositions())[0], x[0]))
    return emitOpError() << "position_c3: " << spell(shapeOf(getPositions())[0])
                         << " positions for " << spell(x[0]) << " rows";
  return success();
}

LogicalResult SoftcapOp::verify() {
  if (!isPositive(getCap()))
    return emitOpError() << "softcap_c1: cap (" << getCap().convertToDouble()
                         << ") must be positive and finite";
  return success();
}

LogicalResult ClipOp::verify() {
  if (!getBound().isZero() && !isPositive(getBound()))
    return emitOpError() << "clip_c1: bound (" << getBound().convertToDouble()
                         << ") must be 0 or positive, and finite";
  return success();
}

LogicalResult SelectRowsOp::verify() {
  ArrayRef<int64_t> result = shapeOf(getResult());
  int64_t rows = shapeOf(getRows())[0], columns = shapeOf(getX())[1];
  if (!sizesAgree(result[0], rows) || !sizesAgree(result[1], columns))
    return emitOpError() << "select_rows_c1: result is " << spell(result[0])
                         << "x" << spell(result[1]) << ", expected "
                         << spell(rows) << "x" << spell(columns);
  return success();
}

//===----------------------------------------------------------------------===//
// Attention and its cache
//===----------------------------------------------------------------------===//

LogicalResult KvAppendOp::verify() {
  int64_t any = ShapedType::kDynamic;
  if (failed(
          verifyCache(*this, "kv_append_c1", getRole(), getCache(), any, any)))
    return failure();
  ArrayRef<int64_t> cache = shapeOf(getCache()), x = shapeOf(getX());
  int64_t kvHeads = getCacheKvHeads(getRole(), cache);
  int64_t headDim = getCacheHeadDim(getElementTypeOrSelf(getCache()), cache);
  if (!isProduct(x[1], kvHeads, headDim))
    return emitOpError() << "kv_append_c2: x has " << spell(x[1])
                         << " columns, expected kv_heads * head_dim = "
                         << spell(kvHeads) << " * " << spell(headDim);
  if (!sizesAgree(shapeOf(getSlots())[0], x[0]))
    return emitOpError() << "kv_append_c3: " << spell(shapeOf(getSlots())[0])
                         << " slots for " << spell(x[0]) << " rows";
  return success();
}

LogicalResult RelativeBiasOp::verify() {
  ArrayRef<int64_t> table = shapeOf(getTable()), result = shapeOf(getResult());
  int64_t distance = getMaxDistance();
  constexpr int64_t kMost = int64_t(1) << 20;
  if (isDynamic(table[0]) || table[0] < 2 || distance <= table[0] / 2 ||
      distance > kMost)
    return emitOpError() << "relative_bias_c2: " << spell(table[0])
                         << " buckets and max_distance " << distance
                         << ", expected at least 2 buckets and a distance over "
                            "half of them, at most "
                         << kMost;
  if (!sizesAgree(result[0], table[1]) || result[1] != distance + 1)
    return emitOpError() << "relative_bias_c1: result is "
                         << getResult().getType() << ", expected "
                         << spell(table[1]) << "x" << distance + 1;
  return success();
}

SmallVector<int32_t> RelativeBiasOp::getBuckets() {
  int64_t count = shapeOf(getTable())[0], exact = count / 2;
  double perBucket = std::log(double(getMaxDistance()) / double(exact)) /
                     double(count - exact);
  SmallVector<int32_t> buckets;
  for (int64_t i = 0, most = getMaxDistance(); i <= most; ++i) {
    int64_t bucket = i;
    if (i >= exact)
      bucket = exact + static_cast<int64_t>(
                           std::log(double(i) / double(exact)) / perBucket);
    buckets.push_back(static_cast<int32_t>(std::min(bucket, count - 1)));
  }
  return buckets;
}

LogicalResult AttentionOp::verify() {
  if (failed(verifyAttention(*this)))
    return failure();
  if (std::optional<ArrayRef<float>> slopes = getSlopes())
    if (static_cast<int64_t>(slopes->size()) !=
            static_cast<int64_t>(getHeads()) ||
        !llvm::all_of(*slopes, [](float s) { return std::isfinite(s); }))
      return emitOpError() << "attention_c8: slopes has " << slopes->size()
                           << " elements, expected a finite one for each of "
                           << getHeads() << " heads";
  if (getBias()) {
    ArrayRef<int64_t> bias = shapeOf(getBias());
    if (!sizesAgree(bias[0], getHeads()) || isDynamic(bias[1]) || bias[1] < 1)
      return emitOpError() << "attention_c9: bias is " << getBias().getType()
                           << ", expected a row of a static size for each of "
                           << getHeads() << " heads";
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Folds
//===----------------------------------------------------------------------===//

OpFoldResult ScaleOp::fold(FoldAdaptor) {
  if (getFactor().isExactlyValue(1.0))
    return getX();
  return {};
}

namespace {

/// scale(scale(x, a), b) -> scale(x, a b), where the product is a normal f32:
/// one that overflows or underflows would change more than a rounding.
struct MergeScales : OpRewritePattern<ScaleOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ScaleOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getX().getDefiningOp<ScaleOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "x is not a scale");
    APFloat product = inner.getFactor();
    product.multiply(op.getFactor(), APFloat::rmNearestTiesToEven);
    if (!product.isNormal())
      return rewriter.notifyMatchFailure(op, "the product is not normal");
    rewriter.replaceOpWithNewOp<ScaleOp>(
        op, op.getType(), inner.getX(),
        rewriter.getF32FloatAttr(product.convertToFloat()));
    return success();
  }
};

} // namespace

void ScaleOp::getCanonicalizationPatterns(RewritePatternSet &results,
                                          MLIRContext *context) {
  results.add<MergeScales>(context);
}
