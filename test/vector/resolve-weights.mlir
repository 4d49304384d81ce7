// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -allow-unregistered-dialect -cria-resolve-weights -canonicalize -verify-diagnostics | FileCheck %s

// Every array of every param, used or not, in the module's order.

cria.param @w stacked : !cria.weight<2x64x64, q8, block = 32, zero_point, n16k4> from ["a", "b"]
cria.param @unused : !cria.weight<32x64, f16, n16>
cria.param @norm stacked : tensor<2x64xf32> from ["c", "d"]

// CHECK-LABEL: func.func @layer(
// CHECK-SAME:    %[[L:[^:]*]]: index,
// CHECK-SAME:    %[[C:[^:]*]]: memref<2x4x2x8x16x4xi8> {cria.arg = "weight:w.codes"},
// CHECK-SAME:    %[[S:[^:]*]]: memref<2x4x2x16xf16> {cria.arg = "weight:w.scales"},
// CHECK-SAME:    %{{[^:]*}}: memref<2x64x16xf16> {cria.arg = "weight:unused"},
// CHECK-SAME:    %[[G:[^:]*]]: memref<2x64xf32> {cria.arg = "weight:norm"})
// CHECK:         %[[C1:.*]] = memref.subview %[[C]][%[[L]], 0, 0, 0, 0, 0] [1, 4, 2, 8, 16, 4] [1, 1, 1, 1, 1, 1]
// CHECK:         %[[S1:.*]] = memref.subview %[[S]][%[[L]], 0, 0, 0] [1, 4, 2, 16] [1, 1, 1, 1]
// CHECK:         "test.use"(%[[C1]], %[[S1]])
// CHECK:         %[[G1:.*]] = memref.subview %[[G]][%[[L]], 0] [1, 64] [1, 1]
// CHECK:         "test.use"(%[[G1]])
func.func @layer(%layer: index) {
  %w = cria.load @w[%layer] : !cria.weight<64x64, q8, block = 32, zero_point, n16k4>
  %c, %s = cria.weight_data %w : !cria.weight<64x64, q8, block = 32, zero_point, n16k4>
    -> memref<4x2x8x16x4xi8, strided<[1024, 512, 64, 4, 1], offset: ?>>, memref<4x2x16xf16, strided<[32, 16, 1], offset: ?>>
  "test.use"(%c, %s) : (memref<4x2x8x16x4xi8, strided<[1024, 512, 64, 4, 1], offset: ?>>, memref<4x2x16xf16, strided<[32, 16, 1], offset: ?>>) -> ()
  %g = cria.load @norm[%layer] : tensor<64xf32>
  %b = bufferization.to_buffer %g : tensor<64xf32> to memref<64xf32, strided<[1], offset: ?>>
  "test.use"(%b) : (memref<64xf32, strided<[1], offset: ?>>) -> ()
  return
}

// No weights: left alone.
// CHECK-LABEL: func.func @other()
func.func @other() {
  return
}

// -----

// Slices count groups of 16 rows; one of unknown size ends with its source. A
// slice of a slice adds up.

cria.param @w : !cria.weight<80x32, f32, n16>

// CHECK-LABEL: func.func @slices(
// CHECK-SAME:    %[[O:[^:]*]]: index, %[[W:[^:]*]]: memref<5x32x16xf32> {cria.arg = "weight:w"})
// CHECK:         %[[FIRST:.*]] = arith.divui %[[O]], %c16
// CHECK:         %[[LEFT:.*]] = arith.subi %c5, %[[FIRST]]
// CHECK:         memref.subview %[[W]][%[[FIRST]], 0, 0] [%[[LEFT]], 32, 16] [1, 1, 1]
// CHECK:         %[[A:.*]] = memref.subview %[[W]][1, 0, 0] [3, 32, 16] [1, 1, 1]
// CHECK:         memref.subview %[[A]][1, 0, 0] [1, 32, 16] [1, 1, 1]
func.func @slices(%o: index) {
  %w = cria.load @w : !cria.weight<80x32, f32, n16>
  %t = cria.weight_slice %w[%o] : !cria.weight<80x32, f32, n16> to !cria.weight<?x32, f32, n16>
  %d = cria.weight_data %t : !cria.weight<?x32, f32, n16> -> memref<?x32x16xf32, strided<[512, 16, 1], offset: ?>>
  "test.use"(%d) : (memref<?x32x16xf32, strided<[512, 16, 1], offset: ?>>) -> ()
  %c16 = arith.constant 16 : index
  %a = cria.weight_slice %w[%c16] : !cria.weight<80x32, f32, n16> to !cria.weight<48x32, f32, n16>
  %b = cria.weight_slice %a[%c16] : !cria.weight<48x32, f32, n16> to !cria.weight<16x32, f32, n16>
  %e = cria.weight_data %b : !cria.weight<16x32, f32, n16> -> memref<1x32x16xf32, strided<[512, 16, 1], offset: ?>>
  "test.use"(%e) : (memref<1x32x16xf32, strided<[512, 16, 1], offset: ?>>) -> ()
  return
}

// -----

// CHECK-LABEL: func.func @argument(
// CHECK-SAME:    %{{[^:]*}}: index, %[[C:[^:]*]]: memref<8x2x16xi8>, %[[S:[^:]*]]: memref<8x2xf16>, %[[M:[^:]*]]: memref<8x2xf16>, %{{[^:]*}}: f32)
func.func @argument(%i: index, %w: !cria.weight<8x64, q4, block = 32, min, rows>, %f: f32) {
  %c, %s, %m = cria.weight_data %w : !cria.weight<8x64, q4, block = 32, min, rows>
    -> memref<8x2x16xi8, strided<[32, 16, 1], offset: ?>>, memref<8x2xf16, strided<[2, 1], offset: ?>>, memref<8x2xf16, strided<[2, 1], offset: ?>>
  "test.use"(%c, %s, %m) : (memref<8x2x16xi8, strided<[32, 16, 1], offset: ?>>, memref<8x2xf16, strided<[2, 1], offset: ?>>, memref<8x2xf16, strided<[2, 1], offset: ?>>) -> ()
  return
}

// -----

cria.param @norm stacked : tensor<2x64xf32>

// A view without an offset cannot be of layer %layer.
func.func @offset(%layer: index) {
  %g = cria.load @norm[%layer] : tensor<64xf32>
  // expected-error @below {{result type 'memref<64xf32>' cannot view 'memref<64xf32, strided<[1], offset: ?>>'}}
  %b = bufferization.to_buffer %g : tensor<64xf32> to memref<64xf32>
  "test.use"(%b) : (memref<64xf32>) -> ()
  return
}

// -----

cria.param @w : !cria.weight<16x32, f32, n16>

func.func @unvectorized(%t: memref<?xi32>, %y: memref<?x32xf32>) {
  // expected-error @below {{is still used by cria.embed_rows; vectorize all kernels before}}
  %w = cria.load @w : !cria.weight<16x32, f32, n16>
  cria.embed_rows ins(%t, %w : memref<?xi32>, !cria.weight<16x32, f32, n16>) outs(%y : memref<?x32xf32>)
  return
}
