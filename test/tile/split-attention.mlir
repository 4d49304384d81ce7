// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(cria-split-attention,canonicalize,cse))' -verify-diagnostics | FileCheck %s

module attributes {cria.context = 1000 : i64} {
// The chunks that the tokens see, and whether their list is worth a barrier.
// CHECK-LABEL: func.func @decode
// CHECK-SAME:    %[[Q:[^:]*]]: tensor<?x192xf32>, {{.*}}, %[[P:[^:]*]]: tensor<?xi32>, %{{[^:]*}}: tensor<?xi32>, %{{[^:]*}}: tensor<?x?xi32>, %[[SINKS:[^:]*]]: tensor<6xf32>, %[[L:[^:]*]]: index, %[[INIT:[^:]*]]:
// CHECK:         %[[N:.*]] = tensor.dim %[[Q]], %c0
// CHECK:         %[[SEEN:.*]]:2 = scf.for %{{.*}} = %c0 to %[[N]] step %c1
// CHECK:           tensor.extract %[[P]]
// CHECK:           %[[CHUNK:.*]] = arith.divui %{{.*}}, %c256
// CHECK:           arith.addi %[[CHUNK]], %c1
// CHECK:         %[[THREADS:.*]] = cria.num_threads
// CHECK:         %[[TASKS:.*]] = arith.muli %[[N]], %c2
// CHECK:         %[[ROUNDS:.*]] = arith.ceildivui %[[TASKS]], %[[THREADS]]
// CHECK:         %[[WHOLE:.*]] = arith.muli %[[ROUNDS]], %[[SEEN]]#1
// CHECK:         %[[LIST:.*]] = arith.muli %[[SEEN]]#0, %c2
// CHECK:         %[[EVEN:.*]] = arith.ceildivui %[[LIST]], %[[THREADS]]
// CHECK:         %[[COST:.*]] = arith.addi %[[EVEN]], %c1
// CHECK:         %[[IF:.*]] = arith.cmpi uge, %[[WHOLE]], %[[COST]]
// CHECK:         scf.if %[[IF]]
// Room for the chunks of 1000 positions; one item of the list a chunk.
// CHECK:           %[[EMPTY:.*]] = tensor.empty(%[[N]]) : tensor<?x6x4x64xf32>
// CHECK:           %[[PARTS:.*]] = scf.forall (%[[W:.*]]) in (%[[LIST]]) shared_outs(%[[OUT:.*]] = %[[EMPTY]])
// CHECK:             %[[AT:.*]]:4 = scf.for
// CHECK:             %[[HEAD:.*]] = arith.divui %[[AT]]#2, %[[AT]]#3
// CHECK:             %[[C:.*]] = arith.remui %[[AT]]#2, %[[AT]]#3
// CHECK:             tensor.extract_slice %[[Q]][%[[AT]]#1, %{{.*}}] [1, 96]
// CHECK:             %[[TILE:.*]] = cria.attention_partials {{.*}} layer %[[L]] first %[[C]] outs(%{{.*}} : tensor<1x3x1x64xf32>) {head_dim = 32 : i64, heads = 3 : i64, kv_heads = 1 : i64
// CHECK:             tensor.parallel_insert_slice %[[TILE]] into %[[OUT]][%[[AT]]#1, %{{.*}}, %[[C]], 0] [1, 3, 1, 64]
// CHECK:           %[[MERGED:.*]] = cria.attention_merge ins(%[[PARTS]], %[[P]] : {{.*}}) sinks(%[[SINKS]] : tensor<6xf32>) outs(%[[INIT]]
// CHECK:           scf.yield %[[MERGED]]
// CHECK:         } else {
// CHECK:           %[[Y:.*]] = cria.fused_attention
// CHECK:           scf.yield %[[Y]]
func.func @decode(%q: tensor<?x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %sinks: tensor<6xf32>, %l: index, %init: tensor<?x192xf32>) -> tensor<?x192xf32> attributes {cria.version = "decode"} {
  %y = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) sinks(%sinks : tensor<6xf32>) layer %l outs(%init : tensor<?x192xf32>) {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.17 : f32} -> tensor<?x192xf32>
  return %y : tensor<?x192xf32>
}

// Many tokens are enough tiles.
// CHECK-LABEL: func.func @prefill
// CHECK-NOT:     scf.if
// CHECK:         cria.fused_attention
// CHECK-NOT:     cria.attention_partials
func.func @prefill(%q: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %l: index, %init: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {cria.version = "prefill"} {
  %y = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) layer %l outs(%init : tensor<?x64xf32>) {heads = 2 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.17 : f32} -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
}

// -----

// A window bounds the room: 300 positions touch at most three chunks. Chunks
// below the window are not on the list.
module attributes {cria.context = 100000 : i64} {
// CHECK-LABEL: func.func @window
// CHECK:           %[[P:.*]] = arith.index_cast
// CHECK:           arith.divui %[[P]], %c256
// CHECK:           %[[LOW:.*]] = arith.addi %[[P]], %c-299
// CHECK:           %[[FROM:.*]] = arith.maxsi %[[LOW]], %c0
// CHECK:           %[[SKIP:.*]] = arith.divui %[[FROM]], %c256
// CHECK:           arith.subi %{{.*}}, %[[SKIP]]
// CHECK:           tensor.empty(%{{.*}}) : tensor<?x2x3x64xf32>
func.func @window(%q: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %l: index, %init: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {cria.version = "decode"} {
  %y = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) layer %l outs(%init : tensor<?x64xf32>) {heads = 2 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.17 : f32, window = 300 : i64} -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
}

// -----

// One chunk holds all.
module attributes {cria.context = 256 : i64} {
// CHECK-LABEL: func.func @one_chunk
// CHECK-NOT:     scf.if
func.func @one_chunk(%q: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %l: index, %init: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {cria.version = "decode"} {
  %y = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) layer %l outs(%init : tensor<?x64xf32>) {heads = 2 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.17 : f32} -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
}

// -----

// expected-error @below {{needs the attribute cria.context}}
module {
func.func @no_context() attributes {cria.version = "decode"} {
  return
}
}
