// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-narrow-codes | FileCheck %s

// A query's codes take a quarter of K in words, not half. The rows of logits
// keep 16 bits, also where what returns is made of them.

// CHECK-LABEL: func.func @prefill
// CHECK:         %[[E:.*]] = tensor.empty(%{{.*}}) : tensor<?x16xi32>
// CHECK:         %[[A:.*]]:3 = cria.rows {{.*}} outs(%[[E]], %{{.*}} : tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xi32>)
// CHECK:         } -> tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xi32>
// CHECK:         cria.fused_linear acts(%[[A]]#0, %[[A]]#1, %[[A]]#2 : tensor<?x16xi32>,
// CHECK:         cria.rows {{.*}} outs(%{{.*}} : tensor<?x32xi32>, tensor<?x2xf32>, tensor<?x2xi32>)
// CHECK:         cria.fused_linear acts(%{{.*}} : tensor<?x32xi32>,
func.func @prefill(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, q4, block = 32, zero_point, n16k4>, %h: !cria.weight<96x64, q4, block = 32, zero_point, n16k4>, %c: tensor<?x32xi32>, %s: tensor<?x2xf32>, %z: tensor<?x2xi32>, %y: tensor<?x64xf32>, %o: tensor<?x96xf32>) -> tensor<?x96xf32> attributes {cria.version = "prefill"} {
  %a:3 = cria.rows ins(%x : tensor<?x64xf32>) outs(%c, %s, %z : tensor<?x32xi32>, tensor<?x2xf32>, tensor<?x2xi32>) attributes {zero_point = 8 : i64} {
  ^bb0(%row: tensor<1x64xf32>):
    cria.yield %row : tensor<1x64xf32>
  } -> tensor<?x32xi32>, tensor<?x2xf32>, tensor<?x2xi32>
  %q = cria.fused_linear acts(%a#0, %a#1, %a#2 : tensor<?x32xi32>, tensor<?x2xf32>, tensor<?x2xi32>) weights(%w : !cria.weight<64x64, q4, block = 32, zero_point, n16k4>) outs(%y : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %b:3 = cria.rows ins(%q : tensor<?x64xf32>) outs(%c, %s, %z : tensor<?x32xi32>, tensor<?x2xf32>, tensor<?x2xi32>) attributes {zero_point = 8 : i64} {
  ^bb0(%row: tensor<1x64xf32>):
    cria.yield %row : tensor<1x64xf32>
  } -> tensor<?x32xi32>, tensor<?x2xf32>, tensor<?x2xi32>
  %l = cria.fused_linear acts(%b#0, %b#1, %b#2 : tensor<?x32xi32>, tensor<?x2xf32>, tensor<?x2xi32>) weights(%h : !cria.weight<96x64, q4, block = 32, zero_point, n16k4>) outs(%o : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  %t = math.tanh %l : tensor<?x96xf32>
  return %t : tensor<?x96xf32>
}

// A decode step stays exact.

// CHECK-LABEL: func.func @decode
// CHECK-NOT:     tensor<?x16xi32>
// CHECK:         return
func.func @decode(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, q4, block = 32, zero_point, n16k4>, %k: tensor<2x?x1x4x64x16xf16>, %n: tensor<?xi32>, %i: index, %c: tensor<?x32xi32>, %s: tensor<?x2xf32>, %z: tensor<?x2xi32>) -> tensor<2x?x1x4x64x16xf16> attributes {cria.version = "decode"} {
  %a:3 = cria.rows ins(%x : tensor<?x64xf32>) outs(%c, %s, %z : tensor<?x32xi32>, tensor<?x2xf32>, tensor<?x2xi32>) attributes {zero_point = 8 : i64} {
  ^bb0(%row: tensor<1x64xf32>):
    cria.yield %row : tensor<1x64xf32>
  } -> tensor<?x32xi32>, tensor<?x2xf32>, tensor<?x2xi32>
  %q = cria.fused_linear acts(%a#0, %a#1, %a#2 : tensor<?x32xi32>, tensor<?x2xf32>, tensor<?x2xi32>) weights(%w : !cria.weight<64x64, q4, block = 32, zero_point, n16k4>) layer %i slots %n : tensor<?xi32> outs(%k : tensor<2x?x1x4x64x16xf16>) attributes {extra_kinds = [], out = #cria<out key>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<2x?x1x4x64x16xf16>
  return %q : tensor<2x?x1x4x64x16xf16>
}
