// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/GgufReader.h"

#include "compiler/import/InputFile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

using namespace llvm;
namespace le = llvm::support::endian;

namespace cria {

namespace {

struct TypeInfo {
  uint32_t id;
  const char *name;
  uint32_t blockSize;  // elements
  uint32_t blockBytes; // 0: removed from ggml, its layout is not kept there
};

// ggml.h's enum ggml_type with the block structs of ggml-common.h. Types that
// cria does not read are here so that the layout of a file which holds them
// can be checked and the message can name them.
const TypeInfo typeTable[] = {
    {0, "F32", 1, 4},          {1, "F16", 1, 2},
    {2, "Q4_0", 32, 18},       {3, "Q4_1", 32, 20},
    {4, "Q4_2", 32, 0},        {5, "Q4_3", 32, 0},
    {6, "Q5_0", 32, 22},       {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},       {9, "Q8_1", 32, 36},
    {10, "Q2_K", 256, 84},     {11, "Q3_K", 256, 110},
    {12, "Q4_K", 256, 144},    {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},    {15, "Q8_K", 256, 292},
    {16, "IQ2_XXS", 256, 66},  {17, "IQ2_XS", 256, 74},
    {18, "IQ3_XXS", 256, 98},  {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},    {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},    {23, "IQ4_XS", 256, 136},
    {24, "I8", 1, 1},          {25, "I16", 1, 2},
    {26, "I32", 1, 4},         {27, "I64", 1, 8},
    {28, "F64", 1, 8},         {29, "IQ1_M", 256, 56},
    {30, "BF16", 1, 2},        {31, "Q4_0_4_4", 32, 0},
    {32, "Q4_0_4_8", 32, 0},   {33, "Q4_0_8_8", 32, 0},
    {34, "TQ1_0", 256, 54},    {35, "TQ2_0", 256, 66},
    {36, "IQ4_NL_4_4", 32, 0}, {37, "IQ4_NL_4_8", 32, 0},
    {38, "IQ4_NL_8_8", 32, 0}, {39, "MXFP4", 32, 17},
    {40, "NVFP4", 64, 36},     {41, "Q1_0", 128, 18},
};

const TypeInfo *typeInfo(GgmlType type) {
  uint32_t id = static_cast<uint32_t>(type);
  return id < std::size(typeTable) ? &typeTable[id] : nullptr;
}

const char *const valueTypeNames[] = {"u8",  "i8",  "u16",  "i16",    "u32",
                                      "i32", "f32", "bool", "string", "array",
                                      "u64", "i64", "f64"};
constexpr const char *acceptedValueTypes =
    "0 (u8) to 12 (f64) as in the GGUF specification";

StringRef valueTypeName(GgufValueType type) {
  return valueTypeNames[static_cast<uint32_t>(type)];
}

/// Bytes of a scalar, 0 for String and Array.
unsigned scalarBytes(GgufValueType type) {
  switch (type) {
  case GgufValueType::U8:
  case GgufValueType::I8:
  case GgufValueType::Bool:
    return 1;
  case GgufValueType::U16:
  case GgufValueType::I16:
    return 2;
  case GgufValueType::U32:
  case GgufValueType::I32:
  case GgufValueType::F32:
    return 4;
  case GgufValueType::U64:
  case GgufValueType::I64:
  case GgufValueType::F64:
    return 8;
  case GgufValueType::String:
  case GgufValueType::Array:
    return 0;
  }
  return 0;
}

/// The representation that GgufValue::bits documents.
uint64_t loadScalar(GgufValueType type, const uint8_t *p) {
  switch (type) {
  case GgufValueType::U8:
  case GgufValueType::Bool:
    return *p;
  case GgufValueType::I8:
    return static_cast<uint64_t>(int64_t(static_cast<int8_t>(*p)));
  case GgufValueType::U16:
    return le::read16le(p);
  case GgufValueType::I16:
    return static_cast<uint64_t>(int64_t(int16_t(le::read16le(p))));
  case GgufValueType::U32:
    return le::read32le(p);
  case GgufValueType::I32:
    return static_cast<uint64_t>(int64_t(int32_t(le::read32le(p))));
  case GgufValueType::F32:
    return llvm::bit_cast<uint64_t>(
        double(llvm::bit_cast<float>(le::read32le(p))));
  case GgufValueType::U64:
  case GgufValueType::I64:
  case GgufValueType::F64:
    return le::read64le(p);
  case GgufValueType::String:
  case GgufValueType::Array:
    break;
  }
  return 0;
}

bool isSigned(GgufValueType type) {
  return type == GgufValueType::I8 || type == GgufValueType::I16 ||
         type == GgufValueType::I32 || type == GgufValueType::I64;
}

bool isInteger(GgufValueType type) {
  return scalarBytes(type) && type != GgufValueType::F32 &&
         type != GgufValueType::F64 && type != GgufValueType::Bool;
}

bool isFloat(GgufValueType type) {
  return type == GgufValueType::F32 || type == GgufValueType::F64;
}

/// The value as a message shows it.
std::string describe(const GgufValue &value) {
  std::string type = valueTypeName(value.type).str();
  switch (value.type) {
  case GgufValueType::String:
    return type + " " + quoted(value.string, 40);
  case GgufValueType::Array:
    return "array of " + std::to_string(value.count) + " " +
           valueTypeName(value.elementType).str();
  case GgufValueType::F32:
  case GgufValueType::F64:
    return type + " " + numberText(llvm::bit_cast<double>(value.bits));
  case GgufValueType::Bool:
    return type + (value.bits ? " true" : " false");
  default:
    return type + " " +
           (isSigned(value.type)
                ? std::to_string(static_cast<int64_t>(value.bits))
                : std::to_string(value.bits));
  }
}

constexpr uint32_t maxDims = 4; // GGML_MAX_DIMS
constexpr uint64_t maxAlignment = uint64_t(1) << 20;
constexpr uint64_t maxKeyBytes = 65535;       // the specification's limit
constexpr uint64_t maxTensorNameBytes = 1024; // ggml itself stops at 63

} // namespace

std::string ggmlTypeName(GgmlType type) {
  if (const TypeInfo *info = typeInfo(type))
    return info->name;
  return "type " + std::to_string(static_cast<uint32_t>(type));
}

bool isSupportedGgmlType(GgmlType type) {
  switch (type) {
  case GgmlType::F32:
  case GgmlType::F16:
  case GgmlType::BF16:
  case GgmlType::Q4_0:
  case GgmlType::Q4_1:
  case GgmlType::Q5_0:
  case GgmlType::Q5_1:
  case GgmlType::Q8_0:
  case GgmlType::Q2_K:
  case GgmlType::Q3_K:
  case GgmlType::Q4_K:
  case GgmlType::Q5_K:
  case GgmlType::Q6_K:
  case GgmlType::IQ4_NL:
    return true;
  }
  return false;
}

/// Walks the directory once, front to back.
class GgufParser {
public:
  GgufParser(GgufFile &file, StringRef content)
      : file(file), content(content) {}

