// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @scale_by_one(
// CHECK-NEXT: return %arg0
func.func @scale_by_one(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = cria.scale %x {factor = 1.0 : f32} : tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @scale_of_scale(
// CHECK-NEXT: %[[R:.*]] = cria.scale %arg0 {factor = 6.000000e+00 : f32}
// CHECK-NEXT: return %[[R]]
func.func @scale_of_scale(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = cria.scale %x {factor = 2.0 : f32} : tensor<?x64xf32>
  %1 = cria.scale %0 {factor = 3.0 : f32} : tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// 2 * 0.5 is a scale by 1, which goes too.
// CHECK-LABEL: func.func @scale_and_back(
// CHECK-NEXT: return %arg0
func.func @scale_and_back(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = cria.scale %x {factor = 2.0 : f32} : tensor<?x64xf32>
  %1 = cria.scale %0 {factor = 0.5 : f32} : tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// 1e30 * 1e30 is no f32, yet 1e-40 scaled in two steps is finite.
// CHECK-LABEL: func.func @scale_overflow(
// CHECK-COUNT-2: cria.scale
func.func @scale_overflow(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = cria.scale %x {factor = 1.0e+30 : f32} : tensor<?x64xf32>
  %1 = cria.scale %0 {factor = 1.0e+30 : f32} : tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @scale_underflow(
// CHECK-COUNT-2: cria.scale
func.func @scale_underflow(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = cria.scale %x {factor = 1.0e-30 : f32} : tensor<?x64xf32>
  %1 = cria.scale %0 {factor = 1.0e-30 : f32} : tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// The inner scale stays where something else reads it.
// CHECK-LABEL: func.func @scale_used_twice(
// CHECK-DAG: %[[A:.*]] = cria.scale %arg0 {factor = 2.000000e+00 : f32}
// CHECK-DAG: %[[B:.*]] = cria.scale %arg0 {factor = 6.000000e+00 : f32}
// CHECK: return %[[A]], %[[B]]
func.func @scale_used_twice(%x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %0 = cria.scale %x {factor = 2.0 : f32} : tensor<?x64xf32>
  %1 = cria.scale %0 {factor = 3.0 : f32} : tensor<?x64xf32>
  return %0, %1 : tensor<?x64xf32>, tensor<?x64xf32>
}

// Model ops are pure: what nothing reads goes.
// CHECK-LABEL: func.func @dead(
// CHECK-NEXT: return
func.func @dead(%x: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %layer: index, %slots: tensor<?xi32>) {
  %0 = cria.softcap %x {cap = 3.0e+01 : f32} : tensor<?x64xf32>
  %1 = cria.kv_append key %0 into %k[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<?xi32>
  return
}
