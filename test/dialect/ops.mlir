// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s | cria-opt | FileCheck %s

// CHECK: cria.param @attn_q : !cria.weight<2x64x64, q4, block = 32, min, rows> from ["blk.0.attn_q.weight", "blk.1.attn_q.weight"] {permute_dims = 32 : i64, permute_heads = 32 : i64}
cria.param @attn_q : !cria.weight<2x64x64, q4, block = 32, min, rows> from ["blk.0.attn_q.weight", "blk.1.attn_q.weight"] {permute_dims = 32 : i64, permute_heads = 32 : i64}
// CHECK: cria.param @norms stacked : tensor<2x64xf32> from ["blk.0.attn_norm.weight", "blk.1.attn_norm.weight"]
cria.param @norms stacked : tensor<2x64xf32> from ["blk.0.attn_norm.weight", "blk.1.attn_norm.weight"]
// CHECK: cria.param @output_norm : tensor<64xf32> from ["output_norm.weight"]
cria.param @output_norm : tensor<64xf32> from ["output_norm.weight"]
// CHECK: cria.param @random : tensor<64xf32>
cria.param @random : tensor<64xf32>

// CHECK-LABEL: func.func @load(
// CHECK-NEXT: %0 = cria.load @attn_q[%arg0] : !cria.weight<64x64, q4, block = 32, min, rows>
// CHECK-NEXT: %1 = cria.load @norms[%arg0] : tensor<64xf32>
// CHECK-NEXT: %2 = cria.load @output_norm : tensor<64xf32>
func.func @load(%layer: index) {
  %0 = cria.load @attn_q[%layer] : !cria.weight<64x64, q4, block = 32, min, rows>
  %1 = cria.load @norms[%layer] : tensor<64xf32>
  %2 = cria.load @output_norm : tensor<64xf32>
  return
}

// CHECK-LABEL: func.func @embed(
// CHECK-NEXT: %0 = cria.embed %arg0, %arg1 : tensor<?xi32>, !cria.weight<1024x64, bf16, rows> -> tensor<?x64xf32>
func.func @embed(%tokens: tensor<?xi32>, %w: !cria.weight<1024x64, bf16, rows>) {
  %0 = cria.embed %tokens, %w : tensor<?xi32>, !cria.weight<1024x64, bf16, rows> -> tensor<?x64xf32>
  return
}

// CHECK-LABEL: func.func @linear(
// CHECK-NEXT: %0 = cria.linear %arg0, %arg1 : tensor<?x64xf32>, !cria.weight<96x64, f32, rows> -> tensor<?x96xf32>
// CHECK-NEXT: %1 = cria.linear %arg0, %arg1 bias %arg2 : tensor<?x64xf32>, !cria.weight<96x64, f32, rows>, tensor<96xf32> -> tensor<?x96xf32>
func.func @linear(%x: tensor<?x64xf32>, %w: !cria.weight<96x64, f32, rows>, %b: tensor<96xf32>) {
  %0 = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<96x64, f32, rows> -> tensor<?x96xf32>
  %1 = cria.linear %x, %w bias %b : tensor<?x64xf32>, !cria.weight<96x64, f32, rows>, tensor<96xf32> -> tensor<?x96xf32>
  return
}

