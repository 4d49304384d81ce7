// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every pass of cria, in the order of the stage line. One pass, one file,
// one lit test, same stem. Only Pipeline.cpp orders them.

#ifndef CRIA_COMPILER_PASSES
#define CRIA_COMPILER_PASSES

include "mlir/Pass/PassBase.td"

//===-- plain: the semantics -----------------------------------------------===//

def LowerPlain : Pass<"cria-lower-plain", "::mlir::ModuleOp"> {
  let summary = "model ops to linalg, arith and math in f32: the semantics";
  let description = [{
    Every model op becomes the formula of its description, on tensors of f32.
    Each array of a param becomes an argument of the `cria.entry` functions,
    and so does each result that is no argument's next value (the logits);
    layer functions must be inlined before. A weight is decoded to a transposed
    f32 matrix where it is used, which defines its layout.

    ```mlir
    cria.param @w : !cria.weight<3x5, f16, rows>
    func.func @forward(%x: tensor<?x5xf32> {cria.arg = "x"}) -> tensor<?x3xf32>
        attributes {cria.entry} {
      %w = cria.load @w : !cria.weight<3x5, f16, rows>
      %y = cria.linear %x, %w : tensor<?x5xf32>, !cria.weight<3x5, f16, rows> -> tensor<?x3xf32>
      return %y : tensor<?x3xf32>
    }
    ```

    becomes

    ```mlir
    func.func @forward(%x: tensor<?x5xf32> {cria.arg = "x"},
                       %w: tensor<3x5xf16> {cria.arg = "weight:w", bufferization.writable = false},
                       %logits: tensor<?x3xf32> {cria.arg = "logits"}) -> tensor<?x3xf32>
        attributes {cria.entry} {
      %wt = linalg.generic ... outs(%0 : tensor<5x3xf32>)    // extf of %w[n, k]
      %y = linalg.generic ... ins(%x, %wt) outs(%zero)       // loops i, k, j
      %r = bufferization.materialize_in_destination %y in %logits
      return %r : tensor<?x3xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::bufferization::BufferizationDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
}

def BufferizePlain : Pass<"cria-bufferize-plain", "::mlir::ModuleOp"> {
  let summary = "the plain lowering on memrefs, caches updated in place";
  let description = [{
    One-shot bufferization across functions with identity layouts; copies are
    linalg.copy. Results of `cria.entry` functions must be the arguments of
    the same `cria.arg` by then and are dropped: a cache that would be copied
    is an error.

    ```mlir
    func.func @forward(%keys: tensor<1x?x1x4x2x16xf32> {cria.arg = "keys"})
        -> (tensor<1x?x1x4x2x16xf32> {cria.arg = "keys"}) attributes {cria.entry} {
      %next = tensor.insert %x into %keys[...]
      return %next
    }
    ```

    becomes

    ```mlir
    func.func @forward(%keys: memref<1x?x1x4x2x16xf32> {cria.arg = "keys"}) attributes {cria.entry} {
      memref.store %x, %keys[...]
      return
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::bufferization::BufferizationDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::memref::MemRefDialect"
  ];
}

//===-- dialect -----------------------------------------------------------===//

def CanonicalizeRope : Pass<"cria-canonicalize-rope", "::mlir::ModuleOp"> {
  let summary = "rotates neighbours: half pairs become interleaved by permuting weight rows";
  let description = [{
    Element i of a head and its partner i + dims/2 become neighbours, which one
    vector holds: whoever packs the weights permutes the rows of each head
    (`permute_heads`, `permute_dims` of `cria.param`). Biases and the weights of
    per-head norms between linear and rope are permuted alike. Queries meet keys
    in a dot product, which no permutation of both changes, so all ropes of a
    module change or none: none where a rope's input is not one linear's alone,
    or where a param that feeds one is read elsewhere.

    Before:
    ```mlir
    cria.param @wq : !cria.weight<64x64, q8, block = 32, none, rows>
    %w = cria.load @wq : !cria.weight<64x64, q8, block = 32, none, rows>
    %q = cria.linear %x, %w : ...
    %r = cria.rope %q, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 16>}
    ```
    After:
    ```mlir
    cria.param @wq : !cria.weight<64x64, q8, block = 32, none, rows> {permute_dims = 16 : i64, permute_heads = 32 : i64}
    %w = cria.load @wq : !cria.weight<64x64, q8, block = 32, none, rows>
    %q = cria.linear %x, %w : ...
    %r = cria.rope %q, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 16>}
    ```
  }];
}

def Quantize : Pass<"cria-quantize", "::mlir::ModuleOp"> {
  let summary = "gives weights the types that were asked for";
  let description = [{
    `spec` says which (compiler/QuantizeSpec.h has the grammar): a type for all
    weights, types for roles, or for params by name. Roles follow from the
    names of params, `embed` also from what reads them. Whoever packs the
    weights converts them; `cria.source_type` keeps what they were. Norms and
    biases are tensors and stay f32.

    One param that embeds tokens and is the head too (tied) takes the type of
    `embed` or `head`, whichever is given; with different types for both the
    head becomes a param of its own, `@output`, from the same tensor.

    With `spec=q4,head=q8`, before:
    ```mlir
    cria.param @output : !cria.weight<100x64, bf16, rows> from ["lm_head.weight"]
    cria.param @ffn_up : !cria.weight<2x96x64, bf16, rows>
    %up = cria.load @ffn_up[%layer] : !cria.weight<96x64, bf16, rows>
    %head = cria.load @output : !cria.weight<100x64, bf16, rows>
    ```
    After:
    ```mlir
    cria.param @output : !cria.weight<100x64, q8, block = 32, none, rows> from ["lm_head.weight"]
      {cria.source_type = !cria.weight<100x64, bf16, rows>}
    cria.param @ffn_up : !cria.weight<2x96x64, q4, block = 32, min, rows>
      {cria.source_type = !cria.weight<2x96x64, bf16, rows>}
    %up = cria.load @ffn_up[%layer] : !cria.weight<96x64, q4, block = 32, min, rows>
    %head = cria.load @output : !cria.weight<100x64, q8, block = 32, none, rows>
    ```
  }];
  let options = [
    Option<"spec", "spec", "std::string", /*default=*/"\"\"",
           "such as q4,head=q8">
  ];
}

def AssignLayouts : Pass<"cria-assign-layouts", "::mlir::ModuleOp"> {
  let summary = "gives every weight the memory layout that its kernels read";
  let description = [{
    f32 and f16 are n16, bf16 is n16k2, q4 and q8 are n16k4, whose codes are
    unsigned: an offset `none` becomes `zero_point`.

    Before:
    ```mlir
    cria.param @w stacked : !cria.weight<2x64x64, q8, block = 32, none, rows>
    %w = cria.load @w[%layer] : !cria.weight<64x64, q8, block = 32, none, rows>
    ```
    After:
    ```mlir
    cria.param @w stacked : !cria.weight<2x64x64, q8, block = 32, zero_point, n16k4>
    %w = cria.load @w[%layer] : !cria.weight<64x64, q8, block = 32, zero_point, n16k4>
    ```
  }];
}

//===-- fuse --------------------------------------------------------------===//

def SetKvType : Pass<"cria-set-kv-type", "::mlir::ModuleOp"> {
  let summary = "element type of the KV caches";
  let description = [{
    Every value that has the type of a cache changes: through function
    arguments and results, calls and loops. Caches of i8 take the shape that
    `cria.kv_append` gives them, codes and scales of a page in one piece.

    Before:
    ```mlir
    func.func @f(%x: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf32>, ...) -> tensor<2x?x2x4x32x16xf32> {
      %next = cria.kv_append key %x into %k[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf32>, tensor<?xi32>
      return %next : tensor<2x?x2x4x32x16xf32>
    }
    ```
    After, with type=bf16:
    ```mlir
    func.func @f(%x: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xbf16>, ...) -> tensor<2x?x2x4x32x16xbf16> {
      %next = cria.kv_append key %x into %k[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x4x32x16xbf16>, tensor<?xi32>
      return %next : tensor<2x?x2x4x32x16xbf16>
    }
    ```
  }];
  let options = [Option<"type", "type", "std::string", "\"f16\"", "f32, f16, bf16 or i8">];
}

def FuseLinear : Pass<"cria-fuse-linear", "::mlir::func::FuncOp"> {
  let summary = "linears to kernels: norm and quantisation go into a shared prologue";
  let description = [{
    Every `cria.linear` becomes a `cria.fused_linear`, a bias its first
    epilogue. Rows are quantised (and normalised) once for all linears of one
    block that read the same ones in one weight format.

    Before:
    ```mlir
    %n = cria.norm rms %x weight %g {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<64xf32>
    %y = cria.linear %n, %w : tensor<?x64xf32>, !cria.weight<96x64, q4, block = 32, min, n16k4> -> tensor<?x96xf32>
    %z = cria.linear %n, %u : tensor<?x64xf32>, !cria.weight<96x64, q4, block = 32, min, n16k4> -> tensor<?x96xf32>
    ```
    After:
    ```mlir
    %a:3 = cria.rows ins(%x : tensor<?x64xf32>) params(%g : tensor<64xf32>)
        outs(%codes, %scales, %sums : tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xf32>) {
    ^bb0(%row: tensor<1x64xf32>, %weight: tensor<64xf32>):
      %0 = cria.norm rms %row weight %weight {eps = 1.0e-05 : f32} : tensor<1x64xf32>, weight tensor<64xf32>
      cria.yield %0 : tensor<1x64xf32>
    } -> tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xf32>
    %y = cria.fused_linear acts(%a#0, %a#1, %a#2 : ...) weights(%w : !cria.weight<96x64, q4, block = 32, min, n16k4>)
        outs(%0 : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    } -> tensor<?x96xf32>
    %z = cria.fused_linear acts(%a#0, %a#1, %a#2 : ...) weights(%u : ...) ...
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

def FuseRope : Pass<"cria-fuse-rope", "::mlir::func::FuncOp"> {
  let summary = "rotation in the epilogue of the query and key linears";
  let description = [{
    Cosines and sines come from one `cria.rope_table` a forward pass, which all
    layers share. Where there is no linear to go into (a norm of the heads
    stands between, pairs are halves, head_dim is not a multiple of 16, or the
    linear's result has other uses), the rotation is a loop that reads that
    table.

    Before:
    ```mlir
    %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>) outs(%0 : tensor<?x64xf32>) ... {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    } -> tensor<?x64xf32>
    %r = cria.rope %y, %p {head_dim = 32 : i64, rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 32>} : tensor<?x64xf32>, tensor<?xi32>
    ```
    After:
    ```mlir
    %t = cria.rope_table ins(%p : tensor<?xi32>) outs(%1 : tensor<?x2x32xf32>)
        {rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 32>} -> tensor<?x2x32xf32>
    %r = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<64x64, f32, n16>)
        extras(%t : tensor<?x2x32xf32>) outs(%0 : tensor<?x64xf32>)
        attributes {extra_kinds = [#cria<extra rope>], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>, %cos: vector<16xf32>, %sin: vector<16xf32>):
      %2 = vector.shuffle %acc, %acc [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14]
      %3 = arith.mulf %acc, %cos : vector<16xf32>
      %4 = math.fma %2, %sin, %3 : vector<16xf32>
      cria.yield %4 : vector<16xf32>
    } -> tensor<?x64xf32>
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect",
    "::mlir::vector::VectorDialect"
  ];
}

def FuseGlu : Pass<"cria-fuse-glu", "::mlir::func::FuncOp"> {
  let summary = "gate and up as one kernel, the GLU in its registers";
  let description = [{
    Gate and up must read the same rows, have weights of one type and bare
    epilogues.

    Before:
    ```mlir
    %gate = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%g : !cria.weight<96x64, f32, n16>) outs(%0 : tensor<?x96xf32>) ... {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    } -> tensor<?x96xf32>
    %up = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%u : !cria.weight<96x64, f32, n16>) ... -> tensor<?x96xf32>
    %y = cria.glu silu %gate, %up : tensor<?x96xf32>
    ```
    After:
    ```mlir
    %y = cria.fused_linear acts(%x : tensor<?x64xf32>)
        weights(%g, %u : !cria.weight<96x64, f32, n16>, !cria.weight<96x64, f32, n16>)
        outs(%0 : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%gate: vector<16xf32>, %up: vector<16xf32>):
      %1 = cria.activation silu %gate : vector<16xf32>
      %2 = arith.mulf %1, %up : vector<16xf32>
      cria.yield %2 : vector<16xf32>
    } -> tensor<?x96xf32>
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

def FuseElementwise : Pass<"cria-fuse-elementwise", "::mlir::func::FuncOp"> {
  let summary = "activation, scale and soft cap in the epilogue of a linear";
  let description = [{
    Before:
    ```mlir
    %y = cria.fused_linear ... {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    } -> tensor<?x64xf32>
    %z = cria.activation relu %y : tensor<?x64xf32>
    ```
    After:
    ```mlir
    %z = cria.fused_linear ... {
    ^bb0(%acc: vector<16xf32>):
      %0 = cria.activation relu %acc : vector<16xf32>
      cria.yield %0 : vector<16xf32>
    } -> tensor<?x64xf32>
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

def FuseResidual : Pass<"cria-fuse-residual", "::mlir::func::FuncOp"> {
  let summary = "residual add in the epilogue, in place";
  let description = [{
    The sum takes the residual's place in memory. Where something still reads
    the residual afterwards (a parallel block, a value from outside of a loop),
    it is an elementwise extra instead, and the sum has memory of its own.

    Before:
    ```mlir
    %y = cria.fused_linear acts(%a : tensor<?x96xf32>) weights(%w : !cria.weight<64x96, f32, n16>) outs(%0 : tensor<?x64xf32>) ... {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    } -> tensor<?x64xf32>
    %z = cria.add %x, %y : tensor<?x64xf32>
    ```
    After:
    ```mlir
    %z = cria.fused_linear acts(%a : tensor<?x96xf32>) weights(%w : !cria.weight<64x96, f32, n16>)
        outs(%x : tensor<?x64xf32>) attributes {accumulate, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>, %old: vector<16xf32>):
      %0 = arith.addf %old, %acc : vector<16xf32>
      cria.yield %0 : vector<16xf32>
    } -> tensor<?x64xf32>
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def FuseKvAppend : Pass<"cria-fuse-kv-append", "::mlir::func::FuncOp"> {
  let summary = "key and value linears store into the cache";
  let description = [{
    Where there is no linear to go into, the append is a parallel loop over
    tokens and heads.

    Before:
    ```mlir
    %y = cria.fused_linear ... outs(%0 : tensor<?x64xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    } -> tensor<?x64xf32>
    %next = cria.kv_append value %y into %v[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x64x32xf16>, tensor<?xi32>
    ```
    After:
    ```mlir
    %next = cria.fused_linear ... layer %layer slots %slots : tensor<?xi32> outs(%v : tensor<2x?x2x64x32xf16>)
        attributes {extra_kinds = [], out = #cria<out value>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    } -> tensor<2x?x2x64x32xf16>
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
}

def DestinationStyle : Pass<"cria-destination-style", "::mlir::func::FuncOp"> {
  let summary = "embed, attention and lone norms in destination style; logits become an argument";
  let description = [{
    Before:
    ```mlir
    func.func @forward(%tokens: tensor<?xi32> {cria.arg = "tokens"}) -> tensor<?x128xf32> attributes {cria.entry} {
      %w = cria.load @w : !cria.weight<128x64, f32, n16>
      %x = cria.embed %tokens, %w : tensor<?xi32>, !cria.weight<128x64, f32, n16> -> tensor<?x64xf32>
      %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : ...) outs(%0 : tensor<?x128xf32>) ...
      return %y : tensor<?x128xf32>
    }
    ```
    After:
    ```mlir
    func.func @forward(%tokens: tensor<?xi32> {cria.arg = "tokens"}, %logits: tensor<?x128xf32> {cria.arg = "logits"})
        -> tensor<?x128xf32> attributes {cria.entry} {
      %w = cria.load @w : !cria.weight<128x64, f32, n16>
      %0 = tensor.empty(%n) : tensor<?x64xf32>
      %x = cria.embed_rows ins(%tokens, %w : tensor<?xi32>, !cria.weight<128x64, f32, n16>)
          outs(%0 : tensor<?x64xf32>) -> tensor<?x64xf32>
      %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : ...) outs(%logits : tensor<?x128xf32>) ...
      return %y : tensor<?x128xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
}

def LowerRemaining : Pass<"cria-lower-remaining", "::mlir::func::FuncOp"> {
  let summary = "model ops that nothing fused, by their plain lowering";
  let description = [{
    Correct and slow: each one is a remark of category `cria-fuse`.

    Before:
    ```mlir
    %y = cria.select_rows %x, %rows : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
    ```
    After:
    ```mlir
    %y = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>],
                         iterator_types = ["parallel", "parallel"]}
        ins(%rows : tensor<?xi32>) outs(%0 : tensor<?x64xf32>) {
    ^bb0(%in: i32, %out: f32):
      %row = arith.index_cast %in : i32 to index
      %column = linalg.index 1 : index
      %1 = tensor.extract %x[%row, %column] : tensor<?x64xf32>
      linalg.yield %1 : f32
    } -> tensor<?x64xf32>
    ```
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
}

//===-- tile --------------------------------------------------------------===//

def Specialize : Pass<"cria-specialize", "::mlir::ModuleOp"> {
  let summary = "one version of the entry for few tokens and one for many";
  let description = [{
    Before:
    ```mlir
    func.func @forward(%x: tensor<?xi32>) attributes {cria.entry}
    ```
    After:
    ```mlir
    func.func @forward_decode(%x: tensor<?xi32>) attributes {cria.entry, cria.version = "decode"}
    func.func @forward_prefill(%x: tensor<?xi32>) attributes {cria.entry, cria.version = "prefill"}
    ```
  }];
}

def SplitAttention : Pass<"cria-split-attention", "::mlir::func::FuncOp"> {
  let summary = "decode attention over KV chunks where whole heads leave threads idle";
  let description = [{
    Only the decode version changes. How many chunks there are and how many
    threads is known when the code runs: the condition compares what the
    slowest thread reads either way (3 heads of 8 chunks on 2 threads: 16
    against 12). The partials of all chunks of `cria.context` positions have
    room in the arena.

    Before:
    ```mlir
    %y = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x192xf32>, ...) layer %l outs(%o : tensor<?x192xf32>) ...
    ```
    After:
    ```mlir
    %chunks, %longest = scf.for %i = 0 to %n ...            // of all tokens; of one
    %threads = cria.num_threads
    %whole = ceildiv(%n * kv_heads, %threads) * %longest
    %even = ceildiv(%chunks * kv_heads, %threads)
    %y = scf.if (%whole >= %even + 1) -> tensor<?x192xf32> {
      %0 = tensor.empty(%n) : tensor<?x6x32x64xf32>
      %1 = scf.forall (%w) in (%chunks * kv_heads) shared_outs(%out = %0) {
        %token, %head, %chunk = ...                          // of item %w of the list
        %2 = cria.attention_partials ins(%q[%token, %head], ...) layer %l first %chunk
            outs(%out[%token, %head, %chunk]) : tensor<1x3x1x64xf32>
        tensor.parallel_insert_slice %2 into %out[%token, %head, %chunk]
      }
      %3 = cria.attention_merge ins(%1, %p : tensor<?x6x32x64xf32>, tensor<?xi32>) outs(%o : tensor<?x192xf32>) ...
      scf.yield %3
    } else {
      %2 = cria.fused_attention ...
      scf.yield %2
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
}

def Tile : Pass<"cria-tile", "::mlir::func::FuncOp"> {
  let summary = "kernels to parallel loops over tiles";
  let description = [{
    Tile sizes are those of `compiler/target/Tiles.h`. `cria.cost` is the work
    of a tile, by which `cria-spmd` splits neighbouring loops together;
    `cria.cyclic` asks it to deal the tiles out, as they differ in work. In the
    decode version every thread prepares the rows of linears for itself.

    Before:
    ```mlir
    %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, f32, n16>) outs(%0 : tensor<?x96xf32>) ...
    ```
    After:
    ```mlir
    %y = scf.forall (%j) = (0) to (96) step (32) shared_outs(%out = %0) -> (tensor<?x96xf32>) {
      %wj = cria.weight_slice %w[%j] : !cria.weight<96x64, f32, n16> to !cria.weight<32x64, f32, n16>
      %slice = tensor.extract_slice %out[0, %j] [%n, 32] [1, 1] : tensor<?x96xf32> to tensor<?x32xf32>
      %tile = cria.fused_linear acts(%x : ...) weights(%wj : !cria.weight<32x64, f32, n16>) outs(%slice : tensor<?x32xf32>) ...
      scf.forall.in_parallel {
        tensor.parallel_insert_slice %tile into %out[0, %j] [%n, 32] [1, 1] : tensor<?x32xf32> into tensor<?x96xf32>
      }
    } {cria.cost = 2048 : i64}
    ```
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
}

//===-- bufferize ---------------------------------------------------------===//

def Bufferize : Pass<"cria-bufferize", "::mlir::ModuleOp"> {
  let summary = "tensors to buffers, everything in place, or an error";
  let description = [{
    One-shot bufferization across functions, with identity layouts. Entries
    return what they were given, updated in place (the caches, the logits):
    that is proved here, and the results go away. A copy where one is needed
    anyway is left for `cria-spmd` to refuse, as canonicalization removes those
    of a buffer onto itself first.

    Before:
    ```mlir
    func.func @f(%t: tensor<?xi32>, %out: tensor<?x64xf32> {cria.arg = "logits"}) -> tensor<?x64xf32> attributes {cria.entry} {
      %y = cria.embed_rows ins(%t, %w : ...) outs(%out : tensor<?x64xf32>) -> tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
    After:
    ```mlir
    func.func @f(%t: memref<?xi32>, %out: memref<?x64xf32> {cria.arg = "logits"}) attributes {cria.entry} {
      cria.embed_rows ins(%t, %w : ...) outs(%out : memref<?x64xf32>)
      return
    }
    ```
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect", "::mlir::memref::MemRefDialect"];
}

def Spmd : Pass<"cria-spmd", "::mlir::func::FuncOp"> {
  let summary = "parallel loops to static ranges per thread, barriers where data crosses";
  let description = [{
    From here on every thread runs the function. A barrier stands before an op
    that touches a shared buffer in a way that conflicts with what was done
    since the last barrier; shared is what parallel loops write, and every
    argument. Loops with no barrier between them are split as one: thread t of
    T gets [W t / T, W (t + 1) / T) of their work W, in units of `cria.cost`.
    Allocations that only a thread itself writes get `cria.private`.

    Before:
    ```mlir
    scf.forall (%i) = (0) to (%n) step (1) {
      memref.store %v, %a[%i] : memref<?xf32>
    }
    scf.forall (%i) = (0) to (%n) step (1) {
      %1 = memref.load %a[%c0] : memref<?xf32>
      memref.store %1, %b[%i] : memref<?xf32>
    }
    ```
    After:
    ```mlir
    %t = cria.thread_id
    %T = cria.num_threads
    ...                                  // %lo = n t / T, %hi = n (t + 1) / T
    scf.for %i = %lo to %hi step %c1 {
      memref.store %v, %a[%i] : memref<?xf32>
    }
    cria.barrier
    ...
    scf.for %i = %lo2 to %hi2 step %c1 {
      %1 = memref.load %a[%c0] : memref<?xf32>
      memref.store %1, %b[%i] : memref<?xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::cria::CriaDialect", "::mlir::affine::AffineDialect",
    "::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect"
  ];
}

def Profile : Pass<"cria-profile", "::mlir::ModuleOp"> {
  let summary = "time stamps after each kernel and barrier of the entry functions";
  let description = [{
    A stamp counts the time since the thread's last one for one entry of
    `cria.profile`, so that the entries of a thread add up to the time of its
    run. An entry says what one call of the op needs, of which abi.h
    (cria_profile_op) has the formulas: bytes of weights, bytes of KV cache for
    each position held, bytes of activations and operations for each row (a
    token, or an output with `outputs`), operations for each pair of a token
    and a position it attends to. Shapes come from the whole buffers and
    weights, not from a thread's tile. Runs on every entry function after
    `cria-spmd` and before `cria-arena`, which hides the buffers' shapes.

    Before:
    ```mlir
    scf.for %i = %lo to %hi step %c1 {
      %t = cria.weight_slice %w[%i] : !cria.weight<96x64, f32, n16> to !cria.weight<16x64, f32, n16>
      cria.fused_linear acts(%x : memref<?x64xf32>) weights(%t : ...) outs(%tile : ...) ...
    }
    cria.barrier
    ```
    After:
    ```mlir
    cria.stamp 2
    scf.for %i = %lo to %hi step %c1 {
      ...
    }
    cria.stamp 0
    cria.barrier
    cria.stamp 1
    ```
    and on the module
    ```mlir
    cria.profile = [
      {kind = "linear", name = "w", version = "decode", weight_bytes = 24576 : i64, row_bytes = 640 : i64, row_flops = 12288 : i64},
      {kind = "barrier", name = "before y", version = "decode"}
    ]
    ```
  }];
  let dependentDialects = ["::cria::CriaDialect"];
}

def Arena : Pass<"cria-arena", "::mlir::ModuleOp"> {
  let summary = "allocations to fixed offsets in one arena";
  let description = [{
    Sizes are bounded by `cria.max_batch` tokens. Two shared buffers may have
    one place where a barrier lies between the last use of the one and the
    first of the other in every way through the function; a thread's own
    buffers, which lie in an arena of the thread, where their uses follow each
    other. `cria.arena_bytes` and `cria.thread_arena_bytes` are what the caller
    provides.

    Before:
    ```mlir
    module attributes {cria.max_batch = 8 : i64} {
      func.func @f(%x: memref<?xf32>) attributes {cria.entry} {
        %n = memref.dim %x, %c0 : memref<?xf32>
        %a = memref.alloc(%n) : memref<?x16xf32>
        ...
    ```
    After:
    ```mlir
    module attributes {cria.arena_bytes = 512 : i64, cria.max_batch = 8 : i64, cria.thread_arena_bytes = 0 : i64} {
      func.func @f(%x: memref<?xf32>, %arena: memref<?xi8> {cria.arg = "arena"},
                   %own: memref<?xi8> {cria.arg = "thread_arena"}) attributes {cria.entry} {
        %n = memref.dim %x, %c0 : memref<?xf32>
        %a = memref.view %arena[%c0][%n] : memref<?xi8> to memref<?x16xf32>
        ...
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

//===-- every stage -------------------------------------------------------===//

def CheckStage : Pass<"cria-check-stage", "::mlir::ModuleOp"> {
  let summary = "fails where something is alive that must not be after a stage";
  let description = [{
    Ends every stage; `compiler/Pipeline.cpp` says above each what may be alive
    after it. Changes nothing. With stage=bufferize,

    ```mlir
    %0 = tensor.empty(%n) : tensor<?x64xf32>
    ```

    is the error

    ```
    after stage 'bufferize': 'tensor.empty' must not be alive: allowed dialects are cria, func, scf, ...
    ```
  }];
  let options = [Option<"stage", "stage", "std::string", "\"\"", "the stage that has just run">];
}

//===-- vector ------------------------------------------------------------===//

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
    block of K is unpacked into registers once, and all tokens (up to 64, then
    the next 64) go over it, while their f32 sums wait in a buffer in L1:
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
    "::cria::CriaDialect", "::mlir::arith::ArithDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"
  ];
  let options = [
    Option<"tokens", "tokens", "int64_t", "12",
           "tokens a tile, 1 to 64: what the registers hold (12 with AVX-512, 4 with AVX2)">,
    Option<"panels", "panels", "int64_t", "1",
           "vectors of 16 rows that share a pass over K, 1 or 2: floats, and codes with block-tokens">,
    Option<"blockTokens", "block-tokens", "int64_t", "0",
           "tokens that go over a block's codes in registers at once, in other versions than decode; 0: sums are in registers, not codes">,
    Option<"dotTile", "dot-tile", "bool", "false",
           "with block-tokens: 16 tokens at a time are cria.dot_tile">,
    Option<"prefetch", "prefetch", "int64_t", "4096",
           "bytes of weights to prefetch ahead of their use, or 0">
  ];
}

def VectorizeRows : Pass<"cria-vectorize-rows"> {
  let summary = "cria.rows on memrefs to vector loops";
  let description = [{
    One row at a time. Sums run over 16 lanes and end in a fixed tree; division
    and square root are the exact ones, rounding to a code is an addition of
    1.5 * 2^23: no ISA changes a bit of the result. A block whose largest
    magnitude is below 2^-100 gets codes of 0.

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
    A tile is a few consecutive tokens times the query heads of one kv head
    (`fits` asks for consecutive positions of one sequence whose first and last
    pages are the same; other tokens go alone). Per chunk of 256 positions:
    scores, with positions as lanes; exp of scores less the chunk's maximum;
    output, with elements of a head as lanes; merge (partials: store, token by
    token). Scratch is on the stack.
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
        scf.if %fits {
          scf.for %chunk {
            scf.for %page { %s:24 = scf.for %d { vector.load %k; math.fma } ; vector.store %scores }
            scf.for %row { vector.load %scores; ... ; vector.store %scores }
            scf.for %columns { %o:24 = scf.for %page { scf.for %t { vector.load %v; math.fma } } ; vector.store }
          }
          vector.store %o
        } else { the same for one token }
      }
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
  let options = [
    Option<"accumulators", "accumulators", "int64_t", "24",
           "vectors of 16 floats that a loop may carry: 24 of AVX-512's 32 registers leave 8 for operands">
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

//===-- llvm --------------------------------------------------------------===//

def LowerDotTile : Pass<"cria-lower-dot-tile"> {
  let summary = "cria.dot_tile to AMX tiles, or to cria.dot4";
  let description = [{
    | isa | form |
    |---|---|
    | amx | tile registers: one load of `acts` for all panels, then a load of codes, `tdpbsud` and a store of the sums each |
    | generic | loops over panels and tokens, of 8 `cria.dot4` |

    Both give the same integers, so the second is also how a kernel that is
    made for AMX is tested on a CPU without.

    Before:
    ```mlir
    cria.dot_tile %acts[%t, %w], %codes, %out : memref<?x144xi32>, memref<1x8x64xi8>, memref<1x16x16xi32>
    ```
    After, with isa=amx:
    ```mlir
    %a = llvm.call_intrinsic "llvm.x86.tileloadd64.internal"(%rows, %bytes, %acts, %stride)
    %b = llvm.call_intrinsic "llvm.x86.tileloadd64.internal"(%words, %line, %codes, %line)
    %z = llvm.call_intrinsic "llvm.x86.tilezero.internal"(%rows, %line)
    %c = llvm.call_intrinsic "llvm.x86.tdpbsud.internal"(%rows, %line, %bytes, %z, %a, %b)
    llvm.call_intrinsic "llvm.x86.tilestored64.internal"(%rows, %line, %out, %line, %c)
    ```
  }];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"
  ];
  let options = [
    Option<"isa", "isa", "std::string", "\"generic\"", "one of generic, amx">
  ];
}

def LowerDot4 : Pass<"cria-lower-dot4"> {
  let summary = "cria.dot4 to the target's byte dot product";
  let description = [{
    | isa | form |
    |---|---|
    | avx512vnni | one 512-bit `vpdpbusd` |
    | avxvnni | two 256-bit `vpdpbusd` |
    | avx2 | `vpmaddubsw` and `vpmaddwd` on two halves; up to 8 chained ops of 4-bit codes add up in 16 bits before the second; 8-bit codes in two parts, as the first saturates |
    | i8mm | four 128-bit `usdot` |
    | dotprod | four 128-bit `sdot`; 8-bit codes less 128, and 128 times the sums of b by another `sdot` |
    | neon | 16-bit products: up to 8 chained ops of 4-bit codes add up (`smlal`) before they are widened, those of 8-bit codes are widened one by one |
    | generic | 16-bit products, in arith |

    All give the same integers. For `sdot` and `usdot`, which take their second
    operand by element, four words of b that are loaded from one place and
    broadcast come with one load: `vector.shuffle %four [j, j, ...]`.

    Before:
    ```mlir
    %r = cria.dot4 %acc, %a, %b {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
    ```
    After, with isa=avx512vnni:
    ```mlir
    %r = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%acc, %a, %b)
    ```
  }];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::vector::VectorDialect"
  ];
  let options = [
    Option<"isa", "isa", "std::string", "\"generic\"",
           "one of generic, avx2, avxvnni, avx512vnni, neon, dotprod, i8mm">
  ];
}

def ExpandF16 : Pass<"cria-expand-f16"> {
  let summary = "f16 conversions to integer arithmetic where the target has none";
  let description = [{
    For targets without F16C, where LLVM would call a library. Rounds to
    nearest even; subnormals, infinities and NaNs as F16C has them.

    Before:
    ```mlir
    %y = arith.extf %x : vector<16xf16> to vector<16xf32>
    ```
    After:
    ```mlir
    %h = arith.extui (arith.bitcast %x : vector<16xf16> to vector<16xi16>) : vector<16xi16> to vector<16xi32>
    %s = arith.shli (arith.andi %h, 0x8000), 16
    %m = arith.andi %h, 0x7fff
    %normal = arith.addi (arith.shli %m, 13), 0x38000000
    ...                                        // subnormals, infinities, NaNs
    %y = arith.bitcast (arith.ori %chosen, %s) : vector<16xi32> to vector<16xf32>
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def EmitEntry : Pass<"cria-emit-entry", "::mlir::ModuleOp"> {
  let summary = "the C functions of a compiled model around its entry functions";
  let description = [{
    Adds the exported `<prefix>get`, which returns a constant cria_model of
    abi.h (not with describe=false: another module of the artifact has it), and
    the hidden `<prefix>forward`, which makes each memref argument
    from the fields of cria_forward_args (by its `cria.arg`) and calls the
    version for the number of tokens. Functions that use `cria.thread_id`,
    `cria.num_threads` or `cria.barrier`, directly or through calls, take
    (thread, threads, args) at their end. With `cria.profile` on the module,
    the thread's counters follow, `<prefix>forward_profiled` takes them, and
    `<prefix>forward` calls it without.

    With several `clones` the function is `<prefix>forward_<target>`; those of
    the other clones are declared where the model is described.

    Entry functions without `cria.version` are run by thread 0 alone. Runs
    before the conversion of func and memref, whose descriptors it builds.

    ```mlir
    func.func @forward_prefill(%out: memref<?x8xf32> {cria.arg = "logits"})
        attributes {cria.entry, cria.version = "prefill"} {
      %t = cria.thread_id
      ...
    }
    ```

    becomes

    ```mlir
    func.func private @forward_prefill(%out: memref<?x8xf32> {cria.arg = "logits"},
        %t: index, %threads: index, %args: !llvm.ptr) attributes {llvm.linkage = ...} {...}
    llvm.func hidden @model_forward(%args: !llvm.ptr, %thread: i64, %threads: i64) {
      %p = llvm.getelementptr inbounds %args[120] : (!llvm.ptr) -> !llvm.ptr, i8
      %logits = llvm.load %p : !llvm.ptr -> !llvm.ptr
      ...
      func.call @forward_prefill(...)
      llvm.return
    }
    llvm.func @model_get() -> !llvm.ptr {...}
    ```
  }];
  let options = [
    Option<"prefix", "prefix", "std::string", "\"model_\"",
           "what the names of the C functions begin with">,
    Option<"target", "target", "std::string", "\"\"",
           "cria_clone.target of this module's code">,
    Option<"features", "features", "uint64_t", "0",
           "cria_clone.features: CRIA_CPU_* that the code needs">,
    ListOption<"clones", "clones", "std::string",
               "TARGET=FEATURES of all clones, this one among them, the most "
               "capable first; empty: there is no other">,
    Option<"describe", "describe", "bool", "true",
           "make `<prefix>get` and the model's description">,
    Option<"steadyCounter", "steady-counter", "bool", "false",
           "cria.stamp reads llvm.readsteadycounter instead of llvm.readcyclecounter">
  ];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect"];
}

#endif // CRIA_COMPILER_PASSES
