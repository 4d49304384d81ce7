// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -pass-pipeline='builtin.module(func.func(cria-form-teams))' | FileCheck %s

// CHECK-LABEL: func @bf16
// CHECK: cria.fused_linear {{.*}}cria.team = 16
func.func @bf16(%x: tensor<?x64xf32>, %w: !cria.weight<96x64, bf16, n16k2>, %0: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, bf16, n16k2>) outs(%0 : tensor<?x96xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// 8 columns are half a product.

// CHECK-LABEL: func @ragged
// CHECK-NOT: cria.team
func.func @ragged(%x: tensor<?x72xf32>, %w: !cria.weight<96x72, bf16, n16k2>, %0: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x72xf32>) weights(%w : !cria.weight<96x72, bf16, n16k2>) outs(%0 : tensor<?x96xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}
