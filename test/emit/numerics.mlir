// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: rm -rf %t
// RUN: cria-compile %s --start-after vector --target x86-64-v3 --emit asm -o %t/v3
// RUN: FileCheck %s --check-prefix=V3 < %t/v3/model.s
// RUN: cria-compile %s --start-after vector --target x86-64 --emit asm -o %t/v1
// RUN: FileCheck %s --check-prefix=V1 < %t/v1/model.s

// A product and a sum stay two roundings where an FMA would be faster, and an
// FMA stays one where it is slower; bf16 is rounded by integer arithmetic.

// V3-LABEL: forward:
// V3-DAG: vmul{{[sp]}}s
// V3-DAG: vfmadd
// V3-NOT: vfmadd
// V3-NOT: vcvtne
// V3-NOT: truncsfbf
// V3-LABEL: model_get:

// V1-LABEL: forward:
// V1: callq fma_f32x4
// V1-NOT: truncsfbf
// V1-LABEL: model_get:

module attributes {cria.name = "m", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
  func.func @forward(%w: memref<4xf32> {cria.arg = "weight:w"}, %half: memref<4xbf16> {cria.arg = "weight:half"},
                     %out: memref<?x8xf32> {cria.arg = "logits"}) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %c3 = arith.constant 3 : index
    %a = memref.load %w[%c0] : memref<4xf32>
    %b = memref.load %w[%c1] : memref<4xf32>
    %c = memref.load %w[%c2] : memref<4xf32>
    %product = arith.mulf %a, %b : f32
    %two = arith.addf %product, %c : f32
    memref.store %two, %out[%c0, %c0] : memref<?x8xf32>
    %one = math.fma %a, %b, %c : f32
    memref.store %one, %out[%c0, %c1] : memref<?x8xf32>
    %short = arith.truncf %a : f32 to bf16
    memref.store %short, %half[%c0] : memref<4xbf16>
    %read = memref.load %half[%c1] : memref<4xbf16>
    %long = arith.extf %read : bf16 to f32
    memref.store %long, %out[%c0, %c2] : memref<?x8xf32>
    return
  }
}
