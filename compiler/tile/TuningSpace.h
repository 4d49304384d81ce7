// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What there is to choose for each op of a module, for `cria tune`:
//
//   {"cria_tuning_space": 1, "target": "x86-64-v4+avx512vnni+gfni", "ops": [
//     {"op": "layers.q", "version": "decode", "shape": "1 x !cria.weight<...>",
//      "default": {"rows": 16, "prefetch": 4096},
//      "knobs": {"rows": [{"value": 16, "predicted": 1.02}, ...], ...}}]}
//
// With Halide, linears that its kernels cover have the knob "provider", whose
// values are words.
//
// "predicted" is the time that the model below gives for the op with that value
// and the defaults of the other knobs, relative to the op's best: it counts
// what registers, ports, caches' lines and threads allow, and knows nothing of
// the machine's memory.

#ifndef CRIA_COMPILER_TILE_TUNINGSPACE_H
#define CRIA_COMPILER_TILE_TUNINGSPACE_H

#include "compiler/Pipeline.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/JSON.h"

namespace cria {

struct TuningMachine {
  std::string target;
  unsigned vectorBits = 128;
  int64_t threads = 1;
  /// There are kernels of Halide.
  bool halide = false;
};

/// Of a module after the stage tile, whose later stages get `options`.
llvm::json::Value tuningSpace(mlir::ModuleOp module,
                              const PipelineOptions &options,
                              const TuningMachine &machine);

} // namespace cria

#endif // CRIA_COMPILER_TILE_TUNINGSPACE_H
