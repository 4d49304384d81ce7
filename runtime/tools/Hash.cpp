// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Hash.h"

#include "tools/Common.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <vector>

namespace cria::tools {

// FNV-1a on words, each step followed by a shift: a product carries
// differences upwards only, the shift brings them down again.
static uint64_t step(uint64_t State, uint64_t Word) {
  State = (State ^ Word) * 0x9E3779B97F4A7C15u;
  return State ^ State >> 29;
}

void Hasher::block(const uint8_t *Bytes) {
  uint64_t Words[4];
  std::memcpy(Words, Bytes, sizeof(Words));
  for (int I = 0; I < 4; ++I)
    Lanes[I] = step(Lanes[I], Words[I]);
}

void Hasher::add(const void *Data, size_t Size) {
  const uint8_t *At = static_cast<const uint8_t *>(Data);
  Total += Size;
  if (PendingSize) {
    size_t Taken = std::min(Size, sizeof(Pending) - PendingSize);
    std::memcpy(Pending + PendingSize, At, Taken);
    PendingSize += Taken;
    At += Taken;
    Size -= Taken;
    if (PendingSize < sizeof(Pending))
      return;
    block(Pending);
    PendingSize = 0;
  }
  for (; Size >= sizeof(Pending);
       At += sizeof(Pending), Size -= sizeof(Pending))
    block(At);
  std::memcpy(Pending, At, Size);
  PendingSize = Size;
}

void Hasher::addString(std::string_view Text) {
  uint64_t Size = Text.size();
  add(&Size, sizeof(Size));
  add(Text.data(), Text.size());
}

std::string Hasher::hex() const {
  Hasher Last = *this;
  std::memset(Last.Pending + PendingSize, 0, sizeof(Pending) - PendingSize);
  Last.block(Last.Pending);
  uint64_t High = Total, Low = ~Total;
  for (int I = 0; I < 4; ++I) {
    High = step(High, Last.Lanes[I]);
    Low = step(Low, Last.Lanes[3 - I]);
  }
  return format("%016" PRIx64 "%016" PRIx64, step(High, Low), step(Low, High));
}

std::string hashFile(const std::string &Path) {
  int File = open(Path.c_str(), O_RDONLY | O_CLOEXEC);
  if (File < 0)
    throw Failure{
        format("%s: cannot open: %s", Path.c_str(), std::strerror(errno))};
  Hasher Hash;
  std::vector<uint8_t> Buffer(size_t{1} << 20);
  for (;;) {
    ssize_t Size = read(File, Buffer.data(), Buffer.size());
    if (Size < 0 && errno == EINTR)
      continue;
    if (Size < 0) {
      int Cause = errno;
      close(File);
      throw Failure{
          format("%s: cannot read: %s", Path.c_str(), std::strerror(Cause))};
    }
    if (Size == 0)
      break;
    Hash.add(Buffer.data(), Size);
  }
  close(File);
  return Hash.hex();
}

} // namespace cria::tools
