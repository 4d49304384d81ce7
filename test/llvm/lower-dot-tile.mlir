// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-lower-dot-tile=isa=amx | FileCheck %s --check-prefix=AMX
// RUN: cria-opt %s -cria-lower-dot-tile | FileCheck %s --check-prefix=GENERIC
// RUN: not cria-opt %s -cria-lower-dot-tile=isa=sme 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: cria-opt %s -cria-lower-dot-tile=isa=amx -expand-strided-metadata -lower-affine -finalize-memref-to-llvm -convert-arith-to-llvm -convert-func-to-llvm -reconcile-unrealized-casts \
// RUN:   | mlir-translate --mlir-to-llvmir | llc -mtriple=x86_64-linux -mcpu=sapphirerapids -O2 | FileCheck %s --check-prefix=ASM
// UNKNOWN: cria-lower-dot-tile: isa = sme is not one of generic, amx

// The activations are loaded once for both panels; 16 tokens of 32 bytes, 8
// words of 16 rows.
// AMX-LABEL: func.func @two
// AMX-SAME:    (%[[ACTS:[^:]*]]: memref<?x144xi32>, %[[CODES:[^:]*]]: memref<2x8x64xi8>, %[[OUT:[^:]*]]: memref<2x16x16xi32>
// AMX-DAG:     %[[TOKENS:.*]] = arith.constant 16 : i16
// AMX-DAG:     %[[WORDS:.*]] = arith.constant 8 : i16
// AMX-DAG:     %[[LINE:.*]] = arith.constant 64 : i16
// AMX-DAG:     %[[DEPTH:.*]] = arith.constant 32 : i16
// AMX:         %[[A:.*]] = llvm.call_intrinsic "llvm.x86.tileloadd64.internal"(%[[TOKENS]], %[[DEPTH]], %{{.*}}, %{{.*}})
// AMX:         %[[B0:.*]] = llvm.call_intrinsic "llvm.x86.tileloadd64.internal"(%[[WORDS]], %[[LINE]], %{{.*}}, %{{.*}})
// AMX:         %[[Z0:.*]] = llvm.call_intrinsic "llvm.x86.tilezero.internal"(%[[TOKENS]], %[[LINE]])
// AMX:         %[[C0:.*]] = llvm.call_intrinsic "llvm.x86.tdpbsud.internal"(%[[TOKENS]], %[[LINE]], %[[DEPTH]], %[[Z0]], %[[A]], %[[B0]])
// AMX:         llvm.call_intrinsic "llvm.x86.tilestored64.internal"(%[[TOKENS]], %[[LINE]], %{{.*}}, %{{.*}}, %[[C0]])
// AMX:         "llvm.x86.tdpbsud.internal"(%[[TOKENS]], %[[LINE]], %[[DEPTH]], %{{.*}}, %[[A]], %{{.*}})
// AMX:         "llvm.x86.tilestored64.internal"
// AMX-NOT:     dot_tile
// AMX:         return

// GENERIC-LABEL: func.func @two
// GENERIC:       scf.for
// GENERIC-COUNT-8: vector.load %{{.*}} : memref<2x8x64xi8>, vector<64xi8>
// GENERIC:         scf.for
// GENERIC-COUNT-8:   cria.dot4 %{{.*}} {a_bits = 8 : i64}
// GENERIC:           vector.store %{{.*}} : memref<2x16x16xi32>, vector<16xi32>
// GENERIC-NOT:   dot_tile
// GENERIC:       return

// LLVM configures the tiles by itself: no more shapes than registers.
// ASM-LABEL: two:
// ASM:         ldtilecfg
// ASM:         tileloadd (%{{.*}},%{{.*}}), %[[A:tmm[0-9]]]
// ASM:         tdpbsud %{{tmm[0-9]}}, %[[A]], %[[C:tmm[0-9]]]
// ASM:         tilestored %[[C]], (%{{.*}},%{{.*}})
// ASM:         tdpbsud %{{tmm[0-9]}}, %[[A]],
// ASM:         tilestored
// ASM:         tilerelease
func.func @two(%acts: memref<?x144xi32>, %codes: memref<2x8x64xi8>, %out: memref<2x16x16xi32>, %token: index, %word: index) {
  cria.dot_tile %acts[%token, %word], %codes, %out : memref<?x144xi32>, memref<2x8x64xi8>, memref<2x16x16xi32>
  return
}

