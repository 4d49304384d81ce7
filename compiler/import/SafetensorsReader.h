// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads safetensors: one file, or a folder with model.safetensors or with
// shards and their model.safetensors.index.json.
//
// Everything is checked when a file is opened, as the format demands: the
// tensors fill the data section without holes or overlaps and each one's byte
// count matches its shape. Views live as long as the object they come from;
// objects are immutable, any number of threads may read them.
#ifndef CRIA_COMPILER_IMPORT_SAFETENSORSREADER_H
#define CRIA_COMPILER_IMPORT_SAFETENSORSREADER_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cria {

/// Bits of one element of a safetensors dtype such as "BF16" (4 and 6 bit
/// floats exist), nothing for a dtype that the format does not have.
std::optional<unsigned> safetensorsDtypeBits(llvm::StringRef dtype);

/// Bytes of a tensor; nothing if the dtype is unknown, a dim is negative, the
/// size overflows int64 or is no whole number of bytes.
std::optional<uint64_t> safetensorsByteSize(llvm::StringRef dtype,
                                            llvm::ArrayRef<int64_t> shape);

/// The known dtypes as a message lists them.
llvm::StringRef safetensorsDtypes();

struct SafetensorsTensor {
  std::string name;
  std::string dtype;                   // "F32", "BF16", "U8", ...
  llvm::SmallVector<int64_t, 4> shape; // row-major, outermost first
  uint64_t offset = 0;                 // from the start of the file, bytes
  llvm::ArrayRef<uint8_t> bytes;
};

class SafetensorsFile {
public:
  static llvm::Expected<std::unique_ptr<SafetensorsFile>>
  open(llvm::StringRef path);

  /// Parses memory that outlives the result. The identifier of `buffer`
  /// stands for the file in messages.
  static llvm::Expected<std::unique_ptr<SafetensorsFile>>
  parse(llvm::MemoryBufferRef buffer);

  llvm::StringRef path() const { return filePath; }

  /// By offset; tensors without elements by name among themselves.
  llvm::ArrayRef<SafetensorsTensor> tensors() const { return tensorList; }
  const SafetensorsTensor *find(llvm::StringRef name) const;

  /// The string map under "__metadata__".
  const std::map<std::string, std::string> &metadata() const {
    return metadataMap;
  }

  /// Drops the resident pages of a consumed tensor; its views stay valid.
  void releasePages(const SafetensorsTensor &tensor) const;

  /// The whole file. Null after parse(), which does not own its memory.
  const llvm::MemoryBuffer *buffer() const { return owned.get(); }

private:
  SafetensorsFile() = default;
  llvm::Error readHeader(llvm::StringRef content);

  std::string filePath;
  std::unique_ptr<llvm::MemoryBuffer> owned;
  std::vector<SafetensorsTensor> tensorList;
  llvm::StringMap<size_t> tensorIndex;
  std::map<std::string, std::string> metadataMap;
};

/// The tensors of a model folder, whether in one file or in shards.
class SafetensorsFolder {
public:
  static llvm::Expected<std::unique_ptr<SafetensorsFolder>>
  open(llvm::StringRef folder);

  struct Entry {
    const SafetensorsFile *file;
    const SafetensorsTensor *tensor;
  };

  llvm::StringRef path() const { return folderPath; }
  /// In the order of their file names.
  llvm::ArrayRef<std::unique_ptr<SafetensorsFile>> files() const {
    return fileList;
  }
  std::optional<Entry> find(llvm::StringRef name) const;

  /// Hands the files over; the folder is empty afterwards.
  std::vector<std::unique_ptr<SafetensorsFile>> takeFiles();

private:
  SafetensorsFolder() = default;
  llvm::Error openShards(llvm::StringRef indexPath);
  llvm::Error indexTensors();

  std::string folderPath;
  std::vector<std::unique_ptr<SafetensorsFile>> fileList;
  llvm::StringMap<Entry> entries;
};

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_SAFETENSORSREADER_H
