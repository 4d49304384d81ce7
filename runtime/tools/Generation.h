// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Continuing a prompt in sequence 0 of a session, for `cria run` and for
// `cria bench --lookup`.
#ifndef CRIA_TOOLS_GENERATION_H
#define CRIA_TOOLS_GENERATION_H

#include "tools/Common.h"

#include "cria/lookup.h"
#include "cria/sampler.h"

#include <functional>

namespace cria::tools {

using SamplerPtr =
    std::unique_ptr<cria_sampler, Release<cria_sampler, cria_sampler_free>>;
using LookupPtr =
    std::unique_ptr<cria_lookup, Release<cria_lookup, cria_lookup_free>>;

SamplerPtr openSampler(const cria_sampler_params &Params,
                       const cria_model *Model);

/// For drafts of up to `Draft` tokens in a text of up to `Length`; null where
/// `Draft` is 0.
LookupPtr openLookup(int64_t Draft, int64_t Length);

/// Session options for a prompt and what may follow it; `Count` of -1 is as
/// much as fits. Throws a Failure for a prompt that is too long.
cria_session_options optionsFor(const cria_model *Model, int64_t PromptSize,
                                int64_t Count, int64_t Draft);

struct Generated {
  std::vector<int32_t> Tokens; // without the one that ends a text
  bool Full = false;           // ended because the context is full
  int64_t Decoded = 0;         // tokens behind the prompt that were fed
  double PrefillSeconds = 0, DecodeSeconds = 0;
};

/// Generates up to `Count` tokens; -1: until the model ends the text or the
/// context is full. `Push` sees each as it comes. `Lookup` may be null.
Generated generate(cria_session *Session, const std::vector<int32_t> &Prompt,
                   int64_t Count, const cria_tokenizer *Tokenizer,
                   cria_sampler *Sampler, cria_lookup *Lookup,
                   const std::function<void(int32_t)> &Push);

/// "34 runs, 2.61 tokens each; 80 of 120 drafted tokens right".
std::string lookupText(const cria_lookup *Lookup);

} // namespace cria::tools

#endif // CRIA_TOOLS_GENERATION_H
