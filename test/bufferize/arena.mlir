// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-arena -verify-diagnostics | FileCheck %s

// 8 tokens of 16 floats.
// CHECK:       module attributes {cria.arena_bytes = 512 : i64, cria.max_batch = 8 : i64, cria.thread_arena_bytes = 0 : i64}
// CHECK-LABEL: func.func @one
// CHECK-SAME:    %[[ARENA:[^:]*]]: memref<?xi8> {cria.arg = "arena"}, %{{.*}}: memref<?xi8> {cria.arg = "thread_arena"}
// CHECK:         memref.view %[[ARENA]][%c0{{.*}}][%{{.*}}] : memref<?xi8> to memref<?x16xf32>
module attributes {cria.max_batch = 8 : i64} {
  func.func @one(%x: memref<?xf32>, %v: f32) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %a = memref.alloc(%n) : memref<?x16xf32>
    memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
    return
  }
}

// -----

// Threads are anywhere between two barriers: without one, both live.
// CHECK: cria.arena_bytes = 1024
module attributes {cria.max_batch = 8 : i64} {
  func.func @no_barrier(%x: memref<?xf32>, %v: f32) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %a = memref.alloc(%n) : memref<?x16xf32>
    %b = memref.alloc(%n) : memref<?x16xf32>
    memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
    memref.store %v, %b[%c0, %c0] : memref<?x16xf32>
    return
  }
}

// -----

// CHECK: cria.arena_bytes = 512
module attributes {cria.max_batch = 8 : i64} {
  func.func @barrier(%x: memref<?xf32>, %v: f32) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %a = memref.alloc(%n) : memref<?x16xf32>
    %b = memref.alloc(%n) : memref<?x16xf32>
    memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
    cria.barrier
    memref.store %v, %b[%c0, %c0] : memref<?x16xf32>
    return
  }
}

// -----

// Offsets are multiples of 64 bytes.
// CHECK: cria.arena_bytes = 1088
// CHECK: arith.constant 1024
module attributes {cria.max_batch = 8 : i64} {
  func.func @alignment(%x: memref<?xf32>, %v: f32) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %a = memref.alloc() : memref<3xf32>
    %b = memref.alloc() : memref<250xf32>
    memref.store %v, %a[%c0] : memref<3xf32>
    memref.store %v, %b[%c0] : memref<250xf32>
    return
  }
}

// -----

// Outlives the loop: needed in every iteration, so not where %b is.
// CHECK: cria.arena_bytes = 1024
module attributes {cria.max_batch = 8 : i64} {
  func.func @outlives(%x: memref<?xf32>, %v: f32) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %c4 = arith.constant 4 : index
    %a = memref.alloc(%n) : memref<?x16xf32>
    scf.for %i = %c0 to %c4 step %c1 {
      memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
      cria.barrier
      %b = memref.alloc(%n) : memref<?x16xf32>
      memref.store %v, %b[%c0, %c0] : memref<?x16xf32>
      cria.barrier
    }
    return
  }
}

// -----

// The end of an iteration runs into the begin of the next.
// CHECK: cria.arena_bytes = 1024
module attributes {cria.max_batch = 8 : i64} {
  func.func @wrap_around(%x: memref<?xf32>, %v: f32) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %c4 = arith.constant 4 : index
    scf.for %i = %c0 to %c4 step %c1 {
      %a = memref.alloc(%n) : memref<?x16xf32>
      memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
      cria.barrier
      %b = memref.alloc(%n) : memref<?x16xf32>
      memref.store %v, %b[%c0, %c0] : memref<?x16xf32>
    }
    return
  }
}

// -----

// A barrier at the end: they do not meet.
// CHECK: cria.arena_bytes = 512
module attributes {cria.max_batch = 8 : i64} {
  func.func @no_wrap_around(%x: memref<?xf32>, %v: f32) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %c4 = arith.constant 4 : index
    scf.for %i = %c0 to %c4 step %c1 {
      %a = memref.alloc(%n) : memref<?x16xf32>
      memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
      cria.barrier
      %b = memref.alloc(%n) : memref<?x16xf32>
      memref.store %v, %b[%c0, %c0] : memref<?x16xf32>
      cria.barrier
    }
    return
  }
}

// -----

// The branch's barrier does not separate what comes before and after it: the
// other way has none.
// CHECK: cria.arena_bytes = 1024
module attributes {cria.max_batch = 8 : i64} {
  func.func @branch(%x: memref<?xf32>, %v: f32, %kind: index) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %a = memref.alloc(%n) : memref<?x16xf32>
    %b = memref.alloc(%n) : memref<?x16xf32>
    memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
    scf.index_switch %kind
    case 0 {
      cria.barrier
      scf.yield
    }
    default {
      scf.yield
    }
    memref.store %v, %b[%c0, %c0] : memref<?x16xf32>
    return
  }
}

// -----

