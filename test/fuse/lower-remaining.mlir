// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-lower-remaining | FileCheck %s
// RUN: cria-opt %s -cria-lower-remaining -remarks-filter-missed=cria-fuse -o /dev/null 2>&1 | FileCheck %s --check-prefix=WHY

// WHY: LowerRemaining{{.*}}cria.select_rows
// CHECK-LABEL: func.func @select_rows
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %[[R:[^:]*]]: tensor<?xi32>)
// CHECK:         linalg.generic {{.*}} ins(%[[R]] : tensor<?xi32>)
// CHECK:           %[[I:.*]] = arith.index_cast %{{.*}} : i32 to index
// CHECK:           %[[J:.*]] = linalg.index 1
// CHECK:           tensor.extract %[[X]][%[[I]], %[[J]]]
func.func @select_rows(%x: tensor<?x64xf32>, %rows: tensor<?xi32>) -> tensor<?x64xf32> {
  %y = cria.select_rows %x, %rows : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// What is inside of a kernel is part of it.
// WHY-NOT: cria.norm
// CHECK-LABEL: func.func @norm_in_rows
// CHECK:         cria.rows
// CHECK:           cria.norm
func.func @norm_in_rows(%x: tensor<?x64xf32>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %s = cria.rows ins(%x : tensor<?x64xf32>) outs(%init : tensor<?x64xf32>) {
  ^bb0(%row: tensor<1x64xf32>):
    %n = cria.norm rms %row {eps = 1.0e-05 : f32} : tensor<1x64xf32>
    cria.yield %n : tensor<1x64xf32>
  } -> tensor<?x64xf32>
  return %s : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @lanes
// CHECK:         cria.activation silu %{{.*}} : vector<16xf32>
func.func @lanes(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    %s = cria.activation silu %acc : vector<16xf32>
    cria.yield %s : vector<16xf32>
  } -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
