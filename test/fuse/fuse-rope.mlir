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

// A norm of the heads stands between linear and rope: one kernel takes both.
// CHECK-LABEL: func.func @head_norm
// CHECK-SAME:    %[[P:[^:]*]]: tensor<?xi32>, %[[G:[^:]*]]: tensor<32xf32>
// CHECK:         %[[T:.*]] = cria.rope_table ins(%[[P]]
// CHECK:         %[[Y:.*]] = cria.fused_linear {{.*}}extra_kinds = []
// CHECK:         cria.head_rows ins(%[[Y]] : tensor<?x64xf32>) weight(%[[G]] : tensor<32xf32>) rope(%[[T]] : tensor<?x2x32xf32>)
// CHECK-SAME:      {eps = 9.99999974E-6 : f32, head_dim = 32 : i64, out = #cria<out rows>}
// CHECK-NOT:     cria.norm
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

// The same of a LayerNorm whose weight and bias are each head's own.
// CHECK-LABEL: func.func @head_layer_norm
// CHECK-SAME:    %[[G:[^:]*]]: tensor<64xf32>, %[[B:[^:]*]]: tensor<64xf32>
// CHECK:         cria.head_rows ins(%{{.*}} : tensor<?x64xf32>) weight(%[[G]] : tensor<64xf32>) bias(%[[B]] : tensor<64xf32>) rope(
// CHECK-SAME:      {center, eps = 9.99999974E-6 : f32, head_dim = 32 : i64, out = #cria<out rows>}
// CHECK-NOT:     cria.norm
func.func @head_layer_norm(%x: tensor<?x64xf32>, %p: tensor<?xi32>, %g: tensor<64xf32>, %b: tensor<64xf32>) -> tensor<?x64xf32> {
  %n = cria.norm layer_per_head %x weight %g bias %b {eps = 1.0e-05 : f32, head_dim = 32 : i64} : tensor<?x64xf32>, weight tensor<64xf32>, bias tensor<64xf32>
  %r = cria.rope %n, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 32>} : tensor<?x64xf32>, tensor<?xi32>
  return %r : tensor<?x64xf32>
}

// -----

// A norm with another use, or over other heads, stays in front.
// CHECK-LABEL: func.func @norm_used_twice
// CHECK:         %[[N:.*]] = cria.norm per_head
// CHECK:         cria.head_rows ins(%[[N]] : tensor<?x64xf32>) rope(
// CHECK:         %[[M:.*]] = cria.norm per_head
// CHECK:         cria.head_rows ins(%[[M]] : tensor<?x64xf32>) rope(
func.func @norm_used_twice(%x: tensor<?x64xf32>, %p: tensor<?xi32>, %g: tensor<32xf32>, %h: tensor<16xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) {
  %n = cria.norm per_head %x weight %g {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<32xf32>
  %r = cria.rope %n, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 32>} : tensor<?x64xf32>, tensor<?xi32>
  %m = cria.norm per_head %x weight %h {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<16xf32>
  %s = cria.rope %m, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 32>} : tensor<?x64xf32>, tensor<?xi32>
  return %n, %r, %s : tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// Heads of 8 would share vectors.
// CHECK-LABEL: func.func @small_heads
// CHECK:         %[[Y:.*]] = cria.fused_linear {{.*}}extra_kinds = []
// CHECK:         cria.head_rows ins(%[[Y]] : tensor<?x64xf32>) rope(%{{.*}} : tensor<?x2x8xf32>)
func.func @small_heads(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %p: tensor<?xi32>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %r = cria.rope %y, %p {head_dim = 8 : i64, rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 8>} : tensor<?x64xf32>, tensor<?xi32>
  return %r : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func.func @second_use
// CHECK:         %[[Y:.*]] = cria.fused_linear {{.*}}extra_kinds = []
// CHECK:         cria.head_rows ins(%[[Y]] : tensor<?x64xf32>) rope(
func.func @second_use(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %p: tensor<?xi32>, %init: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %r = cria.rope %y, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 32>} : tensor<?x64xf32>, tensor<?xi32>
  return %r, %y : tensor<?x64xf32>, tensor<?x64xf32>
}
