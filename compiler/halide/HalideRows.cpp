// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.rows and cria.head_rows by Halide: a call a row, a call for all heads.

#include "compiler/halide/BindHalide.h"
#include "compiler/halide/HalideCall.h"
#include "compiler/halide/HalideUtils.h"
#include "compiler/vector/KernelUtils.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace cria;

static bool hasUnitStride(Value memref) {
  return cast<MemRefType>(memref.getType()).isLastDimUnitStride();
}

std::string cria::rowsRefusal(RowsOp op, StringRef) {
  int64_t k = cast<ShapedType>(op.getX().getType()).getDimSize(1);
  if (ShapedType::isDynamic(k) || k % kQuantBlock)
    return llvm::formatv("its rows have {0} columns, not a multiple of {1}",
                         ShapedType::isDynamic(k) ? "any number of"
                                                  : std::to_string(k),
                         kQuantBlock)
        .str();
  if (op.getBf16())
    return "its rows may be rounded to bf16";
  NormOp norm = op.getNorm();
  if (norm && norm.getKind() == NormKind::per_head)
    return "its norm is per head";
  if (norm && !norm.getWeight())
    return "its norm has no weight";
  return "";
}

std::string cria::bindRows(ImplicitLocOpBuilder &b, RowsOp op,
                           const HalideBinding &binding) {
  std::string why = rowsRefusal(op, binding.provider);
  if (!why.empty())
    return why;
  for (Value operand : op->getOperands())
    if (!hasUnitStride(operand))
      return "an operand's columns are not contiguous";
  int64_t k = cast<MemRefType>(op.getX().getType()).getDimSize(1);
  HalideKernel kernel = {"rows", {}, {}};
  HalideParams params(b, kernel);
  SmallVector<Value> fixed; // operands that all rows share
  auto param = [&](Value argument) {
    fixed.push_back(
        op.getParams()[cast<BlockArgument>(argument).getArgNumber() - 1]);
  };
  StringRef automatic = autoscheduler(binding.provider);
  if (!automatic.empty()) {
    params.add("autoscheduler", automatic);
    params.add("autoscheduler.parallelism", 1);
  }
  params.add("columns", k);
  NormOp norm = op.getNorm();
  params.add("norm", !norm ? 0 : norm.getKind() == NormKind::layer ? 2 : 1);
  if (norm) {
    param(norm.getWeight());
    params.add("has_bias", bool(norm.getBias()));
    if (norm.getBias())
      param(norm.getBias());
    params.add("plus_one", norm.getPlusOne());
    params.add("eps", norm.getEps());
  }
  if (ScaleOp scale = op.getScale())
    params.add("factor", scale.getFactor());
  params.add("accumulate", op.getAccumulate());
  if (op.isQuantized()) {
    auto columns = [&](unsigned init) {
      return cast<MemRefType>(op.getInits()[init].getType()).getDimSize(1);
    };
    params.add("bits", columns(0) == k / 2 ? 16 : 8);
    params.add("halves", columns(2) > k / kQuantBlock);
    params.add("has_zero_point", op.getZeroPoint().has_value());
    if (op.getZeroPoint())
      params.add("zero_point", int64_t(*op.getZeroPoint()));
    kernel.bytes = {int64_t(fixed.size()) + 1};
  } else {
    params.add("bits", int64_t(0));
  }
  kernel.contract = false;
  buildLoop(b, constIndex(b, 0), dimSize(b, op.getX(), 0), 1, {},
            [&](Value row, ValueRange) {
              SmallVector<Value> operands{slice(b, op.getX(), {{row}, {}})};
              llvm::append_range(operands, fixed);
              for (Value init : op.getInits())
                operands.push_back(slice(b, init, {{row}, {}}));
              emitHalideCall(b, kernel, operands);
              return SmallVector<Value>();
            });
  return "";
}

std::string cria::headRowsRefusal(HeadRowsOp op, StringRef provider) {
  if (!autoscheduler(provider).empty())
    return "its kernel has a schedule by hand only";
  if (op.getHeadDim() % kLanes)
    return llvm::formatv("its head_dim {0} is not a multiple of {1}",
                         op.getHeadDim(), kLanes)
        .str();
  return "";
}

std::string cria::bindHeadRows(ImplicitLocOpBuilder &b, HeadRowsOp op,
                               const HalideBinding &binding) {
  std::string why = headRowsRefusal(op, binding.provider);
  if (!why.empty())
    return why;
  auto x = cast<MemRefType>(op.getX().getType());
  auto init = cast<MemRefType>(op.getInit().getType());
  if (x.isDynamicDim(1))
    return "it has any number of heads";
  for (Value operand : op->getOperands())
    if (isa<MemRefType>(operand.getType()) && !hasUnitStride(operand))
      return "an operand's columns are not contiguous";
  int64_t headDim = op.getHeadDim();
  HalideKernel kernel = {"head_rows", {}, {}};
  kernel.contract = false;
  HalideParams params(b, kernel);
  params.add("heads", x.getDimSize(1) / headDim);
  params.add("head_dim", headDim);
  params.add("out", stringifyOutKind(op.getOut()));
  params.add("element", init.getElementType());
  params.add("has_rope", bool(op.getRope()));
  SmallVector<Value> operands{op.getX()};
  if (op.getWeight()) {
    params.add("weights",
               cast<MemRefType>(op.getWeight().getType()).getDimSize(0));
    params.add("eps", *op.getEps());
    params.add("center", op.getCenter());
    params.add("plus_one", op.getPlusOne());
    params.add("has_bias", bool(op.getBias()));
    operands.push_back(op.getWeight());
    if (op.getBias())
      operands.push_back(op.getBias());
  }
  if (op.getRope())
    operands.push_back(op.getRope());
  if (op.getOut() == OutKind::rows) {
    operands.push_back(op.getInit());
  } else {
    operands.push_back(op.getSlots());
    SmallVector<SliceDim> dims(init.getRank());
    dims[0].index = op.getLayer();
    operands.push_back(slice(b, op.getInit(), dims));
  }
  emitHalideCall(b, kernel, operands);
  return "";
}
