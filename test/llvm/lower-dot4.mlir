// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-lower-dot4=isa=avx512vnni | FileCheck %s --check-prefix=VNNI
// RUN: cria-opt %s -cria-lower-dot4=isa=avxvnni | FileCheck %s --check-prefix=HALVES
// RUN: cria-opt %s -cria-lower-dot4=isa=avx2 | FileCheck %s --check-prefix=AVX2
// RUN: cria-opt %s -cria-lower-dot4=isa=i8mm | FileCheck %s --check-prefix=I8MM
// RUN: cria-opt %s -cria-lower-dot4=isa=dotprod | FileCheck %s --check-prefix=DOTPROD
// RUN: cria-opt %s -cria-lower-dot4=isa=neon | FileCheck %s --check-prefix=NEON
// RUN: cria-opt %s -cria-lower-dot4=isa=sse2 | FileCheck %s --check-prefix=SSE2
// RUN: cria-opt %s -cria-lower-dot4 | FileCheck %s --check-prefix=GENERIC
// RUN: not cria-opt %s -cria-lower-dot4=isa=sse9 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// UNKNOWN: cria-lower-dot4: isa = sse9 is not one of generic, sse2, avx2, avxvnni, avx512vnni, neon, dotprod, i8mm

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

// I8MM-LABEL: func.func @bytes
// I8MM-COUNT-4: llvm.call_intrinsic "llvm.aarch64.neon.usdot.v4i32.v16i8"({{.*}}) : (vector<4xi32>, vector<16xi8>, vector<16xi8>) -> vector<4xi32>
// I8MM-COUNT-3: vector.shuffle

// Less 128, whose multiple of b is taken away again.
// DOTPROD-LABEL: func.func @bytes
// DOTPROD-SAME:    (%[[ACC:[^:]*]]: vector<16xi32>, %[[A:[^:]*]]: vector<64xi8>, %[[B:[^:]*]]: vector<64xi8>)
// DOTPROD:         %[[ACC0:.*]] = vector.shuffle %[[ACC]], %[[ACC]] [0, 1, 2, 3]
// DOTPROD:         %[[A0:.*]] = vector.shuffle %[[A]], %[[A]] [0,
// DOTPROD:         %[[B0:.*]] = vector.shuffle %[[B]], %[[B]] [0,
// DOTPROD:         %[[LEAST:.*]] = arith.constant dense<-128> : vector<16xi8>
// DOTPROD:         %[[SIGNED:.*]] = arith.xori %[[A0]], %[[LEAST]]
// DOTPROD:         %[[EXCESS:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.sdot.v4i32.v16i8"(%{{.*}}, %[[LEAST]], %[[B0]])
// DOTPROD:         %[[DOT:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.sdot.v4i32.v16i8"(%[[ACC0]], %[[SIGNED]], %[[B0]])
// DOTPROD:         arith.subi %[[DOT]], %[[EXCESS]]
// DOTPROD-COUNT-6: llvm.aarch64.neon.sdot
// DOTPROD-NOT:     llvm.aarch64.neon.sdot
// DOTPROD:         return

// NEON-LABEL: func.func @bytes
// NEON:         arith.extui %{{.*}} : vector<8xi8> to vector<8xi16>
// NEON:         arith.extsi %{{.*}} : vector<8xi8> to vector<8xi16>
// NEON:         arith.muli %{{.*}} : vector<8xi16>
// NEON:         llvm.aarch64.neon.saddlp.v4i32.v8i16
// NEON:         llvm.aarch64.neon.addp.v4i32
// NEON:         return

// SSE2-LABEL: func.func @bytes
// SSE2:         %[[EVEN:.*]] = arith.andi %{{.*}} : vector<8xi16>
// SSE2:         %[[ODD:.*]] = arith.shrui %{{.*}} : vector<8xi16>
// SSE2:         llvm.call_intrinsic "llvm.x86.sse2.pmadd.wd"(%[[EVEN]], %{{.*}}) : (vector<8xi16>, vector<8xi16>) -> vector<4xi32>
// SSE2:         llvm.call_intrinsic "llvm.x86.sse2.pmadd.wd"(%[[ODD]], %{{.*}}) : (vector<8xi16>, vector<8xi16>) -> vector<4xi32>
// SSE2-COUNT-6: llvm.x86.sse2.pmadd.wd
// SSE2-NOT:     llvm.x86.sse2.pmadd.wd
// SSE2:         return

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

// DOTPROD-LABEL: func.func @nibbles
// DOTPROD-COUNT-8: llvm.aarch64.neon.sdot
// DOTPROD-NOT:     arith

