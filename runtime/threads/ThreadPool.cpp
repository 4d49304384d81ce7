// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "threads/ThreadPool.h"

#include "model/Report.h"
#include "threads/CpuCount.h"

#include <cinttypes>
#include <csignal>
#include <cstring>

using namespace cria::runtime;

uint32_t cria::runtime::spinsFor(int64_t Threads) noexcept {
  return Threads <= allowedCpus() ? 4000 : 20;
}

cria_status ThreadPool::start(int64_t Threads, cria_error *Error) {
  Spins = spinsFor(Threads);
  Workers.resize(static_cast<size_t>(Threads - 1)); // their addresses are kept
  // Signals are the business of the caller's own threads.
  sigset_t All, Before;
  sigfillset(&All);
  pthread_sigmask(SIG_SETMASK, &All, &Before);
  int Cause = 0;
  for (Worker &Each : Workers) {
    Each.Pool = this;
    Each.Index = static_cast<int64_t>(Started) + 1;
    Cause = pthread_create(&Each.Thread, nullptr, enter, &Each);
    if (Cause)
      break;
    ++Started;
  }
  pthread_sigmask(SIG_SETMASK, &Before, nullptr);
  if (Cause)
    return report(Error, CRIA_IO, "cannot start thread %zu of %" PRId64 ": %s",
                  Started + 2, Threads, std::strerror(Cause));
  return CRIA_OK;
}

ThreadPool::~ThreadPool() {
  Stop = true;
  Epoch.publish(Epoch.load() + 1);
  for (size_t I = 0; I < Started; ++I)
    pthread_join(Workers[I].Thread, nullptr);
}

void ThreadPool::run(Body NewBody, void *NewContext) {
  Current = NewBody;
  Context = NewContext;
  Remaining.reset(static_cast<uint32_t>(Started));
  Epoch.publish(Epoch.load() + 1);
  NewBody(NewContext, 0);
  while (uint32_t Left = Remaining.load())
    Remaining.waitWhile(Left, Spins);
}

void *ThreadPool::enter(void *Argument) {
  Worker *Self = static_cast<Worker *>(Argument);
  Self->Pool->work(Self->Index);
  return nullptr;
}

void ThreadPool::work(int64_t Index) {
  // No run starts before every worker was made, and none ends without it: a
  // worker never misses an epoch. The first is 0, whenever this thread wakes.
  for (uint32_t Seen = 0;; ++Seen) {
    Epoch.waitWhile(Seen, Spins);
    if (Stop)
      return;
    Current(Context, Index);
    Remaining.countDown();
  }
}
