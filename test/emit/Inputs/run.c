/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * Runs all clones of two models of small.mlir, linked under two prefixes,
 * with two "threads" that take turns, and checks every logit. */
#include "a/model.h"
#include "b/model.h"

#include <stdio.h>
#include <string.h>

static int barriers;
static void count(void *context) { ++*(int *)context; }

static int check(const cria_clone *clone, int64_t n) {
  static _Alignas(64) float weights[8][4];
  static _Alignas(64) float logits[16][8];
  static _Alignas(64) char arena[256];
  int32_t tokens[16];
  const void *pointers[1] = {weights};
  cria_forward_args args;
  memset(&args, 0, sizeof(args));
  memset(logits, 0, sizeof(logits));
  for (int j = 0; j < 8; ++j)
    weights[j][0] = 0.5f + j;
  for (int i = 0; i < 16; ++i)
    tokens[i] = 3 * i + 1;
  args.tokens = tokens;
  args.n = args.n_outputs = n;
  args.weights = pointers;
  args.arena = arena;
  args.logits = &logits[0][0];
  args.barrier = count;
  args.barrier_context = &barriers;
  for (int64_t thread = 0; thread < 2; ++thread)
    clone->forward(&args, thread, 2);
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j)
      if (logits[i][j] != (i < n ? (0.5f + j) * (3 * i + 1) : 0))
        return 1;
  return 0;
}

int main(void) {
  const cria_model *models[] = {a_get(), b_get()};
  for (int i = 0; i < 2; ++i) {
    const cria_model *model = models[i];
    if (model->abi_version != CRIA_ABI_VERSION ||
        model->struct_bytes != sizeof(cria_model) || model->vocab != A_VOCAB ||
        model->max_batch != B_MAX_BATCH ||
        model->arena_bytes != A_ARENA_BYTES || model->n_weights != 1 ||
        model->weights[0].bytes != B_WEIGHTS_BYTES)
      return 1;
    for (int64_t j = 0; j < model->n_clones; ++j) {
      const cria_clone *clone = &model->clones[j];
      printf("%s %s %s %s\n", model->name, model->architecture, clone->target,
             model->weights[0].name);
      /* One barrier a call with few tokens, two with many. */
      barriers = 0;
      if (check(clone, 4) || barriers != 2)
        return 2;
      if (check(clone, 5) || barriers != 6)
        return 3;
    }
  }
  return models[0] == models[1];
}
