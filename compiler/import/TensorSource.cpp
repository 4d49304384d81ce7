// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/TensorSource.h"

#include "compiler/import/GgmlBlocks.h"
#include "compiler/import/GgufReader.h"
#include "compiler/import/InputFile.h"
#include "compiler/import/MadeTensor.h"
#include "compiler/import/QuantizeBlocks.h"
#include "compiler/import/SafetensorsReader.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include <cstring>

using namespace llvm;
namespace le = llvm::support::endian;

namespace cria {

namespace {

struct DTypeInfo {
  const char *name;
  int64_t blockElements;
  int64_t blockBytes;
};

// Indexed by DType; see GgmlBlocks.h for the blocks.
const DTypeInfo dtypeInfos[] = {
    {"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},
    {"Q8_0", 32, 34},   {"Q4_0", 32, 18},   {"Q4_1", 32, 20},
    {"Q5_0", 32, 22},   {"Q5_1", 32, 24},   {"Q2_K", 256, 84},
    {"Q3_K", 256, 110}, {"Q4_K", 256, 144}, {"Q5_K", 256, 176},
    {"Q6_K", 256, 210}, {"IQ4_NL", 32, 18}, {"unsupported", 1, 0}};

const DTypeInfo &dtypeInfo(DType dtype) {
  return dtypeInfos[static_cast<size_t>(dtype)];
}

float loadHalf(const uint8_t *p) { return halfToFloat(le::read16le(p)); }

/// By name: the containers' types are numbered and spelled differently.
DType dtypeOf(StringRef name) {
  for (size_t i = 0; i < static_cast<size_t>(DType::Unsupported); ++i)
    if (name == dtypeInfos[i].name)
      return static_cast<DType>(i);
  return DType::Unsupported;
}

/// The views and their index, which both containers need.
class ViewTable {
public:
  void reserve(size_t count) { views.reserve(count); }

  void add(TensorView view) { views.push_back(std::move(view)); }

  /// After the last add: views no longer move.
  void finish() {
    for (const TensorView &view : views) {
      order.push_back(view.name);
      index.try_emplace(view.name, &view);
    }
  }

  const TensorView *find(StringRef name) const { return index.lookup(name); }

  ArrayRef<StringRef> names() const { return order; }

private:
  std::vector<TensorView> views;
  std::vector<StringRef> order;
  StringMap<const TensorView *> index;
};

class GgufSource : public TensorSource {
public:
  explicit GgufSource(std::unique_ptr<GgufFile> file) : file(std::move(file)) {
    table.reserve(this->file->tensors().size());
    for (const GgufTensor &tensor : this->file->tensors())
      table.add(viewOf(tensor));
    table.finish();
  }

  const TensorView *find(StringRef name) const override {
    return table.find(name);
  }
  ArrayRef<StringRef> names() const override { return table.names(); }
  void release(const TensorView &view) const override {
    if (!view.made)
      releasePages(file->buffer(), view.data);
  }
  StringRef path() const override { return file->path(); }
  std::string contentHash() const override {
    return hashBuffers(file->buffer());
  }
  const GgufFile *gguf() const override { return file.get(); }

private:
  std::unique_ptr<GgufFile> file;
  ViewTable table;
};

class SafetensorsSource : public TensorSource {
public:
  SafetensorsSource(StringRef path,
                    std::vector<std::unique_ptr<SafetensorsFile>> list)
      : sourcePath(path.str()), files(std::move(list)) {
    size_t count = 0;
    for (const auto &file : files)
      count += file->tensors().size();
    table.reserve(count);
    for (const auto &file : files)
      for (const SafetensorsTensor &tensor : file->tensors()) {
        TensorView view;
        view.name = tensor.name;
        view.shape = tensor.shape;
        view.dtype = StringSwitch<DType>(tensor.dtype)
                         .Case("F32", DType::F32)
                         .Case("F16", DType::F16)
                         .Case("BF16", DType::BF16)
                         .Default(DType::Unsupported);
        view.typeName = tensor.dtype;
        view.data = tensor.bytes;
        table.add(std::move(view));
      }
    table.finish();
  }

  const TensorView *find(StringRef name) const override {
    return table.find(name);
  }
  ArrayRef<StringRef> names() const override { return table.names(); }
  void release(const TensorView &view) const override {
    for (const auto &file : files)
      if (const SafetensorsTensor *tensor = file->find(view.tensorName()))
        return file->releasePages(*tensor);
  }
  StringRef path() const override { return sourcePath; }
  std::string contentHash() const override {
    SmallVector<const MemoryBuffer *> buffers;
    for (const auto &file : files)
      buffers.push_back(file->buffer());
    return hashBuffers(buffers);
  }

private:
  std::string sourcePath;
  std::vector<std::unique_ptr<SafetensorsFile>> files;
  ViewTable table;
};

/// A model cut by llama.cpp's gguf-split holds only a part of its tensors.
Error refuseSplit(const GgufFile &file) {
  Expected<uint32_t> parts = file.getU32Or("split.count", 1);
  if (!parts)
    return parts.takeError();
  if (*parts > 1)
    return fileError(file.path(), "key 'split.count' is " + Twine(*parts) +
                                      "; accepted: 1 (merge the parts with "
                                      "llama-gguf-split --merge)");
  return Error::success();
}

} // namespace

TensorView viewOf(const GgufTensor &tensor) {
  TensorView view;
  view.name = tensor.name.str();
  for (uint64_t dim : llvm::reverse(tensor.dims))
    view.shape.push_back(static_cast<int64_t>(dim));
  view.typeName = ggmlTypeName(tensor.type);
  view.dtype = dtypeOf(view.typeName);
  view.data = tensor.bytes;
  return view;
}

StringRef dtypeName(DType dtype) { return dtypeInfo(dtype).name; }

int64_t TensorView::rowElements() const {
  return shape.empty() ? 1 : shape.back();
}

int64_t TensorView::numRows() const {
  // The readers checked that the product of all dims fits; with a zero among
  // them a partial product might not.
  int64_t rows = 1;
  for (int64_t dim : shape)
    if (dim == 0)
      return 0;
  if (!shape.empty())
    for (int64_t dim : ArrayRef(shape).drop_back())
      rows *= dim;
  return rows;
}

int64_t TensorView::numElements() const { return numRows() * rowElements(); }

uint64_t TensorView::rowBytes() const {
  const DTypeInfo &info = dtypeInfo(dtype);
  return static_cast<uint64_t>(rowElements() / info.blockElements *
                               info.blockBytes);
}

Error dequantizeRow(const TensorView &view, int64_t row,
                    MutableArrayRef<float> out) {
  if (view.base)
    return dequantizeSliceRow(view, row, out);
  auto fail = [&](const Twine &message) {
    return fileError("tensor " + quoted(view.name), message);
  };
  if (view.dtype == DType::Unsupported)
    return fail("has type " + view.typeName +
                "; supported: " + supportedGgmlTypes);
  int64_t elements = view.rowElements();
  if (row < 0 || row >= view.numRows())
    return fail("row " + Twine(row) + " is asked for; accepted: 0 to " +
                Twine(view.numRows() - 1));
  if (out.size() != static_cast<uint64_t>(elements))
    return fail("the output has " + Twine(out.size()) +
                " elements; accepted: " + Twine(elements));
  const DTypeInfo &info = dtypeInfo(view.dtype);
  // Views come from the readers, but a caller may make its own.
  uint64_t bytes = view.rowBytes();
  if (elements % info.blockElements ||
      view.data.size() / bytes < static_cast<uint64_t>(view.numRows()))
    return fail("its data does not fit its shape");
  const uint8_t *in = view.data.data() + static_cast<uint64_t>(row) * bytes;
  float *to = out.data();
  switch (view.dtype) {
  case DType::F32:
    for (int64_t i = 0; i < elements; ++i)
      to[i] = llvm::bit_cast<float>(le::read32le(in + 4 * i));
    break;
  case DType::F16:
    for (int64_t i = 0; i < elements; ++i)
      to[i] = loadHalf(in + 2 * i);
    break;
  case DType::BF16:
    for (int64_t i = 0; i < elements; ++i)
      to[i] = llvm::bit_cast<float>(uint32_t(le::read16le(in + 2 * i)) << 16);
    break;
  default:
    dequantizeGgml(view.dtype, in, elements, to);
  }
  return Error::success();
}

TensorSource::~TensorSource() = default;

Expected<const TensorView *> TensorSource::getTensor(StringRef name) const {
  const TensorView *view = find(name);
  if (!view)
    return fileError(path(), "lacks the tensor " + quoted(name) +
                                 ", it holds " + Twine(names().size()) +
                                 " others");
  if (view->dtype == DType::Unsupported)
    return fileError(path(), "tensor " + quoted(name) + " has type " +
                                 view->typeName +
                                 "; supported: " + supportedGgmlTypes);
  return view;
}

Expected<const TensorView *> TensorSource::get(StringRef name) const {
  if (find(name))
    return getTensor(name);
  if (!name.contains(" | "))
    return getTensor(name);
  std::lock_guard<std::mutex> lock(mutex);
  if (const auto &known = slices[name])
    return known.get();
  Expected<TensorView> made = makeView(name);
  if (!made)
    return fileError(path(), toString(made.takeError()));
  // Making it may have moved the map.
  std::unique_ptr<TensorView> &place = slices[name];
  place = std::make_unique<TensorView>(std::move(*made));
  return place.get();
}

/// A tensor that is made of others; the mutex is held.
Expected<const TensorView *> TensorSource::getMade(StringRef name) const {
  if (const auto &known = slices[name])
    return known.get();
  Expected<TensorView> made = makeTensor(
      name, [&](StringRef part) { return getTensor(part); },
      [&](StringRef part) { return find(part) != nullptr; });
  if (!made)
    return made.takeError();
  auto &place = slices[name];
  place = std::make_unique<TensorView>(std::move(*made));
  return place.get();
}

Expected<TensorView> TensorSource::makeView(StringRef expression) const {
  std::optional<StringRef> first = madePart(expression);
  if (first == expression) {
    Expected<const TensorView *> made = getMade(expression);
    if (!made)
      return made.takeError();
    return **made;
  }
  StringRef rest = first ? expression.drop_front(first->size()) : expression;
  // Behind a made tensor a slice needs a name to begin with.
  std::string text = first ? "made" + rest.str() : rest.str();
  Expected<std::optional<ParsedSlice>> parsed = parseSlice(text);
  if (!parsed)
    return parsed.takeError();
  Expected<const TensorView *> base =
      first ? getMade(*first) : getTensor((*parsed)->tensor);
  if (!base)
    return base.takeError();
  return makeSlice(**base, (*parsed)->slice, expression);
}

std::vector<std::string> TensorSource::tensorsOf(StringRef name) const {
  if (!find(name))
    if (std::optional<StringRef> first = madePart(name))
      return tensorsOfMade(
          *first, [&](StringRef part) { return find(part) != nullptr; });
  return {find(name) ? name.str() : name.split(" | ").first.str()};
}

Expected<std::unique_ptr<TensorSource>> TensorSource::open(StringRef path) {
  std::vector<std::unique_ptr<SafetensorsFile>> files;
  if (sys::fs::is_directory(path)) {
    Expected<std::unique_ptr<SafetensorsFolder>> folder =
        SafetensorsFolder::open(path);
    if (!folder)
      return folder.takeError();
    files = (*folder)->takeFiles();
    return std::make_unique<SafetensorsSource>(path, std::move(files));
  }
  Expected<std::unique_ptr<MemoryBuffer>> probe = mapFile(path);
  if (!probe)
    return probe.takeError();
  StringRef start = (*probe)->getBuffer().take_front(9);
  if (start.starts_with("GGUF")) {
    Expected<std::unique_ptr<GgufFile>> file = GgufFile::open(path);
    if (!file)
      return file.takeError();
    if (Error error = refuseSplit(**file))
      return error;
    return std::make_unique<GgufSource>(std::move(*file));
  }
  // A header length, then JSON.
  if (start.size() < 9 || start[8] != '{')
    return fileError(path, "begins with " + quoted(start) +
                               "; accepted: a GGUF file, a safetensors file, "
                               "or a folder of safetensors");
  Expected<std::unique_ptr<SafetensorsFile>> file = SafetensorsFile::open(path);
  if (!file)
    return file.takeError();
  files.push_back(std::move(*file));
  return std::make_unique<SafetensorsSource>(path, std::move(files));
}

} // namespace cria
