// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect
//
// One case per constraint label of the kernel ops.

func.func @f(%p: tensor<4xi32>, %t: tensor<4x2x64xf32>) {
  // expected-error @below {{rope_table_c1: pairs must be interleaved}}
  %0 = cria.rope_table ins(%p : tensor<4xi32>) outs(%t : tensor<4x2x64xf32>) {rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 64>} -> tensor<4x2x64xf32>
  return
}

// -----

func.func @f(%p: tensor<4xi32>, %t: tensor<4x2x32xf32>) {
  // expected-error @below {{rope_table_c2: init is 'tensor<4x2x32xf32>', expected 4x2xhead_dim with head_dim >= 64}}
  %0 = cria.rope_table ins(%p : tensor<4xi32>) outs(%t : tensor<4x2x32xf32>) {rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 64>} -> tensor<4x2x32xf32>
  return
}

// -----

func.func @f(%t: tensor<4xi32>, %w: !cria.weight<1024x64, q8, block = 32, zero_point, n16k4>, %i: tensor<4x32xf32>) {
  // expected-error @below {{embed_rows_c1: init is 'tensor<4x32xf32>', expected 4x64}}
  %0 = cria.embed_rows ins(%t, %w : tensor<4xi32>, !cria.weight<1024x64, q8, block = 32, zero_point, n16k4>) outs(%i : tensor<4x32xf32>) -> tensor<4x32xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %i0: tensor<4x24xi32>, %i1: tensor<4x3xf32>) {
  // expected-error @below {{rows_c1: 2 inits, expected 1 (f32 rows) or 3 (codes, scales, sums)}}
  %r:2 = cria.rows ins(%x : tensor<4x80xf32>) outs(%i0, %i1 : tensor<4x24xi32>, tensor<4x3xf32>) {
  ^bb0(%row: tensor<1x80xf32>):
    cria.yield %row : tensor<1x80xf32>
  } -> tensor<4x24xi32>, tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %i0: tensor<4x64xf32>) {
  // expected-error @below {{rows_c1: init is 'tensor<4x64xf32>', expected f32 of 4x80}}
  %r:1 = cria.rows ins(%x : tensor<4x80xf32>) outs(%i0 : tensor<4x64xf32>) {
  ^bb0(%row: tensor<1x80xf32>):
    cria.yield %row : tensor<1x80xf32>
  } -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %i0: tensor<4x20xi32>, %i1: tensor<4x3xf32>, %i2: tensor<4x3xf32>) {
  // expected-error @below {{rows_c1: inits are 'tensor<4x20xi32>', 'tensor<4x3xf32>', 'tensor<4x3xf32>', expected i32 of 4x24 (or twice as many), f32 and i32 or f32 of 4x3}}
  %r:3 = cria.rows ins(%x : tensor<4x80xf32>) outs(%i0, %i1, %i2 : tensor<4x20xi32>, tensor<4x3xf32>, tensor<4x3xf32>) {
  ^bb0(%row: tensor<1x80xf32>):
    cria.yield %row : tensor<1x80xf32>
  } -> tensor<4x20xi32>, tensor<4x3xf32>, tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %p0: tensor<80xf32>, %i0: tensor<4x24xi32>, %i1: tensor<4x3xf32>, %i2: tensor<4x3xf32>) {
  // expected-error @below {{rows_c2: the region takes a row, tensor<1x80xf32>, the params as tensors}}
  %r:3 = cria.rows ins(%x : tensor<4x80xf32>) params(%p0 : tensor<80xf32>) outs(%i0, %i1, %i2 : tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>) {
  ^bb0(%row: tensor<1x80xf32>):
    cria.yield %row : tensor<1x80xf32>
  } -> tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %p0: tensor<80xf32>, %i0: tensor<4x24xi32>, %i1: tensor<4x3xf32>, %i2: tensor<4x3xf32>) {
  // expected-error @below {{rows_c2: the region yields one row, tensor<1x80xf32>}}
  %r:3 = cria.rows ins(%x : tensor<4x80xf32>) params(%p0 : tensor<80xf32>) outs(%i0, %i1, %i2 : tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>) {
  ^bb0(%row: tensor<1x80xf32>, %w0: tensor<80xf32>):
    cria.yield %w0 : tensor<80xf32>
  } -> tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %i0: tensor<4x24xi32>, %i1: tensor<4x3xf32>, %i2: tensor<4x3xf32>) {
  // expected-error @below {{rows_c3: the region holds 'cria.norm', expected at most one cria.norm, then one cria.scale}}
  %r:3 = cria.rows ins(%x : tensor<4x80xf32>) outs(%i0, %i1, %i2 : tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>) {
  ^bb0(%row: tensor<1x80xf32>):
    %0 = cria.norm rms %row {eps = 1.0e-05 : f32} : tensor<1x80xf32>
    %1 = cria.norm rms %0 {eps = 1.0e-05 : f32} : tensor<1x80xf32>
    cria.yield %1 : tensor<1x80xf32>
  } -> tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %w: tensor<16xf32>, %i: tensor<4x80xf32>) {
  // expected-error @below {{rows_c3: the norm is layer_per_head, expected rms, layer or per_head}}
  %r = cria.rows ins(%x : tensor<4x80xf32>) params(%w : tensor<16xf32>) outs(%i : tensor<4x80xf32>) {
  ^bb0(%row: tensor<1x80xf32>, %v: tensor<16xf32>):
    %0 = cria.norm layer_per_head %row weight %v {eps = 1.0e-05 : f32} : tensor<1x80xf32>, weight tensor<16xf32>
    cria.yield %0 : tensor<1x80xf32>
  } -> tensor<4x80xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %w: tensor<80xf32>, %i: tensor<4x80xf32>) {
  // expected-error @below {{rows_c3: the norm is per_head with a head_dim, expected rms, layer or per_head}}
  %r = cria.rows ins(%x : tensor<4x80xf32>) params(%w : tensor<80xf32>) outs(%i : tensor<4x80xf32>) {
  ^bb0(%row: tensor<1x80xf32>, %v: tensor<80xf32>):
    %0 = cria.norm per_head %row weight %v {eps = 1.0e-05 : f32, head_dim = 16 : i64} : tensor<1x80xf32>, weight tensor<80xf32>
    cria.yield %0 : tensor<1x80xf32>
  } -> tensor<4x80xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %i0: tensor<4x24xi32>, %i1: tensor<4x3xf32>, %i2: tensor<4x3xf32>) {
  // expected-error @below {{rows_c3: the region holds 'cria.softcap', expected at most one cria.norm}}
  %r:3 = cria.rows ins(%x : tensor<4x80xf32>) outs(%i0, %i1, %i2 : tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>) {
  ^bb0(%row: tensor<1x80xf32>):
    %0 = cria.softcap %row {cap = 1.0 : f32} : tensor<1x80xf32>
    cria.yield %row : tensor<1x80xf32>
  } -> tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %i0: tensor<4x24xi32>, %i1: tensor<4x3xf32>, %i2: tensor<4x3xf32>) {
  // expected-error @below {{rows_c4: zero_point is given exactly when}}
  %r:3 = cria.rows ins(%x : tensor<4x80xf32>) outs(%i0, %i1, %i2 : tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>) attributes {zero_point = 8 : i64} {
  ^bb0(%row: tensor<1x80xf32>):
    cria.yield %row : tensor<1x80xf32>
  } -> tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %i0: tensor<4x24xi32>, %i1: tensor<4x3xf32>, %i2: tensor<4x3xi32>) {
  // expected-error @below {{rows_c4: zero_point is given exactly when}}
  %r:3 = cria.rows ins(%x : tensor<4x80xf32>) outs(%i0, %i1, %i2 : tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xi32>) {
  ^bb0(%row: tensor<1x80xf32>):
    cria.yield %row : tensor<1x80xf32>
  } -> tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xi32>
  return
}

