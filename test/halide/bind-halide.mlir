// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-bind-halide -canonicalize -cse 2> %t.err | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --input-file %t.err
// RUN: cria-opt %s -cria-bind-halide="refusal=why-not" 2>&1 | FileCheck %s --check-prefix=REFUSAL
// REFUSAL: remark: cria.fused_linear: provider halide is not used: why-not
// REFUSAL-NOT: call @

// REMARK: remark: cria.fused_linear: provider halide-adams2019 is not used: its rows are longer than what an autoscheduled kernel keeps on the stack
// REMARK: remark: cria.fused_linear: provider halide is not used: its weight has pairs of columns, and an odd column more
// REMARK: remark: cria.embed_rows: provider halide is not used: no generator is for this kind of op

#h = {provider = "halide"}

// Two groups of rows and up to 64 tokens a call, each weight's sums in a half
// of the buffer; whole tiles by one kernel, the tokens that are left by another;
// then the epilogue of all by a third.

// CHECK-LABEL: func.func @glu
// CHECK-SAME:    (%[[CODES:[^:]*]]: memref<?x16xi32>, %[[SCALES:[^:]*]]: memref<?x2xf32>, %[[SUMS:[^:]*]]: memref<?x2xf32>,
// CHECK:         %[[BUFFER:.*]] = memref.alloca() {alignment = 64 : i64} : memref<4096xf32>
// CHECK:         %[[W:.*]]:3 = cria.weight_data
// CHECK:         %[[WC:[^ ]*]] = memref.collapse_shape %[[W]]#0 
// CHECK:         scf.for %[[G:[^ ]*]] = %c0 to %c6 step %c2
// CHECK:           scf.for %[[T:[^ ]*]] = %c0 to %[[N:.*]] step %c64
// CHECK:             %[[COUNT:[^ ]*]] = arith.minui
// CHECK:             %[[REST:[^ ]*]] = arith.remui %[[COUNT]], %c4
// CHECK:             %[[WHOLE:[^ ]*]] = arith.subi %[[COUNT]], %[[REST]]
// CHECK-DAG:         %[[C0:[^ ]*]] = memref.subview %[[WC]][%[[G]], 0, 0, 0] [2, 2, 4, 64] [1, 1, 1, 1]
// CHECK-DAG:         %[[A0:[^ ]*]] = memref.subview %[[CODES]][%[[T]], 0] [%[[WHOLE]], 16] [1, 1]
// CHECK:             call @halide_linear_codes_ahead8_block_tokens0_blocks2_elementq4_min1_panels2_tokens4_whole1_wide0(
// CHECK-SAME:          memref<?x?x?x?xi8, strided<[?, ?, ?, ?], offset: ?>>
// CHECK:             call @halide_linear_codes_ahead8_block_tokens0_blocks2_elementq4_min1_panels2_tokens4_whole1_wide0(
// CHECK:             memref.subview {{.*}}[0, %[[WHOLE]], 0] [2, %[[REST]], 16] [1, 1, 1]
// CHECK:             call @halide_linear_codes_ahead8_block_tokens0_blocks2_elementq4_min1_panels2_tokens1_whole1_wide0(
// CHECK:             call @halide_linear_codes_ahead8_block_tokens0_blocks2_elementq4_min1_panels2_tokens1_whole1_wide0(
// CHECK:             memref.reinterpret_cast {{.*}} sizes: [2, %[[COUNT]], 16], strides: [16, 96, 1]
// CHECK:             call @halide_linear_epilogue_operandsss_programsilu0_mul2x1_ragged0(
// CHECK-NOT:     cria.fused_linear
func.func @glu(%c: memref<?x16xi32>, %s: memref<?x2xf32>, %m: memref<?x2xf32>,
               %g: !cria.weight<96x64, q4, block = 32, min, n16k4>, %u: !cria.weight<96x64, q4, block = 32, min, n16k4>, %y: memref<?x96xf32>) {
  cria.fused_linear acts(%c, %s, %m : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xf32>)
    weights(%g, %u : !cria.weight<96x64, q4, block = 32, min, n16k4>, !cria.weight<96x64, q4, block = 32, min, n16k4>)
    outs(%y : memref<?x96xf32>) attributes {cria.schedule = #h, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a: vector<16xf32>, %b: vector<16xf32>):
    %0 = cria.activation silu %a : vector<16xf32>
    %1 = arith.mulf %0, %b : vector<16xf32>
    cria.yield %1 : vector<16xf32>
  }
  return
}

// A decode step: all groups in one call, four tokens at most. The last group
// is ragged, which an epilogue of its own is for, and an odd one has no partner
// for two panels.

// CHECK-LABEL: func.func @decode
// CHECK:         scf.for {{.*}} step %c4
// CHECK:           call @halide_linear_floats_ahead64_columns64_elementf32_panels1_tokens1_whole1(
// CHECK:           call @halide_linear_epilogue_operandss_programcopy0_ragged0(
// CHECK:           call @halide_linear_epilogue_operandss_programcopy0_ragged1(
func.func @decode(%x: memref<?x64xf32>, %w: !cria.weight<100x64, f32, n16>, %y: memref<?x100xf32>) attributes {cria.version = "decode"} {
  cria.fused_linear acts(%x : memref<?x64xf32>) weights(%w : !cria.weight<100x64, f32, n16>) outs(%y : memref<?x100xf32>)
    attributes {cria.schedule = {panels = 2 : i64, provider = "halide"}, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a: vector<16xf32>):
    cria.yield %a : vector<16xf32>
  }
  return
}