  Error run() {
    if (Error error = header())
      return error;
    for (uint64_t i = 0; i < valueCount; ++i)
      if (Error error = keyValue(i))
        return error;
    if (Error error = alignment())
      return error;
    for (uint64_t i = 0; i < tensorCount; ++i)
      if (Error error = tensorInfo(i))
        return error;
    return placeTensors();
  }

private:
  Error fail(const Twine &message) const {
    return fileError(file.filePath, message);
  }

  uint64_t left() const { return content.size() - position; }
  const uint8_t *here() const { return content.bytes_begin() + position; }

  Error need(uint64_t bytes, const Twine &what) const {
    if (bytes <= left())
      return Error::success();
    return fail("truncated: " + what + " at byte " + Twine(position) +
                " needs " + Twine(bytes) + " bytes, " + Twine(left()) +
                " are left");
  }

  Error readU32(uint32_t &out, const Twine &what) {
    if (Error error = need(4, what))
      return error;
    out = le::read32le(here());
    position += 4;
    return Error::success();
  }

  Error readU64(uint64_t &out, const Twine &what) {
    if (Error error = need(8, what))
      return error;
    out = le::read64le(here());
    position += 8;
    return Error::success();
  }

  Error readString(StringRef &out, const Twine &what) {
    uint64_t length;
    if (Error error = readU64(length, "the length of " + what))
      return error;
    if (Error error = need(length, what))
      return error;
    out = content.substr(position, length);
    position += length;
    return Error::success();
  }