// -----

func.func @f() {
  // expected-error @below {{'cria.yield' op expects parent op to be one of 'cria.rows, cria.fused_linear'}}
  cria.yield
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<96x64, q4, block = 32, min, n16k4>, %w1: !cria.weight<96x64, q4, block = 32, min, n16k4>, %w2: !cria.weight<96x64, q4, block = 32, min, n16k4>, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c1: 3 weights, expected one or two}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0, %w1, %w2 : !cria.weight<96x64, q4, block = 32, min, n16k4>, !cria.weight<96x64, q4, block = 32, min, n16k4>, !cria.weight<96x64, q4, block = 32, min, n16k4>) outs(%i : tensor<4x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>, %a1: vector<16xf32>, %a2: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<96x64, q4, block = 32, min, n16k4>, %w1: !cria.weight<96x64, q4, block = 32, zero_point, n16k4>, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c1: weights '!cria.weight<96x64, q4, block = 32, min, n16k4>' and '!cria.weight<96x64, q4, block = 32, zero_point, n16k4>' must be of one type}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0, %w1 : !cria.weight<96x64, q4, block = 32, min, n16k4>, !cria.weight<96x64, q4, block = 32, zero_point, n16k4>) outs(%i : tensor<4x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>, %a1: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<2x96x64, q4, block = 32, min, n16k4>, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c1: weight '!cria.weight<2x96x64, q4, block = 32, min, n16k4>' must be one layer's}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<2x96x64, q4, block = 32, min, n16k4>) outs(%i : tensor<4x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x64xf32>, %w0: !cria.weight<96x64, q4, block = 32, min, n16k4>, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c2: 1 acts, weight '!cria.weight<96x64, q4, block = 32, min, n16k4>' needs 3}}
  %r = cria.fused_linear acts(%c0 : tensor<4x64xf32>) weights(%w0 : !cria.weight<96x64, q4, block = 32, min, n16k4>) outs(%i : tensor<4x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<96x64, q4, block = 32, zero_point, n16k4>, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c2: acts are 'tensor<4x16xi32>', 'tensor<4x2xf32>', 'tensor<4x2xf32>', expected i32 of 4x16 (or twice as many), f32 of 4x2 and i32 of 4x2}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<96x64, q4, block = 32, zero_point, n16k4>) outs(%i : tensor<4x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x32xf32>, %w0: !cria.weight<96x64, bf16, n16k2>, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c2: acts are 'tensor<4x32xf32>', expected f32 with 64 columns}}
  %r = cria.fused_linear acts(%c0 : tensor<4x32xf32>) weights(%w0 : !cria.weight<96x64, bf16, n16k2>) outs(%i : tensor<4x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<96x64, q4, block = 32, min, n16k4>, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c3: the region takes 2 arguments of vector<16xf32>}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<96x64, q4, block = 32, min, n16k4>) outs(%i : tensor<4x96xf32>) attributes {accumulate, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<96x64, q4, block = 32, min, n16k4>, %e0: tensor<4x2x32xf32>, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c3: the region takes 3 arguments of vector<16xf32>}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<96x64, q4, block = 32, min, n16k4>) extras(%e0 : tensor<4x2x32xf32>) outs(%i : tensor<4x96xf32>) attributes {extra_kinds = [#cria<extra rope>], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>, %a1: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<96x64, q4, block = 32, min, n16k4>, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c3: the region yields one vector<16xf32>}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<96x64, q4, block = 32, min, n16k4>) outs(%i : tensor<4x96xf32>) attributes {accumulate, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>, %a1: vector<16xf32>):
    cria.yield %a0, %a1 : vector<16xf32>, vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<96x64, q4, block = 32, min, n16k4>, %e0: tensor<96xf32>, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c4: 0 extra_kinds for 1 extras}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<96x64, q4, block = 32, min, n16k4>) extras(%e0 : tensor<96xf32>) outs(%i : tensor<4x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>, %a1: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<96x64, q4, block = 32, min, n16k4>, %e0: tensor<96xf32>, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c4: extra_kinds holds 1 : i64, expected elementwise, bias or rope}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<96x64, q4, block = 32, min, n16k4>) extras(%e0 : tensor<96xf32>) outs(%i : tensor<4x96xf32>) attributes {extra_kinds = [1 : i64], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>, %a1: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<96x64, q4, block = 32, min, n16k4>, %e0: tensor<64xf32>, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c4: extra 0 of kind bias is 'tensor<64xf32>' for 4x96 outputs}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<96x64, q4, block = 32, min, n16k4>) extras(%e0 : tensor<64xf32>) outs(%i : tensor<4x96xf32>) attributes {extra_kinds = [#cria<extra bias>], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>, %a1: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<96x64, q4, block = 32, min, n16k4>, %e0: tensor<96xf32>, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c4: extra 0 of kind elementwise is 'tensor<96xf32>' for 4x96 outputs}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<96x64, q4, block = 32, min, n16k4>) extras(%e0 : tensor<96xf32>) outs(%i : tensor<4x96xf32>) attributes {extra_kinds = [#cria<extra elementwise>], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>, %a1: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<96x64, q4, block = 32, min, n16k4>, %l: index, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_linear_c5: out rows takes neither layer nor slots}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<96x64, q4, block = 32, min, n16k4>) layer %l outs(%i : tensor<4x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<64x64, q4, block = 32, min, n16k4>, %l: index, %i: tensor<2x?x2x4x32x16xf16>) {
  // expected-error @below {{fused_linear_c5: out key needs layer and slots}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<64x64, q4, block = 32, min, n16k4>) layer %l outs(%i : tensor<2x?x2x4x32x16xf16>) attributes {extra_kinds = [], out = #cria<out key>} {
  ^bb0(%a0: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<2x?x2x4x32x16xf16>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<96x64, q4, block = 32, min, n16k4>, %i: tensor<4x64xf32>) {
  // expected-error @below {{fused_linear_c5: init is 'tensor<4x64xf32>', expected 4x96}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<96x64, q4, block = 32, min, n16k4>) outs(%i : tensor<4x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<64x64, q4, block = 32, min, n16k4>, %l: index, %s: tensor<4xi32>, %i: tensor<2x?x2x4x32x16xf16>) {
  // expected-error @below {{fused_linear_c5: a value cache has shape ?x?x?x64x?}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<64x64, q4, block = 32, min, n16k4>) layer %l slots %s : tensor<4xi32> outs(%i : tensor<2x?x2x4x32x16xf16>) attributes {extra_kinds = [], out = #cria<out value>} {
  ^bb0(%a0: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<2x?x2x4x32x16xf16>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<96x64, q4, block = 32, min, n16k4>, %l: index, %s: tensor<4xi32>, %i: tensor<2x?x2x4x32x16xf16>) {
  // expected-error @below {{fused_linear_c5: N (96) exceeds the cache's kv_heads * head_dim (64)}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<96x64, q4, block = 32, min, n16k4>) layer %l slots %s : tensor<4xi32> outs(%i : tensor<2x?x2x4x32x16xf16>) attributes {extra_kinds = [], out = #cria<out key>} {
  ^bb0(%a0: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<2x?x2x4x32x16xf16>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<64x64, q4, block = 32, min, n16k4>, %l: index, %s: tensor<3xi32>, %i: tensor<2x?x2x4x32x16xf16>) {
  // expected-error @below {{fused_linear_c5: 3 slots for 4 tokens}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<64x64, q4, block = 32, min, n16k4>) layer %l slots %s : tensor<3xi32> outs(%i : tensor<2x?x2x4x32x16xf16>) attributes {extra_kinds = [], out = #cria<out key>} {
  ^bb0(%a0: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<2x?x2x4x32x16xf16>
  return
}

// -----

func.func @f(%c0: tensor<4x16xi32>, %c1: tensor<4x2xf32>, %c2: tensor<4x2xf32>, %w0: !cria.weight<64x64, q4, block = 32, min, n16k4>, %l: index, %s: tensor<4xi32>, %i: tensor<2x?x2x4x32x16xf16>) {
  // expected-error @below {{fused_linear_c6: accumulate needs out rows}}
  %r = cria.fused_linear acts(%c0, %c1, %c2 : tensor<4x16xi32>, tensor<4x2xf32>, tensor<4x2xf32>) weights(%w0 : !cria.weight<64x64, q4, block = 32, min, n16k4>) layer %l slots %s : tensor<4xi32> outs(%i : tensor<2x?x2x4x32x16xf16>) attributes {accumulate, extra_kinds = [], out = #cria<out key>} {
  ^bb0(%a0: vector<16xf32>, %a1: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<2x?x2x4x32x16xf16>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>, %l: index, %i: tensor<4x192xf32>) {
  // expected-error @below {{attention_c1: kv_heads (4) must divide heads (6)}}
  %0 = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>) layer %l outs(%i : tensor<4x192xf32>) {heads = 6 : i64, kv_heads = 4 : i64, head_dim = 32 : i64, scale = 0.25 : f32} -> tensor<4x192xf32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>, %l: index, %i: tensor<4x96xf32>) {
  // expected-error @below {{fused_attention_c1: init is 'tensor<4x96xf32>', expected q's shape}}
  %0 = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>) layer %l outs(%i : tensor<4x96xf32>) {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32} -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>, %l: index, %i: tensor<4x6x8x32xf32>) {
  // expected-error @below {{attention_partials_c1: init is 'tensor<4x6x8x32xf32>', expected 4x6xCx(32 + 32)}}
  %0 = cria.attention_partials ins(%q, %k, %v, %p, %s, %t : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>) layer %l first %l outs(%i : tensor<4x6x8x32xf32>) {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32} -> tensor<4x6x8x32xf32>
  return
}

// -----

func.func @f(%parts: tensor<4x6x8x64xf32>, %p: tensor<3xi32>, %i: tensor<4x192xf32>) {
  // expected-error @below {{attention_merge_c1: 'tensor<4x6x8x64xf32>' with 'tensor<3xi32>' into 'tensor<4x192xf32>'}}
  %0 = cria.attention_merge ins(%parts, %p : tensor<4x6x8x64xf32>, tensor<3xi32>) outs(%i : tensor<4x192xf32>) {heads = 6 : i64, head_dim = 32 : i64} -> tensor<4x192xf32>
  return
}

// -----

func.func @f(%parts: tensor<4x6x8x64xf32>, %p: tensor<4xi32>, %i: tensor<4x192xf32>) {
  // expected-error @below {{attention_merge_c2: window (0) must be positive}}
  %0 = cria.attention_merge ins(%parts, %p : tensor<4x6x8x64xf32>, tensor<4xi32>) outs(%i : tensor<4x192xf32>) {heads = 6 : i64, head_dim = 32 : i64, window = 0 : i64} -> tensor<4x192xf32>
  return
}

// -----

func.func @f(%parts: tensor<4x6x8x64xf32>, %p: tensor<4xi32>, %sinks: tensor<2xf32>, %i: tensor<4x192xf32>) {
  // expected-error @below {{attention_merge_c3: sinks has 2 elements, expected one a head (6)}}
  %0 = cria.attention_merge ins(%parts, %p : tensor<4x6x8x64xf32>, tensor<4xi32>) sinks(%sinks : tensor<2xf32>) outs(%i : tensor<4x192xf32>) {heads = 6 : i64, head_dim = 32 : i64} -> tensor<4x192xf32>
  return
}

// -----

func.func @f(%w: !cria.weight<96x64, q4, block = 32, min, n16k4>, %o: index) {
  // expected-error @below {{weight_slice_c1:}}
  %0 = cria.weight_slice %w[%o] : !cria.weight<96x64, q4, block = 32, min, n16k4> to !cria.weight<32x64, q4, block = 32, min, rows>
  return
}

// -----

func.func @f(%w: !cria.weight<96x64, q4, block = 32, min, n16k4>, %o: index) {
  // expected-error @below {{weight_slice_c1:}}
  %0 = cria.weight_slice %w[%o] : !cria.weight<96x64, q4, block = 32, min, n16k4> to !cria.weight<32x32, q4, block = 32, min, n16k4>
  return
}

// -----

func.func @f(%w: !cria.weight<96x64, q4, block = 32, min, n16k4>, %o: index) {
  // expected-error @below {{weight_slice_c2: the result has 112 rows, the source 96}}
  %0 = cria.weight_slice %w[%o] : !cria.weight<96x64, q4, block = 32, min, n16k4> to !cria.weight<112x64, q4, block = 32, min, n16k4>
  return
}

// -----

func.func @f(%w: !cria.weight<96x64, q4, block = 32, min, n16k4>) {
  // expected-error @below {{weight_data_c1: 1 results, '!cria.weight<96x64, q4, block = 32, min, n16k4>' is stored in 3}}
  %0 = cria.weight_data %w : !cria.weight<96x64, q4, block = 32, min, n16k4> -> memref<6x2x4x16x4xi8, strided<[512, 256, 64, 4, 1], offset: ?>>
  return
}

// -----

func.func @f(%w: !cria.weight<96x64, f32, rows>) {
  // expected-error @below {{weight_data_c2: result 0 is 'memref<96x64xf32>', expected 'memref<96x64xf32, strided<[64, 1], offset: ?>>'}}
  %0 = cria.weight_data %w : !cria.weight<96x64, f32, rows> -> memref<96x64xf32>
  return
}

// -----

func.func @f(%acc: vector<16xi32>, %a: vector<64xi8>, %b: vector<64xi8>) {
  // expected-error @below {{dot4_c1: a_bits (7) must be 4, 6 or 8}}
  %0 = cria.dot4 %acc, %a, %b {a_bits = 7 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return
}

// -----

func.func @dot_tile_c1(%acts: memref<?x144xi32>, %codes: memref<2x8x64xi8>, %out: memref<1x16x16xi32>, %i: index) {
  // expected-error @below {{dot_tile_c1: codes 'memref<2x8x64xi8>' and out 'memref<1x16x16xi32>' must be memref<Px8x64xi8> and memref<Px16x16xi32> with the same P}}
  cria.dot_tile %acts[%i, %i], %codes, %out : memref<?x144xi32>, memref<2x8x64xi8>, memref<1x16x16xi32>
  return
}

// -----

func.func @dot_tile_c2(%acts: memref<?x144xi32, strided<[288, 2]>>, %codes: memref<1x8x64xi8>, %out: memref<1x16x16xi32>, %i: index) {
  // expected-error @below {{dot_tile_c2: the words of a row of acts 'memref<?x144xi32, strided<[288, 2]>>', codes 'memref<1x8x64xi8>' and out 'memref<1x16x16xi32>' must be contiguous}}
  cria.dot_tile %acts[%i, %i], %codes, %out : memref<?x144xi32, strided<[288, 2]>>, memref<1x8x64xi8>, memref<1x16x16xi32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>, %l: index, %i: tensor<4x192xf32>, %b: tensor<5xf32>) {
  // expected-error @below {{fused_attention_c2: slopes has 5 elements, expected one a head (6)}}
  %0 = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>) slopes(%b : tensor<5xf32>) layer %l outs(%i : tensor<4x192xf32>) {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32} -> tensor<4x192xf32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>, %l: index, %i: tensor<4x192xf32>, %b: tensor<6x32xf32>) {
  // expected-error @below {{fused_attention_c3: bias is 'tensor<6x32xf32>', expected 6x(D + 32)}}
  %0 = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>) bias(%b : tensor<6x32xf32>) layer %l outs(%i : tensor<4x192xf32>) {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32} -> tensor<4x192xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %i: tensor<4x80xf32>) {
  // expected-error @below {{rows_c3: the region must yield the end of its chain, with accumulate the sum}}
  %0 = cria.rows ins(%x : tensor<4x80xf32>) outs(%i : tensor<4x80xf32>) attributes {accumulate} {
  ^bb0(%row: tensor<1x80xf32>, %old: tensor<1x80xf32>):
    cria.yield %row : tensor<1x80xf32>
  } -> tensor<4x80xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %i: tensor<4x80xf32>) {
  // expected-error @below {{rows_c3: 'cria.add' must take the value of the op before it}}
  %0 = cria.rows ins(%x : tensor<4x80xf32>) outs(%i : tensor<4x80xf32>) attributes {accumulate} {
  ^bb0(%row: tensor<1x80xf32>, %old: tensor<1x80xf32>):
    %1 = cria.add %row, %row : tensor<1x80xf32>
    cria.yield %1 : tensor<1x80xf32>
  } -> tensor<4x80xf32>
  return
}

// -----

func.func @f(%x: tensor<4x80xf32>, %i0: tensor<4x24xi32>, %i1: tensor<4x3xf32>, %i2: tensor<4x3xf32>) {
  // expected-error @below {{rows_c5: accumulate adds to one init, there are 3}}
  %r:3 = cria.rows ins(%x : tensor<4x80xf32>) outs(%i0, %i1, %i2 : tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>) attributes {accumulate} {
  ^bb0(%row: tensor<1x80xf32>, %old: tensor<1x80xf32>):
    %1 = cria.add %old, %row : tensor<1x80xf32>
    cria.yield %1 : tensor<1x80xf32>
  } -> tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %i: tensor<4x64xf32>) {
  // expected-error @below {{head_rows_c1: head_dim (48) must divide x's columns (64)}}
  %0 = cria.head_rows ins(%x : tensor<4x64xf32>) outs(%i : tensor<4x64xf32>) {head_dim = 48 : i64, out = #cria<out rows>} -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: tensor<32xf32>, %i: tensor<4x64xf32>) {
  // expected-error @below {{head_rows_c2: a weight of head_dim (32) elements or x's columns (64) and eps come together}}
  %0 = cria.head_rows ins(%x : tensor<4x64xf32>) weight(%w : tensor<32xf32>) outs(%i : tensor<4x64xf32>) {head_dim = 32 : i64, out = #cria<out rows>} -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: tensor<16xf32>, %i: tensor<4x64xf32>) {
  // expected-error @below {{head_rows_c2: a weight of head_dim (32) elements or x's columns (64) and eps come together}}
  %0 = cria.head_rows ins(%x : tensor<4x64xf32>) weight(%w : tensor<16xf32>) outs(%i : tensor<4x64xf32>) {eps = 1.0e-05 : f32, head_dim = 32 : i64, out = #cria<out rows>} -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %i: tensor<4x64xf32>) {
  // expected-error @below {{head_rows_c2: bias and center need a weight}}
  %0 = cria.head_rows ins(%x : tensor<4x64xf32>) outs(%i : tensor<4x64xf32>) {center, head_dim = 32 : i64, out = #cria<out rows>} -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: tensor<64xf32>, %b: tensor<32xf32>, %i: tensor<4x64xf32>) {
  // expected-error @below {{head_rows_c2: bias has 32 elements, weight has 64}}
  %0 = cria.head_rows ins(%x : tensor<4x64xf32>) weight(%w : tensor<64xf32>) bias(%b : tensor<32xf32>) outs(%i : tensor<4x64xf32>) {center, eps = 1.0e-05 : f32, head_dim = 32 : i64, out = #cria<out rows>} -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %t: tensor<4x2x16xf32>, %i: tensor<4x64xf32>) {
  // expected-error @below {{head_rows_c3: rope is 'tensor<4x2x16xf32>', expected 4x2x32 with an even head_dim}}
  %0 = cria.head_rows ins(%x : tensor<4x64xf32>) rope(%t : tensor<4x2x16xf32>) outs(%i : tensor<4x64xf32>) {head_dim = 32 : i64, out = #cria<out rows>} -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %i: tensor<4x64xf32>) {
  // expected-error @below {{head_rows_c4: out key needs layer and slots}}
  %0 = cria.head_rows ins(%x : tensor<4x64xf32>) outs(%i : tensor<4x64xf32>) {head_dim = 32 : i64, out = #cria<out key>} -> tensor<4x64xf32>
  return
}

// -----

func.func @rows_c6(%x: tensor<4x80xf32>, %i0: tensor<4x24xi32>, %i1: tensor<4x3xf32>, %i2: tensor<4x3xf32>) {
  // expected-error @below {{rows_c6: bf16 with codes}}
  %r:3 = cria.rows ins(%x : tensor<4x80xf32>) outs(%i0, %i1, %i2 : tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>) attributes {bf16} {
  ^bb0(%row: tensor<1x80xf32>):
    cria.yield %row : tensor<1x80xf32>
  } -> tensor<4x24xi32>, tensor<4x3xf32>, tensor<4x3xf32>
  return
}

// -----

func.func @fused_linear_c7(%x: tensor<4x64xf32>, %w: !cria.weight<64x64, f16, n16>, %i: tensor<4x64xf32>) {
  // expected-error @below {{fused_linear_c7: bf16 with weight '!cria.weight<64x64, f16, n16>'}}
  %r = cria.fused_linear acts(%x : tensor<4x64xf32>) weights(%w : !cria.weight<64x64, f16, n16>) outs(%i : tensor<4x64xf32>) attributes {bf16, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%a0: vector<16xf32>):
    cria.yield %a0 : vector<16xf32>
  } -> tensor<4x64xf32>
  return
}

// -----

func.func @dot_tile2_c1(%acts: memref<?x64xf32>, %weights: memref<4x?x32xbf16>, %out: memref<1x16x16xf32>, %i: index) {
  // expected-error @below {{dot_tile2_c1: weights 'memref<4x?x32xbf16>' and out 'memref<1x16x16xf32>' must be memref<NxWx32xbf16> with a known W and memref<Px16x16xf32>}}
  cria.dot_tile2 %acts[%i], %weights[%i], %out : memref<?x64xf32>, memref<4x?x32xbf16>, memref<1x16x16xf32>
  return
}

// -----

func.func @dot_tile2_c2(%acts: memref<?x64xf32>, %weights: memref<4x32x32xbf16, strided<[2048, 64, 1]>>, %out: memref<1x16x16xf32>, %i: index) {
  // expected-error @below {{dot_tile2_c2: the words of a row of acts 'memref<?x64xf32>', a panel of weights}}
  cria.dot_tile2 %acts[%i], %weights[%i], %out : memref<?x64xf32>, memref<4x32x32xbf16, strided<[2048, 64, 1]>>, memref<1x16x16xf32>
  return
}
