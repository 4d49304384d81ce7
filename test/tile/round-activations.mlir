// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-round-activations | FileCheck %s
// RUN: cria-opt %s -cria-round-activations=codes=true | FileCheck %s --check-prefix CODES

// Rows of f32 get a copy that may be rounded, one for both linears.

// CHECK-LABEL: func.func @copied
// CHECK-SAME:    (%[[X:.*]]: tensor<?x64xf32>,
// CHECK:         %[[A:.*]] = cria.rows ins(%[[X]] : tensor<?x64xf32>) outs(%{{.*}}) attributes {bf16} {
// CHECK:           cria.yield
// CHECK:         cria.fused_linear acts(%[[A]] : {{.*}}) {{.*}} attributes {bf16,
// CHECK-NOT:     cria.rows
// CHECK:         cria.fused_linear acts(%[[A]] : {{.*}}) {{.*}} attributes {bf16,
func.func @copied(%x: tensor<?x64xf32>, %w: !cria.weight<96x64, bf16, n16k2>, %o: tensor<?x96xf32>) -> (tensor<?x96xf32>, tensor<?x96xf32>) attributes {cria.version = "prefill"} {
  %0 = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, bf16, n16k2>) outs(%o : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  %1 = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, bf16, n16k2>) outs(%o : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %0, %1 : tensor<?x96xf32>, tensor<?x96xf32>
}

// Rows that another linear reads as well stay as they are.

// CHECK-LABEL: func.func @shared
// CHECK:         %[[R:.*]] = cria.rows ins(%[[X:.*]] : tensor<?x64xf32>) params(%[[G:.*]] : {{.*}}) outs(%{{.*}}) {
// CHECK:         cria.fused_linear acts(%[[R]] : {{.*}}) weights(%{{.*}} : !cria.weight<96x64, f16, n16>) {{.*}} attributes {extra_kinds
// CHECK:         %[[A:.*]] = cria.rows ins(%[[X]] : tensor<?x64xf32>) params(%[[G]] : {{.*}}) outs(%{{.*}}) attributes {bf16} {
// CHECK:           cria.norm
// CHECK:         cria.fused_linear acts(%[[A]] : {{.*}}) {{.*}} attributes {bf16,
func.func @shared(%x: tensor<?x64xf32>, %g: tensor<64xf32>, %e: tensor<?x64xf32>, %v: !cria.weight<96x64, f16, n16>, %w: !cria.weight<96x64, bf16, n16k2>, %o: tensor<?x96xf32>) -> (tensor<?x96xf32>, tensor<?x96xf32>) attributes {cria.version = "prefill"} {
  %r = cria.rows ins(%x : tensor<?x64xf32>) params(%g : tensor<64xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%row: tensor<1x64xf32>, %p: tensor<64xf32>):
    %n = cria.norm rms %row weight %p {eps = 1.0e-05 : f32} : tensor<1x64xf32>, weight tensor<64xf32>
    cria.yield %n : tensor<1x64xf32>
  } -> tensor<?x64xf32>
  %0 = cria.fused_linear acts(%r : tensor<?x64xf32>) weights(%v : !cria.weight<96x64, f16, n16>) outs(%o : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  %1 = cria.fused_linear acts(%r : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, bf16, n16k2>) outs(%o : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %0, %1 : tensor<?x96xf32>, tensor<?x96xf32>
}

// Codes too, where that is asked for: their rows with the same norm, once.

// CHECK-LABEL: func.func @codes
// CHECK-NOT:     bf16
// CHECK:         return
// CODES-LABEL: func.func @codes
// CODES-SAME:    (%[[X:.*]]: tensor<?x64xf32>, %[[G:.*]]: tensor<64xf32>,
// CODES:         %[[A:.*]] = cria.rows ins(%[[X]] : tensor<?x64xf32>) params(%[[G]] : {{.*}}) outs(%{{.*}} : tensor<?x64xf32>) attributes {bf16} {
// CODES:           cria.norm rms
// CODES:         cria.fused_linear acts(%[[A]] : tensor<?x64xf32>) {{.*}} attributes {bf16,
// CODES-NOT:     attributes {bf16} {
// CODES:         cria.fused_linear acts(%[[A]] : tensor<?x64xf32>) {{.*}} attributes {bf16,
func.func @codes(%x: tensor<?x64xf32>, %g: tensor<64xf32>, %c: tensor<?x16xi32>, %s: tensor<?x2xf32>, %z: tensor<?x2xi32>, %w: !cria.weight<96x64, q4, block = 32, zero_point, n16k4>, %o: tensor<?x96xf32>) -> (tensor<?x96xf32>, tensor<?x96xf32>) attributes {cria.version = "prefill"} {
  %a:3 = cria.rows ins(%x : tensor<?x64xf32>) params(%g : tensor<64xf32>) outs(%c, %s, %z : tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xi32>) attributes {zero_point = 8 : i64} {
  ^bb0(%row: tensor<1x64xf32>, %p: tensor<64xf32>):
    %n = cria.norm rms %row weight %p {eps = 1.0e-05 : f32} : tensor<1x64xf32>, weight tensor<64xf32>
    cria.yield %n : tensor<1x64xf32>
  } -> tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xi32>
  %0 = cria.fused_linear acts(%a#0, %a#1, %a#2 : tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xi32>) weights(%w : !cria.weight<96x64, q4, block = 32, zero_point, n16k4>) outs(%o : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  %1 = cria.fused_linear acts(%a#0, %a#1, %a#2 : tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xi32>) weights(%w : !cria.weight<96x64, q4, block = 32, zero_point, n16k4>) outs(%o : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %0, %1 : tensor<?x96xf32>, tensor<?x96xf32>
}

// A decode step stays exact.

// CHECK-LABEL: func.func @decode
// CHECK-NOT:     bf16}
// CHECK-NOT:     {bf16
// CHECK:         return
func.func @decode(%x: tensor<?x64xf32>, %w: !cria.weight<96x64, bf16, n16k2>, %o: tensor<?x96xf32>) -> tensor<?x96xf32> attributes {cria.version = "decode"} {
  %0 = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, bf16, n16k2>) outs(%o : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %0 : tensor<?x96xf32>
}