  Error readValueType(GgufValueType &out, const Twine &what) {
    uint32_t type;
    if (Error error = readU32(type, what))
      return error;
    if (type >= std::size(valueTypeNames))
      return fail(what + " is " + Twine(type) +
                  "; accepted: " + acceptedValueTypes);
    out = static_cast<GgufValueType>(type);
    return Error::success();
  }

  Error header() {
    if (!content.starts_with("GGUF"))
      return fail("does not start with the magic 'GGUF', found " +
                  quoted(content.take_front(4)));
    position = 4;
    uint32_t version;
    if (Error error = readU32(version, "the version"))
      return error;
    if (version && !(version & 0xffff))
      return fail("is a big-endian GGUF; accepted: little endian");
    if (version != 2 && version != 3)
      return fail("has GGUF version " + Twine(version) + "; accepted: 2, 3");
    file.formatVersion = version;
    if (Error error = readU64(tensorCount, "the tensor count"))
      return error;
    if (Error error = readU64(valueCount, "the metadata count"))
      return error;
    // The least that an entry takes: key length, one byte of key, type, one
    // byte of value; name length, one byte of name, rank, one dim, type,
    // offset. Counts beyond that cannot be true, and nothing is reserved yet.
    constexpr uint64_t leastValue = 8 + 1 + 4 + 1;
    constexpr uint64_t leastTensor = 8 + 1 + 4 + 8 + 4 + 8;
    if (valueCount > left() / leastValue)
      return fail("claims " + Twine(valueCount) +
                  " metadata entries, but only " + Twine(left()) +
                  " bytes follow");
    if (tensorCount > (left() - valueCount * leastValue) / leastTensor)
      return fail("claims " + Twine(tensorCount) + " tensors, but only " +
                  Twine(left()) + " bytes follow");
    return Error::success();
  }

  Error keyValue(uint64_t index) {
    StringRef key;
    if (Error error = readString(key, "metadata key " + Twine(index)))
      return error;
    if (key.empty() || key.size() > maxKeyBytes)
      return fail("metadata key " + Twine(index) + " has " + Twine(key.size()) +
                  " bytes; accepted: 1 to " + Twine(maxKeyBytes));
    GgufValue value;
    std::string what = "key " + quoted(key);
    if (Error error = readValueType(value.type, "the type of " + what))
      return error;
    if (value.type == GgufValueType::String) {
      if (Error error = readString(value.string, "the value of " + what))
        return error;
    } else if (value.type == GgufValueType::Array) {
      if (Error error = array(value, what))
        return error;
    } else {
      unsigned bytes = scalarBytes(value.type);
      if (Error error = need(bytes, "the value of " + what))
        return error;
      value.bits = loadScalar(value.type, here());
      position += bytes;
      if (value.type == GgufValueType::Bool && value.bits > 1)
        return fail(what + " is a bool with value " + Twine(value.bits) +
                    "; accepted: 0, 1");
    }
    if (!file.values.try_emplace(key, std::move(value)).second)
      return fail(what + " occurs twice");
    file.keyOrder.push_back(key);
    return Error::success();
  }

  Error array(GgufValue &value, const std::string &what) {
    if (Error error = readValueType(value.elementType,
                                    "the element type of array " + what))
      return error;
    if (value.elementType == GgufValueType::Array)
      return fail(what + " is an array of arrays; accepted: an array of "
                         "strings or scalars");
    if (Error error =
            readU64(value.count, "the element count of array " + what))
      return error;
    bool strings = value.elementType == GgufValueType::String;
    // A string takes at least the eight bytes of its length.
    uint64_t least = strings ? 8 : scalarBytes(value.elementType);
    if (value.count > left() / least)
      return fail("truncated: array " + what + " claims " + Twine(value.count) +
                  " elements of at least " + Twine(least) + " bytes, " +
                  Twine(left()) + " bytes are left");
    if (!strings) {
      value.elements = ArrayRef<uint8_t>(here(), value.count * least);
      position += value.count * least;
      return Error::success();
    }
    value.strings.resize(value.count);
    for (uint64_t i = 0; i < value.count; ++i)
      if (Error error = readString(value.strings[i],
                                   "element " + Twine(i) + " of " + what))
        return error;
    return Error::success();
  }

