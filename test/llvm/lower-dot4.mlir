// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-lower-dot4=isa=avx512vnni | FileCheck %s --check-prefix=VNNI
// RUN: cria-opt %s -cria-lower-dot4=isa=avxvnni | FileCheck %s --check-prefix=HALVES
// RUN: cria-opt %s -cria-lower-dot4=isa=avx2 | FileCheck %s --check-prefix=AVX2
// RUN: cria-opt %s -cria-lower-dot4 | FileCheck %s --check-prefix=GENERIC
// RUN: not cria-opt %s -cria-lower-dot4=isa=sse9 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// UNKNOWN: cria-lower-dot4: isa = sse9 is not one of generic, avx2, avxvnni, avx512vnni

// VNNI-LABEL: func.func @bytes
// VNNI-SAME:    (%[[ACC:[^:]*]]: vector<16xi32>, %[[A:[^:]*]]: vector<64xi8>, %[[B:[^:]*]]: vector<64xi8>)
// VNNI-NEXT:    %[[R:.*]] = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%[[ACC]], %[[A]], %[[B]]) : (vector<16xi32>, vector<64xi8>, vector<64xi8>) -> vector<16xi32>
// VNNI-NEXT:    return %[[R]]

// HALVES-LABEL: func.func @bytes
// HALVES-COUNT-2: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.256"({{.*}}) : (vector<8xi32>, vector<32xi8>, vector<32xi8>) -> vector<8xi32>
// HALVES:       vector.shuffle {{.*}} : vector<8xi32>, vector<8xi32>

// Bit 7 and the rest apart, in both halves.
// AVX2-LABEL: func.func @bytes
// AVX2-COUNT-4: llvm.x86.avx2.pmadd.ub.sw
// AVX2-NOT:     llvm.x86.avx2.pmadd.ub.sw
// AVX2:         return

// GENERIC-LABEL: func.func @bytes
// GENERIC-COUNT-2: arith.muli %{{.*}}, %{{.*}} : vector<32xi16>
// GENERIC:      return
func.func @bytes(%acc: vector<16xi32>, %a: vector<64xi8>, %b: vector<64xi8>) -> vector<16xi32> {
  %r = cria.dot4 %acc, %a, %b {a_bits = 8 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return %r : vector<16xi32>
}

// A chain of 4-bit codes adds up in 16 bits: two products and one widening a
// half.

// AVX2-LABEL: func.func @nibbles
// AVX2:         %[[P0:.*]] = llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"
// AVX2:         %[[P1:.*]] = llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"
// AVX2:         %[[S:.*]] = arith.addi %[[P0]], %[[P1]] : vector<16xi16>
// AVX2:         %[[W:.*]] = llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"(%[[S]],
// AVX2:         arith.addi %{{.*}}, %[[W]] : vector<8xi32>
// AVX2:         llvm.x86.avx2.pmadd.ub.sw
// AVX2:         llvm.x86.avx2.pmadd.ub.sw
// AVX2:         llvm.x86.avx2.pmadd.wd
// AVX2-NOT:     llvm.x86.avx2.pmadd
// AVX2:         return
func.func @nibbles(%acc: vector<16xi32>, %a: vector<64xi8>, %b: vector<64xi8>, %c: vector<64xi8>) -> vector<16xi32> {
  %0 = cria.dot4 %acc, %a, %b {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %1 = cria.dot4 %0, %a, %c {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return %1 : vector<16xi32>
}

// An intermediate sum that is used elsewhere stays exact in 32 bits.

// AVX2-LABEL: func.func @shared
// AVX2-COUNT-4: llvm.x86.avx2.pmadd.wd
func.func @shared(%acc: vector<16xi32>, %a: vector<64xi8>, %b: vector<64xi8>) -> (vector<16xi32>, vector<16xi32>) {
  %0 = cria.dot4 %acc, %a, %b {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %1 = cria.dot4 %0, %a, %b {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return %0, %1 : vector<16xi32>, vector<16xi32>
}
