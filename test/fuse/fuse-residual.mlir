// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-fuse-residual | FileCheck %s
// RUN: cria-opt %s -split-input-file -cria-fuse-residual -remarks-filter-missed=cria-fuse -o /dev/null 2>&1 | FileCheck %s --check-prefix=WHY

// CHECK-LABEL: func.func @in_place
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>
// CHECK:         cria.fused_linear {{.*}} outs(%[[X]] : tensor<?x64xf32>) attributes {accumulate,
// CHECK-NEXT:    ^bb0(%[[ACC:.*]]: vector<16xf32>, %[[OLD:.*]]: vector<16xf32>):
// CHECK-NEXT:      %[[S:.*]] = arith.addf %[[OLD]], %[[ACC]]
// CHECK-NEXT:      cria.yield %[[S]]
// CHECK-NOT:     cria.add
func.func @in_place(%x: tensor<?x64xf32>, %a: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.fused_linear acts(%a : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %z = cria.add %x, %y : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

// A parallel block reads x again: the sum needs memory of its own.
// CHECK-LABEL: func.func @read_later
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %{{.*}}: tensor<?x64xf32>, %{{.*}}, %[[INIT:[^:]*]]: tensor<?x64xf32>)
// CHECK:         cria.fused_linear {{.*}} extras(%[[X]] : tensor<?x64xf32>) outs(%[[INIT]] : tensor<?x64xf32>) attributes {extra_kinds = [#cria<extra elementwise>]
// CHECK:           arith.addf
// CHECK-NOT:     accumulate
func.func @read_later(%x: tensor<?x64xf32>, %a: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %y = cria.fused_linear acts(%a : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %z = cria.add %x, %y : tensor<?x64xf32>
  %n = cria.norm rms %x {eps = 1.0e-05 : f32} : tensor<?x64xf32>
  return %z, %n : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// It would read what it overwrites.
// CHECK-LABEL: func.func @own_input
// CHECK:         extra_kinds = [#cria<extra elementwise>]
func.func @own_input(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %z = cria.add %x, %y : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

// The next iteration reads x again.
// CHECK-LABEL: func.func @from_outside_a_loop
// CHECK:         extra_kinds = [#cria<extra elementwise>]
func.func @from_outside_a_loop(%x: tensor<?x64xf32>, %a: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>, %n: index) -> tensor<?x64xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %l = scf.for %i = %c0 to %n step %c1 iter_args(%it = %a) -> (tensor<?x64xf32>) {
    %y = cria.fused_linear acts(%it : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
    %z = cria.add %x, %y : tensor<?x64xf32>
    scf.yield %z : tensor<?x64xf32>
  }
  return %l : tensor<?x64xf32>
}

// -----

// Only one branch runs: each may have x's place.
// CHECK-LABEL: func.func @in_branches
// CHECK:         case 0
// CHECK:           attributes {accumulate,
// CHECK:         default
// CHECK:           attributes {accumulate,
func.func @in_branches(%x: tensor<?x64xf32>, %a: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>, %kind: index) -> tensor<?x64xf32> {
  %r = scf.index_switch %kind -> tensor<?x64xf32>
  case 0 {
    %y = cria.fused_linear acts(%a : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
    %z = cria.add %x, %y : tensor<?x64xf32>
    scf.yield %z : tensor<?x64xf32>
  }
  default {
    %y = cria.fused_linear acts(%a : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
    %z = cria.add %y, %x : tensor<?x64xf32>
    scf.yield %z : tensor<?x64xf32>
  }
  return %r : tensor<?x64xf32>
}

// -----

// WHY: FuseResidual{{.*}}its input comes from no fused linear
// CHECK-LABEL: func.func @no_linear
// CHECK:         cria.add
func.func @no_linear(%x: tensor<?x64xf32>, %a: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %z = cria.add %x, %a : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

// A parallel block: x + (a + b) is (x + a) + b, each in place.
// CHECK-LABEL: func.func @parallel
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>
// CHECK:         %[[S:.*]] = cria.fused_linear acts(%{{.*}}) weights(%{{.*}}) outs(%[[X]] : tensor<?x64xf32>) attributes {accumulate,
// CHECK:         cria.fused_linear acts(%{{.*}}) weights(%{{.*}}) outs(%[[S]] : tensor<?x64xf32>) attributes {accumulate,
// CHECK-NOT:     cria.add
func.func @parallel(%x: tensor<?x64xf32>, %a: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %o = cria.fused_linear acts(%a : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %d = cria.fused_linear acts(%a : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %s = cria.add %o, %d : tensor<?x64xf32>
  %z = cria.add %s, %x : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

// A norm after the block adds to the residual, in place.
// CHECK-LABEL: func.func @post_norm
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %{{.*}}, %[[G:[^:]*]]: tensor<64xf32>
// CHECK:         %[[Y:.*]] = cria.fused_linear
// CHECK:         cria.rows ins(%[[Y]] : tensor<?x64xf32>) params(%[[G]] : tensor<64xf32>) outs(%[[X]] : tensor<?x64xf32>) attributes {accumulate} {
// CHECK-NEXT:    ^bb0(%[[ROW:.*]]: tensor<1x64xf32>, %[[W:.*]]: tensor<64xf32>, %[[OLD:.*]]: tensor<1x64xf32>):
// CHECK-NEXT:      %[[N:.*]] = cria.norm rms %[[ROW]] weight %[[W]]
// CHECK-NEXT:      %[[S:.*]] = cria.add %[[OLD]], %[[N]]
// CHECK-NEXT:      cria.yield %[[S]]
func.func @post_norm(%x: tensor<?x64xf32>, %a: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %g: tensor<64xf32>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.fused_linear acts(%a : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %n = cria.norm rms %y weight %g {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<64xf32>
  %z = cria.add %x, %n : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

// Not in place of what is read later.
// WHY: FuseResidual{{.*}}its input comes from no fused linear
// CHECK-LABEL: func.func @post_norm_read_later
// CHECK:         cria.norm
// CHECK:         cria.add
func.func @post_norm_read_later(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %n = cria.norm rms %y {eps = 1.0e-05 : f32} : tensor<?x64xf32>
  %z = cria.add %x, %n : tensor<?x64xf32>
  %m = cria.norm rms %x {eps = 1.0e-05 : f32} : tensor<?x64xf32>
  return %z, %m : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// A norm of the sum takes x's place; the sum, which a prologue reads as well,
// has one of its own.
// CHECK-LABEL: func.func @norm_of_sum
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, {{.*}}, %[[INIT:[^:]*]]: tensor<?x64xf32>)
// CHECK:         %[[S:.*]] = cria.fused_linear {{.*}} extras(%[[X]] : tensor<?x64xf32>) outs(%[[INIT]] :
// CHECK:         cria.rows ins(%[[S]] : tensor<?x64xf32>) outs(%[[X]] : tensor<?x64xf32>)
// CHECK-NEXT:    ^bb0(%[[ROW:.*]]: tensor<1x64xf32>):
// CHECK-NEXT:      %[[N:.*]] = cria.norm layer %[[ROW]]
// CHECK-NEXT:      cria.yield %[[N]]
func.func @norm_of_sum(%x: tensor<?x64xf32>, %a: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>, index) {
  %y = cria.fused_linear acts(%a : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %s = cria.add %x, %y : tensor<?x64xf32>
  %z = cria.norm layer %s {eps = 1.0e-05 : f32} : tensor<?x64xf32>
  %c0 = arith.constant 0 : index
  %n = tensor.dim %s, %c0 : tensor<?x64xf32>
  %p = cria.rows ins(%s : tensor<?x64xf32>) outs(%init : tensor<?x64xf32>) {
  ^bb0(%row: tensor<1x64xf32>):
    cria.yield %row : tensor<1x64xf32>
  } -> tensor<?x64xf32>
  return %z, %p, %n : tensor<?x64xf32>, tensor<?x64xf32>, index
}

// -----

// Something else reads the sum: that is in place, and the norm is left alone.
// CHECK-LABEL: func.func @sum_read_elsewhere
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>
// CHECK:         cria.fused_linear {{.*}} outs(%[[X]] : tensor<?x64xf32>) attributes {accumulate,
// CHECK:         cria.norm layer
func.func @sum_read_elsewhere(%x: tensor<?x64xf32>, %a: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %y = cria.fused_linear acts(%a : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %s = cria.add %x, %y : tensor<?x64xf32>
  %z = cria.norm layer %s {eps = 1.0e-05 : f32} : tensor<?x64xf32>
  return %s, %z : tensor<?x64xf32>, tensor<?x64xf32>
}