  Error alignment() {
    Expected<uint64_t> found = file.getU64Or("general.alignment", 32);
    if (!found)
      return found.takeError();
    if (!isPowerOf2_64(*found) || *found < 8 || *found > maxAlignment)
      return fail("key 'general.alignment' is " + Twine(*found) +
                  "; accepted: a power of two from 8 to " +
                  Twine(maxAlignment));
    tensorAlignment = *found;
    return Error::success();
  }

  Error tensorInfo(uint64_t index) {
    GgufTensor tensor;
    if (Error error = readString(tensor.name, "tensor name " + Twine(index)))
      return error;
    if (tensor.name.empty() || tensor.name.size() > maxTensorNameBytes)
      return fail("tensor name " + Twine(index) + " has " +
                  Twine(tensor.name.size()) + " bytes; accepted: 1 to " +
                  Twine(maxTensorNameBytes));
    std::string what = "tensor " + quoted(tensor.name);
    uint32_t rank;
    if (Error error = readU32(rank, "the rank of " + what))
      return error;
    if (rank == 0 || rank > maxDims)
      return fail(what + " has " + Twine(rank) +
                  " dimensions; accepted: 1 to " + Twine(maxDims));
    for (uint32_t d = 0; d < rank; ++d) {
      uint64_t dim;
      if (Error error = readU64(dim, "dimension " + Twine(d) + " of " + what))
        return error;
      if (dim == 0)
        return fail(what + " has a dimension " + Twine(d) +
                    " of 0; accepted: 1 or more");
      tensor.dims.push_back(dim);
    }
    uint32_t type;
    if (Error error = readU32(type, "the type of " + what))
      return error;
    tensor.type = static_cast<GgmlType>(type);
    if (Error error = readU64(tensor.offset, "the offset of " + what))
      return error;
    Expected<uint64_t> bytes = tensorBytes(tensor, what);
    if (!bytes)
      return bytes.takeError();
    sizes.push_back(*bytes);
    if (!file.tensorIndex.try_emplace(tensor.name, index).second)
      return fail(what + " occurs twice");
    file.tensorList.push_back(std::move(tensor));
    return Error::success();
  }

  Expected<uint64_t> tensorBytes(const GgufTensor &tensor,
                                 const std::string &what) const {
    const TypeInfo *info = typeInfo(tensor.type);
    if (!info || !info->blockBytes)
      return fail(what + " has " +
                  (info ? "the removed type " + std::string(info->name)
                        : "the unknown " + ggmlTypeName(tensor.type)) +
                  "; supported: " + supportedGgmlTypes);
    if (tensor.dims[0] % info->blockSize)
      return fail(what + " of type " + info->name + " has rows of " +
                  Twine(tensor.dims[0]) +
                  " elements; accepted: a multiple of " +
                  Twine(info->blockSize));
    // Block counts first, so that the product is the size in bytes.
    uint64_t bytes = tensor.dims[0] / info->blockSize;
    bool overflow = mulOverflow(bytes, uint64_t(info->blockBytes), bytes);
    uint64_t elements = tensor.dims[0];
    for (uint64_t dim : ArrayRef(tensor.dims).drop_front()) {
      overflow |= mulOverflow(bytes, dim, bytes);
      overflow |= mulOverflow(elements, dim, elements);
    }
    if (overflow || elements > uint64_t(std::numeric_limits<int64_t>::max()))
      return fail(what + " has a shape whose size overflows: " +
                  shapeText(tensor.dims));
    return bytes;
  }

  static std::string shapeText(ArrayRef<uint64_t> dims) {
    std::string text = "[";
    for (auto [i, dim] : enumerate(dims))
      text += (i ? ", " : "") + std::to_string(dim);
    return text + "]";
  }

  static bool mulOverflow(uint64_t a, uint64_t b, uint64_t &out) {
    return __builtin_mul_overflow(a, b, &out);
  }

