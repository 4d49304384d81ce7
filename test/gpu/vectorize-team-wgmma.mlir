// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -verify-diagnostics -cria-vectorize-team-wgmma="units=2 stages=3" -canonicalize -cse | FileCheck %s

// Four stages of two products, of which two are on their way before the first
// is waited for. A thread has 64 tokens' sums of two rows of two products.

// CHECK-LABEL: func @bf16
// CHECK: %[[THREAD:.*]] = call @cria_gpu_thread()
// 3 stages of 6144 places, then two mbarriers each: 256 threads and 16 bulk
// copies arrive at the first, 16 groups at the second.
// CHECK: scf.if
// CHECK: func.call @cria_gpu_mbarrier_init(%c18432_i32, %c272_i32)
// CHECK: func.call @cria_gpu_mbarrier_init(%c18434_i32, %c16_i32)
// CHECK: func.call @cria_gpu_mbarrier_init(%c18436_i32, %c272_i32)
// CHECK: func.call @cria_gpu_mbarrier_init(%c18438_i32, %c16_i32)
// CHECK: func.call @cria_gpu_mbarrier_init(%c18440_i32, %c272_i32)
// CHECK: func.call @cria_gpu_mbarrier_init(%c18442_i32, %c16_i32)
// CHECK: call @cria_gpu_fence_async()
// CHECK-NEXT: call @cria_gpu_team_sync()
// Two pieces of tokens a thread; a group's 32 columns for 16 threads.
// CHECK-COUNT-2: call @cria_gpu_copy(
// CHECK: call @cria_gpu_mbarrier_copies(%c18432_i32)
// CHECK: scf.if
// CHECK: func.call @cria_gpu_fence_async()
// CHECK: func.call @cria_gpu_bulk_copy(%{{.*}}, %{{.*}}, %c1024_i32, %c18432_i32)
// CHECK-COUNT-2: call @cria_gpu_copy(
// CHECK: call @cria_gpu_mbarrier_copies(%c18436_i32)
// CHECK: func.call @cria_gpu_bulk_copy(%{{.*}}, %{{.*}}, %c1024_i32, %c18436_i32)
// CHECK: %[[SUMS:.*]]:128 = scf.for %[[STEP:[a-z0-9]+]] = %c0 to %c4 step %c1 iter_args(
// CHECK: func.call @cria_gpu_mbarrier_wait(
// CHECK-NEXT: func.call @cria_gpu_fence_async()
// CHECK-COUNT-8: func.call @cria_gpu_words2(
// CHECK: %[[F:.*]]:144 = func.call @cria_gpu_wgmma_fence_16x128(
// The other 8 columns of 128 tokens are 2048 bytes further on, the next 8
// tokens 128; the second half of the sums is the second product's.
// CHECK: %[[A:.*]]:64 = func.call @cria_gpu_wgmma_bf16_n128(%[[F]]#0, %[[F]]#1, %[[F]]#2, %[[F]]#3, %[[B:[a-z0-9_]+]], %c2048_i32, %c128_i32, %[[F]]#16,
// CHECK: %[[C:.*]]:64 = func.call @cria_gpu_wgmma_bf16_n128(%[[F]]#4, %[[F]]#5, %[[F]]#6, %[[F]]#7, %[[B]], %c2048_i32, %c128_i32, %[[F]]#80,
// CHECK: func.call @cria_gpu_wgmma_bf16_n128(%[[F]]#8, %{{.*}}, %c2048_i32, %c128_i32, %[[A]]#0,
// CHECK: func.call @cria_gpu_wgmma_bf16_n128(%[[F]]#12, %{{.*}}, %c2048_i32, %c128_i32, %[[C]]#0,
// CHECK-NEXT: func.call @cria_gpu_wgmma_commit()
// CHECK: %[[FURTHER:.*]] = arith.addi %[[STEP]], %c2
// CHECK: arith.cmpi ult, %[[FURTHER]], %c4
// CHECK: scf.if
// CHECK: arith.cmpi uge, %[[FURTHER]], %c3
// CHECK: scf.if
// CHECK: func.call @cria_gpu_mbarrier_wait(
// CHECK: func.call @cria_gpu_copy(
// CHECK: func.call @cria_gpu_bulk_copy(
// CHECK: func.call @cria_gpu_wgmma_wait_128(
// CHECK-NEXT: func.call @cria_gpu_sync()
// CHECK: scf.if
// CHECK: func.call @cria_gpu_mbarrier_arrive(
// CHECK: call @cria_gpu_team_sync()
// CHECK-COUNT-6: func.call @cria_gpu_mbarrier_inval(
// CHECK: call @cria_gpu_team_sync()
// CHECK: scf.for %{{.*}} = %c0 to %c16 step %c1
// CHECK: func.call @cria_gpu_put(%{{.*}}, %[[SUMS]]#0)
// CHECK: func.call @cria_gpu_put(%{{.*}}, %[[SUMS]]#64)
// CHECK: %[[SUM:.*]] = func.call @cria_gpu_get(
// CHECK: %[[ACC:.*]] = func.call @cria_gpu_lanes(%[[SUM]])
// CHECK: vector.store %[[ACC]]
module {
  cria.param @w : !cria.weight<256x128, bf16, n16k2>
  func.func @bf16(%x: memref<?x128xf32>, %y: memref<?x256xf32>) attributes {cria.version = "prefill"} {
    %w = cria.load @w : !cria.weight<256x128, bf16, n16k2>
    cria.fused_linear acts(%x : memref<?x128xf32>) weights(%w : !cria.weight<256x128, bf16, n16k2>) outs(%y : memref<?x256xf32>)
      attributes {bf16, cria.gemm = array<i64: 128, 256>, cria.team = 16 : i64, cria.wgmma, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    return
  }
}

// -----

// Two weights: a product of each for a warp, whose sums meet in the epilogue.
// 48 columns are three products, and one a stage.

// CHECK-LABEL: func @two
// CHECK: scf.for %{{.*}} = %c0 to %c3 step %c1 iter_args(
// CHECK: %[[F:.*]]:40 = func.call @cria_gpu_wgmma_fence_8x32(
// CHECK: func.call @cria_gpu_wgmma_bf16_n32(
// CHECK: func.call @cria_gpu_wgmma_bf16_n32(
// CHECK-NOT: func.call @cria_gpu_wgmma_bf16
// CHECK: call @cria_gpu_wgmma_wait_32(
// CHECK: %[[GATE:.*]] = func.call @cria_gpu_lanes(
// CHECK: %[[UP:.*]] = func.call @cria_gpu_lanes(
// CHECK: %[[BOTH:.*]] = arith.mulf %[[GATE]], %[[UP]]
// CHECK: vector.store %[[BOTH]]
module {
  cria.param @g : !cria.weight<128x48, bf16, n16k2>
  cria.param @u : !cria.weight<128x48, bf16, n16k2>
  func.func @two(%x: memref<?x48xf32>, %y: memref<?x128xf32>) attributes {cria.version = "prefill"} {
    %g = cria.load @g : !cria.weight<128x48, bf16, n16k2>
    %u = cria.load @u : !cria.weight<128x48, bf16, n16k2>
    cria.fused_linear acts(%x : memref<?x48xf32>) weights(%g, %u : !cria.weight<128x48, bf16, n16k2>, !cria.weight<128x48, bf16, n16k2>) outs(%y : memref<?x128xf32>)
      attributes {bf16, cria.gemm = array<i64: 32, 128>, cria.team = 16 : i64, cria.wgmma, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%a: vector<16xf32>, %b: vector<16xf32>):
      %p = arith.mulf %a, %b : vector<16xf32>
      cria.yield %p : vector<16xf32>
    }
    return
  }
}

