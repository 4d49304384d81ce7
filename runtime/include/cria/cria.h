/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * Running a compiled model: weights, artifacts and sessions.
 *
 *   cria_artifact *artifact;
 *   cria_session *session;
 *   float *logits;
 *   if (cria_artifact_open("smollm2", &artifact, &error) ||
 *       cria_session_create(artifact, NULL, &session, &error) ||
 *       cria_session_forward(session, n, tokens, NULL, NULL, &logits, &error))
 *     return fail(error.message);
 *   ... logits[0 .. vocab) belong to the token after tokens[n - 1] ...
 *   cria_session_free(session);
 *   cria_artifact_free(artifact);
 *
 * Ownership: what a function makes is released by the _free function of its
 * type, which accepts null. A session refers to its artifact, which must
 * outlive it. Pointers handed out live as long as the object they came from.
 * Functions that fail set the object they would have made to null.
 *
 * Threads: weights and artifacts are immutable; any number of threads and
 * sessions may use them at once. A session is used by one thread at a time.
 * No thread is started but by cria_session_create, and only when more than
 * one is asked for without a parallel hook.
 *
 * Memory: cria_session_create allocates everything; no later call of a session
 * allocates. Files are mapped: they must not shrink while in use, as writers
 * that rename a complete file into place guarantee.
 *
 * Errors: see cria/status.h. A null object is CRIA_INVALID_ARGUMENT. Nothing
 * here prints, aborts, exits or throws.
 */
#ifndef CRIA_CRIA_H
#define CRIA_CRIA_H

#include "cria/abi.h"
#include "cria/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "MAJOR.MINOR.PATCH" of this runtime. */
const char *cria_version(void);

/* CRIA_CPU_* that the processor has and the operating system has enabled. On
 * a processor with AMX this asks Linux for the use of its tile registers, as
 * opening an artifact with an AMX clone does; AMX counts only if granted. */
uint64_t cria_cpu_features(void);

/* "AVX512-VNNI" for CRIA_CPU_AVX512VNNI; null for what is no single feature
 * that this runtime knows. */
const char *cria_cpu_feature_name(uint64_t feature);

/* The processor's name for itself; "" where it has none. */
const char *cria_cpu_name(void);

/* Physical cores that this process may run on, at least 1: cores that share
 * execution units count once, and a CPU quota of the control group counts. */
int64_t cria_default_threads(void);

/* ---- weights: a mapped safetensors file -------------------------------- */

typedef struct cria_weights cria_weights;

typedef struct cria_tensor {
  const char *name;
  const char *dtype; /* as safetensors spells it: "F32", "U8" */
  const int64_t *shape;
  int64_t rank;
  uint64_t bytes;
  const void *data;
} cria_tensor;

/* Maps the file read-only and checks it against the model: every array must
 * be there with the stated size, on a 64-byte boundary. A null model skips
 * that check (and cria_weights_pointers gives null). The file is hostile until
 * checked: no content makes this crash. */
cria_status cria_weights_open(const char *path, const cria_model *model,
                              cria_weights **weights, cria_error *error);
void cria_weights_free(cria_weights *weights);

/* In the order of model->weights: cria_forward_args.weights. */
const void *const *cria_weights_pointers(const cria_weights *weights);

/* The tensors of the file, without those that only pad it. */
int64_t cria_weights_count(const cria_weights *weights);
cria_status cria_weights_tensor(const cria_weights *weights, int64_t index,
                                cria_tensor *tensor);

/* An entry of the file's __metadata__, or null: "cria.symbol",
 * "cria.source_hash", "cria.abi". */
const char *cria_weights_metadata(const cria_weights *weights, const char *key);

/* ---- artifacts: code and weights --------------------------------------- */

typedef struct cria_artifact cria_artifact;

/* Opens a folder that `cria compile` wrote: loads model.so, finds the function
 * that model.safetensors names, checks the ABI and the weights, and picks the
 * first clone whose features cria_cpu_features() has: CRIA_WRONG_CPU if there
 * is none. Loading code runs it: open only what you would run. */
cria_status cria_artifact_open(const char *dir, cria_artifact **artifact,
                               cria_error *error);

/* The same from two files. A null symbol is taken from the weights' metadata
 * ("model_get" where they name none). */
cria_status cria_artifact_open_files(const char *code_path,
                                     const char *weights_path,
                                     const char *symbol,
                                     cria_artifact **artifact,
                                     cria_error *error);

/* For a model that is linked into the program:
 * cria_artifact_from(model_get(), "model.safetensors", &artifact, &error). */
cria_status cria_artifact_from(const cria_model *model,
                               const char *weights_path,
                               cria_artifact **artifact, cria_error *error);
void cria_artifact_free(cria_artifact *artifact);

const cria_model *cria_artifact_model(const cria_artifact *artifact);
const cria_weights *cria_artifact_weights(const cria_artifact *artifact);

/* The clone that sessions run unless their options name another one. */
const cria_clone *cria_artifact_clone(const cria_artifact *artifact);

/* ---- sessions: sequences of tokens and their KV cache ------------------- */

typedef struct cria_session cria_session;

/* Runs body(body_context, t) for t = 0 .. threads-1, all of them at the same
 * time (they wait for each other), and returns when all have returned. */
typedef void (*cria_parallel_fn)(void *context, int64_t threads,
                                 void (*body)(void *body_context,
                                              int64_t thread),
                                 void *body_context);

