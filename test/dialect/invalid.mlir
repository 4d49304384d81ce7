// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect
//
// One case per constraint label of the model ops.

// expected-error @below {{param_c1: type 'i32' must be a static weight or a static f32 tensor of rank 1 to 3}}
cria.param @p : i32

// -----

// expected-error @below {{param_c1: type 'tensor<64xf16>' must be}}
cria.param @p : tensor<64xf16>

// -----

// expected-error @below {{param_c1: type 'tensor<?xf32>' must be}}
cria.param @p : tensor<?xf32>

// -----

// expected-error @below {{param_c1: type '!cria.weight<?x64, f32, rows>' must be}}
cria.param @p : !cria.weight<?x64, f32, rows>

// -----

// expected-error @below {{param_c1: a stacked type has a leading layer dimension}}
cria.param @p stacked : tensor<64xf32>

// -----

// expected-error @below {{param_c2: 1 sources for 2 layers}}
cria.param @p : !cria.weight<2x64x64, q4, block = 32, min, rows> from ["a"]

// -----

// expected-error @below {{param_c2: 2 sources for 1 layers}}
cria.param @p : tensor<2x64xf32> from ["a", "b"]

// -----

// expected-error @below {{param_c3: permute_heads (48) must divide N (64)}}
cria.param @p : !cria.weight<2x64x64, q4, block = 32, min, rows> {permute_heads = 48 : i64, permute_dims = 32 : i64}

// -----

// expected-error @below {{param_c3: permute_dims (40) must be even, positive and at most permute_heads (32)}}
cria.param @p : !cria.weight<2x64x64, q4, block = 32, min, rows> {permute_heads = 32 : i64, permute_dims = 40 : i64}

// -----

// expected-error @below {{param_c3: permute_heads and permute_dims go together}}
cria.param @p : !cria.weight<2x64x64, q4, block = 32, min, rows> {permute_heads = 32 : i64}

// -----

func.func @f() {
  // expected-error @below {{load_c1: @missing is not a cria.param}}
  %0 = cria.load @missing : tensor<64xf32>
  return
}

// -----

func.func @f() {
  // expected-error @below {{load_c1: @f is not a cria.param}}
  %0 = cria.load @f : tensor<64xf32>
  return
}

// -----

cria.param @p : !cria.weight<2x64x64, q4, block = 32, min, rows>
func.func @f() {
  // expected-error @below {{load_c2: @p is stacked and needs a layer index}}
  %0 = cria.load @p : !cria.weight<64x64, q4, block = 32, min, rows>
  return
}

// -----

cria.param @p : tensor<64xf32>
func.func @f(%l: index) {
  // expected-error @below {{load_c2: @p is not stacked and takes no layer index}}
  %0 = cria.load @p[%l] : tensor<64xf32>
  return
}

// -----

cria.param @p stacked : tensor<2x64xf32>
func.func @f(%l: index) {
  // expected-error @below {{load_c3: result type is 'tensor<2x64xf32>', expected 'tensor<64xf32>'}}
  %0 = cria.load @p[%l] : tensor<2x64xf32>
  return
}

// -----

func.func @f(%t: tensor<4xi32>, %w: !cria.weight<96x64, f32, rows>) {
  // expected-error @below {{embed_c1: result is 'tensor<4x32xf32>', expected 4x64}}
  %0 = cria.embed %t, %w : tensor<4xi32>, !cria.weight<96x64, f32, rows> -> tensor<4x32xf32>
  return
}

// -----

