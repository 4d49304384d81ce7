// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --split-input-file --cria-emit-entry="prefix=p_ target=x86-64-v3 features=1" | FileCheck %s

// The case of LlvmPasses.td: what a version is called with, and by whom.

// CHECK-LABEL: func.func private @forward_prefill(
// CHECK-SAME: memref<?x8xf32> {cria.arg = "logits"}, %[[T:.*]]: index, %[[N:.*]]: index, %[[ARGS:.*]]: !llvm.ptr)
// CHECK-SAME: llvm.linkage = #llvm.linkage<internal>
// CHECK: call @use(%[[T]], %[[N]])
// CHECK: call @inner(%[[T]], %[[N]], %[[ARGS]])
// CHECK: llvm.call @barrier(%[[ARGS]])

// Through a call as well; not where no thread op is reached.
// CHECK-LABEL: func.func private @inner(
// CHECK-SAME: %{{.*}}: index, %{{.*}}: index, %{{.*}}: !llvm.ptr)
// CHECK-LABEL: func.func private @outside()

// A null barrier is none.
// CHECK-LABEL: llvm.func internal @barrier(
// CHECK-SAME: %[[ARGS:.*]]: !llvm.ptr
// CHECK: %[[F_AT:.*]] = llvm.getelementptr inbounds %[[ARGS]][128]
// CHECK: %[[F:.*]] = llvm.load %[[F_AT]]
// CHECK: llvm.icmp "ne" %[[F]]
// CHECK: %[[C_AT:.*]] = llvm.getelementptr inbounds %[[ARGS]][136]
// CHECK: %[[C:.*]] = llvm.load %[[C_AT]]
// CHECK: llvm.call %[[F]](%[[C]])

// CHECK-LABEL: llvm.func hidden @p_forward(
// CHECK-SAME: %[[ARGS:.*]]: !llvm.ptr, %[[THREAD:[^:]*]]: i64, %[[THREADS:.*]]: i64)
// CHECK: %[[P_AT:.*]] = llvm.getelementptr inbounds %[[ARGS]][120]
// CHECK: %[[P:.*]] = llvm.load %[[P_AT]]
// CHECK: %[[ROWS_AT:.*]] = llvm.getelementptr inbounds %[[ARGS]][56]
// CHECK: %[[ROWS:.*]] = llvm.load %[[ROWS_AT]]
// CHECK: llvm.insertvalue %[[ROWS]], %{{.*}}[3, 0]
// CHECK: %[[LOGITS:.*]] = builtin.unrealized_conversion_cast {{.*}} to memref<?x8xf32>
// CHECK: %[[T:.*]] = arith.index_cast %[[THREAD]]
// CHECK: %[[N:.*]] = arith.index_cast %[[THREADS]]
// CHECK: func.call @forward_prefill(%[[LOGITS]], %[[T]], %[[N]], %[[ARGS]])

// CHECK-DAG: llvm.mlir.global private unnamed_addr constant @{{.*}}("tiny\00")
// CHECK-DAG: llvm.mlir.global private unnamed_addr constant @{{.*}}("x86-64-v3\00")
// CHECK-LABEL: llvm.func @p_get() -> !llvm.ptr

module attributes {cria.name = "tiny", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
  func.func @forward_prefill(%out: memref<?x8xf32> {cria.arg = "logits"})
      attributes {cria.entry, cria.version = "prefill"} {
    %t = cria.thread_id
    %n = cria.num_threads
    func.call @use(%t, %n) : (index, index) -> ()
    func.call @inner() : () -> ()
    func.call @outside() : () -> ()
    cria.barrier
    return
  }
  func.func private @use(index, index)
  func.func private @inner() {
    cria.barrier
    return
  }
  func.func private @outside() {
    return
  }
}

// -----

// Two versions: by the number of tokens. Slabs: the arena of 100 bytes takes
// 128, a thread's 65 bytes take 128.

