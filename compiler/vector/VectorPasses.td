// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The passes of the stage vector.

#ifndef CRIA_COMPILER_VECTOR_VECTORPASSES
#define CRIA_COMPILER_VECTOR_VECTORPASSES

include "mlir/Pass/PassBase.td"

def VectorizeLinear : Pass<"cria-vectorize-linear"> {
  let summary = "cria.fused_linear on memrefs to vector loops";
  let description = [{
    Loops over groups of 16 output rows, then tiles of `tokens` tokens (what is
    left over: tiles of halving powers of two), then K, with one accumulator a
    token. The epilogue follows in registers. The order of arithmetic is the
    op's: no tile size changes a bit of the result. A group that may pass the
    end of N loads and stores under a mask. Activations in the epilogue become
    math ops.

    With `panels = 2`, a GLU's two weights or two groups of rows share a pass
    over K of floats, and so each activation that is broadcast. With
    `block-tokens` they do so for codes too, outside of the decode version: a
    block of K is unpacked into registers once, and all tokens (up to 64 or the
    next multiple of `block-tokens` below, then the next as many) go over it,
    while their f32 sums wait in a buffer in L1:
    ```mlir
    scf.for %block = 0 to 2 {
      %codes:16, %scales:2 = ...                       // of two panels
      scf.for %t = 0 to %tokens step 4 {               // block-tokens
        ...                                            // 4 x 16 dot4
        %sum = math.fma (arith.sitofp %dot), %scale, (vector.load %buffer[%t, 0, 0])
        vector.store %sum, %buffer[%t, 0, 0]           // eight of them
      }
    }
    ```
    The tokens that are left go two and one at a time.

    With `dot-tile` the block's codes wait in memory instead, and 16 tokens at
    a time leave their integers there; what is left of the tokens goes on as
    above:
    ```mlir
    vector.store %codes, %unpacked[0, 0, 0]            // 16 of them
    scf.for %t = 0 to %whole step 16 {
      cria.dot_tile %acts[%t, %word], %unpacked, %dots
      scf.for %i = 0 to 16 {
        ... (arith.sitofp (arith.addi (vector.load %dots[0, %i, 0]), %first)) ...
      }
    }
    ```

    With `words`, which is for targets without products of four bytes that
    add up in 32 bits, codes of 8 bits and their activations are widened, and
    `cria.dot2_i16` takes two columns at once. Activations of 16 bits, whose
    high bytes and low bytes otherwise take a `cria.dot4` each, are put
    together first.

    With `dot2` the rows of linears that carry `bf16` are words of two
    (`cria-vectorize-rows` with the same option), and `cria.dot2` takes two
    columns at once. With `dot-tile2` as well, 16 tokens at a time go over all
    of K in one `cria.dot_tile2`.

    Weights are prefetched `prefetch` bytes ahead into L1, and in the version
    decode `stream` bytes ahead into L2: a core has more requests on their way
    to L2 than to L1, and bandwidth is requests over latency. With `stream`,
    what is prefetched past the end of a thread's range of tiles is what the
    thread reads next (WeightStream.h), be it over a barrier or in the next
    layer:
    ```mlir
    %jump = arith.subi %start_of_next, %end_of_range
    scf.for %tile = %lo to %hi {
      ...
      %far = arith.addi %block, 64
      %more = arith.select (arith.cmpi sge, %far, %blocks_left), %jump, 0
      memref.prefetch %wc[0, %far, 0, %more], read, locality<2>, data
    ```

    Before:
    ```mlir
    cria.fused_linear acts(%codes, %scales, %sums : memref<1x16xi32>, memref<1x2xf32>, memref<1x2xi32>)
      weights(%w : !cria.weight<96x64, q8, block = 32, zero_point, n16k4>) outs(%y : memref<1x96xf32>)
      attributes {extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    ```
    After:
    ```mlir
    %wc, %ws = cria.weight_data %w
    scf.for %group = 0 to 6 {
      %acc = scf.for %block = 0 to 2 iter_args(%sum = 0.0) -> (vector<16xf32>) {
        %dot0 = vector.broadcast (memref.load %sums[0, %block]) : i32 to vector<16xi32>
        %a0 = vector.bitcast (vector.broadcast (memref.load %codes[0, 8 * %block])) : vector<64xi8>
        %w0 = vector.load %wc[%group, %block, 0, 0] : vector<64xi8>
        %dot1 = cria.dot4 %dot0, %w0, %a0 {a_bits = 8 : i64}
        ...                                            // eight of them
        %scale = arith.mulf (arith.extf (vector.load %ws[%group, %block, 0])),
                            (vector.broadcast (memref.load %scales[0, %block]))
        %next = math.fma (arith.sitofp %dot8), %scale, %sum
        scf.yield %next
      }
      vector.store %acc, %y[0, 16 * %group]
    }
    ```
  }];
  let dependentDialects = [
    "::cria::CriaDialect", "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"
  ];
  let options = [
    Option<"tokens", "tokens", "int64_t", "12",
           "tokens a tile, 1 to 64: what the registers hold (12 with AVX-512, 4 with AVX2)">,
    Option<"panels", "panels", "int64_t", "1",
           "vectors of 16 rows that share a pass over K, 1 or 2: floats, and codes with block-tokens">,
    Option<"floatPanels", "float-panels", "int64_t", "0",
           "the same of float weights, if not 0">,
    Option<"blockTokens", "block-tokens", "int64_t", "0",
           "tokens that go over a block's codes in registers at once, in other versions than decode; 0: sums are in registers, not codes">,
    Option<"dotTile", "dot-tile", "bool", "false",
           "with block-tokens: 16 tokens at a time are cria.dot_tile">,
    Option<"words", "words", "bool", "false",
           "codes of 8 bits and their activations are multiplied as words">,
    Option<"dot2", "dot2", "bool", "false",
           "rows of linears that carry bf16 are words of two">,
    Option<"dotTile2", "dot-tile2", "bool", "false",
           "with dot2 and block-tokens: 16 tokens at a time are cria.dot_tile2">,
    Option<"prefetch", "prefetch", "int64_t", "4096",
           "bytes of weights to prefetch ahead of their use, or 0">,
    Option<"stream", "stream", "int64_t", "0",
           "in the version decode, bytes of weights to prefetch into L2 as well, over the ends of a thread's ranges, or 0">
  ];
}

