// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria run: generated text on stdout as it comes, all else on stderr.
#include "tools/Cache.h"
#include "tools/Commands.h"
#include "tools/Generation.h"

#include <cinttypes>
#include <cstdio>

namespace cria::tools {

namespace {

struct Options {
  ModelChoice Model;
  std::string Clone; // empty: the best
  std::string Prompt;
  int64_t Count = 256; // -1: until the model ends or the context is full
  int64_t Threads = 0;
  std::string Device = "auto";
  int64_t Lookup = 0; // the longest draft; 0: none
  int64_t TopK = 0;
  cria_sampler_params Sampling;
};

/// Tokens to text on stdout.
class TextStream {
public:
  explicit TextStream(const cria_tokenizer *Tokenizer)
      : Tokenizer(Tokenizer), Buffer(cria_decoder_max_bytes(Tokenizer)) {
    cria_decoder_init(Tokenizer, 0, &Decoder);
  }

  void push(int32_t Token) {
    // Models pad their vocabulary; such ids have no text.
    size_t Size = 0;
    if (!cria_tokenizer_token_text(Tokenizer, Token, &Size))
      return;
    cria_error Error;
    check(cria_decoder_push(Tokenizer, &Decoder, Token, Buffer.data(),
                            Buffer.size(), &Size, &Error),
          Error);
    print({Buffer.data(), Size});
  }

  void finish() {
    size_t Size = 0;
    cria_error Error;
    check(cria_decoder_finish(&Decoder, Buffer.data(), Buffer.size(), &Size,
                              &Error),
          Error);
    print({Buffer.data(), Size});
    print("\n");
  }

private:
  const cria_tokenizer *Tokenizer;
  cria_decoder Decoder;
  std::vector<char> Buffer;
};

void report(const char *Phase, int64_t Tokens, double Seconds) {
  if (Tokens > 0)
    std::fprintf(stderr,
                 "%-8s %6" PRId64 " tokens in %8.3f s  %9.2f tokens/s\n", Phase,
                 Tokens, Seconds, Tokens / std::max(Seconds, 1e-9));
}

void run(const Options &Chosen) {
  if (Chosen.Prompt.empty())
    throw Failure{"-p: the prompt is empty; give at least one character"};
  std::string Dir = resolveModel(Chosen.Model);
  TokenizerPtr Tokenizer = openTokenizer(Dir, "run");
  std::vector<int32_t> Prompt = encodePrompt(Tokenizer.get(), Chosen.Prompt);
  int64_t PromptSize = static_cast<int64_t>(Prompt.size());
  if (Prompt.empty())
    throw Failure{"-p: the prompt gives no tokens"};
  ArtifactPtr Artifact = openArtifact(Dir);
  const cria_model *Model = cria_artifact_model(Artifact.get());
  cria_session_options Wanted =
      optionsFor(Model, PromptSize, Chosen.Count, Chosen.Lookup);
  Wanted.threads = Chosen.Threads;
  Wanted.clone = Chosen.Clone.empty() ? nullptr : Chosen.Clone.c_str();
  Wanted.device = Chosen.Device.c_str();
  // Made first: it refuses bad parameters before the prompt costs time.
  SamplerPtr Sampler = openSampler(Chosen.Sampling, Model);
  LookupPtr Lookup = openLookup(Chosen.Lookup, Wanted.capacity);
  SessionPtr Session = openSession(Artifact.get(), Wanted);

  TextStream Text(Tokenizer.get());
  Generated Result = generate(Session.get(), Prompt, Chosen.Count,
                              Tokenizer.get(), Sampler.get(), Lookup.get(),
                              [&](int32_t Token) { Text.push(Token); });
  Text.finish();
  if (Result.Full)
    note(format("stopped: the context of %" PRId64 " tokens is full",
                Model->context));
  report("prefill", PromptSize, Result.PrefillSeconds);
  report("decode", Result.Decoded, Result.DecodeSeconds);
  if (Lookup)
    std::fprintf(stderr, "%-8s %s\n", "lookup",
                 lookupText(Lookup.get()).c_str());
  if (uint64_t Peak = peakMemory())
    std::fprintf(
        stderr, "memory   %s at most: weights %s, KV cache up to %s\n",
        bytesText(static_cast<double>(Peak)).c_str(),
        bytesText(static_cast<double>(Model->weights_bytes)).c_str(),
        bytesText(static_cast<double>(cacheBytes(Session.get(), Model)))
            .c_str());
}

} // namespace

Action addRun(Arguments &Declared) {
  auto Chosen = std::make_shared<Options>();
  cria_sampler_params_init(&Chosen->Sampling);
  cria_sampler_params &Sampling = Chosen->Sampling;
  Sampling.penalty_last_n = 64;
  addModelOptions(Declared, Chosen->Model);
  Declared.text("-p,--prompt", "PROMPT", Chosen->Prompt, "The text to continue",
                Arguments::Required);
  Declared.number("-n,--count", "N", Chosen->Count, -1, INT32_MAX,
                  "Tokens to generate; -1: as many as fit (default: 256)");
  Declared.number("-t,--threads", "THREADS", Chosen->Threads, 1, 1024,
                  "Threads (default: one a physical core)");
  Declared.optionalNumber("--lookup", "[N]", Chosen->Lookup,
                          CRIA_LOOKUP_MAX_DRAFT, 1, CRIA_LOOKUP_LONGEST_DRAFT,
                          "Draft up to N tokens (default: 15) from what the "
                          "text holds already and check them in one run: the "
                          "same text, sooner where it repeats itself");
  Declared.text("--clone", "T", Chosen->Clone,
                "Run the clone for target T (default: the best for this "
                "processor)");
  addDeviceOption(Declared, Chosen->Device);
  Declared.number("--temp", "T", Sampling.temperature,
                  "Temperature; 0 takes the likeliest token (default: 0)");
  Declared.number("--seed", "S", Sampling.seed,
                  "Seed of the random choice (default: 0)");
  Declared.number("--top-k", "K", Chosen->TopK, 0, INT32_MAX,
                  "Choose among the K likeliest tokens; 0: all (default)");
  Declared.number("--top-p", "P", Sampling.top_p,
                  "Choose among the likeliest tokens that together have "
                  "probability P; 1: all (default)");
  Declared.number("--min-p", "P", Sampling.min_p,
                  "Leave out tokens less than P times as likely as the "
                  "likeliest; 0: none (default)");
  Declared.number("--repeat-penalty", "R", Sampling.repetition_penalty,
                  "Make the last 64 tokens less likely; 1: off (default)");
  Declared.footer(
      "Examples:\n"
      "  cria run smollm2 -p \"The capital of France is\" -n 32\n"
      "  cria run model.gguf -p \"Once upon a time\" --temp 0.8 --seed 7 -t 4\n"
      "The text goes to standard output as it comes, everything else to "
      "standard\nerror. The prompt is used as it is: special tokens in it are "
      "recognised, no\nchat template is applied.");
  return [Chosen] {
    Chosen->Sampling.top_k = static_cast<int32_t>(Chosen->TopK);
    run(*Chosen);
  };
}

} // namespace cria::tools
