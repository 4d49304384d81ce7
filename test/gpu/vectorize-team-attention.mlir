// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -verify-diagnostics -cria-vectorize-team-attention -canonicalize -cse | FileCheck %s

// A prompt: tiles of up to 64 tokens of 2 heads. Three steps of 8 KB each of K
// and V have room, so that two are on their way before the queries are read.

// CHECK-LABEL: func @prompt
// CHECK: scf.while
// How many tokens follow each other.
// CHECK: call @cria_gpu_shuffle_xor
// CHECK: call @cria_gpu_team_sync
// 16 rows or fewer go to 4 warps, more to all 8: a step is 4 pieces a thread,
// K's swapped in every other 4 rows, V's 8 by their row.
// CHECK: scf.if
// CHECK-COUNT-4: func.call @cria_gpu_copy(
// CHECK: func.call @cria_gpu_copy_commit
// CHECK-COUNT-4: func.call @cria_gpu_copy(
// CHECK: func.call @cria_gpu_copy_commit
// CHECK-COUNT-16: func.call @cria_gpu_pack_f16
// CHECK: scf.for
// CHECK: scf.for
// CHECK: func.call @cria_gpu_copy_wait(%c1_i32)
// CHECK-NEXT: func.call @cria_gpu_team_sync
// CHECK-COUNT-4: func.call @cria_gpu_copy(
// CHECK: func.call @cria_gpu_copy_commit
// 4 products' depth of 64 columns for each 8 of 64 positions.
// CHECK-COUNT-32: func.call @cria_gpu_mma_f16
// CHECK-COUNT-16: func.call @cria_gpu_pack_f16
// Two tiles of 8 columns.
// CHECK-COUNT-8: func.call @cria_gpu_mma_f16
// CHECK-NOT: cria_gpu_mma
// CHECK: vector.store {{.*}}cria.lane} : memref<?x128xf32>, vector<2xf32>
// The other split: all 8 tiles of columns.
// CHECK: } else {
// CHECK-COUNT-64: func.call @cria_gpu_mma_f16
// CHECK-NOT: cria_gpu_mma
// CHECK: func.call @cria_gpu_copy_wait
// CHECK-NEXT: func.call @cria_gpu_team_sync
func.func @prompt(%q: memref<?x128xf32>, %k: memref<2x?x1x4x64x16xf16>, %v: memref<2x?x1x64x64xf16>, %p: memref<?xi32>, %s: memref<?xi32>, %t: memref<?x?xi32>, %layer: index, %o: memref<?x128xf32>) {
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<?x128xf32>, memref<2x?x1x4x64x16xf16>, memref<2x?x1x64x64xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
    layer %layer outs(%o : memref<?x128xf32>) {cria.team = 16 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 64 : i64, scale = 1.25e-01 : f32}
  return
}

// -----

// A token's chunks: as above, but for what becomes of a chunk.

// CHECK-LABEL: func @chunks
// CHECK-COUNT-32: func.call @cria_gpu_mma_bf16
// CHECK-COUNT-16: func.call @cria_gpu_pack_bf16
// CHECK-COUNT-8: func.call @cria_gpu_mma_bf16
// CHECK-NOT: cria_gpu_mma
// CHECK: vector.store {{.*}}cria.lane} : memref<?x2x2x96xf32>, vector<2xf32>
// The sum, and three zeros of the other 15.
// CHECK: vector.from_elements %{{.*}}, %[[ZERO:.*]], %[[ZERO]], %[[ZERO]] {cria.lane} : vector<4xf32>
// CHECK: vector.store
func.func @chunks(%q: memref<?x128xf32>, %k: memref<2x?x1x4x64x16xbf16>, %v: memref<2x?x1x64x64xbf16>, %p: memref<?xi32>, %s: memref<?xi32>, %t: memref<?x?xi32>, %layer: index, %first: index, %o: memref<?x2x2x96xf32>) {
  cria.attention_partials ins(%q, %k, %v, %p, %s, %t : memref<?x128xf32>, memref<2x?x1x4x64x16xbf16>, memref<2x?x1x64x64xbf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
    layer %layer first %first outs(%o : memref<?x2x2x96xf32>) {cria.team = 16 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 64 : i64, scale = 1.25e-01 : f32}
  return
}

// -----

// A soft cap is part of every score, a window of masks.

// CHECK-LABEL: func @window
// CHECK: math.tanh
// CHECK: arith.cmpi sge
// CHECK: arith.select
func.func @window(%q: memref<?x16xf32>, %k: memref<2x?x1x4x16x16xf16>, %v: memref<2x?x1x64x16xf16>, %p: memref<?xi32>, %s: memref<?xi32>, %t: memref<?x?xi32>, %layer: index, %o: memref<?x16xf32>) {
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<?x16xf32>, memref<2x?x1x4x16x16xf16>, memref<2x?x1x64x16xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
    layer %layer outs(%o : memref<?x16xf32>) {cria.team = 16 : i64, heads = 1 : i64, kv_heads = 1 : i64, head_dim = 16 : i64, scale = 0.25 : f32, window = 100 : i64, softcap = 30.0 : f32}
  return
}

// -----

func.func @f32(%q: memref<?x16xf32>, %k: memref<2x?x1x4x16x16xf32>, %v: memref<2x?x1x64x16xf32>, %p: memref<?xi32>, %s: memref<?xi32>, %t: memref<?x?xi32>, %layer: index, %o: memref<?x16xf32>) {
  // expected-error @+1 {{of a team needs caches of f16 or bf16, a head_dim that is a multiple of 16 and at most 256, and heads that fit into a tile}}
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<?x16xf32>, memref<2x?x1x4x16x16xf32>, memref<2x?x1x64x16xf32>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
    layer %layer outs(%o : memref<?x16xf32>) {cria.team = 16 : i64, heads = 1 : i64, kv_heads = 1 : i64, head_dim = 16 : i64, scale = 0.25 : f32}
  return
}
