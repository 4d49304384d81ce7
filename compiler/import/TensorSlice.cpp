// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/TensorSlice.h"

#include "compiler/import/InputFile.h"
#include "compiler/import/QuantizeBlocks.h"
#include "compiler/import/TensorSource.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
namespace le = llvm::support::endian;

namespace cria {
namespace {

Error bad(StringRef expression, const Twine &message) {
  return createStringError("tensor " + quoted(expression, 160) + ": " +
                           message);
}

bool isFloat(DType dtype) {
  return dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16;
}

/// Elements that are one element of the tensor each.
bool gathersElements(const TensorView &view) {
  return view.slice.transposed || view.base->shape.size() == 1;
}

} // namespace

std::string rowsOf(StringRef expression, int64_t first, int64_t size,
                   int64_t every, int64_t count) {
  std::string text =
      (expression + " | rows " + Twine(first) + " " + Twine(size)).str();
  if (count != 1)
    text += (" " + Twine(every) + " " + Twine(count)).str();
  return text;
}

Expected<std::optional<ParsedSlice>> parseSlice(StringRef expression) {
  SmallVector<StringRef, 3> parts;
  expression.split(parts, " | ");
  if (parts.size() == 1)
    return std::nullopt;
  ParsedSlice result;
  result.tensor = parts.front();
  TensorSlice &slice = result.slice;
  ArrayRef<StringRef> steps = ArrayRef(parts).drop_front();
  if (steps.front() == "transpose") {
    slice.transposed = true;
    steps = steps.drop_front();
  }
  if (steps.empty())
    return result;
  SmallVector<StringRef, 5> words;
  steps.front().split(words, ' ');
  int64_t numbers[4] = {0, 0, 0, 1};
  bool good = steps.size() == 1 && words.front() == "rows" &&
              (words.size() == 3 || words.size() == 5);
  for (size_t i = 1; good && i < words.size(); ++i)
    // So bounded that no product below overflows.
    good = !words[i].getAsInteger(10, numbers[i - 1]) && numbers[i - 1] >= 0 &&
           numbers[i - 1] <= int64_t(1) << 31;
  good &= numbers[1] >= 1 && numbers[3] >= 1;
  if (!good)
    return bad(expression,
               "accepted: NAME, or NAME | transpose, or NAME | rows FIRST SIZE "
               "[EVERY COUNT], or NAME | transpose | rows ...");
  slice.first = numbers[0];
  slice.size = numbers[1];
  slice.every = numbers[2];
  slice.count = numbers[3];
  return result;
}

Expected<TensorView> makeSlice(const TensorView &base, const TensorSlice &slice,
                               StringRef expression) {
  size_t rank = base.shape.size();
  if (slice.transposed && (rank != 2 || !isFloat(base.dtype)))
    return bad(expression, "has " + Twine(rank) + " dimensions and type " +
                               base.typeName +
                               "; accepted for transpose: 2 and F32, F16 or "
                               "BF16");
  if (rank != 2 && (rank != 1 || !isFloat(base.dtype)))
    return bad(expression,
               "has " + Twine(rank) + " dimensions and type " + base.typeName +
                   "; accepted for rows: 2, or 1 and F32, F16 or BF16");
  TensorView view = base;
  view.name = expression.str();
  view.base = &base;
  view.slice = slice;
  if (slice.transposed)
    std::swap(view.shape[0], view.shape[1]);
  if (slice.size) {
    int64_t last = slice.sourceRow(slice.size * slice.count - 1);
    if (last >= view.shape[0] || (slice.count > 1 && slice.every < slice.size))
      return bad(expression, "asks for row " + Twine(last) +
                                 "; accepted: 0 to " +
                                 Twine(view.shape[0] - 1));
    view.shape[0] = slice.size * slice.count;
  }
  return view;
}

Error dequantizeSliceRow(const TensorView &view, int64_t row,
                         MutableArrayRef<float> out) {
  const TensorView &base = *view.base;
  const TensorSlice &slice = view.slice;
  if (!gathersElements(view))
    return dequantizeRow(base, slice.sourceRow(row), out);
  if (out.size() != static_cast<uint64_t>(view.rowElements()) || row < 0 ||
      row >= view.numRows())
    return bad(view.name, "row " + Twine(row) +
                              " is asked for; accepted: 0 "
                              "to " +
                              Twine(view.numRows() - 1));
  // Element i of the row is element start + i * step of the tensor; the rows
  // of a vector's slice are its elements.
  bool isVector = base.shape.size() == 1;
  int64_t columns = base.shape.back();
  for (size_t i = 0; i < out.size(); ++i) {
    auto k = static_cast<int64_t>(i);
    int64_t at =
        isVector ? slice.sourceRow(k) : k * columns + slice.sourceRow(row);
    const uint8_t *in =
        base.data.data() + at * (base.dtype == DType::F32 ? 4 : 2);
    if (base.dtype == DType::F32)
      out[i] = llvm::bit_cast<float>(le::read32le(in));
    else if (base.dtype == DType::BF16)
      out[i] = llvm::bit_cast<float>(uint32_t(le::read16le(in)) << 16);
    else
      out[i] = halfToFloat(le::read16le(in));
  }
  return Error::success();
}

} // namespace cria
