/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * Choosing the next token from a row of logits.
 *
 * The filters run in this order, which is llama.cpp's:
 *
 *   1. penalties over the last penalty_last_n accepted tokens: repetition
 *      (a positive logit is divided by it, a negative one multiplied), then
 *      frequency (times the count) and presence, which are subtracted
 *   2. top_k: keep the k largest logits
 *   3. top_p: of those, keep the smallest set whose probability reaches p
 *   4. min_p: keep what has at least min_p times the largest probability
 *   5. temperature, then one draw
 *
 * top_p and min_p see probabilities at temperature 1. At least one token
 * always survives. Equal logits are ordered by token id. A NaN counts as
 * minus infinity, plus infinity as the largest finite float.
 *
 * The same seed, parameters and logits give the same tokens on every machine:
 * the generator is xoshiro256**, and exp is computed here in double precision
 * with plain IEEE operations, not by libm.
 *
 * Ownership: cria_sampler_create allocates everything for a vocabulary size;
 * no later call allocates. Threads: one sampler belongs to one sequence.
 */
#ifndef CRIA_SAMPLER_H
#define CRIA_SAMPLER_H

#include "cria/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cria_sampler cria_sampler;

typedef struct cria_sampler_params {
  float temperature;        /* >= 0; 0 takes the largest logit (greedy) */
  int32_t top_k;            /* >= 0; 0 keeps all */
  float top_p;              /* in (0, 1]; 1 keeps all */
  float min_p;              /* in [0, 1]; 0 keeps all */
  float repetition_penalty; /* > 0; 1 is off */
  float frequency_penalty;  /* 0 is off */
  float presence_penalty;   /* 0 is off */
  int32_t penalty_last_n;   /* 0 to 1048576 tokens; 0 is off */
  uint64_t seed;
} cria_sampler_params;

/* Greedy, with everything else off. */
void cria_sampler_params_init(cria_sampler_params *params);

/* `vocab_size` is the number of logits of every row, 1 to 16777216. */
cria_status cria_sampler_create(const cria_sampler_params *params,
                                int32_t vocab_size, cria_sampler **sampler,
                                cria_error *error);

/* Null is allowed. */
void cria_sampler_free(cria_sampler *sampler);

/* Forgets the accepted tokens and starts the random numbers anew. */
void cria_sampler_reset(cria_sampler *sampler, uint64_t seed);

/* Tells the penalties that a token is now part of the text: those of the
 * prompt where they should count, and every sampled one. Ids outside the
 * vocabulary are ignored. */
void cria_sampler_accept(cria_sampler *sampler, int32_t token);

/* Picks a token; the logits are not changed, and the token is not accepted
 * yet. CRIA_INVALID_DATA when no logit is above minus infinity. */
cria_status cria_sampler_sample(cria_sampler *sampler, const float *logits,
                                int32_t *token, cria_error *error);

#ifdef __cplusplus
}
#endif
#endif /* CRIA_SAMPLER_H */
