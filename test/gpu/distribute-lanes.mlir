// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-distribute-lanes -canonicalize | FileCheck %s

// CHECK-LABEL: func @f
// CHECK-SAME: (%[[X:.*]]: memref<32xf32>, %[[Y:.*]]: memref<32xf32>, %[[I:.*]]: index)
func.func @f(%x: memref<32xf32>, %y: memref<32xf32>, %i: index) {
  // CHECK: %[[LANE:.*]] = call @cria_gpu_lane() : () -> i32
  // CHECK: %[[L:.*]] = arith.index_castui %[[LANE]] : i32 to index
  // CHECK: %[[J:.*]] = arith.addi %[[I]], %[[L]]
  // CHECK: %[[V:.*]] = memref.load %[[X]][%[[J]]]
  // CHECK: %[[FROM:.*]] = arith.xori %[[LANE]], %c1_i32
  // CHECK: %[[BITS:.*]] = arith.bitcast %[[V]] : f32 to i32
  // CHECK: %[[MOVED:.*]] = call @cria_gpu_shuffle(%[[BITS]], %[[FROM]])
  // CHECK: %[[S:.*]] = arith.bitcast %[[MOVED]] : i32 to f32
  // CHECK: %[[W:.*]] = arith.addf %[[V]], %[[S]] : f32
  // CHECK: call @cria_gpu_sync
  // CHECK: memref.store %[[W]], %[[Y]]
  // CHECK-NEXT: call @cria_gpu_sync
  %v = vector.load %x[%i] : memref<32xf32>, vector<16xf32>
  %s = vector.shuffle %v, %v [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14] : vector<16xf32>, vector<16xf32>
  %w = arith.addf %v, %s : vector<16xf32>
  vector.store %w, %y[%i] : memref<32xf32>, vector<16xf32>
  return
}

// -----

// Four bytes a lane are a word; a shift of bytes is one of words and a mask.

// CHECK-LABEL: func @nibbles
// CHECK-SAME: (%[[C:.*]]: memref<64xi8>, %[[A:.*]]: i32, %[[ACC:.*]]: memref<16xi32>)
func.func @nibbles(%c: memref<64xi8>, %a: i32, %acc: memref<16xi32>) {
  %i = arith.constant 0 : index
  %four = arith.constant dense<4> : vector<64xi8>
  // CHECK: vector.load {{.*}} {alignment = 4 : i64} : memref<64xi8>, vector<4xi8>
  // CHECK: %[[W:.*]] = vector.extract {{.*}} : i32 from vector<1xi32>
  // CHECK: %[[M:.*]] = arith.shrui %[[W]], %c4_i32
  // CHECK: %[[H:.*]] = arith.andi %[[M]], %c252645135_i32
  // CHECK: %[[OLD:.*]] = memref.load
  // CHECK: call @cria_gpu_dot4(%[[OLD]], %[[H]], %[[A]])
  %codes = vector.load %c[%i] : memref<64xi8>, vector<64xi8>
  %high = arith.shrui %codes, %four : vector<64xi8>
  %b = vector.broadcast %a : i32 to vector<16xi32>
  %bytes = vector.bitcast %b : vector<16xi32> to vector<64xi8>
  %old = vector.load %acc[%i] : memref<16xi32>, vector<16xi32>
  %r = cria.dot4 %old, %high, %bytes {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  vector.store %r, %acc[%i] : memref<16xi32>, vector<16xi32>
  return
}

// -----

// One lane stores a scalar. Scratch is the group's, behind what it has.

// CHECK: module attributes {cria.thread_arena_bytes = 192 : i64}
module attributes {cria.thread_arena_bytes = 100 : i64} {
// CHECK-LABEL: func @scratch
// CHECK-SAME: (%[[ARENA:.*]]: memref<?xi8>
func.func @scratch(%arena: memref<?xi8> {cria.arg = "thread_arena"}, %v: f32) {
  %i = arith.constant 3 : index
  // CHECK: %[[VIEW:.*]] = memref.view %[[ARENA]][%c128][] : memref<?xi8> to memref<16xf32>
  %a = memref.alloca() : memref<16xf32>
  // CHECK: call @cria_gpu_sync
  // CHECK: %[[FIRST:.*]] = arith.cmpi
  // CHECK: scf.if %[[FIRST]] {
  // CHECK-NEXT: memref.store %{{.*}}, %[[VIEW]][%c3]
  // CHECK-NEXT: }
  // CHECK-NEXT: call @cria_gpu_sync
  memref.store %v, %a[%i] : memref<16xf32>
  return
}
}

// -----

// The tree of pairs ends with the same bits in all lanes.

// CHECK-LABEL: func @reduce
func.func @reduce(%x: memref<16xi32>) -> i32 {
  %i = arith.constant 0 : index
  // CHECK-COUNT-4: call @cria_gpu_shuffle
  // CHECK-NOT: call @cria_gpu_shuffle
  %v = vector.load %x[%i] : memref<16xi32>, vector<16xi32>
  %r = vector.reduction <maxsi>, %v : vector<16xi32> into i32
  return %r : i32
}

// -----

// Pairs of lanes become the words of the first 8.

// CHECK-LABEL: func @pairs
// CHECK-COUNT-2: call @cria_gpu_shuffle
// CHECK: arith.ori
// CHECK: memref.store %{{.*}} : memref<8xf32>
func.func @pairs(%x: memref<16xbf16>, %y: memref<8xf32>) {
  %i = arith.constant 0 : index
  %v = vector.load %x[%i] : memref<16xbf16>, vector<16xbf16>
  %w = vector.bitcast %v : vector<16xbf16> to vector<8xf32>
  vector.store %w, %y[%i] : memref<8xf32>, vector<8xf32>
  return
}
