// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How fast threads can read memory: the limit that compare.py measures decode
// against. Built by it as a shared library, for the machine at hand.
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

typedef struct {
  const uint64_t *words;
  size_t count;
  long passes;
  uint64_t sum;
} Slice;

static double secondsNow(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void *readSlice(void *argument) {
  Slice *slice = argument;
  uint64_t sum = 0;
  for (long pass = 0; pass < slice->passes; ++pass) {
    for (size_t i = 0; i < slice->count; ++i)
      sum += slice->words[i];
    // Keeps the compiler from reading once and multiplying.
    __asm__ volatile("" : "+r"(sum) : : "memory");
  }
  slice->sum = sum;
  return NULL;
}

/// Memory of `bytes`, written to once, so that every page is there. Null when
/// there is none.
void *read_speed_open(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return NULL;
#ifdef MADV_HUGEPAGE
  // The best case: fewer pages, fewer TLB misses.
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  memset(memory, 1, bytes);
  return memory;
}

/// Seconds for `passes` over the memory, a slice for each of at most 256
/// threads; below 0 when a thread cannot be started.
double read_speed_seconds(const void *memory, size_t bytes, int threads,
                          long passes) {
  pthread_t handles[256];
  Slice slices[256];
  if (threads < 1 || threads > 256)
    return -1;
  // Whole cache lines for every thread.
  size_t lines = bytes / 64;
  double start = secondsNow();
  int started = 0;
  for (; started < threads; ++started) {
    size_t first = lines * (size_t)started / (size_t)threads;
    size_t last = lines * ((size_t)started + 1) / (size_t)threads;
    slices[started] = (Slice){(const uint64_t *)memory + first * 8,
                              (last - first) * 8, passes, 0};
    if (pthread_create(&handles[started], NULL, readSlice, &slices[started]))
      break;
  }
  for (int t = 0; t < started; ++t)
    pthread_join(handles[t], NULL);
  return started == threads ? secondsNow() - start : -1;
}
