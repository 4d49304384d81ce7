// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the processor can do, and which clone of a model it runs.
#ifndef CRIA_MODEL_CPU_H
#define CRIA_MODEL_CPU_H

#include "cria/cria.h"

namespace cria::runtime {

struct CpuFeatures {
  uint64_t Present = 0; // the processor has the instructions
  uint64_t Enabled = 0; // and the operating system saves their registers
};

/// The registers of x86's CPUID that features are read from, and XCR0: the
/// register states that the operating system has enabled.
struct Cpuid {
  unsigned Leaf1C = 0, Leaf7B = 0, Leaf7C = 0, Leaf7D = 0, Leaf71A = 0;
  unsigned ExtendedC = 0; // leaf 0x80000001
  uint64_t Xcr0 = 0;
};

CpuFeatures decodeCpuid(const Cpuid &Registers) noexcept;

/// Linux gives AMX's tile registers to a process only on request: what it has
/// refused, or was not asked for, is not enabled.
CpuFeatures withTiles(CpuFeatures Host, bool Granted) noexcept;

/// What this machine has. Asks Linux for the tile registers, once, and only if
/// `Wanted` has a feature that works on them and the machine has them: it
/// would refuse small signal stacks from then on.
CpuFeatures hostFeatures(uint64_t Wanted) noexcept;

/// The clone of that name or, where it is null, the first that `Host` can
/// run. CRIA_WRONG_CPU names each missing feature and what to do,
/// CRIA_INVALID_ARGUMENT the clones that there are.
cria_status chooseClone(const cria_model &Model, const char *Name,
                        const CpuFeatures &Host, const cria_clone *&Chosen,
                        cria_error *Error) noexcept;

/// The same for this machine.
cria_status chooseClone(const cria_model &Model, const char *Name,
                        const cria_clone *&Chosen, cria_error *Error) noexcept;

} // namespace cria::runtime

#endif // CRIA_MODEL_CPU_H
