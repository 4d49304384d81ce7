// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --split-input-file --verify-diagnostics --cria-emit-entry

// expected-error@+1 {{the module has no integer attribute cria.vocab}}
module attributes {cria.name = "m", cria.architecture = "llama"} {
}

// -----

// expected-error@+1 {{the module needs one entry function}}
module attributes {cria.name = "m", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
}

// -----

module attributes {cria.name = "m", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
  // expected-error@+1 {{argument 0 has the unknown cria.arg "token"}}
  func.func @forward(%x: memref<?xi32> {cria.arg = "token"}) attributes {cria.entry} {
    return
  }
}

// -----

module attributes {cria.name = "m", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
  // expected-error@+1 {{argument 0 (tables) has 1 dynamic sizes, expected 2: 'memref<?x4xi32>'}}
  func.func @forward(%x: memref<?x4xi32> {cria.arg = "tables"}) attributes {cria.entry} {
    return
  }
}

// -----

module attributes {cria.name = "m", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
  // expected-error@+1 {{argument 0 of an entry function must be a memref with identity layout}}
  func.func @forward(%x: memref<?xi32, strided<[2]>> {cria.arg = "tokens"}) attributes {cria.entry} {
    return
  }
}

// -----

module attributes {cria.name = "m", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
  func.func @forward_decode(%x: memref<4xi8> {cria.arg = "weight:w"}) attributes {cria.entry, cria.version = "decode"} {
    return
  }
  // expected-error@+1 {{weight w has type 'memref<5xi8>' here and 'memref<4xi8>' elsewhere}}
  func.func @forward_prefill(%x: memref<5xi8> {cria.arg = "weight:w"}) attributes {cria.entry, cria.version = "prefill"} {
    return
  }
}

// -----

module attributes {cria.name = "m", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
  // expected-error@+1 {{an entry function has a body and, by now, no results}}
  func.func @forward(%x: memref<?xi32> {cria.arg = "tokens"}) -> memref<?xi32> attributes {cria.entry} {
    return %x : memref<?xi32>
  }
}

// -----

module attributes {cria.name = "m", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64, cria.profile = [{kind = "linear", name = "w"}]} {
  func.func @forward(%x: memref<?xi32> {cria.arg = "tokens"}) attributes {cria.entry, cria.version = "prefill"} {
    // expected-error@+1 {{stamps op 2 of a cria.profile with 1 entries}}
    cria.stamp 2
    return
  }
}

// -----

module attributes {cria.name = "m", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64} {
  func.func @forward(%x: memref<?xi32> {cria.arg = "tokens"}) attributes {cria.entry, cria.version = "prefill"} {
    // expected-error@+1 {{is in a module without cria.profile}}
    cria.stamp 0
    return
  }
}

// -----

// expected-error@+1 {{cria.profile: entry 0: row_bytes = -1 : i64; accepted are the texts kind, name, version}}
module attributes {cria.name = "m", cria.architecture = "llama", cria.vocab = 8 : i64, cria.width = 4 : i64,
    cria.layers = 2 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : i64, cria.ffn = 8 : i64,
    cria.context = 128 : i64, cria.max_batch = 16 : i64, cria.profile = [{kind = "linear", name = "w", row_bytes = -1 : i64}]} {
}
