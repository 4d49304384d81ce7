// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-lower-halide-calls -canonicalize -cse | FileCheck %s

// Both calls fill the same buffers. Dimensions are in reverse order; of the
// second call's first operand the bytes are seen, four for each element.

// CHECK-LABEL: func.func @caller
// CHECK-SAME:    (%[[X:.*]]: memref<?x8xf32, strided<[12, 1], offset: ?>>, %[[N:.*]]: index, %[[E:.*]]: f32)
// CHECK:         %[[SECOND:.*]] = llvm.alloca %{{.*}} x !llvm.array<120 x i8> {alignment = 8 : i64}
// CHECK:         %[[FIRST:.*]] = llvm.alloca %{{.*}} x !llvm.array<120 x i8> {alignment = 8 : i64}
// CHECK:         %[[BASE:.*]], %[[OFFSET:.*]], %[[SIZES:.*]]:2, %{{.*}}:2 = memref.extract_strided_metadata %[[X]]
// CHECK:         %[[START:.*]] = memref.extract_aligned_pointer_as_index
// CHECK:         %[[SKIP:.*]] = arith.muli %[[OFFSET]], %c4
// CHECK:         %[[PLACE:.*]] = arith.addi %[[START]], %[[SKIP]]
// CHECK:         %[[NUMBER:.*]] = arith.index_cast %[[PLACE]] : index to i64
// CHECK:         %[[HOST:.*]] = llvm.inttoptr %[[NUMBER]]
// CHECK:         %[[AT:.*]] = llvm.getelementptr %[[FIRST]][16]
// CHECK:         llvm.store %[[HOST]], %[[AT]]
// CHECK:         %[[DIMS:.*]] = llvm.getelementptr %[[FIRST]][56]
// CHECK:         %[[DIM:.*]] = llvm.getelementptr %[[FIRST]][40]
// CHECK:         llvm.store %[[DIMS]], %[[DIM]]
// CHECK:         llvm.store %c0_i32, %[[DIMS]]
// CHECK:         %[[EXTENT0:.*]] = llvm.getelementptr %[[FIRST]][60]
// CHECK:         llvm.store %c8_i32, %[[EXTENT0]]
// CHECK:         %[[STRIDE0:.*]] = llvm.getelementptr %[[FIRST]][64]
// CHECK:         llvm.store %c1_i32, %[[STRIDE0]]
// CHECK:         %[[COUNT:.*]] = arith.index_cast %[[SIZES]]#0 : index to i32
// CHECK:         %[[EXTENT1:.*]] = llvm.getelementptr %[[FIRST]][76]
// CHECK:         llvm.store %[[COUNT]], %[[EXTENT1]]
// CHECK:         %[[STRIDE1:.*]] = llvm.getelementptr %[[FIRST]][80]
// CHECK:         llvm.store %c12_i32, %[[STRIDE1]]
// CHECK:         %[[NUM:.*]] = arith.index_cast %[[N]] : index to i32
// CHECK:         llvm.call @halide_scaled(%[[FIRST]], %[[NUM]], %[[E]], %[[SECOND]]) : (!llvm.ptr, i32, f32, !llvm.ptr) -> i32
// CHECK:         llvm.store %c32_i32, %[[EXTENT0]]
// CHECK:         llvm.store %c48_i32, %[[STRIDE1]]
// CHECK:         llvm.call @halide_bytes(%[[FIRST]], %[[SECOND]])
func.func @caller(%x: memref<?x8xf32, strided<[12, 1], offset: ?>>, %n: index, %e: f32) {
  %any = memref.cast %x : memref<?x8xf32, strided<[12, 1], offset: ?>> to memref<?x?xf32, strided<[?, ?], offset: ?>>
  func.call @halide_scaled(%any, %n, %e, %any) : (memref<?x?xf32, strided<[?, ?], offset: ?>>, index, f32, memref<?x?xf32, strided<[?, ?], offset: ?>>) -> ()
  func.call @halide_bytes(%any, %any) : (memref<?x?xf32, strided<[?, ?], offset: ?>>, memref<?x?xf32, strided<[?, ?], offset: ?>>) -> ()
  return
}

// CHECK: llvm.func @halide_scaled(!llvm.ptr, i32, f32, !llvm.ptr) -> i32 attributes {cria.halide =
// CHECK: llvm.func @halide_bytes(!llvm.ptr, !llvm.ptr) -> i32
func.func private @halide_scaled(memref<?x?xf32, strided<[?, ?], offset: ?>>, index, f32, memref<?x?xf32, strided<[?, ?], offset: ?>>)
  attributes {cria.halide = {generator = "scaled", params = {}}}
func.func private @halide_bytes(memref<?x?xf32, strided<[?, ?], offset: ?>>, memref<?x?xf32, strided<[?, ?], offset: ?>>)
  attributes {cria.halide = {bytes = [0], generator = "bytes", params = {}}}
