// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/emit/OutputFolder.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/raw_ostream.h"

using namespace cria;

static llvm::Error fileError(llvm::StringRef path, std::error_code code) {
  return llvm::createStringError(code, "%s: %s", path.str().c_str(),
                                 code.message().c_str());
}

static std::string inFolder(llvm::StringRef folder, const llvm::Twine &name) {
  llvm::SmallString<256> path(folder);
  llvm::sys::path::append(path, name);
  return path.str().str();
}

llvm::Expected<std::unique_ptr<OutputFolder>>
OutputFolder::create(llvm::StringRef path) {
  bool isNew = !llvm::sys::fs::exists(path);
  if (std::error_code code = llvm::sys::fs::create_directories(path))
    return fileError(path, code);
  if (!llvm::sys::fs::is_directory(path))
    return fileError(path, std::make_error_code(std::errc::not_a_directory));
  // Two compilations into one folder must not write the same file.
  std::string suffix =
      ".tmp" + std::to_string(llvm::sys::Process::getProcessId());
  return std::unique_ptr<OutputFolder>(
      new OutputFolder(path.str(), isNew, suffix));
}

OutputFolder::~OutputFolder() {
  removeScratch();
  for (const File &file : pending)
    llvm::sys::fs::remove(file.temporary);
  if (isNew && committed.empty())
    llvm::sys::fs::remove(path); // fails if somebody else's file is in it
}

std::string OutputFolder::reserve(llvm::StringRef name) {
  pending.push_back({name.str(), inFolder(path, "." + name + suffix)});
  return pending.back().temporary;
}

/// `place` is the name that an error gives.
static llvm::Error writeFile(llvm::StringRef path, llvm::StringRef place,
                             llvm::StringRef contents) {
  std::error_code code;
  llvm::raw_fd_ostream stream(path, code, llvm::sys::fs::CD_CreateAlways);
  if (code)
    return fileError(place, code);
  stream << contents;
  stream.close();
  if (stream.has_error()) {
    code = stream.error();
    stream.clear_error();
    return fileError(place, code);
  }
  return llvm::Error::success();
}

llvm::Error OutputFolder::write(llvm::StringRef name,
                                llvm::StringRef contents) {
  return writeFile(reserve(name), inFolder(path, name), contents);
}

llvm::Expected<std::string>
OutputFolder::writeScratch(llvm::StringRef name, llvm::StringRef contents) {
  scratch.push_back(inFolder(path, "." + name + suffix + "s"));
  if (llvm::Error error = writeFile(scratch.back(), scratch.back(), contents))
    return error;
  return scratch.back();
}

void OutputFolder::removeScratch() {
  for (const std::string &file : scratch)
    llvm::sys::fs::remove(file);
  scratch.clear();
}

llvm::Error OutputFolder::commit() {
  for (const File &file : pending) {
    std::string place = inFolder(path, file.name);
    uint64_t bytes = 0;
    if (std::error_code code = llvm::sys::fs::file_size(file.temporary, bytes))
      return fileError(place, code);
    if (std::error_code code = llvm::sys::fs::rename(file.temporary, place))
      return fileError(place, code);
    committed.emplace_back(place, bytes);
  }
  pending.clear();
  removeScratch();
  return llvm::Error::success();
}
