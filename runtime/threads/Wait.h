// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Waiting for a word to change: first spinning, since the other threads are
// usually microseconds behind, then asleep in the kernel, since on a busy or
// oversubscribed machine the one waited for may not be running at all.
#ifndef CRIA_THREADS_WAIT_H
#define CRIA_THREADS_WAIT_H

#include <atomic>
#include <climits>
#include <cstdint>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cria::runtime {

inline void pauseThread() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

class WaitWord {
public:
  uint32_t load() const { return Value.load(std::memory_order_acquire); }

  /// Stores and wakes all that wait. Both this store and the sleeper's count
  /// are sequentially consistent: either the waker sees the sleeper, or the
  /// sleeper (in the kernel, which compares again) sees the new value.
  void publish(uint32_t New) {
    Value.store(New, std::memory_order_seq_cst);
    wake();
  }

  /// Subtracts one; wakes those who wait when nothing is left.
  void countDown() {
    if (Value.fetch_sub(1, std::memory_order_seq_cst) == 1)
      wake();
  }

  /// Stores while nobody waits.
  void reset(uint32_t New) { Value.store(New, std::memory_order_relaxed); }

  /// Returns once the value is no longer `Old`.
  void waitWhile(uint32_t Old, uint32_t Spins) {
    for (uint32_t I = 0; I < Spins; ++I) {
      if (load() != Old)
        return;
      pauseThread();
    }
    Sleepers.fetch_add(1, std::memory_order_seq_cst);
    while (Value.load(std::memory_order_seq_cst) == Old)
      syscall(SYS_futex, &Value, FUTEX_WAIT_PRIVATE, Old, nullptr, nullptr, 0);
    Sleepers.fetch_sub(1, std::memory_order_relaxed);
  }

private:
  void wake() {
    if (Sleepers.load(std::memory_order_seq_cst) != 0)
      syscall(SYS_futex, &Value, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr,
              0);
  }

  static_assert(sizeof(std::atomic<uint32_t>) == 4, "futexes are 32-bit");
  alignas(64) std::atomic<uint32_t> Value{0};
  std::atomic<uint32_t> Sleepers{0};
};

} // namespace cria::runtime

#endif // CRIA_THREADS_WAIT_H
