// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Generation.h"

#include <algorithm>
#include <cinttypes>
#include <exception>

namespace cria::tools {

namespace {

/// What becomes of the logits, token by token.
struct Chooser {
  const cria_tokenizer *Tokenizer;
  cria_sampler *Sampler;
  const std::function<void(int32_t)> &Push;
  int64_t Wanted;
  std::vector<int32_t> Tokens;
  bool Ended = false;
  std::exception_ptr Thrown;

  /// The token to feed next, unless Ended.
  int32_t operator()(const float *Logits) {
    int32_t Token;
    cria_error Error;
    check(cria_sampler_sample(Sampler, Logits, &Token, &Error), Error);
    if (cria_tokenizer_is_eos(Tokenizer, Token)) {
      Ended = true;
      return Token;
    }
    cria_sampler_accept(Sampler, Token);
    Tokens.push_back(Token);
    Push(Token);
    Ended = static_cast<int64_t>(Tokens.size()) == Wanted;
    return Token;
  }
};

/// No exception may pass through C.
cria_status chooseNext(void *Context, float *Logits, int32_t *Token, int *Stop,
                       cria_error *) {
  auto &Choose = *static_cast<Chooser *>(Context);
  try {
    *Token = Choose(Logits);
    *Stop = Choose.Ended;
    return CRIA_OK;
  } catch (...) {
    Choose.Thrown = std::current_exception();
    return CRIA_INVALID_DATA;
  }
}

} // namespace

SamplerPtr openSampler(const cria_sampler_params &Params,
                       const cria_model *Model) {
  cria_sampler *Made;
  cria_error Error;
  check(cria_sampler_create(&Params, static_cast<int32_t>(Model->vocab), &Made,
                            &Error),
        Error);
  return SamplerPtr(Made);
}

LookupPtr openLookup(int64_t Draft, int64_t Length) {
  if (!Draft)
    return nullptr;
  cria_lookup_options Wanted;
  cria_lookup_options_init(&Wanted);
  Wanted.max_draft = Draft;
  Wanted.capacity = Length;
  cria_lookup *Made;
  cria_error Error;
  check(cria_lookup_create(&Wanted, &Made, &Error), Error);
  return LookupPtr(Made);
}

cria_session_options optionsFor(const cria_model *Model, int64_t PromptSize,
                                int64_t Count, int64_t Draft) {
  if (PromptSize > Model->context)
    throw Failure{format("-p: the prompt has %" PRId64
                         " tokens; the model is compiled for a context of "
                         "%" PRId64 " (cria compile --context)",
                         PromptSize, Model->context)};
  cria_session_options Wanted;
  cria_session_options_init(&Wanted);
  int64_t Room = Model->context - PromptSize;
  Wanted.capacity = PromptSize + (Count < 0 ? Room : std::min(Room, Count));
  Wanted.max_logits = 1 + Draft;
  return Wanted;
}

Generated generate(cria_session *Session, const std::vector<int32_t> &Prompt,
                   int64_t Count, const cria_tokenizer *Tokenizer,
                   cria_sampler *Sampler, cria_lookup *Lookup,
                   const std::function<void(int32_t)> &Push) {
  Generated Result;
  int64_t Context = cria_session_model(Session)->context;
  int64_t PromptSize = static_cast<int64_t>(Prompt.size());
  float *Logits;
  cria_error Error;
  double Start = secondsNow();
  check(cria_session_forward(Session, PromptSize, Prompt.data(), nullptr,
                             nullptr, &Logits, &Error),
        Error);
  double Prefilled = secondsNow();
  for (int32_t Token : Prompt)
    cria_sampler_accept(Sampler, Token);
  cria_lookup_append(Lookup, Prompt.data(), PromptSize);

  Chooser Choose{Tokenizer, Sampler, Push, Count, {}, false, nullptr};
  if (Count == 0)
    Choose.Ended = true;
  int32_t Token = Choose.Ended ? 0 : Choose(Logits);
  while (!Choose.Ended) {
    int64_t Room = Context - cria_session_length(Session, 0);
    if ((Result.Full = Room == 0))
      break;
    if (!Lookup) {
      check(cria_session_forward(Session, 1, &Token, nullptr, nullptr, &Logits,
                                 &Error),
            Error);
      Token = Choose(Logits);
      continue;
    }
    int64_t Made = static_cast<int64_t>(Choose.Tokens.size());
    int64_t Most = Count < 0 ? Room : std::min(Room, Count - Made), Chosen;
    int32_t Tokens[1 + CRIA_LOOKUP_LONGEST_DRAFT];
    cria_status Status =
        cria_lookup_step(Lookup, Session, 0, Token, Most, chooseNext, &Choose,
                         Tokens, &Chosen, &Error);
    if (Choose.Thrown)
      std::rethrow_exception(Choose.Thrown);
    check(Status, Error);
    Token = Tokens[Chosen - 1];
  }
  Result.Tokens = std::move(Choose.Tokens);
  Result.Decoded = cria_session_length(Session, 0) - PromptSize;
  Result.PrefillSeconds = Prefilled - Start;
  Result.DecodeSeconds = secondsNow() - Prefilled;
  return Result;
}

std::string lookupText(const cria_lookup *Lookup) {
  cria_lookup_stats Stats;
  cria_lookup_get_stats(Lookup, &Stats);
  double Runs = static_cast<double>(std::max<int64_t>(1, Stats.runs));
  return format("%" PRId64 " runs, %.2f tokens each; %" PRId64 " of %" PRId64
                " drafted tokens right",
                Stats.runs,
                static_cast<double>(Stats.runs + Stats.right) / Runs,
                Stats.right, Stats.drafted);
}

} // namespace cria::tools
