// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -pass-pipeline='builtin.module(func.func(cria-form-teams))' | FileCheck %s
// RUN: cria-opt %s -pass-pipeline='builtin.module(func.func(cria-form-teams{wgmma}))' | FileCheck %s --check-prefix WGMMA

// CHECK-LABEL: func @bf16
// CHECK: cria.fused_linear {{.*}}cria.team = 16
func.func @bf16(%x: tensor<?x64xf32>, %w: !cria.weight<96x64, bf16, n16k2>, %0: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, bf16, n16k2>) outs(%0 : tensor<?x96xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// Tiles of the prefill version: their rows are those of all weights, and more
// where rows are rounded.

// CHECK-LABEL: func @prefill
// CHECK: cria.rows {{.*}}bf16{{.*}}cria.team = 16
// CHECK: cria.fused_linear {{.*}}cria.gemm = array<i64: 128, 256>, cria.team = 16
// CHECK: cria.fused_linear {{.*}}cria.gemm = array<i64: 128, 64>, cria.team = 16

// Products of four warps only where that is the case.

// WGMMA-LABEL: func @prefill
// WGMMA: cria.fused_linear {{.*}}cria.gemm = array<i64: 128, 256>, cria.team = 16 : i64, cria.wgmma
// WGMMA-NOT: cria.wgmma
func.func @prefill(%x: tensor<?x64xf32>, %w: !cria.weight<96x64, bf16, n16k2>, %v: !cria.weight<96x64, bf16, n16k2>, %e: tensor<?x64xf32>, %0: tensor<?x96xf32>) -> (tensor<?x96xf32>, tensor<?x96xf32>) attributes {cria.version = "prefill"} {
  %a = cria.rows ins(%x : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) attributes {bf16} {
  ^bb0(%row: tensor<1x64xf32>):
    cria.yield %row : tensor<1x64xf32>
  } -> tensor<?x64xf32>
  %y = cria.fused_linear acts(%a : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, bf16, n16k2>) outs(%0 : tensor<?x96xf32>)
    attributes {bf16, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  %z = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w, %v : !cria.weight<96x64, bf16, n16k2>, !cria.weight<96x64, bf16, n16k2>) outs(%0 : tensor<?x96xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%g: vector<16xf32>, %u: vector<16xf32>):
    %h = arith.mulf %g, %u : vector<16xf32>
    cria.yield %h : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y, %z : tensor<?x96xf32>, tensor<?x96xf32>
}

// Codes take more instructions than bytes, and registers.

// CHECK-LABEL: func @codes
// CHECK: cria.fused_linear {{.*}}cria.gemm = array<i64: 96, 128>, cria.team = 16
func.func @codes(%c: tensor<?x16xi32>, %s: tensor<?x2xf32>, %m: tensor<?x2xi32>, %w: !cria.weight<96x64, q8, block = 32, zero_point, n16k4>, %0: tensor<?x96xf32>) -> tensor<?x96xf32> attributes {cria.version = "prefill"} {
  %y = cria.fused_linear acts(%c, %s, %m : tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xi32>) weights(%w : !cria.weight<96x64, q8, block = 32, zero_point, n16k4>) outs(%0 : tensor<?x96xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// Prompts of f16 go as batches do, and f32 is for groups.

// CHECK-LABEL: func @f16
// CHECK-NOT: cria.gemm
// CHECK: cria.fused_linear {{.*}}{cria.team = 16
// CHECK-NOT: cria.team
// CHECK: return
func.func @f16(%x: tensor<?x64xf32>, %w: !cria.weight<96x64, f16, n16>, %v: !cria.weight<96x64, f32, n16>, %0: tensor<?x96xf32>) -> (tensor<?x96xf32>, tensor<?x96xf32>) attributes {cria.version = "prefill"} {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, f16, n16>) outs(%0 : tensor<?x96xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  %z = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%v : !cria.weight<96x64, f32, n16>) outs(%0 : tensor<?x96xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y, %z : tensor<?x96xf32>, tensor<?x96xf32>
}

// One of their readers does not take rounded rows, so none does.

// CHECK-LABEL: func @exact
// CHECK-NOT: bf16}
// CHECK-NOT: {bf16
// CHECK: return
func.func @exact(%x: tensor<?x64xf32>, %w: !cria.weight<96x64, bf16, n16k2>, %e: tensor<?x64xf32>, %0: tensor<?x96xf32>) -> tensor<?x96xf32> attributes {cria.version = "decode"} {
  %a = cria.rows ins(%x : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) attributes {bf16} {
  ^bb0(%row: tensor<1x64xf32>):
    cria.yield %row : tensor<1x64xf32>
  } -> tensor<?x64xf32>
  %y = cria.fused_linear acts(%a : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, bf16, n16k2>) outs(%0 : tensor<?x96xf32>)
    attributes {bf16, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// 8 columns are half a product.

// CHECK-LABEL: func @ragged
// CHECK-NOT: cria.team
func.func @ragged(%x: tensor<?x72xf32>, %w: !cria.weight<96x72, bf16, n16k2>, %0: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x72xf32>) weights(%w : !cria.weight<96x72, bf16, n16k2>) outs(%0 : tensor<?x96xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// Products have 16 columns, of f16 or bf16.

// CHECK-LABEL: func @attention
// CHECK: cria.fused_attention {{.*}}cria.team = 16
func.func @attention(%q: tensor<?x96xf32>, %k: tensor<2x?x1x4x48x16xf16>, %v: tensor<2x?x1x64x48xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %layer: index, %0: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %y = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x96xf32>, tensor<2x?x1x4x48x16xf16>, tensor<2x?x1x64x48xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>)
    layer %layer outs(%0 : tensor<?x96xf32>) {heads = 2 : i64, kv_heads = 1 : i64, head_dim = 48 : i64, scale = 0.25 : f32} -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// CHECK-LABEL: func @narrow
// CHECK-NOT: cria.team
func.func @narrow(%q: tensor<?x40xf32>, %k: tensor<2x?x1x4x40x16xf16>, %v: tensor<2x?x1x64x40xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %layer: index, %0: tensor<?x40xf32>) -> tensor<?x40xf32> {
  %y = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x40xf32>, tensor<2x?x1x4x40x16xf16>, tensor<2x?x1x64x40xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>)
    layer %layer outs(%0 : tensor<?x40xf32>) {heads = 1 : i64, kv_heads = 1 : i64, head_dim = 40 : i64, scale = 0.25 : f32} -> tensor<?x40xf32>
  return %y : tensor<?x40xf32>
}

// CHECK-LABEL: func @i8
// CHECK-NOT: cria.team
func.func @i8(%q: tensor<?x32xf32>, %k: tensor<2x?x1x2304xi8>, %v: tensor<2x?x1x2304xi8>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %layer: index, %0: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %y = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x32xf32>, tensor<2x?x1x2304xi8>, tensor<2x?x1x2304xi8>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>)
    layer %layer outs(%0 : tensor<?x32xf32>) {heads = 1 : i64, kv_heads = 1 : i64, head_dim = 32 : i64, scale = 0.25 : f32} -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