  /// Offsets count from the first aligned byte behind the directory.
  Error placeTensors() {
    if (file.tensorList.empty())
      return Error::success();
    uint64_t start = alignTo(position, tensorAlignment);
    if (start > content.size())
      return fail("truncated: the tensor data begins at byte " + Twine(start) +
                  ", the file has " + Twine(content.size()));
    uint64_t room = content.size() - start;
    for (auto [tensor, bytes] : zip_equal(file.tensorList, sizes)) {
      std::string what = "tensor " + quoted(tensor.name);
      if (tensor.offset % tensorAlignment)
        return fail(what + " has offset " + Twine(tensor.offset) +
                    "; accepted: a multiple of general.alignment = " +
                    Twine(tensorAlignment));
      if (tensor.offset > room || bytes > room - tensor.offset)
        return fail("truncated: " + what + " has offset " +
                    Twine(tensor.offset) + " and " + Twine(bytes) +
                    " bytes, the file holds " + Twine(room) +
                    " bytes of tensor data");
      tensor.offset += start;
      tensor.bytes =
          ArrayRef<uint8_t>(content.bytes_begin() + tensor.offset, bytes);
    }
    std::vector<const GgufTensor *> order;
    for (const GgufTensor &tensor : file.tensorList)
      order.push_back(&tensor);
    llvm::sort(order, [](const GgufTensor *a, const GgufTensor *b) {
      return a->offset < b->offset;
    });
    for (size_t i = 1; i < order.size(); ++i)
      if (order[i - 1]->bytes.end() > order[i]->bytes.begin())
        return fail("tensors " + quoted(order[i - 1]->name) + " and " +
                    quoted(order[i]->name) + " overlap at byte " +
                    Twine(order[i]->offset));
    return Error::success();
  }

