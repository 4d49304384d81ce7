// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/QuantizeReport.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include <cmath>

using namespace llvm;

namespace cria {
namespace {

/// One line of the table: a param, or everything.
struct Row {
  std::string name, shape, typeIn, typeOut;
  uint64_t bytesIn = 0, bytesOut = 0;
  bool exact = true, requantized = false;
  ErrorSums sums;

  void add(const PackedTensor &tensor) {
    bytesIn += tensor.bytesIn;
    bytesOut += tensor.bytesOut;
    bool isExact = tensor.copied || tensor.sums.errors == 0;
    exact &= isExact;
    requantized |= tensor.requantized && !isExact;
    sums.add(tensor.sums);
  }
};

double relativeError(const ErrorSums &sums) {
  return sums.squares > 0 ? std::sqrt(sums.errors / sums.squares) : 0.0;
}

std::string bytesText(uint64_t bytes) {
  double value = static_cast<double>(bytes);
  const char *units[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  for (; value >= 999.5 && unit < 4; ++unit)
    value /= 1000;
  std::string text;
  raw_string_ostream(text) << format(
      unit == 0 || value >= 99.95 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

std::string shapeText(const PackedTensor &tensor, int64_t layers) {
  std::string text = layers > 1 ? std::to_string(layers) + "x" : "";
  return text +
         llvm::join(llvm::map_range(tensor.shape,
                                    [](int64_t size) { return itostr(size); }),
                    "x");
}

/// Cut in the middle, where names differ least.
std::string fitted(StringRef text, size_t width) {
  if (text.size() <= width)
    return text.str();
  size_t head = (width - 2) / 2;
  return (text.take_front(head) + ".." + text.take_back(width - 2 - head))
      .str();
}

void printRow(raw_ostream &out, const Row &row) {
  std::string types = row.typeIn;
  if (!row.typeOut.empty())
    types += (row.requantized ? " ! " : " > ") + row.typeOut;
  out << left_justify(fitted(row.name, 13), 14)
      << left_justify(fitted(row.shape, 13), 14)
      << left_justify(fitted(types, 12), 13)
      << right_justify(bytesText(row.bytesIn), 7) << " "
      << right_justify(bytesText(row.bytesOut), 7);
  if (row.exact) {
    out << "    exact\n";
    return;
  }
  double error = relativeError(row.sums);
  out << format(" %8.5f %7.1e", error, static_cast<double>(row.sums.largest));
  if (error > 0)
    out << format(" %5.1f", -20 * std::log10(error));
  out << "\n";
}

json::Object jsonOf(const Row &row) {
  json::Object object{{"bytes_in", row.bytesIn},
                      {"bytes_out", row.bytesOut},
                      {"relative_rms_error", nullptr},
                      {"max_abs_error", nullptr},
                      {"snr_db", nullptr}};
  if (row.exact)
    return object;
  double error = relativeError(row.sums);
  object["relative_rms_error"] = error;
  object["max_abs_error"] = static_cast<double>(row.sums.largest);
  if (error > 0)
    object["snr_db"] = -20 * std::log10(error);
  return object;
}

} // namespace

void printQuantizeTable(raw_ostream &out, ArrayRef<PackedTensor> tensors) {
  out << "weight        shape         type              in     out  rms err"
         " max err   SNR\n";
  Row total;
  total.name = "total";
  for (size_t i = 0; i < tensors.size();) {
    Row row;
    row.name = tensors[i].param;
    row.typeIn = tensors[i].typeIn;
    row.typeOut = tensors[i].typeOut;
    size_t end = i;
    for (; end < tensors.size() && tensors[end].param == row.name; ++end) {
      row.add(tensors[end]);
      total.add(tensors[end]);
      if (tensors[end].typeIn != row.typeIn)
        row.typeIn = "mixed";
    }
    row.shape = shapeText(tensors[i], static_cast<int64_t>(end - i));
    printRow(out, row);
    i = end;
  }
  printRow(out, total);
  if (total.requantized)
    out << "!: was quantized already; these errors come on top of those that it"
           " had.\n";
}

std::string quantizeJson(StringRef spec, ArrayRef<PackedTensor> tensors) {
  json::Array list;
  Row total;
  for (const PackedTensor &tensor : tensors) {
    Row row;
    row.add(tensor);
    total.add(tensor);
    json::Object object = jsonOf(row);
    object["param"] = tensor.param;
    object["layer"] = tensor.layer;
    object["tensor"] = tensor.source;
    object["shape"] = json::Array(tensor.shape);
    object["type_in"] = tensor.typeIn;
    object["type_out"] = tensor.typeOut;
    object["requantized"] = row.requantized;
    list.push_back(std::move(object));
  }
  std::string text;
  raw_string_ostream(text) << formatv(
      "{0:2}\n",
      json::Value(json::Object{
          {"quantize", spec.empty() ? json::Value(nullptr) : json::Value(spec)},
          {"tensors", std::move(list)},
          {"total", jsonOf(total)}}));
  return text;
}

std::error_code writeQuantizeReport(StringRef path, StringRef spec,
                                    ArrayRef<PackedTensor> tensors) {
  std::error_code cause;
  raw_fd_ostream file(path, cause);
  if (cause)
    return cause;
  file << quantizeJson(spec, tensors);
  file.close();
  cause = file.error();
  file.clear_error();
  return cause;
}

} // namespace cria
