// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef CRIA_TYPES_TD
#define CRIA_TYPES_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinTypeInterfaces.td"
include "CriaAttrs.td"

def Cria_WeightType : TypeDef<Cria_Dialect, "Weight"> {
  let mnemonic = "weight";
  let summary = "a weight matrix: logical shape, quantisation and memory layout";
  let description = [{
    `shape` is `NxK` (N output rows, K inputs) or `LxNxK` when stacked over
    layers; N may be `?` for a slice. A quantised weight stores, per row and
    block of `block` consecutive k, one f16 scale and, with offset `min`, one
    f16 minimum:

        value = scale * code                (none;       code signed)
        value = scale * (code - zero)       (zero_point; code unsigned, zero 8 for q4, 32 for q6, 128 for q8)
        value = scale * code + min          (min;        code unsigned)

    The scale of q6 is a product, exact in f32, of an i8 per block of 16
    (`subscales`) and an f16 per 256 (`scales`): ggml's Q6_K, bit for bit.

    Layouts (NB = ceil(N/16), KB = ceil(K/32), SB = ceil(K/256); padding rows
    and columns hold codes that decode to 0):

    | layout | elements | storage |
    |---|---|---|
    | rows | any | float: [N][K]; q8: codes [N][KB][32] (i8, code - 128 for zero_point), q4: codes [N][KB][16], byte j = code j low nibble, code j+16 high; scales, mins [N][KB] |
    | rows | q6 | codes [N][KB][24]: 16 bytes as of q4 with the low 4 bits, then byte j = the high 2 bits of codes j, j+8, j+16, j+24 from bit 0 on; scales [N][SB], subscales [N][KB][2] |
    | n16 | f32, f16 | [NB][K][16] |
    | n16k2 | bf16 | [NB][ceil(K/2)][16][2] |
    | n16k4 | q8 | codes [NB][KB][8][16][4] (u8), scales, mins [NB][KB][16] |
    | n16k4 | q4 | codes [NB][KB][4][16][4], vector v = k group v (k = 4v..4v+3) low nibble, group v+4 high; scales, mins [NB][KB][16] |
    | n16k4 | q6 | codes [NB][KB][6][16][4]: 4 vectors as of q4, then vector 4 (5) = the high 2 bits of the even (odd) k groups, the lowest group from bit 0 on; scales [NB][SB][16], subscales [NB][KB][2][16] |

    One 64-byte vector of n16k4 is 16 rows x 4 consecutive k: the operand of
    `vpdpbusd`, the B tile row of AMX int8, two AVX2 halves.

    Labels: weight_t1: rank 2 or 3. weight_t2: q4 and q8 have a block of 32,
    q6 of 16 and float types none (0). weight_t3: n16 holds f32 or f16, n16k2
    bf16, n16k4 q4, q6 or q8. weight_t4: float types have no offset, q8 n16k4
    and q4 have zero_point or min, and q6 has zero_point. weight_t5: dimensions are positive; only N
    may be dynamic; there are at most 2^48 elements.

    ```mlir
    !cria.weight<576x1536, q4, block = 32, min, n16k4>
    !cria.weight<30x576x576, q8, block = 32, zero_point, rows>
    !cria.weight<576x1536, q6, block = 16, zero_point, n16k4>
    !cria.weight<64x128, bf16, n16k2>
    ```
  }];
  let parameters = (ins
    ArrayRefParameter<"int64_t">:$shape,
    "ElementKind":$element,
    "int64_t":$block,
    "OffsetKind":$offset,
    "WeightLayout":$layout
  );
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// One array of the storage: its name suffix ("", "codes", "scales",
    /// "mins", "subscales") and memref type (static unless N is dynamic).
    struct Component { ::llvm::StringRef suffix; ::mlir::MemRefType type; };
    ::llvm::SmallVector<Component> getStorage() const;
    bool isStacked() const { return getShape().size() == 3; }
    /// Codes of `element` that share a scale; 0 for floats.
    static int64_t blockOf(ElementKind element);
    bool isQuantized() const { return blockOf(getElement()) != 0; }
    /// Scales that a block of 32 activations meets in a row.
    int64_t getScalesPerBlock() const { return CriaDialect::kQuantBlock / getBlock(); }
    int64_t getN() const { return getShape()[getShape().size() - 2]; }
    int64_t getK() const { return getShape().back(); }
    /// Without the leading layer dimension.
    WeightType getLayerType() const;
    WeightType withN(int64_t n) const;
    WeightType withLayout(WeightLayout layout) const;
    /// 8 for q4, 32 for q6, 128 for q8, with offset zero_point; 0 otherwise.
    int64_t getZeroPoint() const;
  }];
}

#endif // CRIA_TYPES_TD
