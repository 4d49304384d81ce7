// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-bufferize -verify-diagnostics | FileCheck %s

!w = !cria.weight<128x64, f32, n16>

// The logits are what the caller gave; the result goes away.
// CHECK-LABEL: func.func @entry
// CHECK-SAME:    (%[[T:[^:]*]]: memref<?xi32>, %[[W:[^:]*]]: !cria.weight<128x64, f32, n16>, %[[OUT:[^:]*]]: memref<?x64xf32> {cria.arg = "logits"}) attributes {cria.entry}
// CHECK-NOT:     memref.alloc
// CHECK:         cria.embed_rows ins(%[[T]], %[[W]] : memref<?xi32>, {{.*}}) outs(%[[OUT]] : memref<?x64xf32>)
// CHECK-NEXT:    return{{$}}
func.func @entry(%t: tensor<?xi32>, %w: !w, %out: tensor<?x64xf32> {cria.arg = "logits"}) -> tensor<?x64xf32> attributes {cria.entry} {
  %y = cria.embed_rows ins(%t, %w : tensor<?xi32>, !w) outs(%out : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// A loaded norm weight is a row of a stacked array, and the prologue's own
// rows stay tensors.
cria.param @g stacked : tensor<2x64xf32>
// CHECK-LABEL: func.func @rows
// CHECK:         %[[G:.*]] = bufferization.to_buffer %{{.*}} : tensor<64xf32> to memref<64xf32, strided<[1], offset: ?>>
// CHECK:         cria.rows ins(%{{.*}} : memref<?x64xf32{{.*}}>) params(%[[G]] :
// CHECK-NEXT:    ^bb0(%{{.*}}: tensor<1x64xf32>, %{{.*}}: tensor<64xf32>):
func.func @rows(%x: tensor<?x64xf32>, %l: index, %out: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {cria.entry} {
  %g = cria.load @g[%l] : tensor<64xf32>
  %y = cria.rows ins(%x : tensor<?x64xf32>) params(%g : tensor<64xf32>) outs(%out : tensor<?x64xf32>) {
  ^bb0(%row: tensor<1x64xf32>, %w: tensor<64xf32>):
    %n = cria.norm rms %row weight %w {eps = 1.0e-05 : f32} : tensor<1x64xf32>, weight tensor<64xf32>
    cria.yield %n : tensor<1x64xf32>
  } -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// The cache goes round a loop in place.
// CHECK-LABEL: func.func @cache_in_loop
// CHECK-SAME:    %[[V:[^:]*]]: memref<1x?x2x64x32xf32>
// CHECK-NOT:     memref.alloc
// CHECK-NOT:     memref.copy
// CHECK:         scf.for {{.*}} iter_args(%[[IT:.*]] = %[[V]])
// CHECK:           cria.fused_linear {{.*}} outs(%[[IT]] :
// CHECK:         return{{$}}
func.func @cache_in_loop(%x: tensor<?x64xf32>, %w: !cria.weight<64x64, f32, n16>, %v: tensor<1x?x2x64x32xf32>, %s: tensor<?xi32>, %n: index) -> tensor<1x?x2x64x32xf32> attributes {cria.entry} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%it = %v) -> (tensor<1x?x2x64x32xf32>) {
    %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) layer %i slots %s : tensor<?xi32> outs(%it : tensor<1x?x2x64x32xf32>) attributes {extra_kinds = [], out = #cria<out value>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    } -> tensor<1x?x2x64x32xf32>
    scf.yield %y : tensor<1x?x2x64x32xf32>
  }
  return %r : tensor<1x?x2x64x32xf32>
}

// -----

// Two destinations are two allocations, though one empty tensor served both.
// CHECK-LABEL: func.func @one_empty
// CHECK-COUNT-2: memref.alloc(
func.func @one_empty(%t: tensor<?xi32>, %w: !cria.weight<128x64, f32, n16>, %n: index) -> tensor<?x64xf32> {
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %y = cria.embed_rows ins(%t, %w : tensor<?xi32>, !cria.weight<128x64, f32, n16>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %z = cria.rows ins(%y : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%row: tensor<1x64xf32>):
    cria.yield %row : tensor<1x64xf32>
  } -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

func.func @new_result(%t: tensor<?xi32>, %w: !cria.weight<128x64, f32, n16>, %n: index) -> tensor<?x64xf32> attributes {cria.entry} {
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %y = cria.embed_rows ins(%t, %w : tensor<?xi32>, !cria.weight<128x64, f32, n16>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  // expected-error @+1 {{result 0 of an entry is not one of its arguments updated in place}}
  return %y : tensor<?x64xf32>
}

// -----

// The two ways of a branch write one buffer, whoever else has one like it.
// CHECK-LABEL: func.func @branch
// CHECK:         %[[OWN:.*]] = memref.alloc
// CHECK:         %[[ONE:.*]] = memref.alloc
// CHECK-NOT:     memref.alloc
// CHECK:         scf.if
// CHECK:           cria.embed_rows {{.*}} outs(%[[ONE]] :
// CHECK:         } else {
// CHECK:           cria.embed_rows {{.*}} outs(%[[ONE]] :
// CHECK-NOT:     memref.alloc
// CHECK:         cria.embed_rows {{.*}} outs(%[[OWN]] :
func.func @branch(%t: tensor<?xi32>, %w: !cria.weight<128x64, f32, n16>, %n: index, %c: i1) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %y = scf.if %c -> tensor<?x64xf32> {
    %0 = cria.embed_rows ins(%t, %w : tensor<?xi32>, !cria.weight<128x64, f32, n16>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
    scf.yield %0 : tensor<?x64xf32>
  } else {
    %0 = cria.embed_rows ins(%t, %w : tensor<?xi32>, !cria.weight<128x64, f32, n16>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
    scf.yield %0 : tensor<?x64xf32>
  }
  %z = cria.embed_rows ins(%t, %w : tensor<?xi32>, !cria.weight<128x64, f32, n16>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y, %z : tensor<?x64xf32>, tensor<?x64xf32>
}
