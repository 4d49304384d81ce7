// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --cria-vectorize-rope-table --cse --split-input-file --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func @whole
// CHECK-SAME: %[[P:.*]]: memref<?xi32>, %[[O:.*]]: memref<?x2x16xf32>
func.func @whole(%p: memref<?xi32>, %o: memref<?x2x16xf32>) {
  // CHECK: scf.for %[[I:.*]] =
  // CHECK: memref.load %[[P]][%[[I]]]
  // CHECK: %[[FREQ:.*]] = arith.constant dense<[1.000000e+00, 0.316227764,
  // CHECK: %[[ANGLE:.*]] = arith.mulf %{{.*}}, %[[FREQ]] : vector<8xf32>
  // CHECK: arith.extf %[[ANGLE]] : vector<8xf32> to vector<8xf64>
  // CHECK-NOT: math.{{sin|cos}}
  // CHECK: %[[SIN:.*]] = arith.truncf
  // CHECK: %[[COS:.*]] = arith.truncf
  // CHECK: %[[C:.*]] = vector.interleave %[[COS]], %[[COS]]
  // CHECK: vector.store %[[C]], %[[O]][%[[I]], %c0, %c0]
  // CHECK: %[[MINUS:.*]] = arith.negf %[[SIN]]
  // CHECK: %[[S:.*]] = vector.interleave %[[MINUS]], %[[SIN]]
  // CHECK: vector.store %[[S]], %[[O]][%[[I]], %c1, %c0]
  // CHECK-NOT: cria.
  cria.rope_table ins(%p : memref<?xi32>) outs(%o : memref<?x2x16xf32>)
    {rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 16>}
  return
}

// -----

// Pairs past rope.dims have frequency 0; a tail of 6 elements is 3 pairs.

// CHECK-LABEL: func @partial
// CHECK: dense<[1.000000e+00, 0.00999999977, 0.000000e+00, 0.000000e+00, 0.000000e+00, 0.000000e+00, 0.000000e+00, 0.000000e+00]> : vector<8xf32>
// CHECK: dense<0.000000e+00> : vector<3xf32>
func.func @partial(%p: memref<?xi32>, %o: memref<?x2x22xf32>) {
  cria.rope_table ins(%p : memref<?xi32>) outs(%o : memref<?x2x22xf32>)
    {rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 4>}
  return
}

// -----

// The attention factor 0.1 ln(4) + 1 multiplies what is turned, and only that.

// CHECK-LABEL: func @yarn
// CHECK: dense<[1.13862944, 1.13862944, 1.000000e+00, 1.000000e+00]> : vector<4xf32>
func.func @yarn(%p: memref<?xi32>, %o: memref<?x2x8xf32>) {
  cria.rope_table ins(%p : memref<?xi32>) outs(%o : memref<?x2x8xf32>)
    {rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 4, scaling = yarn, factor = 4.0, original_context = 64>}
  return
}

// -----

// Each token chooses by its own position.

// CHECK-LABEL: func @longrope
// CHECK: %[[SHORT:.*]] = arith.constant dense<[1.000000e+00, 5.000000e-03]>
// CHECK: %[[WITHIN:.*]] = arith.cmpi slt, %{{.*}}, %c64
// CHECK: %[[LONG:.*]] = arith.constant dense<[2.500000e-01, 1.250000e-03]>
// CHECK: arith.select %[[WITHIN]], %[[SHORT]], %[[LONG]]
func.func @longrope(%p: memref<?xi32>, %o: memref<?x2x4xf32>) {
  cria.rope_table ins(%p : memref<?xi32>) outs(%o : memref<?x2x4xf32>)
    {rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 4, scaling = longrope, original_context = 64, max_context = 128, short_factors = [1.0, 2.0], long_factors = [4.0, 8.0]>}
  return
}

// -----

// CHECK-LABEL: func @ntk
// CHECK: %[[KEPT:.*]] = arith.constant dense<[1.000000e+00, 0.00999999977]>
// CHECK: %[[WITHIN:.*]] = arith.cmpi slt, %{{.*}}, %c64
// CHECK: %[[STRETCHED:.*]] = arith.truncf %{{.*}} : vector<2xf64> to vector<2xf32>
// CHECK: arith.select %[[WITHIN]], %[[KEPT]], %[[STRETCHED]]
func.func @ntk(%p: memref<?xi32>, %o: memref<?x2x4xf32>) {
  cria.rope_table ins(%p : memref<?xi32>) outs(%o : memref<?x2x4xf32>)
    {rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 4, scaling = ntk, factor = 2.0, original_context = 64>}
  return
}

// -----

func.func @strided(%p: memref<?xi32>, %o: memref<?x2x16xf32, strided<[64, 32, 2]>>) {
  // expected-error@+1 {{needs an even, static last dimension of unit stride}}
  cria.rope_table ins(%p : memref<?xi32>) outs(%o : memref<?x2x16xf32, strided<[64, 32, 2]>>)
    {rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 16>}
  return
}