def VectorizeRows : Pass<"cria-vectorize-rows"> {
  let summary = "cria.rows on memrefs to vector loops";
  let description = [{
    One row at a time. Sums run over 16 lanes and end in a fixed tree; division
    and square root are the exact ones, rounding to a code is an addition of
    1.5 * 2^23: no ISA changes a bit of the result. A block whose largest
    magnitude is below 2^-100 gets codes of 0. With `dot2` a row that carries
    `bf16` is rounded to that, and stored as words of two.

    Before:
    ```mlir
    cria.rows ins(%x : memref<?x64xf32>) params(%g : memref<64xf32>)
      outs(%codes, %scales, %sums : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xf32>) {
    ^bb0(%row: tensor<1x64xf32>, %w: tensor<64xf32>):
      %0 = cria.norm rms %row weight %w {eps = 1.0e-05 : f32} : tensor<1x64xf32>, weight tensor<64xf32>
      cria.yield %0 : tensor<1x64xf32>
    }
    ```
    After:
    ```mlir
    scf.for %i = 0 to %n {
      %squares = scf.for %k = 0 to 64 step 16 iter_args(%acc = 0.0) -> (vector<16xf32>) {
        %v = vector.load %x[%i, %k]
        %next = math.fma %v, %v, %acc
        scf.yield %next
      }
      %scale = ...                                 // 1 / sqrt(sum / 64 + eps)
      scf.for %block = 0 to 2 {
        %v = (vector.load %x[%i, 32 * %block]) * %scale * (vector.load %g[32 * %block])
        %amax = vector.reduction <maxsi>, ...      // of |v| as integers
        %d = arith.divf %amax, 127.0
        vector.store %words, %codes[%i, 8 * %block] : vector<8xi32>
        memref.store %d, %scales[%i, %block]
        memref.store %sum, %sums[%i, %block]
      }
    }
    ```
  }];
  let dependentDialects = [
    "::cria::CriaDialect", "::mlir::arith::ArithDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"
  ];
  let options = [
    Option<"dot2", "dot2", "bool", "false",
           "rows that carry bf16 are words of two">
  ];
}