// NEON-LABEL: func.func @nibbles
// NEON:         %[[P0:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.smull.v8i16"
// NEON:         %[[P1:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.smull.v8i16"
// NEON:         %[[P2:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.smull.v8i16"
// NEON:         %[[LOW:.*]] = arith.addi %[[P0]], %[[P2]] : vector<8xi16>
// NEON:         %[[P3:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.smull.v8i16"
// NEON:         %[[HIGH:.*]] = arith.addi %[[P1]], %[[P3]] : vector<8xi16>
// NEON:         %[[FOURS:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.addp.v8i16"(%[[LOW]], %[[HIGH]])
// NEON:         %[[WIDE:.*]] = llvm.call_intrinsic "llvm.aarch64.neon.saddlp.v4i32.v8i16"(%[[FOURS]])
// NEON:         arith.addi %{{.*}}, %[[WIDE]] : vector<4xi32>
// NEON-COUNT-3: llvm.aarch64.neon.saddlp
// NEON-NOT:     llvm.aarch64.neon.saddlp
// NEON:         return
func.func @nibbles(%acc: vector<16xi32>, %a: vector<64xi8>, %b: vector<64xi8>, %c: vector<64xi8>) -> vector<16xi32> {
  %0 = cria.dot4 %acc, %a, %b {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %1 = cria.dot4 %0, %a, %c {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return %1 : vector<16xi32>
}

// An intermediate sum that is used elsewhere stays exact in 32 bits.

// AVX2-LABEL: func.func @shared
// AVX2-COUNT-4: llvm.x86.avx2.pmadd.wd

// NEON-LABEL: func.func @shared
// NEON-COUNT-8: llvm.aarch64.neon.saddlp
func.func @shared(%acc: vector<16xi32>, %a: vector<64xi8>, %b: vector<64xi8>) -> (vector<16xi32>, vector<16xi32>) {
  %0 = cria.dot4 %acc, %a, %b {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %1 = cria.dot4 %0, %a, %b {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return %0, %1 : vector<16xi32>, vector<16xi32>
}

// Words that lie side by side come with one load, whose elements sdot takes.

// DOTPROD-LABEL: func.func @words
// DOTPROD-SAME:    (%[[ACC:[^:]*]]: vector<16xi32>, %[[A:[^:]*]]: vector<64xi8>, %[[M:[^:]*]]: memref<?x8xi32>, %[[I:[^:]*]]: index, %[[K:[^:]*]]: index)
// DOTPROD:         %[[C4:.*]] = arith.constant 4 : index
// DOTPROD-NEXT:    %[[AT:.*]] = arith.addi %[[K]], %[[C4]] : index
// DOTPROD:         %[[FOUR:.*]] = vector.load %[[M]][%[[I]], %[[AT]]] : memref<?x8xi32>, vector<4xi32>
// DOTPROD:         %[[LAST:.*]] = vector.shuffle %[[FOUR]], %[[FOUR]] [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]
// DOTPROD:         vector.bitcast %[[LAST]]
// DOTPROD:         vector.shuffle %[[FOUR]], %[[FOUR]] [0, 0,
// DOTPROD:         vector.shuffle %[[FOUR]], %[[FOUR]] [1, 1,
// DOTPROD:         vector.shuffle %[[FOUR]], %[[FOUR]] [2, 2,
// DOTPROD-NOT:     memref.load
// DOTPROD:         return
func.func @words(%acc: vector<16xi32>, %a: vector<64xi8>, %m: memref<?x8xi32>, %i: index, %k: index) -> vector<16xi32> {
  %c7 = arith.constant 7 : index
  %k7 = arith.addi %k, %c7 : index
  %w7 = memref.load %m[%i, %k7] : memref<?x8xi32>
  %b7 = vector.broadcast %w7 : i32 to vector<16xi32>
  %v7 = vector.bitcast %b7 : vector<16xi32> to vector<64xi8>
  %s1 = cria.dot4 %acc, %a, %v7 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %c4 = arith.constant 4 : index
  %k4 = arith.addi %k, %c4 : index
  %w4 = memref.load %m[%i, %k4] : memref<?x8xi32>
  %b4 = vector.broadcast %w4 : i32 to vector<16xi32>
  %v4 = vector.bitcast %b4 : vector<16xi32> to vector<64xi8>
  %s2 = cria.dot4 %s1, %a, %v4 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %c5 = arith.constant 5 : index
  %k5 = arith.addi %k, %c5 : index
  %w5 = memref.load %m[%i, %k5] : memref<?x8xi32>
  %b5 = vector.broadcast %w5 : i32 to vector<16xi32>
  %v5 = vector.bitcast %b5 : vector<16xi32> to vector<64xi8>
  %s3 = cria.dot4 %s2, %a, %v5 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %c6 = arith.constant 6 : index
  %k6 = arith.addi %k, %c6 : index
  %w6 = memref.load %m[%i, %k6] : memref<?x8xi32>
  %b6 = vector.broadcast %w6 : i32 to vector<16xi32>
  %v6 = vector.bitcast %b6 : vector<16xi32> to vector<64xi8>
  %s4 = cria.dot4 %s3, %a, %v6 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return %s4 : vector<16xi32>
}

// Not past a store; three of four neither.

// DOTPROD-LABEL: func.func @stored
// DOTPROD-COUNT-4: memref.load
// DOTPROD:         return
func.func @stored(%acc: vector<16xi32>, %a: vector<64xi8>, %m: memref<?x8xi32>, %i: index, %k: index) -> vector<16xi32> {
  %c7 = arith.constant 7 : index
  %k7 = arith.addi %k, %c7 : index
  %w7 = memref.load %m[%i, %k7] : memref<?x8xi32>
  %b7 = vector.broadcast %w7 : i32 to vector<16xi32>
  %v7 = vector.bitcast %b7 : vector<16xi32> to vector<64xi8>
  %s1 = cria.dot4 %acc, %a, %v7 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %c4 = arith.constant 4 : index
  %k4 = arith.addi %k, %c4 : index
  %w4 = memref.load %m[%i, %k4] : memref<?x8xi32>
  %b4 = vector.broadcast %w4 : i32 to vector<16xi32>
  %v4 = vector.bitcast %b4 : vector<16xi32> to vector<64xi8>
  %s2 = cria.dot4 %s1, %a, %v4 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %c5 = arith.constant 5 : index
  %k5 = arith.addi %k, %c5 : index
  memref.store %w7, %m[%i, %k] : memref<?x8xi32>
  %w5 = memref.load %m[%i, %k5] : memref<?x8xi32>
  %b5 = vector.broadcast %w5 : i32 to vector<16xi32>
  %v5 = vector.bitcast %b5 : vector<16xi32> to vector<64xi8>
  %s3 = cria.dot4 %s2, %a, %v5 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %c6 = arith.constant 6 : index
  %k6 = arith.addi %k, %c6 : index
  %w6 = memref.load %m[%i, %k6] : memref<?x8xi32>
  %b6 = vector.broadcast %w6 : i32 to vector<16xi32>
  %v6 = vector.bitcast %b6 : vector<16xi32> to vector<64xi8>
  %s4 = cria.dot4 %s3, %a, %v6 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return %s4 : vector<16xi32>
}

// DOTPROD-LABEL: func.func @three
// DOTPROD-COUNT-3: memref.load
// DOTPROD:         return
func.func @three(%acc: vector<16xi32>, %a: vector<64xi8>, %m: memref<?x8xi32>, %i: index, %k: index) -> vector<16xi32> {
  %c4 = arith.constant 4 : index
  %k4 = arith.addi %k, %c4 : index
  %w4 = memref.load %m[%i, %k4] : memref<?x8xi32>
  %b4 = vector.broadcast %w4 : i32 to vector<16xi32>
  %v4 = vector.bitcast %b4 : vector<16xi32> to vector<64xi8>
  %s1 = cria.dot4 %acc, %a, %v4 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %c5 = arith.constant 5 : index
  %k5 = arith.addi %k, %c5 : index
  %w5 = memref.load %m[%i, %k5] : memref<?x8xi32>
  %b5 = vector.broadcast %w5 : i32 to vector<16xi32>
  %v5 = vector.bitcast %b5 : vector<16xi32> to vector<64xi8>
  %s2 = cria.dot4 %s1, %a, %v5 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %c7 = arith.constant 7 : index
  %k7 = arith.addi %k, %c7 : index
  %w7 = memref.load %m[%i, %k7] : memref<?x8xi32>
  %b7 = vector.broadcast %w7 : i32 to vector<16xi32>
  %v7 = vector.bitcast %b7 : vector<16xi32> to vector<64xi8>
  %s3 = cria.dot4 %s2, %a, %v7 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return %s3 : vector<16xi32>
}

// 6-bit codes add up in twos: a third one is widened on its own.

// VNNI-LABEL: func.func @six
// VNNI-COUNT-3: llvm.x86.avx512.vpdpbusd.512

// AVX2-LABEL: func.func @six
// AVX2-COUNT-4: llvm.x86.avx2.pmadd.wd
// AVX2-NOT:     llvm.x86.avx2.pmadd.wd
// AVX2:         return

// Signed as they are.
// DOTPROD-LABEL: func.func @six
// DOTPROD-NOT:     arith.xori
// DOTPROD-COUNT-12: llvm.aarch64.neon.sdot
// DOTPROD:         return

// NEON-LABEL: func.func @six
// NEON:         llvm.aarch64.neon.smull.v8i16
func.func @six(%acc: vector<16xi32>, %a: vector<64xi8>, %b: vector<64xi8>) -> vector<16xi32> {
  %0 = cria.dot4 %acc, %a, %b {a_bits = 6 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %1 = cria.dot4 %0, %b, %a {a_bits = 6 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %2 = cria.dot4 %1, %a, %b {a_bits = 6 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return %2 : vector<16xi32>
}
