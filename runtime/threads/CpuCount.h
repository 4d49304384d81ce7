// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_THREADS_CPUCOUNT_H
#define CRIA_THREADS_CPUCOUNT_H

#include <cstdint>

namespace cria::runtime {

/// Logical processors that this thread may run on, at least 1.
int64_t allowedCpus() noexcept;

/// Cores among them, and no more than the control group's CPU quota.
int64_t allowedCores() noexcept;

} // namespace cria::runtime

#endif // CRIA_THREADS_CPUCOUNT_H