def VectorizeHeadRows : Pass<"cria-vectorize-head-rows"> {
  let summary = "cria.head_rows on memrefs to vector loops";
  let description = [{
    One token and head at a time, 16 elements at once; sums as in cria.rows, the
    rotation as in an epilogue. An element of a key goes to a row of its own of
    the cache, because positions are lanes there.

    Before:
    ```mlir
    cria.head_rows ins(%x : memref<?x64xf32>) weight(%w : memref<32xf32>) rope(%t : memref<?x2x32xf32>)
      layer %l slots %s : memref<?xi32> outs(%v : memref<2x?x2x64x32xf16>)
      {eps = 1.0e-06 : f32, head_dim = 32 : i64, out = #cria<out value>}
    ```
    After:
    ```mlir
    scf.for %i = 0 to %n {
      %page, %place = ...                          // %s[%i] / 64 and % 64
      scf.for %h = 0 to 2 {
        %squares = scf.for %d = 0 to 32 step 16 ...
        %scale = ...                               // 1 / sqrt(sum / 32 + eps)
        scf.for %d = 0 to 32 step 16 {
          %a = (vector.load %x[%i, 32 * %h + %d]) * %scale * (vector.load %w[%d])
          %b = vector.shuffle %a, %a [1, 0, 3, 2, ...]
          %c = math.fma %b, (vector.load %t[%i, 1, %d]), %a * (vector.load %t[%i, 0, %d])
          vector.store (arith.truncf %c), %v[%l, %page, %h, %place, %d] : vector<16xf16>
        }
      }
    }
    ```
  }];
  let dependentDialects = [
    "::cria::CriaDialect", "::mlir::arith::ArithDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"
  ];
}

def VectorizeEmbed : Pass<"cria-vectorize-embed"> {
  let summary = "cria.embed_rows on memrefs to vector loops";
  let description = [{
    Decodes row tokens[i] of the weight, from any element type and layout.

    Before:
    ```mlir
    cria.embed_rows ins(%tokens, %w : memref<?xi32>, !cria.weight<128x64, q8, block = 32, none, rows>)
      outs(%y : memref<?x64xf32>)
    ```
    After:
    ```mlir
    %wc, %ws = cria.weight_data %w
    scf.for %i = 0 to %n {
      %t = arith.index_castui (memref.load %tokens[%i]) : i32 to index
      scf.for %block = 0 to 2 {
        %scale = vector.broadcast (arith.extf (memref.load %ws[%t, %block])) : f32 to vector<16xf32>
        %c = arith.sitofp (arith.extsi (vector.load %wc[%t, %block, 0])) : vector<16xi32> to vector<16xf32>
        %v = arith.mulf %scale, %c
        vector.store %v, %y[%i, 32 * %block]
        ...                                        // and columns 16 to 31
      }
    }
    ```
  }];
  let dependentDialects = [
    "::cria::CriaDialect", "::mlir::arith::ArithDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"
  ];
}

