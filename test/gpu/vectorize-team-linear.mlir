// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -verify-diagnostics -cria-vectorize-team-linear -canonicalize -cse | FileCheck %s

// Four steps of K: one for each of the first four warps, three bf16 of each f32.

// CHECK-LABEL: func @bf16
// CHECK-SAME: (%[[X:.*]]: memref<?x64xf32>
// CHECK: %[[THREAD:.*]] = call @cria_gpu_thread()
// CHECK: %[[SUMS:.*]]:4 = scf.for %[[STEP:[a-z0-9]+]] = {{.*}} -> (f32, f32, f32, f32)
// CHECK-COUNT-2: vector.load %{{.*}} {{{.*}}cria.lane} : memref<1x32x32xbf16{{.*}}>, vector<4xbf16>
// CHECK: vector.load %[[X]]{{.*}}cria.lane} : memref<?x64xf32>, vector<2xf32>
// CHECK-COUNT-3: func.call @cria_gpu_mma_bf16
// CHECK-NOT: cria_gpu_mma_bf16
// CHECK-COUNT-4: func.call @cria_gpu_put
// CHECK: func.call @cria_gpu_team_sync
// The slices in their order, and the epilogue for the group's token.
// CHECK: %[[S0:.*]] = func.call @cria_gpu_get
// CHECK: %[[S1:.*]] = func.call @cria_gpu_get
// CHECK: %[[A:.*]] = arith.addf %[[S0]], %[[S1]] : f32
// CHECK: %[[S2:.*]] = func.call @cria_gpu_get
// CHECK: %[[B:.*]] = arith.addf %[[A]], %[[S2]] : f32
// CHECK: %[[S3:.*]] = func.call @cria_gpu_get
// CHECK: %[[C:.*]] = arith.addf %[[B]], %[[S3]] : f32
// CHECK-NOT: cria_gpu_get
// CHECK: %[[ACC:.*]] = func.call @cria_gpu_lanes(%[[C]]) : (f32) -> vector<16xf32>
// CHECK: vector.store %[[ACC]]
// CHECK: func.call @cria_gpu_team_sync
module {
  cria.param @w : !cria.weight<16x64, bf16, n16k2>
  func.func @bf16(%x: memref<?x64xf32>, %y: memref<?x16xf32>) attributes {cria.version = "decode"} {
    %w = cria.load @w : !cria.weight<16x64, bf16, n16k2>
    cria.fused_linear acts(%x : memref<?x64xf32>) weights(%w : !cria.weight<16x64, bf16, n16k2>) outs(%y : memref<?x16xf32>)
      attributes {cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    return
  }
}

// -----

// An f16 is two bf16: six products, the smaller part of the weights first.

// CHECK-LABEL: func @f16
// CHECK-COUNT-4: vector.load %{{.*}} {{{.*}}cria.lane} : memref<1x64x16xf16{{.*}}>, vector<2xf16>
// CHECK: func.call @cria_gpu_mma_bf16(%[[LOW:[a-z0-9_]+]],
// CHECK: func.call @cria_gpu_mma_bf16(%[[HIGH:[a-z0-9_]+]],
// CHECK: func.call @cria_gpu_mma_bf16(%[[LOW]],
// CHECK: func.call @cria_gpu_mma_bf16(%[[HIGH]],
// CHECK: func.call @cria_gpu_mma_bf16(%[[LOW]],
// CHECK: func.call @cria_gpu_mma_bf16(%[[HIGH]],
// CHECK-NOT: cria_gpu_mma_bf16
module {
  cria.param @w : !cria.weight<16x64, f16, n16>
  func.func @f16(%x: memref<?x64xf32>, %y: memref<?x16xf32>) attributes {cria.version = "decode"} {
    %w = cria.load @w : !cria.weight<16x64, f16, n16>
    cria.fused_linear acts(%x : memref<?x64xf32>) weights(%w : !cria.weight<16x64, f16, n16>) outs(%y : memref<?x16xf32>)
      attributes {cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    return
  }
}

// -----

// Each half of a block of q6 is a product, and has a scale of its own; codes of
// 8 bits have one each.

// CHECK-LABEL: func @q6
// CHECK: %[[ZERO:.*]] = arith.constant 0 : i32
// CHECK: scf.for
// CHECK-COUNT-2: vector.load {{.*}}vector<8xi8>
// CHECK: vector.load {{.*}}vector<2xf16>
// CHECK-COUNT-2: vector.load {{.*}}vector<4xi8>
// CHECK: %[[FIRST:.*]]:4 = func.call @cria_gpu_mma_u8s8(%[[A:.*]], %[[B:.*]], %[[ZERO]], %[[ZERO]],
// CHECK: arith.mulf
// CHECK: func.call @cria_gpu_mma_u8s8(%[[ZERO]], %[[ZERO]], %[[C:.*]], %[[D:.*]],
// CHECK: math.fma
// CHECK-NOT: cria_gpu_mma_u8s8
module {
  cria.param @w : !cria.weight<16x256, q6, block = 16, zero_point, n16k4>
  func.func @q6(%c: memref<?x64xi32>, %s: memref<?x8xf32>, %m: memref<?x16xi32>, %y: memref<?x16xf32>) attributes {cria.version = "decode"} {
    %w = cria.load @w : !cria.weight<16x256, q6, block = 16, zero_point, n16k4>
    cria.fused_linear acts(%c, %s, %m : memref<?x64xi32>, memref<?x8xf32>, memref<?x16xi32>) weights(%w : !cria.weight<16x256, q6, block = 16, zero_point, n16k4>) outs(%y : memref<?x16xf32>)
      attributes {cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    return
  }
}

// -----

// Before the barrier, a team asks for the 2 KB of its first task of the linear
// behind it, if it has one.

// CHECK-LABEL: func @ahead
// CHECK: call @cria_gpu_put
// CHECK: %[[TEAM:.*]] = arith.divui %{{.*}}, %c16
// CHECK: %[[HAS:.*]] = arith.cmpi ult, %[[TEAM]], %c2
// CHECK: scf.if %[[HAS]]
// CHECK: memref.extract_aligned_pointer_as_index
// CHECK: arith.muli %[[TEAM]], %c2048
// CHECK: scf.for %{{.*}} to %c2048{{.*}} step %c32768
// CHECK: call @cria_gpu_fetch
// CHECK: cria.barrier
// CHECK-NOT: cria_gpu_fetch
module {
  cria.param @w : !cria.weight<16x64, bf16, n16k2>
  cria.param @v : !cria.weight<32x64, bf16, n16k2>
  func.func @ahead(%x: memref<?x64xf32>, %y: memref<?x16xf32>, %from: index, %step: index, %to: index) attributes {cria.version = "decode"} {
    %w = cria.load @w : !cria.weight<16x64, bf16, n16k2>
    cria.fused_linear acts(%x : memref<?x64xf32>) weights(%w : !cria.weight<16x64, bf16, n16k2>) outs(%y : memref<?x16xf32>)
      attributes {cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    cria.barrier
    %v = cria.load @v : !cria.weight<32x64, bf16, n16k2>
    scf.for %i = %from to %to step %step {
      %s = cria.weight_slice %v[%i] : !cria.weight<32x64, bf16, n16k2> to !cria.weight<16x64, bf16, n16k2>
      cria.fused_linear acts(%x : memref<?x64xf32>) weights(%s : !cria.weight<16x64, bf16, n16k2>) outs(%y : memref<?x16xf32>)
        attributes {cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} {
      ^bb0(%acc: vector<16xf32>):
        cria.yield %acc : vector<16xf32>
      }
    }
    return
  }
}

// -----

module {
  cria.param @w : !cria.weight<16x64, bf16, n16k2>
  func.func @size(%x: memref<?x64xf32>, %y: memref<?x16xf32>) {
    %w = cria.load @w : !cria.weight<16x64, bf16, n16k2>
    // expected-error @+1 {{cria.team is 8 : i64; a team has 16 groups}}
    cria.fused_linear acts(%x : memref<?x64xf32>) weights(%w : !cria.weight<16x64, bf16, n16k2>) outs(%y : memref<?x16xf32>)
      attributes {cria.team = 8 : i64, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    return
  }
}
