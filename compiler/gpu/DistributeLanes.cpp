// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/gpu/LaneBuilder.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Transforms/DialectConversion.h"
#include "llvm/Support/MathExtras.h"

namespace cria {
#define GEN_PASS_DEF_DISTRIBUTELANES
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;
using namespace cria::lanes;

namespace {

/// The lane of each function, at its begin, and of each loop over tasks (those
/// that no barrier is in), at the begin of its body: what is computed from it
/// is then not kept in registers for all kernels of a step at once.
using LaneMap = llvm::DenseMap<Operation *, Value>;

/// The outermost of the loops around `op` that are in `lanes`, or the function.
Value laneFor(Operation *op, const LaneMap &lanes) {
  Value lane;
  for (Operation *parent = op->getParentOp(); parent;
       parent = parent->getParentOp())
    if (Value own = lanes.lookup(parent);
        own && !(lane && isa<func::FuncOp>(parent)))
      lane = own;
  return lane;
}

struct LanePatternBase {
  const LaneMap *lanes;
  LaneBuilder builder(Operation *op,
                      ConversionPatternRewriter &rewriter) const {
    return LaneBuilder(op->getLoc(), rewriter, laneFor(op, *lanes));
  }
};

template <typename OpTy>
struct LanePattern : OpConversionPattern<OpTy>, LanePatternBase {
  LanePattern(const TypeConverter &converter, MLIRContext *context,
              const LaneMap *lanes)
      : OpConversionPattern<OpTy>(converter, context), LanePatternBase{lanes} {}
};

struct ConvertLoad : LanePattern<vector::LoadOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::LoadOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    VectorType type = op.getVectorType();
    SmallVector<Value> indices(adaptor.getIndices());
    if (indices.empty())
      return failure();
    indices.back() = b.place(indices.back(), type);
    int64_t perLane = elementsPerLane(type);
    Value result;
    if (perLane == 1) {
      result = memref::LoadOp::create(b, adaptor.getBase(), indices);
    } else {
      // The codes of a group of rows, and a page's scales, begin at multiples
      // of 64 bytes.
      Type word = getTypeConverter()->convertType(type);
      auto load =
          vector::LoadOp::create(b, ownType(type), adaptor.getBase(), indices);
      load.setAlignment(word.getIntOrFloatBitWidth() / 8);
      result = b.pack(b.own(load), word);
    }
    rewriter.replaceOp(op, result);
    return success();
  }
};

struct ConvertStore : LanePattern<vector::StoreOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::StoreOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    VectorType type = op.getVectorType();
    SmallVector<Value> indices(adaptor.getIndices());
    if (indices.empty())
      return failure();
    indices.back() = b.place(indices.back(), type);
    b.sync();
    int64_t size = type.getDimSize(0), perLane = elementsPerLane(type);
    if (perLane > 1) {
      Value value = b.unpack(adaptor.getValueToStore(), ownType(type));
      vector::StoreOp::create(b, value, adaptor.getBase(), indices)
          ->setAttr(kOwnMark, b.getUnitAttr());
    } else {
      OpBuilder::InsertionGuard guard(b);
      if (size < kLanes) {
        auto branch = scf::IfOp::create(b, b.isBelow(size), false);
        b.setInsertionPointToStart(branch.thenBlock());
      }
      memref::StoreOp::create(b, adaptor.getValueToStore(), adaptor.getBase(),
                              indices);
    }
    b.sync();
    rewriter.eraseOp(op);
    return success();
  }
};

struct ConvertMaskedLoad : LanePattern<vector::MaskedLoadOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::MaskedLoadOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    VectorType type = op.getVectorType();
    if (elementsPerLane(type) != 1)
      return rewriter.notifyMatchFailure(op, "several elements a lane");
    SmallVector<Value> indices(adaptor.getIndices());
    indices.back() = b.place(indices.back(), type);
    auto branch = scf::IfOp::create(b, TypeRange(type.getElementType()),
                                    adaptor.getMask(), true);
    b.setInsertionPointToStart(branch.thenBlock());
    Value loaded = memref::LoadOp::create(b, adaptor.getBase(), indices);
    scf::YieldOp::create(b, loaded);
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, adaptor.getPassThru());
    rewriter.replaceOp(op, branch);
    return success();
  }
};

