// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/InputFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"
#include <cstdio>
#include <sys/mman.h>

using namespace llvm;

namespace cria {

Error fileError(StringRef file, const Twine &message) {
  return createStringError(std::make_error_code(std::errc::invalid_argument),
                           Twine(file) + ": " + message);
}

std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text;
  raw_string_ostream stream(text);
  stream << '[';
  interleaveComma(shape, stream);
  stream << ']';
  return text;
}

std::string quoted(StringRef text, size_t limit) {
  std::string out = "'";
  for (unsigned char c : text.take_front(limit)) {
    if (c >= 0x20 && c < 0x7f) {
      out += static_cast<char>(c);
      continue;
    }
    out += "\\x";
    out += hexdigit(c >> 4);
    out += hexdigit(c & 15);
  }
  if (text.size() > limit)
    out += "...";
  return out + "'";
}

std::string numberText(double value) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.9g", value);
  return text;
}

Expected<std::unique_ptr<MemoryBuffer>> mapFile(StringRef path) {
  sys::fs::file_status status;
  if (std::error_code ec = sys::fs::status(path, status))
    return fileError(path, "cannot open: " + ec.message());
  // A device or pipe has no end that we could trust.
  if (!sys::fs::is_regular_file(status))
    return fileError(path, "is not a regular file");
  ErrorOr<std::unique_ptr<MemoryBuffer>> buffer = MemoryBuffer::getFile(
      path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return fileError(path, "cannot open: " + buffer.getError().message());
  return std::move(*buffer);
}

void releasePages(const MemoryBuffer *buffer, ArrayRef<uint8_t> bytes) {
  // On heap memory MADV_DONTNEED would zero the data.
  if (!buffer || buffer->getBufferKind() != MemoryBuffer::MemoryBuffer_MMap)
    return;
  uintptr_t page = sys::Process::getPageSizeEstimate();
  uintptr_t begin = reinterpret_cast<uintptr_t>(bytes.begin());
  uintptr_t end = reinterpret_cast<uintptr_t>(bytes.end());
  begin = (begin + page - 1) / page * page;
  end = end / page * page;
  // A failure only means that the pages stay resident.
  if (begin < end)
    (void)::madvise(reinterpret_cast<void *>(begin), end - begin,
                    MADV_DONTNEED);
}

Expected<json::Value> parseJson(StringRef file, StringRef text) {
  constexpr unsigned maxDepth = 64;
  unsigned depth = 0;
  for (size_t i = 0, e = text.size(); i < e; ++i) {
    char c = text[i];
    if (c == '"') {
      for (++i; i < e && text[i] != '"'; ++i)
        if (text[i] == '\\')
          ++i;
    } else if (c == '[' || c == '{') {
      if (++depth > maxDepth)
        return fileError(file, "JSON nests deeper than " + Twine(maxDepth) +
                                   " levels at byte " + Twine(i));
    } else if ((c == ']' || c == '}') && depth) {
      --depth;
    }
  }
  Expected<json::Value> value = json::parse(text);
  if (!value)
    return fileError(file, "is not JSON: " + toString(value.takeError()));
  return value;
}

std::optional<int64_t> jsonInteger(const json::Value &value) {
  constexpr double limit = 9007199254740992.0; // 2^53
  std::optional<double> number = value.getAsNumber();
  // Written so that a NaN is refused as well.
  if (!number || !(*number >= -limit && *number <= limit))
    return std::nullopt;
  return value.getAsInteger();
}

std::string jsonText(const json::Value &value) {
  switch (value.kind()) {
  case json::Value::Object:
    return "an object";
  case json::Value::Array:
    return "a list of " + std::to_string(value.getAsArray()->size());
  case json::Value::String:
    return quoted(*value.getAsString());
  default: {
    std::string text;
    raw_string_ostream os(text);
    os << value;
    return text;
  }
  }
}

std::string hashBuffers(ArrayRef<const MemoryBuffer *> buffers) {
  // Chunks bound the resident part of a file that may exceed the memory.
  constexpr size_t chunk = size_t(64) << 20;
  SmallVector<uint8_t, 256> digest;
  auto put = [&](uint64_t word) {
    uint8_t le[8];
    support::endian::write64le(le, word);
    digest.append(le, le + 8);
  };
  for (const MemoryBuffer *buffer : buffers) {
    ArrayRef<uint8_t> rest = arrayRefFromStringRef(buffer->getBuffer());
    put(rest.size());
    while (!rest.empty()) {
      ArrayRef<uint8_t> part = rest.take_front(chunk);
      XXH128_hash_t hash = xxh3_128bits(part);
      put(hash.low64);
      put(hash.high64);
      releasePages(buffer, part);
      rest = rest.drop_front(part.size());
    }
  }
  XXH128_hash_t hash = xxh3_128bits(digest);
  return utohexstr(hash.high64, /*LowerCase=*/true, 16) +
         utohexstr(hash.low64, /*LowerCase=*/true, 16);
}

} // namespace cria
