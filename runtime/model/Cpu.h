// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the processor can do, and whether a model may run on it.
#ifndef CRIA_MODEL_CPU_H
#define CRIA_MODEL_CPU_H

#include "cria/cria.h"

namespace cria::runtime {

struct CpuFeatures {
  uint64_t Present = 0; // the processor has the instructions
  uint64_t Enabled = 0; // and the operating system saves their registers
};

const CpuFeatures &hostFeatures() noexcept;

/// CRIA_WRONG_CPU naming the target, each missing feature and what to do.
cria_status checkFeatures(const cria_model &Model, const CpuFeatures &Host,
                          cria_error *Error) noexcept;

/// checkFeatures for this machine; also asks the kernel for the use of AMX's
/// tile registers where the model needs them.
cria_status checkCpu(const cria_model &Model, cria_error *Error) noexcept;

} // namespace cria::runtime

#endif // CRIA_MODEL_CPU_H