struct ConvertMaskedStore : LanePattern<vector::MaskedStoreOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::MaskedStoreOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    VectorType type = op.getVectorType();
    if (elementsPerLane(type) != 1)
      return rewriter.notifyMatchFailure(op, "several elements a lane");
    SmallVector<Value> indices(adaptor.getIndices());
    indices.back() = b.place(indices.back(), type);
    Value mask = adaptor.getMask();
    if (type.getDimSize(0) < kLanes)
      mask = arith::AndIOp::create(b, mask, b.isBelow(type.getDimSize(0)));
    b.sync();
    auto branch = scf::IfOp::create(b, mask, false);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(branch.thenBlock());
      memref::StoreOp::create(b, adaptor.getValueToStore(), adaptor.getBase(),
                              indices);
    }
    b.sync();
    rewriter.eraseOp(op);
    return success();
  }
};

struct ConvertBroadcast : LanePattern<vector::BroadcastOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::BroadcastOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    if (isa<VectorType>(op.getSource().getType()))
      return rewriter.notifyMatchFailure(op, "a broadcast of a vector");
    auto type = cast<VectorType>(op.getType());
    Value value = adaptor.getSource();
    if (elementsPerLane(type) > 1)
      value =
          b.pack(b.own(vector::BroadcastOp::create(b, ownType(type), value)),
                 getTypeConverter()->convertType(type));
    rewriter.replaceOp(op, value);
    return success();
  }
};

struct ConvertShuffle : LanePattern<vector::ShuffleOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::ShuffleOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    VectorType type = op.getResultVectorType();
    int64_t sizeOfA = op.getV1VectorType().getDimSize(0);
    if (sizeOfA > kLanes || op.getV2VectorType().getDimSize(0) > kLanes)
      return rewriter.notifyMatchFailure(op, "several elements a lane");
    int64_t perLane = elementsPerLane(type);
    SmallVector<Value> slots;
    for (int64_t slot = 0; slot < perLane; ++slot) {
      LaneTable table;
      table.fill(-1);
      for (int64_t l = 0; l < kLanes; ++l)
        if (int64_t e = l * perLane + slot; e < type.getDimSize(0))
          table[l] = static_cast<int>(op.getMask()[e]);
      slots.push_back(
          b.select(adaptor.getV1(), sizeOfA, adaptor.getV2(), table));
    }
    Value result = slots[0];
    if (perLane > 1)
      result =
          b.pack(b.own(vector::FromElementsOp::create(b, ownType(type), slots)),
                 getTypeConverter()->convertType(type));
    rewriter.replaceOp(op, result);
    return success();
  }
};

struct ConvertExtract : LanePattern<vector::ExtractOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::ExtractOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    if (op.getSourceVectorType().getRank() != 1 ||
        elementsPerLane(op.getSourceVectorType()) != 1 ||
        op.getNumIndices() != 1 || op.hasDynamicPosition())
      return rewriter.notifyMatchFailure(op, "not one constant lane");
    rewriter.replaceOp(
        op, b.shuffle(adaptor.getSource(), b.i32(op.getStaticPosition()[0])));
    return success();
  }
};

struct ConvertInsert : LanePattern<vector::InsertOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::InsertOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    if (elementsPerLane(op.getDestVectorType()) != 1 ||
        isa<VectorType>(op.getValueToStoreType()) || op.getNumIndices() != 1 ||
        op.hasDynamicPosition())
      return rewriter.notifyMatchFailure(op, "not one constant lane");
    Value isHere = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, b.lane,
                                         b.i32(op.getStaticPosition()[0]));
    rewriter.replaceOpWithNewOp<arith::SelectOp>(
        op, isHere, adaptor.getValueToStore(), adaptor.getDest());
    return success();
  }
};

struct ConvertExtractSlice : LanePattern<vector::ExtractStridedSliceOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::ExtractStridedSliceOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    if (elementsPerLane(op.getSourceVectorType()) != 1)
      return rewriter.notifyMatchFailure(op, "several elements a lane");
    auto offset = cast<IntegerAttr>(op.getOffsets()[0]).getInt();
    LaneTable table;
    table.fill(-1);
    for (int64_t l = 0; l < cast<VectorType>(op.getType()).getDimSize(0); ++l)
      table[l] = static_cast<int>(l + offset);
    rewriter.replaceOp(op, b.gather(adaptor.getSource(), table));
    return success();
  }
};

