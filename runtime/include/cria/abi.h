/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * The interface between a compiled model and whoever runs it. Stands alone:
 * a program may include this header and call the code without cria's runtime.
 *
 * A compiled model exports one function, <prefix>get() with the prefix
 * `model_` unless chosen otherwise, that returns a constant description.
 * Everything in it is read-only and lives as long as the code is loaded. The
 * code keeps no state of its own: no globals, no constructors, no allocation,
 * no input or output. All memory comes in through cria_forward_args, so that
 * any number of sessions may run at once.
 *
 * Example, one thread, on a processor that can run the first clone:
 *
 *   const cria_model *m = model_get();
 *   m->clones[0].forward(&args, 0, 1);
 */
#ifndef CRIA_ABI_H
#define CRIA_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised by any change of the structs below or of their meaning. */
#define CRIA_ABI_VERSION 2

/* Positions in one page of the KV cache. */
#define CRIA_PAGE_TOKENS 64

/* CPU features that code needs, as bits of cria_clone.features. */
enum {
  CRIA_CPU_AVX2 = 1u << 0,   /* with FMA, F16C, BMI2: x86-64-v3 */
  CRIA_CPU_AVX512 = 1u << 1, /* F, BW, CD, DQ, VL: x86-64-v4 */
  CRIA_CPU_AVX512VNNI = 1u << 2,
  CRIA_CPU_AVX512BF16 = 1u << 3,
  CRIA_CPU_AVX512FP16 = 1u << 4,
  CRIA_CPU_AMX_INT8 = 1u << 5,
  CRIA_CPU_AMX_BF16 = 1u << 6,
  CRIA_CPU_GFNI = 1u << 7,
  CRIA_CPU_AVXVNNI = 1u << 8,
  CRIA_CPU_SSE42 = 1u << 9, /* with SSSE3, POPCNT, CX16: x86-64-v2 */
  /* AArch64; its baseline, Armv8.0-A with NEON, has no bit. */
  CRIA_CPU_DOTPROD = 1u << 16,
  CRIA_CPU_I8MM = 1u << 17
};

/* One array of the weights file, in the order of cria_forward_args.weights. */
typedef struct cria_weight_info {
  const char *name; /* tensor in model.safetensors */
  uint64_t bytes;
} cria_weight_info;

/* A batch is ragged: token i of n belongs to sequence sequences[i] at
 * position positions[i]; its key and value go to physical slot slots[i] =
 * page * CRIA_PAGE_TOKENS + positions[i] % CRIA_PAGE_TOKENS. Tokens of one
 * sequence come in ascending position, and every earlier position of it is in
 * the cache or in this batch. Logits are computed for the tokens whose
 * indices are in outputs. */
typedef struct cria_forward_args {
  const int32_t *tokens;    /* [n], in [0, vocab) */
  const int32_t *positions; /* [n], in [0, context) */
  const int32_t *sequences; /* [n], rows of tables */
  const int32_t *slots;     /* [n], distinct */
  const int32_t *outputs;   /* [n_outputs], indices into the batch */
  const int32_t
      *tables; /* [n_sequences][table_stride], page of each 64 positions */
  int64_t n;   /* 1 .. max_batch */
  int64_t n_outputs; /* 0 .. n */
  int64_t n_sequences;
  int64_t table_stride;
  void *keys; /* [layers][pages][kv_heads][4][head_dim][16], 64-byte aligned */
  void *values; /* [layers][pages][kv_heads][64][head_dim], 64-byte aligned.
                 * Where kv_element_bytes is 1, each [kv_heads] part of a page
                 * of either holds its int8 codes in that order, then 64 f32
                 * scales, one a position; of int16 codes
                 * [4][head_dim/2][16][2] for keys and [32][head_dim][2] for
                 * values, and 64 f32 (kv_bytes_per_token tells it from f16). */
  int64_t pages;
  const void *const
      *weights; /* one pointer per cria_weight_info, 64-byte aligned */
  void *arena; /* arena_bytes + threads * thread_arena_bytes, 64-byte aligned */
  float *logits; /* [n_outputs][vocab], 64-byte aligned */
  /* Called by every thread wherever a dependence crosses threads. Must make
   * memory written before it visible after it. May be null for one thread. */
  void (*barrier)(void *barrier_context);
  void *barrier_context;
} cria_forward_args;

/* The whole of a model's code, made for one kind of processor. */
typedef struct cria_clone {
  const char *target; /* as the compiler names it: "x86-64-v4" */
  uint64_t features;  /* CRIA_CPU_* that the code needs; all must be there */
  /* Run by threads 0 .. threads-1 with the same args, all of them. */
  void (*forward)(const cria_forward_args *args, int64_t thread,
                  int64_t threads);
} cria_clone;

/* An op of a model that was compiled with --profile: a fused kernel, or a
 * barrier. One call of it, made by all threads together, needs
 *
 *   memory bytes      weight_bytes + cache_bytes * held
 *   activation bytes  row_bytes * rows
 *   operations        row_flops * rows + position_flops * attended
 *
 * where rows is n, or n_outputs if `outputs`; held counts the positions of the
 * KV cache that are read, those of each sequence once; attended counts the
 * pairs of a token and a position that it attends to. With a `window` W > 0 a
 * token at position p attends to the last min(p + 1, W) positions, else to all
 * p + 1. A multiplication and an addition are two operations; epilogues and
 * the softmax are left out; operations of norms and of quantising are
 * estimates. A product with a 16-bit code counts as the two byte products that
 * it takes. Activations are what is read and written once between ops, most
 * of it in caches. */
