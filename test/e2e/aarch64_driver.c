/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * What `cria logits` does, for a machine that has cria's runtime only:
 *
 *   aarch64_driver DIR THREADS PIECE TOKEN,TOKEN,... > logits.f32
 *
 * Feeds the tokens in pieces of PIECE and writes the logits of all. Built with
 * -DLINKED it has the model's code inside, else it loads DIR/model.so.
 */
#include "cria/cria.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 1024 };

#ifdef LINKED
const cria_model *model_get(void);
#endif

static int fail(const char *message) {
  fprintf(stderr, "aarch64_driver: %s\n", message);
  return 1;
}

int main(int argc, char **argv) {
  static int32_t tokens[MOST_TOKENS];
  static uint8_t wanted[MOST_TOKENS];
  cria_artifact *artifact;
  cria_session *session;
  cria_error error;
  if (argc != 5)
    return fail("usage: aarch64_driver DIR THREADS PIECE TOKEN,TOKEN,...");
  int64_t count = 0, piece = atoll(argv[3]);
  for (char *word = strtok(argv[4], ","); word && count < MOST_TOKENS;
       word = strtok(NULL, ","))
    tokens[count++] = (int32_t)atoi(word);
  memset(wanted, 1, sizeof(wanted));

#ifdef LINKED
  char path[4096];
  snprintf(path, sizeof(path), "%s/model.safetensors", argv[1]);
  if (cria_artifact_from(model_get(), path, &artifact, &error))
    return fail(error.message);
#else
  if (cria_artifact_open(argv[1], &artifact, &error))
    return fail(error.message);
#endif
  cria_session_options options;
  cria_session_options_init(&options);
  options.threads = atoll(argv[2]);
  options.capacity = count;
  options.max_logits = piece;
  if (cria_session_create(artifact, &options, &session, &error))
    return fail(error.message);
  size_t row = (size_t)cria_artifact_model(artifact)->vocab;
  for (int64_t from = 0; from < count; from += piece) {
    int64_t n = count - from < piece ? count - from : piece;
    float *logits;
    if (cria_session_forward(session, n, tokens + from, NULL, wanted, &logits,
                             &error))
      return fail(error.message);
    if (fwrite(logits, sizeof(float) * row, (size_t)n, stdout) != (size_t)n)
      return fail("cannot write the logits");
  }
  cria_session_free(session);
  cria_artifact_free(artifact);
  return 0;
}