struct ConvertInsertSlice : LanePattern<vector::InsertStridedSliceOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::InsertStridedSliceOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    int64_t size = op.getDestVectorType().getDimSize(0);
    if (elementsPerLane(op.getDestVectorType()) != 1)
      return rewriter.notifyMatchFailure(op, "several elements a lane");
    int64_t offset = cast<IntegerAttr>(op.getOffsets()[0]).getInt();
    int64_t count = op.getSourceVectorType().getDimSize(0);
    LaneTable table;
    table.fill(-1);
    for (int64_t l = 0; l < size; ++l)
      table[l] = static_cast<int>(
          l >= offset && l < offset + count ? size + l - offset : l);
    rewriter.replaceOp(op, b.select(adaptor.getDest(), size,
                                    adaptor.getValueToStore(), table));
    return success();
  }
};

struct ConvertInterleave : LanePattern<vector::InterleaveOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::InterleaveOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    int64_t size = op.getSourceVectorType().getDimSize(0);
    if (2 * size > kLanes)
      return rewriter.notifyMatchFailure(op, "several elements a lane");
    LaneTable table;
    table.fill(-1);
    for (int64_t l = 0; l < 2 * size; ++l)
      table[l] = static_cast<int>(l / 2 + (l % 2 ? size : 0));
    rewriter.replaceOp(
        op, b.select(adaptor.getLhs(), size, adaptor.getRhs(), table));
    return success();
  }
};

struct ConvertBitCast : LanePattern<vector::BitCastOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::BitCastOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    VectorType from = op.getSourceVectorType(), to = op.getResultVectorType();
    auto bits = [](VectorType type) {
      return elementsPerLane(type) * type.getElementTypeBitWidth();
    };
    Value value = adaptor.getSource();
    if (bits(from) == bits(to)) {
      rewriter.replaceOp(
          op, b.reinterpret(value, getTypeConverter()->convertType(to)));
      return success();
    }
    // 16 halves of words to 8 words.
    if (from.getDimSize(0) < kLanes || bits(from) != 16 ||
        to.getDimSize(0) != kLanes / 2 || to.getElementTypeBitWidth() != 32)
      return rewriter.notifyMatchFailure(op, "elements change their lanes");
    value = b.reinterpret(value, b.getI16Type());
    LaneTable even, odd;
    for (int l = 0; l < kLanes; ++l) {
      even[l] = l < kLanes / 2 ? 2 * l : -1;
      odd[l] = l < kLanes / 2 ? 2 * l + 1 : -1;
    }
    Value low =
        arith::ExtUIOp::create(b, b.getI32Type(), b.gather(value, even));
    Value high =
        arith::ExtUIOp::create(b, b.getI32Type(), b.gather(value, odd));
    high = arith::ShLIOp::create(b, high, b.i32(16));
    Value word = arith::OrIOp::create(b, low, high);
    rewriter.replaceOp(op, b.reinterpret(word, to.getElementType()));
    return success();
  }
};

/// In a tree of pairs of lanes, so for what may be done in any order.
struct ConvertReduction : LanePattern<vector::ReductionOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::ReductionOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    VectorType type = op.getSourceVectorType();
    vector::CombiningKind kind = op.getKind();
    bool ordered = isa<FloatType>(type.getElementType()) &&
                   (kind == vector::CombiningKind::ADD ||
                    kind == vector::CombiningKind::MUL);
    int64_t size = type.getDimSize(0);
    if (size > kLanes || !llvm::isPowerOf2_64(size) || ordered)
      return rewriter.notifyMatchFailure(op, "a sum whose order matters, or "
                                             "of lanes that are no power of 2");
    Value value = adaptor.getVector();
    for (int64_t distance = size / 2; distance > 0; distance /= 2) {
      Value other =
          b.shuffle(value, arith::XOrIOp::create(b, b.lane, b.i32(distance)));
      value = vector::makeArithReduction(b, b.getLoc(), kind, value, other);
    }
    if (size < kLanes)
      value = b.shuffle(value, b.i32(0));
    if (adaptor.getAcc())
      value = vector::makeArithReduction(b, b.getLoc(), kind, value,
                                         adaptor.getAcc());
    rewriter.replaceOp(op, value);
    return success();
  }
};