// -----

// A block of codes a stage, which are 256 bytes of a group, with 32 of scales
// and of mins: three bulk copies. Two columns of a code word are one of bf16.

// CHECK-LABEL: func @codes
// 256 threads and 3 times 8 groups.
// CHECK: func.call @cria_gpu_mbarrier_init(%{{.*}}, %c280_i32)
// CHECK: func.call @cria_gpu_bulk_copy(%{{.*}}, %{{.*}}, %c256_i32, %[[FULL:[a-z0-9_]+]])
// CHECK: func.call @cria_gpu_bulk_copy(%{{.*}}, %{{.*}}, %c32_i32, %[[FULL]])
// CHECK: func.call @cria_gpu_bulk_copy(%{{.*}}, %{{.*}}, %c32_i32, %[[FULL]])
// CHECK: scf.for %{{.*}} = %c0 to %c4 step %c1 iter_args(
// CHECK: func.call @cria_gpu_mbarrier_wait(
// CHECK-COUNT-2: func.call @cria_gpu_words1(
// CHECK-COUNT-2: func.call @cria_gpu_words2(
// CHECK: %[[CODE:.*]] = arith.andi %{{.*}}, %c15_i32
// CHECK: %[[BITS:.*]] = arith.ori %[[CODE]], %c1258291200_i32
// CHECK: %[[FLOAT:.*]] = arith.bitcast %[[BITS]] : i32 to f32
// CHECK: %[[VALUE:.*]] = arith.subf %[[FLOAT]], %{{.*}} : f32
// CHECK: %[[LOW:.*]] = math.fma %[[VALUE]], %{{.*}}, %{{.*}} : f32
// CHECK: func.call @cria_gpu_pack_bf16(%[[LOW]], %{{.*}})
// CHECK-COUNT-7: func.call @cria_gpu_pack_bf16(
// CHECK-NOT: cria_gpu_pack_bf16
// CHECK: func.call @cria_gpu_wgmma_fence_8x8(
// CHECK-COUNT-2: func.call @cria_gpu_wgmma_bf16_n16(
module {
  cria.param @w : !cria.weight<128x128, q4, block = 32, min, n16k4>
  func.func @codes(%x: memref<?x128xf32>, %y: memref<?x128xf32>) attributes {cria.version = "prefill"} {
    %w = cria.load @w : !cria.weight<128x128, q4, block = 32, min, n16k4>
    cria.fused_linear acts(%x : memref<?x128xf32>) weights(%w : !cria.weight<128x128, q4, block = 32, min, n16k4>) outs(%y : memref<?x128xf32>)
      attributes {bf16, cria.gemm = array<i64: 16, 128>, cria.team = 16 : i64, cria.wgmma, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    return
  }
}

// -----

module {
  cria.param @w : !cria.weight<256x64, bf16, n16k2>
  func.func @tile(%x: memref<?x64xf32>, %y: memref<?x256xf32>) {
    %w = cria.load @w : !cria.weight<256x64, bf16, n16k2>
    // expected-error @+1 {{cria.gemm is array<i64: 256, 256> for 1 weights; accepted with cria.wgmma are a multiple of 8 tokens up to 256 and one of 128 rows, with at most 192 sums a thread}}
    cria.fused_linear acts(%x : memref<?x64xf32>) weights(%w : !cria.weight<256x64, bf16, n16k2>) outs(%y : memref<?x256xf32>)
      attributes {bf16, cria.gemm = array<i64: 256, 256>, cria.team = 16 : i64, cria.wgmma, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    return
  }
}

// -----

// Rows that nothing rounded have the bits of single tokens.

module {
  cria.param @w : !cria.weight<128x64, bf16, n16k2>
  func.func @exact(%x: memref<?x64xf32>, %y: memref<?x128xf32>) {
    %w = cria.load @w : !cria.weight<128x64, bf16, n16k2>
    // expected-error @+1 {{accepted are bf16 in n16k2 with a multiple of 16 columns, and q4 or q8 in n16k4 with one of 32, for rows that are rounded}}
    cria.fused_linear acts(%x : memref<?x64xf32>) weights(%w : !cria.weight<128x64, bf16, n16k2>) outs(%y : memref<?x128xf32>)
      attributes {cria.gemm = array<i64: 128, 128>, cria.team = 16 : i64, cria.wgmma, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    return
  }
}
