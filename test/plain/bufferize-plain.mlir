// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt --cria-bufferize-plain --split-input-file --verify-diagnostics %s | FileCheck %s

// A cache that goes round a loop stays the argument, and no result is left.
// CHECK-LABEL: func.func @in_place(
// CHECK-SAME: %{{.+}}: memref<?xf32> {cria.arg = "keys"}, %{{.+}}: f32, %{{.+}}: index) attributes {cria.entry} {
// CHECK-NOT: memref.alloc
// CHECK-NOT: linalg.copy
// CHECK: memref.store
// CHECK: return{{$}}
func.func @in_place(%keys: tensor<?xf32> {cria.arg = "keys"}, %x: f32, %n: index)
    -> (tensor<?xf32> {cria.arg = "keys"}) attributes {cria.entry} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%k = %keys) -> tensor<?xf32> {
    %next = tensor.insert %x into %k[%i] : tensor<?xf32>
    scf.yield %next : tensor<?xf32>
  }
  return %r : tensor<?xf32>
}

// -----

// The input is read-only: a write goes to a copy, by linalg.copy.
// CHECK-LABEL: func.func @read_only(
// CHECK: memref.alloc
// CHECK: linalg.copy
// CHECK: memref.store
// CHECK: linalg.copy
func.func @read_only(%x: tensor<8xf32> {bufferization.writable = false}, %f: f32,
    %logits: tensor<8xf32> {cria.arg = "logits"})
    -> (tensor<8xf32> {cria.arg = "logits"}) attributes {cria.entry} {
  %c0 = arith.constant 0 : index
  %y = tensor.insert %f into %x[%c0] : tensor<8xf32>
  %r = bufferization.materialize_in_destination %y in %logits : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return %r : tensor<8xf32>
}

// -----

// The old cache is read after the append, so a copy would be needed.
// expected-error @below {{'func.func' op does not write its result 1 in place to "keys": a copy would be needed}}
func.func @old_value(%keys: tensor<8xf32> {cria.arg = "keys"}, %f: f32,
    %out: tensor<8xf32> {cria.arg = "logits"})
    -> (tensor<8xf32> {cria.arg = "logits"}, tensor<8xf32> {cria.arg = "keys"})
    attributes {cria.entry} {
  %c0 = arith.constant 0 : index
  %next = tensor.insert %f into %keys[%c0] : tensor<8xf32>
  %r = bufferization.materialize_in_destination %keys in %out : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return %r, %next : tensor<8xf32>, tensor<8xf32>
}

// -----

// expected-error @below {{does not write its result 0 in place to "keys"}}
func.func @swapped(%keys: tensor<8xf32> {cria.arg = "keys"}, %values: tensor<8xf32> {cria.arg = "values"})
    -> (tensor<8xf32> {cria.arg = "keys"}, tensor<8xf32> {cria.arg = "values"})
    attributes {cria.entry} {
  return %values, %keys : tensor<8xf32>, tensor<8xf32>
}
