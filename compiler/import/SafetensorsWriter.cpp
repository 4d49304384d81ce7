// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/SafetensorsWriter.h"

#include "compiler/import/InputFile.h"
#include "compiler/import/SafetensorsReader.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/Errno.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/raw_ostream.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <unistd.h>
#include <utility>

using namespace llvm;

namespace cria {

// Small chunks (a row at a time) are gathered into writes of this size.
static constexpr size_t bufferBytes = size_t(1) << 20;
// What the reference reader accepts.
static constexpr uint64_t maxHeaderBytes = 100000000;
// Parts are gathered into writes of what x86-64 maps as one large page, which
// makes large pages of the page cache where the file system has them (ext4
// since Linux 6.16, XFS): written part by part, these are pages of 4 KB from
// all over the memory, slower to map and slower to read.
static constexpr uint64_t pageBytes = uint64_t(2) << 20;
// Parts come in order but for what the threads are ahead of each other, in
// two or three arrays a tensor; 32 MB at most.
static constexpr size_t maxOpenPages = 16;

SafetensorsWriter::SafetensorsWriter(StringRef path, std::string tempPath,
                                     int fd)
    : filePath(path.str()), tempPath(std::move(tempPath)), fd(fd) {
  pending.reserve(bufferBytes);
}

Expected<std::unique_ptr<SafetensorsWriter>>
SafetensorsWriter::create(StringRef path) {
  // sys::fs::TempFile would replace every '%' of the user's path.
  std::error_code ec;
  for (unsigned attempt = 0; attempt < 100; ++attempt) {
    std::string name = (path + "." + Twine(sys::Process::getProcessId()) + "-" +
                        Twine(attempt) + ".tmp")
                           .str();
    int fd;
    ec = sys::fs::openFileForWrite(name, fd, sys::fs::CD_CreateNew);
    if (!ec) {
      sys::RemoveFileOnSignal(name);
      return std::unique_ptr<SafetensorsWriter>(
          new SafetensorsWriter(path, std::move(name), fd));
    }
    if (ec != std::errc::file_exists)
      break;
  }
  return fileError(path,
                   "cannot create a temporary file beside it: " + ec.message());
}

SafetensorsWriter::~SafetensorsWriter() {
  if (fd >= 0)
    ::close(fd);
  if (tempPath.empty())
    return;
  (void)sys::fs::remove(tempPath);
  sys::DontRemoveFileOnSignal(tempPath);
}

Error SafetensorsWriter::fail(const Twine &message) {
  failed = true;
  return fileError(filePath, message);
}

/// The checks that every declaration shares.
Error SafetensorsWriter::declare(StringRef what) {
  if (failed || fd < 0)
    return fileError(filePath,
                     "cannot take " + what + " after an error or a commit");
  if (started)
    return fail("cannot take " + what + " after the first write");
  return Error::success();
}

Error SafetensorsWriter::setMetadata(StringRef key, StringRef value) {
  if (Error error = declare("metadata"))
    return error;
  if (!json::isUTF8(key) || !json::isUTF8(value))
    return fail("metadata " + quoted(key) + " = " + quoted(value) +
                " is not UTF-8");
  metadata[key.str()] = value.str();
  return Error::success();
}

Error SafetensorsWriter::addTensor(StringRef name, StringRef dtype,
                                   ArrayRef<int64_t> shape, uint64_t byteSize) {
  if (Error error = declare("a tensor"))
    return error;
  std::string what = "tensor " + quoted(name);
  if (name.empty() || !json::isUTF8(name) || name == "__metadata__" ||
      name.starts_with(fillerPrefix))
    return fail(what +
                " has a reserved or malformed name; accepted: UTF-8, "
                "not empty, not __metadata__, not " +
                fillerPrefix + "*");
  if (!safetensorsDtypeBits(dtype))
    return fail(what + " has dtype " + quoted(dtype) +
                "; accepted: " + safetensorsDtypes());
  std::optional<uint64_t> expected = safetensorsByteSize(dtype, shape);
  if (!expected || *expected != byteSize)
    return fail(what + " of dtype " + dtype + " is declared with " +
                Twine(byteSize) + " bytes; accepted: " +
                (expected ? std::to_string(*expected)
                          : "a shape without negative or overflowing dims"));
  if (!names.insert(name).second)
    return fail(what + " is declared twice");

  // safetensors allows no holes, so a gap needs a tensor of its own. Cria
  // rounds its packed weights to 64 bytes, so fillers are rare; they stand
  // after a tensor, never after the last.
  uint64_t begin = alignTo(dataEnd, tensorAlignment);
  if (begin < dataEnd ||
      byteSize > uint64_t(std::numeric_limits<int64_t>::max()) - begin)
    return fail(what + " takes the file beyond 2^63 bytes");
  if (begin != dataEnd && byteSize) {
    int64_t gap = static_cast<int64_t>(begin - dataEnd);
    tensors.push_back({(fillerPrefix + Twine(fillers++)).str(),
                       "U8",
                       {gap},
                       dataEnd,
                       begin,
                       true,
                       0});
    dataEnd = begin;
  }
  declared.push_back(tensors.size());
  tensors.push_back({name.str(), dtype.str(),
                     SmallVector<int64_t, 4>(shape.begin(), shape.end()),
                     dataEnd, dataEnd + byteSize, false, 0});
  dataEnd += byteSize;
  return Error::success();
}

/// Writes the header; from here on declarations are refused.
Error SafetensorsWriter::start() {
  if (started)
    return Error::success();
  started = true;
  std::string header;
  raw_string_ostream os(header);
  json::OStream json(os);
  json.object([&] {
    if (!metadata.empty())
      json.attributeObject("__metadata__", [&] {
        for (const auto &[key, value] : metadata)
          json.attribute(key, value);
      });
    for (const Tensor &tensor : tensors)
      json.attributeObject(tensor.name, [&] {
        json.attribute("dtype", tensor.dtype);
        json.attributeArray("shape", [&] {
          for (int64_t dim : tensor.shape)
            json.value(dim);
        });
        json.attributeArray("data_offsets", [&] {
          json.value(tensor.begin);
          json.value(tensor.end);
        });
      });
  });
  json.flush();
  header.resize(alignTo(8 + header.size(), dataAlignment) - 8, ' ');
  dataStart = 8 + header.size();
  if (header.size() > maxHeaderBytes)
    return fail("needs a header of " + Twine(header.size()) +
                " bytes; accepted: at most " + Twine(maxHeaderBytes));
  uint8_t length[8];
  support::endian::write64le(length, header.size());
  if (Error error = put(length))
    return error;
  if (Error error = put(arrayRefFromStringRef(header)))
    return error;
  return finishTensors();
}

/// Moves past full tensors, writing fillers on the way.
Error SafetensorsWriter::finishTensors() {
  static const uint8_t zeros[tensorAlignment] = {};
  while (index < tensors.size()) {
    const Tensor &tensor = tensors[index];
    uint64_t bytes = tensor.end - tensor.begin;
    if (tensor.filler) {
      if (Error error = put(ArrayRef(zeros, bytes)))
        return error;
    } else if (written < bytes) {
      break;
    }
    ++index;
    written = 0;
  }
  return Error::success();
}

StringRef SafetensorsWriter::current() const {
  // Before the first write empty tensors and fillers are not passed yet.
  for (size_t i = index; i < tensors.size(); ++i)
    if (!tensors[i].filler && tensors[i].begin != tensors[i].end)
      return tensors[i].name;
  return {};
}

Error SafetensorsWriter::write(ArrayRef<uint8_t> chunk) {
  if (failed || fd < 0 || parts)
    return fileError(filePath,
                     parts ? "cannot write front to back once parts may come"
                           : "cannot write after an error or a commit");
  if (Error error = start())
    return error;
  if (chunk.empty())
    return Error::success();
  if (index == tensors.size())
    return fail(Twine(chunk.size()) +
                " bytes are left over: every declared tensor is full");
  const Tensor &tensor = tensors[index];
  uint64_t room = tensor.end - tensor.begin - written;
  if (chunk.size() > room)
    return fail("tensor " + quoted(tensor.name) + " has room for " +
                Twine(room) + " more bytes, " + Twine(chunk.size()) +
                " are written");
  if (Error error = put(chunk))
    return error;
  written += chunk.size();
  return finishTensors();
}

Error SafetensorsWriter::openForParts() {
  if (started)
    return fileError(filePath, "cannot take parts after the first write");
  if (Error error = start())
    return error;
  if (Error error = flush())
    return error;
  parts = true;
  // Fillers are holes, which read as zeros.
  if (sys::RetryAfterSignal(-1, ::ftruncate, fd,
                            static_cast<off_t>(dataStart + dataEnd)) != 0)
    return fail("cannot write: " + sys::StrError(errno));
  // What is never written would keep a page from filling up.
  pages.resize(divideCeil(dataStart + dataEnd, pageBytes));
  auto neverFills = [&](uint64_t begin, uint64_t end) {
    for (uint64_t page = begin / pageBytes; page * pageBytes < end; ++page)
      pages[page].direct = true;
  };
  neverFills(0, dataStart);
  for (const Tensor &tensor : tensors)
    if (tensor.filler)
      neverFills(dataStart + tensor.begin, dataStart + tensor.end);
  return Error::success();
}

Error SafetensorsWriter::writeAt(size_t which, uint64_t offset,
                                 ArrayRef<uint8_t> bytes) {
  Tensor *tensor = nullptr;
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (failed || fd < 0 || !parts)
      return fileError(filePath, "cannot take a part before openForParts, "
                                 "after an error or after a commit");
    tensor = &tensors[declared[which]];
    uint64_t size = tensor->end - tensor->begin;
    if (offset > size || bytes.size() > size - offset)
      return fail("tensor " + quoted(tensor->name) + " has " + Twine(size) +
                  " bytes, a part ends at " + Twine(offset + bytes.size()));
    tensor->inParts += bytes.size();
  }
  return gather(dataStart + tensor->begin + offset, bytes);
}

