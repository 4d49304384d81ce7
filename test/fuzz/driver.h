// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a fuzz target may tell driver.cpp beside libFuzzer's entry point.
#ifndef CRIA_TEST_FUZZ_DRIVER_H
#define CRIA_TEST_FUZZ_DRIVER_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// The input under test. libFuzzer's contract: return 0, keep no state.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/// Valid inputs to mutate, built in code. Optional: a target without it is
/// seeded from the files that the command line names, or from nothing.
std::vector<std::string> criaFuzzSeeds() __attribute__((weak));

#endif // CRIA_TEST_FUZZ_DRIVER_H
