// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/SafetensorsReader.h"

#include "compiler/import/InputFile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <limits>
#include <tuple>

using namespace llvm;

namespace cria {

namespace {

struct DtypeInfo {
  const char *name;
  unsigned bits;
};

const DtypeInfo dtypeTable[] = {
    {"F32", 32},        {"F16", 16},        {"BF16", 16},   {"F64", 64},
    {"I64", 64},        {"I32", 32},        {"I16", 16},    {"I8", 8},
    {"U64", 64},        {"U32", 32},        {"U16", 16},    {"U8", 8},
    {"BOOL", 8},        {"C64", 64},        {"F8_E4M3", 8}, {"F8_E5M2", 8},
    {"F8_E8M0", 8},     {"F6_E2M3", 6},     {"F6_E3M2", 6}, {"F4", 4},
    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
};

// The limit of the reference implementation.
constexpr uint64_t maxHeaderBytes = 100000000;
constexpr size_t maxRank = 8;
constexpr StringLiteral singleName = "model.safetensors";
constexpr StringLiteral indexName = "model.safetensors.index.json";

} // namespace

std::optional<unsigned> safetensorsDtypeBits(StringRef dtype) {
  for (const DtypeInfo &info : dtypeTable)
    if (dtype == info.name)
      return info.bits;
  return std::nullopt;
}

std::optional<uint64_t> safetensorsByteSize(StringRef dtype,
                                            ArrayRef<int64_t> shape) {
  std::optional<unsigned> bits = safetensorsDtypeBits(dtype);
  if (!bits)
    return std::nullopt;
  // The bit count must fit an int64 as well, so that no later product of the
  // dims can overflow.
  int64_t total = *bits;
  for (int64_t dim : shape)
    if (dim < 0 || __builtin_mul_overflow(total, dim, &total))
      return std::nullopt;
  if (total % 8)
    return std::nullopt;
  return static_cast<uint64_t>(total) / 8;
}

StringRef safetensorsDtypes() {
  static const std::string list = [] {
    std::string text;
    for (const DtypeInfo &info : dtypeTable)
      text += (text.empty() ? "" : ", ") + std::string(info.name);
    return text;
  }();
  return list;
}

//===----------------------------------------------------------------------===//
// One file
//===----------------------------------------------------------------------===//

/// Fills `tensor` from its header entry; `begin` and `end` count from the
/// start of the data section.
static Error readEntry(StringRef file, const json::Value &value,
                       SafetensorsTensor &tensor, uint64_t &begin,
                       uint64_t &end) {
  std::string what = "tensor " + quoted(tensor.name);
  const json::Object *object = value.getAsObject();
  if (!object)
    return fileError(file, what + " is " + jsonText(value) +
                               "; accepted: an object with dtype, shape and "
                               "data_offsets");
  auto missing = [&](StringRef key, const json::Value *found,
                     StringRef accepted) {
    return fileError(file, what + ": key '" + key + "' is " +
                               (found ? jsonText(*found) : "missing") +
                               "; accepted: " + accepted);
  };
  for (const auto &[key, unused] : *object)
    if (key != "dtype" && key != "shape" && key != "data_offsets")
      return fileError(file, what + " has the unknown key " +
                                 quoted(key.str()) +
                                 "; accepted: dtype, shape, data_offsets");

  const json::Value *dtype = object->get("dtype");
  std::optional<StringRef> dtypeName =
      dtype ? dtype->getAsString() : std::nullopt;
  if (!dtypeName || !safetensorsDtypeBits(*dtypeName))
    return missing("dtype", dtype, safetensorsDtypes());
  tensor.dtype = dtypeName->str();

  const json::Value *shape = object->get("shape");
  const json::Array *dims = shape ? shape->getAsArray() : nullptr;
  constexpr StringLiteral shapeAccepted =
      "a list of at most 8 integers, none negative";
  if (!dims || dims->size() > maxRank)
    return missing("shape", shape, shapeAccepted);
  for (const json::Value &dim : *dims) {
    std::optional<int64_t> number = jsonInteger(dim);
    if (!number || *number < 0)
      return missing("shape", &dim, shapeAccepted);
    tensor.shape.push_back(*number);
  }

  const json::Value *offsets = object->get("data_offsets");
  const json::Array *pair = offsets ? offsets->getAsArray() : nullptr;
  constexpr StringLiteral offsetsAccepted =
      "[begin, end] with 0 <= begin <= end";
  if (!pair || pair->size() != 2)
    return missing("data_offsets", offsets, offsetsAccepted);
  std::optional<int64_t> first = jsonInteger((*pair)[0]);
  std::optional<int64_t> last = jsonInteger((*pair)[1]);
  if (!first || *first < 0)
    return missing("data_offsets", &(*pair)[0], offsetsAccepted);
  if (!last || *last < *first)
    return missing("data_offsets", &(*pair)[1], offsetsAccepted);
  begin = static_cast<uint64_t>(*first);
  end = static_cast<uint64_t>(*last);

  std::optional<uint64_t> bytes =
      safetensorsByteSize(tensor.dtype, tensor.shape);
  if (!bytes)
    return fileError(file, what + " of dtype " + tensor.dtype +
                               " has a shape whose size overflows or is no "
                               "whole number of bytes");
  if (*bytes != end - begin)
    return fileError(file, what + " has " + Twine(end - begin) +
                               " bytes by its data_offsets; its dtype " +
                               tensor.dtype + " and shape need " +
                               Twine(*bytes));
  return Error::success();
}

Error SafetensorsFile::readHeader(StringRef content) {
  auto fail = [&](const Twine &message) {
    return fileError(filePath, message);
  };
  if (content.size() < 8)
    return fail("truncated: the header length needs 8 bytes, the file has " +
                Twine(content.size()));
  uint64_t headerBytes = support::endian::read64le(content.data());
  StringRef rest = content.drop_front(8);
  if (headerBytes > maxHeaderBytes)
    return fail("claims a header of " + Twine(headerBytes) +
                " bytes; accepted: at most " + Twine(maxHeaderBytes));
  if (headerBytes > rest.size())
    return fail("truncated: the header needs " + Twine(headerBytes) +
                " bytes, " + Twine(rest.size()) + " follow its length");
  StringRef header = rest.take_front(headerBytes);
  StringRef data = rest.drop_front(headerBytes);
  if (!header.starts_with("{"))
    return fail("the header begins with " + quoted(header.take_front(8)) +
                "; accepted: a JSON object");
  Expected<json::Value> root = parseJson(filePath, header);
  if (!root)
    return root.takeError();
  // It begins with a brace, so it is an object.
  const json::Object &object = *root->getAsObject();

  struct Range {
    uint64_t begin, end;
    SafetensorsTensor tensor;
  };
  std::vector<Range> ranges;
  for (const auto &[key, value] : object) {
    if (key == "__metadata__") {
      const json::Object *map = value.getAsObject();
      if (!map)
        return fail("key '__metadata__' is " + jsonText(value) +
                    "; accepted: an object of strings");
      for (const auto &[name, text] : *map) {
        std::optional<StringRef> string = text.getAsString();
        if (!string)
          return fail("key " + quoted(name.str()) + " of __metadata__ is " +
                      jsonText(text) + "; accepted: a string");
        metadataMap.emplace(name.str(), string->str());
      }
      continue;
    }
    Range range{0, 0, {}};
    range.tensor.name = key.str();
    if (range.tensor.name.empty())
      return fail("has a tensor with an empty name");
    if (Error error =
            readEntry(filePath, value, range.tensor, range.begin, range.end))
      return error;
    ranges.push_back(std::move(range));
  }
  // JSON objects come in hash order; sorting makes everything later
  // deterministic.
  llvm::sort(ranges, [](const Range &a, const Range &b) {
    return std::tie(a.begin, a.end, a.tensor.name) <
           std::tie(b.begin, b.end, b.tensor.name);
  });
  uint64_t expected = 0;
  for (Range &range : ranges) {
    std::string what = "tensor " + quoted(range.tensor.name);
    if (range.begin != expected)
      return fail(what +
                  (range.begin < expected ? " overlaps its predecessor"
                                          : " leaves a hole before it") +
                  ": it begins at data offset " + Twine(range.begin) +
                  "; accepted: " + Twine(expected));
    if (range.end > data.size())
      return fail("truncated: " + what + " ends at data offset " +
                  Twine(range.end) + ", the file holds " + Twine(data.size()) +
                  " bytes of data");
    expected = range.end;
    range.tensor.offset = 8 + headerBytes + range.begin;
    range.tensor.bytes = ArrayRef<uint8_t>(data.bytes_begin() + range.begin,
                                           range.end - range.begin);
    tensorIndex.try_emplace(range.tensor.name, tensorList.size());
    tensorList.push_back(std::move(range.tensor));
  }
  if (expected != data.size())
    return fail("holds " + Twine(data.size()) +
                " bytes of data; its tensors account for " + Twine(expected));
  return Error::success();
}

Expected<std::unique_ptr<SafetensorsFile>>
SafetensorsFile::parse(MemoryBufferRef buffer) {
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile());
  file->filePath = buffer.getBufferIdentifier().str();
  if (Error error = file->readHeader(buffer.getBuffer()))
    return error;
  return file;
}

