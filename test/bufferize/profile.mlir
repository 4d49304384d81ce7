// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-profile | FileCheck %s
// RUN: sed -E 's/1x(4x32x16|64x32)xf16/1x2176xi16/g' %s | cria-opt --cria-profile | FileCheck %s --check-prefix=CODES

// The case of BufferizePasses.td. A stamp of 7, the number of entries, starts the
// clock; then one follows each kernel, or its thread's range, and each
// barrier. The layer loop is no op of its own.

// CHECK: module attributes {cria.profile = [
// CHECK-SAME: {kind = "rows", name = "g", row_bytes = 336 : i64, row_flops = 448 : i64, version = "decode", weight_bytes = 256 : i64},
// CHECK-SAME: {int8, kind = "linear", name = "w", row_bytes = 464 : i64, row_flops = 12288 : i64, version = "decode", weight_bytes = 6528 : i64},
// CHECK-SAME: {kind = "barrier", name = "before attention", version = "decode"},
// CHECK-SAME: {cache_bytes = 128 : i64, kind = "attention", name = "attention", position_flops = 384 : i64, row_bytes = 776 : i64, version = "decode", window = 9 : i64},
// CODES: {cache_bytes = 136 : i64, int8, kind = "attention", name = "attention", position_flops = 768 : i64,
// CHECK-SAME: {kind = "barrier", name = "at the end", version = "decode"},
// CHECK-SAME: {kind = "embed", name = "embed", outputs, row_bytes = 516 : i64, version = "prefill"},
// CHECK-SAME: {kind = "other", name = {{.*}}, row_bytes = 768 : i64, version = "positions"}]}

