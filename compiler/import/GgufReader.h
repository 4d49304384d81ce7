// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads GGUF version 2 and 3, little endian.
//
// The whole directory (metadata and tensor table) is checked when the file is
// opened: after that every view that a GgufFile hands out lies inside the
// file, no two tensors overlap and no name occurs twice. Strings, arrays and
// tensors are views into the mapping and live as long as the GgufFile.
// A GgufFile is immutable: any number of threads may read it.
//
//   auto file = cria::GgufFile::open("model.gguf");
//   if (!file) return file.takeError();
//   llvm::Expected<uint32_t> layers = (*file)->getU32("llama.block_count");
#ifndef CRIA_COMPILER_IMPORT_GGUFREADER_H
#define CRIA_COMPILER_IMPORT_GGUFREADER_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cria {

/// The file's own numbering of metadata types.
enum class GgufValueType : uint32_t {
  U8 = 0,
  I8 = 1,
  U16 = 2,
  I16 = 3,
  U32 = 4,
  I32 = 5,
  F32 = 6,
  Bool = 7,
  String = 8,
  Array = 9,
  U64 = 10,
  I64 = 11,
  F64 = 12
};

/// One metadata value. `type` says which member holds it.
struct GgufValue {
  GgufValueType type = GgufValueType::U8;
  uint64_t bits = 0;      // scalars: integers sign-extended, floats as f64
  llvm::StringRef string; // String
  GgufValueType elementType = GgufValueType::U8; // Array
  uint64_t count = 0;                            // Array
  llvm::ArrayRef<uint8_t> elements;              // Array of scalars, raw
  std::vector<llvm::StringRef> strings;          // Array of String
};

/// ggml's numbering of tensor types; those whose data cria reads. Others occur
/// in a GgufTensor as their plain number (see ggmlTypeName).
enum class GgmlType : uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  IQ4_NL = 20,
  BF16 = 30
};

/// Those types, for messages.
constexpr const char *supportedGgmlTypes =
    "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, "
    "Q6_K, IQ4_NL";

/// The name of a ggml type, such as "Q4_K"; "type 99" for an unknown one.
std::string ggmlTypeName(GgmlType type);

/// True for the types named in the enum: those that cria reads.
bool isSupportedGgmlType(GgmlType type);

struct GgufTensor {
  llvm::StringRef name;
  llvm::SmallVector<uint64_t, 4> dims; // ggml order: dims[0] is contiguous
  GgmlType type = GgmlType::F32;
  uint64_t offset = 0; // from the start of the file, bytes
  llvm::ArrayRef<uint8_t> bytes;
};

class GgufFile {
public:
  static llvm::Expected<std::unique_ptr<GgufFile>> open(llvm::StringRef path);

  /// Parses memory that outlives the result. The identifier of `buffer`
  /// stands for the file in messages.
  static llvm::Expected<std::unique_ptr<GgufFile>>
  parse(llvm::MemoryBufferRef buffer);

  llvm::StringRef path() const { return filePath; }
  uint32_t version() const { return formatVersion; }

  // Metadata. A missing key, a value of another kind or one that is out of
  // range is an error that names the file, the key, what was found and what
  // is accepted. Integers of any width are accepted where they fit, floats
  // must be finite. The ...Or variants yield `otherwise` for a missing key
  // only. All views live as long as the file.
  const GgufValue *find(llvm::StringRef key) const;
  bool has(llvm::StringRef key) const { return find(key) != nullptr; }
  llvm::ArrayRef<llvm::StringRef> keys() const { return keyOrder; }

  llvm::Expected<uint32_t> getU32(llvm::StringRef key) const;
  llvm::Expected<uint64_t> getU64(llvm::StringRef key) const;
  llvm::Expected<float> getF32(llvm::StringRef key) const;
  llvm::Expected<bool> getBool(llvm::StringRef key) const;
  llvm::Expected<llvm::StringRef> getString(llvm::StringRef key) const;
  llvm::Expected<uint32_t> getU32Or(llvm::StringRef key,
                                    uint32_t otherwise) const;
  llvm::Expected<uint64_t> getU64Or(llvm::StringRef key,
                                    uint64_t otherwise) const;
  llvm::Expected<float> getF32Or(llvm::StringRef key, float otherwise) const;
  llvm::Expected<bool> getBoolOr(llvm::StringRef key, bool otherwise) const;
  llvm::Expected<llvm::StringRef> getStringOr(llvm::StringRef key,
                                              llvm::StringRef otherwise) const;
  llvm::Expected<llvm::ArrayRef<llvm::StringRef>>
  getStrings(llvm::StringRef key) const;
  llvm::Expected<std::vector<int64_t>> getInts(llvm::StringRef key) const;
  llvm::Expected<std::vector<float>> getFloats(llvm::StringRef key) const;

  // Tensors, in the order of the file.
  llvm::ArrayRef<GgufTensor> tensors() const { return tensorList; }
  const GgufTensor *findTensor(llvm::StringRef name) const;

  /// The tensor's bytes; an error names a type that cria does not read.
  llvm::Expected<llvm::ArrayRef<uint8_t>> data(const GgufTensor &tensor) const;

  /// Drops the resident pages of a consumed tensor; its views stay valid.
  void releasePages(const GgufTensor &tensor) const;

  /// The whole file. Null after parse(), which does not own its memory.
  const llvm::MemoryBuffer *buffer() const { return owned.get(); }

private:
  GgufFile() = default;
  friend class GgufParser;

  llvm::Error wrongType(llvm::StringRef key, const GgufValue *value,
                        llvm::StringRef accepted) const;
  llvm::Expected<uint64_t> unsignedUpTo(llvm::StringRef key,
                                        uint64_t limit) const;

  std::string filePath;
  std::unique_ptr<llvm::MemoryBuffer> owned;
  uint32_t formatVersion = 0;
  std::vector<llvm::StringRef> keyOrder;
  llvm::StringMap<GgufValue> values;
  std::vector<GgufTensor> tensorList;
  llvm::StringMap<size_t> tensorIndex;
};

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_GGUFREADER_H
