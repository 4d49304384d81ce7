// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/PackWeights.h"

#include "compiler/import/InputFile.h"
#include "compiler/import/PackRows.h"
#include "compiler/import/SafetensorsWriter.h"
#include "dialect/CriaOps.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>
#include <cstring>
#include <vector>

using namespace llvm;

namespace cria {
namespace {

constexpr int64_t lanes = CriaDialect::kLanes;

/// One layer of a param as its source holds it: N x K, or a plain tensor.
SmallVector<int64_t> layerShape(ParamOp param) {
  mlir::Type type = param.getLayerType();
  if (auto weight = dyn_cast<WeightType>(type))
    return SmallVector<int64_t>(weight.getShape());
  return SmallVector<int64_t>(cast<mlir::RankedTensorType>(type).getShape());
}

bool hasSources(ParamOp param) {
  return param.getSources() && !param.getSources()->empty();
}

std::string shapeText(ArrayRef<int64_t> shape) {
  return "[" +
         llvm::join(
             llvm::map_range(shape,
                             [](int64_t size) { return std::to_string(size); }),
             ", ") +
         "]";
}

Expected<const TensorView *> findSource(ParamOp param, int64_t layer,
                                        const TensorSource &source) {
  StringRef name =
      cast<mlir::StringAttr>((*param.getSources())[layer]).getValue();
  Expected<const TensorView *> view = source.get(name);
  if (!view)
    return joinErrors(
        fileError("param @" + param.getSymName().str(), "cannot be read"),
        view.takeError());
  SmallVector<int64_t> expected = layerShape(param);
  if (ArrayRef<int64_t>((*view)->shape) != ArrayRef<int64_t>(expected))
    return fileError(source.path(), "tensor " + quoted(name) + " has shape " +
                                        shapeText((*view)->shape) +
                                        "; param @" + param.getSymName() +
                                        " makes it " + shapeText(expected));
  return *view;
}

/// out[u][r] = rows[r][u] for units of the type and 16 rows.
template <typename Unit>
void interleave(const uint8_t *rows, int64_t stride, int64_t units,
                uint8_t *out) {
  for (int64_t u = 0; u < units; ++u)
    for (int64_t r = 0; r < lanes; ++r)
      std::memcpy(out + (u * lanes + r) * static_cast<int64_t>(sizeof(Unit)),
                  rows + r * stride + u * static_cast<int64_t>(sizeof(Unit)),
                  sizeof(Unit));
}

/// One array of the file.
struct Output {
  ParamOp param;
  WeightType weight; // null for a tensor param
  RowPart part;
  std::string name;
  StringRef dtype;
  SmallVector<int64_t> shape;
  uint64_t bytes;
};

StringRef floatDtype(ElementKind element) {
  return element == ElementKind::f16    ? "F16"
         : element == ElementKind::bf16 ? "BF16"
                                        : "F32";
}

class Packer {
public:
  Packer(const TensorSource *source, std::optional<uint64_t> seed,
         function_ref<void(uint64_t, uint64_t)> progress)
      : source(source), seed(seed), progress(progress) {}

  Error addParam(ParamOp param);
  Error run(SafetensorsWriter &writer);

private:
  Error add(Output output);
  Error writeLayer(const Output &output, int64_t layer,
                   SafetensorsWriter &writer);
  Error writeWeight(const Output &output, RowReader &reader,
                    const RowFormat &format, SafetensorsWriter &writer);
  Error writeTensor(RowReader &reader, const RowFormat &rows, int64_t permute,
                    int64_t dims, SafetensorsWriter &writer);
  Error put(SafetensorsWriter &writer, ArrayRef<uint8_t> bytes);
  std::unique_ptr<RowReader> randomReader(ParamOp param, int64_t layer,
                                          const RowFormat &format) const;