struct ConvertCreateMask : LanePattern<vector::CreateMaskOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::CreateMaskOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    if (elementsPerLane(op.getVectorType()) != 1)
      return rewriter.notifyMatchFailure(op, "several elements a lane");
    Value lane = arith::IndexCastUIOp::create(b, b.getIndexType(), b.lane);
    rewriter.replaceOpWithNewOp<arith::CmpIOp>(op, arith::CmpIPredicate::slt,
                                               lane, adaptor.getOperands()[0]);
    return success();
  }
};

struct ConvertConstantMask : LanePattern<vector::ConstantMaskOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(vector::ConstantMaskOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LaneBuilder b = builder(op, rewriter);
    if (elementsPerLane(op.getType()) != 1)
      return rewriter.notifyMatchFailure(op, "several elements a lane");
    rewriter.replaceOp(op, b.isBelow(op.getMaskDimSizes()[0]));
    return success();
  }
};

struct ConvertConstant : LanePattern<arith::ConstantOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(arith::ConstantOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    auto type = dyn_cast<VectorType>(op.getType());
    auto values = dyn_cast<DenseElementsAttr>(op.getValue());
    if (!type || !values)
      return failure();
    LaneBuilder b = builder(op, rewriter);
    Type own = getTypeConverter()->convertType(type);
    int64_t perLane = elementsPerLane(type);
    if (perLane > 1 && !(values.isSplat() && type.getElementType().isInteger()))
      return rewriter.notifyMatchFailure(op, "several elements a lane");
    if (perLane > 1) {
      int64_t all = repeat(values.getSplatValue<APInt>().getZExtValue(),
                           type.getElementTypeBitWidth(), perLane);
      rewriter.replaceOpWithNewOp<arith::ConstantOp>(
          op, b.getIntegerAttr(
                  own, APInt(own.getIntOrFloatBitWidth(), all, false, true)));
      return success();
    }
    auto elements = llvm::to_vector(values.getValues<TypedAttr>());
    Value result = arith::ConstantOp::create(b, elements.back());
    for (int64_t l = static_cast<int64_t>(elements.size()) - 2; l >= 0; --l) {
      if (elements[l] == elements[l + 1])
        continue;
      Value own = arith::ConstantOp::create(b, elements[l]);
      result = arith::SelectOp::create(b, b.isBelow(l + 1), own, result);
    }
    rewriter.replaceOp(op, result);
    return success();
  }
};

struct ConvertDot4 : LanePattern<Dot4Op> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(Dot4Op op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<func::CallOp>(
        op, kDot4, TypeRange(rewriter.getI32Type()), adaptor.getOperands());
    return success();
  }
};

struct ConvertScalars : LanePattern<func::CallOp> {
  using LanePattern::LanePattern;
  LogicalResult
  matchAndRewrite(func::CallOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    if (op.getCallee() != kScalars && op.getCallee() != kScalar)
      return rewriter.notifyMatchFailure(op, "a call with vectors");
    rewriter.replaceOp(op, adaptor.getOperands());
    return success();
  }
};

/// Whatever works on elements one by one.
struct ConvertElementwise : ConversionPattern, LanePatternBase {
  ConvertElementwise(const TypeConverter &converter, MLIRContext *context,
                     const LaneMap *lanes)
      : ConversionPattern(converter, MatchAnyOpTypeTag(), 1, context),
        LanePatternBase{lanes} {}

  static bool isPacked(Value value) {
    auto type = dyn_cast<VectorType>(value.getType());
    return type && elementsPerLane(type) > 1;
  }

