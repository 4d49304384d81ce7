// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A fast 128-bit hash that tells files apart. It is no defence against someone
// who makes files collide: such a person can write into the cache anyway.
#ifndef CRIA_TOOLS_HASH_H
#define CRIA_TOOLS_HASH_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cria::tools {

class Hasher {
public:
  void add(const void *Data, size_t Size);
  /// With its length, so that neighbours cannot run into each other.
  void addString(std::string_view Text);
  /// 32 hexadecimal digits. The state stays as it is.
  std::string hex() const;

private:
  void block(const uint8_t *Bytes);

  // Four lanes, for the multiplier's latency; digits of pi.
  uint64_t Lanes[4] = {0x243F6A8885A308D3u, 0x13198A2E03707344u,
                       0xA4093822299F31D0u, 0x082EFA98EC4E6C89u};
  uint8_t Pending[32];
  size_t PendingSize = 0;
  uint64_t Total = 0;
};

/// The hash of a file's content. Throws a Failure.
std::string hashFile(const std::string &Path);

} // namespace cria::tools

#endif // CRIA_TOOLS_HASH_H
