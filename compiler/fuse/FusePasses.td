// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The passes of the stages dialect and fuse.

#ifndef CRIA_COMPILER_FUSE_FUSEPASSES
#define CRIA_COMPILER_FUSE_FUSEPASSES

include "mlir/Pass/PassBase.td"

//===-- dialect -----------------------------------------------------------===//

def CanonicalizeRope : Pass<"cria-canonicalize-rope", "::mlir::ModuleOp"> {
  let summary = "rotates neighbours: half pairs become interleaved by permuting weight rows";
  let description = [{
    Element i of a head and its partner i + dims/2 become neighbours, which one
    vector holds: whoever packs the weights permutes the rows of each head
    (`permute_heads`, `permute_dims` of `cria.param`). Biases and the weights of
    norms between linear and rope are permuted alike. Queries meet keys
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
    f32 and f16 are n16, bf16 is n16k2, q4, q6 and q8 are n16k4, whose codes are
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
    arguments and results, calls and loops. Caches of i8 and i16 take the shape
    that `cria.kv_append` gives them, codes and scales of a page in one piece.

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
  let options = [Option<"type", "type", "std::string", "\"f16\"", "f32, f16, bf16, i8 or i16">];
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
    stands between, head_dim is not a multiple of 16, or the linear's result has
    other uses), a `cria.head_rows` rotates, and takes in the norm; where pairs
    are halves, a loop that reads the same table.

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
    Gate and up must read the same rows and have weights of one type. What is
    in their epilogues, such as biases, comes along.

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
    And clips, of queries, keys and values.

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
    Of x + (a + b), with a and b from linears, each takes one: (x + a) + b.

    A norm between linear and sum (norms after the block, double norms) becomes
    a `cria.rows` that adds to the residual in place. A norm of the sum itself
    (GPT-1) becomes one that takes the residual's place.

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
    Where there is no linear to go into, or head_dim is not a multiple of 16, the
    append is a `cria.head_rows`, together with the rotation and the norm of the
    heads in front of it.

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
  let summary = "embed, attention, lone norms and scales in destination style; logits become an argument";
  let description = [{
    What distances add to the scores of attention is in memory from here on:
    ALiBi's slopes as a constant, a bias in the order that the kernel reads.
    Absolute positions are a loop over tokens that adds a row of their table, or
    of the sines and cosines of a `cria.rope_table` as wide as the model.

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
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
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

#endif // CRIA_COMPILER_FUSE_FUSEPASSES
