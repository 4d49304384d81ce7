// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/PackWeights.h"

#include "compiler/import/GgmlBlocks.h"
#include "compiler/import/InputFile.h"
#include "compiler/import/PackRows.h"
#include "compiler/import/SafetensorsWriter.h"
#include "dialect/CriaOps.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/ThreadPool.h"
#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>
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

/// One param of the file and the arrays that it becomes.
struct Output {
  struct Array {
    RowPart part;
    size_t tensor; // of the writer
    uint64_t bytes;
  };
  ParamOp param;
  WeightType weight; // null for a tensor param
  RowFormat format;  // of one layer
  int64_t permute = 0, dims = 0;
  SmallVector<Array, 3> arrays;
  size_t firstReport = 0;
};

/// Rows of one layer that one thread packs at a time.
struct Unit {
  size_t output;
  int64_t layer, first, count;
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

  Error addParam(ParamOp param, SafetensorsWriter &writer);
  Error run(mlir::MLIRContext *context, SafetensorsWriter &writer);

  std::vector<PackedTensor> report;

private:
  Error addArray(Output &output, RowPart part, const std::string &name,
                 StringRef dtype, ArrayRef<int64_t> shape,
                 SafetensorsWriter &writer);
  void addUnits(const Output &output);
  void addReport(Output &output);
  Error pack(const Unit &unit, SafetensorsWriter &writer, ErrorSums &sums);
  Error packWeight(const Output &output, const Unit &unit, RowReader &reader,
                   SafetensorsWriter &writer);
  Error packTensor(const Output &output, const Unit &unit, RowReader &reader,
                   SafetensorsWriter &writer);
  Error put(const Output::Array &array, uint64_t offset,
            ArrayRef<uint8_t> bytes, SafetensorsWriter &writer);
  std::unique_ptr<RowReader> randomReader(const Output &output,
                                          int64_t layer) const;

  const TensorSource *source;
  std::optional<uint64_t> seed;
  function_ref<void(uint64_t, uint64_t)> progress;
  std::vector<Output> outputs;
  std::vector<Unit> units;
  size_t tensors = 0;
  std::mutex mutex; // of what follows, while threads pack
  uint64_t done = 0, total = 0;
};

Error Packer::addArray(Output &output, RowPart part, const std::string &name,
                       StringRef dtype, ArrayRef<int64_t> shape,
                       SafetensorsWriter &writer) {
  int64_t bytes = dtype == "U8" || dtype == "I8" ? 1 : dtype == "F32" ? 4 : 2;
  for (int64_t size : shape)
    if (llvm::MulOverflow(bytes, size, bytes))
      return fileError("param @" + output.param.getSymName().str(),
                       "is too large: " + shapeText(shape));
  auto size = static_cast<uint64_t>(bytes);
  output.arrays.push_back({part, tensors++, size});
  total += size;
  return writer.addTensor(name, dtype, shape, size);
}