  LogicalResult
  matchAndRewrite(Operation *op, ArrayRef<Value> operands,
                  ConversionPatternRewriter &rewriter) const override {
    if (!OpTrait::hasElementwiseMappableTraits(op) || op->getNumRegions() ||
        op->getNumResults() != 1)
      return failure();
    LaneBuilder b = builder(op, rewriter);
    Type type = getTypeConverter()->convertType(op->getResult(0).getType());
    if (!type)
      return failure();
    bool packed =
        isPacked(op->getResult(0)) || llvm::any_of(op->getOperands(), isPacked);
    if (!packed || isa<arith::AndIOp, arith::OrIOp, arith::XOrIOp>(op)) {
      rewriter.replaceOp(op, create(b, op, operands, type));
      return success();
    }
    APInt amount;
    if (isa<arith::ShRUIOp, arith::ShLIOp>(op) &&
        matchPattern(op->getOperand(1), m_ConstantInt(&amount))) {
      bool isRight = isa<arith::ShRUIOp>(op);
      auto vector = cast<VectorType>(op->getResult(0).getType());
      unsigned bits = vector.getElementTypeBitWidth();
      uint64_t by = amount.getLimitedValue(bits);
      auto constant = [&](int64_t value) -> Value {
        return arith::ConstantOp::create(
            b, b.getIntegerAttr(type, APInt(type.getIntOrFloatBitWidth(), value,
                                            false, true)));
      };
      // A shift of the whole, without what would cross from one to the next.
      Operation *moved = create(b, op, {operands[0], constant(by)}, type);
      uint64_t all = llvm::maskTrailingOnes<uint64_t>(bits);
      uint64_t kept = isRight ? all >> by : all << by;
      rewriter.replaceOpWithNewOp<arith::AndIOp>(
          op, moved->getResult(0),
          constant(repeat(kept, bits, elementsPerLane(vector))));
      return success();
    }
    // One by one.
    SmallVector<Value> parts;
    for (auto [old, value] : llvm::zip_equal(op->getOperands(), operands))
      parts.push_back(
          isPacked(old)
              ? b.unpack(value, ownType(cast<VectorType>(old.getType())))
              : value);
    auto result = cast<VectorType>(op->getResult(0).getType());
    Operation *each = create(b, op, parts, ownType(result));
    rewriter.replaceOp(op, b.pack(b.own(each), type));
    return success();
  }

  static Operation *create(OpBuilder &b, Operation *op, ValueRange operands,
                           Type type) {
    OperationState state(op->getLoc(), op->getName(), operands, type,
                         op->getDiscardableAttrDictionary().getValue());
    state.propertiesAttr = op->getPropertiesAsAttribute();
    return b.create(state);
  }
};

struct DistributeLanes : cria::impl::DistributeLanesBase<DistributeLanes> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    LaneMap lanes;
    OpBuilder b(module.getBodyRegion());
    declare(b, kLane, {}, b.getI32Type());
    declare(b, kShuffle, {b.getI32Type(), b.getI32Type()}, b.getI32Type());
    declare(b, kSync, {}, {});
    declare(b, kDot4, {b.getI32Type(), b.getI32Type(), b.getI32Type()},
            b.getI32Type());
    int64_t scratch = 0;
    for (auto func : module.getOps<func::FuncOp>()) {
      if (func.isExternal())
        continue;
      b.setInsertionPointToStart(&func.getBody().front());
      Value lane = func::CallOp::create(b, func.getLoc(), kLane,
                                        TypeRange(b.getI32Type()), ValueRange())
                       .getResult(0);
      lanes[func] = lane;
      func.walk<WalkOrder::PreOrder>([&](scf::ForOp loop) {
        if (loop.walk([](BarrierOp) { return WalkResult::interrupt(); })
                .wasInterrupted())
          return WalkResult::advance();
        b.setInsertionPointToStart(loop.getBody());
        lanes[loop] =
            func::CallOp::create(b, loop.getLoc(), kLane,
                                 TypeRange(b.getI32Type()), ValueRange())
                .getResult(0);
        return WalkResult::skip();
      });
      if (failed(placeScratch(func, scratch)))
        return signalPassFailure();
      guardScalarStores(func, lanes);
    }
    if (scratch) {
      int64_t own = threadArenaBytes();
      module->setAttr("cria.thread_arena_bytes",
                      b.getI64IntegerAttr(own + scratch));
    }
    if (failed(convert(lanes)))
      return signalPassFailure();
    for (StringRef undone : {kScalars, kScalar})
      if (auto func = module.lookupSymbol<func::FuncOp>(undone))
        func.erase();
    for (auto func : module.getOps<func::FuncOp>())
      dropDoubleSyncs(func);
  }

