// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(cria-spmd))' -verify-diagnostics | FileCheck %s

// Read after write: %b[i] may be computed before another thread stored %a[0].
// CHECK-LABEL: func.func @raw
// CHECK:         cria.thread_id
// CHECK:         scf.for
// CHECK:           memref.store
// CHECK:         cria.barrier
// CHECK:         scf.for
// CHECK:           memref.load
// CHECK-NOT:     cria.barrier
func.func @raw(%a: memref<?xf32>, %b: memref<?xf32>, %n: index, %v: f32) {
  %c0 = arith.constant 0 : index
  scf.forall (%i) in (%n) {
    memref.store %v, %a[%i] : memref<?xf32>
  }
  scf.forall (%i) in (%n) {
    %l = memref.load %a[%c0] : memref<?xf32>
    memref.store %l, %b[%i] : memref<?xf32>
  }
  return
}

// -----

// CHECK-LABEL: func.func @war
// CHECK:         memref.load
// CHECK:         cria.barrier
// CHECK:         memref.store %{{.*}}, %arg0
func.func @war(%a: memref<?xf32>, %b: memref<?xf32>, %n: index, %v: f32) {
  %c0 = arith.constant 0 : index
  scf.forall (%i) in (%n) {
    %l = memref.load %a[%c0] : memref<?xf32>
    memref.store %l, %b[%i] : memref<?xf32>
  }
  scf.forall (%i) in (%n) {
    memref.store %v, %a[%i] : memref<?xf32>
  }
  return
}

// -----

// CHECK-LABEL: func.func @waw
// CHECK:         memref.store
// CHECK:         cria.barrier
// CHECK:         memref.store
func.func @waw(%a: memref<?xf32>, %n: index, %v: f32) {
  scf.forall (%i) in (%n) {
    memref.store %v, %a[%i] : memref<?xf32>
  }
  scf.forall (%i) in (%n) {
    memref.store %v, %a[%i] : memref<?xf32>
  }
  return
}

// -----

// Two readers of one buffer, writers of two: no barrier, one split. Thread t
// gets [W t / T, W (t + 1) / T) of W = 3 n + 5 n.
// CHECK-LABEL: func.func @independent
// CHECK-SAME:    %[[N:[^:]*]]: index
// CHECK-DAG:     %[[T:.*]] = cria.thread_id
// CHECK-DAG:     %[[TS:.*]] = cria.num_threads
// CHECK:         %[[W1:.*]] = arith.muli %[[N]], %c3
// CHECK:         %[[S1:.*]] = arith.addi %{{.*}}, %[[W1]]
// CHECK:         %[[W2:.*]] = arith.muli %[[N]], %c5
// CHECK:         %[[W:.*]] = arith.addi %[[S1]], %[[W2]]
// CHECK:         %[[WT:.*]] = arith.muli %[[W]], %[[T]]
// CHECK:         arith.divui %[[WT]], %[[TS]]
// CHECK-NOT:     cria.barrier
// CHECK:         scf.for
// CHECK:         scf.for
// CHECK-NOT:     cria.barrier
func.func @independent(%a: memref<?xf32>, %b: memref<?xf32>, %c: memref<?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  scf.forall (%i) in (%n) {
    %l = memref.load %a[%c0] : memref<?xf32>
    memref.store %l, %b[%i] : memref<?xf32>
  } {cria.cost = 3 : i64}
  scf.forall (%i) in (%n) {
    %l = memref.load %a[%c0] : memref<?xf32>
    memref.store %l, %c[%i] : memref<?xf32>
  } {cria.cost = 5 : i64}
  return
}

// -----

