// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/MadeTensor.h"

#include "compiler/import/InputFile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include <cmath>
#include <cstdio>

using namespace llvm;
namespace le = llvm::support::endian;

namespace cria {
namespace {

constexpr StringLiteral accepted =
    "accepted: NAME | join COUNT, NAME | flat, W | batch_norm_before NORM EPS, "
    "W | batch_norm_behind NORM EPS, and the same with _bias and [BIAS]";
constexpr int64_t maxParts = 65536;
/// Of a made tensor: it stays in memory.
constexpr int64_t maxElements = int64_t(1) << 33;

enum class Step { Join, Flat, Weight, Bias };

struct Parsed {
  StringRef tensor;
  Step step = Step::Flat;
  int64_t count = 0;  // of a join
  BatchNormFold fold; // of the others
  StringRef bias;
};

/// Whether the step begins with the name of one of this file's.
bool isMade(StringRef step) {
  StringRef word = step.split(' ').first;
  return word == "join" || word == "flat" || word.starts_with("batch_norm_");
}

Error bad(StringRef expression, const Twine &message) {
  return createStringError("tensor " + quoted(expression, 160) + ": " +
                           message);
}

std::optional<Parsed> parse(StringRef expression) {
  auto [tensor, step] = expression.split(" | ");
  SmallVector<StringRef, 4> words;
  step.split(words, ' ');
  StringRef word = words.front();
  Parsed result;
  result.tensor = tensor;
  if (word == "flat")
    return words.size() == 1 ? std::optional(result) : std::nullopt;
  if (word == "join") {
    result.step = Step::Join;
    if (words.size() != 2 || words[1].getAsInteger(10, result.count) ||
        result.count < 1 || result.count > maxParts || !tensor.contains("[]"))
      return std::nullopt;
    return result;
  }
  if (!word.consume_front("batch_norm_"))
    return std::nullopt;
  result.step = word.consume_back("_bias") ? Step::Bias : Step::Weight;
  if (word == "behind")
    result.fold.where = BatchNormFold::Where::Behind;
  else if (word != "before")
    return std::nullopt;
  bool hasBias = result.step == Step::Bias && words.size() == 4;
  if ((words.size() != 3 && !hasBias) || words[1].empty() ||
      words[2].getAsDouble(result.fold.eps) || !(result.fold.eps >= 0) ||
      !std::isfinite(result.fold.eps))
    return std::nullopt;
  result.fold.norm = words[1].str();
  if (hasBias)
    result.bias = words[3];
  return result;
}

std::string numbered(StringRef pattern, int64_t i) {
  auto [front, back] = pattern.split("[]");
  return (front + Twine(i) + back).str();
}

std::string stepText(StringRef weight, StringRef end,
                     const BatchNormFold &fold) {
  bool before = fold.where == BatchNormFold::Where::Before;
  char eps[40]; // enough digits to be read back as the same number
  std::snprintf(eps, sizeof(eps), "%.17g", fold.eps);
  return (weight + " | batch_norm_" + (before ? "before" : "behind") + end +
          " " + fold.norm + " " + eps)
      .str();
}

/// Computes one tensor.
class Maker {
public:
  Maker(StringRef expression,
        function_ref<Expected<const TensorView *>(StringRef)> get,
        function_ref<bool(StringRef)> has)
      : expression(expression), get(get), has(has) {}

  Expected<TensorView> run(const Parsed &parsed);

private:
  Error append(const TensorView &view);
  Error readVector(const Twine &name, int64_t size, double missing,
                   std::vector<double> &out);
  Error fold(const Parsed &parsed);

