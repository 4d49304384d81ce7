/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * Lookup speculation: several tokens from one run of the model, where the text
 * repeats what it holds already (summaries, edits, quotations, code).
 *
 * A cria_lookup is an index of the n-grams of one text. It drafts what followed
 * the last time that the text read as it does now: the longest suffix that has
 * occurred before, the latest occurrence of several. The model checks a draft
 * in one run, because cria_session_forward takes tokens and gives the logits of
 * each. Logits are bitwise equal at any batch size, and tokens are chosen from
 * them one after the other, as without drafts: the text is the same, whatever
 * is drafted, greedy or sampled.
 *
 *   session_options.max_logits = 1 + CRIA_LOOKUP_MAX_DRAFT;
 *   ... cria_session_forward of the prompt; choose `token` from its logits ...
 *   cria_lookup_append(lookup, prompt, n);
 *   while (!done) {
 *     if (cria_lookup_step(lookup, session, 0, token, wanted, choose, context,
 *                          chosen, &count, &error))
 *       return fail(error.message);
 *     token = chosen[count - 1];
 *   }
 *
 * How much is drafted adapts: a run of more tokens costs more, and a draft is
 * right with a probability that grows with the length of the match. Both are
 * learnt as the text goes on, and the length with the most tokens per second
 * is taken (none, where no draft pays). Timings decide how fast a text comes,
 * never what it says.
 *
 * Ownership: cria_lookup_create allocates everything, cria_lookup_bytes says
 * how much (12 to 24 bytes for each token of capacity, whatever the length of
 * the text); no later call allocates. A lookup refers to no session. Threads: a
 * lookup is used by one thread at a time and belongs to one text. Nothing
 * prints, aborts or throws.
 */
#ifndef CRIA_LOOKUP_H
#define CRIA_LOOKUP_H

#include "cria/cria.h"
#include "cria/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The longest draft that can be asked for. */
#define CRIA_LOOKUP_LONGEST_DRAFT 63
/* The longest draft by default: with the token before it, 16 in a run. */
#define CRIA_LOOKUP_MAX_DRAFT 15

typedef struct cria_lookup cria_lookup;

typedef struct cria_lookup_options {
  /* Tokens of the text that are searched, the latest ones: at least so many,
   * at most 2^28; 0 is 65536. Older ones are forgotten. */
  int64_t capacity;
  int64_t max_draft; /* 1 .. CRIA_LOOKUP_LONGEST_DRAFT; 0: the default */
  int64_t min_match; /* tokens that must agree, 1 .. 32; 0 is 2 */
} cria_lookup_options;

/* All defaults. */
void cria_lookup_options_init(cria_lookup_options *options);

/* Null options are the defaults. */
cria_status cria_lookup_create(const cria_lookup_options *options,
                               cria_lookup **lookup, cria_error *error);

/* Null is allowed. */
void cria_lookup_free(cria_lookup *lookup);

/* Forgets the text, keeps what was learnt about costs and drafts. */
void cria_lookup_clear(cria_lookup *lookup);

/* Adds tokens to the end of the text. Any ids are taken. */
void cria_lookup_append(cria_lookup *lookup, const int32_t *tokens, int64_t n);

/* Drafts up to `most` tokens that may follow the text into `tokens`, and
 * returns how many: 0 where nothing matches or no draft pays. max_draft limits
 * it too. */
int64_t cria_lookup_draft(cria_lookup *lookup, int64_t most, int32_t *tokens);

/* For callers who do without cria_lookup_step, which does this. Tells how the
 * last draft went: how many of its tokens were compared with what was chosen
 * (less than all where one was wrong or the text ended), how many of these were
 * right, and what the run of `batch` tokens took; 0 where it is not known. */
void cria_lookup_report(cria_lookup *lookup, int64_t checked, int64_t right,
                        int64_t batch, double seconds);

/* Chooses the token that follows a row of logits ([vocab] floats, which may be
 * changed), and sets *stop where it ends the text; *stop is 0 before. Called
 * in the order of the text, once for each token of it. */
typedef cria_status (*cria_choose_fn)(void *context, float *logits,
                                      int32_t *token, int *stop,
                                      cria_error *error);

/* Continues a text: feeds `token`, the one that was chosen last and is not in
 * the sequence yet, together with a draft, and calls `choose` as long as it
 * chooses what was drafted and does not stop. Writes 1 to `most` tokens to
 * `chosen`, which has room for `most` or for 1 + max_draft, whichever is less,
 * and sets *count. Afterwards the sequence and the lookup hold the text without
 * the last token of `chosen`: call again with that one.
 *
 * The session's max_logits must be at least 1 + max_draft. Where the sequence,
 * the session's pages or the model's context have little room left, less is
 * drafted. On an error, which may be one of `choose`, the sequence and the
 * lookup are as before, and *count is 0. */
cria_status cria_lookup_step(cria_lookup *lookup, cria_session *session,
                             int32_t sequence, int32_t token, int64_t most,
                             cria_choose_fn choose, void *choose_context,
                             int32_t *chosen, int64_t *count,
                             cria_error *error);

typedef struct cria_lookup_stats {
  int64_t runs;    /* reported runs of the model */
  int64_t drafted; /* tokens of all drafts */
  int64_t right;   /* of those, right ones */
} cria_lookup_stats;

/* Since the creation. */
void cria_lookup_get_stats(const cria_lookup *lookup, cria_lookup_stats *stats);

/* Bytes of everything that belongs to the lookup. */
uint64_t cria_lookup_bytes(const cria_lookup *lookup);

#ifdef __cplusplus
}
#endif
#endif /* CRIA_LOOKUP_H */