typedef struct cria_profile_op {
  const char *name;    /* its weights: "attn_q", "ffn_gate+ffn_up"; unique in a
                          version */
  const char *kind;    /* "linear", "attention", "rows", "embed", "rope_table",
                          "other", "barrier" (the wait at one) */
  const char *version; /* of the code that it is in: "decode", "prefill" */
  int64_t weight_bytes;
  int64_t cache_bytes;
  int64_t row_bytes;
  int64_t row_flops;
  int64_t position_flops;
  int64_t window;
  int64_t outputs; /* 0 or 1 */
  int64_t int8;    /* 1: the operations are products of bytes, of which one of
                      16-bit codes counts as two, else of f32 */
} cria_profile_op;

/* What a thread spends on an op, in ticks of the counter that rdtsc (x86) or
 * CNTVCT_EL0 (AArch64) reads. */
typedef struct cria_profile_counter {
  uint64_t ticks;
  uint64_t calls;
} cria_profile_counter;

/* As cria_clone.forward, and adds to the thread's own counters: n_profile_ops
 * of them, and a last one for the time of the latest count and the number of
 * runs. */
typedef void (*cria_forward_profiled_fn)(const cria_forward_args *args,
                                         int64_t thread, int64_t threads,
                                         cria_profile_counter *counters);

/* The whole of a model's code, made for one kind of NVIDIA GPU: PTX, which the
 * driver makes machine code of, with two kernels, one for calls of up to
 * decode_tokens tokens and one for more:
 *
 *   void kernel(struct {
 *     cria_forward_args args;
 *     const void *weights[n_weights];
 *   } parameter)
 *
 * All addresses are of the GPU's memory; args.weights is not read, and
 * args.barrier_context is the address of a 32-bit 0 there, before each launch.
 * Weights, caches and logits are laid out as for a CPU, and have the same bits.
 * A kernel is launched cooperatively, with any number of blocks that fit at
 * once, of block_threads threads; each group_threads of them make one thread of
 * the call, so that the arena has arena_bytes + blocks * block_threads /
 * group_threads * thread_arena_bytes. */
typedef struct cria_gpu_clone {
  const char *target; /* "sm_90" */
  const char *decode_kernel; /* their names in the code */
  const char *prefill_kernel;
  const char *code;   /* PTX text */
  int64_t code_bytes; /* with the NUL at its end */
  int64_t compute;    /* least compute capability: 10 * major + minor */
  int64_t exact;      /* 1: that compute capability and no other */
  int64_t decode_tokens;
  int64_t block_threads;
  int64_t group_threads;
  uint64_t arena_bytes;
  uint64_t thread_arena_bytes;
} cria_gpu_clone;

typedef struct cria_model {
  uint32_t abi_version; /* CRIA_ABI_VERSION of the compiler: check it first */
  uint32_t struct_bytes;
  const char *name;
  const char *architecture; /* "llama" */
  const char
      *metadata; /* JSON text for people and tools: shapes, types, source */
  int64_t vocab, width, layers, heads, kv_heads, head_dim, ffn;
  int64_t context;   /* positions a sequence may have */
  int64_t max_batch; /* tokens a call may have */
  int64_t kv_element_bytes;
  int64_t kv_bytes_per_token; /* keys and values with scales, all layers */
  uint64_t weights_bytes;
  uint64_t arena_bytes;        /* shared by the threads of one call */
  uint64_t thread_arena_bytes; /* more for each thread */
  int64_t n_weights;
  const cria_weight_info *weights;
  /* At least one, no two of equal features. The most capable comes first: the
   * first whose features a processor has is the best for it. All read the same
   * weights and caches and give the same logits, bit for bit. */
  int64_t n_clones;
  const cria_clone *clones;
  /* The rest is there if struct_bytes says so. Without --profile it is 0. */
  int64_t n_profile_ops;
  const cria_profile_op *profile_ops;
  const cria_forward_profiled_fn *forward_profiled; /* of each clone */
  /* In the order in which they were asked for; without a GPU target none. */
  int64_t n_gpu_clones;
  const cria_gpu_clone *gpu_clones;
  /* Bytes of dynamic shared memory that a block of each of them is launched
   * with; null: none of them has any. */
  const int64_t *gpu_shared_bytes;
} cria_model;

/* struct_bytes at least. */
#define CRIA_MODEL_LEAST_BYTES offsetof(cria_model, n_profile_ops)
/* With the profile; with code for GPUs; and with their shared memory. */
#define CRIA_MODEL_PROFILE_BYTES offsetof(cria_model, n_gpu_clones)
#define CRIA_MODEL_GPU_BYTES offsetof(cria_model, gpu_shared_bytes)
#define CRIA_MODEL_GPU_SHARED_BYTES sizeof(cria_model)

typedef const cria_model *(*cria_model_fn)(void);

#ifdef __cplusplus
}
#endif
#endif /* CRIA_ABI_H */