Error Packer::addParam(ParamOp param, SafetensorsWriter &writer) {
  std::string name = param.getSymName().str();
  if (source && hasSources(param)) {
    // All errors of this kind come before the first byte is written.
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
  Output output;
  output.param = param;
  output.weight = dyn_cast<WeightType>(param.getType());
  output.permute = param.getPermuteHeads().value_or(0);
  output.dims = param.getPermuteDims().value_or(0);
  SmallVector<int64_t> shape = layerShape(param);
  RowFormat &format = output.format;
  format.k = shape.back();
  format.n = 1;
  for (int64_t size : ArrayRef(shape).drop_back())
    format.n *= size;
  if (!output.weight) {
    auto type = cast<mlir::RankedTensorType>(param.getType());
    if (Error error = addArray(output, RowPart::Elements, name, "F32",
                               type.getShape(), writer))
      return error;
  } else {
    WeightLayout layout = output.weight.getLayout();
    format.element = output.weight.getElement();
    format.offset = output.weight.getOffset();
    format.biased = layout == WeightLayout::n16k4 &&
                    format.offset == OffsetKind::zero_point &&
                    format.element == ElementKind::q8;
    format.evenK = layout == WeightLayout::n16k2;
    format.permuteHeads = output.permute;
    format.permuteDims = output.dims;
    for (const WeightType::Component &component : output.weight.getStorage()) {
      RowPart part = component.suffix == "codes"       ? RowPart::Codes
                     : component.suffix == "scales"    ? RowPart::Scales
                     : component.suffix == "mins"      ? RowPart::Mins
                     : component.suffix == "subscales" ? RowPart::Subscales
                                                       : RowPart::Elements;
      StringRef dtype = part == RowPart::Elements ? floatDtype(format.element)
                        : part == RowPart::Codes  ? "U8"
                        : part == RowPart::Subscales ? "I8"
                                                     : "F16";
      std::string full = name;
      if (!component.suffix.empty())
        full += "." + component.suffix.str();
      if (Error error = addArray(output, part, full, dtype,
                                 component.type.getShape(), writer))
        return error;
    }
  }
  addReport(output);
  outputs.push_back(std::move(output));
  addUnits(outputs.back());
  return Error::success();
}

void Packer::addUnits(const Output &output) {
  const RowFormat &format = output.format;
  // About a megabyte of f32, in whole strips.
  int64_t rows = std::max<int64_t>(1, (int64_t(1) << 18) / (lanes * format.k));
  rows *= lanes;
  for (int64_t layer = 0; layer < ParamOp(output.param).getNumLayers(); ++layer)
    for (int64_t first = 0; first < format.n; first += rows)
      units.push_back(
          {outputs.size() - 1, layer, first, std::min(rows, format.n - first)});
}

void Packer::addReport(Output &output) {
  output.firstReport = report.size();
  ParamOp param = output.param;
  if (!output.weight)
    return;
  uint64_t bytes = 0;
  for (const Output::Array &array : output.arrays)
    bytes += array.bytes;
  auto made = output.weight;
  if (auto attr = param->getAttrOfType<mlir::TypeAttr>(sourceTypeAttr))
    if (auto type = dyn_cast<WeightType>(attr.getValue()))
      made = type;
  for (int64_t layer = 0; layer < param.getNumLayers(); ++layer) {
    PackedTensor entry;
    entry.param = param.getSymName().str();
    entry.layer = layer;
    SmallVector<int64_t> shape = layerShape(param);
    entry.shape.assign(shape.begin(), shape.end());
    entry.typeOut = weightTypeName(output.weight);
    entry.bytesOut = bytes / static_cast<uint64_t>(param.getNumLayers());
    if (source && hasSources(param)) {
      // addParam has found it.
      const TensorView *view =
          llvm::cantFail(findSource(param, layer, *source));
      entry.source = view->name;
      entry.typeIn = view->typeName;
      entry.bytesIn = view->byteSize();
      entry.requantized =
          isGgmlQuantized(view->base ? view->base->dtype : view->dtype);
    } else {
      RowFormat format = output.format;
      format.element = made.getElement();
      format.offset = made.getOffset();
      entry.typeIn = weightTypeName(made);
      for (int i = 0; i < rowParts; ++i)
        entry.bytesIn += static_cast<uint64_t>(
            format.n * format.rowBytes(static_cast<RowPart>(i)));
      entry.requantized = made.isQuantized();
    }
    report.push_back(std::move(entry));
  }
}

Error Packer::put(const Output::Array &array, uint64_t offset,
                  ArrayRef<uint8_t> bytes, SafetensorsWriter &writer) {
  if (Error error = writer.writeAt(array.tensor, offset, bytes))
    return error;
  std::lock_guard<std::mutex> lock(mutex);
  done += bytes.size();
  if (progress)
    progress(done, total);
  return Error::success();
}

std::unique_ptr<RowReader> Packer::randomReader(const Output &output,
                                                int64_t layer) const {
  ParamOp param = output.param;
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
      isVector ? 0.1f : 1.0f / std::sqrt(static_cast<float>(output.format.k));
  random.element = output.format.element;
  random.offset = output.format.offset;
  if (auto attr = param->getAttrOfType<mlir::TypeAttr>(sourceTypeAttr))
    if (auto made = dyn_cast<WeightType>(attr.getValue())) {
      random.element = made.getElement();
      random.offset = made.getOffset();
    }
  return makeRandomReader(output.format, random);
}

Error Packer::packWeight(const Output &output, const Unit &unit,
                         RowReader &reader, SafetensorsWriter &writer) {
  const RowFormat &format = output.format;
  bool isRows = output.weight.getLayout() == WeightLayout::rows;
  RowStrip strip(format);
  SmallVector<std::vector<uint8_t>, 3> buffers(output.arrays.size());
  for (int64_t at = 0; at < unit.count; at += lanes) {
    int64_t count = std::min(lanes, unit.count - at);
    if (Error error = reader.read(unit.first + at, count, strip))
      return error;
    strip.pad(count);
    for (auto [array, buffer] : llvm::zip_equal(output.arrays, buffers)) {
      int64_t rowBytes = format.rowBytes(array.part);
      int64_t rows = isRows ? count : lanes;
      size_t size = buffer.size();
      buffer.resize(size + static_cast<size_t>(rows * rowBytes));
      uint8_t *to = buffer.data() + size;
      // A unit goes as a whole: an element (n16), a pair (n16k2), four bytes
      // of codes (n16k4), a scale.
      bool half = array.part == RowPart::Scales ||
                  array.part == RowPart::Mins ||
                  format.element == ElementKind::f16;
      const uint8_t *from = strip.row(array.part, 0);
      int64_t stride = strip.stride(array.part);
      if (isRows)
        for (int64_t r = 0; r < rows; ++r)
          std::memcpy(to + r * rowBytes, from + r * stride,
                      static_cast<size_t>(rowBytes));
      else if (array.part == RowPart::Subscales)
        interleave<uint8_t>(from, stride, rowBytes, to);
      else if (half)
        interleave<uint16_t>(from, stride, rowBytes / 2, to);
      else
        interleave<uint32_t>(from, stride, rowBytes / 4, to);
    }
  }
  for (auto [array, buffer] : llvm::zip_equal(output.arrays, buffers)) {
    ParamOp param = output.param;
    uint64_t layerBytes =
        array.bytes / static_cast<uint64_t>(param.getNumLayers());
    uint64_t offset =
        static_cast<uint64_t>(unit.layer) * layerBytes +
        static_cast<uint64_t>(unit.first * format.rowBytes(array.part));
    if (Error error = put(array, offset, buffer, writer))
      return error;
  }
  return Error::success();
}

/// Tensor params are permuted along their last dimension.
Error Packer::packTensor(const Output &output, const Unit &unit,
                         RowReader &reader, SafetensorsWriter &writer) {
  const RowFormat &format = output.format;
  RowFormat columns;
  columns.permuteHeads = output.permute;
  columns.permuteDims = output.dims;
  auto rowBytes = static_cast<uint64_t>(format.rowBytes(RowPart::Elements));
  RowStrip strip(format);
  std::vector<uint8_t> buffer(rowBytes);
  for (int64_t row = unit.first; row < unit.first + unit.count; ++row) {
    if (Error error = reader.read(row, 1, strip))
      return error;
    const uint8_t *from = strip.row(RowPart::Elements, 0);
    for (int64_t i = 0; i < format.k; ++i)
      std::memcpy(buffer.data() + 4 * i, from + 4 * columns.sourceRow(i), 4);
    uint64_t place = static_cast<uint64_t>(unit.layer * format.n + row);
    if (Error error =
            put(output.arrays.front(), place * rowBytes, buffer, writer))
      return error;
  }
  return Error::success();
}

Error Packer::pack(const Unit &unit, SafetensorsWriter &writer,
                   ErrorSums &sums) {
  const Output &output = outputs[unit.output];
  ParamOp param = output.param;
  const TensorView *view = nullptr;
  std::unique_ptr<RowReader> reader;
  if (source && hasSources(param)) {
    Expected<const TensorView *> found = findSource(param, unit.layer, *source);
    if (!found)
      return found.takeError();
    view = *found;
    reader = makeTensorReader(output.format, *view);
  } else {
    reader = randomReader(output, unit.layer);
  }
  if (Error error = output.weight ? packWeight(output, unit, *reader, writer)
                                  : packTensor(output, unit, *reader, writer))
    return fileError(view ? source->path()
                          : "param @" + param.getSymName().str(),
                     (view ? "tensor " + quoted(view->name)
                           : "layer " + std::to_string(unit.layer)) +
                         ": " + toString(std::move(error)));
  sums = reader->sums;
  if (output.weight && reader->isCopy()) {
    std::lock_guard<std::mutex> lock(mutex);
    report[output.firstReport + static_cast<size_t>(unit.layer)].copied = true;
  }
  return Error::success();
}

Error Packer::run(mlir::MLIRContext *context, SafetensorsWriter &writer) {
  if (Error error = writer.openForParts())
    return error;
  // Units are begun in their order. Where one fails those before it are done
  // or under way, so that the first error is the same for any threads.
  std::vector<ErrorSums> sums(units.size());
  std::vector<std::atomic<int64_t>> left(report.size());
  for (const Unit &unit : units)
    if (outputs[unit.output].weight)
      ++left[outputs[unit.output].firstReport +
             static_cast<size_t>(unit.layer)];
  std::atomic<size_t> next(0);
  std::optional<std::pair<size_t, std::string>> failed;
  std::atomic<uint64_t> unreleased = 0; // of what has been read
  auto work = [&] {
    for (size_t i; (i = next.fetch_add(1)) < units.size();) {
      const Unit &unit = units[i];
      if (Error error = pack(unit, writer, sums[i])) {
        std::string message = toString(std::move(error));
        std::lock_guard<std::mutex> lock(mutex);
        if (!failed || i < failed->first)
          failed = {i, std::move(message)};
        next = units.size();
        return;
      }
      const Output &output = outputs[unit.output];
      if (!output.weight || !source || !hasSources(output.param))
        continue;
      // Pages that are still wanted come back from the page cache.
      constexpr uint64_t releaseBytes = 64 << 20;
      const TensorView &view = **findSource(output.param, unit.layer, *source);
      uint64_t bytes = view.byteSize() /
                       static_cast<uint64_t>(output.format.n) *
                       static_cast<uint64_t>(unit.count);
      bool last =
          --left[output.firstReport + static_cast<size_t>(unit.layer)] == 0;
      if (unreleased.fetch_add(bytes) + bytes >= releaseBytes || last) {
        unreleased = 0;
        source->release(view);
      }
    }
  };
  if (context->isMultithreadingEnabled()) {
    ThreadPoolInterface &pool = context->getThreadPool();
    ThreadPoolTaskGroup group(pool);
    for (unsigned i = 0; i < pool.getMaxConcurrency(); ++i)
      group.async(work);
    group.wait();
  } else {
    work();
  }
  if (failed)
    return createStringError(failed->second);
  for (auto [unit, sum] : llvm::zip_equal(units, sums))
    if (outputs[unit.output].weight)
      report[outputs[unit.output].firstReport + static_cast<size_t>(unit.layer)]
          .sums.add(sum);
  return writer.commit();
}

} // namespace

