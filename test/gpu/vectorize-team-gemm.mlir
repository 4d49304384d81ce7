// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -verify-diagnostics -cria-vectorize-team-gemm -canonicalize -cse | FileCheck %s

// Four steps of K, each a slice: three are on their way before the first is
// waited for. A thread has 16 products of a step, each of three bf16.

// CHECK-LABEL: func @bf16
// CHECK-SAME: (%[[X:.*]]: memref<?x64xf32>
// CHECK: %[[THREAD:.*]] = call @cria_gpu_thread()
// A piece of the weights a thread, and two of the activations.
// CHECK-COUNT-3: call @cria_gpu_copy(
// CHECK-NEXT: call @cria_gpu_copy_commit()
// CHECK-COUNT-3: call @cria_gpu_copy(
// CHECK-NEXT: call @cria_gpu_copy_commit()
// CHECK-COUNT-3: call @cria_gpu_copy(
// CHECK-NEXT: call @cria_gpu_copy_commit()
// CHECK: %[[TOTALS:.*]]:64 = scf.for %[[FROM:[a-z0-9]+]] = %c0 to %c4 step %c1 iter_args(%[[TOTAL:[a-z0-9]+]] = %cst
// CHECK: %[[SUMS:.*]]:64 = scf.for %[[STEP:[a-z0-9]+]] = %[[FROM]] to %{{[a-z0-9]+}} step %c1 iter_args(
// CHECK: func.call @cria_gpu_copy_wait(%c2_i32)
// CHECK-NEXT: func.call @cria_gpu_team_sync()
// CHECK: %[[FURTHER:.*]] = arith.addi %[[STEP]], %c3
// CHECK: arith.cmpi ult, %[[FURTHER]], %c4
// CHECK: scf.if
// CHECK-COUNT-3: func.call @cria_gpu_copy(
// CHECK: }
// CHECK: func.call @cria_gpu_copy_commit()
// CHECK-COUNT-4: func.call @cria_gpu_words4
// CHECK-COUNT-2: func.call @cria_gpu_words2
// CHECK-COUNT-48: func.call @cria_gpu_mma_bf16
// CHECK-NOT: cria_gpu_mma_bf16
// CHECK: arith.addf %[[TOTAL]], %[[SUMS]]#0
// CHECK: call @cria_gpu_copy_wait(%c0_i32)
// CHECK-NEXT: call @cria_gpu_team_sync()
// CHECK: scf.for %[[TILE:.*]] = %c0 to %c4 step %c1
// CHECK: func.call @cria_gpu_put(%{{.*}}, %[[TOTALS]]#0)
// CHECK: func.call @cria_gpu_team_sync()
// CHECK: scf.for %{{.*}} to %c32 step %c2
// CHECK: %[[SUM:.*]] = func.call @cria_gpu_get(
// CHECK: %[[ACC:.*]] = func.call @cria_gpu_lanes(%[[SUM]])
// CHECK: vector.store %[[ACC]]
// CHECK: func.call @cria_gpu_team_sync()
module {
  cria.param @w : !cria.weight<128x64, bf16, n16k2>
  func.func @bf16(%x: memref<?x64xf32>, %y: memref<?x128xf32>) attributes {cria.version = "prefill"} {
    %w = cria.load @w : !cria.weight<128x64, bf16, n16k2>
    cria.fused_linear acts(%x : memref<?x64xf32>) weights(%w : !cria.weight<128x64, bf16, n16k2>) outs(%y : memref<?x128xf32>)
      attributes {cria.gemm = array<i64: 128, 128>, cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    return
  }
}

// -----

// Rows that are bf16 already: one product, no slices, and 64 tokens a warp.

// CHECK-LABEL: func @rounded
// CHECK: %[[SUMS:.*]]:128 = scf.for %{{.*}} = %c0 to %c4 step %c1
// CHECK-COUNT-32: func.call @cria_gpu_mma_bf16
// CHECK-NOT: cria_gpu_mma_bf16
// CHECK: call @cria_gpu_copy_wait(%c0_i32)
module {
  cria.param @w : !cria.weight<256x64, bf16, n16k2>
  func.func @rounded(%x: memref<?x64xf32>, %y: memref<?x256xf32>) attributes {cria.version = "prefill"} {
    %w = cria.load @w : !cria.weight<256x64, bf16, n16k2>
    cria.fused_linear acts(%x : memref<?x64xf32>) weights(%w : !cria.weight<256x64, bf16, n16k2>) outs(%y : memref<?x256xf32>)
      attributes {bf16, cria.gemm = array<i64: 128, 256>, cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    return
  }
}

// -----

// Two blocks of codes, scales of 128 rows, scales and sums of 128 tokens.

// CHECK-LABEL: func @codes
// CHECK: call @cria_gpu_copy(
// CHECK: call @cria_gpu_copy(
// CHECK: call @cria_gpu_copy(
// CHECK: call @cria_gpu_copy_word(
// CHECK: func.call @cria_gpu_mma_u8s8(
// A sum's bits are an f32 that is larger by 1.5 * 2^23.
// CHECK: arith.bitcast %{{.*}} : i32 to f32
// CHECK: arith.subf %{{.*}}, %cst{{.*}} : f32
// CHECK: math.fma
module {
  cria.param @w : !cria.weight<128x64, q8, block = 32, zero_point, n16k4>
  func.func @codes(%c: memref<?x16xi32>, %s: memref<?x2xf32>, %m: memref<?x2xi32>, %y: memref<?x128xf32>) attributes {cria.version = "prefill"} {
    %w = cria.load @w : !cria.weight<128x64, q8, block = 32, zero_point, n16k4>
    cria.fused_linear acts(%c, %s, %m : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xi32>) weights(%w : !cria.weight<128x64, q8, block = 32, zero_point, n16k4>) outs(%y : memref<?x128xf32>)
      attributes {cria.gemm = array<i64: 128, 128>, cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    return
  }
}

// -----

module {
  cria.param @w : !cria.weight<16x64, bf16, n16k2>
  func.func @tile(%x: memref<?x64xf32>, %y: memref<?x16xf32>) {
    %w = cria.load @w : !cria.weight<16x64, bf16, n16k2>
    // expected-error @+1 {{cria.gemm is array<i64: 128, 96> for 1 weights; accepted are 64, 128, 256 or 512 rows of 1 or 2 weights together, and up to 1024 tokens in multiples of 64, 32, 16 or 8 with as many rows}}
    cria.fused_linear acts(%x : memref<?x64xf32>) weights(%w : !cria.weight<16x64, bf16, n16k2>) outs(%y : memref<?x16xf32>)
      attributes {cria.gemm = array<i64: 128, 96>, cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    return
  }
}

// -----

module {
  cria.param @w : !cria.weight<16x64, bf16, n16k2>
  func.func @memory(%x: memref<?x64xf32>, %y: memref<?x16xf32>) {
    %w = cria.load @w : !cria.weight<16x64, bf16, n16k2>
    // expected-error @+1 {{can have 1 stages of 49152 bytes in the 49152 of a block; accepted are 2 to 8}}
    cria.fused_linear acts(%x : memref<?x64xf32>) weights(%w : !cria.weight<16x64, bf16, n16k2>) outs(%y : memref<?x16xf32>)
      attributes {cria.gemm = array<i64: 512, 512>, cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    return
  }
}
