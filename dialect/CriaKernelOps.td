// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernel ops: how a model is computed. Destination style on tensors, and on
// memrefs after bufferization; see CriaDialect.td for the letters.

#ifndef CRIA_KERNEL_OPS_TD
#define CRIA_KERNEL_OPS_TD

include "CriaOps.td"
include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/TilingInterface.td"

class Cria_RankedOf<list<Type> types, list<int> ranks>
    : AnyTypeOf<[TensorRankOf<types, ranks>, MemRefRankOf<types, ranks>]>;
def Cria_F32Rows2D : Cria_RankedOf<[F32], [2]>;
def Cria_I32List : Cria_RankedOf<[I32], [1]>;
def Cria_I32Table : Cria_RankedOf<[I32], [2]>;
def Cria_F32List : Cria_RankedOf<[F32], [1]>;
def Cria_AttentionCache : AnyTypeOf<[
    TensorRankOf<[F32, F16, BF16], [5, 6]>, MemRefRankOf<[F32, F16, BF16], [5, 6]>,
    TensorRankOf<[I8, I16], [4]>, MemRefRankOf<[I8, I16], [4]>]>;
def Cria_Activations : Cria_RankedOf<[F32, I32], [2]>;
def Cria_Cache : Cria_RankedOf<[F32, F16, BF16], [5, 6]>;
def Cria_LaneVector : VectorOfLengthAndType<[16], [F32]>;

/// Destination style, tiled and bufferized by interfaces; with memrefs it has
/// memory effects and no results.
class Cria_KernelOp<string mnemonic, list<Trait> traits = []>
    : Cria_Op<mnemonic, !listconcat(traits, [
        DestinationStyleOpInterface,
        DeclareOpInterfaceMethods<TilingInterface, [
          "getLoopIteratorTypes", "getIterationDomain",
          "getTiledImplementation", "getResultTilePosition"]>,
        DeclareOpInterfaceMethods<MemoryEffectsOpInterface>])>;

