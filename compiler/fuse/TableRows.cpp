// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is looked up in a table by position or distance: absolute positions, and
// what attention adds to scores. A loaded param is read in slices: the load of
// one of its elements would fold to one of a tensor.

#include "compiler/fuse/FuseUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace cria;

/// `source` through `body`, elementwise into `into`, both of rank 1.
static Value
mapElements(OpBuilder &b, Location loc, ValueRange sources, Value into,
            llvm::function_ref<Value(OpBuilder &, ValueRange)> body) {
  SmallVector<AffineMap> maps(sources.size() + 1, b.getMultiDimIdentityMap(1));
  return linalg::GenericOp::create(b, loc, TypeRange{into.getType()}, sources,
                                   ValueRange{into}, maps,
                                   utils::IteratorType::parallel,
                                   [&](OpBuilder &b, Location l, ValueRange v) {
                                     Value result = body(b, v);
                                     linalg::YieldOp::create(b, l, result);
                                   })
      .getResult(0);
}

/// A row (dimension 0) or column (dimension 1) of a matrix.
struct Line {
  SmallVector<OpFoldResult> offsets, sizes, strides;

  Line(OpBuilder &b, int64_t dim, OpFoldResult at, int64_t length)
      : offsets(2, b.getIndexAttr(0)), sizes(2, b.getIndexAttr(1)),
        strides(2, b.getIndexAttr(1)) {
    offsets[dim] = at;
    sizes[1 - dim] = b.getIndexAttr(length);
  }
  Value of(OpBuilder &b, Location loc, Value matrix) const {
    int64_t length = std::max(*getConstantIntValue(sizes[0]),
                              *getConstantIntValue(sizes[1]));
    auto type = RankedTensorType::get({length}, b.getF32Type());
    return tensor::ExtractSliceOp::create(b, loc, type, matrix, offsets, sizes,
                                          strides);
  }
};

/// A parallel loop that fills line `index` of `init`, for each of `count`.
static Value fillLines(
    OpBuilder &b, Location loc, Value init, int64_t dim, int64_t length,
    llvm::function_ref<Value(OpBuilder &, Value index, Value line)> body) {
  OpFoldResult bound = tensor::getMixedSize(b, loc, init, dim);
  auto loop = scf::ForallOp::create(b, loc, ArrayRef(bound), init,
                                    /*mapping=*/std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value index = loop.getInductionVar(0);
  Value out = loop.getRegionIterArgs()[0];
  Line line(b, dim, index, length);
  Value filled = body(b, index, line.of(b, loc, out));
  b.setInsertionPointToStart(loop.getTerminator().getBody());
  tensor::ParallelInsertSliceOp::create(b, loc, filled, out, line.offsets,
                                        line.sizes, line.strides);
  return loop.getResult(0);
}

Value cria::learnedPositions(OpBuilder &b, PositionOp op) {
  Location loc = op.getLoc();
  int64_t width = cast<RankedTensorType>(op.getX().getType()).getDimSize(1);
  Value init = emptyRows(b, loc, op.getX(), width, b.getF32Type());
  return fillLines(
      b, loc, init, 0, width, [&](OpBuilder &b, Value token, Value row) {
        Value position = arith::IndexCastOp::create(
            b, loc, b.getIndexType(),
            tensor::ExtractOp::create(b, loc, op.getPositions(), token));
        Value x = Line(b, 0, token, width).of(b, loc, op.getX());
        Value learned = Line(b, 0, position, width).of(b, loc, op.getTable());
        return mapElements(b, loc, {x, learned}, row,
                           [&](OpBuilder &b, ValueRange v) -> Value {
                             return arith::AddFOp::create(b, loc, v[0], v[1]);
                           });
      });
}

/// The angles are those of a rope over the whole row: column 2j has the sine
/// of pair j, which the table holds negated there, and 2j + 1 the cosine.
Value cria::sinusoidalPositions(OpBuilder &b, PositionOp op) {
  Location loc = op.getLoc();
  int64_t width = cast<RankedTensorType>(op.getX().getType()).getDimSize(1);
  auto number = [](double v) { return llvm::APFloat(v); };
  auto rope =
      RopeAttr::get(b.getContext(), RopePairs::interleaved, number(1e4), width,
                    RopeScaling::none, number(1), 0, 0, number(32), number(1),
                    number(1), number(4), number(0), /*truncate=*/true, {}, {});
  int64_t columns[] = {2, width};
  Value empty = emptyRows(b, loc, op.getX(), columns, b.getF32Type());
  Value table = RopeTableOp::create(b, loc, TypeRange{empty.getType()},
                                    op.getPositions(), empty, rope)
                    .getResults()[0];
  auto type = cast<RankedTensorType>(op.getX().getType());
  auto part = [&](int64_t which) -> Value {
    SmallVector<OpFoldResult> offsets(3, b.getIndexAttr(0)),
        strides(3, b.getIndexAttr(1));
    offsets[1] = b.getIndexAttr(which);
    SmallVector<OpFoldResult> sizes{tensor::getMixedSize(b, loc, op.getX(), 0),
                                    b.getIndexAttr(1), b.getIndexAttr(width)};
    return tensor::ExtractSliceOp::create(b, loc, type, table, offsets, sizes,
                                          strides);
  };
  Value init = emptyRows(b, loc, op.getX(), width, b.getF32Type());
  SmallVector<AffineMap> maps(4, b.getMultiDimIdentityMap(2));
  SmallVector<utils::IteratorType> loops(2, utils::IteratorType::parallel);
  auto body = [&](OpBuilder &b, Location loc, ValueRange v) {
    Value one = arith::ConstantIndexOp::create(b, loc, 1);
    Value odd =
        arith::AndIOp::create(b, loc, linalg::IndexOp::create(b, loc, 1), one);
    Value isCosine =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, odd, one);
    Value sine = arith::NegFOp::create(b, loc, v[2]);
    Value encoding = arith::SelectOp::create(b, loc, isCosine, v[1], sine);
    Value sum = arith::AddFOp::create(b, loc, v[0], encoding);
    linalg::YieldOp::create(b, loc, sum);
  };
  return linalg::GenericOp::create(b, loc, TypeRange{type},
                                   ValueRange{op.getX(), part(0), part(1)},
                                   ValueRange{init}, maps, loops, body)
      .getResult(0);
}

