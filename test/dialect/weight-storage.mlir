// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -verify-diagnostics
//
// The verifier of cria.weight_data compares its result types with
// WeightType::getStorage(), so these cases pin every layout's arrays. N = 50
// and K = 70 are multiples of nothing: 4 groups of 16 rows, 3 blocks of 32.

func.func @float(%f32: !cria.weight<50x70, f32, rows>, %f16: !cria.weight<50x70, f16, n16>, %bf16: !cria.weight<50x71, bf16, n16k2>) {
  %0 = cria.weight_data %f32 : !cria.weight<50x70, f32, rows> -> memref<50x70xf32, strided<[70, 1], offset: ?>>
  %1 = cria.weight_data %f16 : !cria.weight<50x70, f16, n16> -> memref<4x70x16xf16, strided<[1120, 16, 1], offset: ?>>
  %2 = cria.weight_data %bf16 : !cria.weight<50x71, bf16, n16k2> -> memref<4x36x16x2xbf16, strided<[1152, 32, 2, 1], offset: ?>>
  return
}

func.func @q8_rows(%none: !cria.weight<50x70, q8, block = 32, none, rows>, %min: !cria.weight<50x70, q8, block = 32, min, rows>) {
  %0:2 = cria.weight_data %none : !cria.weight<50x70, q8, block = 32, none, rows>
    -> memref<50x3x32xi8, strided<[96, 32, 1], offset: ?>>, memref<50x3xf16, strided<[3, 1], offset: ?>>
  %1:3 = cria.weight_data %min : !cria.weight<50x70, q8, block = 32, min, rows>
    -> memref<50x3x32xi8, strided<[96, 32, 1], offset: ?>>, memref<50x3xf16, strided<[3, 1], offset: ?>>, memref<50x3xf16, strided<[3, 1], offset: ?>>
  return
}

func.func @q4_rows(%w: !cria.weight<50x70, q4, block = 32, zero_point, rows>) {
  %0:2 = cria.weight_data %w : !cria.weight<50x70, q4, block = 32, zero_point, rows>
    -> memref<50x3x16xi8, strided<[48, 16, 1], offset: ?>>, memref<50x3xf16, strided<[3, 1], offset: ?>>
  return
}

func.func @n16k4(%q8: !cria.weight<50x70, q8, block = 32, zero_point, n16k4>, %q4: !cria.weight<50x70, q4, block = 32, min, n16k4>) {
  %0:2 = cria.weight_data %q8 : !cria.weight<50x70, q8, block = 32, zero_point, n16k4>
    -> memref<4x3x8x16x4xi8, strided<[1536, 512, 64, 4, 1], offset: ?>>, memref<4x3x16xf16, strided<[48, 16, 1], offset: ?>>
  %1:3 = cria.weight_data %q4 : !cria.weight<50x70, q4, block = 32, min, n16k4>
    -> memref<4x3x4x16x4xi8, strided<[768, 256, 64, 4, 1], offset: ?>>, memref<4x3x16xf16, strided<[48, 16, 1], offset: ?>>, memref<4x3x16xf16, strided<[48, 16, 1], offset: ?>>
  return
}

// 300 columns: ten blocks of 32, two f16 factors of 256.
func.func @q6(%r: !cria.weight<50x300, q6, block = 16, zero_point, rows>, %l: !cria.weight<50x300, q6, block = 16, zero_point, n16k4>) {
  %0:3 = cria.weight_data %r : !cria.weight<50x300, q6, block = 16, zero_point, rows>
    -> memref<50x10x24xi8, strided<[240, 24, 1], offset: ?>>, memref<50x2xf16, strided<[2, 1], offset: ?>>, memref<50x10x2xi8, strided<[20, 2, 1], offset: ?>>
  %1:3 = cria.weight_data %l : !cria.weight<50x300, q6, block = 16, zero_point, n16k4>
    -> memref<4x10x6x16x4xi8, strided<[3840, 384, 64, 4, 1], offset: ?>>, memref<4x2x16xf16, strided<[32, 16, 1], offset: ?>>, memref<4x10x2x16xi8, strided<[320, 32, 16, 1], offset: ?>>
  return
}

func.func @stacked(%w: !cria.weight<5x50x70, q4, block = 32, zero_point, n16k4>) {
  %0:2 = cria.weight_data %w : !cria.weight<5x50x70, q4, block = 32, zero_point, n16k4>
    -> memref<5x4x3x4x16x4xi8, strided<[3072, 768, 256, 64, 4, 1], offset: ?>>, memref<5x4x3x16xf16, strided<[192, 48, 16, 1], offset: ?>>
  return
}

// A dynamic N leaves the layer's stride open and no other.
func.func @dynamic(%w: !cria.weight<?x70, f16, n16>, %s: !cria.weight<5x?x70, f32, rows>) {
  %0 = cria.weight_data %w : !cria.weight<?x70, f16, n16> -> memref<?x70x16xf16, strided<[1120, 16, 1], offset: ?>>
  %1 = cria.weight_data %s : !cria.weight<5x?x70, f32, rows> -> memref<5x?x70xf32, strided<[?, 70, 1], offset: ?>>
  return
}
