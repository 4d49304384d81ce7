// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What must not be alive after the stage.
// RUN: cria-opt %s -split-input-file -cria-check-stage=stage=bufferize -verify-diagnostics

cria.param @g : tensor<64xf32>
func.func @allowed(%x: memref<?x64xf32>, %e: memref<?x64xf32>) {
  %g = cria.load @g : tensor<64xf32>
  %w = bufferization.to_buffer %g : tensor<64xf32> to memref<64xf32>
  cria.rows ins(%x : memref<?x64xf32>) params(%w : memref<64xf32>) outs(%e : memref<?x64xf32>) {
  ^bb0(%row: tensor<1x64xf32>, %p: tensor<64xf32>):
    %n = cria.norm rms %row weight %p {eps = 1.0e-05 : f32} : tensor<1x64xf32>, weight tensor<64xf32>
    cria.yield %n : tensor<1x64xf32>
  }
  return
}

// -----

func.func @tensor(%n: index) {
  // expected-error @+1 {{after stage 'bufferize': 'tensor.empty' must not be alive: allowed dialects are cria, func, scf, arith, math, vector, affine, linalg, memref, bufferization}}
  %0 = tensor.empty(%n) : tensor<?x64xf32>
  return
}

// -----

// expected-error @+1 {{after stage 'bufferize': 'func.func' must not be alive: tensors are memrefs by now}}
func.func @argument(%x: tensor<?x64xf32>) {
  return
}

// -----

func.func @alloc() {
  // expected-error @+1 {{after stage 'bufferize': 'memref.alloc' must not be alive: memory is a view of the arena}}
  %0 = memref.alloc() : memref<4xf32>
  return
}

// -----

func.func @copy(%a: memref<4xf32>, %b: memref<4xf32>) {
  // expected-error @+1 {{after stage 'bufferize': 'memref.copy' must not be alive: everything is computed in place}}
  memref.copy %a, %b : memref<4xf32> to memref<4xf32>
  return
}

// -----

func.func @forall(%n: index) {
  // expected-error @+1 {{after stage 'bufferize': 'scf.forall' must not be alive: parallel loops are ranges of a thread by now}}
  scf.forall (%i) in (%n) {
    // expected-error @-1 {{after stage 'bufferize': 'scf.forall.in_parallel' must not be alive}}
  }
  return
}
