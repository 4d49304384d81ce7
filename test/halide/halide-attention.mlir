// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-bind-halide -canonicalize -cse 2> %t.err | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --input-file %t.err
// REMARK: provider halide is not used: its head_dim 20 is not a multiple of 16
// REMARK: provider halide is not used: 17 heads share a kv head, more than 16
// REMARK: provider halide is not used: no generator has a window
// REMARK: provider halide is not used: no generator has a soft cap
// REMARK: provider halide is not used: no generator has sinks
// REMARK: provider halide is not used: no generator has a window
// REMARK: provider halide is not used: no generator multiplies codes of 16 bits

#h = {provider = "halide"}

// Tokens that follow each other in a page go together, up to 16; others alone.
// Chunk by chunk, into running sums.

// CHECK-LABEL: func.func @fused
// CHECK-SAME:    (%[[Q:[^:]*]]: memref<?x192xf32>,
// CHECK-DAG:     %[[SCORES:.*]] = memref.alloca() {alignment = 64 : i64} : memref<16x3x5x4x16xf32>
// CHECK-DAG:     %[[CHUNK:.*]] = memref.alloca() {alignment = 64 : i64} : memref<16x3x96xf32>
// CHECK:         scf.while (%[[TOKEN:.*]] = %c0)
// CHECK:           %[[COUNT:.*]] = scf.for
// CHECK:           %[[MANY:.*]] = arith.cmpi sge, %[[COUNT]], %c2
// CHECK:           scf.if %[[MANY]]
// CHECK:             scf.for %[[C:.*]] = %c0 to
// CHECK:               %[[ROWS:[^ ]*]] = memref.subview %[[Q]][%{{.*}}, 0] [%[[COUNT]], 192] [1, 1]
// CHECK:               %[[K:[^ ]*]] = memref.subview %{{.*}}[%{{.*}}, 0, 0, 0, 0, 0] [1, %{{.*}}, 1, 4, 64, 16] {{.*}} to memref<?x4x64x16xf16,
// CHECK:               call @halide_attention_chunk_ahead0_elementfloat16_head_dim64_heads3_scale1040187392_tile2_tokens16(
// CHECK:               call @halide_attention_step_head_dim64_heads3(%{{[^ ]*}}, %{{[^ ]*}}, %[[C]], 
// CHECK:             call @halide_attention_result_head_dim64_heads3(
// CHECK:           } else {
// CHECK:               call @halide_attention_chunk_ahead1_elementfloat16_head_dim64_heads3_scale1040187392_tile1_tokens1(
// CHECK-NOT:     cria.fused_attention
func.func @fused(%q: memref<?x192xf32>, %k: memref<2x?x1x4x64x16xf16>, %v: memref<2x?x1x64x64xf16>, %p: memref<?xi32>, %s: memref<?xi32>,
                 %t: memref<?x?xi32>, %layer: index, %y: memref<?x192xf32>) {
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<?x192xf32>, memref<2x?x1x4x64x16xf16>, memref<2x?x1x64x64xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
    layer %layer outs(%y : memref<?x192xf32>) {cria.schedule = #h, heads = 3 : i64, kv_heads = 1 : i64, head_dim = 64 : i64, scale = 0.125 : f32}
  return
}

// One token, one chunk: straight into the partials. An i8 cache passes twice,
// as codes and as scales.

// CHECK-LABEL: func.func @partials
// CHECK-SAME:    %[[PARTIALS:[^:]*]]: memref<1x4x1x64xf32>
// CHECK-DAG:     memref.subview %[[PARTIALS]][0, 0, {{.*}}, 0] [1, 4, 1, 32]
// CHECK-DAG:     memref.subview %[[PARTIALS]][0, 0, {{.*}}, 32] [1, 4, 1, 16]
// CHECK-DAG:     memref.subview %[[PARTIALS]][0, 0, {{.*}}, 48] [1, 4, 1, 1]
// CHECK:         %[[K:[^ ]*]] = memref.subview {{.*}} to memref<?x2304xi8,
// CHECK:         %[[V:[^ ]*]] = memref.subview {{.*}} to memref<?x2304xi8,
// CHECK-DAG:     %[[KC:[^ ]*]] = memref.cast %[[K]] :
// CHECK-DAG:     %[[VC:[^ ]*]] = memref.cast %[[V]] :
// CHECK:         call @halide_attention_chunk_ahead0_elementint8_head_dim32_heads4_scale1043662067_tile1_tokens1(%{{[^ ]*}}, %[[KC]], %[[VC]], %{{[^ ]*}}, %{{[^ ]*}}, %{{[^ ]*}}, %[[KC]], %[[VC]],
// CHECK-NOT:     cria.attention_partials
func.func @partials(%q: memref<1x128xf32>, %k: memref<2x?x1x2304xi8>, %v: memref<2x?x1x2304xi8>, %p: memref<1xi32>, %s: memref<1xi32>,
                    %t: memref<?x?xi32>, %layer: index, %first: index, %y: memref<1x4x1x64xf32>) {
  cria.attention_partials ins(%q, %k, %v, %p, %s, %t : memref<1x128xf32>, memref<2x?x1x2304xi8>, memref<2x?x1x2304xi8>, memref<1xi32>, memref<1xi32>, memref<?x?xi32>)
    layer %layer first %first outs(%y : memref<1x4x1x64xf32>) {cria.schedule = #h, heads = 4 : i64, kv_heads = 1 : i64, head_dim = 32 : i64, scale = 0.176776692 : f32}
  return
}

// CHECK-LABEL: func.func @merge
// CHECK-SAME:    (%[[PARTIALS:[^:]*]]: memref<1x2x8x64xf32>
// CHECK:         %[[RUNNING:.*]] = memref.alloca() {alignment = 64 : i64} : memref<1x2x64xf32>
// CHECK:         scf.for %[[C:.*]] = %c0 to
// CHECK:           memref.subview %[[PARTIALS]][0, 0, %[[C]], 0] [1, 2, 1, 64]
// CHECK:           call @halide_attention_step_head_dim32_heads2(%{{[^ ]*}}, %[[OLD:[^ ]*]], %[[C]], %
// CHECK:         call @halide_attention_result_head_dim32_heads2(
// CHECK-NOT:     cria.attention_merge
func.func @merge(%parts: memref<1x2x8x64xf32>, %p: memref<1xi32>, %y: memref<1x64xf32>) {
  cria.attention_merge ins(%parts, %p : memref<1x2x8x64xf32>, memref<1xi32>) outs(%y : memref<1x64xf32>)
    {cria.schedule = #h, heads = 2 : i64, head_dim = 32 : i64}
  return
}

// CHECK-LABEL: func.func @not_covered
// CHECK-COUNT-5: cria.fused_attention
// CHECK:         cria.attention_merge
func.func @not_covered(%q: memref<?x20xf32>, %k: memref<2x?x1x4x20x16xf16>, %v: memref<2x?x1x64x20xf16>,
                       %q17: memref<?x272xf32>, %q16: memref<?x16xf32>, %k16: memref<2x?x1x4x16x16xf16>, %v16: memref<2x?x1x64x16xf16>,
                       %p: memref<?xi32>, %s: memref<?xi32>, %t: memref<?x?xi32>, %sinks: memref<1xf32>, %layer: index,
                       %parts: memref<?x1x8x48xf32>) {
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<?x20xf32>, memref<2x?x1x4x20x16xf16>, memref<2x?x1x64x20xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
    layer %layer outs(%q : memref<?x20xf32>) {cria.schedule = #h, heads = 1 : i64, kv_heads = 1 : i64, head_dim = 20 : i64, scale = 0.5 : f32}
  cria.fused_attention ins(%q17, %k16, %v16, %p, %s, %t : memref<?x272xf32>, memref<2x?x1x4x16x16xf16>, memref<2x?x1x64x16xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
    layer %layer outs(%q17 : memref<?x272xf32>) {cria.schedule = #h, heads = 17 : i64, kv_heads = 1 : i64, head_dim = 16 : i64, scale = 0.25 : f32}
  cria.fused_attention ins(%q16, %k16, %v16, %p, %s, %t : memref<?x16xf32>, memref<2x?x1x4x16x16xf16>, memref<2x?x1x64x16xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
    layer %layer outs(%q16 : memref<?x16xf32>) {cria.schedule = #h, heads = 1 : i64, kv_heads = 1 : i64, head_dim = 16 : i64, scale = 0.25 : f32, window = 100 : i64}
  cria.fused_attention ins(%q16, %k16, %v16, %p, %s, %t : memref<?x16xf32>, memref<2x?x1x4x16x16xf16>, memref<2x?x1x64x16xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
    layer %layer outs(%q16 : memref<?x16xf32>) {cria.schedule = #h, heads = 1 : i64, kv_heads = 1 : i64, head_dim = 16 : i64, scale = 0.25 : f32, softcap = 30.0 : f32}
  cria.fused_attention ins(%q16, %k16, %v16, %p, %s, %t : memref<?x16xf32>, memref<2x?x1x4x16x16xf16>, memref<2x?x1x64x16xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
    sinks(%sinks : memref<1xf32>) layer %layer outs(%q16 : memref<?x16xf32>) {cria.schedule = #h, heads = 1 : i64, kv_heads = 1 : i64, head_dim = 16 : i64, scale = 0.25 : f32}
  cria.attention_merge ins(%parts, %p : memref<?x1x8x48xf32>, memref<?xi32>) outs(%q16 : memref<?x16xf32>)
    {cria.schedule = #h, heads = 1 : i64, head_dim = 16 : i64, window = 100 : i64}
  return
}

func.func @codes(%q: memref<1x128xf32>, %k: memref<2x?x1x2176xi16>, %v: memref<2x?x1x2176xi16>, %p: memref<1xi32>, %s: memref<1xi32>,
                 %t: memref<?x?xi32>, %layer: index, %first: index, %y: memref<1x4x1x64xf32>) {
  cria.attention_partials ins(%q, %k, %v, %p, %s, %t : memref<1x128xf32>, memref<2x?x1x2176xi16>, memref<2x?x1x2176xi16>, memref<1xi32>, memref<1xi32>, memref<?x?xi32>)
    layer %layer first %first outs(%y : memref<1x4x1x64xf32>) {cria.schedule = #h, heads = 4 : i64, kv_heads = 1 : i64, head_dim = 32 : i64, scale = 0.176776692 : f32}
  return
}
