// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-vectorize-embed -canonicalize -cse | FileCheck %s

// CHECK-LABEL: func.func @rows_q8
// CHECK:         %[[W:.*]]:2 = cria.weight_data
// CHECK:         scf.for %[[I:.*]] = %c0 to
// CHECK:           %[[ID:.*]] = memref.load %{{.*}}[%[[I]]] : memref<?xi32>
// CHECK:           %[[T:.*]] = arith.index_castui %[[ID]] : i32 to index
// CHECK:           scf.for %[[B:.*]] = %c0 to %c2 step %c1
// CHECK:             %[[H:.*]] = memref.load %[[W]]#1[%[[T]], %[[B]]]
// CHECK:             %[[F:.*]] = arith.extf %[[H]] : f16 to f32
// CHECK:             %[[SCALE:.*]] = vector.broadcast %[[F]]
// CHECK:             %[[C:.*]] = vector.load %[[W]]#0[%[[T]], %[[B]], %c0] : {{.*}}, vector<16xi8>
// CHECK:             %[[E:.*]] = arith.extsi %[[C]]
// CHECK:             %[[V:.*]] = arith.sitofp %[[E]]
// CHECK:             %[[Y:.*]] = arith.mulf %[[SCALE]], %[[V]]
// CHECK:             vector.store %[[Y]]
func.func @rows_q8(%t: memref<?xi32>, %w: !cria.weight<128x64, q8, block = 32, none, rows>, %y: memref<?x64xf32>) {
  cria.embed_rows ins(%t, %w : memref<?xi32>, !cria.weight<128x64, q8, block = 32, none, rows>) outs(%y : memref<?x64xf32>)
  return
}

// -----

// A row of n16k4 is four bytes of each vector. The last block has 4 columns.

// CHECK-LABEL: func.func @lanes_q4
// CHECK:         %[[W:.*]]:2 = cria.weight_data
// CHECK:           %[[G:.*]] = arith.divui %[[T:.*]], %c16
// CHECK:           %[[L:.*]] = arith.remui %[[T]], %c16
// CHECK:           memref.load %[[W]]#1[%[[G]], %{{.*}}, %[[L]]]
// CHECK:           vector.load %[[W]]#0[%[[G]], %{{.*}}, %c0, %[[L]], %c0] : {{.*}}, vector<4xi8>
// CHECK-COUNT-3:   vector.load %[[W]]#0
// CHECK:           arith.andi
// CHECK:           arith.shrui
// CHECK:           arith.subi
// CHECK:           vector.store
// CHECK:           vector.store
// CHECK:           vector.maskedstore
func.func @lanes_q4(%t: memref<?xi32>, %w: !cria.weight<40x36, q4, block = 32, zero_point, n16k4>, %y: memref<?x36xf32>) {
  cria.embed_rows ins(%t, %w : memref<?xi32>, !cria.weight<40x36, q4, block = 32, zero_point, n16k4>) outs(%y : memref<?x36xf32>)
  return
}

// -----

// CHECK-LABEL: func.func @pairs_bf16
// CHECK:           scf.for %[[K:.*]] = %c0 to %c33 step %c1
// CHECK-DAG:         %[[PAIR:.*]] = arith.divui %[[K]], %c2
// CHECK-DAG:         %[[WHICH:.*]] = arith.remui %[[K]], %c2
// CHECK:             memref.load %{{.*}}[%{{.*}}, %[[PAIR]], %{{.*}}, %[[WHICH]]]
// CHECK:             arith.shli
// CHECK:             memref.store %{{.*}}, %{{.*}}[%{{.*}}, %[[K]]]
func.func @pairs_bf16(%t: memref<?xi32>, %w: !cria.weight<40x33, bf16, n16k2>, %y: memref<?x33xf32>) {
  cria.embed_rows ins(%t, %w : memref<?xi32>, !cria.weight<40x33, bf16, n16k2>) outs(%y : memref<?x33xf32>)
  return
}
