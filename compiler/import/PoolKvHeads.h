// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Fewer kv heads: MHA to GQA or MQA as Ainslie et al. 2023 (GQA, section 2.1)
// convert a checkpoint, by mean-pooling the projections of K and V.
#ifndef CRIA_COMPILER_IMPORT_POOLKVHEADS_H
#define CRIA_COMPILER_IMPORT_POOLKVHEADS_H

#include "compiler/import/DecoderDescription.h"
#include "compiler/import/Import.h"

namespace cria {

/// Where options.kvHeads asks for it: each kv head becomes the mean of the
/// consecutive kv heads whose queries it will serve, its weights, biases and
/// norms alike. Exact where those heads are equal. Reads all of them once, to
/// tell. An Error names what is accepted.
llvm::Expected<std::optional<KvPooling>>
poolKvHeads(DecoderDescription &model, const TensorSource &source,
            const ImportOptions &options);

/// Lines for people. The KV cache has `bytes` for each token now, and a decode
/// step reads `weightBytes` of weights beside it; `context` is the depth that
/// the text tells of. It gives bytes and their share, no times: those are
/// measured, by the command that it names.
std::string poolingText(const KvPooling &pooling, int64_t bytes,
                        int64_t context, uint64_t weightBytes);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_POOLKVHEADS_H
