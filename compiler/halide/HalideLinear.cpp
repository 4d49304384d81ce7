// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A linear by Halide: its kernel leaves sums over K of some groups of 16 rows
// and some tokens in a buffer in L1, and the epilogue is cria's.

#include "compiler/halide/BindHalide.h"
#include "compiler/halide/HalideCall.h"
#include "compiler/target/Tiles.h"
#include "compiler/vector/KernelUtils.h"
#include "compiler/vector/LinearEpilogue.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace cria;

namespace {

/// f32 sums that a call makes at most, 16 KB, for each of two weights: 2 groups
/// of kTokenBlock tokens, or in a decode step 32 groups of kDecodeTokens.
constexpr int64_t kSums = 2 * kTokenBlock * kLanes;

class HalideLinear {
public:
  HalideLinear(ImplicitLocOpBuilder &b, FusedLinearOp op,
               const HalideBinding &binding)
      : b(b), op(op), weight(op.getWeightType()), binding(binding) {}

  LogicalResult takeCut();
  void emit();

private:
  bool isWide();
  HalideKernel kernel();
  Value subview(Value memref, Value first, Value count, int64_t dim = 0);
  Value sumsOf(size_t which);
  void emitCall(size_t which, Value group, Value groups, Value token,
                Value tokens);
  void emitBlock(Value group, Value groups, Value token, Value tokens);

  ImplicitLocOpBuilder &b;
  FusedLinearOp op;
  WeightType weight;
  const HalideBinding &binding;
  HalideCut cut = {};
  int64_t mostTokens = 0, mostGroups = 0;
  SmallVector<SmallVector<Value>> data; // the arrays of each weight
  Value numRows;
  bool isRagged = false;
};

} // namespace

std::string cria::linearRefusal(FusedLinearOp op) {
  WeightType weight = op.getWeightType();
  if (weight.getLayout() == WeightLayout::rows)
    return "its weight has layout rows";
  if (weight.getElement() == ElementKind::q6)
    return "no generator reads q6";
  if (weight.getLayout() == WeightLayout::n16k2 && weight.getK() % 2)
    return "its weight has pairs of columns, and an odd column more";
  if (op.getBf16())
    return "its rows may be rounded to bf16";
  return "";
}

HalideCut cria::usualCut(FusedLinearOp, bool decode) {
  // A decode step has one token most of the time. Else 4 tokens by 2 panels:
  // 8 sums and 8 dots.
  return decode ? HalideCut{1, 1, 0} : HalideCut{4, 2, 0};
}

/// Codes of 16 bits, in two bytes each.
bool HalideLinear::isWide() {
  int64_t blocks = llvm::divideCeil(weight.getK(), kQuantBlock);
  return weight.isQuantized() &&
         cast<MemRefType>(op.getActs()[0].getType()).getDimSize(1) ==
             blocks * kQuantBlock / 2;
}

LogicalResult HalideLinear::takeCut() {
  cut = usualCut(op, binding.decode);
  return takeSchedule(op, {{"tokens", cut.tokens},
                           {"panels", cut.panels},
                           {"block-tokens", cut.blockTokens}});
}

HalideKernel HalideLinear::kernel() {
  HalideKernel made;
  auto add = [&](StringRef name, Attribute value) {
    made.params.push_back(b.getNamedAttr(name, value));
  };
  auto number = [&](int64_t value) { return b.getI64IntegerAttr(value); };
  add("element", b.getStringAttr(stringifyElementKind(weight.getElement())));
  if (weight.isQuantized()) {
    made.generator = "linear_codes";
    made.bytes = {weight.getOffset() == OffsetKind::min ? 3 : 2};
    add("blocks", number(llvm::divideCeil(weight.getK(), kQuantBlock)));
    add("min", b.getBoolAttr(weight.getOffset() == OffsetKind::min));
    add("wide", b.getBoolAttr(isWide()));
    add("block_tokens", number(binding.decode ? 0 : cut.blockTokens));
  } else {
    made.generator = "linear_floats";
    add("columns", number(weight.getK()));
  }
  add("tokens", number(cut.tokens));
  add("panels", number(cut.panels));
  return made;
}

/// `count` from `first` on of dimension `dim`.
Value HalideLinear::subview(Value memref, Value first, Value count,
                            int64_t dim) {
  int64_t rank = cast<MemRefType>(memref.getType()).getRank();
  SmallVector<OpFoldResult> offsets(rank, b.getIndexAttr(0));
  SmallVector<OpFoldResult> sizes =
      memref::getMixedSizes(b, b.getLoc(), memref);
  SmallVector<OpFoldResult> strides(rank, b.getIndexAttr(1));
  offsets[dim] = getAsOpFoldResult(first);
  sizes[dim] = getAsOpFoldResult(count);
  return memref::SubViewOp::create(b, memref, offsets, sizes, strides);
}

/// The sums of weight `which`: groups x tokens x 16.
Value HalideLinear::sumsOf(size_t which) {
  int64_t sizes[] = {mostGroups, mostTokens, kLanes};
  int64_t strides[] = {mostTokens * kLanes, kLanes, 1};
  auto type = MemRefType::get(
      sizes, b.getF32Type(),
      StridedLayoutAttr::get(b.getContext(), kSums * which, strides));
  return memref::ReinterpretCastOp::create(b, type, binding.sums, kSums * which,
                                           sizes, strides);
}

