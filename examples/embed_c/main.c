/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * Generates text with a model whose code is part of this program. What it
 * reads at run time are the weights and the tokenizer beside the code:
 *
 *   embed DIR PROMPT [TOKENS]
 *
 * README.md has the lines that build it.
 */
#include "model.h" /* made by cria compile */

#include "cria/cria.h"
#include "cria/sampler.h"
#include "cria/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 1024 };

static int fail(const char *message) {
  fprintf(stderr, "embed: %s\n", message);
  return 1;
}

int main(int argc, char **argv) {
  char path[4096], text[4096];
  int32_t prompt[MOST_TOKENS], token;
  size_t count, size;
  float *logits;
  cria_error error;
  cria_artifact *artifact;
  cria_session *session;
  cria_sampler *sampler;
  cria_tokenizer *tokenizer;

  if (argc < 3)
    return fail("usage: embed DIR PROMPT [TOKENS]");
  long wanted = argc > 3 ? strtol(argv[3], NULL, 10) : 64;

  /* The linked code with its weights, and the tokenizer. */
  snprintf(path, sizeof(path), "%s/model.safetensors", argv[1]);
  if (cria_artifact_from(model_get(), path, &artifact, &error))
    return fail(error.message);
  snprintf(path, sizeof(path), "%s/tokenizer.json", argv[1]);
  if (cria_tokenizer_load(path, &tokenizer, &error))
    return fail(error.message);

  /* All memory is allocated here, for a stated number of tokens. */
  cria_session_options options;
  cria_session_options_init(&options);
  options.capacity = MODEL_CONTEXT;
  if (cria_session_create(artifact, &options, &session, &error))
    return fail(error.message);
  cria_sampler_params params; /* greedy unless changed */
  cria_sampler_params_init(&params);
  if (cria_sampler_create(&params, MODEL_VOCAB, &sampler, &error))
    return fail(error.message);

  if (cria_tokenizer_encode(tokenizer, argv[2], strlen(argv[2]),
                            CRIA_ENCODE_ADD_SPECIAL, prompt, MOST_TOKENS,
                            &count, &error))
    return fail(error.message);
  if (count == 0)
    return fail("the prompt is empty");

  /* Prefill, then one token at a time. */
  cria_decoder decoder;
  cria_decoder_init(tokenizer, 0, &decoder);
  if (cria_session_forward(session, (int64_t)count, prompt, NULL, NULL, &logits,
                           &error))
    return fail(error.message);
  for (long i = 0; i < wanted; ++i) {
    if (cria_sampler_sample(sampler, logits, &token, &error))
      return fail(error.message);
    if (cria_tokenizer_is_eos(tokenizer, token))
      break;
    if (cria_decoder_push(tokenizer, &decoder, token, text, sizeof(text), &size,
                          &error))
      return fail(error.message);
    fwrite(text, 1, size, stdout);
    fflush(stdout);
    if (cria_session_length(session, 0) == MODEL_CONTEXT)
      break;
    if (cria_session_forward(session, 1, &token, NULL, NULL, &logits, &error))
      return fail(error.message);
  }
  putchar('\n');

  cria_sampler_free(sampler);
  cria_session_free(session);
  cria_tokenizer_free(tokenizer);
  cria_artifact_free(artifact);
  return 0;
}