// CHECK-LABEL: func.func @norm(
// CHECK-NEXT: %0 = cria.norm rms %arg0 {eps = 9.99999974E-6 : f32} : tensor<?x64xf32>
// CHECK-NEXT: %1 = cria.norm rms %arg0 weight %arg1 {eps = 9.99999974E-6 : f32, plus_one} : tensor<?x64xf32>, weight tensor<64xf32>
// CHECK-NEXT: %2 = cria.norm layer %arg0 weight %arg1 bias %arg2 {eps = 9.99999974E-6 : f32} : tensor<?x64xf32>, weight tensor<64xf32>, bias tensor<64xf32>
// CHECK-NEXT: %3 = cria.norm per_head %arg0 weight %arg3 {eps = 9.99999997E-7 : f32} : tensor<?x64xf32>, weight tensor<16xf32>
// CHECK-NEXT: %4 = cria.norm layer_per_head %arg0 weight %arg1 bias %arg2 {eps = 9.99999997E-7 : f32, head_dim = 16 : i64} : tensor<?x64xf32>, weight tensor<64xf32>, bias tensor<64xf32>
func.func @norm(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %b: tensor<64xf32>, %h: tensor<16xf32>) {
  %0 = cria.norm rms %x {eps = 1.0e-05 : f32} : tensor<?x64xf32>
  %1 = cria.norm rms %x weight %w {eps = 1.0e-05 : f32, plus_one} : tensor<?x64xf32>, weight tensor<64xf32>
  %2 = cria.norm layer %x weight %w bias %b {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<64xf32>, bias tensor<64xf32>
  %3 = cria.norm per_head %x weight %h {eps = 1.0e-06 : f32} : tensor<?x64xf32>, weight tensor<16xf32>
  %4 = cria.norm layer_per_head %x weight %w bias %b {eps = 1.0e-06 : f32, head_dim = 16 : i64} : tensor<?x64xf32>, weight tensor<64xf32>, bias tensor<64xf32>
  return
}

// CHECK-LABEL: func.func @rope(
// CHECK-NEXT: %0 = cria.rope %arg0, %arg1 {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.000000e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
func.func @rope(%x: tensor<?x64xf32>, %p: tensor<?xi32>) {
  %0 = cria.rope %x, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
  return
}

// CHECK-LABEL: func.func @position(
// CHECK-NEXT: %0 = cria.position learned %arg0, %arg1 table %arg2 : tensor<?x64xf32>, tensor<?xi32>, tensor<512x64xf32>
// CHECK-NEXT: %1 = cria.position sinusoidal %arg0, %arg1 : tensor<?x64xf32>, tensor<?xi32>
func.func @position(%x: tensor<?x64xf32>, %p: tensor<?xi32>, %t: tensor<512x64xf32>) {
  %0 = cria.position learned %x, %p table %t : tensor<?x64xf32>, tensor<?xi32>, tensor<512x64xf32>
  %1 = cria.position sinusoidal %x, %p : tensor<?x64xf32>, tensor<?xi32>
  return
}

// CHECK-LABEL: func.func @activation(
// CHECK-NEXT: %0 = cria.activation relu %arg0 : tensor<?x64xf32>
// CHECK-NEXT: %1 = cria.activation gelu %arg0 : tensor<?x64xf32>
// CHECK-NEXT: %2 = cria.activation gelu_tanh %arg0 : tensor<?x64xf32>
// CHECK-NEXT: %3 = cria.activation silu %arg1 : vector<16xf32>
// CHECK-NEXT: %4 = cria.activation relu2 %arg0 : tensor<?x64xf32>
func.func @activation(%x: tensor<?x64xf32>, %v: vector<16xf32>) {
  %0 = cria.activation relu %x : tensor<?x64xf32>
  %1 = cria.activation gelu %x : tensor<?x64xf32>
  %2 = cria.activation gelu_tanh %x : tensor<?x64xf32>
  %3 = cria.activation silu %v : vector<16xf32>
  %4 = cria.activation relu2 %x : tensor<?x64xf32>
  return
}

// CHECK-LABEL: func.func @glu(
// CHECK-NEXT: %0 = cria.glu silu %arg0, %arg1 : tensor<?x64xf32>
func.func @glu(%gate: tensor<?x64xf32>, %up: tensor<?x64xf32>) {
  %0 = cria.glu silu %gate, %up : tensor<?x64xf32>
  return
}

// CHECK-LABEL: func.func @kv_append(
// CHECK-NEXT: %0 = cria.kv_append key %arg0 into %arg1[%arg3] at %arg4 : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<?xi32>
// CHECK-NEXT: %1 = cria.kv_append value %arg0 into %arg2[%arg3] at %arg4 : tensor<?x64xf32>, tensor<2x?x2x64x32xf16>, tensor<?xi32>
func.func @kv_append(%x: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %layer: index, %slots: tensor<?xi32>) {
  %0 = cria.kv_append key %x into %k[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<?xi32>
  %1 = cria.kv_append value %x into %v[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x64x32xf16>, tensor<?xi32>
  return
}

// CHECK-LABEL: func.func @attention(
// CHECK-NEXT: %0 = cria.attention %arg0, %arg1, %arg2[%arg3] positions %arg4 sequences %arg5 tables %arg6 {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32} : tensor<?x192xf32>, tensor<2x?x2x4x32x16xbf16>, tensor<2x?x2x64x32xbf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>
// CHECK-NEXT: %1 = cria.attention %arg0, %arg1, %arg2[%arg3] positions %arg4 sequences %arg5 tables %arg6 sinks %arg7 {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32, softcap = 5.000000e+01 : f32, window = 4096 : i64} : tensor<?x192xf32>, tensor<2x?x2x4x32x16xbf16>, tensor<2x?x2x64x32xbf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<6xf32>
func.func @attention(%q: tensor<?x192xf32>, %k: tensor<2x?x2x4x32x16xbf16>, %v: tensor<2x?x2x64x32xbf16>, %layer: index, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %sinks: tensor<6xf32>) {
  %0 = cria.attention %q, %k, %v[%layer] positions %p sequences %s tables %t {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32} : tensor<?x192xf32>, tensor<2x?x2x4x32x16xbf16>, tensor<2x?x2x64x32xbf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>
  %1 = cria.attention %q, %k, %v[%layer] positions %p sequences %s tables %t sinks %sinks {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32, softcap = 5.000000e+01 : f32, window = 4096 : i64} : tensor<?x192xf32>, tensor<2x?x2x4x32x16xbf16>, tensor<2x?x2x64x32xbf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<6xf32>
  return
}

// CHECK-LABEL: func.func @elementwise(
// CHECK-NEXT: %0 = cria.softcap %arg0 {cap = 3.000000e+01 : f32} : tensor<?x64xf32>
// CHECK-NEXT: %1 = cria.add %arg0, %arg1 : tensor<?x64xf32>
// CHECK-NEXT: %2 = cria.scale %arg0 {factor = 2.400000e+01 : f32} : tensor<?x64xf32>
// CHECK-NEXT: %3 = cria.select_rows %arg0, %arg2 : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
func.func @elementwise(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %rows: tensor<?xi32>) {
  %0 = cria.softcap %x {cap = 3.000000e+01 : f32} : tensor<?x64xf32>
  %1 = cria.add %x, %y : tensor<?x64xf32>
  %2 = cria.scale %x {factor = 2.400000e+01 : f32} : tensor<?x64xf32>
  %3 = cria.select_rows %x, %rows : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
  return
}

// CHECK-LABEL: func.func @attention_by_distance(
// CHECK-NEXT: %0 = cria.relative_bias %arg7 {max_distance = 128 : i64} : tensor<32x6xf32> -> tensor<6x129xf32>
// CHECK-NEXT: %1 = cria.attention %arg0, %arg1, %arg2[%arg3] positions %arg4 sequences %arg5 tables %arg6 bias(%0 : tensor<6x129xf32>) {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32} : tensor<?x192xf32>, tensor<2x?x2x4x32x16xbf16>, tensor<2x?x2x64x32xbf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>
// CHECK-NEXT: %2 = cria.attention %arg0, %arg1, %arg2[%arg3] positions %arg4 sequences %arg5 tables %arg6 {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32, slopes = array<f32: 5.000000e-01, 2.500000e-01, 1.250000e-01, 6.250000e-02, 3.125000e-02, 1.562500e-02>} :
func.func @attention_by_distance(%q: tensor<?x192xf32>, %k: tensor<2x?x2x4x32x16xbf16>, %v: tensor<2x?x2x64x32xbf16>, %layer: index, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %table: tensor<32x6xf32>) {
  %0 = cria.relative_bias %table {max_distance = 128 : i64} : tensor<32x6xf32> -> tensor<6x129xf32>
  %1 = cria.attention %q, %k, %v[%layer] positions %p sequences %s tables %t bias(%0 : tensor<6x129xf32>) {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32} : tensor<?x192xf32>, tensor<2x?x2x4x32x16xbf16>, tensor<2x?x2x64x32xbf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>
  %2 = cria.attention %q, %k, %v[%layer] positions %p sequences %s tables %t {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32, slopes = array<f32: 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625>} : tensor<?x192xf32>, tensor<2x?x2x4x32x16xbf16>, tensor<2x?x2x64x32xbf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>
  return
}
