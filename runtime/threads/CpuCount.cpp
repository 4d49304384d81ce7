// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "threads/CpuCount.h"

#include "cria/cria.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

using namespace cria::runtime;

namespace {

constexpr int MaxCpus = 8192;

struct CpuSet {
  alignas(cpu_set_t) unsigned char Bits[MaxCpus / 8] = {};
  bool read() {
    return sched_getaffinity(0, sizeof(Bits),
                             reinterpret_cast<cpu_set_t *>(Bits)) == 0;
  }
  bool has(int Cpu) const { return Bits[Cpu / 8] >> (Cpu % 8) & 1; }
};

/// Reads a small text file of the kernel; false if there is none.
bool readText(const char *Path, char *Text, size_t Capacity) {
  int File = open(Path, O_RDONLY | O_CLOEXEC);
  if (File < 0)
    return false;
  ssize_t Size = ::read(File, Text, Capacity - 1);
  close(File);
  if (Size <= 0)
    return false;
  Text[Size] = '\0';
  return true;
}

/// The first allowed processor among those that share a core with `Cpu`: a
/// list like "3,67" or "3-4".
int firstSibling(int Cpu, const CpuSet &Allowed) {
  char Path[96], Text[512];
  std::snprintf(Path, sizeof(Path),
                "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                Cpu);
  if (!readText(Path, Text, sizeof(Text)))
    return Cpu;
  for (char *At = Text; *At >= '0' && *At <= '9';) {
    long First = std::strtol(At, &At, 10), Last = First;
    if (*At == '-')
      Last = std::strtol(At + 1, &At, 10);
    for (long I = First; I <= Last && I < MaxCpus; ++I)
      if (I >= 0 && Allowed.has(static_cast<int>(I)))
        return static_cast<int>(I);
    if (*At == ',')
      ++At;
  }
  return Cpu;
}

/// CPUs' worth of time that the control group allows, rounded up; 0 is no
/// limit. In a container the group's own folder is the root of what is seen.
int64_t quota() {
  char Text[128];
  int64_t Limit = 0, Period = 0;
  if (readText("/sys/fs/cgroup/cpu.max", Text, sizeof(Text))) {
    if (std::sscanf(Text, "%" SCNd64 " %" SCNd64, &Limit, &Period) != 2)
      return 0;
  } else {
    char PeriodText[128];
    if (!readText("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", Text, sizeof(Text)) ||
        !readText("/sys/fs/cgroup/cpu/cpu.cfs_period_us", PeriodText,
                  sizeof(PeriodText)))
      return 0;
    Limit = std::strtoll(Text, nullptr, 10);
    Period = std::strtoll(PeriodText, nullptr, 10);
  }
  if (Limit <= 0 || Period <= 0)
    return 0;
  return Limit / Period + (Limit % Period != 0);
}

} // namespace

int64_t cria::runtime::allowedCpus() noexcept {
  CpuSet Allowed;
  if (!Allowed.read())
    return std::max<int64_t>(1, sysconf(_SC_NPROCESSORS_ONLN));
  int64_t Count = 0;
  for (int Cpu = 0; Cpu < MaxCpus; ++Cpu)
    Count += Allowed.has(Cpu);
  return std::max<int64_t>(1, Count);
}

int64_t cria::runtime::allowedCores() noexcept {
  CpuSet Allowed;
  int64_t Count = 0;
  if (!Allowed.read())
    Count = sysconf(_SC_NPROCESSORS_ONLN);
  else
    for (int Cpu = 0; Cpu < MaxCpus; ++Cpu)
      Count += Allowed.has(Cpu) && firstSibling(Cpu, Allowed) == Cpu;
  if (int64_t Limit = quota())
    Count = std::min(Count, Limit);
  return std::max<int64_t>(1, Count);
}

int64_t cria_default_threads(void) { return allowedCores(); }
