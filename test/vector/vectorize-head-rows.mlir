// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-vectorize-head-rows -canonicalize -cse -verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @value
// CHECK-SAME:    (%[[X:[^:]*]]: memref<?x64xf32>, %[[W:[^:]*]]: memref<32xf32>, %[[T:[^:]*]]: memref<?x2x32xf32>, %[[L:[^:]*]]: index, %[[S:[^:]*]]: memref<?xi32>, %[[V:[^:]*]]: memref<2x?x2x64x32xf16>)
// CHECK:         scf.for %[[I:.*]] =
// CHECK:           %[[SLOT:.*]] = memref.load %[[S]][%[[I]]]
// CHECK:           %[[PAGE:.*]] = arith.divui %{{.*}}, %c64
// CHECK:           %[[PLACE:.*]] = arith.remui %{{.*}}, %c64
// CHECK:           scf.for %[[H:.*]] = %c0 to %c2
// CHECK:             %[[COLUMN:.*]] = arith.muli %[[H]], %c32
// CHECK:             scf.for {{.*}} iter_args
// CHECK:               math.fma
// CHECK:             math.sqrt
// CHECK:             scf.for %[[D:.*]] = %c0 to %c32 step %c16
// CHECK:               %[[AT:.*]] = arith.addi %[[COLUMN]], %[[D]]
// CHECK:               %[[A:.*]] = vector.load %[[X]][%[[I]], %[[AT]]]
// CHECK:               vector.load %[[W]][%[[D]]]
// CHECK:               %[[SWAP:.*]] = vector.shuffle %[[N:.*]], %[[N]] [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14]
// CHECK:               %[[SIN:.*]] = vector.load %[[T]][%[[I]], %c1, %[[D]]]
// CHECK:               %[[COS:.*]] = vector.load %[[T]][%[[I]], %c0, %[[D]]]
// CHECK:               %[[NC:.*]] = arith.mulf %[[N]], %[[COS]]
// CHECK:               %[[R:.*]] = math.fma %[[SWAP]], %[[SIN]], %[[NC]]
// CHECK:               %[[F:.*]] = arith.truncf %[[R]]
// CHECK:               vector.store %[[F]], %[[V]][%[[L]], %[[PAGE]], %[[H]], %[[PLACE]], %[[D]]]
func.func @value(%x: memref<?x64xf32>, %w: memref<32xf32>, %t: memref<?x2x32xf32>, %l: index, %s: memref<?xi32>, %v: memref<2x?x2x64x32xf16>) {
  cria.head_rows ins(%x : memref<?x64xf32>) weight(%w : memref<32xf32>) rope(%t : memref<?x2x32xf32>) layer %l slots %s : memref<?xi32>
    outs(%v : memref<2x?x2x64x32xf16>) {eps = 1.0e-06 : f32, head_dim = 32 : i64, out = #cria<out value>}
  return
}

// -----

// Positions are lanes of a key's block: 10 elements go to 10 rows.

// CHECK-LABEL: func.func @key
// CHECK:         %[[BLOCK:.*]] = arith.divui %{{.*}}, %c16
// CHECK:         %[[LANE:.*]] = arith.remui %{{.*}}, %c16
// CHECK-COUNT-10: memref.store %{{.*}}, %{{.*}}[%{{.*}}, %{{.*}}, %{{.*}}, %[[BLOCK]], %c{{[0-9]}}, %[[LANE]]]
// CHECK-NOT:     memref.store
func.func @key(%x: memref<?x20xf32>, %l: index, %s: memref<?xi32>, %k: memref<2x?x2x4x10x16xf32>) {
  cria.head_rows ins(%x : memref<?x20xf32>) layer %l slots %s : memref<?xi32>
    outs(%k : memref<2x?x2x4x10x16xf32>) {head_dim = 10 : i64, out = #cria<out key>}
  return
}

// -----

// The 10 lanes of a head that exist; the factor is 1 + weight.

// CHECK-LABEL: func.func @rows
// CHECK-DAG:     %[[MASK:.*]] = arith.constant dense<[true, true, true, true, true, true, true, true, true, true, false, false, false, false, false, false]>
// CHECK-DAG:     %[[ONE:.*]] = arith.constant dense<1.000000e+00> : vector<16xf32>
// CHECK:         vector.maskedload %{{.*}}, %[[MASK]]
// CHECK:         %[[W:.*]] = vector.maskedload
// CHECK:         arith.addf %[[W]], %[[ONE]]
// CHECK:         vector.maskedstore %{{.*}}, %[[MASK]]
func.func @rows(%x: memref<?x20xf32>, %w: memref<10xf32>, %y: memref<?x20xf32>) {
  cria.head_rows ins(%x : memref<?x20xf32>) weight(%w : memref<10xf32>) outs(%y : memref<?x20xf32>)
    {eps = 1.0e-06 : f32, head_dim = 10 : i64, out = #cria<out rows>, plus_one}
  return
}

// -----

// LayerNorm, with a weight and a bias of each head's own. The last 4 of a
// head's 20 elements have lanes beside them that are no part of the variance.

// CHECK-LABEL: func.func @layer
// CHECK-SAME:    (%{{[^:]*}}: memref<?x40xf32>, %[[W:[^:]*]]: memref<40xf32>, %[[B:[^:]*]]: memref<40xf32>, %{{.*}}: memref<?x40xf32>)
// CHECK-DAG:     %[[MASK:.*]] = arith.constant dense<[true, true, true, true, false, false, false, false, false, false, false, false, false, false, false, false]>
// CHECK-DAG:     %[[ZERO:.*]] = arith.constant dense<0.000000e+00> : vector<16xf32>
// CHECK:         scf.for %[[H:.*]] = %c0 to %c2
// CHECK:           %[[COLUMN:.*]] = arith.muli %[[H]], %c20
// CHECK:           arith.addf %{{.*}} : vector<16xf32>
// CHECK:           %[[AVERAGE:.*]] = arith.divf
// CHECK:           %[[MEAN:.*]] = vector.broadcast %[[AVERAGE]]
// CHECK:           %[[FIRST:.*]] = arith.subf %{{.*}}, %[[MEAN]]
// CHECK:           math.fma %[[FIRST]], %[[FIRST]]
// CHECK:           %[[FROM:.*]] = arith.subf %{{.*}}, %[[MEAN]]
// CHECK:           %[[KEPT:.*]] = arith.select %[[MASK]], %[[FROM]], %[[ZERO]]
// CHECK:           math.fma %[[KEPT]], %[[KEPT]]
// CHECK:           %[[ROOT:.*]] = math.sqrt
// CHECK:           %[[INVERSE:.*]] = arith.divf %{{.*}}, %[[ROOT]]
// CHECK:           %[[SCALE:.*]] = vector.broadcast %[[INVERSE]]
// CHECK:           %[[OWN:.*]] = vector.load %[[W]][%[[COLUMN]]]
// CHECK:           %[[N:.*]] = arith.mulf %[[FIRST]], %[[SCALE]]
// CHECK:           %[[NW:.*]] = arith.mulf %[[N]], %[[OWN]]
// CHECK:           %[[ADDED:.*]] = vector.load %[[B]][%[[COLUMN]]]
// CHECK:           arith.addf %[[NW]], %[[ADDED]]
func.func @layer(%x: memref<?x40xf32>, %w: memref<40xf32>, %b: memref<40xf32>, %y: memref<?x40xf32>) {
  cria.head_rows ins(%x : memref<?x40xf32>) weight(%w : memref<40xf32>) bias(%b : memref<40xf32>) outs(%y : memref<?x40xf32>)
    {center, eps = 1.0e-05 : f32, head_dim = 20 : i64, out = #cria<out rows>}
  return
}

// -----

func.func @tensors(%x: tensor<?x32xf32>, %y: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error @below {{is vectorized after bufferization, and operand type 'tensor<?x32xf32>' is a tensor}}
  %0 = cria.head_rows ins(%x : tensor<?x32xf32>) outs(%y : tensor<?x32xf32>) {head_dim = 32 : i64, out = #cria<out rows>} -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}