Expected<std::unique_ptr<SafetensorsFile>>
SafetensorsFile::open(StringRef path) {
  Expected<std::unique_ptr<MemoryBuffer>> buffer = mapFile(path);
  if (!buffer)
    return buffer.takeError();
  Expected<std::unique_ptr<SafetensorsFile>> file = parse(**buffer);
  if (file)
    (*file)->owned = std::move(*buffer);
  return file;
}

const SafetensorsTensor *SafetensorsFile::find(StringRef name) const {
  auto it = tensorIndex.find(name);
  return it == tensorIndex.end() ? nullptr : &tensorList[it->second];
}

void SafetensorsFile::releasePages(const SafetensorsTensor &tensor) const {
  cria::releasePages(owned.get(), tensor.bytes);
}

//===----------------------------------------------------------------------===//
// A folder
//===----------------------------------------------------------------------===//

Expected<std::unique_ptr<SafetensorsFolder>>
SafetensorsFolder::open(StringRef folder) {
  std::unique_ptr<SafetensorsFolder> result(new SafetensorsFolder());
  result->folderPath = folder.str();
  SmallString<256> single(folder), index(folder);
  sys::path::append(single, singleName);
  sys::path::append(index, indexName);
  // The order of transformers: a single file wins over an index.
  if (sys::fs::exists(single)) {
    Expected<std::unique_ptr<SafetensorsFile>> file =
        SafetensorsFile::open(single);
    if (!file)
      return file.takeError();
    result->fileList.push_back(std::move(*file));
  } else if (sys::fs::exists(index)) {
    if (Error error = result->openShards(index))
      return error;
  } else {
    return fileError(folder, "holds no weights; accepted: " + singleName +
                                 ", or shards with " + indexName);
  }
  if (Error error = result->indexTensors())
    return error;
  return result;
}

