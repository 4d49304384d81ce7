// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A set of files that appear in a folder together or not at all. They are
// written beside their places and moved there by commit(); without it the
// destructor removes them, and the folder too if it was made for them.
//
//   auto folder = cria::OutputFolder::create("out");
//   if (!folder) return folder.takeError();
//   if (llvm::Error e = (*folder)->write("model.h", text)) return e;
//   return (*folder)->commit();
//
// Every error names the file. Not for use by several threads at once.

#ifndef CRIA_COMPILER_EMIT_OUTPUTFOLDER_H
#define CRIA_COMPILER_EMIT_OUTPUTFOLDER_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace cria {

class OutputFolder {
public:
  /// Makes the folder if it is missing.
  static llvm::Expected<std::unique_ptr<OutputFolder>>
  create(llvm::StringRef path);
  ~OutputFolder();
  OutputFolder(const OutputFolder &) = delete;
  OutputFolder &operator=(const OutputFolder &) = delete;

  llvm::Error write(llvm::StringRef name, llvm::StringRef contents);

  /// Where something else shall write the file `name`.
  std::string reserve(llvm::StringRef name);

  /// Writes a file that commit() and the destructor remove; returns its path.
  llvm::Expected<std::string> writeScratch(llvm::StringRef name,
                                           llvm::StringRef contents);

  /// Moves every file so far into its place, replacing one of that name.
  llvm::Error commit();

  /// Of the committed files: path and bytes.
  llvm::ArrayRef<std::pair<std::string, uint64_t>> files() const {
    return committed;
  }

private:
  OutputFolder(std::string path, bool isNew, std::string suffix)
      : path(std::move(path)), isNew(isNew), suffix(std::move(suffix)) {}

  void removeScratch();

  struct File {
    std::string name, temporary;
  };
  std::string path;
  bool isNew;
  std::string suffix;
  std::vector<File> pending;
  std::vector<std::string> scratch;
  std::vector<std::pair<std::string, uint64_t>> committed;
};

} // namespace cria

#endif // CRIA_COMPILER_EMIT_OUTPUTFOLDER_H