// Operands behind the sums: bias, what is added, and the old value of the
// result. A product is told from the sum that it is in.

// CHECK-LABEL: func.func @residual
// CHECK:           call @halide_linear_epilogue_operandssbee_programadd0x1_c3f000000_mul4x5_add6x2_tanh7_div8x5_add3x9_ragged0(
func.func @residual(%x: memref<?x64xf32>, %w: !cria.weight<96x64, f32, n16>, %bias: memref<96xf32>, %e: memref<?x96xf32>, %y: memref<?x96xf32>) {
  cria.fused_linear acts(%x : memref<?x64xf32>) weights(%w : !cria.weight<96x64, f32, n16>) extras(%bias, %e : memref<96xf32>, memref<?x96xf32>) outs(%y : memref<?x96xf32>)
    attributes {accumulate, cria.schedule = #h, extra_kinds = [#cria<extra bias>, #cria<extra elementwise>], out = #cria<out rows>} {
  ^bb0(%a: vector<16xf32>, %b: vector<16xf32>, %c: vector<16xf32>, %old: vector<16xf32>):
    %0 = arith.addf %a, %b : vector<16xf32>
    %half = arith.constant dense<5.0e-01> : vector<16xf32>
    %1 = arith.mulf %0, %half : vector<16xf32>
    %2 = arith.addf %1, %c : vector<16xf32>
    %3 = math.tanh %2 : vector<16xf32>
    %4 = arith.divf %3, %half : vector<16xf32>
    %5 = arith.addf %old, %4 : vector<16xf32>
    cria.yield %5 : vector<16xf32>
  }
  return
}

// What Halide has no epilogue for is cria's code over Halide's sums: here a
// rotation, where no head straddles groups.

// CHECK-LABEL: func.func @rotated
// CHECK:         call @halide_linear_floats
// CHECK:         scf.for %[[I:[^ ]*]] = %c0 to %c2
// CHECK:           scf.for %[[J:[^ ]*]] = %c0 to
// CHECK:             vector.load {{.*}}[%[[I]], %[[J]], %c0]
// CHECK:             vector.shuffle
// CHECK:             vector.store
func.func @rotated(%x: memref<?x64xf32>, %w: !cria.weight<96x64, f32, n16>, %t: memref<?x2x32xf32>, %y: memref<?x96xf32>) {
  cria.fused_linear acts(%x : memref<?x64xf32>) weights(%w : !cria.weight<96x64, f32, n16>) extras(%t : memref<?x2x32xf32>) outs(%y : memref<?x96xf32>)
    attributes {cria.schedule = #h, extra_kinds = [#cria<extra rope>], out = #cria<out rows>} {
  ^bb0(%a: vector<16xf32>, %cos: vector<16xf32>, %sin: vector<16xf32>):
    %0 = vector.shuffle %a, %a [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14] : vector<16xf32>, vector<16xf32>
    %1 = arith.mulf %a, %cos : vector<16xf32>
    %2 = math.fma %0, %sin, %1 : vector<16xf32>
    cria.yield %2 : vector<16xf32>
  }
  return
}

// CHECK-LABEL: func.func @left_to_cria
// CHECK-NOT:     call @
// CHECK:         cria.fused_linear {{.*}}x8192, q4
// CHECK:         cria.fused_linear {{.*}}bf16
// CHECK:         cria.embed_rows
func.func @left_to_cria(%c: memref<?x2048xi32>, %s: memref<?x256xf32>, %m: memref<?x256xf32>, %w: !cria.weight<96x8192, q4, block = 32, min, n16k4>, %y: memref<?x96xf32>,
                        %x: memref<?x33xf32>, %v: !cria.weight<96x33, bf16, n16k2>, %t: memref<?xi32>) {
  cria.fused_linear acts(%c, %s, %m : memref<?x2048xi32>, memref<?x256xf32>, memref<?x256xf32>) weights(%w : !cria.weight<96x8192, q4, block = 32, min, n16k4>)
    outs(%y : memref<?x96xf32>) attributes {cria.schedule = {provider = "halide-adams2019"}, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a: vector<16xf32>):
    cria.yield %a : vector<16xf32>
  }
  cria.fused_linear acts(%x : memref<?x33xf32>) weights(%v : !cria.weight<96x33, bf16, n16k2>)
    outs(%y : memref<?x96xf32>) attributes {cria.schedule = #h, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a: vector<16xf32>):
    cria.yield %a : vector<16xf32>
  }
  cria.embed_rows ins(%t, %v : memref<?xi32>, !cria.weight<96x33, bf16, n16k2>) outs(%x : memref<?x33xf32>) {cria.schedule = #h}
  return
}

// CHECK: func.func private @halide_linear_codes_ahead8_block_tokens0_blocks2_elementq4_min1_panels2_tokens4_whole1_wide0(
// CHECK-SAME: attributes {cria.halide = {bytes = [3], generator = "linear_codes", params = {ahead = 8 : i64, block_tokens = 0 : i64, blocks = 2 : i64, element = "q4", min = true, panels = 2 : i64, tokens = 4 : i64, whole = true, wide = false}}}
