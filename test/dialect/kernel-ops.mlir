// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s | cria-opt | FileCheck %s

// CHECK-LABEL: func.func @rope_table(
// CHECK-NEXT: %0 = cria.rope_table ins(%arg0 : tensor<?xi32>) outs(%arg1 : tensor<?x2x64xf32>) {rope = #cria.rope<pairs = interleaved, base = 1.000000e+05, dims = 32>} -> tensor<?x2x64xf32>
// CHECK-NEXT: cria.rope_table ins(%arg2 : memref<?xi32>) outs(%arg3 : memref<?x2x64xf32>) {rope = #cria.rope<pairs = interleaved, base = 1.000000e+05, dims = 64>}
func.func @rope_table(%p: tensor<?xi32>, %t: tensor<?x2x64xf32>, %pm: memref<?xi32>, %tm: memref<?x2x64xf32>) {
  %0 = cria.rope_table ins(%p : tensor<?xi32>) outs(%t : tensor<?x2x64xf32>) {rope = #cria.rope<pairs = interleaved, base = 1.000000e+05, dims = 32>} -> tensor<?x2x64xf32>
  cria.rope_table ins(%pm : memref<?xi32>) outs(%tm : memref<?x2x64xf32>) {rope = #cria.rope<pairs = interleaved, base = 1.000000e+05, dims = 64>}
  return
}

// CHECK-LABEL: func.func @embed_rows(
// CHECK-NEXT: %0 = cria.embed_rows ins(%arg0, %arg1 : tensor<?xi32>, !cria.weight<1024x64, q8, block = 32, zero_point, n16k4>) outs(%arg2 : tensor<?x64xf32>) -> tensor<?x64xf32>
// CHECK-NEXT: cria.embed_rows ins(%arg3, %arg1 : memref<?xi32>, !cria.weight<1024x64, q8, block = 32, zero_point, n16k4>) outs(%arg4 : memref<?x64xf32>)
func.func @embed_rows(%tokens: tensor<?xi32>, %w: !cria.weight<1024x64, q8, block = 32, zero_point, n16k4>, %init: tensor<?x64xf32>, %tm: memref<?xi32>, %im: memref<?x64xf32>) {
  %0 = cria.embed_rows ins(%tokens, %w : tensor<?xi32>, !cria.weight<1024x64, q8, block = 32, zero_point, n16k4>) outs(%init : tensor<?x64xf32>) -> tensor<?x64xf32>
  cria.embed_rows ins(%tm, %w : memref<?xi32>, !cria.weight<1024x64, q8, block = 32, zero_point, n16k4>) outs(%im : memref<?x64xf32>)
  return
}

// CHECK-LABEL: func.func @rows(
// CHECK-NEXT: %0 = cria.rows ins(%arg0 : tensor<?x80xf32>) outs(%arg2 : tensor<?x80xf32>) {
// CHECK-NEXT: ^bb0(%arg6: tensor<1x80xf32>):
// CHECK-NEXT: cria.yield %arg6 : tensor<1x80xf32>
// CHECK-NEXT: } -> tensor<?x80xf32>
// CHECK-NEXT: %1:3 = cria.rows ins(%arg0 : tensor<?x80xf32>) params(%arg1 : tensor<80xf32>) outs(%arg3, %arg4, %arg5 : tensor<?x24xi32>, tensor<?x3xf32>, tensor<?x3xi32>) attributes {zero_point = 8 : i64} {
// CHECK-NEXT: ^bb0(%arg6: tensor<1x80xf32>, %arg7: tensor<80xf32>):
// CHECK-NEXT: %2 = cria.norm rms %arg6 weight %arg7 {eps = 9.99999974E-6 : f32} : tensor<1x80xf32>, weight tensor<80xf32>
// CHECK-NEXT: cria.yield %2 : tensor<1x80xf32>
// CHECK-NEXT: } -> tensor<?x24xi32>, tensor<?x3xf32>, tensor<?x3xi32>
func.func @rows(%x: tensor<?x80xf32>, %g: tensor<80xf32>, %f: tensor<?x80xf32>, %c: tensor<?x24xi32>, %s: tensor<?x3xf32>, %m: tensor<?x3xi32>) {
  %0 = cria.rows ins(%x : tensor<?x80xf32>) outs(%f : tensor<?x80xf32>) {
  ^bb0(%row: tensor<1x80xf32>):
    cria.yield %row : tensor<1x80xf32>
  } -> tensor<?x80xf32>
  %1:3 = cria.rows ins(%x : tensor<?x80xf32>) params(%g : tensor<80xf32>) outs(%c, %s, %m : tensor<?x24xi32>, tensor<?x3xf32>, tensor<?x3xi32>) attributes {zero_point = 8 : i64} {
  ^bb0(%row: tensor<1x80xf32>, %w: tensor<80xf32>):
    %2 = cria.norm rms %row weight %w {eps = 9.99999974E-6 : f32} : tensor<1x80xf32>, weight tensor<80xf32>
    cria.yield %2 : tensor<1x80xf32>
  } -> tensor<?x24xi32>, tensor<?x3xf32>, tensor<?x3xi32>
  return
}

// CHECK-LABEL: func.func @rows_on_memrefs(
// CHECK-NEXT: cria.rows ins(%arg0 : memref<?x64xf32>) params(%arg1 : memref<64xf32>) outs(%arg2, %arg3, %arg4 : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xf32>) {
// CHECK-NEXT: ^bb0(%arg5: tensor<1x64xf32>, %arg6: tensor<64xf32>):
// CHECK-NEXT: cria.yield %arg5 : tensor<1x64xf32>
func.func @rows_on_memrefs(%x: memref<?x64xf32>, %g: memref<64xf32>, %c: memref<?x16xi32>, %s: memref<?x2xf32>, %m: memref<?x2xf32>) {
  cria.rows ins(%x : memref<?x64xf32>) params(%g : memref<64xf32>) outs(%c, %s, %m : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xf32>) {
  ^bb0(%row: tensor<1x64xf32>, %w: tensor<64xf32>):
    cria.yield %row : tensor<1x64xf32>
  }
  return
}

// CHECK-LABEL: func.func @fused_linear(
// CHECK-NEXT: %0 = cria.fused_linear acts(%arg0, %arg1, %arg2 : tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xf32>) weights(%arg3 : !cria.weight<96x64, q4, block = 32, min, n16k4>) outs(%arg4 : tensor<?x96xf32>) attributes {accumulate, extra_kinds = [], out = #cria<out rows>} {
// CHECK-NEXT: ^bb0(%arg5: vector<16xf32>, %arg6: vector<16xf32>):
// CHECK-NEXT: %1 = arith.addf %arg6, %arg5 : vector<16xf32>
// CHECK-NEXT: cria.yield %1 : vector<16xf32>
// CHECK-NEXT: } -> tensor<?x96xf32>
func.func @fused_linear(%c: tensor<?x16xi32>, %s: tensor<?x2xf32>, %m: tensor<?x2xf32>, %w: !cria.weight<96x64, q4, block = 32, min, n16k4>, %x: tensor<?x96xf32>) {
  %0 = cria.fused_linear acts(%c, %s, %m : tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xf32>) weights(%w : !cria.weight<96x64, q4, block = 32, min, n16k4>) outs(%x : tensor<?x96xf32>) attributes {accumulate, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>, %old: vector<16xf32>):
    %1 = arith.addf %old, %acc : vector<16xf32>
    cria.yield %1 : vector<16xf32>
  } -> tensor<?x96xf32>
  return
}

// CHECK-LABEL: func.func @fused_linear_glu(
// CHECK-NEXT: %0 = cria.fused_linear acts(%arg0 : tensor<?x64xf32>) weights(%arg1, %arg2 : !cria.weight<96x64, bf16, n16k2>, !cria.weight<96x64, bf16, n16k2>) extras(%arg3 : tensor<96xf32>) outs(%arg4 : tensor<?x96xf32>) attributes {extra_kinds = [#cria<extra bias>], out = #cria<out rows>} {
// CHECK-NEXT: ^bb0(%arg5: vector<16xf32>, %arg6: vector<16xf32>, %arg7: vector<16xf32>):
// CHECK-NEXT: %1 = cria.activation silu %arg5 : vector<16xf32>
// CHECK-NEXT: %2 = arith.mulf %1, %arg6 : vector<16xf32>
// CHECK-NEXT: cria.yield %2 : vector<16xf32>
// CHECK-NEXT: } -> tensor<?x96xf32>
func.func @fused_linear_glu(%a: tensor<?x64xf32>, %gate: !cria.weight<96x64, bf16, n16k2>, %up: !cria.weight<96x64, bf16, n16k2>, %b: tensor<96xf32>, %init: tensor<?x96xf32>) {
  %0 = cria.fused_linear acts(%a : tensor<?x64xf32>) weights(%gate, %up : !cria.weight<96x64, bf16, n16k2>, !cria.weight<96x64, bf16, n16k2>) extras(%b : tensor<96xf32>) outs(%init : tensor<?x96xf32>) attributes {extra_kinds = [#cria<extra bias>], out = #cria<out rows>} {
  ^bb0(%g: vector<16xf32>, %u: vector<16xf32>, %bias: vector<16xf32>):
    %1 = cria.activation silu %g : vector<16xf32>
    %2 = arith.mulf %1, %u : vector<16xf32>
    cria.yield %2 : vector<16xf32>
  } -> tensor<?x96xf32>
  return
}

// CHECK-LABEL: func.func @fused_linear_key(
// CHECK-NEXT: cria.fused_linear acts(%arg0, %arg1, %arg2 : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xi32>) weights(%arg3 : !cria.weight<64x64, q8, block = 32, zero_point, n16k4>) extras(%arg4 : memref<?x2x32xf32>) layer %arg5 slots %arg6 : memref<?xi32> outs(%arg7 : memref<2x?x2x4x32x16xf16>) attributes {extra_kinds = [#cria<extra rope>], out = #cria<out key>} {
// CHECK-NEXT: ^bb0(%arg8: vector<16xf32>, %arg9: vector<16xf32>, %arg10: vector<16xf32>):
// CHECK-NEXT: %0 = arith.mulf %arg8, %arg9 : vector<16xf32>
// CHECK-NEXT: cria.yield %0 : vector<16xf32>
func.func @fused_linear_key(%c: memref<?x16xi32>, %s: memref<?x2xf32>, %m: memref<?x2xi32>, %w: !cria.weight<64x64, q8, block = 32, zero_point, n16k4>, %rope: memref<?x2x32xf32>, %layer: index, %slots: memref<?xi32>, %cache: memref<2x?x2x4x32x16xf16>) {
  cria.fused_linear acts(%c, %s, %m : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xi32>) weights(%w : !cria.weight<64x64, q8, block = 32, zero_point, n16k4>) extras(%rope : memref<?x2x32xf32>) layer %layer slots %slots : memref<?xi32> outs(%cache : memref<2x?x2x4x32x16xf16>) attributes {extra_kinds = [#cria<extra rope>], out = #cria<out key>} {
  ^bb0(%acc: vector<16xf32>, %cos: vector<16xf32>, %sin: vector<16xf32>):
    %0 = arith.mulf %acc, %cos : vector<16xf32>
    cria.yield %0 : vector<16xf32>
  }
  return
}

// CHECK-LABEL: func.func @fused_attention(
// CHECK-NEXT: %0 = cria.fused_attention ins(%arg0, %arg1, %arg2, %arg3, %arg4, %arg5 : tensor<?x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) layer %arg7 outs(%arg8 : tensor<?x192xf32>) {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32} -> tensor<?x192xf32>
// CHECK-NEXT: %1 = cria.fused_attention ins(%arg0, %arg1, %arg2, %arg3, %arg4, %arg5 : tensor<?x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) sinks(%arg6 : tensor<6xf32>) layer %arg7 outs(%arg8 : tensor<?x192xf32>) {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32, softcap = 5.000000e+01 : f32, window = 128 : i64} -> tensor<?x192xf32>
func.func @fused_attention(%q: tensor<?x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %sinks: tensor<6xf32>, %layer: index, %init: tensor<?x192xf32>) {
  %0 = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) layer %layer outs(%init : tensor<?x192xf32>) {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32} -> tensor<?x192xf32>
  %1 = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) sinks(%sinks : tensor<6xf32>) layer %layer outs(%init : tensor<?x192xf32>) {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32, softcap = 5.000000e+01 : f32, window = 128 : i64} -> tensor<?x192xf32>
  return
}

// CHECK-LABEL: func.func @split_attention(
// CHECK-NEXT: %0 = cria.attention_partials ins(%arg0, %arg1, %arg2, %arg3, %arg4, %arg5 : tensor<?x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) layer %arg7 first %arg7 outs(%arg8 : tensor<?x6x8x64xf32>) {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32, softcap = 5.000000e+01 : f32, window = 128 : i64} -> tensor<?x6x8x64xf32>
// CHECK-NEXT: %1 = cria.attention_merge ins(%0, %arg3 : tensor<?x6x8x64xf32>, tensor<?xi32>) sinks(%arg6 : tensor<6xf32>) outs(%arg9 : tensor<?x192xf32>) {head_dim = 32 : i64, heads = 6 : i64, window = 128 : i64} -> tensor<?x192xf32>
func.func @split_attention(%q: tensor<?x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %sinks: tensor<6xf32>, %layer: index, %parts: tensor<?x6x8x64xf32>, %init: tensor<?x192xf32>) {
  %0 = cria.attention_partials ins(%q, %k, %v, %p, %s, %t : tensor<?x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) layer %layer first %layer outs(%parts : tensor<?x6x8x64xf32>) {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32, softcap = 5.000000e+01 : f32, window = 128 : i64} -> tensor<?x6x8x64xf32>
  %1 = cria.attention_merge ins(%0, %p : tensor<?x6x8x64xf32>, tensor<?xi32>) sinks(%sinks : tensor<6xf32>) outs(%init : tensor<?x192xf32>) {head_dim = 32 : i64, heads = 6 : i64, window = 128 : i64} -> tensor<?x192xf32>
  return
}

// CHECK-LABEL: func.func @weights(
// CHECK-NEXT: %0 = cria.weight_slice %arg0[%arg1] : !cria.weight<576x576, q4, block = 32, min, n16k4> to !cria.weight<64x576, q4, block = 32, min, n16k4>
// CHECK-NEXT: %1 = cria.weight_slice %arg0[%arg1] : !cria.weight<576x576, q4, block = 32, min, n16k4> to !cria.weight<?x576, q4, block = 32, min, n16k4>
// CHECK-NEXT: %2:3 = cria.weight_data %arg0 : !cria.weight<576x576, q4, block = 32, min, n16k4> -> memref<36x18x4x16x4xi8, strided<[4608, 256, 64, 4, 1], offset: ?>>, memref<36x18x16xf16, strided<[288, 16, 1], offset: ?>>, memref<36x18x16xf16, strided<[288, 16, 1], offset: ?>>
func.func @weights(%w: !cria.weight<576x576, q4, block = 32, min, n16k4>, %o: index) {
  %0 = cria.weight_slice %w[%o] : !cria.weight<576x576, q4, block = 32, min, n16k4> to !cria.weight<64x576, q4, block = 32, min, n16k4>
  %1 = cria.weight_slice %w[%o] : !cria.weight<576x576, q4, block = 32, min, n16k4> to !cria.weight<?x576, q4, block = 32, min, n16k4>
  %2:3 = cria.weight_data %w : !cria.weight<576x576, q4, block = 32, min, n16k4> -> memref<36x18x4x16x4xi8, strided<[4608, 256, 64, 4, 1], offset: ?>>, memref<36x18x16xf16, strided<[288, 16, 1], offset: ?>>, memref<36x18x16xf16, strided<[288, 16, 1], offset: ?>>
  return
}

// CHECK-LABEL: func.func @dot4(
// CHECK-NEXT: %0 = cria.dot4 %arg0, %arg1, %arg2 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
func.func @dot4(%acc: vector<16xi32>, %a: vector<64xi8>, %b: vector<64xi8>) {
  %0 = cria.dot4 %acc, %a, %b {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return
}

// CHECK-LABEL: func.func @dot2_i16(
// CHECK-NEXT: %0 = cria.dot2_i16 %arg0, %arg1, %arg2 : vector<16xi32>, vector<32xi16>
func.func @dot2_i16(%acc: vector<16xi32>, %a: vector<32xi16>, %b: vector<32xi16>) {
  %0 = cria.dot2_i16 %acc, %a, %b : vector<16xi32>, vector<32xi16>
  return
}

// CHECK-LABEL: func.func @dot2(
// CHECK-NEXT: %0 = cria.dot2 %arg0, %arg1, %arg2 : vector<16xf32>, vector<32xbf16>, vector<32xbf16>
func.func @dot2(%acc: vector<16xf32>, %a: vector<32xbf16>, %b: vector<32xbf16>) {
  %0 = cria.dot2 %acc, %a, %b : vector<16xf32>, vector<32xbf16>, vector<32xbf16>
  return
}

// CHECK-LABEL: func.func @dot_tile2(
// CHECK-NEXT: cria.dot_tile2 %arg0[%arg3], %arg1[%arg3], %arg2 : memref<?x576xf32>, memref<4x288x32xbf16>, memref<2x16x16xf32>
func.func @dot_tile2(%acts: memref<?x576xf32>, %weights: memref<4x288x32xbf16>, %out: memref<2x16x16xf32>, %i: index) {
  cria.dot_tile2 %acts[%i], %weights[%i], %out : memref<?x576xf32>, memref<4x288x32xbf16>, memref<2x16x16xf32>
  return
}

// CHECK-LABEL: func.func @dot_tile(
// CHECK-NEXT: cria.dot_tile %arg0[%arg3, %arg3], %arg1, %arg2 : memref<?x144xi32>, memref<2x8x64xi8>, memref<2x16x16xi32>
func.func @dot_tile(%acts: memref<?x144xi32>, %codes: memref<2x8x64xi8>, %out: memref<2x16x16xi32>, %i: index) {
  cria.dot_tile %acts[%i, %i], %codes, %out : memref<?x144xi32>, memref<2x8x64xi8>, memref<2x16x16xi32>
  return
}

// CHECK-LABEL: func.func @threads(
// CHECK-NEXT: %0 = cria.thread_id
// CHECK-NEXT: %1 = cria.num_threads
// CHECK-NEXT: cria.barrier
func.func @threads() {
  %0 = cria.thread_id
  %1 = cria.num_threads
  cria.barrier
  return
}

// CHECK-LABEL: func.func @rows_accumulate(
// CHECK-NEXT: %0 = cria.rows ins(%arg0 : tensor<?x80xf32>) params(%arg1 : tensor<80xf32>) outs(%arg2 : tensor<?x80xf32>) attributes {accumulate} {
// CHECK-NEXT: ^bb0(%arg3: tensor<1x80xf32>, %arg4: tensor<80xf32>, %arg5: tensor<1x80xf32>):
func.func @rows_accumulate(%x: tensor<?x80xf32>, %g: tensor<80xf32>, %init: tensor<?x80xf32>) {
  %0 = cria.rows ins(%x : tensor<?x80xf32>) params(%g : tensor<80xf32>) outs(%init : tensor<?x80xf32>) attributes {accumulate} {
  ^bb0(%row: tensor<1x80xf32>, %w: tensor<80xf32>, %old: tensor<1x80xf32>):
    %1 = cria.norm rms %row weight %w {eps = 1.0e-05 : f32} : tensor<1x80xf32>, weight tensor<80xf32>
    %2 = cria.scale %1 {factor = 0.5 : f32} : tensor<1x80xf32>
    %3 = cria.add %old, %2 : tensor<1x80xf32>
    cria.yield %3 : tensor<1x80xf32>
  } -> tensor<?x80xf32>
  return
}

// CHECK-LABEL: func.func @head_rows(
// CHECK-NEXT: %0 = cria.head_rows ins(%arg0 : tensor<?x64xf32>) weight(%arg1 : tensor<32xf32>) rope(%arg2 : tensor<?x2x32xf32>) layer %arg3 slots %arg4 : tensor<?xi32> outs(%arg5 : tensor<2x?x2x4x32x16xf16>) {eps = 9.99999997E-7 : f32, head_dim = 32 : i64, out = #cria<out key>} -> tensor<2x?x2x4x32x16xf16>
// CHECK-NEXT: %1 = cria.head_rows ins(%arg0 : tensor<?x64xf32>) outs(%arg6 : tensor<?x64xf32>) {head_dim = 32 : i64, out = #cria<out rows>} -> tensor<?x64xf32>
func.func @head_rows(%x: tensor<?x64xf32>, %w: tensor<32xf32>, %t: tensor<?x2x32xf32>, %layer: index, %s: tensor<?xi32>, %k: tensor<2x?x2x4x32x16xf16>, %init: tensor<?x64xf32>) {
  %0 = cria.head_rows ins(%x : tensor<?x64xf32>) weight(%w : tensor<32xf32>) rope(%t : tensor<?x2x32xf32>) layer %layer slots %s : tensor<?xi32> outs(%k : tensor<2x?x2x4x32x16xf16>) {eps = 1.0e-06 : f32, head_dim = 32 : i64, out = #cria<out key>} -> tensor<2x?x2x4x32x16xf16>
  %1 = cria.head_rows ins(%x : tensor<?x64xf32>) outs(%init : tensor<?x64xf32>) {head_dim = 32 : i64, out = #cria<out rows>} -> tensor<?x64xf32>
  return
}

// CHECK-LABEL: func.func @attention_by_distance(
// CHECK-NEXT: cria.fused_attention {{.*}} slopes(%arg6 : tensor<6xf32>) bias(%arg7 : tensor<6x41xf32>) layer
// CHECK-NEXT: cria.attention_partials {{.*}} slopes(%arg6 : tensor<6xf32>) bias(%arg7 : tensor<6x41xf32>) layer
func.func @attention_by_distance(%q: tensor<?x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %slopes: tensor<6xf32>, %bias: tensor<6x41xf32>, %layer: index, %init: tensor<?x192xf32>, %parts: tensor<?x6x8x64xf32>) {
  %0 = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) slopes(%slopes : tensor<6xf32>) bias(%bias : tensor<6x41xf32>) layer %layer outs(%init : tensor<?x192xf32>) {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32} -> tensor<?x192xf32>
  %1 = cria.attention_partials ins(%q, %k, %v, %p, %s, %t : tensor<?x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) slopes(%slopes : tensor<6xf32>) bias(%bias : tensor<6x41xf32>) layer %layer first %layer outs(%parts : tensor<?x6x8x64xf32>) {head_dim = 32 : i64, heads = 6 : i64, kv_heads = 2 : i64, scale = 2.500000e-01 : f32} -> tensor<?x6x8x64xf32>
  return
}
