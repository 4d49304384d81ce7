// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-assign-layouts | FileCheck %s

// CHECK: cria.param @w stacked : !cria.weight<2x64x64, q8, block = 32, zero_point, n16k4>
cria.param @w stacked : !cria.weight<2x64x64, q8, block = 32, none, rows>
// An offset that is there stays.
// CHECK: cria.param @min : !cria.weight<64x64, q4, block = 32, min, n16k4>
cria.param @min : !cria.weight<64x64, q4, block = 32, min, rows>
// CHECK: cria.param @f32 : !cria.weight<64x64, f32, n16>
cria.param @f32 : !cria.weight<64x64, f32, rows>
// CHECK: cria.param @f16 : !cria.weight<64x64, f16, n16>
cria.param @f16 : !cria.weight<64x64, f16, rows>
// CHECK: cria.param @bf16 : !cria.weight<64x64, bf16, n16k2>
cria.param @bf16 : !cria.weight<64x64, bf16, rows>
// CHECK: cria.param @norm : tensor<64xf32>
cria.param @norm : tensor<64xf32>

// CHECK-LABEL: func.func @loads
func.func @loads(%layer: index) {
  // CHECK: cria.load @w[%{{.*}}] : !cria.weight<64x64, q8, block = 32, zero_point, n16k4>
  %w = cria.load @w[%layer] : !cria.weight<64x64, q8, block = 32, none, rows>
  // CHECK: cria.load @norm : tensor<64xf32>
  %n = cria.load @norm : tensor<64xf32>
  return
}
