// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-canonicalize-rope | FileCheck %s
// RUN: cria-opt %s -split-input-file -cria-canonicalize-rope -remarks-filter-missed=cria-fuse -o /dev/null 2>&1 | FileCheck %s --check-prefix=WHY

// CHECK: cria.param @wq : {{.*}} {permute_dims = 16 : i64, permute_heads = 32 : i64}
cria.param @wq : !cria.weight<64x64, q8, block = 32, none, rows>
// CHECK-LABEL: func.func @half
func.func @half(%x: tensor<?x64xf32>, %p: tensor<?xi32>) -> tensor<?x64xf32> {
  %w = cria.load @wq : !cria.weight<64x64, q8, block = 32, none, rows>
  %q = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<64x64, q8, block = 32, none, rows> -> tensor<?x64xf32>
  // CHECK: cria.rope {{.*}}pairs = interleaved, base = 1.000000e+04, dims = 16
  %r = cria.rope %q, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
  return %r : tensor<?x64xf32>
}

// -----

// The bias and the weight of a norm of the heads are permuted alike.
// CHECK: cria.param @w : {{.*}}permute_heads = 32
cria.param @w : !cria.weight<64x64, q8, block = 32, none, rows>
// CHECK: cria.param @b : {{.*}}permute_heads = 32
cria.param @b : tensor<64xf32>
// CHECK: cria.param @g : {{.*}}permute_heads = 32
cria.param @g : tensor<32xf32>
// CHECK-LABEL: func.func @bias_and_norm
func.func @bias_and_norm(%x: tensor<?x64xf32>, %p: tensor<?xi32>) -> tensor<?x64xf32> {
  %w = cria.load @w : !cria.weight<64x64, q8, block = 32, none, rows>
  %b = cria.load @b : tensor<64xf32>
  %g = cria.load @g : tensor<32xf32>
  %q = cria.linear %x, %w bias %b : tensor<?x64xf32>, !cria.weight<64x64, q8, block = 32, none, rows>, tensor<64xf32> -> tensor<?x64xf32>
  %n = cria.norm per_head %q weight %g {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<32xf32>
  // CHECK: pairs = interleaved
  %r = cria.rope %n, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
  return %r : tensor<?x64xf32>
}

// -----

// A clip knows no order, and a norm's weight may be each head's own.
// CHECK: cria.param @w : {{.*}}permute_heads = 32
cria.param @w : !cria.weight<64x64, q8, block = 32, none, rows>
// CHECK: cria.param @g : {{.*}}permute_heads = 32
cria.param @g : tensor<64xf32>
// CHECK-LABEL: func.func @clip_and_norm
func.func @clip_and_norm(%x: tensor<?x64xf32>, %p: tensor<?xi32>) -> tensor<?x64xf32> {
  %w = cria.load @w : !cria.weight<64x64, q8, block = 32, none, rows>
  %g = cria.load @g : tensor<64xf32>
  %q = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<64x64, q8, block = 32, none, rows> -> tensor<?x64xf32>
  %c = cria.clip %q {bound = 8.0 : f32} : tensor<?x64xf32>
  %n = cria.norm layer_per_head %c weight %g {eps = 1.0e-05 : f32, head_dim = 32 : i64} : tensor<?x64xf32>, weight tensor<64xf32>
  // CHECK: pairs = interleaved
  %r = cria.rope %n, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
  return %r : tensor<?x64xf32>
}

// -----

// Queries meet keys: one rope that must stay keeps all.
// CHECK-NOT: permute
// WHY: canonicalize-rope.mlir:{{.*}}half pairs stay: its input is not one linear's alone
cria.param @w : !cria.weight<64x64, q8, block = 32, none, rows>
// CHECK-LABEL: func.func @no_linear
func.func @no_linear(%x: tensor<?x64xf32>, %p: tensor<?xi32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %w = cria.load @w : !cria.weight<64x64, q8, block = 32, none, rows>
  %q = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<64x64, q8, block = 32, none, rows> -> tensor<?x64xf32>
  // CHECK-COUNT-2: pairs = half
  %r = cria.rope %q, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
  %s = cria.rope %x, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
  return %r, %s : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// CHECK-NOT: permute
cria.param @w : !cria.weight<64x64, q8, block = 32, none, rows>
// CHECK-LABEL: func.func @second_use
func.func @second_use(%x: tensor<?x64xf32>, %p: tensor<?xi32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %w = cria.load @w : !cria.weight<64x64, q8, block = 32, none, rows>
  %q = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<64x64, q8, block = 32, none, rows> -> tensor<?x64xf32>
  // CHECK: pairs = half
  %r = cria.rope %q, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
  return %r, %q : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// CHECK-NOT: permute
// WHY: half pairs stay: this reads a param that feeds a rope
cria.param @w : !cria.weight<64x64, q8, block = 32, none, rows>
// CHECK-LABEL: func.func @param_read_elsewhere
func.func @param_read_elsewhere(%x: tensor<?x64xf32>, %p: tensor<?xi32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %w = cria.load @w : !cria.weight<64x64, q8, block = 32, none, rows>
  %q = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<64x64, q8, block = 32, none, rows> -> tensor<?x64xf32>
  // CHECK: pairs = half
  %r = cria.rope %q, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
  %u = cria.load @w : !cria.weight<64x64, q8, block = 32, none, rows>
  %v = cria.linear %x, %u : tensor<?x64xf32>, !cria.weight<64x64, q8, block = 32, none, rows> -> tensor<?x64xf32>
  return %r, %v : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// One permutation cannot serve heads of two sizes.
// CHECK-NOT: permute
// WHY: half pairs stay: a param that feeds it is permuted otherwise
cria.param @w : !cria.weight<64x64, q8, block = 32, none, rows>
// CHECK-LABEL: func.func @two_head_sizes
func.func @two_head_sizes(%x: tensor<?x64xf32>, %p: tensor<?xi32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %w = cria.load @w : !cria.weight<64x64, q8, block = 32, none, rows>
  %q = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<64x64, q8, block = 32, none, rows> -> tensor<?x64xf32>
  // CHECK: pairs = half
  %r = cria.rope %q, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
  %u = cria.load @w : !cria.weight<64x64, q8, block = 32, none, rows>
  %v = cria.linear %x, %u : tensor<?x64xf32>, !cria.weight<64x64, q8, block = 32, none, rows> -> tensor<?x64xf32>
  // CHECK: pairs = half
  %s = cria.rope %v, %p {head_dim = 16 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
  return %r, %s : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// A norm of the whole row, whose sums know no order, and one without a weight.
// CHECK: cria.param @w : {{.*}}permute_heads = 32
cria.param @w : !cria.weight<64x64, q8, block = 32, none, rows>
// CHECK: cria.param @u : {{.*}}permute_heads = 32
cria.param @u : !cria.weight<64x64, q8, block = 32, none, rows>
// CHECK: cria.param @g : {{.*}}permute_heads = 32
cria.param @g : tensor<64xf32>
// CHECK-LABEL: func.func @whole_norm
func.func @whole_norm(%x: tensor<?x64xf32>, %p: tensor<?xi32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %w = cria.load @w : !cria.weight<64x64, q8, block = 32, none, rows>
  %g = cria.load @g : tensor<64xf32>
  %q = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<64x64, q8, block = 32, none, rows> -> tensor<?x64xf32>
  %n = cria.norm rms %q weight %g {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<64xf32>
  // CHECK: pairs = interleaved
  %r = cria.rope %n, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
  %u = cria.load @u : !cria.weight<64x64, q8, block = 32, none, rows>
  %k = cria.linear %x, %u : tensor<?x64xf32>, !cria.weight<64x64, q8, block = 32, none, rows> -> tensor<?x64xf32>
  %m = cria.norm rms %k {eps = 1.0e-05 : f32} : tensor<?x64xf32>
  // CHECK: pairs = interleaved
  %s = cria.rope %m, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>} : tensor<?x64xf32>, tensor<?xi32>
  return %r, %s : tensor<?x64xf32>, tensor<?x64xf32>
}