// CHECK-LABEL: llvm.func hidden @p_forward(
// CHECK-SAME: %[[ARGS:.*]]: !llvm.ptr, %[[THREAD:[^:]*]]: i64
// CHECK: %[[N_AT:.*]] = llvm.getelementptr inbounds %[[ARGS]][48]
// CHECK: %[[N:.*]] = llvm.load %[[N_AT]]
// CHECK: %[[MOST:.*]] = llvm.mlir.constant(4 : i64)
// CHECK: %[[FEW:.*]] = llvm.icmp "sle" %[[N]], %[[MOST]]
// CHECK: llvm.cond_br %[[FEW]], ^[[DECODE:.*]], ^[[PREFILL:.*]]
// CHECK: ^[[DECODE]]:
// CHECK: %[[STEP:.*]] = llvm.mlir.constant(128 : i64)
// CHECK: %[[OWN:.*]] = llvm.mul %[[THREAD]], %[[STEP]]
// CHECK: %[[ARENA_BYTES:.*]] = llvm.mlir.constant(128 : i64)
// CHECK: %[[OFFSET:.*]] = llvm.add %[[OWN]], %[[ARENA_BYTES]]
// CHECK: %[[ARENA_AT:.*]] = llvm.getelementptr inbounds %[[ARGS]][112]
// CHECK: %[[ARENA:.*]] = llvm.load %[[ARENA_AT]]
// CHECK: llvm.getelementptr inbounds %[[ARENA]][%[[OFFSET]]]
// CHECK: func.call @forward_decode(
// CHECK: ^[[PREFILL]]:
// The second array of the weights.
// CHECK: %[[TABLE_AT:.*]] = llvm.getelementptr inbounds %[[ARGS]][104]
// CHECK: %[[TABLE:.*]] = llvm.load %[[TABLE_AT]]
// CHECK: llvm.getelementptr inbounds %[[TABLE]][8]
// CHECK: func.call @forward_prefill(

// Names and bytes of the weights, in the order of their pointers.
// CHECK-LABEL: llvm.mlir.global internal constant @weights
// CHECK: llvm.mlir.constant(128 : i64)
// CHECK: llvm.mlir.constant(6 : i64)
// CHECK-DAG: constant @{{.*}}("a\00")
// CHECK-DAG: constant @{{.*}}("b.scales\00")
// CHECK-NOT: cria.param

module attributes {cria.name = "tiny", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64, cria.arena_bytes = 100 : i64, cria.thread_arena_bytes = 65 : i64} {
  cria.param @a : tensor<32xf32>
  func.func @forward_decode(%own: memref<?xi8> {cria.arg = "thread_arena"}, %a: memref<8x4xf32> {cria.arg = "weight:a"})
      attributes {cria.entry, cria.version = "decode"} {
    return
  }
  func.func @forward_prefill(%b: memref<3xf16> {cria.arg = "weight:b.scales"})
      attributes {cria.entry, cria.version = "prefill"} {
    return
  }
}

// -----

// Three versions: up to 4 tokens, up to 64, and more.

// CHECK-LABEL: llvm.func hidden @p_forward(
// CHECK: %[[FOUR:.*]] = llvm.mlir.constant(4 : i64)
// CHECK: llvm.icmp "sle" %[[N:.*]], %[[FOUR]]
// CHECK: func.call @forward_decode(
// CHECK: %[[MOST:.*]] = llvm.mlir.constant(64 : i64)
// CHECK: %[[FEW:.*]] = llvm.icmp "sle" %[[N]], %[[MOST]]
// CHECK: llvm.cond_br %[[FEW]], ^[[BATCH:.*]], ^[[PREFILL:.*]]
// CHECK: ^[[BATCH]]:
// CHECK: func.call @forward_batch(
// CHECK: ^[[PREFILL]]:
// CHECK: func.call @forward_prefill(

module attributes {cria.name = "tiny", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 128 : i64} {
  func.func @forward_decode(%out: memref<?x8xf32> {cria.arg = "logits"}) attributes {cria.entry, cria.version = "decode"} {
    return
  }
  func.func @forward_batch(%out: memref<?x8xf32> {cria.arg = "logits"}) attributes {cria.entry, cria.version = "batch"} {
    return
  }
  func.func @forward_prefill(%out: memref<?x8xf32> {cria.arg = "logits"}) attributes {cria.entry, cria.version = "prefill"} {
    return
  }
}

// -----

// The plain line: thread 0 alone; and a function whose name the prefix makes.

// CHECK-LABEL: func.func private @p_forward_0(
// CHECK-LABEL: llvm.func hidden @p_forward(
// CHECK-SAME: %{{.*}}: !llvm.ptr, %[[THREAD:[^:]*]]: i64
// CHECK: %[[ZERO:.*]] = llvm.mlir.constant(0 : i64)
// CHECK: %[[FIRST:.*]] = llvm.icmp "eq" %[[THREAD]], %[[ZERO]]
// CHECK: llvm.cond_br %[[FIRST]]
// CHECK: func.call @p_forward_0(

module attributes {cria.name = "tiny", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
  func.func @p_forward(%tables: memref<?x?xi32> {cria.arg = "tables"}) attributes {cria.entry} {
    return
  }
}
