// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights stop being values: every array that stores a param becomes a memref
// argument of each function that computes with weights, and a layer or slice
// of it a subview.

#include "compiler/Passes.h"
#include "compiler/vector/KernelUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace cria {
#define GEN_PASS_DEF_RESOLVEWEIGHTS
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

/// `type` with the default layout: contiguous, offset 0.
static MemRefType contiguous(MemRefType type) {
  return MemRefType::get(type.getShape(), type.getElementType());
}

/// The arrays that store a value of `type`: suffix and contiguous type.
static SmallVector<WeightType::Component> storageOf(Type type) {
  if (auto weight = dyn_cast<WeightType>(type)) {
    SmallVector<WeightType::Component> parts = weight.getStorage();
    for (WeightType::Component &part : parts)
      part.type = contiguous(part.type);
    return parts;
  }
  auto tensor = cast<RankedTensorType>(type);
  return {{"", MemRefType::get(tensor.getShape(), tensor.getElementType())}};
}

/// `memref` as `type`, where a cast can say so without losing an offset.
static FailureOr<Value> castTo(ImplicitLocOpBuilder &b, Value memref,
                               MemRefType type) {
  auto from = cast<MemRefType>(memref.getType());
  if (from == type)
    return memref;
  SmallVector<int64_t> strides;
  int64_t fromOffset, toOffset;
  if (!memref::CastOp::areCastCompatible(from, type) ||
      failed(from.getStridesAndOffset(strides, fromOffset)) ||
      failed(type.getStridesAndOffset(strides, toOffset)) ||
      (ShapedType::isDynamic(fromOffset) && !ShapedType::isDynamic(toOffset)))
    return failure();
  return Value(memref::CastOp::create(b, type, memref));
}

namespace {

/// Resolves the weights of one function.
class Resolver {
public:
  Resolver(func::FuncOp func, ArrayRef<ParamOp> params)
      : func(func), params(params) {}

  LogicalResult run();

private:
  void expandWeightArguments();
  LogicalResult addParamArguments();
  FailureOr<SmallVector<Value>> resolve(ImplicitLocOpBuilder &b, Value weight);
  FailureOr<SmallVector<Value>> resolveLoad(ImplicitLocOpBuilder &b,
                                            LoadOp load);
  LogicalResult replaceData(WeightDataOp data);
  LogicalResult replaceBuffer(bufferization::ToBufferOp buffer);

  func::FuncOp func;
  ArrayRef<ParamOp> params;
  llvm::DenseMap<Value, SmallVector<Value>> arguments; // by weight argument
  llvm::StringMap<SmallVector<Value>> ofParam;
};

} // namespace

/// Puts a weight argument's arrays in its place.
void Resolver::expandWeightArguments() {
  Block &entry = func.getBody().front();
  for (unsigned i = 0; i < entry.getNumArguments(); ++i) {
    BlockArgument weight = entry.getArgument(i);
    if (!isa<WeightType>(weight.getType()))
      continue;
    unsigned next = i;
    SmallVector<Value> parts;
    for (const WeightType::Component &part : storageOf(weight.getType())) {
      ++next;
      // func.func cannot refuse: the types are those of a fresh argument.
      (void)func.insertArgument(next, part.type, {}, weight.getLoc());
      parts.push_back(entry.getArgument(next));
    }
    arguments[weight] = parts;
    i = next;
  }
}

/// Appends an argument for every array of every param, used or not, so that
/// all variants of an entry have one signature.
LogicalResult Resolver::addParamArguments() {
  for (ParamOp param : params) {
    for (const WeightType::Component &part : storageOf(param.getType())) {
      std::string name = ("weight:" + param.getSymName()).str();
      if (!part.suffix.empty())
        name += ("." + part.suffix).str();
      Builder b(func.getContext());
      auto attrs = b.getDictionaryAttr(
          b.getNamedAttr("cria.arg", b.getStringAttr(name)));
      unsigned index = func.getNumArguments();
      if (failed(func.insertArgument(index, part.type, attrs, param.getLoc())))
        return failure();
      ofParam[param.getSymName()].push_back(func.getArgument(index));
    }
  }
  return success();
}

/// The memrefs of a param, less its layer dimension.
FailureOr<SmallVector<Value>> Resolver::resolveLoad(ImplicitLocOpBuilder &b,
                                                    LoadOp load) {
  auto found = ofParam.find(load.getParam());
  if (found == ofParam.end())
    return load.emitOpError("no cria.param named @") << load.getParam();
  SmallVector<Value> parts = found->second;
  if (!load.getLayer())
    return parts;
  for (Value &part : parts) {
    auto type = cast<MemRefType>(part.getType());
    SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0));
    SmallVector<OpFoldResult> sizes =
        memref::getMixedSizes(b, b.getLoc(), part);
    SmallVector<OpFoldResult> strides(type.getRank(), b.getIndexAttr(1));
    offsets[0] = load.getLayer();
    sizes[0] = b.getIndexAttr(1);
    MemRefType reduced = memref::SubViewOp::inferRankReducedResultType(
        type.getShape().drop_front(), type, offsets, sizes, strides);
    part = memref::SubViewOp::create(b, reduced, part, offsets, sizes, strides);
  }
  return parts;
}