Value cria::alibiSlopesOf(OpBuilder &b, AttentionOp attention) {
  std::optional<ArrayRef<float>> slopes = attention.getSlopes();
  if (!slopes)
    return {};
  auto type = RankedTensorType::get({static_cast<int64_t>(slopes->size())},
                                    b.getF32Type());
  return arith::ConstantOp::create(b, attention.getLoc(),
                                   DenseElementsAttr::get(type, *slopes));
}

Value cria::biasRows(OpBuilder &b, AttentionOp attention) {
  Value bias = attention.getBias();
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfterValue(bias);
  Location loc = attention.getLoc();
  auto type = cast<RankedTensorType>(bias.getType());
  int64_t heads = type.getDimSize(0), distances = type.getDimSize(1);
  constexpr int64_t lanes = CriaDialect::kLanes;
  // Where column j is found: a distance, or the bucket that it is in.
  auto relative = bias.getDefiningOp<RelativeBiasOp>();
  SmallVector<int32_t> buckets;
  if (relative)
    buckets = relative.getBuckets();
  SmallVector<int32_t> places;
  for (int64_t j = 0; j < distances + 2 * lanes; ++j) {
    int64_t distance =
        std::clamp<int64_t>(distances - 1 + lanes - j, 0, distances - 1);
    places.push_back(relative ? buckets[distance]
                              : static_cast<int32_t>(distance));
  }
  int64_t columns = static_cast<int64_t>(places.size());
  Value list = arith::ConstantOp::create(
      b, loc,
      DenseElementsAttr::get(RankedTensorType::get({columns}, b.getI32Type()),
                             ArrayRef<int32_t>(places)));
  int64_t shape[] = {heads, columns};
  Value init = tensor::EmptyOp::create(b, loc, shape, b.getF32Type());
  return fillLines(
      b, loc, init, 1, heads, [&](OpBuilder &b, Value j, Value column) {
        Value place = arith::IndexCastOp::create(
            b, loc, b.getIndexType(),
            tensor::ExtractOp::create(b, loc, list, j));
        Value source =
            relative ? Line(b, 0, place, heads).of(b, loc, relative.getTable())
                     : Line(b, 1, place, heads).of(b, loc, bias);
        // Element by element: a copy would be of tensors.
        auto index = [&](int64_t v) -> Value {
          return arith::ConstantIndexOp::create(b, loc, v);
        };
        return scf::ForOp::create(
                   b, loc, index(0), index(heads), index(1), column,
                   [&](OpBuilder &b, Location l, Value h, ValueRange filled) {
                     Value element = tensor::ExtractOp::create(b, l, source, h);
                     Value next =
                         tensor::InsertOp::create(b, l, element, filled[0], h);
                     scf::YieldOp::create(b, l, next);
                   })
            .getResult(0);
      });
}
