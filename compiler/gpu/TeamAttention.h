// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which attention cria-vectorize-team-attention takes.

#ifndef CRIA_COMPILER_GPU_TEAMATTENTION_H
#define CRIA_COMPILER_GPU_TEAMATTENTION_H

#include "dialect/CriaOps.h"

namespace cria {

/// Whether tensor cores take an attention: caches of f16 or bf16, a head_dim
/// that is a multiple of 16 up to 256, and heads of a kv head that fit into a
/// tile. It is the same for a model's prompts and single tokens, whose bits
/// must agree.
bool isForTensorCores(FusedAttentionOp op);
bool isForTensorCores(AttentionPartialsOp op);

/// Tokens of a task of a team: what a tile has rows for.
int64_t teamAttentionTokens(FusedAttentionOp op);

} // namespace cria

#endif // CRIA_COMPILER_GPU_TEAMATTENTION_H
