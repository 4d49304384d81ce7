// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-set-kv-type=type=bf16 | FileCheck %s
// RUN: cria-opt %s -cria-set-kv-type | FileCheck %s --check-prefix=DEFAULT
// RUN: not cria-opt %s -cria-set-kv-type=type=f8 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: option type: 'f8' is not a KV type; accepted: f32, f16, bf16, i8, i16

// A page of i8 holds the codes of 64 positions and their scales.
// RUN: cria-opt %s -cria-set-kv-type=type=i8 | FileCheck %s --check-prefix=I8
// I8-LABEL: func.func private @layer
// I8-SAME:    -> tensor<2x?x2x2304xi8>
// I8:         cria.kv_append key {{.*}} : tensor<?x64xf32>, tensor<2x?x2x2304xi8>, tensor<?xi32>
// I8-LABEL: func.func @loop
// I8:         scf.for {{.*}} -> (tensor<2x?x2x2304xi8>)

// RUN: cria-opt %s -cria-set-kv-type=type=i16 | FileCheck %s --check-prefix=I16
// I16-LABEL: func.func private @layer
// I16-SAME:    -> tensor<2x?x2x2176xi16>

// RUN: not cria-opt %S/Inputs/odd-head-dim.mlir -cria-set-kv-type=type=i16 2>&1 | FileCheck %s --check-prefix=ODD
// ODD: error: KV type i16 needs an even head_dim, not 15; f32, f16, bf16 and i8 take any

// CHECK-LABEL: func.func private @layer
// CHECK-SAME:    -> tensor<2x?x2x4x32x16xbf16>
// DEFAULT-LABEL: func.func private @layer
// DEFAULT-SAME:    -> tensor<2x?x2x4x32x16xf16>
func.func private @layer(%x: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf32>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x4x32x16xf32> {
  // CHECK: cria.kv_append key {{.*}} : tensor<?x64xf32>, tensor<2x?x2x4x32x16xbf16>, tensor<?xi32>
  %next = cria.kv_append key %x into %k[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf32>, tensor<?xi32>
  return %next : tensor<2x?x2x4x32x16xf32>
}

// Through loops and calls; other tensors keep their type.
// CHECK-LABEL: func.func @loop
// CHECK-SAME:    (%{{.*}}: tensor<?x64xf32>, %{{.*}}: tensor<2x?x2x4x32x16xbf16>
func.func @loop(%x: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf32>, %slots: tensor<?xi32>) -> tensor<2x?x2x4x32x16xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  // CHECK: scf.for {{.*}} -> (tensor<2x?x2x4x32x16xbf16>)
  %r = scf.for %i = %c0 to %c2 step %c1 iter_args(%c = %k) -> (tensor<2x?x2x4x32x16xf32>) {
    // CHECK: call @layer({{.*}}) : (tensor<?x64xf32>, tensor<2x?x2x4x32x16xbf16>, index, tensor<?xi32>) -> tensor<2x?x2x4x32x16xbf16>
    %n = func.call @layer(%x, %c, %i, %slots) : (tensor<?x64xf32>, tensor<2x?x2x4x32x16xf32>, index, tensor<?xi32>) -> tensor<2x?x2x4x32x16xf32>
    scf.yield %n : tensor<2x?x2x4x32x16xf32>
  }
  return %r : tensor<2x?x2x4x32x16xf32>
}