typedef struct cria_session_options {
  /* Positions that all sequences together are sure to have room for; 0 is the
   * model's context. They are held in pages of CRIA_PAGE_TOKENS. */
  int64_t capacity;
  int64_t max_sequences; /* 1 .. 65536; 0 is 1 */
  int64_t max_batch;     /* tokens in one run of the code; 0 is the model's */
  int64_t max_logits;    /* rows of logits a call may want; 0: max_sequences */
  int64_t threads;       /* 1 .. 1024; 0 is cria_default_threads() */
  /* The caller's own threads, or null: the session then has its own pool of
   * threads - 1 workers, and the calling thread is the first one. */
  cria_parallel_fn parallel;
  void *parallel_context;
  /* For tests and debugging: the target of the clone to run; null is the
   * artifact's choice. Read by cria_session_create only. */
  const char *clone;
  /* Where the model runs: "cpu" (or null); "cuda", or "cuda:N" for the Nth
   * NVIDIA GPU, which copies the weights and holds the cache, and where
   * `threads` does nothing; "auto": on the first GPU where the model has code
   * for it and the driver takes it, else on the CPU. Read by
   * cria_session_create only. An error of a GPU while it runs is CRIA_IO or
   * CRIA_OUT_OF_MEMORY; what the sequences hold is lost then, and every later
   * call fails alike. */
  const char *device;
} cria_session_options;

/* All defaults. */
void cria_session_options_init(cria_session_options *options);

/* Null options are the defaults. */
cria_status cria_session_create(const cria_artifact *artifact,
                                const cria_session_options *options,
                                cria_session **session, cria_error *error);
void cria_session_free(cria_session *session);

/* Appends tokens[i] to sequence sequences[i], for i = 0 .. n-1 in this order,
 * and computes the logits of the tokens with want_logits[i] != 0. A null
 * `sequences` means sequence 0; a null `want_logits` means the last token
 * only. Tokens of different sequences may be mixed freely. More than max_batch
 * tokens are split into several runs.
 *
 * *logits (which may be null) is set to [wanted][vocab] floats in the order of
 * the tokens, or to null if none is wanted; they are valid until the next call
 * and may be changed. On an error nothing has changed. */
cria_status cria_session_forward(cria_session *session, int64_t n,
                                 const int32_t *tokens,
                                 const int32_t *sequences,
                                 const uint8_t *want_logits, float **logits,
                                 cria_error *error);

/* Tokens in a sequence; -1 for a sequence that the session does not have. */
int64_t cria_session_length(const cria_session *session, int32_t sequence);

/* Forgets the tokens from `length` on, which is at most the present length. */
cria_status cria_session_truncate(cria_session *session, int32_t sequence,
                                  int64_t length, cria_error *error);

/* Empties a sequence. */
cria_status cria_session_clear(cria_session *session, int32_t sequence,
                               cria_error *error);

/* Makes `to` a copy of `from`; what `to` held is forgotten. The pages are
 * shared until one of the two writes to one, so that a common prefix is held
 * once; only a page that is partly filled is ever copied. */
cria_status cria_session_fork(cria_session *session, int32_t from, int32_t to,
                              cria_error *error);

/* Pages of CRIA_PAGE_TOKENS positions that no sequence holds, and all. */
int64_t cria_session_free_pages(const cria_session *session);
int64_t cria_session_pages(const cria_session *session);

int64_t cria_session_threads(const cria_session *session);

/* The rows of logits that a call may want. */
int64_t cria_session_max_logits(const cria_session *session);

/* The model that it runs. */
const cria_model *cria_session_model(const cria_session *session);

/* The clone that the session runs. */
const cria_clone *cria_session_clone(const cria_session *session);

/* Where the session runs: "cpu", or "cuda:0" and the GPU's name. */
const char *cria_session_device(const cria_session *session);

/* Why a session for "auto" runs on the CPU although the model has code for
 * GPUs; "" where there is nothing to explain. */
const char *cria_session_device_note(const cria_session *session);

/* Bytes of KV cache, arena and logits together. */
uint64_t cria_session_bytes(const cria_session *session);

/* ---- profile: the time of each op -------------------------------------- */

/* One op of a model that was compiled with --profile, and what it has done
 * since the session was made or its profile was reset. `memory_bytes`,
 * `activation_bytes` and `operations` are what all calls needed by the
 * formulas of cria_profile_op (abi.h). The entries of the threads differ in
 * how long each worked and waited; `seconds` is their mean, so that
 * memory_bytes / seconds is a rate of all threads together. */
typedef struct cria_profile_entry {
  const cria_profile_op *op;
  uint64_t calls;      /* that each thread has made */
  double seconds;      /* mean over the threads */
  double most_seconds; /* of the thread that took the longest */
  double memory_bytes; /* of weights and KV cache */
  double activation_bytes;
  double operations;
} cria_profile_entry;

typedef struct cria_profile {
  int64_t runs;    /* of the code; more than max_batch tokens take several */
  int64_t tokens;  /* in all runs */
  int64_t outputs; /* tokens whose logits were computed */
  double seconds;  /* wall time of the runs: the entries' seconds, and what
                      starting and joining the threads took */
  int64_t n_entries;
  const cria_profile_entry *entries; /* in the order of model->profile_ops */
} cria_profile;

/* Reads the counters, which every run of such a model updates. The entries
 * belong to the session and stay until its next call. For a model that was
 * compiled without --profile: CRIA_UNSUPPORTED.
 *
 *   cria_profile p;
 *   if (cria_session_profile(session, &p, &error) == CRIA_OK)
 *     for (int64_t i = 0; i < p.n_entries; ++i)
 *       printf("%s %g us\n", p.entries[i].op->name,
 *              1e6 * p.entries[i].seconds / p.runs);
 */
cria_status cria_session_profile(cria_session *session, cria_profile *profile,
                                 cria_error *error);

/* Counts from 0 again. */
cria_status cria_session_profile_reset(cria_session *session,
                                       cria_error *error);

#ifdef __cplusplus
}
#endif
#endif /* CRIA_CRIA_H */
