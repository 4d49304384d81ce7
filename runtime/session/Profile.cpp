// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "session/Profile.h"

#include <algorithm>
#include <cstring>
#include <time.h>

using namespace cria::runtime;

namespace {

double now() {
  timespec Time;
  clock_gettime(CLOCK_MONOTONIC, &Time);
  return static_cast<double>(Time.tv_sec) +
         1e-9 * static_cast<double>(Time.tv_nsec);
}

/// The counter that compiled code reads; see cria_profile_counter.
uint64_t readTicks() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  uint64_t Ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(Ticks));
  return Ticks;
#else
  return static_cast<uint64_t>(now() * 1e9);
#endif
}

} // namespace

int64_t cria::runtime::profileOps(const cria_model &Model) noexcept {
  return Model.struct_bytes >= CRIA_MODEL_PROFILE_BYTES ? Model.n_profile_ops
                                                        : 0;
}

void Profile::init(const cria_model &Model, int64_t ThreadCount,
                   int64_t Sequences) {
  Ops = profileOps(Model);
  if (!Ops)
    return;
  Table = Model.profile_ops;
  Threads = ThreadCount;
  LinesPerRow = (Ops + 1 + 3) / 4; // the last counter is the thread's clock
  Rows.resize(static_cast<size_t>(Threads * LinesPerRow));
  Needed.resize(static_cast<size_t>(Ops));
  Entries.resize(static_cast<size_t>(Ops));
  First.assign(static_cast<size_t>(Sequences), -1);
  Last.assign(static_cast<size_t>(Sequences), -1);
  reset();
}

void Profile::begin() {
  Start = now();
  StartTicks = readTicks();
}

int64_t Profile::attended(const cria_forward_args &Args, int64_t Window) const {
  int64_t Pairs = 0;
  for (int64_t I = 0; I < Args.n; ++I) {
    int64_t Before = int64_t(Args.positions[I]) + 1;
    Pairs += Window ? std::min(Before, Window) : Before;
  }
  return Pairs;
}

int64_t Profile::held(const cria_forward_args &Args, int64_t Window) {
  // Tokens of one sequence ascend.
  for (int64_t I = 0; I < Args.n; ++I) {
    auto S = static_cast<size_t>(Args.sequences[I]);
    if (First[S] < 0)
      First[S] = Args.positions[I];
    Last[S] = Args.positions[I];
  }
  int64_t Positions = 0;
  for (int64_t I = 0; I < Args.n; ++I) {
    auto S = static_cast<size_t>(Args.sequences[I]);
    if (First[S] < 0)
      continue;
    int64_t All = Last[S] + 1;
    Positions += Window ? std::min(All, Last[S] - First[S] + Window) : All;
    First[S] = -1;
  }
  return Positions;
}

void Profile::end(const cria_forward_args &Args) {
  uint64_t EndTicks = readTicks();
  Seconds += now() - Start;
  Ticks += EndTicks - StartTicks;
  ++Runs;
  Tokens += Args.n;
  Outputs += Args.n_outputs;
  const cria_profile_counter *Counters = counters(0);
  for (int64_t I = 0; I < Ops; ++I) {
    const cria_profile_op &Op = Table[I];
    Sums &Sum = Needed[static_cast<size_t>(I)];
    auto Calls = static_cast<double>(Counters[I].calls - Sum.Calls);
    Sum.Calls = Counters[I].calls;
    if (Calls == 0)
      continue;
    auto Rows = static_cast<double>(Op.outputs ? Args.n_outputs : Args.n);
    double Memory = static_cast<double>(Op.weight_bytes);
    double Operations = static_cast<double>(Op.row_flops) * Rows;
    if (Op.cache_bytes)
      Memory += static_cast<double>(Op.cache_bytes) *
                static_cast<double>(held(Args, Op.window));
    if (Op.position_flops)
      Operations += static_cast<double>(Op.position_flops) *
                    static_cast<double>(attended(Args, Op.window));
    Sum.Memory += Calls * Memory;
    Sum.Operations += Calls * Operations;
    Sum.Activations += Calls * static_cast<double>(Op.row_bytes) * Rows;
  }
}

void Profile::reset() {
  for (Line &Each : Rows)
    Each = Line();
  std::fill(Needed.begin(), Needed.end(), Sums());
  Runs = Tokens = Outputs = 0;
  Seconds = 0;
  Ticks = 0;
}

cria_profile Profile::report() {
  // Both clocks were read at the same moments.
  double PerTick = Ticks ? Seconds / static_cast<double>(Ticks) : 0;
  for (int64_t I = 0; I < Ops; ++I) {
    uint64_t Sum = 0, Most = 0;
    for (int64_t T = 0; T < Threads; ++T) {
      uint64_t Own = counters(T)[I].ticks;
      Sum += Own;
      Most = std::max(Most, Own);
    }
    const Sums &Need = Needed[static_cast<size_t>(I)];
    cria_profile_entry &Entry = Entries[static_cast<size_t>(I)];
    Entry.op = &Table[I];
    Entry.calls = Need.Calls;
    Entry.seconds =
        PerTick * static_cast<double>(Sum) / static_cast<double>(Threads);
    Entry.most_seconds = PerTick * static_cast<double>(Most);
    Entry.memory_bytes = Need.Memory;
    Entry.activation_bytes = Need.Activations;
    Entry.operations = Need.Operations;
  }
  cria_profile Result;
  Result.runs = Runs;
  Result.tokens = Tokens;
  Result.outputs = Outputs;
  Result.seconds = Seconds;
  Result.n_entries = Ops;
  Result.entries = Entries.data();
  return Result;
}
