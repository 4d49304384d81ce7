// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Roofs.h"

#include "tools/Common.h"
#include "tools/RoofKernels.h"

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstring>
#include <numeric>
#include <sys/mman.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace cria::tools {

namespace {

constexpr int Rounds = 10;
constexpr double Seconds = 0.033; // of a round
constexpr uint64_t Step = 512;    // what the read kernels do in one go

/// Work per second of all threads together, in the best of ten rounds: other
/// programs can only take from what the machine has. `Work(Thread)` does a few
/// milliseconds of it at most and returns how much that was.
template <typename Body> double rate(int64_t Threads, Body Work) {
  std::vector<double> Rates(static_cast<size_t>(Threads) * Rounds);
  std::atomic<int64_t> Ready{0};
  auto Run = [&](int64_t Thread) {
    Work(Thread); // warms up
    for (int Round = 0; Round < Rounds; ++Round) {
      Ready.fetch_add(1);
      // All at once, but without burning a processor that another one needs.
      while (Ready.load() < Threads * (Round + 1))
        std::this_thread::yield();
      double Done = 0, Start = secondsNow(), Spent;
      do {
        Done += Work(Thread);
        Spent = secondsNow() - Start;
      } while (Spent < Seconds);
      Rates[static_cast<size_t>(Round * Threads + Thread)] = Done / Spent;
    }
  };
  std::vector<std::thread> Others;
  try {
    for (int64_t T = 1; T < Threads; ++T)
      Others.emplace_back(Run, T);
  } catch (const std::system_error &Cause) {
    Ready.fetch_add(Threads * Rounds); // lets the others go
    for (std::thread &Other : Others)
      Other.join();
    throw Failure{
        format("cannot start %" PRId64 " threads: %s", Threads, Cause.what())};
  }
  Run(0);
  for (std::thread &Other : Others)
    Other.join();
  double Best = 0;
  for (auto Each = Rates.begin(); Each != Rates.end(); Each += Threads)
    Best = std::max(Best, std::accumulate(Each, Each + Threads, 0.0));
  return Best;
}

/// Keeps the result of a read alive.
void consume(uint64_t Value) { __asm__ volatile("" : : "r"(Value)); }

/// Reads [Begin, End) of each thread again and again, a part at a time.
double readRate(int64_t Threads, const char *Data, uint64_t Bytes) {
  constexpr uint64_t Part = 1 << 20;
  RoofKernels Kernels = roofKernels();
  struct alignas(64) Place {
    uint64_t Begin, End, At;
  };
  std::vector<Place> Places(static_cast<size_t>(Threads));
  uint64_t Steps = Bytes / Step, Count = static_cast<uint64_t>(Threads);
  for (uint64_t T = 0; T < Count; ++T) {
    uint64_t Begin = Steps * T / Count * Step;
    Places[T] = {Begin, Steps * (T + 1) / Count * Step, Begin};
  }
  return rate(Threads, [&](int64_t Thread) {
    Place &Own = Places[static_cast<size_t>(Thread)];
    double Done = 0;
    // One look at the clock a part, also where a slice is smaller.
    while (Done < Part && Own.Begin != Own.End) {
      uint64_t Size = std::min(Part, Own.End - Own.At);
      consume(Kernels.Read(Data + Own.At, Size));
      Own.At += Size;
      if (Own.At == Own.End)
        Own.At = Own.Begin;
      Done += static_cast<double>(Size);
    }
    return Done;
  });
}

constexpr int64_t Products = 100000; // under a millisecond

} // namespace

Roofs::Roofs(uint64_t WeightBytes) {
  Bytes = std::clamp<uint64_t>(WeightBytes, 256 << 10, 1 << 30) / Step * Step;
  Memory = mmap(nullptr, Bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (Memory == MAP_FAILED)
    throw Failure{format("no memory for %" PRIu64 " bytes to read", Bytes)};
  // The best case: fewer pages, fewer TLB misses.
  madvise(Memory, Bytes, MADV_HUGEPAGE);
  std::memset(Memory, 1, Bytes);
}

Roofs::~Roofs() { munmap(Memory, Bytes); }

double Roofs::read(int64_t Threads) {
  return readRate(Threads, static_cast<const char *>(Memory), Bytes);
}

double Roofs::cache(int64_t Threads) {
  long Level2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
  uint64_t Half = Level2 > 0 ? static_cast<uint64_t>(Level2) / 2 : 128 << 10;
  std::vector<char> Data(Half * static_cast<uint64_t>(Threads), 1);
  return readRate(Threads, Data.data(), Data.size());
}

double Roofs::int8(int64_t Threads) {
  RoofKernels Kernels = roofKernels();
  return rate(Threads, [&](int64_t) { return Kernels.Int8(Products); });
}

double Roofs::f32(int64_t Threads) {
  RoofKernels Kernels = roofKernels();
  return rate(Threads, [&](int64_t) { return Kernels.F32(Products); });
}

} // namespace cria::tools