void HalideLinear::emitCall(size_t which, Value group, Value groups,
                            Value token, Value tokens) {
  SmallVector<Value> operands;
  for (Value part : data[which])
    operands.push_back(subview(part, group, groups));
  for (Value part : op.getActs())
    operands.push_back(subview(part, token, tokens));
  Value zero = constIndex(b, 0);
  operands.push_back(
      subview(subview(sumsOf(which), zero, groups), zero, tokens, 1));
  emitHalideCall(b, kernel(), operands);
}

void HalideLinear::emitBlock(Value group, Value groups, Value token,
                             Value tokens) {
  for (size_t w = 0; w < data.size(); ++w)
    emitCall(w, group, groups, token, tokens);
  Value zero = constIndex(b, 0);
  buildLoop(b, zero, groups, 1, {}, [&](Value i, ValueRange) {
    Value lane = arith::MulIOp::create(b, arith::AddIOp::create(b, group, i),
                                       constIndex(b, kLanes));
    Value mask;
    if (isRagged)
      mask = vector::CreateMaskOp::create(
          b, vectorOf(kLanes, b.getI1Type()),
          ValueRange{arith::SubIOp::create(b, numRows, lane)});
    buildLoop(b, zero, tokens, 1, {}, [&](Value t, ValueRange) {
      SmallVector<Value> accumulators;
      for (size_t w = 0; w < data.size(); ++w)
        accumulators.push_back(loadLanes(b, sumsOf(w), {i, t, zero}));
      emitEpilogue(b, op, arith::AddIOp::create(b, token, t), lane, mask,
                   numRows, accumulators);
      return SmallVector<Value>();
    });
    return SmallVector<Value>();
  });
}

void HalideLinear::emit() {
  // The kernel rounds tokens and groups up to whole tiles, within the buffer.
  int64_t tile = std::max(cut.tokens, binding.decode ? 0 : cut.blockTokens);
  int64_t room = binding.decode ? kDecodeTokens : kTokenBlock;
  mostTokens = std::max(room - room % tile, tile);
  mostGroups = kSums / kLanes / mostTokens;
  mostGroups -= mostGroups % cut.panels;

  if (!binding.sums) {
    auto func = op->getParentOfType<FunctionOpInterface>();
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&func.getFunctionBody().front());
    auto type = MemRefType::get({2 * kSums}, b.getF32Type());
    binding.sums = memref::AllocaOp::create(b, type, b.getI64IntegerAttr(64));
  }
  for (Value w : op.getWeights()) {
    SmallVector<Value> parts = weightComponents(b, w);
    // 16 rows x 4 codes, or x 2 columns, as one dimension.
    Value &first = parts.front();
    int64_t rank = cast<MemRefType>(first.getType()).getRank();
    if (weight.isQuantized())
      first = memref::CollapseShapeOp::create(
          b, first, ArrayRef<ReassociationIndices>{{0}, {1}, {2}, {3, 4}});
    else if (rank == 4)
      first = memref::CollapseShapeOp::create(
          b, first, ArrayRef<ReassociationIndices>{{0}, {1}, {2, 3}});
    data.push_back(parts);
  }

  Value init = op.getInit();
  if (op.getOut() == OutKind::rows)
    numRows = dimSize(b, init, 1);
  else
    numRows =
        b.createOrFold<arith::MulIOp>(dimSize(b, init, 2), dimSize(b, init, 4));
  std::optional<int64_t> known = getConstantIntValue(numRows);
  isRagged = !known || *known % kLanes;
  Value count =
      known ? constIndex(b, llvm::divideCeil(*known, kLanes))
            : Value(arith::DivUIOp::create(b, addIndex(b, numRows, kLanes - 1),
                                           constIndex(b, kLanes)));
  Value zero = constIndex(b, 0), n = dimSize(b, op.getActs()[0], 0);
  auto upTo = [&](int64_t most, Value from, Value to) -> Value {
    std::optional<int64_t> end = getConstantIntValue(to);
    if (end && *end % most == 0)
      return constIndex(b, most);
    return b.createOrFold<arith::MinUIOp>(
        b.createOrFold<arith::SubIOp>(to, from), constIndex(b, most));
  };
  buildLoop(b, zero, count, mostGroups, {}, [&](Value group, ValueRange) {
    Value groups = upTo(mostGroups, group, count);
    buildLoop(b, zero, n, mostTokens, {}, [&](Value token, ValueRange) {
      emitBlock(group, groups, token, upTo(mostTokens, token, n));
      return SmallVector<Value>();
    });
    return SmallVector<Value>();
  });
}

std::string cria::bindLinear(ImplicitLocOpBuilder &b, FusedLinearOp op,
                             const HalideBinding &binding) {
  HalideLinear linear(b, op, binding);
  std::string why = linearRefusal(op);
  if (why.empty() && (failed(checkLinear(op)) || failed(linear.takeCut())))
    why = "its schedule or shape is wrong"; // an error was emitted
  if (why.empty())
    linear.emit();
  return why;
}
