// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What cria_session_profile reports: the counters of each thread, and what the
// runs so far needed by the formulas of cria_profile_op.
#ifndef CRIA_SESSION_PROFILE_H
#define CRIA_SESSION_PROFILE_H

#include "cria/cria.h"

#include <vector>

namespace cria::runtime {

/// Entries of the model's profile_ops; 0 without --profile.
int64_t profileOps(const cria_model &Model) noexcept;

class Profile {
public:
  /// Call once, before anything else. May throw std::bad_alloc.
  void init(const cria_model &Model, int64_t Threads, int64_t Sequences);

  bool enabled() const { return Ops > 0; }
  cria_profile_counter *counters(int64_t Thread) {
    return Rows[static_cast<size_t>(Thread * LinesPerRow)].Counters;
  }

  /// Around one run of the code with these arguments.
  void begin();
  void end(const cria_forward_args &Args);

  void reset();
  /// The entries lie in this object, and stay until the next call.
  cria_profile report();

private:
  // A line of the cache, so that no two threads write to one.
  struct alignas(64) Line {
    cria_profile_counter Counters[4];
  };
  struct Sums {
    uint64_t Calls = 0; // of the first thread, at the last run's end
    double Memory = 0, Activations = 0, Operations = 0;
  };

  int64_t attended(const cria_forward_args &Args, int64_t Window) const;
  int64_t held(const cria_forward_args &Args, int64_t Window);

  const cria_profile_op *Table = nullptr;
  int64_t Ops = 0;
  int64_t Threads = 0;
  int64_t LinesPerRow = 0;
  std::vector<Line> Rows;
  std::vector<Sums> Needed;
  std::vector<cria_profile_entry> Entries;
  std::vector<int64_t> First, Last; // positions by sequence; -1 outside held
  int64_t Runs = 0, Tokens = 0, Outputs = 0;
  double Start = 0, Seconds = 0;
  uint64_t StartTicks = 0, Ticks = 0;
};

} // namespace cria::runtime

#endif // CRIA_SESSION_PROFILE_H
