// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/TensorSlice.h"

#include "compiler/import/InputFile.h"
#include "compiler/import/QuantizeBlocks.h"
#include "compiler/import/TensorSource.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"
#include <vector>

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

std::string meanOf(StringRef expression, int64_t size, int64_t count) {
  return (expression + " | mean " + Twine(size) + " " + Twine(count)).str();
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
  // A step of this name and its numbers, so bounded that no product of two
  // overflows.
  auto read = [&](StringRef name, MutableArrayRef<int64_t> numbers,
                  size_t least) {
    SmallVector<StringRef, 5> words;
    steps.front().split(words, ' ');
    bool good = words.front() == name && (words.size() == 1 + least ||
                                          words.size() == 1 + numbers.size());
    for (size_t i = 1; good && i < words.size(); ++i)
      good = !words[i].getAsInteger(10, numbers[i - 1]) &&
             numbers[i - 1] >= 0 && numbers[i - 1] <= int64_t(1) << 31;
    if (good)
      steps = steps.drop_front();
    return good;
  };
  int64_t rows[4] = {0, 0, 0, 1}, mean[2] = {0, 0};
  bool good = true;
  if (!steps.empty() && steps.front().starts_with("rows "))
    good = read("rows", rows, 2) && rows[1] >= 1 && rows[3] >= 1;
  if (good && !steps.empty())
    good = read("mean", mean, 2) && mean[0] >= 1 && mean[1] >= 1;
  if (!good || !steps.empty())
    return bad(expression,
               "accepted: NAME [| transpose] [| rows FIRST SIZE [EVERY COUNT]] "
               "[| mean SIZE COUNT]");
  slice.first = rows[0];
  slice.size = rows[1];
  slice.every = rows[2];
  slice.count = rows[3];
  slice.meanSize = mean[0];
  slice.meanCount = mean[1];
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
  if (slice.meanSize) {
    if (view.shape[0] % (slice.meanSize * slice.meanCount))
      return bad(expression, "takes means of " + Twine(slice.meanCount) +
                                 " runs of " + Twine(slice.meanSize) +
                                 " rows; accepted: what divides the " +
                                 Twine(view.shape[0]) + " that there are");
    view.shape[0] /= slice.meanCount;
    if (!isFloat(base.dtype))
      view.dtype = DType::F32;
  }
  return view;
}

/// Of rows, or of the elements of the one row of a vector.
static Error meanOfRows(const TensorView &view, int64_t row,
                        MutableArrayRef<float> out) {
  int64_t size = view.slice.meanSize, count = view.slice.meanCount;
  if (out.size() != static_cast<uint64_t>(view.rowElements()) || row < 0 ||
      row >= view.numRows())
    return bad(view.name, "row " + Twine(row) +
                              " is asked for; accepted: 0 to " +
                              Twine(view.numRows() - 1));
  TensorView whole = view;
  whole.slice.meanSize = 0;
  whole.shape[0] *= count;
  auto first = [&](int64_t i) { return i / size * count * size + i % size; };
  if (whole.shape.size() == 1) {
    std::vector<float> all(static_cast<size_t>(whole.shape[0]));
    if (Error error = dequantizeSliceRow(whole, row, all))
      return error;
    for (size_t i = 0; i < out.size(); ++i) {
      double sum = 0;
      for (int64_t j = 0; j < count; ++j)
        sum +=
            all[static_cast<size_t>(first(static_cast<int64_t>(i)) + j * size)];
      out[i] = static_cast<float>(sum / static_cast<double>(count));
    }
    return Error::success();
  }
  std::vector<double> sums(out.size());
  for (int64_t j = 0; j < count; ++j) {
    if (Error error = dequantizeSliceRow(whole, first(row) + j * size, out))
      return error;
    for (auto [sum, x] : zip_equal(sums, out))
      sum += x;
  }
  for (auto [sum, x] : zip_equal(sums, out))
    x = static_cast<float>(sum / static_cast<double>(count));
  return Error::success();
}

Error dequantizeSliceRow(const TensorView &view, int64_t row,
                         MutableArrayRef<float> out) {
  if (view.slice.meanSize)
    return meanOfRows(view, row, out);
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
