// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-fuse-elementwise | FileCheck %s
// RUN: cria-opt %s -split-input-file -cria-fuse-elementwise -remarks-filter-missed=cria-fuse -o /dev/null 2>&1 | FileCheck %s --check-prefix=WHY

// CHECK-LABEL: func.func @activation
// CHECK:         ^bb0(%[[ACC:.*]]: vector<16xf32>):
// CHECK-NEXT:      %[[R:.*]] = cria.activation relu %[[ACC]] : vector<16xf32>
// CHECK-NEXT:      cria.yield %[[R]]
func.func @activation(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %z = cria.activation relu %y : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

// In the order of the model: scale, then cap.
// CHECK-LABEL: func.func @scale_softcap
// CHECK:         ^bb0(%[[ACC:.*]]: vector<16xf32>):
// CHECK:           %[[S:.*]] = arith.mulf %[[ACC]], %cst{{.*}}
// CHECK:           %[[D:.*]] = arith.divf %[[S]], %{{.*}}
// CHECK:           %[[T:.*]] = math.tanh %[[D]]
// CHECK:           %[[R:.*]] = arith.mulf %[[T]], %{{.*}}
// CHECK:           cria.yield %[[R]]
// CHECK-NOT:     cria.scale
func.func @scale_softcap(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %s = cria.scale %y {factor = 2.0 : f32} : tensor<?x64xf32>
  %z = cria.softcap %s {cap = 3.0e+01 : f32} : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func.func @clip
// CHECK-DAG:     %[[LEAST:.*]] = arith.constant dense<-8.000000e+00> : vector<16xf32>
// CHECK-DAG:     %[[MOST:.*]] = arith.constant dense<8.000000e+00> : vector<16xf32>
// CHECK:         %[[A:.*]] = arith.maximumf %{{.*}}, %[[LEAST]] : vector<16xf32>
// CHECK:         %[[R:.*]] = arith.minimumf %[[A]], %[[MOST]] : vector<16xf32>
// CHECK:         cria.yield %[[R]]
// CHECK-NOT:     cria.clip
func.func @clip(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %z = cria.clip %y {bound = 8.0 : f32} : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

// WHY: FuseElementwise{{.*}}its input is used elsewhere as well
// CHECK-LABEL: func.func @second_use
// CHECK:         cria.activation relu %{{.*}} : tensor<?x64xf32>
func.func @second_use(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %z = cria.activation relu %y : tensor<?x64xf32>
  return %z, %y : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// WHY: a residual closed its input's epilogue
// CHECK-LABEL: func.func @after_residual
// CHECK:         cria.scale
func.func @after_residual(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {accumulate, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>, %old: vector<16xf32>):
    %s = arith.addf %old, %acc : vector<16xf32>
    cria.yield %s : vector<16xf32>
  } -> tensor<?x64xf32>
  %z = cria.scale %y {factor = 2.0 : f32} : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
