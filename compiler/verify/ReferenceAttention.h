// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The reference kernels of attention; see ReferenceKernels.h.

#ifndef CRIA_COMPILER_VERIFY_REFERENCEATTENTION_H
#define CRIA_COMPILER_VERIFY_REFERENCEATTENTION_H

#include "compiler/verify/ReferenceBuffer.h"
#include "dialect/CriaOps.h"

namespace cria {

void runAttention(FusedAttentionOp op, RecordReader reader);
void runAttention(AttentionPartialsOp op, RecordReader reader);
void runAttention(AttentionMergeOp op, RecordReader reader);

} // namespace cria

#endif // CRIA_COMPILER_VERIFY_REFERENCEATTENTION_H
