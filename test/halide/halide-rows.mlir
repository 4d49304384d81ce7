// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-bind-halide -canonicalize -cse 2> %t.err | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --input-file %t.err
// REMARK: provider halide is not used: its rows have 48 columns, not a multiple of 32
// REMARK: provider halide is not used: its rows may be rounded to bf16
// REMARK: provider halide is not used: its norm is per head
// REMARK: provider halide is not used: its head_dim 20 is not a multiple of 16

#h = {provider = "halide"}

// A call a row. Codes of 16 bits pass as bytes.

// CHECK-LABEL: func.func @codes
// CHECK-SAME:    (%[[X:[^:]*]]: memref<?x64xf32>, %[[W:[^:]*]]: memref<64xf32>, %[[C:[^:]*]]: memref<?x32xi32>
// CHECK:         scf.for %[[I:.*]] = %c0 to
// CHECK:           memref.subview %[[X]][%[[I]], 0] [1, 64] [1, 1] : memref<?x64xf32> to memref<64xf32,
// CHECK:           memref.subview %[[C]][%[[I]], 0] [1, 32] [1, 1]
// CHECK:           call @halide_rows_accumulate0_bits16_columns64_eps925353388_factor1056964608_halves0_has_bias0_has_zero_point1_norm1_plus_one1_zero_point128(
// CHECK-NOT:     cria.rows
func.func @codes(%x: memref<?x64xf32>, %w: memref<64xf32>, %c: memref<?x32xi32>, %s: memref<?x2xf32>, %m: memref<?x2xi32>) {
  cria.rows ins(%x : memref<?x64xf32>) params(%w : memref<64xf32>) outs(%c, %s, %m : memref<?x32xi32>, memref<?x2xf32>, memref<?x2xi32>)
    attributes {cria.schedule = #h, zero_point = 128 : i64} {
  ^bb0(%row: tensor<1x64xf32>, %g: tensor<64xf32>):
    %0 = cria.norm rms %row weight %g {eps = 1.0e-05 : f32, plus_one} : tensor<1x64xf32>, weight tensor<64xf32>
    %1 = cria.scale %0 {factor = 0.5 : f32} : tensor<1x64xf32>
    cria.yield %1 : tensor<1x64xf32>
  }
  return
}

// CHECK-LABEL: func.func @accumulate
// CHECK:         call @halide_rows_accumulate1_bits0_columns64_eps925353388_has_bias1_norm2_plus_one0(
func.func @accumulate(%x: memref<?x64xf32>, %w: memref<64xf32>, %b: memref<64xf32>, %y: memref<?x64xf32>) {
  cria.rows ins(%x : memref<?x64xf32>) params(%w, %b : memref<64xf32>, memref<64xf32>) outs(%y : memref<?x64xf32>)
    attributes {cria.schedule = #h, accumulate} {
  ^bb0(%row: tensor<1x64xf32>, %g: tensor<64xf32>, %h: tensor<64xf32>, %old: tensor<1x64xf32>):
    %0 = cria.norm layer %row weight %g bias %h {eps = 1.0e-05 : f32} : tensor<1x64xf32>, weight tensor<64xf32>, bias tensor<64xf32>
    %1 = cria.add %old, %0 : tensor<1x64xf32>
    cria.yield %1 : tensor<1x64xf32>
  }
  return
}

// CHECK-LABEL: func.func @heads
// CHECK-SAME:    (%[[X:[^:]*]]: memref<?x64xf32>, %[[W:[^:]*]]: memref<32xf32>, %[[T:[^:]*]]: memref<?x2x32xf32>, %[[S:[^:]*]]: memref<?xi32>, %[[L:[^:]*]]: index,
// CHECK:         %[[PAGES:.*]] = memref.subview %{{.*}}[%[[L]], 0, 0, 0, 0, 0] {{.*}} to memref<?x2x4x32x16xf16,
// CHECK:         call @halide_head_rows_center0_elementfloat16_eps897988541_has_bias0_has_rope1_head_dim32_heads2_outkey_plus_one0_weights32(
// CHECK-NOT:     cria.head_rows
func.func @heads(%x: memref<?x64xf32>, %w: memref<32xf32>, %t: memref<?x2x32xf32>, %s: memref<?xi32>, %layer: index, %k: memref<2x?x2x4x32x16xf16>) {
  cria.head_rows ins(%x : memref<?x64xf32>) weight(%w : memref<32xf32>) rope(%t : memref<?x2x32xf32>) layer %layer slots %s : memref<?xi32>
    outs(%k : memref<2x?x2x4x32x16xf16>) {cria.schedule = #h, eps = 1.0e-06 : f32, head_dim = 32 : i64, out = #cria<out key>}
  return
}

// CHECK-LABEL: func.func @not_covered
// CHECK-COUNT-3: cria.rows
// CHECK:         cria.head_rows
func.func @not_covered(%x: memref<?x48xf32>, %y: memref<?x64xf32>, %z: memref<?x64xf32>, %w: memref<32xf32>, %u: memref<?x40xf32>, %v: memref<?x40xf32>) {
  cria.rows ins(%x : memref<?x48xf32>) outs(%x : memref<?x48xf32>) attributes {cria.schedule = #h} {
  ^bb0(%row: tensor<1x48xf32>):
    cria.yield %row : tensor<1x48xf32>
  }
  cria.rows ins(%y : memref<?x64xf32>) outs(%z : memref<?x64xf32>) attributes {cria.schedule = #h, bf16} {
  ^bb0(%row: tensor<1x64xf32>):
    cria.yield %row : tensor<1x64xf32>
  }
  cria.rows ins(%y : memref<?x64xf32>) params(%w : memref<32xf32>) outs(%z : memref<?x64xf32>) attributes {cria.schedule = #h} {
  ^bb0(%row: tensor<1x64xf32>, %g: tensor<32xf32>):
    %0 = cria.norm per_head %row weight %g {eps = 1.0e-05 : f32} : tensor<1x64xf32>, weight tensor<32xf32>
    cria.yield %0 : tensor<1x64xf32>
  }
  cria.head_rows ins(%u : memref<?x40xf32>) outs(%v : memref<?x40xf32>) {cria.schedule = #h, head_dim = 20 : i64, out = #cria<out rows>}
  return
}