def Cria_YieldOp : Cria_Op<"yield", [Pure, ReturnLike, Terminator,
    ParentOneOf<["RowsOp", "FusedLinearOp"]>]> {
  let summary = "ends a prologue or an epilogue";
  let description = [{
    Yields the row of a `cria.rows`, the tile of a `cria.fused_linear`.

    ```mlir
    %s = cria.rows ins(%x : tensor<?x64xf32>) outs(%init : tensor<?x64xf32>) {
    ^bb0(%row: tensor<1x64xf32>):
      cria.yield %row : tensor<1x64xf32>
    } -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def Cria_RopeTableOp : Cria_KernelOp<"rope_table"> {
  let summary = "cosines and signed sines of every token, in lane order";
  let description = [{
    For token i and element e of a head (pair j = e / 2, interleaved pairs):

        init[i, 0, e] = m cos(p freq[j])
        init[i, 1, e] = m sin(p freq[j]) * (e even ? -1 : 1)

    with p = positions[i] and m the scaling's attention factor; elements past
    `rope.dims` have cosine 1 and sine 0. A rotation of a row is then
    `x * init[i, 0] + swap(x) * init[i, 1]` where swap exchanges neighbours.

    Labels: rope_table_c1: pairs are interleaved. rope_table_c2: init is
    n x 2 x head_dim with head_dim >= dims.

    ```mlir
    %t = cria.rope_table ins(%positions : tensor<?xi32>) outs(%init : tensor<?x2x64xf32>)
      {rope = #cria.rope<pairs = interleaved, base = 1.0e+05, dims = 64>} -> tensor<?x2x64xf32>
    ```
  }];
  let arguments = (ins Cria_I32List:$positions, Cria_RankedOf<[F32], [3]>:$init, Cria_RopeAttr:$rope);
  let results = (outs Variadic<TensorRankOf<[F32], [3]>>:$results);
  let assemblyFormat = [{ `ins` `(` $positions `:` type($positions) `)` `outs` `(` $init `:` type($init) `)` attr-dict (`->` type($results)^)? }];
  let extraClassDeclaration = "::mlir::MutableOperandRange getDpsInitsMutable() { return getInitMutable(); }";
  let hasVerifier = 1;
}

def Cria_EmbedRowsOp : Cria_KernelOp<"embed_rows"> {
  let summary = "cria.embed in destination style";
  let description = [{
    Labels: embed_rows_c1: init is n x K.

    ```mlir
    %x = cria.embed_rows ins(%tokens, %w : tensor<?xi32>, !cria.weight<1024x64, q8, block = 32, zero_point, n16k4>) outs(%init : tensor<?x64xf32>) -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Cria_I32List:$tokens, Cria_AnyWeight:$weight, Cria_F32Rows2D:$init);
  let results = (outs Variadic<2DTensorOf<[F32]>>:$results);
  let assemblyFormat = [{ `ins` `(` $tokens `,` $weight `:` type($tokens) `,` type($weight) `)` `outs` `(` $init `:` type($init) `)` attr-dict (`->` type($results)^)? }];
  let extraClassDeclaration = "::mlir::MutableOperandRange getDpsInitsMutable() { return getInitMutable(); }";
  let hasVerifier = 1;
}

def Cria_RowsOp : Cria_KernelOp<"rows", [AttrSizedOperandSegments, IsolatedFromAbove, SingleBlock]> {
  let summary = "work on whole rows: normalise, scale, add, quantise to int8";
  let description = [{
    Applies the prologue region to each row of x: its arguments are the row
    (1 x K) and the params, and with `accumulate` the old row of init; it holds
    at most one each of `cria.norm`, `cria.scale` and, with `accumulate`, a
    `cria.add` of the old row, in this order, and yields a row.
    With one init the result is that row in f32. With three it is quantised in
    blocks of 32 (columns past K count as 0), with K' = 32 ceil(K/32):

        d = max |row[b]| / 127,  code = rne(row / d) in [-127, 127]
        inits[0][i, k/4]  byte k%4 = code     i32, n x K'/4
        inits[1][i, b]    = d                 f32, n x K'/32
        inits[2][i, b]    = -zero_point * sum(codes of b)   i32, or
                          = d * sum(codes of b)             f32 without zero_point

    With zero_point inits[2] may have twice the columns, [i, 2b] and
    [i, 2b + 1] for the first and the last 16 codes of b.

    With twice the columns in inits[0] the codes have 16 bits: d = max |row[b]|
    / 32512, and each block has 8 words of high bytes h = (code + 128) >> 8,
    then 8 words of low bytes l = code - 256 h, so that a product with a code
    is two byte products.

    `bf16` allows a target that has products of bf16 pairs (cria.dot2) to round
    the row to bf16, to nearest even: word i of its memory is then row[2i] below
    row[2i + 1], a column past K is 0, and what follows those words is
    unspecified. All readers are linears that carry `bf16` too; a target without
    such products ignores it on both.

    Labels: rows_c1: one or three inits of these shapes. rows_c2: the region
    takes the row and the params (and the old row) and yields one row. rows_c3:
    the region is a chain from the row through at most one cria.norm (rms,
    layer, or per_head with one weight for all heads) and one cria.scale, and
    with accumulate a cria.add of the old row and the chain.
    rows_c4: zero_point is given exactly when inits[2] holds i32. rows_c5:
    accumulate only with one init. rows_c6: bf16 only with one init, and not
    with accumulate.

    ```mlir
    %a:3 = cria.rows ins(%x : tensor<?x64xf32>) params(%g : tensor<64xf32>)
      outs(%c, %s, %m : tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xf32>) {
    ^bb0(%row: tensor<1x64xf32>, %w: tensor<64xf32>):
      %0 = cria.norm rms %row weight %w {eps = 1.0e-05 : f32} : tensor<1x64xf32>, weight tensor<64xf32>
      cria.yield %0 : tensor<1x64xf32>
    } -> tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xf32>
    ```
  }];
  let arguments = (ins Cria_F32Rows2D:$x, Variadic<Cria_F32List>:$params,
    Variadic<Cria_Activations>:$inits, OptionalAttr<I64Attr>:$zero_point,
    UnitAttr:$accumulate, UnitAttr:$bf16);
  let results = (outs Variadic<2DTensorOf<[F32, I32]>>:$results);
  let regions = (region SizedRegion<1>:$prologue);
  let assemblyFormat = [{ `ins` `(` $x `:` type($x) `)` (`params` `(` $params^ `:` type($params) `)`)? `outs` `(` $inits `:` type($inits) `)` attr-dict-with-keyword $prologue (`->` type($results)^)? }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getInitsMutable(); }
    bool isQuantized() { return getInits().size() == 3; }
    /// The region's norm and scale, or null.
    NormOp getNorm();
    ScaleOp getScale();
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def Cria_FusedLinearOp : Cria_KernelOp<"fused_linear", [AttrSizedOperandSegments, IsolatedFromAbove, SingleBlock]> {
  let summary = "one or two linears over the same rows, with an epilogue in registers";
  let description = [{
    For token i and every group of 16 output rows, the epilogue region gets
    `vector<16xf32>` values: one accumulator a weight (two for a GLU), then for
    each extra its value there, then with `accumulate` the old value of init;
    it yields the tile that is stored.

    acts is one f32 tensor (n x K) for float weights, or the three results of
    a quantising `cria.rows`. Block by block in k order, in f32:

        acc = fma(cvt(int_dot), scale_w * scale_a, acc)          zero_point: int_dot starts at sums
                                                                 16-bit codes: 256 dot(h) + dot(l)
        acc = fma(fma(cvt(dot_1), scale_1, cvt(dot_0) * scale_0), scale_a, acc)  q6: the halves of 32 k
        acc = fma(min_w, sums, fma(cvt(int_dot), scale_w * scale_a, acc))      min
        acc = fma(w[k], a[k], acc)  for k = 0, 1, ...                           float

    so that a result depends on neither the tile sizes nor the batch. With
    `bf16` (see cria.rows) the last one may be a sum of cria.dot2 over pairs;
    weights of codes then take f32 too, and stand for what their codes, scales
    and mins are, rounded to bf16.

    | extra | operand | value for lanes j..j+15 of token i |
    |---|---|---|
    | elementwise | n x N | [i, j..] |
    | bias | N | [j..] |
    | rope | n x 2 x head_dim | two values: [i, 0, j % head_dim..], [i, 1, ..] |

    | out | init | store |
    |---|---|---|
    | rows | n x N | [i, j..] |
    | key, value | a KV cache, with layer and slots | head j / head_dim, slot slots[i]; see cria.kv_append |

    Labels: fused_linear_c1: one or two weights of one type, with the same K.
    fused_linear_c2: acts match the weights: one f32 for float and with bf16,
    three for quantised, sums i32 for zero_point and f32 for min. fused_linear_c3: the
    region's arguments are as above and it yields one vector<16xf32>.
    fused_linear_c4: extra_kinds has one entry an extra, and shapes agree.
    fused_linear_c5: key and value have layer and slots, rows neither.
    fused_linear_c6: accumulate only with out rows. fused_linear_c7: bf16 only
    with weights of bf16, q4 or q8.

    ```mlir
    %y = cria.fused_linear acts(%a#0, %a#1, %a#2 : tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xf32>)
      weights(%w : !cria.weight<96x64, q4, block = 32, min, n16k4>) outs(%x : tensor<?x96xf32>)
      attributes {accumulate, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>, %old: vector<16xf32>):
      %0 = arith.addf %old, %acc : vector<16xf32>
      cria.yield %0 : vector<16xf32>
    } -> tensor<?x96xf32>
    ```
  }];
  let arguments = (ins Variadic<Cria_Activations>:$acts, Variadic<Cria_AnyWeight>:$weights,
    Variadic<Cria_RankedOf<[F32], [1, 2, 3]>>:$extras, Optional<Index>:$layer,
    Optional<Cria_I32List>:$slots, AnyTypeOf<[Cria_F32Rows2D, Cria_Cache]>:$init,
    ArrayAttr:$extra_kinds, Cria_OutKindAttr:$out, UnitAttr:$accumulate, UnitAttr:$bf16);
  let results = (outs Variadic<AnyTensor>:$results);
  let regions = (region SizedRegion<1>:$epilogue);
  let assemblyFormat = [{
    `acts` `(` $acts `:` type($acts) `)` `weights` `(` $weights `:` type($weights) `)`
    (`extras` `(` $extras^ `:` type($extras) `)`)? (`layer` $layer^)? (`slots` $slots^ `:` type($slots))?
    `outs` `(` $init `:` type($init) `)` attr-dict-with-keyword $epilogue (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getInitMutable(); }
    WeightType getWeightType() { return ::llvm::cast<WeightType>(getWeights()[0].getType()); }
    ExtraKind getExtraKind(unsigned i) {
      return ::llvm::cast<ExtraKindAttr>(getExtraKinds()[i]).getValue();
    }
    /// Output rows N of a weight (dynamic after tiling with a ragged tail).
    int64_t getN() { return getWeightType().getN(); }
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def Cria_HeadRowsOp : Cria_KernelOp<"head_rows", [AttrSizedOperandSegments]> {
  let summary = "per-head norm and rotation of rows, stored as rows or into a KV cache";
  let description = [{
    For each token i and head h, with x' = x[i, h * head_dim ..]:

        x' = x' - mean(x')                            with center
        x' = x' / sqrt(mean(x'^2) + eps) * weight     with weight (1 + weight with plus_one)
        x' = x' + bias                                with bias
        x' = x' * table[i, 0] + swap(x') * table[i, 1]    with rope, see cria.rope_table

    and stores x' at init[i, h * head_dim ..], or into a cache as cria.kv_append
    does. It takes in what stands between a linear and the cache or attention
    where an epilogue, which sees 16 rows at a time, cannot. weight and bias are
    either head_dim elements that serve all heads, or each head's own in turn.

    Labels: head_rows_c1: head_dim divides x's columns. head_rows_c2: weight has
    head_dim elements or one for each of x's columns, and eps is given exactly
    with it; bias is as long, and neither it nor center is there without a
    weight. head_rows_c3: rope is n x 2 x head_dim, and head_dim even.
    head_rows_c4: key and value have layer and slots and a cache of head_dim,
    rows neither and an init of x's shape.

    ```mlir
    %k2 = cria.head_rows ins(%x : tensor<?x64xf32>) weight(%w : tensor<32xf32>) rope(%t : tensor<?x2x32xf32>)
      layer %layer slots %s : tensor<?xi32> outs(%k : tensor<2x?x2x4x32x16xf16>)
      {eps = 1.0e-06 : f32, head_dim = 32 : i64, out = #cria<out key>} -> tensor<2x?x2x4x32x16xf16>
    ```
  }];
  let arguments = (ins Cria_F32Rows2D:$x, Optional<Cria_F32List>:$weight,
    Optional<Cria_F32List>:$bias, Optional<Cria_RankedOf<[F32], [3]>>:$rope, Optional<Index>:$layer,
    Optional<Cria_I32List>:$slots, AnyTypeOf<[Cria_F32Rows2D, Cria_Cache]>:$init,
    I64Attr:$head_dim, OptionalAttr<F32Attr>:$eps, UnitAttr:$plus_one, UnitAttr:$center, Cria_OutKindAttr:$out);
  let results = (outs Variadic<AnyTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $x `:` type($x) `)` (`weight` `(` $weight^ `:` type($weight) `)`)? (`bias` `(` $bias^ `:` type($bias) `)`)? (`rope` `(` $rope^ `:` type($rope) `)`)?
    (`layer` $layer^)? (`slots` $slots^ `:` type($slots))? `outs` `(` $init `:` type($init) `)` attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = "::mlir::MutableOperandRange getDpsInitsMutable() { return getInitMutable(); }";
  let hasVerifier = 1;
}

def Cria_FusedAttentionOp : Cria_KernelOp<"fused_attention", [AttrSizedOperandSegments]> {
  let summary = "cria.attention in destination style, streaming";
  let description = [{
    Same meaning and operands as `cria.attention`. For one token and head the
    order of arithmetic is fixed by the position alone: KV chunks of 256
    positions, each from a fresh running maximum, sum and output, in steps of
    16 positions; chunks merge in ascending order. So a result depends on
    neither threads, batch nor prefill chunking. With i8 caches, a key's scale
    multiplies the sum of its products, a value's scale multiplies p.

    With i16 caches all products are of integers, whose sums no order changes.
    A query q, and p[t] times the scale of value t over a chunk, become codes of
    step e: rne(x / e) with e = max(max |x| / 32767, sum |x| / S), where S is
    such that the codes' magnitudes, times the largest code of a cache, add up
    to less than 2^31:

        score[t] = i32(code(q) . code(k[t])) * scale(k[t]) * (e_q * scale)
        o        = i32(sum of code(p[t]) code(v[t])) * e_p

    slopes are in memory here, and bias as the kernel reads it: a row of D + 32
    for D distances, of which 16 times the last, then all from the last to the
    first, then 16 unused. So what is added to 16 scores is one load.

    Labels: those of cria.attention. fused_attention_c1: init has q's shape.
    fused_attention_c2: slopes has one element a head. fused_attention_c3: bias
    is heads x (D + 32) with D > 0.

    ```mlir
    %y = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>)
      layer %layer outs(%init : tensor<?x192xf32>) {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.176776692 : f32} -> tensor<?x192xf32>
    ```
  }];
  let arguments = (ins Cria_F32Rows2D:$q, Cria_AttentionCache:$keys, Cria_AttentionCache:$values,
    Cria_I32List:$positions, Cria_I32List:$sequences, Cria_I32Table:$tables,
    Optional<Cria_F32List>:$sinks, Optional<Cria_F32List>:$slopes, Optional<Cria_F32Rows2D>:$bias,
    Index:$layer, Cria_F32Rows2D:$init, I64Attr:$heads, I64Attr:$kv_heads, I64Attr:$head_dim, F32Attr:$scale,
    OptionalAttr<I64Attr>:$window, OptionalAttr<F32Attr>:$softcap);
  let results = (outs Variadic<2DTensorOf<[F32]>>:$results);
  let assemblyFormat = [{
    `ins` `(` $q `,` $keys `,` $values `,` $positions `,` $sequences `,` $tables `:` type($q) `,` type($keys) `,` type($values)
    `,` type($positions) `,` type($sequences) `,` type($tables) `)` (`sinks` `(` $sinks^ `:` type($sinks) `)`)?
    (`slopes` `(` $slopes^ `:` type($slopes) `)`)? (`bias` `(` $bias^ `:` type($bias) `)`)?
    `layer` $layer `outs` `(` $init `:` type($init) `)` attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = "::mlir::MutableOperandRange getDpsInitsMutable() { return getInitMutable(); }";
  let hasVerifier = 1;
}

def Cria_AttentionPartialsOp : Cria_KernelOp<"attention_partials", [AttrSizedOperandSegments]> {
  let summary = "what single KV chunks give to the attention of a token";
  let description = [{
    The part of `cria.fused_attention` that reads the KV cache, so that one
    token's chunks can go to several threads. A token at position p sees
    positions [lo, p], with lo as in `cria.attention`; its chunks are those of
    256 positions that hold one of them: chunk 0 holds lo. For token i, head h
    and each chunk c of `first` .. `first + C - 1` that the token has,

        m = max score[t],  p[t] = exp(score[t] - m)      t in chunk c
        init[i, h, c - first, 0 .. head_dim - 1]       = sum p[t] value[t]
        init[i, h, c - first, head_dim .. head_dim+15] = sums of p[t] with t % 16 = j
        init[i, h, c - first, head_dim + 16]           = m

    in the order of arithmetic of `cria.fused_attention`. The rest of init (the
    row's other 15 elements, chunks that a token does not have) is unspecified.

    Labels: attention_c1 to attention_c5 and attention_c7 as in cria.attention,
    fused_attention_c2 and fused_attention_c3. attention_partials_c1: init is n x heads x C x (head_dim + 32).

    ```mlir
    %y = cria.attention_partials ins(%q, %k, %v, %p, %s, %t : tensor<?x192xf32>, tensor<2x?x2x4x32x16xf16>, tensor<2x?x2x64x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>)
      layer %layer first %first outs(%init : tensor<?x6x32x64xf32>) {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.176776692 : f32} -> tensor<?x6x32x64xf32>
    ```
  }];
  let arguments = (ins Cria_F32Rows2D:$q, Cria_AttentionCache:$keys, Cria_AttentionCache:$values,
    Cria_I32List:$positions, Cria_I32List:$sequences, Cria_I32Table:$tables,
    Optional<Cria_F32List>:$slopes, Optional<Cria_F32Rows2D>:$bias,
    Index:$layer, Index:$first, Cria_RankedOf<[F32], [4]>:$init,
    I64Attr:$heads, I64Attr:$kv_heads, I64Attr:$head_dim, F32Attr:$scale,
    OptionalAttr<I64Attr>:$window, OptionalAttr<F32Attr>:$softcap);
  let results = (outs Variadic<TensorRankOf<[F32], [4]>>:$results);
  let assemblyFormat = [{
    `ins` `(` $q `,` $keys `,` $values `,` $positions `,` $sequences `,` $tables `:` type($q) `,` type($keys) `,` type($values)
    `,` type($positions) `,` type($sequences) `,` type($tables) `)`
    (`slopes` `(` $slopes^ `:` type($slopes) `)`)? (`bias` `(` $bias^ `:` type($bias) `)`)?
    `layer` $layer `first` $first `outs` `(` $init `:` type($init) `)` attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getInitMutable(); }
    /// They count once a token: in the merge.
    ::mlir::Value getSinks() { return {}; }
  }];
  let hasVerifier = 1;
}

def Cria_AttentionMergeOp : Cria_KernelOp<"attention_merge"> {
  let summary = "one attention result of a token's partials";
  let description = [{
    Merges the chunks of `cria.attention_partials` in ascending order:

        M' = max(M, m);  L, O = fma(exp(m - M'), {l, o}, exp(M - M') * {L, O})

    and divides: init[i, h] = O / sum of L. Both ops together give the bits of
    `cria.fused_attention`. The partials are those of all chunks from a token's
    first; positions and window say how many a token has.

    Labels: attention_merge_c1: partials are n x heads x C x (head_dim + 32)
    for the n x (heads * head_dim) of init and n positions, heads and head_dim
    positive. attention_merge_c2: window is positive. attention_merge_c3: sinks
    has one element a head.

    ```mlir
    %y = cria.attention_merge ins(%partials, %p : tensor<?x6x32x64xf32>, tensor<?xi32>) outs(%init : tensor<?x192xf32>) {heads = 6 : i64, head_dim = 32 : i64} -> tensor<?x192xf32>
    ```
  }];
  let arguments = (ins Cria_RankedOf<[F32], [4]>:$partials, Cria_I32List:$positions,
    Optional<Cria_F32List>:$sinks, Cria_F32Rows2D:$init, I64Attr:$heads,
    I64Attr:$head_dim, OptionalAttr<I64Attr>:$window);
  let results = (outs Variadic<2DTensorOf<[F32]>>:$results);
  let assemblyFormat = [{
    `ins` `(` $partials `,` $positions `:` type($partials) `,` type($positions) `)`
    (`sinks` `(` $sinks^ `:` type($sinks) `)`)? `outs` `(` $init `:` type($init) `)` attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = "::mlir::MutableOperandRange getDpsInitsMutable() { return getInitMutable(); }";
  let hasVerifier = 1;
}

def Cria_WeightSliceOp : Cria_Op<"weight_slice", [Pure]> {
  let summary = "rows [offset, offset + size) of a weight";
  let description = [{
    offset is a multiple of 16; size is the result's N, or, where that is
    `?`, whatever is left up to the source's N and the tile size.

    Labels: weight_slice_c1: both types are of rank 2 and differ in N only.
    weight_slice_c2: the result has at most the source's N.

    ```mlir
    %t = cria.weight_slice %w[%o] : !cria.weight<576x576, q4, block = 32, min, n16k4> to !cria.weight<64x576, q4, block = 32, min, n16k4>
    ```
  }];
  let arguments = (ins Cria_AnyWeight:$source, Index:$offset);
  let results = (outs Cria_AnyWeight:$result);
  let assemblyFormat = "$source `[` $offset `]` attr-dict `:` type($source) `to` type($result)";
  let hasVerifier = 1;
}

def Cria_WeightDataOp : Cria_Op<"weight_data", [Pure]> {
  let summary = "the arrays in which a weight is stored";
  let description = [{
    One memref per component of `WeightType::getStorage()`, strided with a
    dynamic offset. `cria-resolve-weights` replaces it by the entry function's
    weight arguments.

    Labels: weight_data_c1: one result per component. weight_data_c2: each
    has the component's type.

    ```mlir
    %c, %s = cria.weight_data %w : !cria.weight<64x64, q8, block = 32, none, rows>
      -> memref<64x2x32xi8, strided<[64, 32, 1], offset: ?>>, memref<64x2xf16, strided<[2, 1], offset: ?>>
    ```
  }];
  let arguments = (ins Cria_AnyWeight:$weight);
  let results = (outs Variadic<AnyMemRef>:$components);
  let assemblyFormat = "$weight attr-dict `:` type($weight) `->` type($components)";
  let hasVerifier = 1;
}

def Cria_Dot4Op : Cria_Op<"dot4", [Pure, AllTypesMatch<["acc", "result"]>]> {
  let summary = "16 sums of 4 unsigned times signed byte products";
  let description = [{
    `result[i] = acc[i] + sum_{j<4} u8(a[4i+j]) * s8(b[4i+j])`, exact in i32.
    `a_bits` bounds a (4 for nibbles, 6, 8): with 4 or 6 bits the pairwise
    16-bit sums of `vpmaddubsw` cannot saturate.

    Labels: dot4_c1: a_bits is 4, 6 or 8.

    ```mlir
    %r = cria.dot4 %acc, %a, %b {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
    ```
  }];
  let arguments = (ins VectorOfLengthAndType<[16], [I32]>:$acc,
    VectorOfLengthAndType<[64], [I8]>:$a, VectorOfLengthAndType<[64], [I8]>:$b, I64Attr:$a_bits);
  let results = (outs VectorOfLengthAndType<[16], [I32]>:$result);
  let builders = [OpBuilder<(ins "::mlir::Value":$acc, "::mlir::Value":$a, "::mlir::Value":$b, "int64_t":$aBits), [{
    build($_builder, $_state, acc.getType(), acc, a, b, $_builder.getI64IntegerAttr(aBits));
  }]>];
  let assemblyFormat = "$acc `,` $a `,` $b attr-dict `:` type($acc) `,` type($a) `,` type($b)";
  let hasVerifier = 1;
}

def Cria_Dot2Op : Cria_Op<"dot2", [Pure, AllTypesMatch<["acc", "result"]>]> {
  let summary = "16 sums of 2 products of bf16";
  let description = [{
    `result[i] = acc[i] + a[2i] * b[2i] + a[2i+1] * b[2i+1]` in f32. The order
    of the two additions, how often they round, and whether subnormals count as
    zero is the target's: for `--numerics fast` only.

    ```mlir
    %r = cria.dot2 %acc, %a, %b : vector<16xf32>, vector<32xbf16>, vector<32xbf16>
    ```
  }];
  let arguments = (ins VectorOfLengthAndType<[16], [F32]>:$acc,
    VectorOfLengthAndType<[32], [BF16]>:$a, VectorOfLengthAndType<[32], [BF16]>:$b);
  let results = (outs VectorOfLengthAndType<[16], [F32]>:$result);
  let assemblyFormat = "$acc `,` $a `,` $b attr-dict `:` type($acc) `,` type($a) `,` type($b)";
}

def Cria_Dot2I16Op : Cria_Op<"dot2_i16", [Pure, AllTypesMatch<["acc", "result"]>, AllTypesMatch<["a", "b"]>]> {
  let summary = "16 sums of 2 products of signed 16-bit integers";
  let description = [{
    `result[i] = acc[i] + a[2i] * b[2i] + a[2i+1] * b[2i+1]` in i32, exact: the
    two products of a pair and their sum with acc must not leave i32.

    ```mlir
    %r = cria.dot2_i16 %acc, %a, %b : vector<16xi32>, vector<32xi16>
    ```
  }];
  let arguments = (ins VectorOfLengthAndType<[16], [I32]>:$acc,
    VectorOfLengthAndType<[32], [I16]>:$a, VectorOfLengthAndType<[32], [I16]>:$b);
  let results = (outs VectorOfLengthAndType<[16], [I32]>:$result);
  let assemblyFormat = "$acc `,` $a `,` $b attr-dict `:` type($acc) `,` type($a)";
}

def Cria_DotTileOp : Cria_Op<"dot_tile"> {
  let summary = "One block of K of 16 tokens times panels of 16 rows, in bytes";
  let description = [{
    For each panel p, token t and row i, exact in i32:
    `out[p][t][i] = sum_{w<8, j<4} u8(codes[p][w][4i+j]) * s8(byte j of acts[token + t][word + w])`.

    A panel is 8 vectors of the n16k4 layout, unpacked to bytes; it is at once
    the B operand of AMX's byte products (8 rows of 64 bytes), 16 words of 16
    rows of `acts` are the A operand, and `out` the sums.

    Labels: dot_tile_c1: codes is memref<Px8x64xi8> and out memref<Px16x16xi32>
    with the same P. dot_tile_c2: the words of a row of acts, the bytes of
    codes and the sums of out are contiguous.

    ```mlir
    cria.dot_tile %acts[%t, %w], %codes, %out : memref<?x144xi32>, memref<2x8x64xi8>, memref<2x16x16xi32>
    ```
  }];
  let arguments = (ins Arg<MemRefRankOf<[I32], [2]>, "", [MemRead]>:$acts, Index:$token, Index:$word,
    Arg<MemRefRankOf<[I8], [3]>, "", [MemRead]>:$codes, Arg<MemRefRankOf<[I32], [3]>, "", [MemWrite]>:$out);
  let assemblyFormat = "$acts `[` $token `,` $word `]` `,` $codes `,` $out attr-dict `:` type($acts) `,` type($codes) `,` type($out)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    static constexpr int64_t kTokens = 16, kWords = 8;
    int64_t getPanels() { return getCodes().getType().getDimSize(0); }
  }];
}

def Cria_DotTile2Op : Cria_Op<"dot_tile2"> {
  let summary = "All of K of 16 tokens times panels of 16 rows, in bf16";
  let description = [{
    For each panel p, token t and row i, the sum over all words w of K, as of
    cria.dot2 in an order of the target's:
    `out[p][t][i] = sum_w dot2(weights[panel + p][w], acts[token + t][w])[i]`.

    A panel is of the n16k2 layout: 16 of its words are at once the B operand
    of AMX's products of bf16 pairs; 16 words of 16 rows of `acts`, each a pair
    (`bf16` of cria.rows), are the A operand, and `out` the sums.

    Labels: dot_tile2_c1: weights is memref<NxWx32xbf16> with a known W and out
    memref<Px16x16xf32>. dot_tile2_c2: the words of a row of acts, a panel and
    the sums of out are contiguous.

    ```mlir
    cria.dot_tile2 %acts[%t], %weights[%g], %out : memref<?x576xf32>, memref<4x288x32xbf16>, memref<2x16x16xf32>
    ```
  }];
  let arguments = (ins Arg<MemRefRankOf<[F32], [2]>, "", [MemRead]>:$acts, Index:$token,
    Arg<MemRefRankOf<[BF16], [3]>, "", [MemRead]>:$weights, Index:$panel,
    Arg<MemRefRankOf<[F32], [3]>, "", [MemRead, MemWrite]>:$out);
  let assemblyFormat = "$acts `[` $token `]` `,` $weights `[` $panel `]` `,` $out attr-dict `:` type($acts) `,` type($weights) `,` type($out)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    static constexpr int64_t kTokens = 16, kWords = 16;
    int64_t getPanels() { return getOut().getType().getDimSize(0); }
  }];
}

def Cria_ThreadIdOp : Cria_Op<"thread_id", [Pure]> {
  let summary = "index of the calling thread, in [0, cria.num_threads)";
  let description = [{
    ```mlir
    %i = cria.thread_id
    ```
  }];
  let results = (outs Index:$result);
  let assemblyFormat = "attr-dict";
}

def Cria_NumThreadsOp : Cria_Op<"num_threads", [Pure]> {
  let summary = "threads that run this forward pass";
  let description = [{
    ```mlir
    %n = cria.num_threads
    ```
  }];
  let results = (outs Index:$result);
  let assemblyFormat = "attr-dict";
}

def Cria_BarrierOp : Cria_Op<"barrier"> {
  let summary = "waits until every thread of the forward pass is here";
  let description = [{
    Memory written before it by any thread is seen after it by all.

    ```mlir
    cria.barrier
    ```
  }];
  let assemblyFormat = "attr-dict";
}

def Cria_StampOp : Cria_Op<"stamp"> {
  let summary = "counts the time since the thread's last stamp for an op";
  let description = [{
    `op` is the index of an entry of the module's `cria.profile`, which
    `cria-profile` makes; one past the last only starts the clock. Each thread
    has counters of its own, so that a stamp costs a few loads and stores and
    one look at the processor's time counter.

    ```mlir
    cria.stamp 3
    ```
  }];
  let arguments = (ins ConfinedAttr<I64Attr, [IntNonNegative]>:$op);
  let assemblyFormat = "$op attr-dict";
}

#endif // CRIA_KERNEL_OPS_TD
