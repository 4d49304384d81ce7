// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-fuse-kv-append -cse | FileCheck %s
// RUN: cria-opt %s -split-input-file -cria-fuse-kv-append -remarks-filter-missed=cria-fuse -o /dev/null 2>&1 | FileCheck %s --check-prefix=WHY

// CHECK-LABEL: func.func @value
// CHECK-SAME:    %[[V:[^:]*]]: tensor<2x?x2x64x32xf16>, %[[L:[^:]*]]: index, %[[S:[^:]*]]: tensor<?xi32>
// CHECK:         cria.fused_linear {{.*}} layer %[[L]] slots %[[S]] : tensor<?xi32> outs(%[[V]] : tensor<2x?x2x64x32xf16>) {{.*}}out = #cria<out value>
// CHECK-NOT:     cria.kv_append
func.func @value(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>, %v: tensor<2x?x2x64x32xf16>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x64x32xf16> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %next = cria.kv_append value %y into %v[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x64x32xf16>, tensor<?xi32>
  return %next : tensor<2x?x2x64x32xf16>
}

// -----

// CHECK-LABEL: func.func @key
// CHECK:         cria.fused_linear {{.*}} out = #cria<out key>
func.func @key(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x4x32x16xf16> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %next = cria.kv_append key %y into %k[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<?xi32>
  return %next : tensor<2x?x2x4x32x16xf16>
}

// -----

// Rows that come from elsewhere: head by head, in place. Slot s of a value is
// place s mod 64 of page s / 64.
// WHY: its input comes from no fused linear
// CHECK-LABEL: func.func @value_rows
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %[[V:[^:]*]]: tensor<2x?x2x64x32xf16>, %[[L:[^:]*]]: index, %[[S:[^:]*]]: tensor<?xi32>)
// CHECK:         scf.forall (%[[I:.*]], %[[H:.*]]) in (%{{.*}}, 2) shared_outs(%[[C:.*]] = %[[V]])
// CHECK:           tensor.extract %[[S]][%[[I]]]
// CHECK:           %[[PAGE:.*]] = arith.divui %{{.*}}, %c64
// CHECK:           %[[PLACE:.*]] = arith.remui %{{.*}}, %c64
// CHECK:           tensor.extract_slice %[[X]][%[[I]], %{{.*}}] [1, 32] [1, 1]
// CHECK:           arith.truncf
// CHECK:           tensor.parallel_insert_slice %{{.*}} into %[[C]][%[[L]], %[[PAGE]], %[[H]], %[[PLACE]], 0] [1, 1, 1, 1, 32]
func.func @value_rows(%x: tensor<?x64xf32>, %v: tensor<2x?x2x64x32xf16>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x64x32xf16> {
  %next = cria.kv_append value %x into %v[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x64x32xf16>, tensor<?xi32>
  return %next : tensor<2x?x2x64x32xf16>
}

// -----

// Keys of 16 slots lie side by side.
// CHECK-LABEL: func.func @key_rows
// CHECK:         %[[BLOCK:.*]] = arith.divui %{{.*}}, %c16
// CHECK:         %[[LANE:.*]] = arith.remui %{{.*}}, %c16
// CHECK:         tensor.parallel_insert_slice {{.*}}, %[[BLOCK]], 0, %[[LANE]]] [1, 1, 1, 1, 32, 1]
func.func @key_rows(%x: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x4x32x16xf16> {
  %next = cria.kv_append key %x into %k[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<?xi32>
  return %next : tensor<2x?x2x4x32x16xf16>
}

// -----

// A cache of i8: the scale of a head is known when all of it is, so the linear
// keeps its rows. Place p of a value has its codes at 32 p, its scale at
// 64 * 32 + 4 p.
// CHECK-LABEL: func.func @value_i8
// CHECK-SAME:    %[[V:[^:]*]]: tensor<2x?x2x2304xi8>
// CHECK:         %[[X:.*]] = cria.fused_linear {{.*}} out = #cria<out rows>
// CHECK:         scf.forall (%[[I:.*]], %[[H:.*]]) in (%{{.*}}, 2) shared_outs(%[[C:.*]] = %[[V]])
// CHECK:           %[[PLACE:.*]] = arith.remui %{{.*}}, %c64
// CHECK:           %[[FIRST:.*]] = arith.muli %[[PLACE]], %c32
// CHECK:           %[[BITS:.*]] = scf.for %{{.*}} -> (i32)
// CHECK:             arith.maxui
// CHECK:           %[[MOST:.*]] = arith.bitcast %[[BITS]] : i32 to f32
// CHECK:           arith.divf %{{.*}}, %[[MOST]]
// CHECK:           arith.divf %[[MOST]], %{{.*}}
// CHECK:           %[[PAGE:.*]] = tensor.extract_slice %[[C]][%{{.*}}, %{{.*}}, %[[H]], 0] [1, 1, 1, 2304]
// CHECK:           scf.for %[[D:.*]] = %{{.*}} iter_args(%{{.*}} = %[[PAGE]])
// CHECK:             %[[AT:.*]] = arith.addi %[[FIRST]], %{{.*}}
// CHECK:             tensor.insert %{{.*}} into %{{.*}}[%[[AT]]]
// CHECK:           arith.muli %[[PLACE]], %c4
// CHECK:           arith.addi %{{.*}}, %c2048
// CHECK-COUNT-4:   tensor.insert
func.func @value_i8(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %init: tensor<?x64xf32>, %v: tensor<2x?x2x2304xi8>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x2304xi8> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%init : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x64xf32>
  %next = cria.kv_append value %y into %v[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x2304xi8>, tensor<?xi32>
  return %next : tensor<2x?x2x2304xi8>
}