func.func @f(%x: tensor<4x32xf32>, %w: !cria.weight<96x64, f32, rows>) {
  // expected-error @below {{linear_c1: x has 32 columns for weight}}
  %0 = cria.linear %x, %w : tensor<4x32xf32>, !cria.weight<96x64, f32, rows> -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: !cria.weight<2x64x64, q4, block = 32, min, rows>) {
  // expected-error @below {{linear_c1: x has 64 columns for weight}}
  %0 = cria.linear %x, %w : tensor<4x64xf32>, !cria.weight<2x64x64, q4, block = 32, min, rows> -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: !cria.weight<96x64, f32, rows>) {
  // expected-error @below {{linear_c2: result is 5x96, expected 4x96}}
  %0 = cria.linear %x, %w : tensor<4x64xf32>, !cria.weight<96x64, f32, rows> -> tensor<5x96xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: !cria.weight<96x64, f32, rows>) {
  // expected-error @below {{linear_c2: result is 4x64, expected 4x96}}
  %0 = cria.linear %x, %w : tensor<4x64xf32>, !cria.weight<96x64, f32, rows> -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: !cria.weight<96x64, f32, rows>, %b: tensor<64xf32>) {
  // expected-error @below {{linear_c3: bias has 64 elements, expected 96}}
  %0 = cria.linear %x, %w bias %b : tensor<4x64xf32>, !cria.weight<96x64, f32, rows>, tensor<64xf32> -> tensor<4x96xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: tensor<32xf32>) {
  // expected-error @below {{norm_c1: weight has 32 elements, x has 64 columns}}
  %0 = cria.norm rms %x weight %w {eps = 1.0e-05 : f32} : tensor<4x64xf32>, weight tensor<32xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: tensor<48xf32>) {
  // expected-error @below {{norm_c2: a head's size (48) must divide x's columns (64)}}
  %0 = cria.norm per_head %x weight %w {eps = 1.0e-05 : f32} : tensor<4x64xf32>, weight tensor<48xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>) {
  // expected-error @below {{norm_c2: per_head needs a weight}}
  %0 = cria.norm per_head %x {eps = 1.0e-05 : f32} : tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: tensor<64xf32>) {
  // expected-error @below {{norm_c3: only layer and layer_per_head take a bias, beside a weight}}
  %0 = cria.norm rms %x weight %w bias %w {eps = 1.0e-05 : f32} : tensor<4x64xf32>, weight tensor<64xf32>, bias tensor<64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: tensor<64xf32>, %b: tensor<32xf32>) {
  // expected-error @below {{norm_c3: bias has 32 elements, weight has 64}}
  %0 = cria.norm layer %x weight %w bias %b {eps = 1.0e-05 : f32} : tensor<4x64xf32>, weight tensor<64xf32>, bias tensor<32xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: tensor<32xf32>) {
  // expected-error @below {{norm_c2: weight has 32 elements, expected 16, a head's, or 64}}
  %0 = cria.norm layer_per_head %x weight %w {eps = 1.0e-05 : f32, head_dim = 16 : i64} : tensor<4x64xf32>, weight tensor<32xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: tensor<64xf32>) {
  // expected-error @below {{norm_c2: a head's size (24) must divide x's columns (64)}}
  %0 = cria.norm per_head %x weight %w {eps = 1.0e-05 : f32, head_dim = 24 : i64} : tensor<4x64xf32>, weight tensor<64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>) {
  // expected-error @below {{norm_c2: layer_per_head needs a weight}}
  %0 = cria.norm layer_per_head %x {eps = 1.0e-05 : f32, head_dim = 16 : i64} : tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: tensor<16xf32>, %b: tensor<64xf32>) {
  // expected-error @below {{norm_c3: bias has 64 elements, weight has 16}}
  %0 = cria.norm layer_per_head %x weight %w bias %b {eps = 1.0e-05 : f32} : tensor<4x64xf32>, weight tensor<16xf32>, bias tensor<64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %w: tensor<64xf32>) {
  // expected-error @below {{norm_c5: layer takes no head_dim}}
  %0 = cria.norm layer %x weight %w {eps = 1.0e-05 : f32, head_dim = 16 : i64} : tensor<4x64xf32>, weight tensor<64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>) {
  // expected-error @below {{norm_c4: eps (0.000000e+00) must be positive and finite}}
  %0 = cria.norm rms %x {eps = 0.0 : f32} : tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %p: tensor<4xi32>) {
  // expected-error @below {{rope_c1: head_dim (48) must divide x's columns (64)}}
  %0 = cria.rope %x, %p {head_dim = 48 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 32>} : tensor<4x64xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %p: tensor<4xi32>) {
  // expected-error @below {{rope_c2: rope dims (64) must be at most head_dim (32)}}
  %0 = cria.rope %x, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 64>} : tensor<4x64xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x9xf32>, %p: tensor<4xi32>) {
  // expected-error @below {{rope_c3: head_dim (3) must be even}}
  %0 = cria.rope %x, %p {head_dim = 3 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 2>} : tensor<4x9xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %p: tensor<5xi32>) {
  // expected-error @below {{rope_c4: 5 positions for 4 rows}}
  %0 = cria.rope %x, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 32>} : tensor<4x64xf32>, tensor<5xi32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %p: tensor<4xi32>) {
  // expected-error @below {{position_c1: learned needs a table with x's 64 columns}}
  %0 = cria.position learned %x, %p : tensor<4x64xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %p: tensor<4xi32>, %t: tensor<8x64xf32>) {
  // expected-error @below {{position_c1: sinusoidal takes no table}}
  %0 = cria.position sinusoidal %x, %p table %t : tensor<4x64xf32>, tensor<4xi32>, tensor<8x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x9xf32>, %p: tensor<4xi32>) {
  // expected-error @below {{position_c2: sinusoidal needs an even number of columns, x has 9}}
  %0 = cria.position sinusoidal %x, %p : tensor<4x9xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %p: tensor<5xi32>) {
  // expected-error @below {{position_c3: 5 positions for 4 rows}}
  %0 = cria.position sinusoidal %x, %p : tensor<4x64xf32>, tensor<5xi32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %k: tensor<2x?x2x64x32xf16>, %l: index, %s: tensor<4xi32>) {
  // expected-error @below {{kv_append_c1: a key cache has shape ?x?x?x4x?x16}}
  %0 = cria.kv_append key %x into %k[%l] at %s : tensor<4x64xf32>, tensor<2x?x2x64x32xf16>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %l: index, %s: tensor<4xi32>) {
  // expected-error @below {{kv_append_c1: a value cache has shape ?x?x?x64x?}}
  %0 = cria.kv_append value %x into %k[%l] at %s : tensor<4x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %k: tensor<2x?x2x2300xi8>, %l: index, %s: tensor<4xi32>) {
  // expected-error @below {{kv_append_c1: a key cache has shape ?x?x?x?, got 'tensor<2x?x2x2300xi8>'}}
  %0 = cria.kv_append key %x into %k[%l] at %s : tensor<4x64xf32>, tensor<2x?x2x2300xi8>, tensor<4xi32>
  return
}