Error packWeights(mlir::ModuleOp module, const TensorSource *source,
                  std::optional<uint64_t> seed, StringRef outPath,
                  function_ref<void(uint64_t, uint64_t)> progress,
                  const std::map<std::string, std::string> &metadata,
                  std::vector<PackedTensor> *report) {
  if (!seed)
    if (auto attr = module->getAttrOfType<mlir::IntegerAttr>("cria.seed"))
      seed = attr.getValue().extractBitsAsZExtValue(
          std::min(attr.getValue().getBitWidth(), 64u), 0);
  Expected<std::unique_ptr<SafetensorsWriter>> writer =
      SafetensorsWriter::create(outPath);
  if (!writer)
    return writer.takeError();
  for (const auto &[key, value] : metadata)
    if (Error error = (*writer)->setMetadata(key, value))
      return error;
  Packer packer(source, seed, progress);
  for (auto param : module.getOps<ParamOp>())
    if (Error error = packer.addParam(param, **writer))
      return error;
  if (Error error = packer.run(module.getContext(), **writer))
    return error;
  if (report)
    *report = std::move(packer.report);
  return Error::success();
}

std::string weightTypeName(WeightType type) {
  std::string name = stringifyElementKind(type.getElement()).str();
  if (type.getElement() == ElementKind::q4 &&
      type.getOffset() == OffsetKind::zero_point)
    return name + "_0";
  if (type.getElement() == ElementKind::q8 &&
      type.getOffset() == OffsetKind::min)
    return name + "_min";
  return name;
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
