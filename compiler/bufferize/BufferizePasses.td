// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The passes of the stage bufferize.

#ifndef CRIA_COMPILER_BUFFERIZE_BUFFERIZEPASSES
#define CRIA_COMPILER_BUFFERIZE_BUFFERIZEPASSES

include "mlir/Pass/PassBase.td"

def Bufferize : Pass<"cria-bufferize", "::mlir::ModuleOp"> {
  let summary = "tensors to buffers, everything in place, or an error";
  let description = [{
    One-shot bufferization across functions, with identity layouts. Entries
    return what they were given, updated in place (the caches, the logits):
    that is proved here, and the results go away. A copy where one is needed
    anyway is left for `cria-spmd` to refuse, as canonicalization removes those
    of a buffer onto itself first.

    Before:
    ```mlir
    func.func @f(%t: tensor<?xi32>, %out: tensor<?x64xf32> {cria.arg = "logits"}) -> tensor<?x64xf32> attributes {cria.entry} {
      %y = cria.embed_rows ins(%t, %w : ...) outs(%out : tensor<?x64xf32>) -> tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
    After:
    ```mlir
    func.func @f(%t: memref<?xi32>, %out: memref<?x64xf32> {cria.arg = "logits"}) attributes {cria.entry} {
      cria.embed_rows ins(%t, %w : ...) outs(%out : memref<?x64xf32>)
      return
    }
    ```
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect", "::mlir::memref::MemRefDialect"];
}

def Spmd : Pass<"cria-spmd", "::mlir::func::FuncOp"> {
  let summary = "parallel loops to static ranges per thread, barriers where data crosses";
  let description = [{
    From here on every thread runs the function. A barrier stands before an op
    that touches a shared buffer in a way that conflicts with what was done
    since the last barrier; shared is what parallel loops write, and every
    argument. Loops with no barrier between them are split as one: thread t of
    T gets [W t / T, W (t + 1) / T) of their work W, in units of `cria.cost`;
    but a loop with `cria.by_tokens` is split alone where its outermost
    dimension has several iterations.
    Allocations that only a thread itself writes get `cria.private`.

    Before:
    ```mlir
    scf.forall (%i) = (0) to (%n) step (1) {
      memref.store %v, %a[%i] : memref<?xf32>
    }
    scf.forall (%i) = (0) to (%n) step (1) {
      %1 = memref.load %a[%c0] : memref<?xf32>
      memref.store %1, %b[%i] : memref<?xf32>
    }
    ```
    After:
    ```mlir
    %t = cria.thread_id
    %T = cria.num_threads
    ...                                  // %lo = n t / T, %hi = n (t + 1) / T
    scf.for %i = %lo to %hi step %c1 {
      memref.store %v, %a[%i] : memref<?xf32>
    }
    cria.barrier
    ...
    scf.for %i = %lo2 to %hi2 step %c1 {
      %1 = memref.load %a[%c0] : memref<?xf32>
      memref.store %1, %b[%i] : memref<?xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::cria::CriaDialect", "::mlir::affine::AffineDialect",
    "::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect"
  ];
}

def Profile : Pass<"cria-profile", "::mlir::ModuleOp"> {
  let summary = "time stamps after each kernel and barrier of the entry functions";
  let description = [{
    A stamp counts the time since the thread's last one for one entry of
    `cria.profile`, so that the entries of a thread add up to the time of its
    run. An entry says what one call of the op needs, of which abi.h
    (cria_profile_op) has the formulas: bytes of weights, bytes of KV cache for
    each position held, bytes of activations and operations for each row (a
    token, or an output with `outputs`), operations for each pair of a token
    and a position it attends to. Shapes come from the whole buffers and
    weights, not from a thread's tile. Runs on every entry function after
    `cria-spmd` and before `cria-arena`, which hides the buffers' shapes.

    Before:
    ```mlir
    scf.for %i = %lo to %hi step %c1 {
      %t = cria.weight_slice %w[%i] : !cria.weight<96x64, f32, n16> to !cria.weight<16x64, f32, n16>
      cria.fused_linear acts(%x : memref<?x64xf32>) weights(%t : ...) outs(%tile : ...) ...
    }
    cria.barrier
    ```
    After:
    ```mlir
    cria.stamp 2
    scf.for %i = %lo to %hi step %c1 {
      ...
    }
    cria.stamp 0
    cria.barrier
    cria.stamp 1
    ```
    and on the module
    ```mlir
    cria.profile = [
      {kind = "linear", name = "w", version = "decode", weight_bytes = 24576 : i64, row_bytes = 640 : i64, row_flops = 12288 : i64},
      {kind = "barrier", name = "before y", version = "decode"}
    ]
    ```
  }];
  let dependentDialects = ["::cria::CriaDialect"];
}

def Arena : Pass<"cria-arena", "::mlir::ModuleOp"> {
  let summary = "allocations to fixed offsets in one arena";
  let description = [{
    Sizes are bounded by `cria.max_batch` tokens. Two shared buffers may have
    one place where a barrier lies between the last use of the one and the
    first of the other in every way through the function; a thread's own
    buffers, which lie in an arena of the thread, where their uses follow each
    other. `cria.arena_bytes` and `cria.thread_arena_bytes` are what the caller
    provides.

    Before:
    ```mlir
    module attributes {cria.max_batch = 8 : i64} {
      func.func @f(%x: memref<?xf32>) attributes {cria.entry} {
        %n = memref.dim %x, %c0 : memref<?xf32>
        %a = memref.alloc(%n) : memref<?x16xf32>
        ...
    ```
    After:
    ```mlir
    module attributes {cria.arena_bytes = 512 : i64, cria.max_batch = 8 : i64, cria.thread_arena_bytes = 0 : i64} {
      func.func @f(%x: memref<?xf32>, %arena: memref<?xi8> {cria.arg = "arena"},
                   %own: memref<?xi8> {cria.arg = "thread_arena"}) attributes {cria.entry} {
        %n = memref.dim %x, %c0 : memref<?xf32>
        %a = memref.view %arena[%c0][%n] : memref<?xi8> to memref<?x16xf32>
        ...
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

#endif // CRIA_COMPILER_BUFFERIZE_BUFFERIZEPASSES
