// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-specialize | FileCheck %s
// RUN: cria-opt %s -cria-specialize=batch | FileCheck %s --check-prefix=BATCH

// CHECK: func.func @forward_decode(%{{.*}}: tensor<?xi32>) attributes {cria.entry, cria.version = "decode"}
// CHECK: func.func @forward_prefill(%{{.*}}: tensor<?xi32>) attributes {cria.entry, cria.version = "prefill"}
// BATCH-DAG: func.func @forward_decode({{.*}}cria.version = "decode"}
// BATCH-DAG: func.func @forward_batch({{.*}}cria.version = "batch"}
// BATCH-DAG: func.func @forward_prefill({{.*}}cria.version = "prefill"}
func.func @forward(%x: tensor<?xi32>) attributes {cria.entry} {
  return
}

// CHECK: func.func @helper(
// CHECK-NOT: @helper_
func.func @helper(%x: tensor<?xi32>) {
  return
}
