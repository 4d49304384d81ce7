/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "fake_model.h"

static uint32_t mix(uint32_t state, uint32_t token, int64_t position) {
  return (state ^ (token + 1)) * 2654435761u + (uint32_t)position;
}

static float logit(uint32_t state, int64_t v) {
  return (float)((state * (uint32_t)(2 * v + 1)) >> 12);
}

void fake_logits(const int32_t *tokens, int64_t n, float *logits) {
  uint32_t state = 1;
  for (int64_t i = 0; i < n; ++i)
    state = mix(state, (uint32_t)tokens[i], i);
  for (int64_t v = 0; v < FAKE_VOCAB; ++v)
    logits[v] = logit(state, v);
}

static float *key_at(const cria_forward_args *args, int64_t layer, int64_t slot,
                     int64_t head, int64_t d) {
  int64_t page = slot / 64, in = slot % 64;
  return (float *)args->keys +
         ((((layer * args->pages + page) * FAKE_KV_HEADS + head) * 4 +
           in / 16) *
              FAKE_HEAD_DIM +
          d) *
             16 +
         in % 16;
}

static float *value_at(const cria_forward_args *args, int64_t layer,
                       int64_t slot, int64_t head, int64_t d) {
  int64_t page = slot / 64, in = slot % 64;
  return (float *)args->values +
         (((layer * args->pages + page) * FAKE_KV_HEADS + head) * 64 + in) *
             FAKE_HEAD_DIM +
         d;
}

/* The token cached in a slot, or -1 if its copies differ. */
static int32_t cached(const cria_forward_args *args, int64_t slot) {
  float first = *key_at(args, 0, slot, 0, 0);
  for (int64_t l = 0; l < FAKE_LAYERS; ++l)
    for (int64_t h = 0; h < FAKE_KV_HEADS; ++h)
      for (int64_t d = 0; d < FAKE_HEAD_DIM; ++d)
        if (*key_at(args, l, slot, h, d) != first ||
            *value_at(args, l, slot, h, d) != first)
          return -1;
  return (int32_t)first;
}

static void forward(const cria_forward_args *args, int64_t thread,
                    int64_t threads) {
  for (int64_t i = thread; i < args->n; i += threads)
    for (int64_t l = 0; l < FAKE_LAYERS; ++l)
      for (int64_t h = 0; h < FAKE_KV_HEADS; ++h)
        for (int64_t d = 0; d < FAKE_HEAD_DIM; ++d)
          *key_at(args, l, args->slots[i], h, d) =
              *value_at(args, l, args->slots[i], h, d) = (float)args->tokens[i];
  args->barrier(args->barrier_context);

  /* The arena is shared: thread t fills in what thread t + 1 writes out. */
  uint32_t *states = (uint32_t *)args->arena;
  for (int64_t o = thread; o < args->n_outputs; o += threads) {
    int64_t i = args->outputs[o];
    const int32_t *table =
        args->tables + args->sequences[i] * args->table_stride;
    uint32_t state = 1;
    for (int64_t p = 0; p <= args->positions[i]; ++p) {
      int32_t token = cached(args, table[p / 64] * 64 + p % 64);
      state = token < 0 ? 0xBAD : mix(state, (uint32_t)token, p);
    }
    states[o] = state;
  }
  args->barrier(args->barrier_context);
  for (int64_t o = (thread + 1) % threads; o < args->n_outputs; o += threads)
    for (int64_t v = 0; v < FAKE_VOCAB; ++v)
      args->logits[o * FAKE_VOCAB + v] =
          logit(states[o], v) + *(const float *)args->weights[1];
}

static const cria_weight_info weights[] = {{"blk.quants", 128}, {"bias", 4}};

static const cria_clone clones[] = {{"future", 1ull << 60, forward},
                                    {"test", 0, forward}};

#define FAKE_MODEL(abi, first, count)                                          \
  {abi,                                                                        \
   sizeof(cria_model),                                                         \
   "fake",                                                                     \
   "llama",                                                                    \
   "{\"source_hash\": \"f00d\"}",                                              \
   FAKE_VOCAB,                                                                 \
   12,                                                                         \
   FAKE_LAYERS,                                                                \
   6,                                                                          \
   FAKE_KV_HEADS,                                                              \
   FAKE_HEAD_DIM,                                                              \
   20,                                                                         \
   FAKE_CONTEXT,                                                               \
   FAKE_BATCH,                                                                 \
   4,                                                                          \
   2 * 4 * FAKE_LAYERS * FAKE_KV_HEADS * FAKE_HEAD_DIM,                        \
   132,                                                                        \
   FAKE_BATCH * 4,                                                             \
   64,                                                                         \
   2,                                                                          \
   weights,                                                                    \
   count,                                                                      \
   clones + first,                                                             \
   0,                                                                          \
   NULL,                                                                       \
   NULL,                                                                       \
   0,                                                                          \
   NULL,                                                                       \
   NULL}

static const cria_model model = FAKE_MODEL(CRIA_ABI_VERSION, 0, 2);
static const cria_model old_model = FAKE_MODEL(0, 0, 2);
static const cria_model new_model = FAKE_MODEL(CRIA_ABI_VERSION, 0, 1);

const cria_model *fake_get(void) { return &model; }
const cria_model *fake_old_abi_get(void) { return &old_model; }
const cria_model *fake_new_cpu_get(void) { return &new_model; }
