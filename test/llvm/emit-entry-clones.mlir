// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --cria-emit-entry="prefix=p_ target=x86-64-v4 clones=x86-64-v4=515,x86-64=0" | FileCheck %s
// RUN: cria-opt %s --cria-emit-entry="prefix=p_ target=x86-64 clones=x86-64-v4=515,x86-64=0 describe=false" | FileCheck %s --check-prefix=OTHER
// RUN: not cria-opt %s --cria-emit-entry="target=x86-64-v2 clones=x86-64-v4=515,x86-64=0" 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: not cria-opt %s --cria-emit-entry="target=x86-64 clones=x86-64" 2>&1 | FileCheck %s --check-prefix=FORM

// The module that describes the model: its own code, the other's by name.
// CHECK-LABEL: llvm.func hidden @p_forward_x86_64_v4(
// CHECK: func.call @forward_prefill(
// CHECK-LABEL: llvm.mlir.global internal constant @clones()
// CHECK: %[[FIRST_BITS:.*]] = llvm.mlir.constant(515 : i64)
// CHECK: llvm.mlir.addressof @p_forward_x86_64_v4
// CHECK: llvm.insertvalue %[[FIRST_BITS]], %{{.*}}[1]
// CHECK: %[[SECOND_BITS:.*]] = llvm.mlir.constant(0 : i64)
// CHECK: llvm.mlir.addressof @p_forward_x86_64 :
// CHECK: llvm.insertvalue %[[SECOND_BITS]], %{{.*}}[1]
// CHECK-DAG: constant @{{.*}}("x86-64-v4\00")
// CHECK-DAG: constant @{{.*}}("x86-64\00")
// CHECK-DAG: llvm.func hidden @p_forward_x86_64(!llvm.ptr, i64, i64)
// CHECK-LABEL: llvm.mlir.global internal constant @description()
// CHECK: %[[COUNT:.*]] = llvm.mlir.constant(2 : i64)
// CHECK: %[[TABLE:.*]] = llvm.mlir.addressof @clones
// CHECK-LABEL: llvm.func @p_get()

// The other one: code alone.
// OTHER-LABEL: llvm.func hidden @p_forward_x86_64(
// OTHER: func.call @forward_prefill(
// OTHER-NOT: llvm.mlir.global
// OTHER-NOT: @p_get

// MISSING: target "x86-64-v2" is not among the clones
// FORM: clone "x86-64" is not TARGET=FEATURES

module attributes {cria.name = "tiny", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
  func.func @forward_prefill(%out: memref<?x8xf32> {cria.arg = "logits"})
      attributes {cria.entry, cria.version = "prefill"} {
    return
  }
}
