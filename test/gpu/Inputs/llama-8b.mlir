// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The shape of an 8B model: what its kernels keep in registers.

#rope = #cria.rope<pairs = half, base = 5.0e+05, dims = 128>
module attributes {
  cria.name = "llama-8b", cria.vocab = 128256 : i64, cria.width = 4096 : i64,
  cria.layers = 32 : i64, cria.heads = 32 : i64, cria.kv_heads = 8 : i64,
  cria.head_dim = 128 : i64, cria.ffn = 14336 : i64, cria.context = 512 : i64,
  cria.max_batch = 512 : i64, cria.seed = 7 : i64
} {
  cria.param @token_embd : !cria.weight<128256x4096, q8, block = 32, none, rows>
  cria.param @output_norm : tensor<4096xf32>
  cria.param @attn_norm stacked : tensor<32x4096xf32>
  cria.param @attn_q stacked : !cria.weight<32x4096x4096, q4, block = 32, min, rows>
  cria.param @attn_k stacked : !cria.weight<32x1024x4096, q4, block = 32, min, rows>
  cria.param @attn_v stacked : !cria.weight<32x1024x4096, q4, block = 32, min, rows>
  cria.param @attn_o stacked : !cria.weight<32x4096x4096, q4, block = 32, min, rows>
  cria.param @ffn_norm stacked : tensor<32x4096xf32>
  cria.param @gate stacked : !cria.weight<32x14336x4096, q4, block = 32, min, rows>
  cria.param @up stacked : !cria.weight<32x14336x4096, q4, block = 32, min, rows>
  cria.param @down stacked : !cria.weight<32x4096x14336, q4, block = 32, min, rows>

  // One layer; the entry calls it in a loop, with the params of that layer.
  func.func private @layer(%layer: index, %x: tensor<?x4096xf32>, %pos: tensor<?xi32>, %seq: tensor<?xi32>, %slots: tensor<?xi32>, %tables: tensor<?x?xi32>, %k: tensor<32x?x8x4x128x16xf32>, %v: tensor<32x?x8x64x128xf32>) -> (tensor<?x4096xf32>, tensor<32x?x8x4x128x16xf32>, tensor<32x?x8x64x128xf32>) {
    %g = cria.load @attn_norm[%layer] : tensor<4096xf32>
    %n = cria.norm rms %x weight %g {eps = 1.0e-05 : f32} : tensor<?x4096xf32>, weight tensor<4096xf32>
    %wq = cria.load @attn_q[%layer] : !cria.weight<4096x4096, q4, block = 32, min, rows>
    %wk = cria.load @attn_k[%layer] : !cria.weight<1024x4096, q4, block = 32, min, rows>
    %wv = cria.load @attn_v[%layer] : !cria.weight<1024x4096, q4, block = 32, min, rows>
    %q = cria.linear %n, %wq : tensor<?x4096xf32>, !cria.weight<4096x4096, q4, block = 32, min, rows> -> tensor<?x4096xf32>
    %kk = cria.linear %n, %wk : tensor<?x4096xf32>, !cria.weight<1024x4096, q4, block = 32, min, rows> -> tensor<?x1024xf32>
    %vv = cria.linear %n, %wv : tensor<?x4096xf32>, !cria.weight<1024x4096, q4, block = 32, min, rows> -> tensor<?x1024xf32>
    %qr = cria.rope %q, %pos {rope = #rope, head_dim = 128 : i64} : tensor<?x4096xf32>, tensor<?xi32>
    %kr = cria.rope %kk, %pos {rope = #rope, head_dim = 128 : i64} : tensor<?x1024xf32>, tensor<?xi32>
    %k2 = cria.kv_append key %kr into %k[%layer] at %slots : tensor<?x1024xf32>, tensor<32x?x8x4x128x16xf32>, tensor<?xi32>
    %v2 = cria.kv_append value %vv into %v[%layer] at %slots : tensor<?x1024xf32>, tensor<32x?x8x64x128xf32>, tensor<?xi32>
    %a = cria.attention %qr, %k2, %v2[%layer] positions %pos sequences %seq tables %tables {heads = 32 : i64, kv_heads = 8 : i64, head_dim = 128 : i64, scale = 0.0883883461 : f32} : tensor<?x4096xf32>, tensor<32x?x8x4x128x16xf32>, tensor<32x?x8x64x128xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>
    %wo = cria.load @attn_o[%layer] : !cria.weight<4096x4096, q4, block = 32, min, rows>
    %o = cria.linear %a, %wo : tensor<?x4096xf32>, !cria.weight<4096x4096, q4, block = 32, min, rows> -> tensor<?x4096xf32>
    %x1 = cria.add %x, %o : tensor<?x4096xf32>
    %g2 = cria.load @ffn_norm[%layer] : tensor<4096xf32>
    %n2 = cria.norm rms %x1 weight %g2 {eps = 1.0e-05 : f32} : tensor<?x4096xf32>, weight tensor<4096xf32>
    %wg = cria.load @gate[%layer] : !cria.weight<14336x4096, q4, block = 32, min, rows>
    %wu = cria.load @up[%layer] : !cria.weight<14336x4096, q4, block = 32, min, rows>
    %wd = cria.load @down[%layer] : !cria.weight<4096x14336, q4, block = 32, min, rows>
    %gg = cria.linear %n2, %wg : tensor<?x4096xf32>, !cria.weight<14336x4096, q4, block = 32, min, rows> -> tensor<?x14336xf32>
    %uu = cria.linear %n2, %wu : tensor<?x4096xf32>, !cria.weight<14336x4096, q4, block = 32, min, rows> -> tensor<?x14336xf32>
    %h = cria.glu silu %gg, %uu : tensor<?x14336xf32>
    %d = cria.linear %h, %wd : tensor<?x14336xf32>, !cria.weight<4096x14336, q4, block = 32, min, rows> -> tensor<?x4096xf32>
    %x2 = cria.add %x1, %d : tensor<?x4096xf32>
    return %x2, %k2, %v2 : tensor<?x4096xf32>, tensor<32x?x8x4x128x16xf32>, tensor<32x?x8x64x128xf32>
  }

  // The entry: n tokens of any sequences, each with its position and its slot
  // in the KV cache; logits of the tokens in %outputs.
  func.func @forward(%tokens: tensor<?xi32> {cria.arg = "tokens"}, %pos: tensor<?xi32> {cria.arg = "positions"}, %seq: tensor<?xi32> {cria.arg = "sequences"}, %slots: tensor<?xi32> {cria.arg = "slots"}, %tables: tensor<?x?xi32> {cria.arg = "tables"}, %outputs: tensor<?xi32> {cria.arg = "outputs"}, %k: tensor<32x?x8x4x128x16xf32> {cria.arg = "keys"}, %v: tensor<32x?x8x64x128xf32> {cria.arg = "values"}) -> (tensor<?x128256xf32>, tensor<32x?x8x4x128x16xf32>, tensor<32x?x8x64x128xf32>) attributes {cria.entry} {
    %we = cria.load @token_embd : !cria.weight<128256x4096, q8, block = 32, none, rows>
    %x = cria.embed %tokens, %we : tensor<?xi32>, !cria.weight<128256x4096, q8, block = 32, none, rows> -> tensor<?x4096xf32>
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 32 : index
    %r:3 = scf.for %i = %c0 to %c2 step %c1 iter_args(%xi = %x, %ki = %k, %vi = %v) -> (tensor<?x4096xf32>, tensor<32x?x8x4x128x16xf32>, tensor<32x?x8x64x128xf32>) {
      %y:3 = func.call @layer(%i, %xi, %pos, %seq, %slots, %tables, %ki, %vi) : (index, tensor<?x4096xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<32x?x8x4x128x16xf32>, tensor<32x?x8x64x128xf32>) -> (tensor<?x4096xf32>, tensor<32x?x8x4x128x16xf32>, tensor<32x?x8x64x128xf32>)
      scf.yield %y#0, %y#1, %y#2 : tensor<?x4096xf32>, tensor<32x?x8x4x128x16xf32>, tensor<32x?x8x64x128xf32>
    }
    %s = cria.select_rows %r#0, %outputs : tensor<?x4096xf32>, tensor<?xi32> -> tensor<?x4096xf32>
    %g = cria.load @output_norm : tensor<4096xf32>
    %n = cria.norm rms %s weight %g {eps = 1.0e-05 : f32} : tensor<?x4096xf32>, weight tensor<4096xf32>
    %l = cria.linear %n, %we : tensor<?x4096xf32>, !cria.weight<128256x4096, q8, block = 32, none, rows> -> tensor<?x128256xf32>
    return %l, %r#1, %r#2 : tensor<?x128256xf32>, tensor<32x?x8x4x128x16xf32>, tensor<32x?x8x64x128xf32>
  }
}
