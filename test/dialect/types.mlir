// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s | cria-opt | FileCheck %s

// CHECK-LABEL: func.func private @float(
// CHECK-SAME: !cria.weight<64x128, f32, rows>, !cria.weight<64x128, f16, rows>, !cria.weight<64x128, bf16, rows>,
// CHECK-SAME: !cria.weight<64x128, f32, n16>, !cria.weight<64x128, f16, n16>, !cria.weight<64x128, bf16, n16k2>)
func.func private @float(!cria.weight<64x128, f32, rows>, !cria.weight<64x128, f16, rows>, !cria.weight<64x128, bf16, rows>,
  !cria.weight<64x128, f32, n16>, !cria.weight<64x128, f16, n16>, !cria.weight<64x128, bf16, n16k2>)

// CHECK-LABEL: func.func private @quantized(
// CHECK-SAME: !cria.weight<576x1536, q8, block = 32, none, rows>, !cria.weight<576x1536, q8, block = 32, zero_point, rows>,
// CHECK-SAME: !cria.weight<576x1536, q8, block = 32, min, n16k4>, !cria.weight<576x1536, q4, block = 32, zero_point, rows>,
// CHECK-SAME: !cria.weight<576x1536, q4, block = 32, min, n16k4>)
func.func private @quantized(!cria.weight<576x1536, q8, block = 32, none, rows>, !cria.weight<576x1536, q8, block = 32, zero_point, rows>,
  !cria.weight<576x1536, q8, block = 32, min, n16k4>, !cria.weight<576x1536, q4, block = 32, zero_point, rows>,
  !cria.weight<576x1536, q4, block = 32, min, n16k4>)

// CHECK-LABEL: func.func private @halves(
// CHECK-SAME: !cria.weight<576x1536, q6, block = 16, zero_point, rows>, !cria.weight<2x576x1536, q6, block = 16, zero_point, n16k4>)
func.func private @halves(!cria.weight<576x1536, q6, block = 16, zero_point, rows>, !cria.weight<2x576x1536, q6, block = 16, zero_point, n16k4>)

// CHECK-LABEL: func.func private @shapes(
// CHECK-SAME: !cria.weight<30x576x1536, bf16, rows>, !cria.weight<?x1536, bf16, n16k2>, !cria.weight<30x?x1536, q4, block = 32, min, n16k4>)
func.func private @shapes(!cria.weight<30x576x1536, bf16, rows>, !cria.weight<?x1536, bf16, n16k2>, !cria.weight<30x?x1536, q4, block = 32, min, n16k4>)
