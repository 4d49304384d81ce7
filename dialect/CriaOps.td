// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Model ops: what a model computes. n tokens, width d; see CriaDialect.td.

#ifndef CRIA_OPS_TD
#define CRIA_OPS_TD

include "CriaTypes.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Cria_Op<string mnemonic, list<Trait> traits = []>
    : Op<Cria_Dialect, mnemonic, traits>;

def Cria_F32Rows : 2DTensorOf<[F32]>;
def Cria_I32Vector : 1DTensorOf<[I32]>;
def Cria_F32Vector : 1DTensorOf<[F32]>;
def Cria_KeyCache : TensorOf<[F32, F16, BF16, I8, I16]>;
def Cria_AnyWeight : AnyTypeOf<[Cria_WeightType]>;

def Cria_ParamOp : Cria_Op<"param", [Symbol]> {
  let summary = "a named weight of the model and the tensors it is read from";
  let description = [{
    Declares a weight matrix, or an f32 tensor (norm weights, biases). A type
    with a leading layer dimension is stacked: `sources` then names one tensor
    per layer, in order; otherwise one tensor. Without sources the weight is
    random, from the module's `cria.seed`.
    `permute_heads` = head_dim: the rows of each head are reordered so that
    element pairs (i, i + rope_dims/2) become (2i, 2i+1); see
    `cria-canonicalize-rope`. `permute_dims` is then rope_dims.

    Labels: param_c1: the type is a static weight or a static f32 tensor of
    rank 1 to 3; `stacked` is for a type with a layer dimension. param_c2:
    stacked over L layers, there are L sources (or none).
    param_c3: permute_heads divides N and permute_dims is even and at most
    permute_heads.

    ```mlir
    cria.param @attn_q : !cria.weight<2x64x64, q4, block = 32, min, rows>
      from ["blk.0.attn_q.weight", "blk.1.attn_q.weight"]
    cria.param @output_norm : tensor<64xf32> from ["output_norm.weight"]
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type,
    OptionalAttr<StrArrayAttr>:$sources,
    OptionalAttr<I64Attr>:$permute_heads, OptionalAttr<I64Attr>:$permute_dims,
    UnitAttr:$stacked);
  let assemblyFormat = "$sym_name (`stacked` $stacked^)? `:` $type (`from` $sources^)? attr-dict";
  let extraClassDeclaration = [{
    /// A weight type says by its rank that it is stacked, a tensor by `stacked`.
    bool isStacked();
    /// Layers of a stacked param, 1 otherwise.
    int64_t getNumLayers();
    /// The type of one layer: what cria.load yields.
    ::mlir::Type getLayerType();
  }];
  let hasVerifier = 1;
}

def Cria_LoadOp : Cria_Op<"load", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a param, or one layer of a stacked param";
  let description = [{
    Labels: load_c1: the symbol is a cria.param. load_c2: a layer index is
    given exactly when the param is stacked. load_c3: the result type is the
    param's type less its layer dimension.

    ```mlir
    %w = cria.load @attn_q[%layer] : !cria.weight<64x64, q4, block = 32, min, rows>
    %g = cria.load @output_norm : tensor<64xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$param, Optional<Index>:$layer);
  let results = (outs AnyType:$result);
  let assemblyFormat = "$param (`[` $layer^ `]`)? attr-dict `:` type($result)";
}

def Cria_EmbedOp : Cria_Op<"embed", [Pure]> {
  let summary = "token embedding: row tokens[i] of the weight";
  let description = [{
    `result[i, :] = weight[tokens[i], :]`. Token ids are in [0, N); the
    runtime checks them.

    Labels: embed_c1: result is n x K of the NxK weight.

    ```mlir
    %x = cria.embed %tokens, %w : tensor<?xi32>, !cria.weight<1024x64, bf16, rows> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Cria_I32Vector:$tokens, Cria_AnyWeight:$weight);
  let results = (outs Cria_F32Rows:$result);
  let assemblyFormat = [{ $tokens `,` $weight attr-dict `:` type($tokens) `,` type($weight) `->` type($result) }];
  let hasVerifier = 1;
}

def Cria_LinearOp : Cria_Op<"linear", [Pure]> {
  let summary = "x times the transposed weight, plus an optional bias";
  let description = [{
    `result[i, j] = sum_k x[i, k] * weight[j, k] (+ bias[j])`, f32.

    Labels: linear_c1: x has K columns. linear_c2: result has N columns and
    x's rows. linear_c3: bias has N elements.

    ```mlir
    %y = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<96x64, q8, block = 32, none, rows> -> tensor<?x96xf32>
    %z = cria.linear %x, %f bias %b : tensor<?x64xf32>, !cria.weight<96x64, f32, rows>, tensor<96xf32> -> tensor<?x96xf32>
    ```
  }];
  let arguments = (ins Cria_F32Rows:$x, Cria_AnyWeight:$weight, Optional<Cria_F32Vector>:$bias);
  let results = (outs Cria_F32Rows:$result);
  let assemblyFormat = [{ $x `,` $weight (`bias` $bias^)? attr-dict `:` type($x) `,` type($weight) (`,` type($bias)^)? `->` type($result) }];
  let hasVerifier = 1;
}

def Cria_NormOp : Cria_Op<"norm", [Pure, AttrSizedOperandSegments, AllTypesMatch<["x", "result"]>]> {
  let summary = "RMSNorm or LayerNorm of each row, or of each head of it";
  let description = [{
    rms: `x / sqrt(mean(x^2) + eps) * w` (Zhang and Sennrich 2019, eq. 4).
    layer: `(x - mean(x)) / sqrt(var(x) + eps) * w + b` (Ba et al. 2016).
    per_head, layer_per_head: rms or layer over every group of `head_dim`
    consecutive elements, `numel(w)` where that is not given (QK
    normalisation). `plus_one`: the factor is `1 + w` (Gemma).

    Labels: norm_c1: weight has d elements (rms, layer). norm_c2: the kinds per
    head have a weight; a head's size divides d, and the weight has that many
    elements or d. norm_c3: only layer and layer_per_head take a bias, of the
    weight's size. norm_c4: eps is positive. norm_c5: only the kinds per head
    have head_dim.

    ```mlir
    %y = cria.norm rms %x weight %w {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<64xf32>
    ```
  }];
  let arguments = (ins Cria_NormKindAttr:$kind, Cria_F32Rows:$x,
    Optional<Cria_F32Vector>:$weight, Optional<Cria_F32Vector>:$bias,
    F32Attr:$eps, UnitAttr:$plus_one, OptionalAttr<I64Attr>:$head_dim);
  let results = (outs Cria_F32Rows:$result);
  let assemblyFormat = [{ `` $kind $x (`weight` $weight^)? (`bias` $bias^)? attr-dict `:` type($x) (`,` `weight` type($weight)^)? (`,` `bias` type($bias)^)? }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    bool isPerHead() {
      return getKind() == NormKind::per_head ||
             getKind() == NormKind::layer_per_head;
    }
    /// Takes off the mean.
    bool isCentered() {
      return getKind() == NormKind::layer ||
             getKind() == NormKind::layer_per_head;
    }
    /// Elements of a head, of the kinds per head.
    int64_t headSize();
  }];
}

def Cria_RopeOp : Cria_Op<"rope", [Pure, AllTypesMatch<["x", "result"]>]> {
  let summary = "rotary position embedding of every head of a row";
  let description = [{
    Rotates the pairs that `rope` describes in each `head_dim`-sized group of
    x's columns by `positions[i] * freq`.

    Labels: rope_c1: head_dim divides x's columns. rope_c2: rope dims are at
    most head_dim. rope_c3: head_dim is even. rope_c4: one position a row.

    ```mlir
    %y = cria.rope %x, %positions {head_dim = 32 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 32>} : tensor<?x64xf32>, tensor<?xi32>
    ```
  }];
  let arguments = (ins Cria_F32Rows:$x, Cria_I32Vector:$positions,
    Cria_RopeAttr:$rope, I64Attr:$head_dim);
  let results = (outs Cria_F32Rows:$result);
  let assemblyFormat = "$x `,` $positions attr-dict `:` type($x) `,` type($positions)";
  let hasVerifier = 1;
}

def Cria_PositionOp : Cria_Op<"position", [Pure, AllTypesMatch<["x", "result"]>]> {
  let summary = "adds an absolute position encoding to each row";
  let description = [{
    learned: `x[i, :] + table[positions[i], :]`. sinusoidal (Vaswani et al.
    2017, section 3.5): adds `sin(p / 10000^(2j/d))` at column 2j and the
    cosine at 2j+1.

    Labels: position_c1: learned has a table with d columns, sinusoidal none.
    position_c2: sinusoidal needs an even d. position_c3: one position a row.

    ```mlir
    %y = cria.position learned %x, %positions table %t : tensor<?x64xf32>, tensor<?xi32>, tensor<512x64xf32>
    ```
  }];
  let arguments = (ins Cria_PositionKindAttr:$kind, Cria_F32Rows:$x,
    Cria_I32Vector:$positions, Optional<2DTensorOf<[F32]>>:$table);
  let results = (outs Cria_F32Rows:$result);
  let assemblyFormat = [{ `` $kind $x `,` $positions (`table` $table^)? attr-dict `:` type($x) `,` type($positions) (`,` type($table)^)? }];
  let hasVerifier = 1;
}

def Cria_ActivationOp : Cria_Op<"activation", [Pure, AllTypesMatch<["x", "result"]>]> {
  let summary = "elementwise non-linearity";
  let description = [{
    relu `max(x, 0)`; relu2 `max(x, 0)^2` (So et al. 2021); gelu `x Phi(x)` with the exact erf; gelu_tanh
    `0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))` (Hendrycks and Gimpel
    2016); silu `x / (1 + exp(-x))`. Also works on `vector<16xf32>` inside
    fused epilogues.

    ```mlir
    %y = cria.activation silu %x : tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Cria_ActivationKindAttr:$kind,
    AnyTypeOf<[Cria_F32Rows, VectorOfLengthAndType<[16], [F32]>]>:$x);
  let results = (outs AnyTypeOf<[Cria_F32Rows, VectorOfLengthAndType<[16], [F32]>]>:$result);
  let assemblyFormat = "`` $kind $x attr-dict `:` type($x)";
}

def Cria_GluOp : Cria_Op<"glu", [Pure, AllTypesMatch<["gate", "up", "result"]>]> {
  let summary = "gated linear unit: activation(gate) * up";
  let description = [{
    Shazeer 2020, eq. 5 and 6: SwiGLU with silu, GeGLU with gelu, ReGLU with
    relu.

    ```mlir
    %y = cria.glu silu %gate, %up : tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Cria_ActivationKindAttr:$kind, Cria_F32Rows:$gate, Cria_F32Rows:$up);
  let results = (outs Cria_F32Rows:$result);
  let assemblyFormat = "`` $kind $gate `,` $up attr-dict `:` type($gate)";
}

def Cria_KvAppendOp : Cria_Op<"kv_append", [Pure, AllTypesMatch<["cache", "result"]>]> {
  let summary = "the KV cache with this batch's keys or values written";
  let description = [{
    Writes row i of x (kv_heads x head_dim) to physical slot `slots[i]` =
    page * 64 + position % 64 of layer `layer`. Key caches are
    `layers x pages x kv_heads x 4 x head_dim x 16`, value caches
    `layers x pages x kv_heads x 64 x head_dim`. Slots of one batch are
    distinct.

    Caches of i8 are `layers x pages x kv_heads x 64 (head_dim + 4)`: the codes
    of a page's head in the order above, then its 64 scales in f32, so that a
    page stays one piece. For a position and head, with m = max |x|:

        scale = m / 127,  code = rne(x * (127 / m))     all 0 for m < 1e-30

    and what is read back is code * scale.

    Caches of i16 are `layers x pages x kv_heads x 64 (head_dim + 2)`, with 8191
    for 127, as operands of cria.dot2_i16: keys `4 x head_dim / 2 x 16 x 2`,
    elements in pairs, values `32 x head_dim x 2`, positions in pairs; head_dim
    is even.

    Labels: kv_append_c1: the cache has the role's shape. kv_append_c2: x has
    kv_heads * head_dim columns. kv_append_c3: one slot a row.

    ```mlir
    %k2 = cria.kv_append key %x into %k[%layer] at %slots : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<?xi32>
    ```
  }];
  let arguments = (ins Cria_CacheRoleAttr:$role, Cria_F32Rows:$x,
    Cria_KeyCache:$cache, Index:$layer, Cria_I32Vector:$slots);
  let results = (outs Cria_KeyCache:$result);
  let assemblyFormat = [{ `` $role $x `into` $cache `[` $layer `]` `at` $slots attr-dict `:` type($x) `,` type($cache) `,` type($slots) }];
  let hasVerifier = 1;
}

def Cria_RelativeBiasOp : Cria_Op<"relative_bias", [Pure]> {
  let summary = "the bias of each distance from a table of buckets";
  let description = [{
    Raffel et al. 2020 (T5), section 2.1, for a decoder: result[h, i] =
    table[bucket(i), h], where with B buckets

        bucket(i) = i                                                i < B / 2
        bucket(i) = min(B - 1, B / 2 + floor(log(i / (B / 2))
                    / log(max_distance / (B / 2)) * (B - B / 2)))    otherwise

    so that all distances from max_distance on share the last one.

    Labels: relative_bias_c1: result is heads x (max_distance + 1) for a table
    of buckets x heads. relative_bias_c2: there are at least 2 buckets, and
    max_distance is over half of them and at most 2^20.

    ```mlir
    %b = cria.relative_bias %table {max_distance = 128 : i64} : tensor<32x6xf32> -> tensor<6x129xf32>
    ```
  }];
  let arguments = (ins 2DTensorOf<[F32]>:$table, I64Attr:$max_distance);
  let results = (outs 2DTensorOf<[F32]>:$result);
  let assemblyFormat = "$table attr-dict `:` type($table) `->` type($result)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The bucket of each distance from 0 to max_distance.
    ::llvm::SmallVector<int32_t> getBuckets();
  }];
}

def Cria_AttentionOp : Cria_Op<"attention", [Pure, AttrSizedOperandSegments, AllTypesMatch<["q", "result"]>]> {
  let summary = "causal attention of a ragged batch over the paged KV cache";
  let description = [{
    For token i at position p = positions[i] of sequence s = sequences[i] and
    head h with kv head g = h / (heads / kv_heads):

        score[t] = scale * dot(q[i, h], key[s, t, g])     t in [lo, p]
        score[t] = softcap * tanh(score[t] / softcap)     with softcap
        score[t] = score[t] + slopes[h] * (t - p)         with slopes
        score[t] = score[t] + bias[h, min(p - t, D - 1)]  with bias
        result[i, h] = sum_t exp(score[t]) value[s, t, g] / (sum_t exp(score[t]) + exp(sink[h]))

    with lo = max(0, p - window + 1) with a window, else 0, and the sink term
    only with sinks. The batch's own keys and values are in the caches
    already. MHA, GQA and MQA differ in kv_heads only.

    slopes are the factors of ALiBi (Press et al. 2022), which `alibiSlopes`
    has for a number of heads; bias is heads x D: what each distance adds, see
    cria.relative_bias.

    Labels: attention_c1: kv_heads divides heads. attention_c2: q and result
    have heads * head_dim columns. attention_c3: the caches have the shapes
    of kv_append for kv_heads and head_dim, and the same element type.
    attention_c4: window is positive. attention_c5: softcap is positive.
    attention_c6: sinks has one element a head. attention_c7: one position
    and one sequence a row. attention_c8: slopes has one finite element a
    head. attention_c9: bias has one row a head, of a static size.

    ```mlir
    %y = cria.attention %q, %k, %v[%layer] positions %p sequences %s tables %t
      {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.176776692 : f32}
      : tensor<?x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>
    ```
  }];
  let arguments = (ins Cria_F32Rows:$q, Cria_KeyCache:$keys, Cria_KeyCache:$values,
    Index:$layer, Cria_I32Vector:$positions, Cria_I32Vector:$sequences,
    2DTensorOf<[I32]>:$tables, Optional<Cria_F32Vector>:$sinks,
    Optional<2DTensorOf<[F32]>>:$bias,
    I64Attr:$heads, I64Attr:$kv_heads, I64Attr:$head_dim, F32Attr:$scale,
    OptionalAttr<I64Attr>:$window, OptionalAttr<F32Attr>:$softcap,
    OptionalAttr<DenseF32ArrayAttr>:$slopes);
  let results = (outs Cria_F32Rows:$result);
  let assemblyFormat = [{
    $q `,` $keys `,` $values `[` $layer `]` `positions` $positions `sequences` $sequences `tables` $tables
    (`sinks` $sinks^)? (`bias` `(` $bias^ `:` type($bias) `)`)? attr-dict `:` type($q) `,` type($keys) `,` type($values)
    `,` type($positions) `,` type($sequences) `,` type($tables) (`,` type($sinks)^)?
  }];
  let hasVerifier = 1;
}

def Cria_SoftcapOp : Cria_Op<"softcap", [Pure, AllTypesMatch<["x", "result"]>]> {
  let summary = "cap * tanh(x / cap)";
  let description = [{
    Labels: softcap_c1: cap is positive.

    ```mlir
    %y = cria.softcap %x {cap = 3.0e+01 : f32} : tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Cria_F32Rows:$x, F32Attr:$cap);
  let results = (outs Cria_F32Rows:$result);
  let assemblyFormat = "$x attr-dict `:` type($x)";
  let hasVerifier = 1;
}

def Cria_ClipOp : Cria_Op<"clip", [Pure, AllTypesMatch<["x", "result"]>]> {
  let summary = "each element, between -bound and bound";
  let description = [{
    min(max(x, -bound), bound), as OLMo and MPT do with queries, keys and values
    (clip_qkv).

    Labels: clip_c1: bound is not negative.

    ```mlir
    %y = cria.clip %x {bound = 8.0 : f32} : tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Cria_F32Rows:$x, F32Attr:$bound);
  let results = (outs Cria_F32Rows:$result);
  let assemblyFormat = "$x attr-dict `:` type($x)";
  let hasVerifier = 1;
}

def Cria_AddOp : Cria_Op<"add", [Pure, Commutative, AllTypesMatch<["a", "b", "result"]>]> {
  let summary = "elementwise sum (residual)";
  let description = [{
    ```mlir
    %y = cria.add %a, %b : tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Cria_F32Rows:$a, Cria_F32Rows:$b);
  let results = (outs Cria_F32Rows:$result);
  let assemblyFormat = "$a `,` $b attr-dict `:` type($a)";
}

def Cria_ScaleOp : Cria_Op<"scale", [Pure, AllTypesMatch<["x", "result"]>]> {
  let summary = "x * factor";
  let description = [{
    Folds away when the factor is 1; two scales in a row become one.

    ```mlir
    %y = cria.scale %x {factor = 2.4e+01 : f32} : tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Cria_F32Rows:$x, F32Attr:$factor);
  let results = (outs Cria_F32Rows:$result);
  let assemblyFormat = "$x attr-dict `:` type($x)";
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def Cria_SelectRowsOp : Cria_Op<"select_rows", [Pure]> {
  let summary = "the rows whose logits are wanted";
  let description = [{
    `result[j, :] = x[rows[j], :]`.

    Labels: select_rows_c1: result has x's columns and one row an index.

    ```mlir
    %y = cria.select_rows %x, %rows : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Cria_F32Rows:$x, Cria_I32Vector:$rows);
  let results = (outs Cria_F32Rows:$result);
  let assemblyFormat = "$x `,` $rows attr-dict `:` type($x) `,` type($rows) `->` type($result)";
  let hasVerifier = 1;
}

#endif // CRIA_OPS_TD
