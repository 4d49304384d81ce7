// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes one safetensors file in memory independent of its size: declare every
// tensor, write their bytes, commit. Bytes come front to back with write(), or
// in parts at any offset, from any thread, with writeAt(); parts wait in up to
// 32 MB until 2 MB of the file are whole.
//
// The data section starts on a 4096-byte boundary of the file and each tensor
// on a 64-byte boundary, so that a mapping of the file can be used as it is.
// The same calls write the same bytes.
//
// The bytes go to a temporary file in the same folder, renamed over `path` by
// commit() and removed by the destructor otherwise. There is no fsync: a
// crash of the machine may lose the file, never leave half of one under
// `path` through a crash of the process.
//
// Every Error names the path. After one, only destruction is useful. Only
// writeAt() may be called by several threads at once.
//
//   auto writer = cria::SafetensorsWriter::create("model.safetensors");
//   if (!writer) return writer.takeError();
//   (*writer)->setMetadata("cria.layout", "n16k4");
//   (*writer)->addTensor("w", "U8", {size}, size);
//   (*writer)->write(firstHalf); (*writer)->write(secondHalf);
//   return (*writer)->commit();
#ifndef CRIA_COMPILER_IMPORT_SAFETENSORSWRITER_H
#define CRIA_COMPILER_IMPORT_SAFETENSORSWRITER_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace cria {

class SafetensorsWriter {
public:
  static constexpr uint64_t dataAlignment = 4096;
  static constexpr uint64_t tensorAlignment = 64;
  /// Names of the U8 tensors that fill the gaps: "__pad.0", "__pad.1", ...
  /// A tensor of the caller may not begin with it.
  static constexpr llvm::StringLiteral fillerPrefix = "__pad.";

  static llvm::Expected<std::unique_ptr<SafetensorsWriter>>
  create(llvm::StringRef path);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter &) = delete;
  SafetensorsWriter &operator=(const SafetensorsWriter &) = delete;

  // Before the first write:

  /// An entry of "__metadata__"; a second one with the same key replaces it.
  llvm::Error setMetadata(llvm::StringRef key, llvm::StringRef value);

  /// Declares the next tensor. `byteSize` must be what dtype and shape say.
  llvm::Error addTensor(llvm::StringRef name, llvm::StringRef dtype,
                        llvm::ArrayRef<int64_t> shape, uint64_t byteSize);

  /// Appends to the current tensor, which is the first that is not yet full
  /// (tensors without bytes are passed over). A chunk must end within it.
  llvm::Error write(llvm::ArrayRef<uint8_t> chunk);

  /// Ends the declarations and makes way for writeAt; write is refused from
  /// here on.
  llvm::Error openForParts();

  /// Writes bytes of tensor `index`, in the order of the declarations, from
  /// `offset` of it on. Every byte must be written once.
  llvm::Error writeAt(size_t index, uint64_t offset,
                      llvm::ArrayRef<uint8_t> bytes);

  /// The tensor that the next write appends to; empty when all are full.
  llvm::StringRef current() const;

  /// Checks that every tensor is full and moves the file into place.
  llvm::Error commit();

private:
  SafetensorsWriter(llvm::StringRef path, std::string tempPath, int fd);

  struct Tensor {
    std::string name;
    std::string dtype;
    llvm::SmallVector<int64_t, 4> shape;
    uint64_t begin; // from the start of the data section
    uint64_t end;
    bool filler;
    uint64_t inParts = 0; // bytes that writeAt wrote
  };
  /// Parts of one page of the file, until it is full.
  struct Page {
    std::unique_ptr<uint8_t[]> bytes;
    uint64_t filled = 0;
    bool direct = false; // its parts are written as they come
  };

  llvm::Error fail(const llvm::Twine &message);
  llvm::Error declare(llvm::StringRef what);
  llvm::Error start();
  llvm::Error finishTensors();
  llvm::Error put(llvm::ArrayRef<uint8_t> bytes);
  llvm::Error flush();
  llvm::Error writeOut(llvm::ArrayRef<uint8_t> rest);
  llvm::Error gather(uint64_t at, llvm::ArrayRef<uint8_t> bytes);
  llvm::Error writePart(uint64_t at, llvm::ArrayRef<uint8_t> bytes);

  std::string filePath;
  std::string tempPath;
  int fd; // -1 once committed
  std::map<std::string, std::string> metadata;
  std::vector<Tensor> tensors;
  llvm::StringSet<> names;
  uint64_t dataEnd = 0; // of the tensors declared so far
  uint64_t fillers = 0;
  bool started = false;
  bool failed = false;
  size_t index = 0;     // the current tensor
  uint64_t written = 0; // bytes of the current tensor
  std::vector<uint8_t> pending;
  std::vector<size_t> declared; // places in `tensors`, without fillers
  uint64_t dataStart = 0;       // in the file
  bool parts = false;
  std::mutex mutex; // of what writeAt changes
  std::vector<Page> pages;
  std::vector<std::unique_ptr<uint8_t[]>> sparePages;
  size_t openPages = 0; // that have bytes
};

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_SAFETENSORSWRITER_H
