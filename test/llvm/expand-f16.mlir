// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-expand-f16 | FileCheck %s
// Every f16, and roundings of f32: vector/kernel-numeric.test.

// CHECK-LABEL: func.func @extend
// CHECK-NOT:     arith.extf
// CHECK:         %[[H:.*]] = arith.bitcast %{{.*}} : vector<16xf16> to vector<16xi16>
// CHECK:         arith.extui %[[H]] : vector<16xi16> to vector<16xi32>
// CHECK:         %[[Y:.*]] = arith.bitcast %{{.*}} : vector<16xi32> to vector<16xf32>
// CHECK:         return %[[Y]]
func.func @extend(%x: vector<16xf16>) -> vector<16xf32> {
  %y = arith.extf %x : vector<16xf16> to vector<16xf32>
  return %y : vector<16xf32>
}

// CHECK-LABEL: func.func @truncate
// CHECK-NOT:     arith.truncf
// CHECK:         %[[W:.*]] = arith.trunci %{{.*}} : i32 to i16
// CHECK:         %[[Y:.*]] = arith.bitcast %[[W]] : i16 to f16
// CHECK:         return %[[Y]]
func.func @truncate(%x: f32) -> f16 {
  %y = arith.truncf %x : f32 to f16
  return %y : f16
}

// Other types and rounding modes are somebody else's.

// CHECK-LABEL: func.func @others
// CHECK:         arith.truncf %{{.*}} : f32 to bf16
// CHECK:         arith.truncf %{{.*}} downward : f32 to f16
func.func @others(%x: f32) -> (bf16, f16) {
  %a = arith.truncf %x : f32 to bf16
  %b = arith.truncf %x downward : f32 to f16
  return %a, %b : bf16, f16
}