// CHECK-LABEL: func.func @decode
// CHECK-NEXT:    cria.stamp 7
// CHECK:         scf.for
// CHECK-NOT:       cria.stamp
// CHECK:           cria.rows
// CHECK:           cria.stamp 0
// CHECK-NOT:       cria.stamp
// CHECK:           scf.for
// CHECK:             cria.fused_linear
// CHECK-NOT:         cria.stamp
// CHECK:               cria.yield
// CHECK-NEXT:        }
// CHECK-NEXT:      }
// CHECK-NEXT:      cria.stamp 1
// CHECK:           cria.barrier
// CHECK-NEXT:      cria.stamp 2
// CHECK:             cria.fused_attention{{.*}}
// CHECK-NEXT:      }
// CHECK-NEXT:      cria.stamp 3
// CHECK-NEXT:      cria.barrier
// CHECK-NEXT:      cria.stamp 4
// CHECK-NEXT:    }
// CHECK-NEXT:    return
func.func @decode(%x: memref<?x64xf32> {cria.arg = "x"}, %tokens: memref<?xi32> {cria.arg = "tokens"},
    %tables: memref<?x?xi32> {cria.arg = "tables"},
    %k: memref<2x?x1x4x32x16xf16> {cria.arg = "keys"}, %v: memref<2x?x1x64x32xf16> {cria.arg = "values"},
    %lo: index, %hi: index) attributes {cria.entry, cria.version = "decode"} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %n = memref.dim %tokens, %c0 : memref<?xi32>
  %codes = memref.alloc(%n) : memref<?x16xi32>
  %scales = memref.alloc(%n) : memref<?x2xf32>
  %sums = memref.alloc(%n) : memref<?x2xi32>
  %q = memref.alloc(%n) : memref<?x96xf32>
  %o = memref.alloc(%n) : memref<?x96xf32>
  scf.for %layer = %c0 to %c2 step %c1 {
    %gt = cria.load @g : tensor<64xf32>
    %g = bufferization.to_buffer %gt : tensor<64xf32> to memref<64xf32>
    cria.rows ins(%x : memref<?x64xf32>) params(%g : memref<64xf32>)
      outs(%codes, %scales, %sums : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xi32>) attributes {zero_point = 128 : i64} {
    ^bb0(%row: tensor<1x64xf32>, %p: tensor<64xf32>):
      %y = cria.norm rms %row weight %p {eps = 1.0e-05 : f32} : tensor<1x64xf32>, weight tensor<64xf32>
      cria.yield %y : tensor<1x64xf32>
    }
    %w = cria.load @w : !cria.weight<96x64, q8, block = 32, zero_point, n16k4>
    scf.for %i = %lo to %hi step %c1 {
      %t = cria.weight_slice %w[%i] : !cria.weight<96x64, q8, block = 32, zero_point, n16k4> to !cria.weight<16x64, q8, block = 32, zero_point, n16k4>
      %tile = memref.subview %q[0, %i] [%n, 16] [1, 1] : memref<?x96xf32> to memref<?x16xf32, strided<[96, 1], offset: ?>>
      cria.fused_linear acts(%codes, %scales, %sums : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xi32>)
        weights(%t : !cria.weight<16x64, q8, block = 32, zero_point, n16k4>) outs(%tile : memref<?x16xf32, strided<[96, 1], offset: ?>>)
        attributes {extra_kinds = [], out = #cria<out rows>} {
      ^bb0(%acc: vector<16xf32>):
        cria.yield %acc : vector<16xf32>
      }
    }
    cria.barrier
    scf.for %i = %lo to %hi step %c1 {
      cria.fused_attention ins(%q, %k, %v, %tokens, %tokens, %tables : memref<?x96xf32>, memref<2x?x1x4x32x16xf16>, memref<2x?x1x64x32xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
        layer %layer outs(%o : memref<?x96xf32>) {heads = 3 : i64, kv_heads = 1 : i64, head_dim = 32 : i64, scale = 0.17 : f32, window = 9 : i64}
    }
    cria.barrier
  }
  return
}
// Rows that are outputs: as many as the argument has.
// CHECK-LABEL: func.func @prefill
// CHECK-NEXT:    cria.stamp 7
// CHECK:         cria.embed_rows
// CHECK-NEXT:    cria.stamp 5
func.func @prefill(%tokens: memref<?xi32> {cria.arg = "tokens"}, %outputs: memref<?xi32> {cria.arg = "outputs"})
    attributes {cria.entry, cria.version = "prefill"} {
  %c0 = arith.constant 0 : index
  %n = memref.dim %outputs, %c0 : memref<?xi32>
  %e = memref.alloc(%n) : memref<?x64xf32>
  %w = cria.load @e : !cria.weight<128x64, f32, n16>
  cria.embed_rows ins(%tokens, %w : memref<?xi32>, !cria.weight<128x64, f32, n16>) outs(%e : memref<?x64xf32>)
  return
}
// A table is read by rows, one for each token.
// CHECK-LABEL: func.func @positions
// CHECK:         linalg.add
// CHECK-NEXT:    cria.stamp 6
func.func @positions(%x: memref<?x64xf32> {cria.arg = "x"}, %y: memref<?x64xf32> {cria.arg = "y"},
    %token: index, %position: index) attributes {cria.entry, cria.version = "positions"} {
  %t = cria.load @p : tensor<128x64xf32>
  %table = bufferization.to_buffer %t : tensor<128x64xf32> to memref<128x64xf32>
  %row = memref.subview %table[%position, 0] [1, 64] [1, 1] : memref<128x64xf32> to memref<64xf32, strided<[1], offset: ?>>
  %in = memref.subview %x[%token, 0] [1, 64] [1, 1] : memref<?x64xf32> to memref<64xf32, strided<[1], offset: ?>>
  %out = memref.subview %y[%token, 0] [1, 64] [1, 1] : memref<?x64xf32> to memref<64xf32, strided<[1], offset: ?>>
  linalg.add ins(%in, %row : memref<64xf32, strided<[1], offset: ?>>, memref<64xf32, strided<[1], offset: ?>>)
    outs(%out : memref<64xf32, strided<[1], offset: ?>>)
  return
}
// What no entry calls is left alone.
// CHECK-LABEL: func.func @helper
// CHECK-NOT:     cria.stamp
func.func @helper() {
  cria.barrier
  return
}
cria.param @g : tensor<64xf32>
cria.param @p : tensor<128x64xf32>
cria.param @w : !cria.weight<96x64, q8, block = 32, zero_point, n16k4>
cria.param @e : !cria.weight<128x64, f32, n16>