def VectorizeAttention : Pass<"cria-vectorize-attention"> {
  let summary = "cria.fused_attention and cria.attention_partials on memrefs to vector loops";
  let description = [{
    A tile is a few consecutive tokens times the query heads of one kv head.
    Tiles that follow each other form a group (`run` is how many tokens are
    consecutive positions of one sequence whose first and last pages are the
    same; other tokens go alone, and read the cache directly). Per chunk of 256
    positions: scores, with positions as lanes; exp of scores less the chunk's
    maximum; output, with elements of a head as lanes; merge (partials: store,
    token by token). A group converts each page of K and V to f32 once; a token
    on its own fetches the page that it reads next while it reads one. Scratch
    is on the stack: 100 KB with a head_dim of 64. With `halves` (AttentionHalves.cpp)
    a group reads V as it is, 32 numbers a vector, and adds up a page in f16.
    math.tanh (soft cap) is left to `cria-expand-math`.

    Before:
    ```mlir
    cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<?x192xf32>, ...) layer %l
      outs(%o : memref<?x192xf32>) {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.17 : f32}
    ```
    After:
    ```mlir
    scf.for %g = 0 to 2 {
      scf.while (%i = 0) : %i < n {                    // tokens
        %run = ...
        scf.if %run >= 2 {
          scf.for %chunk {
            scf.for %page {
              vector.load %k; vector.store %stage
              scf.for %tile { %s:24 = scf.for %d { vector.load %stage; math.fma } ; vector.store %scores }
            }
            scf.for %tile { scf.for %row { vector.load %scores; ... ; vector.store %scores } }
            scf.for %page {
              vector.load %v; vector.store %stage
              scf.for %tile { %o:24 = scf.for %t { vector.load %stage; math.fma } ; vector.store %chunk_o }
            }
            scf.for %tile { ... }                      // merge
          }
          vector.store %o
        } else { the same for one token, without %stage }
      }
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
  let options = [
    Option<"accumulators", "accumulators", "int64_t", "24",
           "vectors of 16 floats that a loop may carry: 24 of AVX-512's 32 registers leave 8 for operands">,
    Option<"halves", "halves", "bool", "false",
           "groups of the prefill version compute in f16, where the cache is f16 and 32 divides head_dim">
  ];
}

def VectorizeAttentionMerge : Pass<"cria-vectorize-attention-merge"> {
  let summary = "cria.attention_merge on memrefs to vector loops";
  let description = [{
    One token and head at a time: the running maximum, sums and output stay in
    registers while the chunks go by.

    Before:
    ```mlir
    cria.attention_merge ins(%partials, %p : memref<?x6x32x64xf32>, memref<?xi32>)
      outs(%o : memref<?x192xf32>) {heads = 6 : i64, head_dim = 32 : i64}
    ```
    After:
    ```mlir
    scf.for %i { scf.for %head {
      %r:4 = scf.for %chunk iter_args(%max, %sum, %o0, %o1) {
        vector.load %partials[%i, %head, %chunk, 0]
        ...                                  // exp of the maxima's differences
        math.fma
      }
      vector.store %o
    } }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def VectorizeRopeTable : Pass<"cria-vectorize-rope-table"> {
  let summary = "cria.rope_table on memrefs to vector loops";
  let description = [{
    Frequencies become constants (`compiler/target/RopeFrequencies.h`); sines
    and cosines of 8 pairs at a time are computed in f64 from the float32
    angle, right to a float32 ulp at any position.

    Before:
    ```mlir
    cria.rope_table ins(%p : memref<?xi32>) outs(%o : memref<?x2x16xf32>)
      {rope = #cria.rope<pairs = interleaved, base = 1.000000e+04, dims = 16>}
    ```
    After:
    ```mlir
    scf.for %i {
      %freq = arith.constant dense<[1.0, 0.316, ...]> : vector<8xf32>
      %angle = arith.mulf %position, %freq : vector<8xf32>
      ...                                    // reduction, polynomials: vector<8xf64>
      %c = vector.interleave %cos, %cos : vector<8xf32> -> vector<16xf32>
      vector.store %c, %o[%i, 0, 0]
      %s = vector.interleave %minus_sin, %sin : vector<8xf32> -> vector<16xf32>
      vector.store %s, %o[%i, 1, 0]
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def ExpandMath : Pass<"cria-expand-math"> {
  let summary = "exp, tanh and erf of f32 to arithmetic that is the same on every machine";
  let description = [{
    MLIR's polynomial approximations (about 2 ulp), which use `math.fma` and no
    library call, for scalars and vectors; run it after every pass that creates
    these ops.

    Before:
    ```mlir
    %y = math.exp %x : vector<16xf32>
    ```
    After:
    ```mlir
    %n = math.floor %scaled : vector<16xf32>
    ...
    %y = arith.select %is_nan, %x, %7 : vector<16xi1>, vector<16xf32>
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::vector::VectorDialect"];
}

def ResolveWeights : Pass<"cria-resolve-weights", "::mlir::ModuleOp"> {
  let summary = "cria.weight_data to memref arguments of the entry functions";
  let description = [{
    Each array of each param becomes an argument of every function that loads a
    param, in the module's order, used or not: all variants of an entry have
    one signature. `cria.arg` says which array it is. Layers and slices are
    subviews. An argument of weight type becomes its arrays, in place.

    Before:
    ```mlir
    cria.param @w stacked : !cria.weight<2x64x64, q8, block = 32, none, rows> from ["a", "b"]
    func.func @f(%layer: index) {
      %w = cria.load @w[%layer] : !cria.weight<64x64, q8, block = 32, none, rows>
      %c, %s = cria.weight_data %w : !cria.weight<64x64, q8, block = 32, none, rows>
        -> memref<64x2x32xi8, strided<[64, 32, 1], offset: ?>>, memref<64x2xf16, strided<[2, 1], offset: ?>>
      ...
    }
    ```
    After:
    ```mlir
    func.func @f(%layer: index, %wc: memref<2x64x2x32xi8> {cria.arg = "weight:w.codes"},
                                %ws: memref<2x64x2xf16> {cria.arg = "weight:w.scales"}) {
      %c = memref.subview %wc[%layer, 0, 0, 0] [1, 64, 2, 32] [1, 1, 1, 1]
      %s = memref.subview %ws[%layer, 0, 0] [1, 64, 2] [1, 1, 1]
      ...
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"
  ];
}

#endif // CRIA_COMPILER_VECTOR_VECTORPASSES
