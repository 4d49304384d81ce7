// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-lower-dot2-i16=isa=avx512vnni | FileCheck %s --check-prefix=VNNI
// RUN: cria-opt %s -cria-lower-dot2-i16=isa=avxvnni | FileCheck %s --check-prefix=AVXVNNI
// RUN: cria-opt %s -cria-lower-dot2-i16=isa=avx512bw | FileCheck %s --check-prefix=BW
// RUN: cria-opt %s -cria-lower-dot2-i16=isa=avx2 | FileCheck %s --check-prefix=AVX2
// RUN: cria-opt %s -cria-lower-dot2-i16=isa=sse2 | FileCheck %s --check-prefix=SSE2
// RUN: cria-opt %s -cria-lower-dot2-i16=isa=neon | FileCheck %s --check-prefix=NEON
// RUN: cria-opt %s -cria-lower-dot2-i16 | FileCheck %s --check-prefix=GENERIC
// RUN: not cria-opt %s -cria-lower-dot2-i16=isa=sve 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: cria-opt %s -cria-lower-dot2-i16=isa=avx512vnni -convert-vector-to-llvm -convert-func-to-llvm -reconcile-unrealized-casts \
// RUN:   | mlir-translate --mlir-to-llvmir | llc -mtriple=x86_64-linux -mcpu=icelake-server -O2 | FileCheck %s --check-prefix=ASM
// UNKNOWN: cria-lower-dot2-i16: isa = sve is not one of generic, sse2, avx2, avx512bw, avxvnni, avx512vnni, neon

// VNNI-LABEL: func.func @dot
// VNNI-SAME:    (%[[ACC:.*]]: vector<16xi32>, %[[A:.*]]: vector<32xi16>, %[[B:.*]]: vector<32xi16>)
// VNNI-NEXT:    %[[R:.*]] = llvm.call_intrinsic "llvm.x86.avx512.vpdpwssd.512"(%[[ACC]], %[[A]], %[[B]])
// VNNI-NEXT:    return %[[R]]

// AVXVNNI-LABEL: func.func @dot
// AVXVNNI-COUNT-2: llvm.call_intrinsic "llvm.x86.avx512.vpdpwssd.256"({{.*}}) : (vector<8xi32>, vector<16xi16>, vector<16xi16>) -> vector<8xi32>

// BW-LABEL: func.func @dot
// BW-SAME:    (%[[ACC:.*]]: vector<16xi32>, %[[A:.*]]: vector<32xi16>, %[[B:.*]]: vector<32xi16>)
// BW-NEXT:    %[[P:.*]] = llvm.call_intrinsic "llvm.x86.avx512.pmaddw.d.512"(%[[A]], %[[B]])
// BW-NEXT:    %[[R:.*]] = arith.addi %[[ACC]], %[[P]]

// AVX2-LABEL: func.func @dot
// AVX2-COUNT-2: llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"({{.*}}) : (vector<16xi16>, vector<16xi16>) -> vector<8xi32>

// SSE2-LABEL: func.func @dot
// SSE2-COUNT-4: llvm.call_intrinsic "llvm.x86.sse2.pmadd.wd"({{.*}}) : (vector<8xi16>, vector<8xi16>) -> vector<4xi32>

// Neighbours are products of one half of the words.
// NEON-LABEL: func.func @dot
// NEON:         %[[LOW:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.smull.v4i32"
// NEON:         %[[HIGH:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.smull.v4i32"
// NEON:         llvm.call_intrinsic "llvm.aarch64.neon.addp.v4i32"(%[[LOW]], %[[HIGH]])
// NEON-COUNT-3: llvm.call_intrinsic "llvm.aarch64.neon.addp.v4i32"

// The even element is the lower half of a word.
// GENERIC-LABEL: func.func @dot
// GENERIC-SAME:    (%[[ACC:.*]]: vector<16xi32>, %[[A:.*]]: vector<32xi16>, %[[B:.*]]: vector<32xi16>)
// GENERIC:         %[[WA:.*]] = vector.bitcast %[[A]] : vector<32xi16> to vector<16xi32>
// GENERIC:         %[[WB:.*]] = vector.bitcast %[[B]] : vector<32xi16> to vector<16xi32>
// GENERIC:         %[[SA:.*]] = arith.shli %[[WA]],
// GENERIC:         %[[A0:.*]] = arith.shrsi %[[SA]],
// GENERIC:         %[[B0:.*]] = arith.shrsi
// GENERIC:         %[[P0:.*]] = arith.muli %[[A0]], %[[B0]]
// GENERIC:         %[[EVEN:.*]] = arith.addi %[[ACC]], %[[P0]]
// GENERIC:         %[[A1:.*]] = arith.shrsi %[[WA]],
// GENERIC:         %[[B1:.*]] = arith.shrsi %[[WB]],
// GENERIC:         %[[P1:.*]] = arith.muli %[[A1]], %[[B1]]
// GENERIC:         %[[R:.*]] = arith.addi %[[EVEN]], %[[P1]]
// GENERIC-NEXT:    return %[[R]]

// ASM-LABEL: dot:
// ASM:         vpdpwssd %zmm2, %zmm1, %zmm0
func.func @dot(%acc: vector<16xi32>, %a: vector<32xi16>, %b: vector<32xi16>) -> vector<16xi32> {
  %0 = cria.dot2_i16 %acc, %a, %b : vector<16xi32>, vector<32xi16>
  return %0 : vector<16xi32>
}