// 20 words are a step of 16 and one of 4; the sums stay in tile registers.
// AMX-LABEL: func.func @pairs
// AMX:         %[[LINE:.*]] = arith.constant 64 : i16
// AMX:         %[[Z0:.*]] = llvm.call_intrinsic "llvm.x86.tilezero.internal"
// AMX:         %[[Z1:.*]] = llvm.call_intrinsic "llvm.x86.tilezero.internal"
// AMX:         %[[A:.*]] = llvm.call_intrinsic "llvm.x86.tileloadd64.internal"
// AMX:         %[[B0:.*]] = llvm.call_intrinsic "llvm.x86.tileloadd64.internal"
// AMX:         %[[C0:.*]] = llvm.call_intrinsic "llvm.x86.tdpbf16ps.internal"(%{{.*}}, %[[LINE]], %{{.*}}, %[[Z0]], %[[A]], %[[B0]])
// AMX:         %[[C1:.*]] = llvm.call_intrinsic "llvm.x86.tdpbf16ps.internal"(%{{.*}}, %[[LINE]], %{{.*}}, %[[Z1]], %[[A]], %{{.*}})
// AMX:         %[[REST:.*]] = arith.constant 4 : i16
// AMX:         llvm.call_intrinsic "llvm.x86.tileloadd64.internal"(%[[REST]], %[[LINE]],
// AMX:         %[[D0:.*]] = llvm.call_intrinsic "llvm.x86.tdpbf16ps.internal"(%{{.*}}, %{{.*}}, %{{.*}}, %[[C0]],
// AMX:         %[[D1:.*]] = llvm.call_intrinsic "llvm.x86.tdpbf16ps.internal"(%{{.*}}, %{{.*}}, %{{.*}}, %[[C1]],
// AMX:         llvm.call_intrinsic "llvm.x86.tilestored64.internal"({{.*}}, %[[D0]])
// AMX:         llvm.call_intrinsic "llvm.x86.tilestored64.internal"({{.*}}, %[[D1]])

// GENERIC-LABEL: func.func @pairs
// GENERIC:       scf.for
// GENERIC:         scf.for
// GENERIC:           scf.for %{{.*}} iter_args
// GENERIC:             cria.dot2
// GENERIC:           vector.store %{{.*}} : memref<2x16x16xf32>, vector<16xf32>
// GENERIC-NOT:   dot_tile2

// ASM-LABEL: pairs:
// ASM:         ldtilecfg
// ASM-COUNT-4: tdpbf16ps
func.func @pairs(%acts: memref<?x40xf32>, %weights: memref<4x20x32xbf16>, %out: memref<2x16x16xf32>, %token: index, %panel: index) {
  cria.dot_tile2 %acts[%token], %weights[%panel], %out : memref<?x40xf32>, memref<4x20x32xbf16>, memref<2x16x16xf32>
  return
}

// 17 steps: eight, eight in a loop that adds, and one that adds.
// AMX-LABEL: func.func @long
// AMX-COUNT-8: "llvm.x86.tdpbf16ps.internal"
// AMX:         "llvm.x86.tilestored64.internal"
// AMX:         "llvm.x86.tileloadd64.internal"
// AMX-COUNT-8: "llvm.x86.tdpbf16ps.internal"
// AMX:         "llvm.x86.tilestored64.internal"
// AMX:         "llvm.x86.tdpbf16ps.internal"
// AMX:         "llvm.x86.tilestored64.internal"
// AMX-NOT:     tdpbf16ps
// AMX:         return
func.func @long(%acts: memref<?x544xf32>, %weights: memref<4x272x32xbf16>, %out: memref<1x16x16xf32>, %token: index, %panel: index) {
  cria.dot_tile2 %acts[%token], %weights[%panel], %out : memref<?x544xf32>, memref<4x272x32xbf16>, memref<1x16x16xf32>
  return
}