/// The memrefs that store `weight`.
FailureOr<SmallVector<Value>> Resolver::resolve(ImplicitLocOpBuilder &b,
                                                Value weight) {
  if (auto found = arguments.find(weight); found != arguments.end())
    return found->second;
  if (auto load = weight.getDefiningOp<LoadOp>())
    return resolveLoad(b, load);
  auto slice = weight.getDefiningOp<WeightSliceOp>();
  if (!slice) {
    emitError(weight.getLoc(), "a weight of type ")
        << weight.getType()
        << " comes from neither cria.load, cria.weight_slice nor an argument "
           "of the function";
    return failure();
  }

  FailureOr<SmallVector<Value>> parts = resolve(b, slice.getSource());
  if (failed(parts))
    return failure();
  auto type = cast<WeightType>(slice.getType());
  Value first = slice.getOffset();
  // Outside layout rows, the leading dimension counts groups of 16 rows.
  if (type.getLayout() != WeightLayout::rows)
    first = arith::DivUIOp::create(b, first, constIndex(b, kLanes));
  for (auto [part, wanted] : llvm::zip_equal(*parts, type.getStorage())) {
    auto from = cast<MemRefType>(part.getType());
    SmallVector<OpFoldResult> offsets(from.getRank(), b.getIndexAttr(0));
    SmallVector<OpFoldResult> sizes =
        memref::getMixedSizes(b, b.getLoc(), part);
    SmallVector<OpFoldResult> strides(from.getRank(), b.getIndexAttr(1));
    offsets[0] = first;
    // A slice of unknown size is bounded by what it is stored into; the
    // subview just ends where its source does.
    if (wanted.type.isDynamicDim(0))
      sizes[0] = Value(arith::SubIOp::create(b, dimSize(b, part, 0), first));
    else
      sizes[0] = b.getIndexAttr(wanted.type.getDimSize(0));
    part = memref::SubViewOp::create(b, part, offsets, sizes, strides);
  }
  return parts;
}

LogicalResult Resolver::replaceData(WeightDataOp data) {
  ImplicitLocOpBuilder b(data.getLoc(), data);
  FailureOr<SmallVector<Value>> parts = resolve(b, data.getWeight());
  if (failed(parts))
    return failure();
  for (auto [part, result] : llvm::zip_equal(*parts, data.getResults())) {
    auto type = cast<MemRefType>(result.getType());
    FailureOr<Value> same = castTo(b, part, type);
    if (failed(same))
      return data.emitOpError("the stored array has type ")
             << part.getType() << ", which cannot be viewed as " << type;
    result.replaceAllUsesWith(*same);
  }
  data.erase();
  return success();
}

/// A norm weight or bias: an f32 tensor param after bufferization.
LogicalResult Resolver::replaceBuffer(bufferization::ToBufferOp buffer) {
  auto load = buffer.getTensor().getDefiningOp<LoadOp>();
  ImplicitLocOpBuilder b(buffer.getLoc(), buffer);
  FailureOr<SmallVector<Value>> parts = resolveLoad(b, load);
  if (failed(parts))
    return failure();
  Value part = parts->front();
  FailureOr<Value> same = castTo(b, part, cast<MemRefType>(buffer.getType()));
  bool onlyKernels = llvm::all_of(buffer->getUsers(), [](Operation *user) {
    return isa_and_nonnull<CriaDialect>(user->getDialect());
  });
  // Kernel ops take any layout.
  if (failed(same) && !onlyKernels)
    return buffer.emitOpError("result type ")
           << buffer.getType() << " cannot view " << part.getType()
           << "; bufferize params with a dynamic offset";
  buffer.replaceAllUsesWith(failed(same) ? part : *same);
  buffer.erase();
  return success();
}

LogicalResult Resolver::run() {
  SmallVector<WeightDataOp> datas;
  SmallVector<bufferization::ToBufferOp> buffers;
  bool needsParams = false;
  func.walk([&](Operation *op) {
    if (auto data = dyn_cast<WeightDataOp>(op))
      datas.push_back(data);
    if (auto buffer = dyn_cast<bufferization::ToBufferOp>(op))
      if (buffer.getTensor().getDefiningOp<LoadOp>())
        buffers.push_back(buffer);
    needsParams |= isa<LoadOp>(op);
  });

  expandWeightArguments();
  if (needsParams && failed(addParamArguments()))
    return failure();
  for (WeightDataOp data : datas)
    if (failed(replaceData(data)))
      return failure();
  for (bufferization::ToBufferOp buffer : buffers)
    if (failed(replaceBuffer(buffer)))
      return failure();

  // What is left of the weight values has no users, unless a kernel was not
  // vectorized. Users come after their operands: walk backwards.
  SmallVector<Operation *> values;
  func.walk([&](Operation *op) {
    if (isa<LoadOp, WeightSliceOp>(op))
      values.push_back(op);
  });
  for (Operation *op : llvm::reverse(values)) {
    if (!op->use_empty())
      return op->emitOpError("is still used by ")
             << (*op->user_begin())->getName()
             << "; vectorize all kernels before cria-resolve-weights";
    op->erase();
  }
  for (unsigned i = func.getNumArguments(); i-- > 0;) {
    if (!isa<WeightType>(func.getArgument(i).getType()))
      continue;
    if (!func.getArgument(i).use_empty())
      return func.emitOpError("weight argument ")
             << i << " is still used by "
             << (*func.getArgument(i).user_begin())->getName();
    if (failed(func.eraseArgument(i)))
      return failure();
  }
  return success();
}

namespace {

struct ResolveWeights : cria::impl::ResolveWeightsBase<ResolveWeights> {
  void runOnOperation() override {
    auto params = llvm::to_vector(getOperation().getOps<ParamOp>());
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (!func.isDeclaration() && failed(Resolver(func, params).run()))
        return signalPassFailure();
  }
};

} // namespace
