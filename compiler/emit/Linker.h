// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef CRIA_COMPILER_EMIT_LINKER_H
#define CRIA_COMPILER_EMIT_LINKER_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/TargetParser/Triple.h"

#include <string>

namespace cria {

/// Links one object into a shared object with the machine's linker: ld.lld-22,
/// ld.lld, ld or cc, whichever PATH has first; one for another architecture
/// than the machine's with the first two. `undefined` are the object's
/// undefined symbols: with any of libm's among them the result names libm.
llvm::Error linkSharedObject(const llvm::Triple &triple, llvm::StringRef object,
                             llvm::StringRef output,
                             llvm::ArrayRef<std::string> undefined);

/// Links the object with the runtime and emit/Main.c into a program, by the
/// C++ compiler driver. The archives are looked for near `toolPath`, the path
/// of the running tool: in ../lib of an installation, in a build tree. They
/// are for this machine, so the object must be.
llvm::Error linkExecutable(const llvm::Triple &triple, llvm::StringRef object,
                           llvm::StringRef getFunction,
                           llvm::StringRef toolPath, llvm::StringRef output);

} // namespace cria

#endif // CRIA_COMPILER_EMIT_LINKER_H
