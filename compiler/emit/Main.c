/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * The program that `cria compile --emit exe` links with a model's code: it
 * continues a prompt, with the weights and the tokenizer beside it. Text goes
 * to stdout, everything else to stderr. */
#define _POSIX_C_SOURCE 200809L /* readlink */

#include "cria/cria.h"
#include "cria/sampler.h"
#include "cria/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The model's own get function; the linker is told its real name. */
const cria_model *cria_linked_model(void);

static int fail(const char *message) {
  fprintf(stderr, "cria: error: %s\n", message);
  return 1;
}

static int usage(const char *program) {
  fprintf(stderr,
          "usage: %s -p PROMPT [-n TOKENS] [-t THREADS] [--temp T] "
          "[--seed S]\n",
          program);
  return 1;
}

/* The folder of this program, without a slash at its end. */
static int ownFolder(char *path, size_t capacity) {
  ssize_t size = readlink("/proc/self/exe", path, capacity - 1);
  if (size <= 0 || (size_t)size == capacity - 1)
    return 0;
  path[size] = '\0';
  *strrchr(path, '/') = '\0';
  return 1;
}

static int parseInteger(const char *text, long long *value) {
  char *end;
  *value = strtoll(text, &end, 10);
  return end != text && *end == '\0' && *value >= 0;
}

int main(int argc, char **argv) {
  const char *prompt = NULL;
  long long wanted = 256, threads = 0, seed = 0;
  cria_sampler_params params;
  cria_sampler_params_init(&params);
  for (int i = 1; i < argc; i += 2) {
    const char *option = argv[i], *value = argv[i + 1]; /* argv ends in NULL */
    if (!value)
      return usage(argv[0]);
    if (!strcmp(option, "-p")) {
      prompt = value;
    } else if (!strcmp(option, "--temp")) {
      char *end;
      params.temperature = strtof(value, &end);
      if (end == value || *end)
        return usage(argv[0]);
    } else {
      long long *number = !strcmp(option, "-n")       ? &wanted
                          : !strcmp(option, "-t")     ? &threads
                          : !strcmp(option, "--seed") ? &seed
                                                      : NULL;
      if (!number || !parseInteger(value, number))
        return usage(argv[0]);
    }
  }
  if (!prompt || !*prompt)
    return usage(argv[0]);
  params.seed = (uint64_t)seed;

  char folder[4096], path[4200];
  cria_error error;
  if (!ownFolder(folder, sizeof(folder)))
    return fail("the folder of this program cannot be found");
  const cria_model *model = cria_linked_model();
  cria_artifact *artifact;
  snprintf(path, sizeof(path), "%s/model.safetensors", folder);
  if (cria_artifact_from(model, path, &artifact, &error))
    return fail(error.message);
  cria_tokenizer *tokenizer;
  snprintf(path, sizeof(path), "%s/tokenizer.json", folder);
  if (cria_tokenizer_load(path, &tokenizer, &error))
    return fail(error.message);

  size_t count, capacity = (size_t)model->context, size;
  int32_t *tokens = malloc(capacity * sizeof(int32_t)), token;
  char *text = malloc(cria_decoder_max_bytes(tokenizer));
  if (!tokens || !text)
    return fail("out of memory");
  if (cria_tokenizer_encode(tokenizer, prompt, strlen(prompt),
                            CRIA_ENCODE_ADD_SPECIAL, tokens, capacity, &count,
                            &error))
    return fail(error.message);

  cria_session *session;
  cria_session_options options;
  cria_session_options_init(&options);
  options.threads = threads;
  if (cria_session_create(artifact, &options, &session, &error))
    return fail(error.message);
  cria_sampler *sampler;
  if (cria_sampler_create(&params, (int32_t)model->vocab, &sampler, &error))
    return fail(error.message);

  float *logits;
  if (cria_session_forward(session, (int64_t)count, tokens, NULL, NULL, &logits,
                           &error))
    return fail(error.message);
  cria_decoder decoder;
  cria_decoder_init(tokenizer, 0, &decoder);
  for (long long i = 0; i < wanted; ++i) {
    if (cria_sampler_sample(sampler, logits, &token, &error))
      return fail(error.message);
    if (cria_tokenizer_is_eos(tokenizer, token))
      break;
    if (cria_decoder_push(tokenizer, &decoder, token, text,
                          cria_decoder_max_bytes(tokenizer), &size, &error))
      return fail(error.message);
    fwrite(text, 1, size, stdout);
    fflush(stdout);
    if (cria_session_length(session, 0) == model->context)
      break;
    if (cria_session_forward(session, 1, &token, NULL, NULL, &logits, &error))
      return fail(error.message);
  }
  putchar('\n');

  cria_sampler_free(sampler);
  cria_session_free(session);
  free(text);
  free(tokens);
  cria_tokenizer_free(tokenizer);
  cria_artifact_free(artifact);
  return ferror(stdout) ? fail("stdout cannot be written") : 0;
}