  StringRef expression;
  function_ref<Expected<const TensorView *>(StringRef)> get;
  function_ref<bool(StringRef)> has;
  std::vector<float> values;
  SmallVector<int64_t, 4> shape;
};

Error Maker::append(const TensorView &view) {
  if (view.numElements() > maxElements - static_cast<int64_t>(values.size()))
    return bad(expression, "has more than " + Twine(maxElements) + " elements");
  size_t columns = static_cast<size_t>(view.rowElements());
  for (int64_t row = 0; row < view.numRows(); ++row) {
    values.resize(values.size() + columns);
    if (Error error = dequantizeRow(view, row,
                                    MutableArrayRef(values).take_back(columns)))
      return error;
  }
  return Error::success();
}

/// A vector of the container, `missing` in all places where it has none.
Error Maker::readVector(const Twine &name, int64_t size, double missing,
                        std::vector<double> &out) {
  std::string text = name.str();
  out.assign(static_cast<size_t>(size), missing);
  if (!std::isnan(missing) && !has(text))
    return Error::success();
  Expected<const TensorView *> view = get(text);
  if (!view)
    return view.takeError();
  if ((*view)->shape.size() != 1 || (*view)->shape.front() != size)
    return bad(text, "has shape " + shapeText((*view)->shape) +
                         "; the linear beside it makes it " +
                         shapeText({size}));
  std::vector<float> row(out.size());
  if (Error error = dequantizeRow(**view, 0, row))
    return error;
  llvm::copy(row, out.begin());
  return Error::success();
}

Error Maker::fold(const Parsed &parsed) {
  Expected<const TensorView *> found = get(parsed.tensor);
  if (!found)
    return found.takeError();
  const TensorView &view = **found;
  if (view.shape.size() != 2)
    return bad(parsed.tensor, "has " + Twine(view.shape.size()) +
                                  " dimensions; accepted: 2, of a linear");
  int64_t rows = view.shape[0], columns = view.shape[1];
  bool before = parsed.fold.where == BatchNormFold::Where::Before;
  int64_t size = before ? columns : rows;
  constexpr double required = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> weight, bias, mean, variance, added;
  struct Part {
    const char *end;
    double missing;
    std::vector<double> &out;
  };
  const Part parts[] = {{".weight", 1, weight},
                        {".bias", 0, bias},
                        {".running_mean", required, mean},
                        {".running_var", required, variance}};
  for (const Part &part : parts)
    if (Error error = readVector(parsed.fold.norm + part.end, size,
                                 part.missing, part.out))
      return error;
  std::vector<double> s(weight.size()), t(weight.size());
  for (size_t i = 0; i < s.size(); ++i) {
    if (!(variance[i] >= 0) || !(variance[i] + parsed.fold.eps > 0))
      return bad(parsed.fold.norm + ".running_var",
                 "holds " + numberText(variance[i]) +
                     "; accepted: variances from 0 on, above 0 with EPS");
    s[i] = weight[i] / std::sqrt(variance[i] + parsed.fold.eps);
    t[i] = bias[i] - mean[i] * s[i];
  }
  if (parsed.step == Step::Bias) {
    added.assign(static_cast<size_t>(rows), 0);
    if (!parsed.bias.empty())
      if (Error error = readVector(parsed.bias, rows, required, added))
        return error;
    shape = {rows};
  } else {
    shape = {rows, columns};
  }
  std::vector<float> row(static_cast<size_t>(columns));
  for (int64_t i = 0; i < rows; ++i) {
    auto r = static_cast<size_t>(i);
    if (parsed.step == Step::Bias && !before) {
      values.push_back(static_cast<float>(s[r] * added[r] + t[r]));
      continue;
    }
    if (Error error = dequantizeRow(view, i, row))
      return error;
    if (parsed.step == Step::Bias) {
      double sum = added[r];
      for (size_t k = 0; k < row.size(); ++k)
        sum += static_cast<double>(row[k]) * t[k];
      values.push_back(static_cast<float>(sum));
      continue;
    }
    for (size_t k = 0; k < row.size(); ++k)
      values.push_back(
          static_cast<float>(static_cast<double>(row[k]) * s[before ? k : r]));
  }
  return Error::success();
}

Expected<TensorView> Maker::run(const Parsed &parsed) {
  if (parsed.step == Step::Join || parsed.step == Step::Flat) {
    size_t rank = parsed.step == Step::Join ? 1 : 2;
    for (int64_t i = 0; i < std::max<int64_t>(parsed.count, 1); ++i) {
      Expected<const TensorView *> view =
          get(rank == 1 ? numbered(parsed.tensor, i) : parsed.tensor.str());
      if (!view)
        return view.takeError();
      if ((*view)->shape.size() != rank)
        return bad(expression, "has a part of " + Twine((*view)->shape.size()) +
                                   " dimensions; accepted: " + Twine(rank));
      if (Error error = append(**view))
        return error;
    }
    shape = {static_cast<int64_t>(values.size())};
  } else if (Error error = fold(parsed)) {
    return error;
  }
  TensorView view;
  view.name = expression.str();
  view.shape = shape;
  view.dtype = DType::F32;
  view.typeName = "F32";
  auto bytes = std::make_shared<std::vector<uint8_t>>(values.size() * 4);
  for (size_t i = 0; i < values.size(); ++i)
    le::write32le(bytes->data() + 4 * i, llvm::bit_cast<uint32_t>(values[i]));
  view.data = *bytes;
  view.made = std::move(bytes);
  return view;
}

} // namespace

std::string joined(StringRef name, int64_t count) {
  return (name + " | join " + Twine(count)).str();
}

std::string flattened(StringRef name) { return (name + " | flat").str(); }

std::string foldedWeight(StringRef weight, const BatchNormFold &fold) {
  return stepText(weight, "", fold);
}

std::string foldedBias(StringRef weight, StringRef bias,
                       const BatchNormFold &fold) {
  return stepText(weight, "_bias", fold) + (bias.empty() ? "" : " ") +
         bias.str();
}

std::optional<StringRef> madePart(StringRef expression) {
  auto [tensor, rest] = expression.split(" | ");
  StringRef step = rest.split(" | ").first;
  if (!isMade(step))
    return std::nullopt;
  return expression.take_front(tensor.size() + 3 + step.size());
}

std::vector<std::string> tensorsOfMade(StringRef expression,
                                       function_ref<bool(StringRef)> has) {
  std::optional<Parsed> parsed = parse(expression);
  if (!parsed)
    return {};
  std::vector<std::string> names;
  if (parsed->step == Step::Join)
    for (int64_t i = 0; i < parsed->count; ++i)
      names.push_back(numbered(parsed->tensor, i));
  else
    names.push_back(parsed->tensor.str());
  if (!parsed->bias.empty())
    names.push_back(parsed->bias.str());
  if (!parsed->fold.norm.empty())
    for (const char *end :
         {".weight", ".bias", ".running_mean", ".running_var"})
      if (std::string name = parsed->fold.norm + end; has(name))
        names.push_back(std::move(name));
  return names;
}

Expected<TensorView>
makeTensor(StringRef expression,
           function_ref<Expected<const TensorView *>(StringRef)> get,
           function_ref<bool(StringRef)> has) {
  std::optional<Parsed> parsed = parse(expression);
  if (!parsed)
    return bad(expression, accepted);
  return Maker(expression, get, has).run(*parsed);
}

} // namespace cria