private:
  void declare(OpBuilder &b, StringRef name, TypeRange inputs,
               TypeRange results) {
    if (getOperation().lookupSymbol(name))
      return;
    auto func = func::FuncOp::create(b, getOperation().getLoc(), name,
                                     b.getFunctionType(inputs, results));
    func.setPrivate();
  }

  int64_t threadArenaBytes() {
    auto bytes =
        getOperation()->getAttrOfType<IntegerAttr>("cria.thread_arena_bytes");
    return bytes ? bytes.getInt() : 0;
  }

  /// What is on a CPU's stack goes behind the thread's buffers. Versions do
  /// not run at once: the largest counts.
  LogicalResult placeScratch(func::FuncOp func, int64_t &scratch) {
    SmallVector<memref::AllocaOp> allocas;
    func.walk([&](Operation *op) {
      if (auto alloca = dyn_cast<memref::AllocaOp>(op))
        allocas.push_back(alloca);
      else if (isa<memref::PrefetchOp, StampOp>(op))
        op->erase();
    });
    if (allocas.empty())
      return success();
    Value arena;
    for (unsigned i = 0; i < func.getNumArguments(); ++i)
      if (auto role = func.getArgAttrOfType<StringAttr>(i, "cria.arg"))
        if (role.getValue() == "thread_arena")
          arena = func.getArgument(i);
    if (!arena)
      return func.emitError("has memory on the stack and no argument with "
                            "cria.arg = \"thread_arena\" to put it in");
    int64_t start = llvm::alignTo(threadArenaBytes(), kAlignment), end = start;
    for (memref::AllocaOp alloca : allocas) {
      MemRefType type = alloca.getType();
      if (!type.hasStaticShape() || !type.getLayout().isIdentity())
        return alloca.emitOpError("needs a size that is known");
      OpBuilder b(alloca);
      Value offset = arith::ConstantIndexOp::create(b, alloca.getLoc(), end);
      alloca->replaceAllUsesWith(memref::ViewOp::create(
          b, alloca.getLoc(), type, arena, offset, ValueRange()));
      alloca.erase();
      int64_t bytes = type.getNumElements() *
                      llvm::divideCeil(type.getElementTypeBitWidth(), 8);
      end += llvm::alignTo(bytes, kAlignment);
    }
    scratch = std::max(scratch, end - threadArenaBytes());
    return success();
  }

  /// All lanes have the value; one stores it.
  static void guardScalarStores(func::FuncOp func, const LaneMap &lanes) {
    SmallVector<memref::StoreOp> stores;
    func.walk([&](memref::StoreOp store) { stores.push_back(store); });
    for (memref::StoreOp store : stores) {
      OpBuilder at(store);
      LaneBuilder b(store.getLoc(), at, laneFor(store, lanes));
      b.sync();
      auto branch = scf::IfOp::create(b, b.isBelow(1), false);
      b.sync();
      store->moveBefore(branch.thenBlock()->getTerminator());
    }
  }

  LogicalResult convert(const LaneMap &lanes) {
    MLIRContext *context = &getContext();
    LaneConverter converter;
    RewritePatternSet patterns(context);
    ConversionTarget target(*context);
    target.markUnknownOpDynamicallyLegal([&](Operation *op) {
      if (op->hasAttr(kOwnMark))
        return true;
      return !isa<Dot4Op>(op) &&
             !isa_and_nonnull<vector::VectorDialect>(op->getDialect()) &&
             llvm::none_of(op->getOperandTypes(), llvm::IsaPred<VectorType>) &&
             llvm::none_of(op->getResultTypes(), llvm::IsaPred<VectorType>);
    });
    scf::populateSCFStructuralTypeConversionsAndLegality(converter, patterns,
                                                         target);
    patterns
        .add<ConvertLoad, ConvertStore, ConvertMaskedLoad, ConvertMaskedStore,
             ConvertBroadcast, ConvertShuffle, ConvertExtract, ConvertInsert,
             ConvertExtractSlice, ConvertInsertSlice, ConvertInterleave,
             ConvertBitCast, ConvertReduction, ConvertCreateMask,
             ConvertConstantMask, ConvertConstant, ConvertDot4, ConvertScalars,
             ConvertElementwise>(converter, context, &lanes);
    if (failed(applyPartialConversion(getOperation(), target,
                                      std::move(patterns))))
      return failure();
    getOperation().walk([](Operation *op) { op->removeAttr(kOwnMark); });
    return success();
  }

  static void dropDoubleSyncs(func::FuncOp func) {
    SmallVector<Operation *> again;
    func.walk([&](Block *block) {
      bool synced = false;
      for (Operation &op : *block) {
        auto call = dyn_cast<func::CallOp>(op);
        if (call && call.getCallee() == kSync) {
          if (synced)
            again.push_back(call);
          synced = true;
        } else if (!isMemoryEffectFree(&op)) {
          synced = false;
        }
      }
    });
    for (Operation *op : again)
      op->erase();
  }

  static constexpr int64_t kAlignment = 64;
};

} // namespace
