// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A linear by Halide: its kernel leaves sums over K of some groups of 16 rows
// and some tokens in a buffer in L1, and another kernel is the epilogue, or
// cria's own code where there is none.

#include "compiler/halide/BindHalide.h"
#include "compiler/halide/HalideCall.h"
#include "compiler/halide/HalideEpilogue.h"
#include "compiler/halide/HalideUtils.h"
#include "compiler/target/Tiles.h"
#include "compiler/vector/KernelUtils.h"
#include "compiler/vector/LinearEpilogue.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace cria;

namespace {

/// f32 sums that a call makes at most, 16 KB, for each of two weights: 2 groups
/// of kTokenBlock tokens, or in a decode step 32 groups of kDecodeTokens.
constexpr int64_t kSums = 2 * kTokenBlock * kLanes;

/// What a call of an autoscheduled kernel computes. Such a schedule may keep
/// the codes and dots of all blocks on the stack: with 4096 columns, 128 blocks
/// of 2 x 512 bytes and of 2 x 8 x 64.
constexpr int64_t kAutoTokens = 8, kAutoPanels = 2, kAutoColumns = 4096;

class HalideLinear {
public:
  HalideLinear(ImplicitLocOpBuilder &b, FusedLinearOp op,
               const HalideBinding &binding)
      : b(b), op(op), weight(op.getWeightType()), binding(binding),
        epilogue(describeEpilogue(op)) {}

  LogicalResult takeCut();
  void emit();

private:
  bool isAutomatic() const { return !autoscheduler(binding.provider).empty(); }
  bool isWide();
  HalideKernel kernel(bool whole, bool single);
  Value subview(Value memref, Value first, Value count, int64_t dim = 0);
  Value sumsOf(size_t which);
  void emitCall(size_t which, Value group, Value groups, Value token,
                Value tokens, Value offset, const HalideKernel &made);
  void emitCalls(Value group, Value groups, Value token, Value tokens);
  void emitEpilogueCalls(Value group, Value groups, Value token, Value tokens);
  void emitBlock(Value group, Value groups, Value token, Value tokens);

  ImplicitLocOpBuilder &b;
  FusedLinearOp op;
  WeightType weight;
  const HalideBinding &binding;
  std::optional<HalideEpilogue> epilogue;
  HalideCut cut = {};
  int64_t tile = 1; // tokens of a register tile
  int64_t mostTokens = 0, mostGroups = 0;
  SmallVector<SmallVector<Value>> data; // the arrays of each weight
  Value numRows;
  bool isRagged = false;
};

} // namespace

std::string cria::linearRefusal(FusedLinearOp op, StringRef provider) {
  WeightType weight = op.getWeightType();
  if (weight.getLayout() == WeightLayout::rows)
    return "its weight has layout rows";
  if (weight.getLayout() == WeightLayout::n16k2 && weight.getK() % 2)
    return "its weight has pairs of columns, and an odd column more";
  if (op.getBf16())
    return "its rows may be rounded to bf16";
  if (!autoscheduler(provider).empty() && weight.isQuantized() &&
      weight.getK() > kAutoColumns)
    return "its rows are longer than what an autoscheduled kernel keeps on the "
           "stack";
  return "";
}

HalideCut cria::usualCut(StringRef provider, bool decode,
                         const HalideCut &prefill) {
  if (!autoscheduler(provider).empty())
    return {decode ? 1 : kAutoTokens, kAutoPanels, 0, 0};
  // A decode step has one token most of the time.
  return decode ? HalideCut{1, 1, 0, prefill.prefetch} : prefill;
}

/// Codes of 16 bits, in two bytes each.
bool HalideLinear::isWide() {
  int64_t blocks = llvm::divideCeil(weight.getK(), kQuantBlock);
  return weight.isQuantized() &&
         cast<MemRefType>(op.getActs()[0].getType()).getDimSize(1) ==
             blocks * kQuantBlock / 2;
}

LogicalResult HalideLinear::takeCut() {
  cut = usualCut(binding.provider, binding.decode, binding.prefill);
  if (isAutomatic())
    return success();
  LogicalResult taken = takeSchedule(op, {{"tokens", cut.tokens},
                                          {"panels", cut.panels},
                                          {"block-tokens", cut.blockTokens},
                                          {"prefetch", cut.prefetch}});
  // A block of two parts takes twice the dots.
  if (weight.isQuantized() && weight.getScalesPerBlock() > 1) {
    cut.tokens = std::min<int64_t>(cut.tokens, 4);
    cut.blockTokens = std::min<int64_t>(cut.blockTokens, 2);
  }
  return taken;
}

