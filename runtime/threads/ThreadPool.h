// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs one body on all threads at once, the calling thread being the first.
// Between runs the workers spin briefly, then sleep.
#ifndef CRIA_THREADS_THREADPOOL_H
#define CRIA_THREADS_THREADPOOL_H

#include "cria/status.h"
#include "threads/Wait.h"

#include <pthread.h>
#include <vector>

namespace cria::runtime {

/// How often to look before going to sleep. A pause is 40 to 140 cycles, so
/// this is 50 to 200 us: longer than the slowest thread of a balanced kernel
/// lags behind, shorter than a time slice. With more threads than processors
/// the one waited for is likely not running, and spinning only delays it.
uint32_t spinsFor(int64_t Threads) noexcept;

class ThreadPool {
public:
  using Body = void (*)(void *Context, int64_t Thread);

  ThreadPool() = default;
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  /// Starts Threads - 1 workers. Call once. May throw std::bad_alloc.
  cria_status start(int64_t Threads, cria_error *Error);

  /// Returns when all threads have. One call at a time.
  void run(Body NewBody, void *NewContext);

private:
  struct Worker {
    ThreadPool *Pool;
    int64_t Index;
    pthread_t Thread;
  };

  static void *enter(void *Argument);
  void work(int64_t Index);

  std::vector<Worker> Workers;
  size_t Started = 0;
  uint32_t Spins = 0;
  bool Stop = false;
  Body Current = nullptr;
  void *Context = nullptr;
  WaitWord Epoch;     // raised to start a run
  WaitWord Remaining; // workers still inside
};

} // namespace cria::runtime

#endif // CRIA_THREADS_THREADPOOL_H