// Of two tiles of tokens and more, a thread's share is that of the loop, not of
// the group: [3 m t / T, 3 m (t + 1) / T).
// CHECK-LABEL: func.func @by_tokens
// CHECK-SAME:    %[[M:[^:,]*]]: index
// CHECK-DAG:     %[[T:.*]] = cria.thread_id
// CHECK-DAG:     %[[TS:.*]] = cria.num_threads
// CHECK:         %[[MANY:.*]] = arith.cmpi ugt, %[[M]], %c1
// CHECK:         %[[PART:.*]] = arith.muli %{{.*}}, %[[T]]
// CHECK:         %[[EDGE:.*]] = arith.divui %[[PART]], %[[TS]]
// CHECK:         %[[LO:.*]] = arith.select %[[MANY]], %[[EDGE]], %{{.*}}
// CHECK:         %[[HI:.*]] = arith.select %[[MANY]],
// CHECK:         scf.for %{{.*}} = %[[LO]] to %[[HI]]
// CHECK:         scf.for
func.func @by_tokens(%a: memref<?xf32>, %b: memref<?xf32>, %c: memref<?xf32>, %m: index, %n: index) {
  %c0 = arith.constant 0 : index
  scf.forall (%i, %j) in (%m, 3) {
    %l = memref.load %a[%c0] : memref<?xf32>
    memref.store %l, %b[%i] : memref<?xf32>
  } {cria.by_tokens, cria.cost = 3 : i64}
  scf.forall (%i) in (%n) {
    %l = memref.load %a[%c0] : memref<?xf32>
    memref.store %l, %c[%i] : memref<?xf32>
  } {cria.cost = 5 : i64}
  return
}

// -----

// An iteration reads what the one before wrote.
// CHECK-LABEL: func.func @loop_carried
// CHECK:         scf.for
// CHECK:           cria.barrier
// CHECK:           memref.load %arg0
// CHECK:           cria.barrier
// CHECK:           memref.load %arg1
// CHECK-NOT:       cria.barrier
// CHECK:         return
func.func @loop_carried(%a: memref<?xf32>, %b: memref<?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %k = %c0 to %n step %c1 {
  scf.forall (%i) in (%n) {
    %l = memref.load %a[%c0] : memref<?xf32>
    memref.store %l, %b[%i] : memref<?xf32>
  }
  scf.forall (%i) in (%n) {
    %l = memref.load %b[%c0] : memref<?xf32>
    memref.store %l, %a[%i] : memref<?xf32>
  }
  }
  return
}

// -----

// One way through the branch has no barrier: it does not count after it.
// CHECK-LABEL: func.func @branch
// CHECK:         memref.store
// CHECK:         scf.index_switch
// CHECK:           cria.barrier
// CHECK:           memref.load
// CHECK:         default
// CHECK-NOT:       cria.barrier
// CHECK:           memref.store %{{.*}}, %arg2
// CHECK:         cria.barrier
// CHECK:         memref.load
func.func @branch(%a: memref<?xf32>, %b: memref<?xf32>, %c: memref<?xf32>, %d: memref<?xf32>, %n: index, %v: f32, %kind: index) {
  %c0 = arith.constant 0 : index
  scf.forall (%i) in (%n) {
    memref.store %v, %a[%i] : memref<?xf32>
  }
  scf.index_switch %kind
  case 0 {
    scf.forall (%i) in (%n) {
    %l = memref.load %a[%c0] : memref<?xf32>
    memref.store %l, %b[%i] : memref<?xf32>
  }
    scf.yield
  }
  default {
    scf.forall (%i) in (%n) {
    memref.store %v, %c[%i] : memref<?xf32>
  }
    scf.yield
  }
  scf.forall (%i) in (%n) {
    %l = memref.load %a[%c0] : memref<?xf32>
    memref.store %l, %d[%i] : memref<?xf32>
  }
  return
}

// -----

// What only a thread itself writes needs no barrier and is marked.
// CHECK-LABEL: func.func @private
// CHECK-NOT:     cria.barrier
// CHECK:         memref.alloc(%{{.*}}) {cria.private}
// CHECK-NOT:     cria.barrier
func.func @private(%a: memref<?xf32>, %b: memref<?xf32>, %n: index, %v: f32) {
  %c0 = arith.constant 0 : index
  %p = memref.alloc(%n) : memref<?xf32>
  memref.store %v, %p[%c0] : memref<?xf32>
  scf.forall (%i) in (%n) {
    %l = memref.load %p[%c0] : memref<?xf32>
    memref.store %l, %b[%i] : memref<?xf32>
  }
  return
}

// -----

// CHECK-LABEL: func.func @shared_alloc
// CHECK-NOT:     cria.private
// CHECK:         cria.barrier
func.func @shared_alloc(%b: memref<?xf32>, %n: index, %v: f32) {
  %c0 = arith.constant 0 : index
  %a = memref.alloc(%n) : memref<?xf32>
  scf.forall (%i) in (%n) {
    memref.store %v, %a[%i] : memref<?xf32>
  }
  scf.forall (%i) in (%n) {
    %l = memref.load %a[%c0] : memref<?xf32>
    memref.store %l, %b[%i] : memref<?xf32>
  }
  return
}

