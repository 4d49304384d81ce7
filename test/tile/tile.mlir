// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(cria-tile,canonicalize,cse))' | FileCheck %s

// CHECK-LABEL: func.func @linear
// CHECK-SAME:    (%[[X:[^:]*]]: {{[^,]*}}, %[[W:[^:]*]]: !cria.weight<96x32, f32, n16>, %[[INIT:[^:]*]]:
// CHECK:         scf.forall (%[[J:.*]]) = (0) to (96) step (32) shared_outs(%[[OUT:.*]] = %[[INIT]])
// CHECK:           %[[ALL:.*]] = tensor.extract_slice %[[X]][0, 0] [%{{.*}}, 32]
// CHECK:           %[[WJ:.*]] = cria.weight_slice %[[W]][%[[J]]] : {{.*}} to !cria.weight<32x32, f32, n16>
// CHECK:           %[[O:.*]] = tensor.extract_slice %[[OUT]][0, %[[J]]] [%{{.*}}, 32]
// CHECK:           %[[T:.*]] = cria.fused_linear acts(%[[ALL]] : {{.*}}) weights(%[[WJ]] : {{.*}}) outs(%[[O]] : tensor<?x32xf32>)
// CHECK:           tensor.parallel_insert_slice %[[T]] into %[[OUT]][0, %[[J]]]
// CHECK:         } {cria.cost = 1024 : i64}
func.func @linear(%x: tensor<?x32xf32>, %w: !cria.weight<96x32, f32, n16>, %init: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<96x32, f32, n16>) outs(%init : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

// With 128 tokens for each thread and more, those of the whole call are split
// over the threads before the rows are.
// CHECK-LABEL: func.func @by_tokens
// CHECK-SAME:    (%[[TOKENS:[^:]*]]: tensor<?xi32> {cria.arg = "tokens"}
// CHECK:         %[[N:.*]] = tensor.dim %[[TOKENS]], %c0
// CHECK:         %[[MOST:.*]] = arith.divui %[[N]], %c128
// CHECK:         %[[THREADS:.*]] = cria.num_threads
// CHECK:         %[[FEWER:.*]] = arith.minui %[[MOST]], %[[THREADS]]
// CHECK:         %[[TASKS:.*]] = arith.maxui %[[FEWER]], %c1
// CHECK:         %[[EACH:.*]] = arith.ceildivui %[[N]], %[[TASKS]]
// CHECK:         %[[SIZE:.*]] = arith.maxui %[[EACH]], %c1
// CHECK:         scf.forall (%[[I:.*]], %[[J:.*]]) = (0, 0) to (%{{.*}}, 96) step (%[[SIZE]], 32)
// CHECK:           tensor.extract_slice %{{.*}}[%[[I]], 0] [%{{.*}}, 32]
// CHECK:         } {cria.by_tokens, cria.cost = 1024 : i64}
func.func @by_tokens(%t: tensor<?xi32> {cria.arg = "tokens"}, %x: tensor<?x32xf32>, %w: !cria.weight<96x32, f32, n16>, %init: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<96x32, f32, n16>) outs(%init : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

// A team's tile of the prefill version; its tokens as well.
// CHECK-LABEL: func.func @gemm
// CHECK:         scf.forall (%{{.*}}, %{{.*}}) = (0, 0) to (%{{.*}}, 96) step (128, 64)
// CHECK:           cria.weight_slice {{.*}} to !cria.weight<?x32, bf16, n16k2>
func.func @gemm(%x: tensor<?x32xf32>, %w: !cria.weight<96x32, bf16, n16k2>, %init: tensor<?x96xf32>) -> tensor<?x96xf32> attributes {cria.version = "prefill"} {
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<96x32, bf16, n16k2>) outs(%init : tensor<?x96xf32>) attributes {cria.gemm = array<i64: 128, 64>, cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

// Decode of codes takes one group of 16 rows at a time.
// CHECK-LABEL: func.func @codes_decode
// CHECK:         scf.forall {{.*}} to (96) step (16)
func.func @codes_decode(%c: tensor<?x8xi32>, %s: tensor<?x1xf32>, %m: tensor<?x1xi32>, %w: !cria.weight<96x32, q4, block = 32, zero_point, n16k4>, %init: tensor<?x96xf32>) -> tensor<?x96xf32> attributes {cria.version = "decode"} {
  %y = cria.fused_linear acts(%c, %s, %m : tensor<?x8xi32>, tensor<?x1xf32>, tensor<?x1xi32>) weights(%w : !cria.weight<96x32, q4, block = 32, zero_point, n16k4>) outs(%init : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

// Matrices with many rows take four groups of 16 a tile.
// CHECK-LABEL: func.func @many_rows
// CHECK:         scf.forall {{.*}} to (8192) step (64)
// CHECK:         cria.cost = 2048
func.func @many_rows(%x: tensor<?x32xf32>, %w: !cria.weight<8192x32, f32, n16>, %init: tensor<?x8192xf32>) -> tensor<?x8192xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<8192x32, f32, n16>) outs(%init : tensor<?x8192xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x8192xf32>
  return %y : tensor<?x8192xf32>
}

// -----

// The last tile of a ragged matrix has what is left.
// CHECK-LABEL: func.func @ragged
// CHECK:         scf.forall (%[[J:.*]]) = (0) to (40) step (16)
// CHECK:           %[[N:.*]] = affine.min
// CHECK:           cria.weight_slice %{{.*}}[%[[J]]] : {{.*}} to !cria.weight<?x32, f32, n16>
// CHECK:           tensor.extract_slice %{{.*}}[0, %[[J]]] [%{{.*}}, %[[N]]]
func.func @ragged(%x: tensor<?x32xf32>, %w: !cria.weight<40x32, f32, n16>, %init: tensor<?x40xf32>) -> tensor<?x40xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<40x32, f32, n16>) outs(%init : tensor<?x40xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x40xf32>
  return %y : tensor<?x40xf32>
}

// -----

// One tile of rows: tokens are split, so that a loop remains.
// CHECK-LABEL: func.func @one_tile_prefill
// CHECK:         scf.forall (%[[I:.*]]) = (0) to (%{{.*}}) step (8)
// CHECK-NOT:       cria.weight_slice
// CHECK:           cria.fused_linear
func.func @one_tile_prefill(%x: tensor<?x32xf32>, %w: !cria.weight<16x32, f32, n16>, %init: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<16x32, f32, n16>) outs(%init : tensor<?x16xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// -----

// CHECK-LABEL: func.func @one_tile_decode
// CHECK:         scf.forall (%[[I:.*]]) in (%{{.*}})
// CHECK:           cria.fused_linear
func.func @one_tile_decode(%x: tensor<?x32xf32>, %w: !cria.weight<16x32, f32, n16>, %init: tensor<?x16xf32>) -> tensor<?x16xf32> attributes {cria.version = "decode"} {
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<16x32, f32, n16>) outs(%init : tensor<?x16xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// -----

// A tile within one head of a cache.
// CHECK-LABEL: func.func @value
// CHECK:         scf.forall (%[[J:.*]]) = (0) to (128) step (32)
// CHECK-DAG:       %[[H:.*]] = affine.apply #[[DIV:.*]](%[[J]])
// CHECK-DAG:       %[[E:.*]] = affine.apply #[[MOD:.*]](%[[J]])
// CHECK:           tensor.extract_slice %{{.*}}[0, 0, %[[H]], 0, %[[E]]] [1, %{{.*}}, 1, 64, 32]
func.func @value(%x: tensor<?x32xf32>, %w: !cria.weight<128x32, f32, n16>, %v: tensor<1x?x2x64x64xf16>, %l: index, %s: tensor<?xi32>) -> tensor<1x?x2x64x64xf16>  {
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<128x32, f32, n16>) layer %l slots %s : tensor<?xi32> outs(%v : tensor<1x?x2x64x64xf16>) attributes {extra_kinds = [], out = #cria<out value>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<1x?x2x64x64xf16>
  return %y : tensor<1x?x2x64x64xf16>
}

// -----

// 64 rows of a tile are neither whole heads of 96 nor within one: 32 are.
// CHECK-LABEL: func.func @heads_of_96
// CHECK:         scf.forall {{.*}} to (9216) step (32)
func.func @heads_of_96(%x: tensor<?x32xf32>, %w: !cria.weight<9216x32, f32, n16>, %v: tensor<1x?x96x64x96xf16>, %l: index, %s: tensor<?xi32>) -> tensor<1x?x96x64x96xf16>  {
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<9216x32, f32, n16>) layer %l slots %s : tensor<?xi32> outs(%v : tensor<1x?x96x64x96xf16>) attributes {extra_kinds = [], out = #cria<out value>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<1x?x96x64x96xf16>
  return %y : tensor<1x?x96x64x96xf16>
}

// -----

// Two heads of 80 are five pairs of groups, where 16 rows would be half a pair.
// CHECK-LABEL: func.func @heads_of_80
// CHECK:         scf.forall {{.*}} to (1280) step (160)
func.func @heads_of_80(%x: tensor<?x32xf32>, %w: !cria.weight<1280x32, f32, n16>, %v: tensor<1x?x16x64x80xf16>, %l: index, %s: tensor<?xi32>) -> tensor<1x?x16x64x80xf16>  {
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<1280x32, f32, n16>) layer %l slots %s : tensor<?xi32> outs(%v : tensor<1x?x16x64x80xf16>) attributes {extra_kinds = [], out = #cria<out value>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<1x?x16x64x80xf16>
  return %y : tensor<1x?x16x64x80xf16>
}

// -----

// Few heads of 80 are not worth whole tiles.
// CHECK-LABEL: func.func @two_heads_of_80
// CHECK:         scf.forall {{.*}} to (160) step (16)
func.func @two_heads_of_80(%x: tensor<?x32xf32>, %w: !cria.weight<160x32, f32, n16>, %v: tensor<1x?x2x64x80xf16>, %l: index, %s: tensor<?xi32>) -> tensor<1x?x2x64x80xf16>  {
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<160x32, f32, n16>) layer %l slots %s : tensor<?xi32> outs(%v : tensor<1x?x2x64x80xf16>) attributes {extra_kinds = [], out = #cria<out value>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<1x?x2x64x80xf16>
  return %y : tensor<1x?x2x64x80xf16>
}

// -----

// Two heads of 32 are a tile of 64.
// CHECK-LABEL: func.func @heads_of_32
// CHECK:         scf.forall (%[[J:.*]]) = (0) to (8192) step (64)
// CHECK:           tensor.extract_slice %{{.*}}[0, 0, %{{.*}}, 0, 0] [1, %{{.*}}, 2, 64, 32]
func.func @heads_of_32(%x: tensor<?x32xf32>, %w: !cria.weight<8192x32, f32, n16>, %v: tensor<1x?x256x64x32xf16>, %l: index, %s: tensor<?xi32>) -> tensor<1x?x256x64x32xf16>  {
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<8192x32, f32, n16>) layer %l slots %s : tensor<?xi32> outs(%v : tensor<1x?x256x64x32xf16>) attributes {extra_kinds = [], out = #cria<out value>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<1x?x256x64x32xf16>
  return %y : tensor<1x?x256x64x32xf16>
}

// -----

// Heads that are no multiple of 16 share vectors: one thread a token writes all.
// CHECK-LABEL: func.func @heads_of_24
// CHECK:         scf.forall (%{{.*}}) = (0) to (%{{.*}}) step (8)
// CHECK-NOT:       cria.weight_slice
// CHECK:           cria.fused_linear
func.func @heads_of_24(%x: tensor<?x32xf32>, %w: !cria.weight<48x32, f32, n16>, %v: tensor<1x?x2x64x24xf16>, %l: index, %s: tensor<?xi32>) -> tensor<1x?x2x64x24xf16>  {
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<48x32, f32, n16>) layer %l slots %s : tensor<?xi32> outs(%v : tensor<1x?x2x64x24xf16>) attributes {extra_kinds = [], out = #cria<out value>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<1x?x2x64x24xf16>
  return %y : tensor<1x?x2x64x24xf16>
}

// -----

// CHECK-LABEL: func.func @rows_prefill
// CHECK:         scf.forall (%{{.*}}) in (%{{.*}})
// CHECK:           cria.rows {{.*}} tensor<1x32xf32>
func.func @rows_prefill(%x: tensor<?x32xf32>, %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %a = cria.rows ins(%x : tensor<?x32xf32>) outs(%init : tensor<?x32xf32>) {
  ^bb0(%row: tensor<1x32xf32>):
    cria.yield %row : tensor<1x32xf32>
  } -> tensor<?x32xf32>
  return %a : tensor<?x32xf32>
}

// -----

// Rows for linears: in decode every thread makes them for itself.
// CHECK-LABEL: func.func @rows_decode
// CHECK-NOT:     scf.forall
// CHECK:         cria.rows
// CHECK:         scf.forall
// CHECK:           cria.fused_linear
func.func @rows_decode(%x: tensor<?x32xf32>, %init: tensor<?x32xf32>, %w: !cria.weight<32x32, f32, n16>, %init2: tensor<?x32xf32>) -> tensor<?x32xf32> attributes {cria.version = "decode"} {
  %a = cria.rows ins(%x : tensor<?x32xf32>) outs(%init : tensor<?x32xf32>) {
  ^bb0(%row: tensor<1x32xf32>):
    cria.yield %row : tensor<1x32xf32>
  } -> tensor<?x32xf32>
  %y = cria.fused_linear acts(%a : tensor<?x32xf32>) weights(%w : !cria.weight<32x32, f32, n16>) outs(%init2 : tensor<?x32xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// Of parameters that are each head's own, a tile gets its heads'.
// CHECK-LABEL: func.func @head_rows_decode
// CHECK-SAME:    %[[W:[^:]*]]: tensor<40xf32>
// CHECK:         scf.forall (%{{.*}}, %[[H:.*]]) in
// CHECK:           %[[AT:.*]] = affine.apply #{{.*}}(%[[H]])
// CHECK:           %[[OWN:.*]] = tensor.extract_slice %[[W]][%[[AT]]] [20] [1]
// CHECK:           cria.head_rows ins(%{{.*}} : tensor<1x20xf32>) weight(%[[OWN]] : tensor<20xf32>) bias(
func.func @head_rows_decode(%x: tensor<?x40xf32>, %w: tensor<40xf32>, %b: tensor<40xf32>, %init: tensor<?x40xf32>) -> tensor<?x40xf32> attributes {cria.version = "decode"} {
  %y = cria.head_rows ins(%x : tensor<?x40xf32>) weight(%w : tensor<40xf32>) bias(%b : tensor<40xf32>) outs(%init : tensor<?x40xf32>) {center, eps = 1.0e-05 : f32, head_dim = 20 : i64, out = #cria<out rows>} -> tensor<?x40xf32>
  return %y : tensor<?x40xf32>
}

// -----

// Rows for anything else are shared.
// CHECK-LABEL: func.func @rows_decode_shared
// CHECK:         scf.forall
// CHECK:           cria.rows
func.func @rows_decode_shared(%x: tensor<?x32xf32>, %init: tensor<?x32xf32>) -> tensor<?x32xf32> attributes {cria.version = "decode"} {
  %a = cria.rows ins(%x : tensor<?x32xf32>) outs(%init : tensor<?x32xf32>) {
  ^bb0(%row: tensor<1x32xf32>):
    cria.yield %row : tensor<1x32xf32>
  } -> tensor<?x32xf32>
  return %a : tensor<?x32xf32>
}

// -----

// Tokens times kv heads; causal rows differ in length: dealt out. 16 tokens
// make a task, or 4 of one sequence, or 1 of several, if there are few tasks.
// CHECK-LABEL: func.func @attention
// CHECK-SAME:    %[[SEQUENCES:[^ :]*]]: tensor<?xi32>, %{{[^ ]*}}: tensor<?x?xi32>
// CHECK-DAG:     %[[N:.*]] = tensor.dim %[[SEQUENCES]], %c0
// CHECK-DAG:     %[[THREADS:.*]] = cria.num_threads
// CHECK:         %[[WANTED:.*]] = arith.muli %[[THREADS]], %c4
// CHECK:         %[[A:.*]] = tensor.extract %[[SEQUENCES]][%c0]
// CHECK:         %[[Z:.*]] = tensor.extract %[[SEQUENCES]]
// CHECK:         %[[ONE:.*]] = arith.cmpi eq, %[[A]], %[[Z]]
// CHECK:         %[[FEW:.*]] = arith.select %[[ONE]], %c4, %c1
// CHECK:         %[[ENOUGH:.*]] = arith.cmpi uge, %{{.*}}, %[[WANTED]]
// CHECK:         %[[SIZE:.*]] = arith.select %[[ENOUGH]], %c16, %[[FEW]]
// CHECK:         scf.forall (%[[I:.*]], %[[H:.*]]) = (0, 0) to (%{{.*}}, 2) step (%[[SIZE]], 1)
// CHECK:           cria.fused_attention {{.*}} {head_dim = 32 : i64, heads = 1 : i64, kv_heads = 1 : i64
// CHECK:         } {cria.cost = {{[0-9]+}} : i64, cria.cyclic}
func.func @attention(%q: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %l: index, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) layer %l outs(%init : tensor<?x64xf32>) {heads = 2 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.17 : f32} -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
