// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-vectorize-rows -canonicalize -cse -verify-diagnostics | FileCheck %s
// RUN: cria-opt %s -split-input-file -cria-vectorize-rows=dot2 -canonicalize -cse -verify-diagnostics | FileCheck %s --check-prefix=PAIRS

// CHECK-LABEL: func.func @rms
// CHECK-SAME:    (%[[X:[^:]*]]: memref<?x64xf32>, %[[G:[^:]*]]: memref<64xf32>, %[[CODES:[^:]*]]: memref<?x16xi32>, %[[SCALES:[^:]*]]: memref<?x2xf32>, %[[SUMS:[^:]*]]: memref<?x2xf32>)
// CHECK:         %[[N:.*]] = memref.dim %[[X]], %c0
// CHECK:         scf.for %[[I:.*]] = %c0 to %[[N]] step %c1
// CHECK:           %[[SQ:.*]] = scf.for %[[K:.*]] = %c0 to %c64 step %c16 iter_args(%[[ACC:.*]] = %{{.*}}) -> (vector<16xf32>)
// CHECK:             %[[V:.*]] = vector.load %[[X]][%[[I]], %[[K]]]
// CHECK:             %[[F:.*]] = math.fma %[[V]], %[[V]], %[[ACC]]
// CHECK:             scf.yield %[[F]]
// The tree over lanes, then 1 / sqrt.
// CHECK-COUNT-4:   arith.addf %{{.*}}, %{{.*}} : vector<
// CHECK:           %[[ROOT:.*]] = math.sqrt
// CHECK:           arith.divf %{{.*}}, %[[ROOT]]
// CHECK:           scf.for %[[B:.*]] = %c0 to %c2 step %c1
// CHECK:             vector.load %[[X]][%[[I]],
// CHECK:             vector.load %[[G]]
// CHECK:             %[[LARGEST:.*]] = vector.reduction <maxsi>
// CHECK:             %[[AMAX:.*]] = arith.bitcast %[[LARGEST]] : i32 to f32
// CHECK:             %[[D:.*]] = arith.divf %[[AMAX]],
// CHECK:             %[[TINY:.*]] = arith.cmpf olt, %[[AMAX]]
// CHECK:             arith.select %[[TINY]]
// CHECK:             %[[WORDS:.*]] = vector.bitcast %{{.*}} : vector<32xi8> to vector<8xi32>
// CHECK:             vector.store %[[WORDS]], %[[CODES]][%[[I]],
// CHECK:             memref.store %[[D]], %[[SCALES]][%[[I]], %[[B]]]
// CHECK:             %[[TOTAL:.*]] = vector.reduction <add>
// CHECK:             %[[FLOAT:.*]] = arith.sitofp %[[TOTAL]]
// CHECK:             %[[SUM:.*]] = arith.mulf %[[D]], %[[FLOAT]]
// CHECK:             memref.store %[[SUM]], %[[SUMS]][%[[I]], %[[B]]]
func.func @rms(%x: memref<?x64xf32>, %g: memref<64xf32>, %codes: memref<?x16xi32>,
               %scales: memref<?x2xf32>, %sums: memref<?x2xf32>) {
  cria.rows ins(%x : memref<?x64xf32>) params(%g : memref<64xf32>)
    outs(%codes, %scales, %sums : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xf32>) {
  ^bb0(%row: tensor<1x64xf32>, %w: tensor<64xf32>):
    %0 = cria.norm rms %row weight %w {eps = 1.0e-05 : f32} : tensor<1x64xf32>, weight tensor<64xf32>
    cria.yield %0 : tensor<1x64xf32>
  }
  return
}

// -----

// K = 40: the last block has 8 columns, read under a mask. Sums carry the
// zero point.

// CHECK-LABEL: func.func @tail
// CHECK-DAG:     %[[MASK:.*]] = arith.constant dense<[true, true, true, true, true, true, true, true, false,
// CHECK-DAG:     %[[ZP:.*]] = arith.constant -8 : i32
// CHECK:         scf.for
// CHECK:           vector.load
// CHECK:           vector.load
// CHECK:           vector.maskedload %{{.*}}, %[[MASK]]
// CHECK:           %[[TOTAL:.*]] = vector.reduction <add>
// CHECK:           %[[SUM:.*]] = arith.muli %[[TOTAL]], %[[ZP]]
// CHECK:           memref.store %[[SUM]], %{{.*}}[%{{.*}}, %c1] : memref<?x2xi32>
func.func @tail(%x: memref<?x40xf32>, %codes: memref<?x16xi32>, %scales: memref<?x2xf32>, %sums: memref<?x2xi32>) {
  cria.rows ins(%x : memref<?x40xf32>)
    outs(%codes, %scales, %sums : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xi32>) attributes {zero_point = 8 : i64} {
  ^bb0(%row: tensor<1x40xf32>):
    cria.yield %row : tensor<1x40xf32>
  }
  return
}

// -----

// A layer norm subtracts the mean before it squares, and stores f32.

