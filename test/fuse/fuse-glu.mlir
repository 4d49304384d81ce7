// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-fuse-glu | FileCheck %s
// RUN: cria-opt %s -split-input-file -cria-fuse-glu -remarks-filter-missed=cria-fuse -o /dev/null 2>&1 | FileCheck %s --check-prefix=WHY

// CHECK-LABEL: func.func @fuses
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %[[G:[^:]*]]: !cria.weight<64x64, f32, n16>, %[[U:[^:]*]]:
// CHECK:         cria.fused_linear acts(%[[X]] : tensor<?x64xf32>) weights(%[[G]], %[[U]] :
// CHECK-NEXT:    ^bb0(%[[GATE:.*]]: vector<16xf32>, %[[UP:.*]]: vector<16xf32>):
// CHECK-NEXT:      %[[A:.*]] = cria.activation silu %[[GATE]]
// CHECK-NEXT:      %[[R:.*]] = arith.mulf %[[A]], %[[UP]]
// CHECK-NEXT:      cria.yield %[[R]]
// CHECK-NOT:     cria.fused_linear
// CHECK-NOT:     cria.glu
func.func @fuses(%x: tensor<?x64xf32>, %g: !cria.weight<64x64, f32, n16>, %u: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %a = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%g : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %b = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%u : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %y = cria.glu silu %a, %b : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// WHY: its input is used elsewhere as well
// CHECK-LABEL: func.func @gate_used_twice
// CHECK:         cria.glu silu
func.func @gate_used_twice(%x: tensor<?x64xf32>, %g: !cria.weight<64x64, f32, n16>, %u: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %a = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%g : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %b = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%u : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %y = cria.glu silu %a, %b : tensor<?x64xf32>
  return %y, %a : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// WHY: gate and up read different rows
// CHECK-LABEL: func.func @two_inputs
// CHECK:         cria.glu silu
func.func @two_inputs(%x: tensor<?x64xf32>, %z: tensor<?x64xf32>, %g: !cria.weight<64x64, f32, n16>, %u: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %a = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%g : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %b = cria.fused_linear acts(%z : tensor<?x64xf32>) weights(%u : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %y = cria.glu silu %a, %b : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// WHY: gate and up have weights of different types
// CHECK-LABEL: func.func @two_types
// CHECK:         cria.glu silu
func.func @two_types(%x: tensor<?x64xf32>, %g: !cria.weight<64x64, f32, n16>, %u: !cria.weight<64x64, f16, n16>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %a = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%g : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %b = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%u : !cria.weight<64x64, f16, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %y = cria.glu silu %a, %b : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Biases come along, the gate's first.
// CHECK-LABEL: func.func @bias
// CHECK-SAME:    %[[GB:[^:]*]]: tensor<64xf32>, %[[UB:[^:]*]]: tensor<64xf32>
// CHECK:         cria.fused_linear {{.*}} extras(%[[GB]], %[[UB]] : tensor<64xf32>, tensor<64xf32>)
// CHECK-SAME:      extra_kinds = [#cria<extra bias>, #cria<extra bias>]
// CHECK-NEXT:    ^bb0(%[[GATE:.*]]: vector<16xf32>, %[[UP:.*]]: vector<16xf32>, %[[GE:.*]]: vector<16xf32>, %[[UE:.*]]: vector<16xf32>):
// CHECK-NEXT:      %[[G:.*]] = arith.addf %[[GATE]], %[[GE]]
// CHECK-NEXT:      %[[U:.*]] = arith.addf %[[UP]], %[[UE]]
// CHECK-NEXT:      %[[A:.*]] = cria.activation gelu %[[G]]
// CHECK-NEXT:      arith.mulf %[[A]], %[[U]]
// CHECK-NOT:     cria.glu
func.func @bias(%x: tensor<?x64xf32>, %g: !cria.weight<64x64, f32, n16>, %u: !cria.weight<64x64, f32, n16>, %gbias: tensor<64xf32>, %bias: tensor<64xf32>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %a = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%g : !cria.weight<64x64, f32, n16>) extras(%gbias : tensor<64xf32>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [#cria<extra bias>], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>, %e: vector<16xf32>):
    %s = arith.addf %acc, %e : vector<16xf32>
    cria.yield %s : vector<16xf32>
  } -> tensor<?x64xf32>
  %b = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%u : !cria.weight<64x64, f32, n16>) extras(%bias : tensor<64xf32>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [#cria<extra bias>], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>, %e: vector<16xf32>):
    %s = arith.addf %acc, %e : vector<16xf32>
    cria.yield %s : vector<16xf32>
  } -> tensor<?x64xf32>
  %y = cria.glu gelu %a, %b : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// A GLU's result is no gate: a kernel has two weights at most.
// WHY: gate or up is rotated or a GLU itself
// CHECK-LABEL: func.func @two_weights
// CHECK:         cria.glu silu
func.func @two_weights(%x: tensor<?x64xf32>, %g: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %a = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%g, %g : !cria.weight<64x64, f32, n16>, !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>, %other: vector<16xf32>):
    %s = arith.mulf %acc, %other : vector<16xf32>
    cria.yield %s : vector<16xf32>
  } -> tensor<?x64xf32>
  %b = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%g : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %y = cria.glu silu %a, %b : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
