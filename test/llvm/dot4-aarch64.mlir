// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Every form for AArch64 gives the sums of the definition, extremes included.
// REQUIRES: qemu-aarch64
// UNSUPPORTED: sanitize

// RUN: rm -rf %t && mkdir -p %t
// RUN: cria-opt %s -cria-lower-dot4=isa=neon -convert-vector-to-llvm -finalize-memref-to-llvm -convert-func-to-llvm=use-bare-ptr-memref-call-conv -convert-arith-to-llvm -convert-index-to-llvm -reconcile-unrealized-casts | mlir-translate -mlir-to-llvmir | llc -O2 -mtriple=aarch64-linux-gnu -filetype=obj -o %t/neon.o
// RUN: cria-opt %s -cria-lower-dot4=isa=dotprod -convert-vector-to-llvm -finalize-memref-to-llvm -convert-func-to-llvm=use-bare-ptr-memref-call-conv -convert-arith-to-llvm -convert-index-to-llvm -reconcile-unrealized-casts | mlir-translate -mlir-to-llvmir | llc -O2 -mtriple=aarch64-linux-gnu -mattr=+dotprod -filetype=obj -o %t/dotprod.o
// RUN: cria-opt %s -cria-lower-dot4=isa=i8mm -convert-vector-to-llvm -finalize-memref-to-llvm -convert-func-to-llvm=use-bare-ptr-memref-call-conv -convert-arith-to-llvm -convert-index-to-llvm -reconcile-unrealized-casts | mlir-translate -mlir-to-llvmir | llc -O2 -mtriple=aarch64-linux-gnu -mattr=+dotprod,+i8mm -filetype=obj -o %t/i8mm.o
// RUN: aarch64-linux-gnu-gcc -std=c11 -O1 -static %S/Inputs/dot4_check.c %t/neon.o -o %t/neon
// RUN: aarch64-linux-gnu-gcc -std=c11 -O1 -static %S/Inputs/dot4_check.c %t/dotprod.o -o %t/dotprod
// RUN: aarch64-linux-gnu-gcc -std=c11 -O1 -static %S/Inputs/dot4_check.c %t/i8mm.o -o %t/i8mm
// RUN: qemu-aarch64 -cpu cortex-a53 %t/neon
// RUN: qemu-aarch64 -cpu neoverse-n1 %t/dotprod
// RUN: qemu-aarch64 -cpu max %t/i8mm

// Nine ops: one more than 16 bits may add up.
func.func @nibbles(%sums: memref<16xi32>, %a: memref<576xi8>, %b: memref<576xi8>) {
  %i0 = arith.constant 0 : index
  %i1 = arith.constant 64 : index
  %i2 = arith.constant 128 : index
  %i3 = arith.constant 192 : index
  %i4 = arith.constant 256 : index
  %i5 = arith.constant 320 : index
  %i6 = arith.constant 384 : index
  %i7 = arith.constant 448 : index
  %i8 = arith.constant 512 : index
  %s0 = vector.load %sums[%i0] : memref<16xi32>, vector<16xi32>
  %a0 = vector.load %a[%i0] : memref<576xi8>, vector<64xi8>
  %b0 = vector.load %b[%i0] : memref<576xi8>, vector<64xi8>
  %s1 = cria.dot4 %s0, %a0, %b0 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %a1 = vector.load %a[%i1] : memref<576xi8>, vector<64xi8>
  %b1 = vector.load %b[%i1] : memref<576xi8>, vector<64xi8>
  %s2 = cria.dot4 %s1, %a1, %b1 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %a2 = vector.load %a[%i2] : memref<576xi8>, vector<64xi8>
  %b2 = vector.load %b[%i2] : memref<576xi8>, vector<64xi8>
  %s3 = cria.dot4 %s2, %a2, %b2 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %a3 = vector.load %a[%i3] : memref<576xi8>, vector<64xi8>
  %b3 = vector.load %b[%i3] : memref<576xi8>, vector<64xi8>
  %s4 = cria.dot4 %s3, %a3, %b3 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %a4 = vector.load %a[%i4] : memref<576xi8>, vector<64xi8>
  %b4 = vector.load %b[%i4] : memref<576xi8>, vector<64xi8>
  %s5 = cria.dot4 %s4, %a4, %b4 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %a5 = vector.load %a[%i5] : memref<576xi8>, vector<64xi8>
  %b5 = vector.load %b[%i5] : memref<576xi8>, vector<64xi8>
  %s6 = cria.dot4 %s5, %a5, %b5 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %a6 = vector.load %a[%i6] : memref<576xi8>, vector<64xi8>
  %b6 = vector.load %b[%i6] : memref<576xi8>, vector<64xi8>
  %s7 = cria.dot4 %s6, %a6, %b6 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %a7 = vector.load %a[%i7] : memref<576xi8>, vector<64xi8>
  %b7 = vector.load %b[%i7] : memref<576xi8>, vector<64xi8>
  %s8 = cria.dot4 %s7, %a7, %b7 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %a8 = vector.load %a[%i8] : memref<576xi8>, vector<64xi8>
  %b8 = vector.load %b[%i8] : memref<576xi8>, vector<64xi8>
  %s9 = cria.dot4 %s8, %a8, %b8 {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  vector.store %s9, %sums[%i0] : memref<16xi32>, vector<16xi32>
  return
}

func.func @bytes(%sums: memref<16xi32>, %a: memref<192xi8>, %b: memref<192xi8>) {
  %i0 = arith.constant 0 : index
  %i1 = arith.constant 64 : index
  %i2 = arith.constant 128 : index
  %s0 = vector.load %sums[%i0] : memref<16xi32>, vector<16xi32>
  %a0 = vector.load %a[%i0] : memref<192xi8>, vector<64xi8>
  %b0 = vector.load %b[%i0] : memref<192xi8>, vector<64xi8>
  %s1 = cria.dot4 %s0, %a0, %b0 {a_bits = 8 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %a1 = vector.load %a[%i1] : memref<192xi8>, vector<64xi8>
  %b1 = vector.load %b[%i1] : memref<192xi8>, vector<64xi8>
  %s2 = cria.dot4 %s1, %a1, %b1 {a_bits = 8 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %a2 = vector.load %a[%i2] : memref<192xi8>, vector<64xi8>
  %b2 = vector.load %b[%i2] : memref<192xi8>, vector<64xi8>
  %s3 = cria.dot4 %s2, %a2, %b2 {a_bits = 8 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  vector.store %s3, %sums[%i0] : memref<16xi32>, vector<16xi32>
  return
}
