// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every pass of cria: a file for each folder of passes. One pass, one entry,
// one file, one lit test, same stem. Only Pipeline.cpp orders them.

#ifndef CRIA_COMPILER_PASSES
#define CRIA_COMPILER_PASSES

include "mlir/Pass/PassBase.td"

include "plain/PlainPasses.td"
include "fuse/FusePasses.td"
include "tile/TilePasses.td"
include "bufferize/BufferizePasses.td"
include "vector/VectorPasses.td"
include "halide/HalidePasses.td"
include "llvm/LlvmPasses.td"
include "gpu/GpuPasses.td"

//===-- every stage -------------------------------------------------------===//

def CheckStage : Pass<"cria-check-stage", "::mlir::ModuleOp"> {
  let summary = "fails where something is alive that must not be after a stage";
  let description = [{
    Ends every stage; `compiler/Pipeline.cpp` says above each what may be alive
    after it. Changes nothing. With stage=bufferize,

    ```mlir
    %0 = tensor.empty(%n) : tensor<?x64xf32>
    ```

    is the error

    ```
    after stage 'bufferize': 'tensor.empty' must not be alive: allowed dialects are cria, func, scf, ...
    ```
  }];
  let options = [Option<"stage", "stage", "std::string", "\"\"", "the stage that has just run">];
}

#endif // CRIA_COMPILER_PASSES
