// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// As after the vector stage: logits[i][j] = w[j][0] * tokens[i], rows dealt out
// to the threads.

module attributes {cria.name = "small", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64, cria.arena_bytes = 100 : i64, cria.thread_arena_bytes = 64 : i64,
    cria.metadata = "{}"} {
  func.func @forward_decode(%tokens: memref<?xi32> {cria.arg = "tokens"}, %w: memref<8x4xf32> {cria.arg = "weight:w"}, %logits: memref<?x8xf32> {cria.arg = "logits"}, %own: memref<?xi8> {cria.arg = "thread_arena"})
      attributes {cria.entry, cria.version = "decode"} {
    func.call @fill(%tokens, %w, %logits) : (memref<?xi32>, memref<8x4xf32>, memref<?x8xf32>) -> ()
    return
  }
  func.func @forward_prefill(%tokens: memref<?xi32> {cria.arg = "tokens"}, %w: memref<8x4xf32> {cria.arg = "weight:w"}, %logits: memref<?x8xf32> {cria.arg = "logits"})
      attributes {cria.entry, cria.version = "prefill"} {
    func.call @fill(%tokens, %w, %logits) : (memref<?xi32>, memref<8x4xf32>, memref<?x8xf32>) -> ()
    cria.barrier
    return
  }
  func.func private @fill(%tokens: memref<?xi32>, %w: memref<8x4xf32>, %logits: memref<?x8xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c8 = arith.constant 8 : index
    %t = cria.thread_id
    %p = cria.num_threads
    %n = memref.dim %logits, %c0 : memref<?x8xf32>
    scf.for %i = %t to %n step %p {
      scf.for %j = %c0 to %c8 step %c1 {
        %tok = memref.load %tokens[%i] : memref<?xi32>
        %f = arith.sitofp %tok : i32 to f32
        %x = memref.load %w[%j, %c0] : memref<8x4xf32>
        %y = arith.mulf %x, %f : f32
        memref.store %y, %logits[%i, %j] : memref<?x8xf32>
      }
    }
    cria.barrier
    return
  }
}
