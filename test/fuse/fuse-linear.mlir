// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-fuse-linear -cse -verify-diagnostics | FileCheck %s

// Two linears share the row that is normalised and quantised once.
// CHECK-LABEL: func.func @norm_and_two_linears
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %[[G:[^:]*]]: tensor<64xf32>, %[[W:[^:]*]]: !cria.weight<{{[^>]*}}>, %[[U:[^:]*]]:
// CHECK-NOT:     cria.norm rms %[[X]]
// CHECK:         %[[A:.*]]:3 = cria.rows ins(%[[X]] : tensor<?x64xf32>) params(%[[G]] : tensor<64xf32>)
// CHECK-NEXT:    ^bb0(%[[ROW:.*]]: tensor<1x64xf32>, %[[GAIN:.*]]: tensor<64xf32>):
// CHECK-NEXT:      %[[N:.*]] = cria.norm rms %[[ROW]] weight %[[GAIN]]
// CHECK-NEXT:      cria.yield %[[N]]
// CHECK-NEXT:    } -> tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xf32>
// CHECK-NOT:     cria.rows
// CHECK:         cria.fused_linear acts(%[[A]]#0, %[[A]]#1, %[[A]]#2 : {{.*}}) weights(%[[W]] :
// CHECK-NEXT:    ^bb0(%[[ACC:.*]]: vector<16xf32>):
// CHECK-NEXT:      cria.yield %[[ACC]]
// CHECK:         cria.fused_linear acts(%[[A]]#0, %[[A]]#1, %[[A]]#2 : {{.*}}) weights(%[[U]] :
func.func @norm_and_two_linears(%x: tensor<?x64xf32>, %g: tensor<64xf32>, %w: !cria.weight<96x64, q4, block = 32, min, n16k4>, %u: !cria.weight<96x64, q4, block = 32, min, n16k4>) -> tensor<?x96xf32> {
  %n = cria.norm rms %x weight %g {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<64xf32>
  %y = cria.linear %n, %w : tensor<?x64xf32>, !cria.weight<96x64, q4, block = 32, min, n16k4> -> tensor<?x96xf32>
  %z = cria.linear %n, %u : tensor<?x64xf32>, !cria.weight<96x64, q4, block = 32, min, n16k4> -> tensor<?x96xf32>
  %r = cria.glu silu %y, %z : tensor<?x96xf32>
  return %r : tensor<?x96xf32>
}

// -----

// Rows for min and rows for a zero point differ in their sums.
// CHECK-LABEL: func.func @two_formats
// CHECK:         cria.rows
// CHECK:         -> tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xf32>
// CHECK:         cria.rows {{.*}} attributes {zero_point = 8 : i64}
// CHECK:         -> tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xi32>
func.func @two_formats(%x: tensor<?x64xf32>, %w: !cria.weight<96x64, q4, block = 32, min, n16k4>, %u: !cria.weight<96x64, q4, block = 32, zero_point, n16k4>) -> tensor<?x96xf32> {
  %y = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<96x64, q4, block = 32, min, n16k4> -> tensor<?x96xf32>
  %z = cria.linear %x, %u : tensor<?x64xf32>, !cria.weight<96x64, q4, block = 32, zero_point, n16k4> -> tensor<?x96xf32>
  %r = cria.glu silu %y, %z : tensor<?x96xf32>
  return %r : tensor<?x96xf32>
}

// -----

// A norm that something else reads stays, beside the one in the prologue.
// CHECK-LABEL: func.func @norm_used_elsewhere
// CHECK:         %[[N:.*]] = cria.norm rms
// CHECK:         cria.rows
// CHECK:           cria.norm rms
// CHECK:         return %[[N]]
func.func @norm_used_elsewhere(%x: tensor<?x64xf32>, %w: !cria.weight<96x64, q4, block = 32, min, n16k4>) -> (tensor<?x64xf32>, tensor<?x96xf32>) {
  %n = cria.norm rms %x {eps = 1.0e-05 : f32} : tensor<?x64xf32>
  %y = cria.linear %n, %w : tensor<?x64xf32>, !cria.weight<96x64, q4, block = 32, min, n16k4> -> tensor<?x96xf32>
  return %n, %y : tensor<?x64xf32>, tensor<?x96xf32>
}

// -----

// Queries, keys, values and logits read codes of 16 bits: twice the words.
// CHECK-LABEL: func.func @wide
// CHECK:         cria.rows
// CHECK:         -> tensor<?x32xi32>, tensor<?x2xf32>, tensor<?x2xf32>
func.func @wide(%x: tensor<?x64xf32>, %w: !cria.weight<96x64, q4, block = 32, min, n16k4>) -> tensor<?x96xf32> {
  %y = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<96x64, q4, block = 32, min, n16k4> -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

// Float weights read float rows, and none are made without a norm.
// CHECK-LABEL: func.func @float_bias
// CHECK-SAME:    (%[[X:[^:]*]]: {{.*}}, %[[B:[^:]*]]: tensor<96xf32>)
// CHECK-NOT:     cria.rows
// CHECK:         cria.fused_linear acts(%[[X]] : tensor<?x64xf32>) {{.*}} extras(%[[B]] : tensor<96xf32>) {{.*}}extra_kinds = [#cria<extra bias>]
// CHECK-NEXT:    ^bb0(%[[ACC:.*]]: vector<16xf32>, %[[BIAS:.*]]: vector<16xf32>):
// CHECK-NEXT:      %[[S:.*]] = arith.addf %[[ACC]], %[[BIAS]]
// CHECK-NEXT:      cria.yield %[[S]]
func.func @float_bias(%x: tensor<?x64xf32>, %w: !cria.weight<96x64, bf16, n16k2>, %b: tensor<96xf32>) -> tensor<?x96xf32> {
  %y = cria.linear %x, %w bias %b : tensor<?x64xf32>, !cria.weight<96x64, bf16, n16k2>, tensor<96xf32> -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

func.func @rows_layout(%x: tensor<?x64xf32>, %w: !cria.weight<96x64, bf16, rows>) -> tensor<?x96xf32> {
  // expected-error @+1 {{which no kernel does; run cria-assign-layouts first}}
  %y = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<96x64, bf16, rows> -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}
