/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * A model by hand. Every cached position holds its token, in every layer and
 * head of both keys and values, and the logits of a token are a function of
 * all tokens before it as read back through the page table, so that a wrong
 * page, slot, copy or missing barrier changes them.
 */
#ifndef CRIA_TEST_FAKE_MODEL_H
#define CRIA_TEST_FAKE_MODEL_H

#include "cria/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  FAKE_VOCAB = 37, /* odd: rows of logits are not aligned */
  FAKE_LAYERS = 2,
  FAKE_KV_HEADS = 3,
  FAKE_HEAD_DIM = 2,
  FAKE_CONTEXT = 300,
  FAKE_BATCH = 48
};

/* Clones: "future", which needs a CPU feature of the future, and "test". */
const cria_model *fake_get(void);
const cria_model *fake_old_abi_get(void); /* ABI version 0 */
const cria_model *fake_new_cpu_get(void); /* "future" alone */

/* What forward writes for the last of `n` tokens: [FAKE_VOCAB]. A cache entry
 * that does not agree with itself across layers makes it NaN. */
void fake_logits(const int32_t *tokens, int64_t n, float *logits);

#ifdef __cplusplus
}
#endif
#endif