// -----

// Codes of 16 bits come in pairs.
func.func @f(%x: tensor<4x62xf32>, %k: tensor<2x?x2x2112xi16>, %l: index, %s: tensor<4xi32>) {
  // expected-error @below {{kv_append_c1: a key cache has shape ?x?x?x?, got 'tensor<2x?x2x2112xi16>'}}
  %0 = cria.kv_append key %x into %k[%l] at %s : tensor<4x62xf32>, tensor<2x?x2x2112xi16>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %k: tensor<*xf16>, %l: index, %s: tensor<4xi32>) {
  // expected-error @below {{kv_append_c1: a value cache has shape ?x?x?x64x?}}
  %0 = cria.kv_append value %x into %k[%l] at %s : tensor<4x64xf32>, tensor<*xf16>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x32xf32>, %k: tensor<2x?x2x4x32x16xf16>, %l: index, %s: tensor<4xi32>) {
  // expected-error @below {{kv_append_c2: x has 32 columns, expected kv_heads * head_dim = 2 * 32}}
  %0 = cria.kv_append key %x into %k[%l] at %s : tensor<4x32xf32>, tensor<2x?x2x4x32x16xf16>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %l: index, %s: tensor<5xi32>) {
  // expected-error @below {{kv_append_c3: 5 slots for 4 rows}}
  %0 = cria.kv_append key %x into %k[%l] at %s : tensor<4x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<5xi32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %l: index, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>) {
  // expected-error @below {{attention_c1: kv_heads (4) must divide heads (6)}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t {heads = 6 : i64, kv_heads = 4 : i64, head_dim = 32 : i64, scale = 0.25 : f32} : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %l: index, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>) {
  // expected-error @below {{attention_c1: kv_heads (0) must divide heads (6)}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t {heads = 6 : i64, kv_heads = 0 : i64, head_dim = 32 : i64, scale = 0.25 : f32} : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %l: index, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>) {
  // expected-error @below {{attention_c2: q has 192 columns, expected heads * head_dim = 6 * 64}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 64 : i64, scale = 0.25 : f32} : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x1x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %l: index, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>) {
  // expected-error @below {{attention_c3: a key cache has shape ?x?x2x4x32x16}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32} : tensor<4x192xf32>, tensor<2x?x1x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x32x32xf16>, %l: index, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>) {
  // expected-error @below {{attention_c3: a value cache has shape ?x?x2x64x32}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32} : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x32x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xbf16>, %l: index, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>) {
  // expected-error @below {{attention_c3: keys and values must have one element type}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32} : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xbf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %l: index, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>) {
  // expected-error @below {{attention_c4: window (0) must be positive}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32, window = 0 : i64} : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %l: index, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>) {
  // expected-error @below {{attention_c5: softcap (-1.000000e+00) must be positive and finite}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32, softcap = -1.0 : f32} : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %l: index, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>, %sinks: tensor<2xf32>) {
  // expected-error @below {{attention_c6: sinks has 2 elements, expected one a head (6)}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t sinks %sinks {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32} : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>, tensor<2xf32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %l: index, %p: tensor<3xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>) {
  // expected-error @below {{attention_c7: 3 positions for 4 rows}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32} : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<3xi32>, tensor<4xi32>, tensor<?x?xi32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %l: index, %p: tensor<4xi32>, %s: tensor<3xi32>, %t: tensor<?x?xi32>) {
  // expected-error @below {{attention_c7: 3 sequences for 4 rows}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32} : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<3xi32>, tensor<?x?xi32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>) {
  // expected-error @below {{clip_c1: bound (-1.000000e+00) must be 0 or positive, and finite}}
  %0 = cria.clip %x {bound = -1.0 : f32} : tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>) {
  // expected-error @below {{softcap_c1: cap (0.000000e+00) must be positive and finite}}
  %0 = cria.softcap %x {cap = 0.0 : f32} : tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %r: tensor<2xi32>) {
  // expected-error @below {{select_rows_c1: result is 3x64, expected 2x64}}
  %0 = cria.select_rows %x, %r : tensor<4x64xf32>, tensor<2xi32> -> tensor<3x64xf32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %l: index, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>) {
  // expected-error @below {{attention_c8: slopes has 2 elements, expected a finite one for each of 6 heads}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32, slopes = array<f32: 0.5, 0.25>} : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %l: index, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>) {
  // expected-error @below {{attention_c8: slopes has 6 elements, expected a finite one}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32, slopes = array<f32: 0x7F800000, 1.0, 1.0, 1.0, 1.0, 1.0>} : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>
  return
}

