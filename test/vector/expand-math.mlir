// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --cria-expand-math | FileCheck %s

// What is left are operations that round in one way only.

// CHECK-LABEL: func @lanes
// CHECK-NOT: math.{{exp|tanh|erf}}
// CHECK: math.fma {{.*}} : vector<16xf32>
// CHECK-NOT: math.{{exp|tanh|erf}}
// CHECK: return
func.func @lanes(%x: vector<16xf32>) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>) {
  %a = math.exp %x : vector<16xf32>
  %b = math.tanh %x : vector<16xf32>
  %c = math.erf %x : vector<16xf32>
  return %a, %b, %c : vector<16xf32>, vector<16xf32>, vector<16xf32>
}

// CHECK-LABEL: func @scalar
// CHECK-NOT: math.exp
// CHECK: return
func.func @scalar(%x: f32) -> f32 {
  %a = math.exp %x : f32
  return %a : f32
}

// CHECK-LABEL: func @others_stay
// CHECK: math.sqrt
// CHECK: math.log
func.func @others_stay(%x: f32) -> f32 {
  %a = math.sqrt %x : f32
  %b = math.log %a : f32
  return %b : f32
}
