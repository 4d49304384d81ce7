// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A central barrier. Its generation plays the part of the sense: it cannot
// move on before this thread has arrived, so that reading it first is safe.
#ifndef CRIA_THREADS_BARRIER_H
#define CRIA_THREADS_BARRIER_H

#include "threads/Wait.h"

namespace cria::runtime {

class Barrier {
public:
  /// Call while no thread is inside.
  void init(uint32_t ThreadCount, uint32_t SpinCount) {
    Threads = ThreadCount;
    Spins = SpinCount;
    Arrived.store(0, std::memory_order_relaxed);
  }

  void wait() {
    if (Threads <= 1)
      return;
    uint32_t Before = Generation.load();
    // Acquire and release: the last to arrive sees what all others wrote, and
    // passes it on through the generation.
    if (Arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == Threads) {
      Arrived.store(0, std::memory_order_relaxed);
      Generation.publish(Before + 1);
      return;
    }
    Generation.waitWhile(Before, Spins);
  }

private:
  uint32_t Threads = 1;
  uint32_t Spins = 0;
  alignas(64) std::atomic<uint32_t> Arrived{0};
  WaitWord Generation;
};

} // namespace cria::runtime

#endif // CRIA_THREADS_BARRIER_H
