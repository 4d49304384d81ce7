// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-destination-style | FileCheck %s

cria.param @w : !cria.weight<64x64, f32, n16>
// CHECK-LABEL: func.func @forward
// CHECK-SAME:    (%[[T:[^:]*]]: tensor<?xi32> {cria.arg = "tokens"}, %{{[^:]*}}: index, %[[LOGITS:[^:]*]]: tensor<?x64xf32> {cria.arg = "logits"})
// CHECK:         %[[E:.*]] = tensor.empty(%{{.*}}) : tensor<?x64xf32>
// CHECK:         %[[X:.*]] = cria.embed_rows ins(%[[T]], %{{.*}}) outs(%[[E]] : tensor<?x64xf32>)
// CHECK:         cria.fused_linear acts(%[[X]] : {{.*}} outs(%[[LOGITS]] : tensor<?x64xf32>)
func.func @forward(%tokens: tensor<?xi32> {cria.arg = "tokens"}, %n: index) -> tensor<?x64xf32> attributes {cria.entry} {
  %w = cria.load @w : !cria.weight<64x64, f32, n16>
  %x = cria.embed %tokens, %w : tensor<?xi32>, !cria.weight<64x64, f32, n16> -> tensor<?x64xf32>
  %0 = tensor.empty(%n) : tensor<?x64xf32>
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%0 : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Only an entry's caller owns logits.
// CHECK-LABEL: func.func @not_an_entry
// CHECK-NOT:     cria.arg
func.func @not_an_entry(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %n: index) -> tensor<?x64xf32> {
  %0 = tensor.empty(%n) : tensor<?x64xf32>
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%0 : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func.func @attention
// CHECK:         cria.fused_attention ins(%{{.*}}) layer %{{.*}} outs(%{{.*}} : tensor<?x64xf32>) {{.*}}window = 8
func.func @attention(%q: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %layer: index) -> tensor<?x64xf32> {
  %y = cria.attention %q, %k, %v[%layer] positions %p sequences %s tables %t
    {heads = 2 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.17 : f32, window = 8 : i64}
    : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>
  return %y : tensor<?x64xf32>
}

// -----

// A norm that feeds no linear is a kernel of its own.
// CHECK-LABEL: func.func @lone_norm
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %[[G:[^:]*]]: tensor<32xf32>)
// CHECK:         cria.rows ins(%[[X]] : tensor<?x64xf32>) params(%[[G]] : tensor<32xf32>) outs(%{{.*}} : tensor<?x64xf32>)
// CHECK-NEXT:    ^bb0(%[[ROW:.*]]: tensor<1x64xf32>, %[[W:.*]]: tensor<32xf32>):
// CHECK-NEXT:      %[[N:.*]] = cria.norm per_head %[[ROW]] weight %[[W]]
// CHECK-NEXT:      cria.yield %[[N]]
// CHECK-NOT:     cria.norm
func.func @lone_norm(%x: tensor<?x64xf32>, %g: tensor<32xf32>) -> tensor<?x64xf32> {
  %y = cria.norm per_head %x weight %g {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<32xf32>
  return %y : tensor<?x64xf32>
}
