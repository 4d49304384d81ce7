// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --cria-emit-entry="prefix=p_" | FileCheck %s
// RUN: cria-opt %s --cria-emit-entry="prefix=p_ steady-counter" | FileCheck %s --check-prefix=STEADY

// The counters follow the other three, through calls as well.
// CHECK-LABEL: func.func private @forward_prefill(
// CHECK-SAME: memref<?x8xf32> {cria.arg = "logits"}, %{{.*}}: index, %{{.*}}: index, %[[ARGS:.*]]: !llvm.ptr, %[[COUNTERS:.*]]: !llvm.ptr)
// CHECK: %[[START:.*]] = llvm.mlir.constant(2 : i64)
// CHECK: llvm.call @stamp(%[[COUNTERS]], %[[START]])
// CHECK: call @inner(%{{.*}}, %{{.*}}, %[[ARGS]], %[[COUNTERS]])
// CHECK: llvm.call @barrier(%[[ARGS]])
// CHECK: %[[ONE:.*]] = llvm.mlir.constant(1 : i64)
// CHECK: llvm.call @stamp(%[[COUNTERS]], %[[ONE]])

// Ticks since the last stamp, one call, and the time now at the end of the
// counters: two of 16 bytes.
// CHECK-LABEL: llvm.func internal @stamp(
// CHECK-SAME: %[[COUNTERS:.*]]: !llvm.ptr, %[[OP:.*]]: i64)
// CHECK: llvm.icmp "ne" %[[COUNTERS]]
// CHECK: %[[NOW:.*]] = llvm.call_intrinsic "llvm.readcyclecounter"() : () -> i64
// CHECK: %[[CLOCK:.*]] = llvm.getelementptr inbounds %[[COUNTERS]][32]
// CHECK: %[[LAST:.*]] = llvm.load %[[CLOCK]]
// CHECK: %[[SIZE:.*]] = llvm.mlir.constant(16 : i64)
// CHECK: %[[OFFSET:.*]] = llvm.mul %[[OP]], %[[SIZE]]
// CHECK: %[[PLACE:.*]] = llvm.getelementptr inbounds %[[COUNTERS]][%[[OFFSET]]]
// CHECK: %[[SPENT:.*]] = llvm.sub %[[NOW]], %[[LAST]]
// CHECK: %[[TICKS_AT:.*]] = llvm.getelementptr inbounds %[[PLACE]][0]
// CHECK: %[[TICKS:.*]] = llvm.load %[[TICKS_AT]]
// CHECK: %[[MORE:.*]] = llvm.add %[[TICKS]], %[[SPENT]]
// CHECK: llvm.store %[[MORE]], %[[TICKS_AT]]
// CHECK: llvm.getelementptr inbounds %[[PLACE]][8]
// CHECK: llvm.store %[[NOW]], %[[CLOCK]]

// STEADY-NOT: llvm.readcyclecounter
// STEADY: llvm.call_intrinsic "llvm.readsteadycounter"

// CHECK-LABEL: llvm.func hidden @p_forward_profiled(
// CHECK-SAME: %[[ARGS:[^:]*]]: !llvm.ptr, %{{[^:]*}}: i64, %{{[^:]*}}: i64, %[[COUNTERS:[^:]*]]: !llvm.ptr)
// CHECK: func.call @forward_prefill({{.*}}, %[[ARGS]], %[[COUNTERS]])

// Without counters it is the plain function.
// CHECK-LABEL: llvm.func hidden @p_forward(
// CHECK-SAME: %[[ARGS:[^:]*]]: !llvm.ptr, %[[T:[^:]*]]: i64, %[[N:[^:]*]]: i64)
// CHECK: %[[NULL:.*]] = llvm.mlir.zero : !llvm.ptr
// CHECK: llvm.call @p_forward_profiled(%[[ARGS]], %[[T]], %[[N]], %[[NULL]])

// CHECK-LABEL: llvm.mlir.global internal constant @profile_ops
// CHECK: llvm.mlir.constant(24 : i64)
// CHECK-LABEL: llvm.mlir.global internal constant @profiled()
// CHECK: llvm.mlir.addressof @p_forward_profiled
// CHECK-LABEL: llvm.mlir.global internal constant @description
// CHECK: llvm.mlir.constant(2 : i64)
// CHECK: llvm.mlir.addressof @profile_ops
// CHECK: llvm.mlir.addressof @profiled

module attributes {cria.name = "tiny", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64,
    cria.profile = [{kind = "linear", name = "w", version = "prefill", weight_bytes = 24 : i64, int8},
                    {kind = "barrier", name = "at the end", version = "prefill"}]} {
  func.func @forward_prefill(%out: memref<?x8xf32> {cria.arg = "logits"})
      attributes {cria.entry, cria.version = "prefill"} {
    cria.stamp 2
    func.call @inner() : () -> ()
    cria.barrier
    cria.stamp 1
    return
  }
  func.func private @inner() {
    cria.stamp 0
    return
  }
}