HalideKernel HalideLinear::kernel(bool whole, bool single) {
  HalideKernel made;
  auto add = [&](StringRef name, Attribute value) {
    made.params.push_back(b.getNamedAttr(name, value));
  };
  auto number = [&](int64_t value) { return b.getI64IntegerAttr(value); };
  add("element", b.getStringAttr(stringifyElementKind(weight.getElement())));
  if (weight.isQuantized()) {
    made.generator = "linear_codes";
    made.bytes = {int64_t(data.front().size())};
    add("blocks", number(llvm::divideCeil(weight.getK(), kQuantBlock)));
    add("min", b.getBoolAttr(weight.getOffset() == OffsetKind::min));
    add("wide", b.getBoolAttr(isWide()));
    int64_t bytes = weight.getElement() == ElementKind::q4   ? 16
                    : weight.getElement() == ElementKind::q6 ? 24
                                                             : 32;
    add("ahead", number(cut.prefetch / cut.panels / (bytes * kLanes)));
    add("block_tokens", number(binding.decode || single ? 0 : cut.blockTokens));
  } else {
    made.generator = "linear_floats";
    add("columns", number(weight.getK()));
    int64_t bytes = weight.getElement() == ElementKind::f16 ? 2 : 4;
    add("ahead", number(cut.prefetch / cut.panels / (bytes * kLanes)));
  }
  if (isAutomatic()) {
    add("autoscheduler", b.getStringAttr(autoscheduler(binding.provider)));
    add("autoscheduler.parallelism", number(1));
  }
  add("tokens", number(single ? 1 : cut.tokens));
  add("panels", number(cut.panels));
  add("whole", b.getBoolAttr(whole));
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

/// Tokens of the block at `token` from `offset` on.
void HalideLinear::emitCall(size_t which, Value group, Value groups,
                            Value token, Value tokens, Value offset,
                            const HalideKernel &made) {
  SmallVector<Value> operands;
  for (Value part : data[which])
    operands.push_back(subview(part, group, groups));
  Value first = b.createOrFold<arith::AddIOp>(token, offset);
  for (Value part : op.getActs())
    operands.push_back(subview(part, first, tokens));
  Value zero = constIndex(b, 0);
  operands.push_back(
      subview(subview(sumsOf(which), zero, groups), offset, tokens, 1));
  emitHalideCall(b, made, operands);
}

/// Whole tiles of tokens by one kernel, what is left one by one by another.
void HalideLinear::emitCalls(Value group, Value groups, Value token,
                             Value tokens) {
  auto emitAll = [&](Value offset, Value count, const HalideKernel &made) {
    for (size_t w = 0; w < data.size(); ++w)
      emitCall(w, group, groups, token, count, offset, made);
  };
  Value zero = constIndex(b, 0);
  std::optional<int64_t> known = getConstantIntValue(groups);
  if (isAutomatic() || (cut.panels > 1 && (!known || *known % cut.panels)))
    return emitAll(zero, tokens, kernel(/*whole=*/false, /*single=*/false));
  HalideKernel made = kernel(/*whole=*/true, /*single=*/false);
  if (tile == 1)
    return emitAll(zero, tokens, made);
  Value rest = arith::RemUIOp::create(b, tokens, constIndex(b, tile));
  Value whole = arith::SubIOp::create(b, tokens, rest);
  emitAll(zero, whole, made);
  emitAll(whole, rest, kernel(/*whole=*/true, /*single=*/true));
}

/// Groups of 16 rows by one kernel, a last one that has fewer by another.
void HalideLinear::emitEpilogueCalls(Value group, Value groups, Value token,
                                     Value tokens) {
  auto emit = [&](Value offset, Value count, Value lanes, bool ragged) {
    SmallVector<Value> sums;
    for (size_t w = 0; w < data.size(); ++w)
      sums.push_back(
          slice(b, sumsOf(w),
                {{{}, getAsOpFoldResult(offset), getAsOpFoldResult(count)},
                 {{}, b.getIndexAttr(0), getAsOpFoldResult(tokens)},
                 {}}));
    Value first = b.createOrFold<arith::AddIOp>(group, offset);
    emitHalideEpilogue(b, op, *epilogue,
                       {token, tokens, first, count, lanes, ragged}, sums);
  };
  Value zero = constIndex(b, 0), sixteen = constIndex(b, kLanes);
  if (!isRagged)
    return emit(zero, groups, sixteen, /*ragged=*/false);
  Value whole = arith::MinUIOp::create(
      b, groups,
      arith::SubIOp::create(b, arith::DivUIOp::create(b, numRows, sixteen),
                            group));
  emit(zero, whole, sixteen, /*ragged=*/false);
  emit(whole, arith::SubIOp::create(b, groups, whole),
       arith::RemUIOp::create(b, numRows, sixteen), /*ragged=*/true);
}

void HalideLinear::emitBlock(Value group, Value groups, Value token,
                             Value tokens) {
  emitCalls(group, groups, token, tokens);
  if (epilogue)
    return emitEpilogueCalls(group, groups, token, tokens);
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
  Value init = op.getInit();
  if (op.getOut() == OutKind::rows)
    numRows = dimSize(b, init, 1);
  else
    numRows =
        b.createOrFold<arith::MulIOp>(dimSize(b, init, 2), dimSize(b, init, 4));
  std::optional<int64_t> known = getConstantIntValue(numRows);
  isRagged = !known || *known % kLanes;
  int64_t groups = known ? llvm::divideCeil(*known, kLanes) : 0;
  if (groups % cut.panels)
    cut.panels = 1;
  // The kernel rounds tokens and groups up to whole tiles, within the buffer.
  tile = cut.tokens;
  if (!binding.decode && weight.isQuantized() && cut.blockTokens > 0)
    tile = cut.blockTokens;
  int64_t room = binding.decode ? kDecodeTokens : kTokenBlock;
  mostTokens = std::max(room - room % tile, tile);
  mostGroups = kSums / kLanes / mostTokens;
  mostGroups -= mostGroups % cut.panels;
  if (isAutomatic()) {
    mostTokens = cut.tokens;
    mostGroups = cut.panels;
  }

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

  Value count =
      known ? constIndex(b, groups)
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
  std::string why = linearRefusal(op, binding.provider);
  if (why.empty() && (failed(checkLinear(op)) || failed(linear.takeCut())))
    why = "its schedule or shape is wrong"; // an error was emitted
  if (why.empty())
    linear.emit();
  return why;
}
