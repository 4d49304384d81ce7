// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-compile %s --start-after vector --target x86-64-v4 --emit llvm -o %t
// RUN: FileCheck %s < %t/model.ll

// A sum over a loop keeps its order: scalar adds, one after the other.

// CHECK-LABEL: define hidden void @model_forward(
// CHECK: fadd float
// CHECK-NOT: fadd <
// CHECK-NOT: fadd reassoc
// CHECK-NOT: fadd fast
// CHECK: define {{.*}}@model_get

module attributes {cria.name = "m", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
  func.func @forward(%w: memref<4096xf32> {cria.arg = "weight:w"}, %out: memref<?x8xf32> {cria.arg = "logits"})
      attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = arith.constant 4096 : index
    %zero = arith.constant 0.0 : f32
    %sum = scf.for %i = %c0 to %n step %c1 iter_args(%s = %zero) -> f32 {
      %x = memref.load %w[%i] : memref<4096xf32>
      %next = arith.addf %s, %x : f32
      scf.yield %next : f32
    }
    memref.store %sum, %out[%c0, %c0] : memref<?x8xf32>
    return
  }
}