  const TensorSource *source;
  std::optional<uint64_t> seed;
  function_ref<void(uint64_t, uint64_t)> progress;
  std::vector<Output> outputs;
  uint64_t done = 0, total = 0;
  std::vector<uint8_t> strip, buffer;
};

Error Packer::add(Output output) {
  int64_t bytes = output.dtype == "U8" ? 1 : output.dtype == "F32" ? 4 : 2;
  for (int64_t size : output.shape)
    if (llvm::MulOverflow(bytes, size, bytes))
      return fileError("param @" + output.param.getSymName().str(),
                       "is too large: " + shapeText(output.shape));
  output.bytes = static_cast<uint64_t>(bytes);
  total += output.bytes;
  outputs.push_back(std::move(output));
  return Error::success();
}

Error Packer::addParam(ParamOp param) {
  std::string name = param.getSymName().str();
  if (source && hasSources(param)) {
    // All errors come before the first byte is written.
    for (int64_t layer = 0; layer < param.getNumLayers(); ++layer) {
      Expected<const TensorView *> view = findSource(param, layer, *source);
      if (!view)
        return view.takeError();
    }
  } else if (!seed) {
    return fileError("param @" + name,
                     Twine(source ? "names no tensor" : "has no source") +
                         "; accepted: a seed for random weights (--seed, or "
                         "the module attribute cria.seed)");
  }
  auto weight = dyn_cast<WeightType>(param.getType());
  if (!weight)
    return add({param,
                {},
                RowPart::Elements,
                name,
                "F32",
                SmallVector<int64_t>(
                    cast<mlir::RankedTensorType>(param.getType()).getShape()),
                0});
  for (const WeightType::Component &component : weight.getStorage()) {
    RowPart part = component.suffix == "codes"    ? RowPart::Codes
                   : component.suffix == "scales" ? RowPart::Scales
                   : component.suffix == "mins"   ? RowPart::Mins
                                                  : RowPart::Elements;
    StringRef dtype = part == RowPart::Elements
                          ? floatDtype(weight.getElement())
                      : part == RowPart::Codes ? "U8"
                                               : "F16";
    std::string full = name;
    if (!component.suffix.empty())
      full += "." + component.suffix.str();
    if (Error error = add({param, weight, part, full, dtype,
                           SmallVector<int64_t>(component.type.getShape()), 0}))
      return error;
  }
  return Error::success();
}

Error Packer::put(SafetensorsWriter &writer, ArrayRef<uint8_t> bytes) {
  if (Error error = writer.write(bytes))
    return error;
  done += bytes.size();
  if (progress)
    progress(done, total);
  return Error::success();
}

std::unique_ptr<RowReader> Packer::randomReader(ParamOp param, int64_t layer,
                                                const RowFormat &format) const {
  RandomRows random;
  random.key = randomKey(*seed, param.getSymName(), layer);
  bool isVector = layerShape(param).size() == 1;
  if (auto mean = param->getAttrOfType<mlir::FloatAttr>(randomMeanAttr))
    random.mean = static_cast<float>(mean.getValueAsDouble());
  else if (isVector && param.getSymName().contains("norm") &&
           !param.getSymName().contains("bias"))
    random.mean = 1.0f;
  // A linear of deviation 1 / sqrt(K) keeps the size of what it multiplies.
  random.deviation =
      isVector ? 0.1f : 1.0f / std::sqrt(static_cast<float>(format.k));
  return makeRandomReader(format, random);
}

Error Packer::writeWeight(const Output &output, RowReader &reader,
                          const RowFormat &format, SafetensorsWriter &writer) {
  constexpr size_t chunk = size_t(1) << 18;
  int64_t rowBytes = format.rowBytes(output.part);
  buffer.clear();
  auto flush = [&](size_t limit) -> Error {
    if (buffer.size() <= limit)
      return Error::success();
    Error error = put(writer, buffer);
    buffer.clear();
    return error;
  };
  auto grow = [&](int64_t bytes) {
    buffer.resize(buffer.size() + static_cast<size_t>(bytes));
    return buffer.data() + buffer.size() - bytes;
  };
  WeightLayout layout = output.weight.getLayout();
  if (layout == WeightLayout::rows) {
    for (int64_t row = 0; row < format.n; ++row) {
      reader.read(output.part, row, grow(rowBytes));
      if (Error error = flush(chunk))
        return error;
    }
    return flush(0);
  }
  // A unit goes as a whole: an element (n16), a pair (n16k2), four codes or
  // their eight nibbles (n16k4), a scale.
  bool half = output.part == RowPart::Scales || output.part == RowPart::Mins ||
              output.weight.getElement() == ElementKind::f16;
  // 64 bytes off a power of two, or 16 rows would share a set of the L1.
  int64_t stride = static_cast<int64_t>(llvm::alignTo(rowBytes, 64)) + 64;
  strip.resize(static_cast<size_t>(stride * lanes));
  for (int64_t first = 0; first < format.n; first += lanes) {
    for (int64_t r = 0; r < lanes; ++r) {
      uint8_t *to = strip.data() + r * stride;
      if (first + r < format.n)
        reader.read(output.part, first + r, to);
      else
        RowReader::padding(format, output.part, to);
    }
    uint8_t *to = grow(rowBytes * lanes);
    if (half)
      interleave<uint16_t>(strip.data(), stride, rowBytes / 2, to);
    else
      interleave<uint32_t>(strip.data(), stride, rowBytes / 4, to);
    if (Error error = flush(chunk))
      return error;
  }
  return flush(0);
}

/// Tensor params are permuted along their last dimension.
Error Packer::writeTensor(RowReader &reader, const RowFormat &rows,
                          int64_t permute, int64_t dims,
                          SafetensorsWriter &writer) {
  RowFormat columns;
  columns.permuteHeads = permute;
  columns.permuteDims = dims;
  auto bytes = static_cast<size_t>(rows.rowBytes(RowPart::Elements));
  strip.resize(bytes);
  buffer.resize(bytes);
  for (int64_t row = 0; row < rows.n; ++row) {
    reader.read(RowPart::Elements, row, strip.data());
    for (int64_t i = 0; i < rows.k; ++i)
      std::memcpy(buffer.data() + 4 * i,
                  strip.data() + 4 * columns.sourceRow(i), 4);
    if (Error error = put(writer, buffer))
      return error;
  }
  return Error::success();
}

Error Packer::writeLayer(const Output &output, int64_t layer,
                         SafetensorsWriter &writer) {
  ParamOp param = output.param;
  SmallVector<int64_t> shape = layerShape(param);
  int64_t permute = param.getPermuteHeads().value_or(0);
  int64_t dims = param.getPermuteDims().value_or(0);
  RowFormat format;
  format.k = shape.back();
  format.n = 1;
  for (int64_t size : ArrayRef(shape).drop_back())
    format.n *= size;
  if (output.weight) {
    format.element = output.weight.getElement();
    format.offset = output.weight.getOffset();
    format.biased = output.weight.getLayout() == WeightLayout::n16k4 &&
                    format.offset == OffsetKind::zero_point &&
                    format.element == ElementKind::q8;
    format.evenK = output.weight.getLayout() == WeightLayout::n16k2;
    format.permuteHeads = permute;
    format.permuteDims = dims;
  }

  const TensorView *view = nullptr;
  std::unique_ptr<RowReader> reader;
  if (source && hasSources(param)) {
    Expected<const TensorView *> found = findSource(param, layer, *source);
    if (!found)
      return found.takeError();
    view = *found;
    reader = makeTensorReader(format, *view);
  } else {
    reader = randomReader(param, layer, format);
  }
  Error error = output.weight
                    ? writeWeight(output, *reader, format, writer)
                    : writeTensor(*reader, format, permute, dims, writer);
  if (!error && view)
    source->release(*view);
  return error;
}

Error Packer::run(SafetensorsWriter &writer) {
  for (const Output &output : outputs)
    if (Error error = writer.addTensor(output.name, output.dtype, output.shape,
                                       output.bytes))
      return error;
  for (const Output &output : outputs) {
    ParamOp param = output.param;
    for (int64_t layer = 0; layer < param.getNumLayers(); ++layer)
      if (Error error = writeLayer(output, layer, writer))
        return error;
  }
  return writer.commit();
}

} // namespace

Error packWeights(mlir::ModuleOp module, const TensorSource *source,
                  std::optional<uint64_t> seed, StringRef outPath,
                  function_ref<void(uint64_t, uint64_t)> progress,
                  const std::map<std::string, std::string> &metadata) {
  if (!seed)
    if (auto attr = module->getAttrOfType<mlir::IntegerAttr>("cria.seed"))
      seed = attr.getValue().extractBitsAsZExtValue(
          std::min(attr.getValue().getBitWidth(), 64u), 0);
  Packer packer(source, seed, progress);
  for (auto param : module.getOps<ParamOp>())
    if (Error error = packer.addParam(param))
      return error;
  Expected<std::unique_ptr<SafetensorsWriter>> writer =
      SafetensorsWriter::create(outPath);
  if (!writer)
    return writer.takeError();
  for (const auto &[key, value] : metadata)
    if (Error error = (*writer)->setMetadata(key, value))
      return error;
  return packer.run(**writer);
}

Error checkSources(mlir::ModuleOp module, const TensorSource &source) {
  for (auto param : module.getOps<ParamOp>()) {
    if (!hasSources(param))
      continue;
    for (int64_t layer = 0; layer < param.getNumLayers(); ++layer) {
      Expected<const TensorView *> view = findSource(param, layer, source);
      if (!view)
        return view.takeError();
    }
  }
  return Error::success();
}

} // namespace cria
