// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-fuse-rope -cse | FileCheck %s
// RUN: cria-opt %s -split-input-file -cria-fuse-rope -remarks-filter-missed=cria-fuse -o /dev/null 2>&1 | FileCheck %s --check-prefix=WHY

// CHECK-LABEL: func.func @fuses
// CHECK-SAME:    %[[P:[^:]*]]: tensor<?xi32>
// CHECK:         %[[T:.*]] = cria.rope_table ins(%[[P]] : tensor<?xi32>) outs(%{{.*}} : tensor<?x2x32xf32>)
// CHECK-NOT:     cria.rope %
// CHECK:         cria.fused_linear {{.*}} extras(%[[T]] : tensor<?x2x32xf32>) {{.*}}extra_kinds = [#cria<extra rope>]
// CHECK-NEXT:    ^bb0(%[[A:.*]]: vector<16xf32>, %[[C:.*]]: vector<16xf32>, %[[S:.*]]: vector<16xf32>):
// CHECK-NEXT:      %[[SWAP:.*]] = vector.shuffle %[[A]], %[[A]] [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14]
// CHECK-NEXT:      %[[AC:.*]] = arith.mulf %[[A]], %[[C]]
// CHECK-NEXT:      %[[R:.*]] = math.fma %[[SWAP]], %[[S]], %[[AC]]
// CHECK-NEXT:      cria.yield %[[R]]
func.func @fuses(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %p: tensor<?xi32>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %r = cria.rope %y, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 32>} : tensor<?x64xf32>, tensor<?xi32>
  return %r : tensor<?x64xf32>
}

// -----

// Layers share one table, made in front of their loop.
// CHECK-LABEL: func.func @one_table
// CHECK:         cria.rope_table
// CHECK:         scf.for
// CHECK-NOT:     cria.rope_table
func.func @one_table(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %p: tensor<?xi32>, %init: tensor<?x64xf32>, %n: index) -> tensor<?x64xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %l = scf.for %i = %c0 to %n step %c1 iter_args(%it = %x) -> (tensor<?x64xf32>) {
    %y = cria.fused_linear acts(%it : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
    %r = cria.rope %y, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 32>} : tensor<?x64xf32>, tensor<?xi32>
    %z = cria.fused_linear acts(%it : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
    %s = cria.rope %z, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 32>} : tensor<?x64xf32>, tensor<?xi32>
    %t = cria.add %r, %s : tensor<?x64xf32>
    scf.yield %t : tensor<?x64xf32>
  }
  return %l : tensor<?x64xf32>
}

// -----

// Half pairs: a loop over the elements that reads the table of neighbours.
// WHY: it rotates half pairs
// CHECK-LABEL: func.func @half
// CHECK-SAME:    (%[[X:[^:]*]]: {{.*}}, %[[P:[^:]*]]: tensor<?xi32>
// CHECK:         %[[T:.*]] = cria.rope_table ins(%[[P]] {{.*}}pairs = interleaved
// CHECK:         %[[Y:.*]] = cria.fused_linear {{.*}}extra_kinds = []
// CHECK:         linalg.generic {{.*}} ins(%[[Y]] : tensor<?x64xf32>)
// CHECK:           %[[E:.*]] = arith.remui %{{.*}}, %c32
// CHECK:           %[[FIRST:.*]] = arith.cmpi ult, %[[E]], %c8
// CHECK:           arith.select %[[FIRST]]
// CHECK:           %[[OTHER:.*]] = tensor.extract %[[Y]]
// CHECK:           %[[COS:.*]] = tensor.extract %[[T]][%{{.*}}, %c0{{.*}},
// CHECK:           %[[SIN:.*]] = tensor.extract %[[T]][%{{.*}}, %c1{{.*}},
// CHECK:           %[[XC:.*]] = arith.mulf %{{.*}}, %[[COS]]
// CHECK:           math.fma %[[OTHER]], %[[SIN]], %[[XC]]
func.func @half(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %p: tensor<?xi32>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %r = cria.rope %y, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
  return %r : tensor<?x64xf32>
}

// -----

// A norm of the heads stands between linear and rope.
// WHY: its input comes from no fused linear
// CHECK-LABEL: func.func @head_norm
// CHECK:         cria.norm per_head
// CHECK:         linalg.generic
// CHECK:           arith.xori
func.func @head_norm(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %p: tensor<?xi32>, %g: tensor<32xf32>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %n = cria.norm per_head %y weight %g {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<32xf32>
  %r = cria.rope %n, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 32>} : tensor<?x64xf32>, tensor<?xi32>
  return %r : tensor<?x64xf32>
}

// -----

// WHY: its input is used elsewhere as well
// CHECK-LABEL: func.func @second_use
// CHECK:         cria.fused_linear {{.*}}extra_kinds = []
// CHECK:         linalg.generic
func.func @second_use(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %p: tensor<?xi32>, %init: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %r = cria.rope %y, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 32>} : tensor<?x64xf32>, tensor<?xi32>
  return %r, %y : tensor<?x64xf32>, tensor<?x64xf32>
}