  GgufFile &file;
  StringRef content;
  uint64_t position = 0;
  uint64_t tensorCount = 0;
  uint64_t valueCount = 0;
  uint64_t tensorAlignment = 32;
  std::vector<uint64_t> sizes; // bytes, beside GgufFile::tensorList
};

Expected<std::unique_ptr<GgufFile>> GgufFile::parse(MemoryBufferRef buffer) {
  std::unique_ptr<GgufFile> file(new GgufFile());
  file->filePath = buffer.getBufferIdentifier().str();
  if (Error error = GgufParser(*file, buffer.getBuffer()).run())
    return error;
  return file;
}

Expected<std::unique_ptr<GgufFile>> GgufFile::open(StringRef path) {
  Expected<std::unique_ptr<MemoryBuffer>> buffer = mapFile(path);
  if (!buffer)
    return buffer.takeError();
  Expected<std::unique_ptr<GgufFile>> file = parse(**buffer);
  if (file)
    (*file)->owned = std::move(*buffer);
  return file;
}

//===----------------------------------------------------------------------===//
// Metadata
//===----------------------------------------------------------------------===//

const GgufValue *GgufFile::find(StringRef key) const {
  auto it = values.find(key);
  return it == values.end() ? nullptr : &it->second;
}

Error GgufFile::wrongType(StringRef key, const GgufValue *value,
                          StringRef accepted) const {
  if (!value)
    return fileError(filePath, "key " + quoted(key) +
                                   " is missing; accepted: " + accepted);
  return fileError(filePath, "key " + quoted(key) + " is " + describe(*value) +
                                 "; accepted: " + accepted);
}

Expected<uint64_t> GgufFile::unsignedUpTo(StringRef key, uint64_t limit) const {
  const GgufValue *value = find(key);
  if (!value || !isInteger(value->type) || value->bits > limit ||
      (isSigned(value->type) && static_cast<int64_t>(value->bits) < 0))
    return wrongType(key, value,
                     "an integer from 0 to " + std::to_string(limit));
  return value->bits;
}

Expected<uint32_t> GgufFile::getU32(StringRef key) const {
  Expected<uint64_t> value =
      unsignedUpTo(key, std::numeric_limits<uint32_t>::max());
  if (!value)
    return value.takeError();
  return static_cast<uint32_t>(*value);
}

Expected<uint64_t> GgufFile::getU64(StringRef key) const {
  return unsignedUpTo(key, std::numeric_limits<uint64_t>::max());
}

/// A double that a float can hold as a finite number.
static bool fitsFloat(double value) {
  return std::isfinite(value) &&
         std::abs(value) <= double(std::numeric_limits<float>::max());
}

Expected<float> GgufFile::getF32(StringRef key) const {
  const GgufValue *value = find(key);
  if (!value || !isFloat(value->type) ||
      !fitsFloat(llvm::bit_cast<double>(value->bits)))
    return wrongType(key, value, "a finite f32 or f64 within f32's range");
  return static_cast<float>(llvm::bit_cast<double>(value->bits));
}

Expected<bool> GgufFile::getBool(StringRef key) const {
  const GgufValue *value = find(key);
  if (!value || value->type != GgufValueType::Bool)
    return wrongType(key, value, "a bool");
  return value->bits != 0;
}

Expected<StringRef> GgufFile::getString(StringRef key) const {
  const GgufValue *value = find(key);
  if (!value || value->type != GgufValueType::String)
    return wrongType(key, value, "a string");
  return value->string;
}

Expected<uint32_t> GgufFile::getU32Or(StringRef key, uint32_t otherwise) const {
  return has(key) ? getU32(key) : Expected<uint32_t>(otherwise);
}

Expected<uint64_t> GgufFile::getU64Or(StringRef key, uint64_t otherwise) const {
  return has(key) ? getU64(key) : Expected<uint64_t>(otherwise);
}

Expected<float> GgufFile::getF32Or(StringRef key, float otherwise) const {
  return has(key) ? getF32(key) : Expected<float>(otherwise);
}

Expected<bool> GgufFile::getBoolOr(StringRef key, bool otherwise) const {
  return has(key) ? getBool(key) : Expected<bool>(otherwise);
}

Expected<StringRef> GgufFile::getStringOr(StringRef key,
                                          StringRef otherwise) const {
  return has(key) ? getString(key) : Expected<StringRef>(otherwise);
}

Expected<ArrayRef<StringRef>> GgufFile::getStrings(StringRef key) const {
  const GgufValue *value = find(key);
  if (!value || value->type != GgufValueType::Array ||
      value->elementType != GgufValueType::String)
    return wrongType(key, value, "an array of string");
  return ArrayRef<StringRef>(value->strings);
}

Expected<std::vector<int64_t>> GgufFile::getInts(StringRef key) const {
  const GgufValue *value = find(key);
  if (!value || value->type != GgufValueType::Array ||
      !isInteger(value->elementType))
    return wrongType(key, value, "an array of integers");
  unsigned bytes = scalarBytes(value->elementType);
  std::vector<int64_t> out(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    uint64_t bits =
        loadScalar(value->elementType, value->elements.data() + i * bytes);
    if (value->elementType == GgufValueType::U64 &&
        bits > uint64_t(std::numeric_limits<int64_t>::max()))
      return fileError(filePath, "key " + quoted(key) + " holds " +
                                     Twine(bits) + " as element " + Twine(i) +
                                     "; accepted: integers below 2^63");
    out[i] = static_cast<int64_t>(bits);
  }
  return out;
}

Expected<std::vector<float>> GgufFile::getFloats(StringRef key) const {
  const GgufValue *value = find(key);
  if (!value || value->type != GgufValueType::Array ||
      !isFloat(value->elementType))
    return wrongType(key, value, "an array of f32 or f64");
  unsigned bytes = scalarBytes(value->elementType);
  std::vector<float> out(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    double number = llvm::bit_cast<double>(
        loadScalar(value->elementType, value->elements.data() + i * bytes));
    if (!fitsFloat(number))
      return fileError(filePath, "key " + quoted(key) + " holds " +
                                     numberText(number) + " as element " +
                                     Twine(i) +
                                     "; accepted: finite f32 numbers");
    out[i] = static_cast<float>(number);
  }
  return out;
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

const GgufTensor *GgufFile::findTensor(StringRef name) const {
  auto it = tensorIndex.find(name);
  return it == tensorIndex.end() ? nullptr : &tensorList[it->second];
}

Expected<ArrayRef<uint8_t>> GgufFile::data(const GgufTensor &tensor) const {
  if (!isSupportedGgmlType(tensor.type))
    return fileError(filePath, "tensor " + quoted(tensor.name) + " has type " +
                                   ggmlTypeName(tensor.type) +
                                   "; supported: " + supportedGgmlTypes);
  return tensor.bytes;
}

void GgufFile::releasePages(const GgufTensor &tensor) const {
  cria::releasePages(owned.get(), tensor.bytes);
}

} // namespace cria
