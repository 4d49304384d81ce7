// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-fuse-kv-append -cse | FileCheck %s

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

// Rows that come from elsewhere: a kernel stores them head by head.
// CHECK-LABEL: func.func @value_rows
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %[[V:[^:]*]]: tensor<2x?x2x64x32xf16>, %[[L:[^:]*]]: index, %[[S:[^:]*]]: tensor<?xi32>)
// CHECK:         cria.head_rows ins(%[[X]] : tensor<?x64xf32>) layer %[[L]] slots %[[S]] : tensor<?xi32> outs(%[[V]] : tensor<2x?x2x64x32xf16>)
// CHECK-SAME:      {head_dim = 32 : i64, out = #cria<out value>}
func.func @value_rows(%x: tensor<?x64xf32>, %v: tensor<2x?x2x64x32xf16>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x64x32xf16> {
  %next = cria.kv_append value %x into %v[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x64x32xf16>, tensor<?xi32>
  return %next : tensor<2x?x2x64x32xf16>
}

// -----

// It is the kernel that rotates, where there is one.
// CHECK-LABEL: func.func @rotated_key
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %[[G:[^:]*]]: tensor<32xf32>, %[[T:[^:]*]]: tensor<?x2x32xf32>
// CHECK-NOT:     out rows
// CHECK:         cria.head_rows ins(%[[X]] : tensor<?x64xf32>) weight(%[[G]] : tensor<32xf32>) rope(%[[T]] : tensor<?x2x32xf32>) layer
// CHECK-SAME:      {eps = 9.99999974E-6 : f32, head_dim = 32 : i64, out = #cria<out key>, plus_one}
// CHECK-NOT:     cria.head_rows
func.func @rotated_key(%x: tensor<?x64xf32>, %g: tensor<32xf32>, %t: tensor<?x2x32xf32>, %init: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x4x32x16xf16> {
  %y = cria.head_rows ins(%x : tensor<?x64xf32>) weight(%g : tensor<32xf32>) rope(%t : tensor<?x2x32xf32>) outs(%init : tensor<?x64xf32>) {eps = 1.0e-05 : f32, head_dim = 32 : i64, out = #cria<out rows>, plus_one} -> tensor<?x64xf32>
  %next = cria.kv_append key %y into %k[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<?xi32>
  return %next : tensor<2x?x2x4x32x16xf16>
}

// -----

// A layer without positions normalises its keys and does not rotate them.
// CHECK-LABEL: func.func @normalised_key
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %[[G:[^:]*]]: tensor<32xf32>
// CHECK:         cria.head_rows ins(%[[X]] : tensor<?x64xf32>) weight(%[[G]] : tensor<32xf32>) layer
// CHECK-NOT:     cria.norm
func.func @normalised_key(%x: tensor<?x64xf32>, %g: tensor<32xf32>, %k: tensor<2x?x2x4x32x16xf16>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x4x32x16xf16> {
  %n = cria.norm per_head %x weight %g {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<32xf32>
  %next = cria.kv_append key %n into %k[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<?xi32>
  return %next : tensor<2x?x2x4x32x16xf16>
}

// -----

// CHECK-LABEL: func.func @layer_normalised_key
// CHECK-SAME:    (%[[X:[^:]*]]: tensor<?x64xf32>, %[[G:[^:]*]]: tensor<64xf32>
// CHECK:         cria.head_rows ins(%[[X]] : tensor<?x64xf32>) weight(%[[G]] : tensor<64xf32>) layer
// CHECK-SAME:      {center, eps
// CHECK-NOT:     cria.norm
func.func @layer_normalised_key(%x: tensor<?x64xf32>, %g: tensor<64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x4x32x16xf16> {
  %n = cria.norm layer_per_head %x weight %g {eps = 1.0e-05 : f32, head_dim = 32 : i64} : tensor<?x64xf32>, weight tensor<64xf32>
  %next = cria.kv_append key %n into %k[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<?xi32>
  return %next : tensor<2x?x2x4x32x16xf16>
}

// -----

// Heads of 24 would share vectors.
// CHECK-LABEL: func.func @value_of_24
// CHECK:         %[[Y:.*]] = cria.fused_linear {{.*}}out = #cria<out rows>
// CHECK:         cria.head_rows ins(%[[Y]] : tensor<?x48xf32>) layer {{.*}}out = #cria<out value>
func.func @value_of_24(%x: tensor<?x64xf32>, %w: !cria.weight<48x64, f32, n16>, %init: tensor<?x48xf32>, %v: tensor<2x?x2x64x24xf16>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x64x24xf16> {
  %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<48x64, f32, n16>) outs(%init : tensor<?x48xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x48xf32>
  %next = cria.kv_append value %y into %v[%layer] at %slots : tensor<?x48xf32>, tensor<2x?x2x64x24xf16>, tensor<?xi32>
  return %next : tensor<2x?x2x64x24xf16>
}

// -----

// Rows that something else reads as well are stored twice.
// CHECK-LABEL: func.func @rows_used_twice
// CHECK:         %[[Y:.*]] = cria.head_rows {{.*}}out = #cria<out rows>
// CHECK:         cria.head_rows ins(%[[Y]] : {{.*}}out = #cria<out key>
func.func @rows_used_twice(%x: tensor<?x64xf32>, %t: tensor<?x2x32xf32>, %init: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %layer: index, %slots: tensor<?xi32>) -> (tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>) {
  %y = cria.head_rows ins(%x : tensor<?x64xf32>) rope(%t : tensor<?x2x32xf32>) outs(%init : tensor<?x64xf32>) {head_dim = 32 : i64, out = #cria<out rows>} -> tensor<?x64xf32>
  %next = cria.kv_append key %y into %k[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<?xi32>
  return %y, %next : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>
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

// -----

// Codes of 16 bits: two positions of a value alternate. Place p is in pair
// p / 2, at 2 d + p % 2; its scale is two elements behind the codes.
// CHECK-LABEL: func.func @value_i16
// CHECK:           %[[PLACE:.*]] = arith.remui %{{.*}}, %c64
// CHECK:           %[[PAIR:.*]] = arith.divui %[[PLACE]], %c2
// CHECK:           %[[ODD:.*]] = arith.remui %[[PLACE]], %c2
// CHECK:           %[[AT:.*]] = arith.muli %[[PAIR]], %c64
// CHECK:           %[[FIRST:.*]] = arith.addi %[[AT]], %[[ODD]]
// CHECK:           scf.for %[[D:.*]] = %{{.*}} iter_args(%[[PAGE:.*]] = %{{.*}}) -> (tensor<2176xi16>)
// CHECK:             %[[STEP:.*]] = arith.muli %[[D]], %c2
// CHECK:             %[[TO:.*]] = arith.addi %[[FIRST]], %[[STEP]]
// CHECK:             tensor.insert %{{.*}} into %[[PAGE]][%[[TO]]] : tensor<2176xi16>
// CHECK:           arith.muli %[[PLACE]], %c2
// CHECK:           arith.addi %{{.*}}, %c2048
// CHECK-COUNT-2:   tensor.insert
func.func @value_i16(%x: tensor<?x64xf32>, %v: tensor<2x?x2x2176xi16>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x2176xi16> {
  %next = cria.kv_append value %x into %v[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x2176xi16>, tensor<?xi32>
  return %next : tensor<2x?x2x2176xi16>
}

// -----

// Two elements of a key lie side by side: pair i of lane l at 32 i + 2 l of a
// block of 16 positions.
// CHECK-LABEL: func.func @key_i16
// CHECK:           %[[PLACE:.*]] = arith.remui %{{.*}}, %c64
// CHECK:           %[[BLOCK:.*]] = arith.divui %[[PLACE]], %c16
// CHECK:           %[[LANE:.*]] = arith.remui %[[PLACE]], %c16
// CHECK:           %[[AT:.*]] = arith.muli %[[BLOCK]], %c512
// CHECK:           %[[WORD:.*]] = arith.muli %[[LANE]], %c2
// CHECK:           %[[FIRST:.*]] = arith.addi %[[AT]], %[[WORD]]
// CHECK:           scf.for %[[I:.*]] = %c0 to %c16 {{.*}}-> (tensor<2176xi16>)
// CHECK:             %[[STEP:.*]] = arith.muli %[[I]], %c32
// CHECK:             %[[TO:.*]] = arith.addi %[[FIRST]], %[[STEP]]
// CHECK:             tensor.insert %{{.*}} into %{{.*}}[%[[TO]]] : tensor<2176xi16>
// CHECK:             %[[NEXT:.*]] = arith.addi %[[TO]], %c1
// CHECK:             tensor.insert %{{.*}} into %{{.*}}[%[[NEXT]]] : tensor<2176xi16>
func.func @key_i16(%x: tensor<?x64xf32>, %k: tensor<2x?x2x2176xi16>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x2176xi16> {
  %next = cria.kv_append key %x into %k[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x2176xi16>, tensor<?xi32>
  return %next : tensor<2x?x2x2176xi16>
}
