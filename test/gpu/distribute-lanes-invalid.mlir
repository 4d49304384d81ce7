// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -verify-diagnostics -cria-distribute-lanes

// The order of a sum of floats would be the tree's.
func.func @sum(%x: memref<16xf32>) -> f32 {
  %i = arith.constant 0 : index
  %v = vector.load %x[%i] : memref<16xf32>, vector<16xf32>
  // expected-error@+1 {{failed to legalize operation 'vector.reduction'}}
  %r = vector.reduction <add>, %v : vector<16xf32> into f32
  return %r : f32
}

// -----

// expected-error@+1 {{has memory on the stack and no argument with cria.arg = "thread_arena" to put it in}}
func.func @stack(%v: f32) {
  %i = arith.constant 3 : index
  %a = memref.alloca() : memref<16xf32>
  memref.store %v, %a[%i] : memref<16xf32>
  return
}
