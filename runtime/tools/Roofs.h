// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The limits of this machine, measured: bytes a second from memory and from a
// core's own cache, operations a second on bytes and on f32.
#ifndef CRIA_TOOLS_ROOFS_H
#define CRIA_TOOLS_ROOFS_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cria::tools {

class Roofs {
public:
  /// Allocates the memory that read() goes over: as much as a model's weights,
  /// because that decides what part of it the caches keep, within 256 KB and
  /// 1 GB. Throws a Failure.
  explicit Roofs(uint64_t WeightBytes);
  ~Roofs();
  Roofs(const Roofs &) = delete;
  Roofs &operator=(const Roofs &) = delete;

  // Each takes a third of a second with that many threads, all busy at once.
  double read(int64_t Threads);
  /// Half of a level 2 cache each, where cria's activations are.
  double cache(int64_t Threads);
  double int8(int64_t Threads);
  double f32(int64_t Threads);

  uint64_t bytes() const { return Bytes; }

private:
  void *Memory = nullptr;
  uint64_t Bytes = 0;
};

} // namespace cria::tools

#endif // CRIA_TOOLS_ROOFS_H