Error SafetensorsFolder::openShards(StringRef indexPath) {
  Expected<std::unique_ptr<MemoryBuffer>> buffer = mapFile(indexPath);
  if (!buffer)
    return buffer.takeError();
  if ((*buffer)->getBufferSize() > maxHeaderBytes)
    return fileError(indexPath, "has " + Twine((*buffer)->getBufferSize()) +
                                    " bytes; accepted: at most " +
                                    Twine(maxHeaderBytes));
  Expected<json::Value> root = parseJson(indexPath, (*buffer)->getBuffer());
  if (!root)
    return root.takeError();
  const json::Object *object = root->getAsObject();
  const json::Object *map = object ? object->getObject("weight_map") : nullptr;
  if (!map || map->empty())
    return fileError(indexPath, "key 'weight_map' is missing or empty; "
                                "accepted: an object from tensor names to "
                                "file names");
  // Sorted: messages and file order must not depend on hashing.
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto &[name, value] : *map) {
    std::optional<StringRef> shard = value.getAsString();
    // A shard lies beside its index: no path may lead out of the folder.
    if (!shard || shard->empty() || shard->contains('\0') ||
        sys::path::filename(*shard) != *shard || *shard == "." ||
        *shard == "..")
      return fileError(indexPath, "weight_map entry " + quoted(name.str()) +
                                      " is " + jsonText(value) +
                                      "; accepted: the name of a file in the "
                                      "same folder");
    shards[shard->str()].push_back(name.str());
  }
  for (auto &[shard, names] : shards) {
    SmallString<256> path(folderPath);
    sys::path::append(path, shard);
    Expected<std::unique_ptr<SafetensorsFile>> file =
        SafetensorsFile::open(path);
    if (!file)
      return file.takeError();
    llvm::sort(names);
    for (const std::string &name : names)
      if (!(*file)->find(name))
        return fileError(path, "lacks the tensor " + quoted(name) + " that " +
                                   indexName + " places there");
    // Anything else in the shard is in no map: the folder mixes two models.
    for (const SafetensorsTensor &tensor : (*file)->tensors())
      if (!llvm::binary_search(names, tensor.name))
        return fileError(path, "holds the tensor " + quoted(tensor.name) +
                                   " that " + indexName +
                                   " does not place there");
    fileList.push_back(std::move(*file));
  }
  return Error::success();
}

Error SafetensorsFolder::indexTensors() {
  for (const std::unique_ptr<SafetensorsFile> &file : fileList)
    for (const SafetensorsTensor &tensor : file->tensors()) {
      auto [it, inserted] =
          entries.try_emplace(tensor.name, Entry{file.get(), &tensor});
      if (!inserted)
        return fileError(file->path(), "tensor " + quoted(tensor.name) +
                                           " is also in " +
                                           it->second.file->path());
    }
  return Error::success();
}

std::optional<SafetensorsFolder::Entry>
SafetensorsFolder::find(StringRef name) const {
  auto it = entries.find(name);
  if (it == entries.end())
    return std::nullopt;
  return it->second;
}

std::vector<std::unique_ptr<SafetensorsFile>> SafetensorsFolder::takeFiles() {
  entries.clear();
  return std::move(fileList);
}

} // namespace cria
