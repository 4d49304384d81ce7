// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-compile %s --start-after vector --target x86-64-v4 --emit llvm -o %t
// RUN: FileCheck %s < %t/model.ll

// Two rows of a weight, 256 bytes apart: before the inner loop their addresses
// become one value that nothing looks through, and in the loop that value and
// the offset are all that is left of them. An address that is one value already
// stays as it is.

// CHECK-LABEL: define hidden void @model_forward(
// CHECK:       %[[BASE:.*]] = freeze ptr %{{.*}}
// CHECK-NEXT:  %[[NEXT:.*]] = getelementptr i8, ptr %[[BASE]], i64 256
// CHECK:       %[[J:.*]] = phi i64
// CHECK:       getelementptr {{.*}}ptr %[[BASE]], i64 %[[J]]
// CHECK:       getelementptr {{.*}}ptr %[[NEXT]], i64 %[[J]]
// CHECK-NOT:   freeze
// CHECK:       define {{.*}}@model_get

module attributes {cria.name = "m", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
  func.func @forward(%w: memref<8x64xf32> {cria.arg = "weight:w"}, %out: memref<?x8xf32> {cria.arg = "logits"})
      attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %rows = arith.constant 7 : index
    %columns = arith.constant 64 : index
    %zero = arith.constant 0.0 : f32
    scf.for %i = %c0 to %rows step %c1 {
      %next = arith.addi %i, %c1 : index
      %sum = scf.for %j = %c0 to %columns step %c1 iter_args(%s = %zero) -> f32 {
        %x = memref.load %w[%i, %j] : memref<8x64xf32>
        %y = memref.load %w[%next, %j] : memref<8x64xf32>
        %z = math.fma %x, %y, %s : f32
        scf.yield %z : f32
      }
      memref.store %sum, %out[%c0, %i] : memref<?x8xf32>
    }
    return
  }
}
