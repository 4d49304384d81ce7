// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: rm -rf %t
// RUN: not cria-compile %s --start-after vector --target x86-64 -o %t 2>&1 | FileCheck %s
// RUN: not ls %t
// RUN: cria-compile %s --start-after vector --target x86-64 --plain --emit obj -o %t
// CHECK: cria: error: {{.*}}the code needs symbols that nothing provides: malloc; allowed are ceilf

// The optimised line allocates nothing; the plain one may.
module attributes {cria.name = "m", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
  func.func @forward(%out: memref<?x8xf32> {cria.arg = "logits"}) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %out, %c0 : memref<?x8xf32>
    %x = memref.alloc(%n) : memref<?xf32>
    scf.for %i = %c0 to %n step %c1 {
      %v = memref.load %out[%i, %c1] : memref<?x8xf32>
      memref.store %v, %x[%i] : memref<?xf32>
    }
    scf.for %i = %c0 to %n step %c1 {
      %v = memref.load %x[%i] : memref<?xf32>
      memref.store %v, %out[%c0, %i] : memref<?x8xf32>
    }
    return
  }
}