/// Puts bytes of the file into its pages, and writes those that they fill.
Error SafetensorsWriter::gather(uint64_t at, ArrayRef<uint8_t> bytes) {
  while (!bytes.empty()) {
    uint64_t index = at / pageBytes, begin = index * pageBytes;
    uint64_t end = std::min(begin + pageBytes, dataStart + dataEnd);
    ArrayRef<uint8_t> part = bytes.take_front(end - at);
    Page &page = pages[index];
    bool direct = false;
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (!page.bytes && openPages == maxOpenPages)
        page.direct = true;
      direct = page.direct;
      if (!direct && !page.bytes) {
        ++openPages;
        if (sparePages.empty()) {
          page.bytes.reset(new uint8_t[pageBytes]);
        } else {
          page.bytes = std::move(sparePages.back());
          sparePages.pop_back();
        }
      }
    }
    if (direct) {
      if (Error error = writePart(at, part))
        return error;
    } else {
      std::memcpy(page.bytes.get() + (at - begin), part.data(), part.size());
      bool full = false;
      {
        std::lock_guard<std::mutex> lock(mutex);
        page.filled += part.size();
        full = page.filled == end - begin;
      }
      if (full) {
        if (Error error =
                writePart(begin, ArrayRef(page.bytes.get(), end - begin)))
          return error;
        std::lock_guard<std::mutex> lock(mutex);
        sparePages.push_back(std::move(page.bytes));
        page.direct = true;
        --openPages;
      }
    }
    bytes = bytes.drop_front(part.size());
    at += part.size();
  }
  return Error::success();
}

