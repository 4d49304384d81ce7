// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The passes that only code for GPUs goes through.

#ifndef CRIA_COMPILER_GPU_GPUPASSES
#define CRIA_COMPILER_GPU_GPUPASSES

include "mlir/Pass/PassBase.td"

def DistributeLanes : Pass<"cria-distribute-lanes", "::mlir::ModuleOp"> {
  let summary = "the lanes of the kernels' vectors to threads of a GPU";
  let description = [{
    What is one thread on a CPU is a group of 16 threads on a GPU, half a warp,
    one for each lane. Lane l has elements [l m, (l + 1) m) of a vector of 16 m
    elements, or element l of a shorter one. Scalars are computed by every lane
    alike, so all lanes take the same way through the code; a scalar is stored
    by lane 0. Each operation on an element is what it was, in the order that it
    had: the bits of a result are those of the CPU.

    Lanes see each other's memory after `@cria_gpu_sync`, which stands around
    every store. Scratch on the stack of a CPU thread lies in the group's part
    of the arena, and `cria.thread_arena_bytes` grows by it. Left over are calls
    of functions that the GPU's library has (gpu/Ptx.cpp), and, for tests, one
    that emulates a GPU on the CPU:

    | function | returns or does |
    |---|---|
    | `cria_gpu_lane()` | the lane of the calling thread |
    | `cria_gpu_shuffle(value, lane)` | what another lane of the group passes |
    | `cria_gpu_sync()` | waits for all lanes of the group, and orders memory |
    | `cria_gpu_dot4(acc, a, b)` | `acc + sum_{j<4} u8(byte j of a) * s8(byte j of b)` |

    Prefetches and time stamps go away.

    Before:
    ```mlir
    func.func @f(%x: memref<32xf32>, %y: memref<32xf32>, %i: index) {
      %v = vector.load %x[%i] : memref<32xf32>, vector<16xf32>
      %s = vector.shuffle %v, %v [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14] : vector<16xf32>, vector<16xf32>
      %w = arith.addf %v, %s : vector<16xf32>
      vector.store %w, %y[%i] : memref<32xf32>, vector<16xf32>
      return
    }
    ```
    After:
    ```mlir
    func.func @f(%x: memref<32xf32>, %y: memref<32xf32>, %i: index) {
      %lane = call @cria_gpu_lane() : () -> i32
      %l = arith.index_castui %lane : i32 to index
      %j = arith.addi %i, %l : index
      %v = memref.load %x[%j] : memref<32xf32>
      %from = arith.xori %lane, %c1_i32 : i32
      %0 = arith.bitcast %v : f32 to i32
      %1 = call @cria_gpu_shuffle(%0, %from) : (i32, i32) -> i32
      %s = arith.bitcast %1 : i32 to f32
      %w = arith.addf %v, %s : f32
      call @cria_gpu_sync() : () -> ()
      memref.store %w, %y[%j] : memref<32xf32>
      call @cria_gpu_sync() : () -> ()
      return
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"
  ];
}

#endif // CRIA_COMPILER_GPU_GPUPASSES