// -----

// Dealt out: thread t takes iterations t, t + T, ...
// CHECK-LABEL: func.func @cyclic
// CHECK:         %[[T:.*]] = cria.thread_id
// CHECK:         %[[TS:.*]] = cria.num_threads
// CHECK:         scf.for %{{.*}} = %[[T]] to %{{.*}} step %[[TS]]
func.func @cyclic(%a: memref<?xf32>, %n: index, %v: f32) {
  scf.forall (%i) in (%n) {
    memref.store %v, %a[%i] : memref<?xf32>
  } {cria.cyclic}
  return
}

// -----

// One thread writes what all share outside of a parallel loop.
// CHECK-LABEL: func.func @one_thread
// CHECK:         scf.for
// CHECK:           memref.store
// CHECK:         cria.barrier
// CHECK:         memref.load
func.func @one_thread(%a: memref<?xf32>, %b: memref<?xf32>, %n: index, %v: f32) {
  %c0 = arith.constant 0 : index
  memref.store %v, %a[%c0] : memref<?xf32>
  scf.forall (%i) in (%n) {
    %l = memref.load %a[%c0] : memref<?xf32>
    memref.store %l, %b[%i] : memref<?xf32>
  }
  return
}

// -----

func.func @copy(%a: memref<?xf32>, %b: memref<?xf32>) {
  // expected-error @+1 {{cannot be computed in place: a copy of 'memref<?xf32>' would be needed}}
  memref.copy %a, %b : memref<?xf32> to memref<?xf32>
  return
}

// -----

func.func @one_of_several(%a: memref<?xf32>, %b: memref<?xf32>, %n: index, %v: f32, %which: i1) {
  // expected-note @+1 {{chosen here}}
  %s = arith.select %which, %a, %b : memref<?xf32>
  scf.forall (%i) in (%n) {
    // expected-error @+1 {{uses a buffer that may be one of several}}
    memref.store %v, %s[%i] : memref<?xf32>
  }
  return
}

// -----

func.func private @other(%a: memref<?xf32>)
func.func @call(%a: memref<?xf32>) {
  // expected-error @+1 {{has memory effects that barriers cannot be placed for}}
  call @other(%a) : (memref<?xf32>) -> ()
  return
}

// -----

// Loops whose op is a team's go to teams in turn, the second one from where the
// first one ends.

// CHECK-LABEL: func @teams
// CHECK: %[[THREAD:.*]] = cria.thread_id
// CHECK: %[[THREADS:.*]] = cria.num_threads
// CHECK: %[[TEAM:.*]] = arith.divui %[[THREAD]], %c16
// CHECK: %[[TEAMS:.*]] = arith.divui %[[THREADS]], %c16
// CHECK: %[[PAST:.*]] = arith.remui
// CHECK: %[[FIRST:.*]] = arith.remui
// CHECK: %[[FROM:.*]] = arith.index_castui %[[FIRST]] : i32 to index
// CHECK: scf.for %{{.*}} = %[[TEAM]] to %c4{{.*}} step %[[TEAMS]]
// CHECK: scf.for %{{.*}} = %[[FROM]] to %c2{{.*}} step %[[TEAMS]]
func.func @teams(%x: memref<4x16xf32>, %y: memref<2x16xf32>, %p: memref<16xi32>) {
  %cst = arith.constant 0.0 : f32
  scf.forall (%i) in (4) {
    %s = memref.subview %x[%i, 0] [1, 16] [1, 1] : memref<4x16xf32> to memref<1x16xf32, strided<[16, 1], offset: ?>>
    linalg.fill {cria.team = 16 : i64} ins(%cst : f32) outs(%s : memref<1x16xf32, strided<[16, 1], offset: ?>>)
  }
  scf.forall (%i) in (2) {
    %s = memref.subview %y[%i, 0] [1, 16] [1, 1] : memref<2x16xf32> to memref<1x16xf32, strided<[16, 1], offset: ?>>
    linalg.fill {cria.team = 16 : i64} ins(%cst : f32) outs(%s : memref<1x16xf32, strided<[16, 1], offset: ?>>)
  }
  return
}
