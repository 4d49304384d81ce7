// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The cria dialect: decoder-only transformers of the Llama family.

#ifndef CRIA_DIALECT_TD
#define CRIA_DIALECT_TD

include "mlir/IR/OpBase.td"

def Cria_Dialect : Dialect {
  let name = "cria";
  let cppNamespace = "::cria";
  let summary = "Decoder-only transformers, from the model's own terms down to kernels";
  let description = [{
    Two groups of ops share the dialect.

    *Model ops* (`CriaOps.td`) say what a model computes: `embed`, `linear`,
    `norm`, `rope`, `position`, `activation`, `glu`, `attention`,
    `relative_bias`, `kv_append`, `softcap`, `add`, `scale`, `select_rows`. They work on tensors, carry their
    meaning in attributes and have a plain lowering to linalg in f32 that
    defines them.

    *Kernel ops* (`CriaKernelOps.td`) say how it is computed: destination
    style, quantised activations, fused epilogues, tiles. They work on tensors
    and, after bufferization, on memrefs.

    Shapes: `n` is the number of tokens in the batch, `d` the model width.
    A batch is ragged: token i has `positions[i]`, `sequences[i]` and the
    physical KV slot `slots[i]`. The KV cache is paged; a page holds 64
    positions of one sequence. Keys are stored `[layer][page][kv_head][block]
    [head_dim][16]` (positions as lanes, so that a score needs no horizontal
    sum), values `[layer][page][kv_head][64][head_dim]`. `tables[s][p]` is the
    page that holds positions 64p to 64p+63 of sequence s.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect",
    "::mlir::affine::AffineDialect"
  ];
  let extraClassDeclaration = [{
    /// Positions in one page of the KV cache.
    static constexpr int64_t kPageTokens = 64;
    /// Output rows (or positions) that one vector holds.
    static constexpr int64_t kLanes = 16;
    /// Positions of a chunk, the unit in which attention is summed up.
    static constexpr int64_t kChunkTokens = 256;
    /// Elements past head_dim in a row of partials: sums, maximum, padding.
    static constexpr int64_t kPartialExtra = 32;
    /// Activations that share a scale, and the codes that meet them; those of
    /// q6 have a scale of their own per half (WeightType::getBlock).
    static constexpr int64_t kQuantBlock = 32;
    /// Codes of q6 that share the f16 factor of their scales.
    static constexpr int64_t kSuperBlock = 256;
  private:
    void registerAttributes();
    void registerTypes();
  public:
  }];
}

#endif // CRIA_DIALECT_TD
