// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-expand-fma | FileCheck %s
// Roundings against libm: expand-fma.test.

// CHECK-LABEL: func.func @lanes
// CHECK-SAME:    (%[[A:[^:]*]]: vector<16xf32>, %[[B:[^:]*]]: vector<16xf32>, %[[C:[^:]*]]: vector<16xf32>)
// CHECK-NOT:     math.fma
// CHECK:         %[[A3:.*]] = vector.extract_strided_slice %[[A]] {offsets = [12], sizes = [4], strides = [1]}
// CHECK:         %[[B3:.*]] = vector.extract_strided_slice %[[B]] {offsets = [12], sizes = [4], strides = [1]}
// CHECK:         %[[C3:.*]] = vector.extract_strided_slice %[[C]] {offsets = [12], sizes = [4], strides = [1]}
// CHECK:         %[[Y3:.*]] = call @fma_f32x4(%[[A3]], %[[B3]], %[[C3]])
// CHECK:         %[[Y:.*]] = vector.insert_strided_slice %[[Y3]], %{{.*}} {offsets = [12], strides = [1]}
// CHECK:         return %[[Y]]
func.func @lanes(%a: vector<16xf32>, %b: vector<16xf32>, %c: vector<16xf32>) -> vector<16xf32> {
  %y = math.fma %a, %b, %c : vector<16xf32>
  return %y : vector<16xf32>
}

// CHECK-LABEL: func.func @scalar
// CHECK:         %[[V:.*]] = call @fma_f32x4
// CHECK:         %[[Y:.*]] = vector.extract %[[V]][0]
// CHECK:         return %[[Y]]
func.func @scalar(%a: f32, %b: f32, %c: f32) -> f32 {
  %y = math.fma %a, %b, %c : f32
  return %y : f32
}

// Other types and odd lanes are libm's.

// CHECK-LABEL: func.func @others
// CHECK:         math.fma %{{.*}} : f64
// CHECK:         math.fma %{{.*}} : vector<6xf32>
func.func @others(%x: f64, %y: vector<6xf32>) -> (f64, vector<6xf32>) {
  %0 = math.fma %x, %x, %x : f64
  %1 = math.fma %y, %y, %y : vector<6xf32>
  return %0, %1 : f64, vector<6xf32>
}

// CHECK:       func.func private @fma_f32x4(
// CHECK-SAME:    passthrough = ["noinline"]
// CHECK:         %[[P:.*]] = arith.mulf %{{.*}} : vector<4xf64>
// CHECK:         %[[S:.*]] = arith.addf %[[P]], %{{.*}} : vector<4xf64>
// CHECK:         arith.cmpf one, %{{.*}} : vector<4xf64>
// CHECK:         %[[ODD:.*]] = arith.bitcast %{{.*}} : vector<4xi64> to vector<4xf64>
// CHECK:         %[[Y:.*]] = arith.truncf %[[ODD]] : vector<4xf64> to vector<4xf32>
// CHECK:         return %[[Y]]