// CHECK: cria.arena_bytes = 512
module attributes {cria.max_batch = 8 : i64} {
  func.func @barrier_in_all_branches(%x: memref<?xf32>, %v: f32, %kind: index) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %a = memref.alloc(%n) : memref<?x16xf32>
    %b = memref.alloc(%n) : memref<?x16xf32>
    memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
    scf.index_switch %kind
    case 0 {
      cria.barrier
      scf.yield
    }
    default {
      cria.barrier
      scf.yield
    }
    memref.store %v, %b[%c0, %c0] : memref<?x16xf32>
    return
  }
}

// -----

// Used in a branch past its barrier, and after it: no barrier between.
// CHECK: cria.arena_bytes = 1024
module attributes {cria.max_batch = 8 : i64} {
  func.func @end_of_branch(%x: memref<?xf32>, %v: f32, %kind: index) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %b = memref.alloc(%n) : memref<?x16xf32>
    scf.index_switch %kind
    case 0 {
      %a = memref.alloc(%n) : memref<?x16xf32>
      cria.barrier
      memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
      scf.yield
    }
    default {
      scf.yield
    }
    memref.store %v, %b[%c0, %c0] : memref<?x16xf32>
    return
  }
}

// -----

// No iteration needs both.
// CHECK: cria.arena_bytes = 512
module attributes {cria.max_batch = 8 : i64} {
  func.func @alternatives(%x: memref<?xf32>, %v: f32, %kind: index) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    scf.index_switch %kind
    case 0 {
      %a = memref.alloc(%n) : memref<?x16xf32>
      memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
      scf.yield
    }
    default {
      %b = memref.alloc(%n) : memref<?x16xf32>
      memref.store %v, %b[%c0, %c0] : memref<?x16xf32>
      scf.yield
    }
    return
  }
}

// -----

// A loop that may not run has no barrier to count on.
// CHECK: cria.arena_bytes = 1024
module attributes {cria.max_batch = 8 : i64} {
  func.func @maybe_no_iteration(%x: memref<?xf32>, %v: f32, %m: index) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %a = memref.alloc(%n) : memref<?x16xf32>
    %b = memref.alloc(%n) : memref<?x16xf32>
    memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
    scf.for %i = %c0 to %m step %c1 {
      cria.barrier
    }
    memref.store %v, %b[%c0, %c0] : memref<?x16xf32>
    return
  }
}

// -----

// A buffer that a branch hands on is used where its result is.
// CHECK: cria.arena_bytes = 1024
module attributes {cria.max_batch = 8 : i64} {
  func.func @handed_on(%x: memref<?xf32>, %v: f32, %which: i1) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %a = memref.alloc(%n) : memref<?x16xf32>
    %b = memref.alloc(%n) : memref<?x16xf32>
    memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
    %r = scf.if %which -> memref<?x16xf32> {
      scf.yield %a : memref<?x16xf32>
    } else {
      scf.yield %a : memref<?x16xf32>
    }
    cria.barrier
    memref.store %v, %b[%c0, %c0] : memref<?x16xf32>
    memref.store %v, %r[%c0, %c0] : memref<?x16xf32>
    return
  }
}

// -----

// A thread's own: in the order of its ops, in another arena.
// CHECK: cria.arena_bytes = 0 : i64, {{.*}}cria.thread_arena_bytes = 512
// CHECK: memref.view %arg3
// CHECK: memref.view %arg3
module attributes {cria.max_batch = 8 : i64} {
  func.func @private(%x: memref<?xf32>, %v: f32) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %a = memref.alloc(%n) {cria.private} : memref<?x16xf32>
    memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
    %b = memref.alloc(%n) {cria.private} : memref<?x16xf32>
    memref.store %v, %b[%c0, %c0] : memref<?x16xf32>
    return
  }
}

// -----

// A decode version has few tokens: 4 at most.
// CHECK: cria.arena_bytes = 256
module attributes {cria.max_batch = 8 : i64} {
  func.func @decode(%x: memref<?xf32>, %v: f32) attributes {cria.entry, cria.version = "decode"} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    %a = memref.alloc(%n) : memref<?x16xf32>
    memref.store %v, %a[%c0, %c0] : memref<?x16xf32>
    return
  }
}

// -----

// expected-error @+1 {{needs the attribute cria.max_batch}}
module {
  func.func @no_bound(%x: memref<?xf32>) attributes {cria.entry} {
    return
  }
}

// -----

// expected-error @+1 {{cria.max_batch is 0; accepted: 1 or more}}
module attributes {cria.max_batch = 0 : i64} {
  func.func @no_tokens(%x: memref<?xf32>) attributes {cria.entry} {
    return
  }
}

// -----

module attributes {cria.max_batch = 8 : i64} {
  func.func @any_size(%n: index) attributes {cria.entry} {
    // expected-error @+1 {{has a size that is not the number of tokens of a batch}}
    %a = memref.alloc(%n) : memref<?x16xf32>
    return
  }
}

// -----

module attributes {cria.max_batch = 1000000 : i64} {
  func.func @too_much(%x: memref<?xf32>) attributes {cria.entry} {
    %c0 = arith.constant 0 : index
    %n = memref.dim %x, %c0 : memref<?xf32>
    // expected-error @+1 {{needs more than 70368744177664 bytes with 1000000 tokens}}
    %a = memref.alloc(%n) : memref<?x4000000000000xf32>
    return
  }
}
