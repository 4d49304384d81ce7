// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef CRIA_ATTRS_TD
#define CRIA_ATTRS_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "CriaDialect.td"

class Cria_Enum<string name, string summary, list<I32EnumCase> cases>
    : I32Enum<name, summary, cases> {
  let cppNamespace = "::cria";
}
class Cria_EnumAttr<EnumInfo info, string mnemonic>
    : EnumAttr<Cria_Dialect, info, mnemonic>;

def Cria_NormKind : Cria_Enum<"NormKind", "how a row is normalised", [
  I32EnumCase<"rms", 0>, I32EnumCase<"layer", 1>, I32EnumCase<"per_head", 2>,
  I32EnumCase<"layer_per_head", 3>]>;
def Cria_NormKindAttr : Cria_EnumAttr<Cria_NormKind, "norm_kind">;

def Cria_ActivationKind : Cria_Enum<"ActivationKind", "elementwise non-linearity", [
  I32EnumCase<"relu", 0>, I32EnumCase<"gelu", 1>, I32EnumCase<"gelu_tanh", 2>,
  I32EnumCase<"silu", 3>, I32EnumCase<"relu2", 4>]>;
def Cria_ActivationKindAttr : Cria_EnumAttr<Cria_ActivationKind, "act">;

def Cria_PositionKind : Cria_Enum<"PositionKind", "absolute position encoding", [
  I32EnumCase<"learned", 0>, I32EnumCase<"sinusoidal", 1>]>;
def Cria_PositionKindAttr : Cria_EnumAttr<Cria_PositionKind, "position_kind">;

def Cria_CacheRole : Cria_Enum<"CacheRole", "which half of the KV cache", [
  I32EnumCase<"key", 0>, I32EnumCase<"value", 1>]>;
def Cria_CacheRoleAttr : Cria_EnumAttr<Cria_CacheRole, "role">;

def Cria_RopePairs : Cria_Enum<"RopePairs", "which two elements of a head rotate together", [
  I32EnumCase<"half", 0>, I32EnumCase<"interleaved", 1>]>;
def Cria_RopeScaling : Cria_Enum<"RopeScaling", "how rope frequencies are scaled past the trained context", [
  I32EnumCase<"none", 0>, I32EnumCase<"linear", 1>, I32EnumCase<"ntk", 2>,
  I32EnumCase<"yarn", 3>, I32EnumCase<"llama3", 4>, I32EnumCase<"longrope", 5>]>;

def Cria_ElementKind : Cria_Enum<"ElementKind", "element type of a weight", [
  I32EnumCase<"f32", 0>, I32EnumCase<"f16", 1>, I32EnumCase<"bf16", 2>,
  I32EnumCase<"q8", 3>, I32EnumCase<"q4", 4>, I32EnumCase<"q6", 5>]>;
def Cria_OffsetKind : Cria_Enum<"OffsetKind", "what is added to scale * code", [
  I32EnumCase<"none", 0>, I32EnumCase<"zero_point", 1>, I32EnumCase<"min", 2>]>;
def Cria_WeightLayout : Cria_Enum<"WeightLayout", "order of a weight's elements in memory", [
  I32EnumCase<"rows", 0>, I32EnumCase<"n16", 1>, I32EnumCase<"n16k2", 2>,
  I32EnumCase<"n16k4", 3>]>;

def Cria_ExtraKind : Cria_Enum<"ExtraKind", "how an epilogue operand is read at tile (token, 16 rows)", [
  I32EnumCase<"elementwise", 0>, I32EnumCase<"bias", 1>, I32EnumCase<"rope", 2>]>;
def Cria_ExtraKindAttr : Cria_EnumAttr<Cria_ExtraKind, "extra">;

def Cria_OutKind : Cria_Enum<"OutKind", "where an epilogue's result tile goes", [
  I32EnumCase<"rows", 0>, I32EnumCase<"key", 1>, I32EnumCase<"value", 2>]>;
def Cria_OutKindAttr : Cria_EnumAttr<Cria_OutKind, "out">;

/// An f64 that a default may stand for.
class Cria_Float<string value> : APFloatParameter<""> {
  let defaultValue = "::llvm::APFloat(" # value # ")";
}

def Cria_RopeAttr : AttrDef<Cria_Dialect, "Rope"> {
  let mnemonic = "rope";
  let summary = "rotary position embedding: pair layout, frequencies, scaling";
  let description = [{
    Element pairs (2i, 2i+1) for `interleaved`, (i, i + dims/2) for `half`, of
    the first `dims` elements of every head rotate by `position * freq[i]`
    with `freq[i] = base^(-2i/dims)` before scaling (Su et al. 2021, eq. 15).
    The remaining `head_dim - dims` elements pass unchanged.

    | scaling | parameters used |
    |---|---|
    | `none` | |
    | `linear` | factor |
    | `ntk` | factor, original_context (dynamic NTK: base grows with length past it) |
    | `yarn` | factor, original_context, beta_fast, beta_slow, attention_factor (0: 0.1 ln(factor) + 1), truncate |
    | `llama3` | factor, original_context, low_freq_factor, high_freq_factor |
    | `longrope` | original_context, max_context, attention_factor (0: from max_context), short_factors, long_factors (dims/2 each) |

    Labels: rope_a1: dims is even and positive. rope_a2: base > 0.
    rope_a3: factor > 0. rope_a4: ntk, yarn, llama3, longrope need
    original_context > 0, and longrope max_context or attention_factor.
    rope_a5: longrope has dims/2 short and long factors, positive and finite;
    no other scaling has any. rope_a6: llama3 has high_freq_factor >
    low_freq_factor > 0. rope_a7: floats are finite f64; attention_factor and
    the contexts are not negative. rope_a8: yarn has beta_fast >= beta_slow >
    0.

    ```mlir
    #cria.rope<pairs = half, base = 1.000000e+04, dims = 64>
    #cria.rope<pairs = interleaved, base = 5.000000e+05, dims = 128,
               scaling = llama3, factor = 8.000000e+00, original_context = 8192,
               low_freq_factor = 1.000000e+00, high_freq_factor = 4.000000e+00>
    ```
  }];
  let parameters = (ins
    EnumParameter<Cria_RopePairs>:$pairs,
    APFloatParameter<"">:$base,
    "int64_t":$dims,
    DefaultValuedParameter<"::cria::RopeScaling", "::cria::RopeScaling::none">:$scaling,
    Cria_Float<"1.0">:$factor,
    DefaultValuedParameter<"int64_t", "0">:$original_context,
    DefaultValuedParameter<"int64_t", "0">:$max_context,
    Cria_Float<"32.0">:$beta_fast,
    Cria_Float<"1.0">:$beta_slow,
    Cria_Float<"1.0">:$low_freq_factor,
    Cria_Float<"4.0">:$high_freq_factor,
    Cria_Float<"0.0">:$attention_factor,
    DefaultValuedParameter<"bool", "true">:$truncate,
    OptionalArrayRefParameter<"double">:$short_factors,
    OptionalArrayRefParameter<"double">:$long_factors
  );
  // Hand-written: APFloat has no FieldParser, and defaults are left out.
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

#endif // CRIA_ATTRS_TD
