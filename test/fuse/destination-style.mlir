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
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %[[G:[^:]*]]: tensor<64xf32>, %[[B:[^:]*]]: tensor<64xf32>)
// CHECK:         cria.rows ins(%[[X]] : tensor<?x64xf32>) params(%[[G]], %[[B]] : tensor<64xf32>, tensor<64xf32>) outs(%{{.*}} : tensor<?x64xf32>)
// CHECK-NEXT:    ^bb0(%[[ROW:.*]]: tensor<1x64xf32>, %[[W:.*]]: tensor<64xf32>, %[[V:.*]]: tensor<64xf32>):
// CHECK-NEXT:      %[[N:.*]] = cria.norm layer %[[ROW]] weight %[[W]] bias %[[V]]
// CHECK-NEXT:      cria.yield %[[N]]
// CHECK-NOT:     cria.norm
func.func @lone_norm(%x: tensor<?x64xf32>, %g: tensor<64xf32>, %b: tensor<64xf32>) -> tensor<?x64xf32> {
  %y = cria.norm layer %x weight %g bias %b {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<64xf32>, bias tensor<64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// One of heads is split by heads as well, whoever else reads it.
// CHECK-LABEL: func.func @head_norm
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %[[G:[^:]*]]: tensor<32xf32>)
// CHECK:         cria.head_rows ins(%[[X]] : tensor<?x64xf32>) weight(%[[G]] : tensor<32xf32>) outs(%{{.*}}) {eps = 9.99999974E-6 : f32, head_dim = 32 : i64
// CHECK-NOT:     cria.norm
func.func @head_norm(%x: tensor<?x64xf32>, %g: tensor<32xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %y = cria.norm per_head %x weight %g {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<32xf32>
  return %y, %y : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func.func @head_layer_norm
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %[[G:[^:]*]]: tensor<64xf32>)
// CHECK:         cria.head_rows ins(%[[X]] : tensor<?x64xf32>) weight(%[[G]] : tensor<64xf32>) outs(%{{.*}}) {center, eps = 9.99999974E-6 : f32, head_dim = 32 : i64
// CHECK-NOT:     cria.norm
func.func @head_layer_norm(%x: tensor<?x64xf32>, %g: tensor<64xf32>) -> tensor<?x64xf32> {
  %y = cria.norm layer_per_head %x weight %g {eps = 1.0e-05 : f32, head_dim = 32 : i64} : tensor<?x64xf32>, weight tensor<64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// The scale of an embedding.
// CHECK-LABEL: func.func @lone_scale
// CHECK:         cria.rows
// CHECK-NEXT:    ^bb0(%[[ROW:.*]]: tensor<1x64xf32>):
// CHECK-NEXT:      %[[S:.*]] = cria.scale %[[ROW]] {factor = 8.0
// CHECK-NEXT:      cria.yield %[[S]]
func.func @lone_scale(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.scale %x {factor = 8.0 : f32} : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func.func @slopes
// CHECK:         %[[S:.*]] = arith.constant dense<[5.000000e-01, 2.500000e-01]> : tensor<2xf32>
// CHECK:         cria.fused_attention {{.*}} slopes(%[[S]] : tensor<2xf32>) layer
func.func @slopes(%q: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %layer: index) -> tensor<?x64xf32> {
  %y = cria.attention %q, %k, %v[%layer] positions %p sequences %s tables %t
    {heads = 2 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.17 : f32, slopes = array<f32: 0.5, 0.25>}
    : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>
  return %y : tensor<?x64xf32>
}

// -----

// A bias is turned round once, for both layers that read it: column j is
// distance 8 - (j - 16), within 0 and 8.
// CHECK-LABEL: func.func @bias
// CHECK-SAME:    %[[B:[^:]*]]: tensor<2x9xf32>)
// CHECK:         %[[D:.*]] = arith.constant dense<[8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, {{.*}}]> : tensor<41xi32>
// CHECK:         %[[R:.*]] = scf.forall (%[[J:.*]]) in (41) shared_outs(%[[O:.*]] = %{{.*}}) -> (tensor<2x41xf32>)
// CHECK:           tensor.extract %[[D]][%[[J]]]
// CHECK:           tensor.extract_slice %[[B]][0, %{{.*}}] [2, 1] [1, 1] : tensor<2x9xf32> to tensor<2xf32>
// CHECK:           tensor.parallel_insert_slice %{{.*}} into %[[O]][0, %[[J]]] [2, 1]
// CHECK-NOT:     scf.forall
// CHECK-COUNT-2: cria.fused_attention {{.*}} bias(%[[R]] : tensor<2x41xf32>) layer
func.func @bias(%q: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %layer: index, %b: tensor<2x9xf32>) -> tensor<?x64xf32> {
  %y = cria.attention %q, %k, %v[%layer] positions %p sequences %s tables %t bias(%b : tensor<2x9xf32>)
    {heads = 2 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.17 : f32}
    : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>
  %z = cria.attention %y, %k, %v[%layer] positions %p sequences %s tables %t bias(%b : tensor<2x9xf32>)
    {heads = 2 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.17 : f32}
    : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>
  return %z : tensor<?x64xf32>
}

// -----

// T5: columns come from the table's buckets.
// CHECK-LABEL: func.func @buckets
// CHECK-SAME:    %[[B:[^:]*]]: tensor<8x2xf32>)
// CHECK:         arith.constant dense<[7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 6, 6, 6, 5, 5, 5, 4, 4, 3, 2, 1, 0, 0, {{.*}}]> : tensor<52xi32>
// CHECK:         tensor.extract_slice %[[B]][%{{.*}}, 0] [1, 2] [1, 1] : tensor<8x2xf32> to tensor<2xf32>
// CHECK-NOT:     cria.relative_bias
func.func @buckets(%q: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %layer: index, %b: tensor<8x2xf32>) -> tensor<?x64xf32> {
  %r = cria.relative_bias %b {max_distance = 19 : i64} : tensor<8x2xf32> -> tensor<2x20xf32>
  %y = cria.attention %q, %k, %v[%layer] positions %p sequences %s tables %t bias(%r : tensor<2x20xf32>)
    {heads = 2 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.17 : f32}
    : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>
  return %y : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func.func @learned
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %[[P:[^:]*]]: tensor<?xi32>, %[[T:[^:]*]]: tensor<512x64xf32>)
// CHECK:         scf.forall (%[[I:.*]]) in
// CHECK:           %[[E:.*]] = tensor.extract %[[P]][%[[I]]]
// CHECK:           %[[AT:.*]] = arith.index_cast %[[E]]
// CHECK:           tensor.extract_slice %[[X]][%[[I]], 0] [1, 64]
// CHECK:           tensor.extract_slice %[[T]][%[[AT]], 0] [1, 64]
// CHECK:           arith.addf
func.func @learned(%x: tensor<?x64xf32>, %p: tensor<?xi32>, %t: tensor<512x64xf32>) -> tensor<?x64xf32> {
  %y = cria.position learned %x, %p table %t : tensor<?x64xf32>, tensor<?xi32>, tensor<512x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func.func @sinusoidal
// CHECK:         %[[T:.*]] = cria.rope_table {{.*}} {rope = #cria.rope<pairs = interleaved, base = 1.000000e+04, dims = 64>} -> tensor<?x2x64xf32>
// CHECK:         %[[COS:.*]] = tensor.extract_slice %[[T]][0, 0, 0]
// CHECK:         %[[SIN:.*]] = tensor.extract_slice %[[T]][0, 1, 0]
// CHECK:         linalg.generic {{.*}} ins(%{{.*}}, %[[COS]], %[[SIN]]
// CHECK:         ^bb0(%[[X:.*]]: f32, %[[C:.*]]: f32, %[[S:.*]]: f32, %{{.*}}: f32):
// CHECK:           %[[MINUS:.*]] = arith.negf %[[S]]
// CHECK:           %[[E:.*]] = arith.select %{{.*}}, %[[C]], %[[MINUS]]
// CHECK:           arith.addf %[[X]], %[[E]]
func.func @sinusoidal(%x: tensor<?x64xf32>, %p: tensor<?xi32>) -> tensor<?x64xf32> {
  %y = cria.position sinusoidal %x, %p : tensor<?x64xf32>, tensor<?xi32>
  return %y : tensor<?x64xf32>
}