// CHECK-LABEL: func.func @layer
// CHECK:         scf.for
// CHECK:           scf.for
// CHECK:           %[[MEAN:.*]] = vector.broadcast %{{.*}} : f32 to vector<16xf32>
// CHECK:           scf.for
// CHECK:             %[[C:.*]] = arith.subf %{{.*}}, %[[MEAN]]
// CHECK:             math.fma %[[C]], %[[C]],
// CHECK:           math.sqrt
// CHECK:           scf.for
// CHECK:             arith.subf %{{.*}}, %[[MEAN]]
// CHECK:             arith.mulf
// CHECK:             arith.mulf
// CHECK:             %[[Y:.*]] = arith.addf
// CHECK:             vector.store %[[Y]]
func.func @layer(%x: memref<?x32xf32>, %g: memref<32xf32>, %b: memref<32xf32>, %y: memref<?x32xf32>) {
  cria.rows ins(%x : memref<?x32xf32>) params(%g, %b : memref<32xf32>, memref<32xf32>) outs(%y : memref<?x32xf32>) {
  ^bb0(%row: tensor<1x32xf32>, %w: tensor<32xf32>, %v: tensor<32xf32>):
    %0 = cria.norm layer %row weight %w bias %v {eps = 1.0e-05 : f32} : tensor<1x32xf32>, weight tensor<32xf32>, bias tensor<32xf32>
    cria.yield %0 : tensor<1x32xf32>
  }
  return
}

// -----

// A norm after a block: scaled, and added to what is there.

// CHECK-LABEL: func.func @accumulate
// CHECK-SAME:    (%[[X:[^:]*]]: memref<?x32xf32>, %[[Y:[^:]*]]: memref<?x32xf32>)
// CHECK-DAG:     %[[HALF:.*]] = arith.constant dense<5.000000e-01> : vector<16xf32>
// CHECK:         math.sqrt
// CHECK:         scf.for
// CHECK:           %[[V:.*]] = vector.load %[[X]]
// CHECK:           %[[N:.*]] = arith.mulf %[[V]], %{{.*}}
// CHECK:           %[[S:.*]] = arith.mulf %[[N]], %[[HALF]]
// CHECK:           %[[OLD:.*]] = vector.load %[[Y]]
// CHECK:           %[[R:.*]] = arith.addf %[[OLD]], %[[S]]
// CHECK:           vector.store %[[R]], %[[Y]]
func.func @accumulate(%x: memref<?x32xf32>, %y: memref<?x32xf32>) {
  cria.rows ins(%x : memref<?x32xf32>) outs(%y : memref<?x32xf32>) attributes {accumulate} {
  ^bb0(%row: tensor<1x32xf32>, %old: tensor<1x32xf32>):
    %0 = cria.norm rms %row {eps = 1.0e-05 : f32} : tensor<1x32xf32>
    %1 = cria.scale %0 {factor = 0.5 : f32} : tensor<1x32xf32>
    %2 = cria.add %old, %1 : tensor<1x32xf32>
    cria.yield %2 : tensor<1x32xf32>
  }
  return
}

// -----

// A quantised per-head norm uses one buffer, not one an iteration.

// CHECK-LABEL: func.func @heads
// CHECK:         %[[BUFFER:.*]] = memref.alloca() : memref<1x60xf32>
// CHECK:         scf.for
// CHECK:           scf.for %{{.*}} = %c0 to %c60 step %c20
// CHECK:             vector.store %{{.*}}, %[[BUFFER]]
// CHECK:           vector.load %[[BUFFER]]
func.func @heads(%x: memref<?x60xf32>, %g: memref<20xf32>, %codes: memref<?x16xi32>,
                 %scales: memref<?x2xf32>, %sums: memref<?x2xf32>) {
  cria.rows ins(%x : memref<?x60xf32>) params(%g : memref<20xf32>)
    outs(%codes, %scales, %sums : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xf32>) {
  ^bb0(%row: tensor<1x60xf32>, %w: tensor<20xf32>):
    %0 = cria.norm per_head %row weight %w {eps = 1.0e-05 : f32} : tensor<1x60xf32>, weight tensor<20xf32>
    cria.yield %0 : tensor<1x60xf32>
  }
  return
}

// -----

func.func @tensors(%x: tensor<?x32xf32>, %y: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error @below {{is vectorized after bufferization, and operand type 'tensor<?x32xf32>' is a tensor}}
  %0 = cria.rows ins(%x : tensor<?x32xf32>) outs(%y : tensor<?x32xf32>) {
  ^bb0(%row: tensor<1x32xf32>):
    cria.yield %row : tensor<1x32xf32>
  } -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// -----

// Two columns are a word where the target has products of them: 36 columns are
// two stores of 8 words, and one of 2.

// CHECK-LABEL: func.func @pairs
// CHECK:         vector.store %{{.*}}, %{{.*}} : memref<?x36xf32>, vector<16xf32>
// PAIRS-LABEL: func.func @pairs
// PAIRS-SAME:    (%[[X:[^:]*]]: memref<?x36xf32>, %[[Y:[^:]*]]: memref<?x36xf32>)
// PAIRS:         scf.for %[[K:.*]] = %c0 to %c32 step %c16
// PAIRS:           %[[V:.*]] = vector.load %[[X]][%{{.*}}, %[[K]]] : memref<?x36xf32>, vector<16xf32>
// PAIRS:           %[[HALVES:.*]] = arith.trunci %{{.*}} : vector<16xi32> to vector<16xi16>
// PAIRS:           vector.bitcast %{{.*}} : vector<16xbf16> to vector<8xf32>
// PAIRS:           %[[WORD:.*]] = arith.divui %[[K]], %c2
// PAIRS:           vector.store %{{.*}}, %[[Y]][%{{.*}}, %[[WORD]]] : memref<?x36xf32>, vector<8xf32>
// PAIRS:         vector.maskedstore %[[Y]][%{{.*}}, %c16],
func.func @pairs(%x: memref<?x36xf32>, %y: memref<?x36xf32>) {
  cria.rows ins(%x : memref<?x36xf32>) outs(%y : memref<?x36xf32>) attributes {bf16} {
  ^bb0(%row: tensor<1x36xf32>):
    cria.yield %row : tensor<1x36xf32>
  }
  return
}