// -----

func.func @f(%q: tensor<4x192xf32>, %k: tensor<2x?x2x4x32x16xf16>, %v: tensor<2x?x2x64x32xf16>, %l: index, %p: tensor<4xi32>, %s: tensor<4xi32>, %t: tensor<?x?xi32>, %b: tensor<2x9xf32>) {
  // expected-error @below {{attention_c9: bias is 'tensor<2x9xf32>', expected a row of a static size for each of 6 heads}}
  %0 = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t bias(%b : tensor<2x9xf32>) {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.25 : f32} : tensor<4x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<4xi32>, tensor<4xi32>, tensor<?x?xi32>
  return
}

// -----

func.func @f(%t: tensor<32x6xf32>) {
  // expected-error @below {{relative_bias_c1: result is 'tensor<6x128xf32>', expected 6x129}}
  %0 = cria.relative_bias %t {max_distance = 128 : i64} : tensor<32x6xf32> -> tensor<6x128xf32>
  return
}

// -----

func.func @f(%t: tensor<32x6xf32>) {
  // expected-error @below {{relative_bias_c2: 32 buckets and max_distance 16, expected at least 2 buckets and a distance over half of them}}
  %0 = cria.relative_bias %t {max_distance = 16 : i64} : tensor<32x6xf32> -> tensor<6x17xf32>
  return
}
