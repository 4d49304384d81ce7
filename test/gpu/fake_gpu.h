// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What fake_cuda.cpp, a driver, and fake_gpu.cpp, its only GPU, have of each
// other.

#ifndef CRIA_TEST_GPU_FAKE_GPU_H
#define CRIA_TEST_GPU_FAKE_GPU_H

#include <cstddef>
#include <cstdint>

namespace fake {

/// An environment variable.
const char *setting(const char *Name, const char *Default);
/// Ends the program, as only a fault of the code under test brings it here.
[[noreturn]] void stop(const char *Why);
/// Whether the bytes are allocated.
bool inside(uint64_t At, size_t Bytes);

using Forward = void (*)(const void *Args, int64_t Thread, int64_t Threads);

/// Runs a kernel to its end: blocks of so many threads, each with `Places`
/// 32-bit places of shared memory.
void runKernel(Forward Code, const void *Args, size_t Blocks, size_t Threads,
               int32_t Places);

} // namespace fake

#endif // CRIA_TEST_GPU_FAKE_GPU_H
