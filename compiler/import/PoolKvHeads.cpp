// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/PoolKvHeads.h"

#include "compiler/import/DecoderTensors.h"
#include "compiler/import/InputFile.h"
#include "compiler/import/TensorSlice.h"
#include "compiler/import/TensorSource.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using namespace llvm;

namespace cria {
namespace {

class Pooler {
public:
  Pooler(DecoderDescription &model, const TensorSource &source,
         const ImportOptions &options)
      : model(model), source(source), options(options),
        pooled{model.kvHeads, *options.kvHeads},
        group(model.kvHeads / *options.kvHeads) {}

  Expected<KvPooling> run();

private:
  Error add(Role role);
  Error measure(const TensorView &view, const TensorView &mean);

  DecoderDescription &model;
  const TensorSource &source;
  const ImportOptions &options;
  KvPooling pooled;
  int64_t group; // kv heads that become one
  double errors = 0, squares = 0;
};

/// Adds how far the numbers of `view` are from their means.
Error Pooler::measure(const TensorView &view, const TensorView &mean) {
  int64_t size = model.headDim;
  bool isVector = view.shape.size() == 1;
  std::vector<float> x(static_cast<size_t>(view.rowElements()));
  std::vector<float> m(static_cast<size_t>(mean.rowElements()));
  auto meanOf = [&](int64_t i) { return i / (size * group) * size + i % size; };
  if (isVector)
    if (Error error = dequantizeRow(mean, 0, m))
      return error;
  for (int64_t row = 0; row < view.numRows(); ++row) {
    if (Error error = dequantizeRow(view, row, x))
      return error;
    if (!isVector)
      if (Error error = dequantizeRow(mean, meanOf(row), m))
        return error;
    for (size_t i = 0; i < x.size(); ++i) {
      size_t at =
          isVector ? static_cast<size_t>(meanOf(static_cast<int64_t>(i))) : i;
      double off = double(x[i]) - double(m[at]);
      errors += off * off;
      squares += double(x[i]) * double(x[i]);
    }
  }
  source.release(view);
  return Error::success();
}

Error Pooler::add(Role role) {
  TensorPlace &place = model.at(role);
  if (place.name.empty())
    return Error::success();
  StringRef pattern = place.name;
  bool isNumbered = pattern.contains("{}");
  for (int64_t layer = 0; layer < (isNumbered ? model.layers : 1); ++layer) {
    std::string name = nameOfLayer(pattern, layer);
    if (place.optional && !source.find(StringRef(name).split(" | ").first))
      continue;
    Expected<const TensorView *> view = source.get(name);
    if (!view)
      return view.takeError();
    const TensorView &tensor = **view;
    if (tensor.shape.empty() || tensor.shape.front() != model.keyRows())
      return fileError(
          source.path(),
          "tensor " + quoted(name) + " has " +
              Twine(tensor.shape.empty() ? 1 : tensor.shape.front()) +
              " rows; the model's sizes make it " + Twine(model.keyRows()));
    bool isFloat = tensor.dtype == DType::F32 || tensor.dtype == DType::F16 ||
                   tensor.dtype == DType::BF16;
    if (!isFloat && !options.quantizes)
      return fileError(source.path(),
                       "--kv-heads: the means of tensor " + quoted(name) +
                           ", which has type " + tensor.typeName +
                           ", are no numbers of that type; accepted: "
                           "--quantize with a type for k and v, such as "
                           "k=q8,v=q8");
    Expected<const TensorView *> mean =
        source.get(meanOf(name, model.headDim, group));
    if (!mean)
      return mean.takeError();
    if (Error error = measure(tensor, **mean))
      return error;
  }
  place.name = meanOf(place.name, model.headDim, group);
  return Error::success();
}

Expected<KvPooling> Pooler::run() {
  SmallVector<Role, 6> roles = {Role::AttnK, Role::AttnV, Role::AttnKBias,
                                Role::AttnVBias};
  if (!model.qkNormPerHead() || model.qkNormOfAllHeads)
    roles.append({Role::KNorm, Role::KNormBias});
  if (group > 1)
    for (Role role : roles)
      if (Error error = add(role))
        return error;
  model.kvHeads = pooled.to;
  pooled.difference = squares > 0 ? std::sqrt(errors / squares) : 0;
  return pooled;
}

} // namespace

Expected<std::optional<KvPooling>> poolKvHeads(DecoderDescription &model,
                                               const TensorSource &source,
                                               const ImportOptions &options) {
  if (!options.kvHeads)
    return std::nullopt;
  int64_t wanted = *options.kvHeads;
  if (wanted < 1 || model.kvHeads % wanted) {
    std::string accepted;
    for (int64_t g = 1; g <= model.kvHeads; ++g)
      if (model.kvHeads % g == 0)
        accepted += (g == 1 ? "" : ", ") + std::to_string(g);
    return fileError(source.path(), "--kv-heads " + Twine(wanted) +
                                        ": the model has " +
                                        Twine(model.kvHeads) +
                                        " kv heads; accepted: " + accepted);
  }
  Expected<KvPooling> pooling = Pooler(model, source, options).run();
  if (!pooling)
    return pooling.takeError();
  return *pooling;
}

std::string poolingText(const KvPooling &pooling, int64_t bytes,
                        int64_t context, uint64_t weightBytes) {
  int64_t fewer = bytes / pooling.to * (pooling.from - pooling.to);
  double weights = static_cast<double>(weightBytes);
  double now = weights + static_cast<double>(bytes) * double(context);
  double before = now + static_cast<double>(fewer) * double(context);
  std::string text = formatv(
      "kv heads: {0} instead of {1}; KV cache: {2} bytes a token, {3} fewer "
      "({9:f2} MB at the full context)\n"
      "decode at a depth of {4}: a token reads {5:f2} MB of weights, K and V "
      "instead of {6:f2} MB, {7:f2} of them; the time that this saves is "
      "measured by `cria bench --against` a folder without --kv-heads, with "
      "-d {8} -p 0 -n 64\n",
      pooling.to, pooling.from, bytes, fewer, context, now / 1e6, before / 1e6,
      now / before, std::max<int64_t>(context - 64, 0),
      double(fewer) * double(context) / 1e6);
  if (pooling.difference == 0)
    return text + "the heads that became one were equal: the conversion is "
                  "exact\n";
  return text + formatv("K and V are {0:f3} off their means (root mean square, "
                        "of their weights'): `cria eval --against` a folder "
                        "without --kv-heads shows the KL that it costs\n",
                        pooling.difference)
                    .str();
}

} // namespace cria
