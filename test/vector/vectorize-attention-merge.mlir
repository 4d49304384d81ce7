// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --cria-vectorize-attention-merge --canonicalize --cse --split-input-file --verify-diagnostics | FileCheck %s

// The chunks of each token's position, in order: maximum, sums and the two
// vectors of a head of 20.

// CHECK-LABEL: func @merge
// CHECK-SAME: %[[PARTS:[^:]*]]: memref<?x2x8x52xf32>, %[[P:[^:]*]]: memref<?xi32>, %[[SINKS:[^:]*]]: memref<2xf32>, %[[O:[^:]*]]: memref<?x40xf32>
// CHECK: scf.for %[[TOKEN:.*]] = %c0 to
// CHECK: memref.load %[[P]][%[[TOKEN]]]
// CHECK: %[[LAST:.*]] = arith.divui %{{.*}}, %c256
// CHECK: %[[COUNT:.*]] = arith.addi %[[LAST]], %c1
// CHECK: scf.for %[[HEAD:.*]] = %c0 to %c2
// CHECK: %[[R:.*]]:4 = scf.for %[[C:.*]] = %c0 to %[[COUNT]] step %c1 iter_args(%[[M:.*]] = %{{.*}}, %[[L:.*]] = %{{.*}}, %[[O0:.*]] = %{{.*}}, %[[O1:.*]] = %{{.*}}) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<4xf32>)
// CHECK: memref.load %[[PARTS]][%[[TOKEN]], %[[HEAD]], %[[C]], %c36]
// CHECK: %[[SUMS:.*]] = vector.load %[[PARTS]][%[[TOKEN]], %[[HEAD]], %[[C]], %c20]
// CHECK: %[[OLD:.*]] = arith.mulf %[[L]], %[[F:.*]] : vector<16xf32>
// CHECK: math.fma %[[NEW:.*]], %[[SUMS]], %[[OLD]] : vector<16xf32>
// CHECK: vector.load %[[PARTS]][%[[TOKEN]], %[[HEAD]], %[[C]], %c0]
// CHECK: vector.load %[[PARTS]][%[[TOKEN]], %[[HEAD]], %[[C]], %c16] : {{.*}}, vector<4xf32>
// CHECK: memref.load %[[SINKS]][%[[HEAD]]]
// CHECK: arith.divf
// CHECK: vector.store %{{.*}}, %[[O]][%[[TOKEN]], %{{.*}}] : memref<?x40xf32>, vector<16xf32>
// CHECK: vector.store %{{.*}}, %[[O]][%[[TOKEN]], %{{.*}}] : memref<?x40xf32>, vector<4xf32>
// CHECK-NOT: cria.
func.func @merge(%parts: memref<?x2x8x52xf32>, %p: memref<?xi32>, %sinks: memref<2xf32>, %o: memref<?x40xf32>) {
  cria.attention_merge ins(%parts, %p : memref<?x2x8x52xf32>, memref<?xi32>) sinks(%sinks : memref<2xf32>) outs(%o : memref<?x40xf32>) {heads = 2 : i64, head_dim = 20 : i64}
  return
}

// -----

// The chunks that a window reaches.

// CHECK-LABEL: func @window
// CHECK: %[[LOW:.*]] = arith.addi %{{.*}}, %c-99
// CHECK: %[[FIRST:.*]] = arith.maxsi %[[LOW]], %c0
// CHECK: %[[SKIP:.*]] = arith.divui %[[FIRST]], %c256
// CHECK: %[[COUNT:.*]] = arith.subi %{{.*}}, %[[SKIP]]
// CHECK: scf.for %{{.*}} = %c0 to %[[COUNT]]
func.func @window(%parts: memref<?x1x2x48xf32>, %p: memref<?xi32>, %o: memref<?x16xf32>) {
  cria.attention_merge ins(%parts, %p : memref<?x1x2x48xf32>, memref<?xi32>) outs(%o : memref<?x16xf32>) {heads = 1 : i64, head_dim = 16 : i64, window = 100 : i64}
  return
}

// -----

func.func @tensors(%parts: tensor<1x1x2x48xf32>, %p: tensor<1xi32>, %o: tensor<1x16xf32>) {
  // expected-error @below {{is vectorized after bufferization}}
  %0 = cria.attention_merge ins(%parts, %p : tensor<1x1x2x48xf32>, tensor<1xi32>) outs(%o : tensor<1x16xf32>) {heads = 1 : i64, head_dim = 16 : i64} -> tensor<1x16xf32>
  return
}