Error SafetensorsWriter::writePart(uint64_t at, ArrayRef<uint8_t> bytes) {
  while (!bytes.empty()) {
    ssize_t count = sys::RetryAfterSignal(-1, ::pwrite, fd, bytes.data(),
                                          bytes.size(), static_cast<off_t>(at));
    if (count < 0) {
      std::string cause = sys::StrError(errno);
      std::lock_guard<std::mutex> lock(mutex);
      return fail("cannot write: " + cause);
    }
    bytes = bytes.drop_front(static_cast<size_t>(count));
    at += static_cast<uint64_t>(count);
  }
  return Error::success();
}

Error SafetensorsWriter::put(ArrayRef<uint8_t> bytes) {
  if (bytes.size() >= bufferBytes) {
    if (Error error = flush())
      return error;
    return writeOut(bytes);
  }
  while (!bytes.empty()) {
    size_t take = std::min(bytes.size(), bufferBytes - pending.size());
    pending.insert(pending.end(), bytes.begin(), bytes.begin() + take);
    bytes = bytes.drop_front(take);
    if (pending.size() == bufferBytes)
      if (Error error = flush())
        return error;
  }
  return Error::success();
}

Error SafetensorsWriter::flush() {
  Error error = writeOut(pending);
  pending.clear();
  return error;
}

Error SafetensorsWriter::writeOut(ArrayRef<uint8_t> rest) {
  // raw_fd_ostream would do, but it ends the process when it is destroyed
  // with an error unseen.
  while (!rest.empty()) {
    ssize_t count =
        sys::RetryAfterSignal(-1, ::write, fd, rest.data(), rest.size());
    if (count < 0)
      return fail("cannot write: " + sys::StrError(errno));
    rest = rest.drop_front(static_cast<size_t>(count));
  }
  return Error::success();
}

Error SafetensorsWriter::commit() {
  if (failed || fd < 0)
    return fileError(filePath, "cannot commit after an error or a commit");
  if (Error error = start())
    return error;
  if (parts)
    for (const Tensor &tensor : tensors)
      if (!tensor.filler && tensor.inParts != tensor.end - tensor.begin)
        return fail("tensor " + quoted(tensor.name) + " has " +
                    Twine(tensor.inParts) + " bytes written of " +
                    Twine(tensor.end - tensor.begin));
  if (!parts && index != tensors.size()) {
    const Tensor &tensor = tensors[index];
    return fail("tensor " + quoted(tensor.name) + " has " + Twine(written) +
                " bytes written of " + Twine(tensor.end - tensor.begin));
  }
  if (Error error = flush())
    return error;
  // Some file systems report a full disk only here.
  int closed = ::close(std::exchange(fd, -1));
  if (closed != 0)
    return fail("cannot write: " + sys::StrError(errno));
  if (std::error_code ec = sys::fs::rename(tempPath, filePath))
    return fail("cannot move the finished file into place: " + ec.message());
  sys::DontRemoveFileOnSignal(tempPath);
  tempPath.clear();
  return Error::success();
}

} // namespace cria
