// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-vectorize-linear="prefetch=512 stream=1024" -canonicalize -cse | FileCheck %s
// RUN: cria-opt %s -cria-vectorize-linear="prefetch=512 stream=0" -canonicalize -cse | FileCheck %s --check-prefix=NONE
// RUN: not cria-opt %s -cria-vectorize-linear="stream=-1" 2>&1 | FileCheck %s --check-prefix=RANGE
// RANGE: cria-vectorize-linear: stream = -1 is not in 0 to 1048576

// NONE-NOT: locality<2>
// NONE-NOT: extract_aligned_pointer

#tile = affine_map<(d0) -> (d0 * 16)>
module {
  cria.param @a stacked : !cria.weight<3x64x64, q4, block = 32, zero_point, n16k4> from ["a0", "a1", "a2"]
  cria.param @b stacked : !cria.weight<3x64x64, f32, n16> from ["b0", "b1", "b2"]
  cria.param @head : !cria.weight<96x64, q4, block = 32, zero_point, n16k4>

  // Where a thread's tiles of @a end, it goes on with its first tile of @b,
  // which is found before the loop: unless it has none, then with @a of the
  // next layer, unless there is none, then with the head.
  // CHECK-LABEL: func.func @decode
  // CHECK: scf.for %[[LAYER:.*]] = %c0 to %c3 step %c1 {
  // CHECK:   %[[B0:.*]] = cria.load @b[%[[LAYER]]]
  // CHECK:   %[[BDATA:.*]] = cria.weight_data %[[B0]]
  // CHECK:   %[[BBASE:.*]] = memref.extract_aligned_pointer_as_index %[[BDATA]]
  // CHECK:   %[[NEXT:.*]] = arith.addi %[[LAYER]], %c1
  // CHECK:   %[[A1:.*]] = cria.load @a[%[[NEXT]]]
  // CHECK:   %[[EMPTY:.*]] = arith.cmpi uge, %[[LO:.*]], %[[HI:.*]] : index
  // CHECK:   cria.load @head
  // CHECK:   %[[ISLAYER:.*]] = arith.cmpi slt, %[[NEXT]], %c3
  // CHECK:   %[[AROUND:.*]] = arith.select %[[ISLAYER]],
  // CHECK:   %[[TARGET:.*]] = arith.select %[[EMPTY]], %[[AROUND]],
  // CHECK:   %[[JUMP:.*]] = arith.subi %[[TARGET]],
  // CHECK:   scf.for %[[TILE:.*]] = %[[LO]] to %[[HI]] step %c1 {
  // CHECK:     %[[GROUPS:.*]] = arith.divui
  // Two blocks ahead into L1, four into L2.
  // CHECK:     scf.for %[[BLOCK:.*]] = %c0 to %c2
  // CHECK:       %[[NEAR:.*]] = arith.addi %[[BLOCK]], %c2
  // CHECK:       memref.prefetch %{{.*}}[%c0, %[[NEAR]], %c0], read, locality<3>, data : memref<1x2x16xf16
  // CHECK:       %[[END:.*]] = arith.muli %[[GROUPS]], %c2
  // CHECK:       %[[PASTNEAR:.*]] = arith.cmpi sge, %[[NEAR]], %[[END]]
  // CHECK:       %[[GOESON:.*]] = arith.select %[[PASTNEAR]], %[[JUMP]], %c0
  // CHECK:       memref.prefetch %[[CODES:.*]][%c0, %[[NEAR]], %c0, %[[GOESON]]], read, locality<3>, data
  // CHECK:       %[[FAR:.*]] = arith.addi %[[BLOCK]], %c4
  // CHECK:       %[[PASTFAR:.*]] = arith.cmpi sge, %[[FAR]], %[[END]]
  // CHECK:       %[[GOESFAR:.*]] = arith.select %[[PASTFAR]], %[[JUMP]], %c0
  // CHECK:       memref.prefetch %[[CODES]][%c0, %[[FAR]], %c0, %[[GOESFAR]]], read, locality<2>, data
  // Floats are a line after the other as it is.
  // CHECK:   memref.prefetch %{{.*}}[%c0, %{{.*}}, %c0], read, locality<3>, data : memref<1x64x16xf32
  // CHECK-NOT: locality<2>{{.*}}f32
  // Nothing known follows the head: back by the distance.
  // CHECK:   arith.select %{{.*}}, %c-1024, %c0
  func.func @decode(%x: memref<?x16xi32>, %s: memref<?x2xf32>, %z: memref<?x2xi32>, %f: memref<?x64xf32>,
                    %y: memref<?x64xf32>, %logits: memref<?x96xf32>) attributes {cria.version = "decode"} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c3 = arith.constant 3 : index
    %c4 = arith.constant 4 : index
    %c6 = arith.constant 6 : index
    %thread = cria.thread_id
    %threads = cria.num_threads
    %next = arith.addi %thread, %c1 : index
    scf.for %layer = %c0 to %c3 step %c1 {
      %a = cria.load @a[%layer] : !cria.weight<64x64, q4, block = 32, zero_point, n16k4>
      %from = arith.muli %thread, %c4 : index
      %to = arith.muli %next, %c4 : index
      %lo = arith.divui %from, %threads : index
      %hi = arith.divui %to, %threads : index
      scf.for %i = %lo to %hi step %c1 {
        %row = affine.apply #tile(%i)
        %w = cria.weight_slice %a[%row] : !cria.weight<64x64, q4, block = 32, zero_point, n16k4> to !cria.weight<16x64, q4, block = 32, zero_point, n16k4>
        %o = memref.subview %y[0, %row] [1, 16] [1, 1] : memref<?x64xf32> to memref<1x16xf32, strided<[64, 1], offset: ?>>
        %x1 = memref.subview %x[0, 0] [1, 16] [1, 1] : memref<?x16xi32> to memref<1x16xi32, strided<[16, 1]>>
        %s1 = memref.subview %s[0, 0] [1, 2] [1, 1] : memref<?x2xf32> to memref<1x2xf32, strided<[2, 1]>>
        %z1 = memref.subview %z[0, 0] [1, 2] [1, 1] : memref<?x2xi32> to memref<1x2xi32, strided<[2, 1]>>
        cria.fused_linear acts(%x1, %s1, %z1 : memref<1x16xi32, strided<[16, 1]>>, memref<1x2xf32, strided<[2, 1]>>, memref<1x2xi32, strided<[2, 1]>>)
            weights(%w : !cria.weight<16x64, q4, block = 32, zero_point, n16k4>) outs(%o : memref<1x16xf32, strided<[64, 1], offset: ?>>)
            attributes {extra_kinds = [], out = #cria<out rows>} {
        ^bb0(%acc: vector<16xf32>):
          cria.yield %acc : vector<16xf32>
        }
      }
      cria.barrier
      %b = cria.load @b[%layer] : !cria.weight<64x64, f32, n16>
      %lo2 = arith.divui %from, %threads : index
      %hi2 = arith.divui %to, %threads : index
      scf.for %i = %lo2 to %hi2 step %c1 {
        %row = affine.apply #tile(%i)
        %w = cria.weight_slice %b[%row] : !cria.weight<64x64, f32, n16> to !cria.weight<16x64, f32, n16>
        %o = memref.subview %y[0, %row] [1, 16] [1, 1] : memref<?x64xf32> to memref<1x16xf32, strided<[64, 1], offset: ?>>
        %f1 = memref.subview %f[0, 0] [1, 64] [1, 1] : memref<?x64xf32> to memref<1x64xf32, strided<[64, 1]>>
        cria.fused_linear acts(%f1 : memref<1x64xf32, strided<[64, 1]>>)
            weights(%w : !cria.weight<16x64, f32, n16>) outs(%o : memref<1x16xf32, strided<[64, 1], offset: ?>>)
            attributes {extra_kinds = [], out = #cria<out rows>} {
        ^bb0(%acc: vector<16xf32>):
          cria.yield %acc : vector<16xf32>
        }
      }
      cria.barrier
    }
    %head = cria.load @head : !cria.weight<96x64, q4, block = 32, zero_point, n16k4>
    %from = arith.muli %thread, %c6 : index
    %to = arith.muli %next, %c6 : index
    %lo = arith.divui %from, %threads : index
    %hi = arith.divui %to, %threads : index
    scf.for %i = %lo to %hi step %c1 {
      %row = affine.apply #tile(%i)
      %w = cria.weight_slice %head[%row] : !cria.weight<96x64, q4, block = 32, zero_point, n16k4> to !cria.weight<16x64, q4, block = 32, zero_point, n16k4>
      %o = memref.subview %logits[0, %row] [1, 16] [1, 1] : memref<?x96xf32> to memref<1x16xf32, strided<[96, 1], offset: ?>>
      %x1 = memref.subview %x[0, 0] [1, 16] [1, 1] : memref<?x16xi32> to memref<1x16xi32, strided<[16, 1]>>
      %s1 = memref.subview %s[0, 0] [1, 2] [1, 1] : memref<?x2xf32> to memref<1x2xf32, strided<[2, 1]>>
      %z1 = memref.subview %z[0, 0] [1, 2] [1, 1] : memref<?x2xi32> to memref<1x2xi32, strided<[2, 1]>>
      cria.fused_linear acts(%x1, %s1, %z1 : memref<1x16xi32, strided<[16, 1]>>, memref<1x2xf32, strided<[2, 1]>>, memref<1x2xi32, strided<[2, 1]>>)
          weights(%w : !cria.weight<16x64, q4, block = 32, zero_point, n16k4>) outs(%o : memref<1x16xf32, strided<[96, 1], offset: ?>>)
          attributes {extra_kinds = [], out = #cria<out rows>} {
      ^bb0(%acc: vector<16xf32>):
        cria.yield %acc : vector<16xf32>
      }
    }
    return
  }

  // Other versions read a tile's weights once for many tokens.
  // CHECK-LABEL: func.func @prefill
  // CHECK-NOT: locality<2>
  func.func @prefill(%x: memref<1x64xf32>, %y: memref<1x64xf32>) attributes {cria.version = "prefill"} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c4 = arith.constant 4 : index
    %b = cria.load @b[%c0] : !cria.weight<64x64, f32, n16>
    scf.for %i = %c0 to %c4 step %c1 {
      %row = affine.apply #tile(%i)
      %w = cria.weight_slice %b[%row] : !cria.weight<64x64, f32, n16> to !cria.weight<16x64, f32, n16>
      %o = memref.subview %y[0, %row] [1, 16] [1, 1] : memref<1x64xf32> to memref<1x16xf32, strided<[64, 1], offset: ?>>
      cria.fused_linear acts(%x : memref<1x64xf32>)
          weights(%w : !cria.weight<16x64, f32, n16>) outs(%o : memref<1x16xf32, strided<[64, 1], offset: ?>>)
          attributes {extra_kinds = [], out = #cria<out rows>} {
      ^bb0(%acc: vector<16xf32>):
        cria.yield %acc : vector<16xf32>
      }
    }
    return
  }
}
