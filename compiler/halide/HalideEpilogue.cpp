// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/halide/HalideEpilogue.h"

#include "compiler/halide/HalideCall.h"
#include "compiler/halide/HalideUtils.h"
#include "compiler/vector/KernelUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace cria;

/// The program is part of the kernel's name, which is a file's name too.
static constexpr size_t kLongestProgram = 120;

/// Names without digits and _, which divide a program.
static StringRef wordOf(ActivationKind kind) {
  switch (kind) {
  case ActivationKind::relu:
    return "relu";
  case ActivationKind::gelu:
    return "gelu";
  case ActivationKind::gelu_tanh:
    return "gelutanh";
  case ActivationKind::silu:
    return "silu";
  case ActivationKind::relu2:
    return "relusquared";
  }
  llvm_unreachable("every activation kind is handled");
}

/// "" for an operation that no program has.
static std::string wordOf(Operation *op) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto value = dyn_cast<SplatElementsAttr>(constant.getValue());
    if (!value || !value.getElementType().isF32())
      return "";
    uint64_t bits =
        value.getSplatValue<APFloat>().bitcastToAPInt().getZExtValue();
    return llvm::formatv("c{0:x-8}", bits).str();
  }
  if (auto activation = dyn_cast<ActivationOp>(op))
    return wordOf(activation.getKind()).str();
  return llvm::TypeSwitch<Operation *, StringRef>(op)
      .Case([](arith::AddFOp) { return "add"; })
      .Case([](arith::MulFOp) { return "mul"; })
      .Case([](arith::DivFOp) { return "div"; })
      .Case([](math::TanhOp) { return "tanh"; })
      .Default(StringRef())
      .str();
}

std::optional<HalideEpilogue> cria::describeEpilogue(FusedLinearOp op) {
  HalideEpilogue made;
  if (op.getOut() != OutKind::rows)
    return std::nullopt;
  made.operands.assign(op.getWeights().size(), 's');
  for (auto [i, extra] : llvm::enumerate(op.getExtras())) {
    if (op.getExtraKind(i) == ExtraKind::rope)
      return std::nullopt;
    made.operands += op.getExtraKind(i) == ExtraKind::bias ? 'b' : 'e';
    made.sources.push_back(extra);
  }
  if (op.getAccumulate()) {
    made.operands += 'e';
    made.sources.push_back(op.getInit());
  }
  made.sources.push_back(op.getInit());
  for (Value source : made.sources)
    if (!cast<MemRefType>(source.getType()).isLastDimUnitStride())
      return std::nullopt;
  made.sources.pop_back();

  Block &region = op.getEpilogue().front();
  llvm::DenseMap<Value, size_t> numbers;
  for (Value argument : region.getArguments())
    numbers.try_emplace(argument, numbers.size());
  SmallVector<std::string> words;
  for (Operation &inner : region.without_terminator()) {
    std::string word = wordOf(&inner);
    if (word.empty())
      return std::nullopt;
    for (auto [i, operand] : llvm::enumerate(inner.getOperands()))
      word += (i ? "x" : "") + std::to_string(numbers.at(operand));
    words.push_back(word);
    numbers.try_emplace(inner.getResult(0), numbers.size());
  }
  size_t yielded = numbers.at(region.getTerminator()->getOperand(0));
  if (words.empty() || yielded + 1 != numbers.size())
    words.push_back("copy" + std::to_string(yielded));
  made.program = llvm::join(words, "_");
  if (made.program.size() > kLongestProgram)
    return std::nullopt;
  return made;
}

/// Of rows (or a bias), the tile as groups x tokens x lanes (groups x lanes).
static Value tileOf(ImplicitLocOpBuilder &b, Value source,
                    const HalideEpilogueTile &tile) {
  auto data = memref::ExtractStridedMetadataOp::create(b, source);
  Value lane =
      arith::MulIOp::create(b, tile.group, constIndex(b, CriaDialect::kLanes));
  Value offset = arith::AddIOp::create(b, data.getOffset(), lane);
  SmallVector<OpFoldResult> sizes{tile.groups},
      strides{b.getIndexAttr(CriaDialect::kLanes)};
  if (cast<MemRefType>(source.getType()).getRank() == 2) {
    Value stride = data.getStrides()[0];
    offset = arith::AddIOp::create(
        b, offset, arith::MulIOp::create(b, tile.token, stride));
    sizes.push_back(tile.tokens);
    strides.push_back(stride);
  }
  sizes.push_back(tile.lanes);
  strides.push_back(b.getIndexAttr(1));
  SmallVector<int64_t> any(sizes.size(), ShapedType::kDynamic), known(any);
  known.front() = CriaDialect::kLanes;
  known.back() = 1;
  auto type = MemRefType::get(
      any, b.getF32Type(),
      StridedLayoutAttr::get(b.getContext(), ShapedType::kDynamic, known));
  return memref::ReinterpretCastOp::create(
      b, type, data.getBaseBuffer(), OpFoldResult(offset), sizes, strides);
}

void cria::emitHalideEpilogue(ImplicitLocOpBuilder &b, FusedLinearOp op,
                              const HalideEpilogue &epilogue,
                              const HalideEpilogueTile &tile, ValueRange sums) {
  HalideKernel kernel = {"linear_epilogue", {}, {}};
  HalideParams params(b, kernel);
  params.add("operands", StringRef(epilogue.operands));
  params.add("program", StringRef(epilogue.program));
  params.add("ragged", tile.ragged);
  SmallVector<Value> operands(sums);
  for (Value source : epilogue.sources)
    operands.push_back(tileOf(b, source, tile));
  operands.push_back(tileOf(b, op.getInit(), tile));
  emitHalideCall(b, kernel, operands);
}
