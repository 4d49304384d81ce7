/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * Tokenizers: text to token ids and back.
 *
 * Two file formats are read: Hugging Face's tokenizer.json (model type BPE,
 * byte-level or with byte fallback) and SentencePiece's tokenizer.model
 * (unigram and BPE). A tokenizer.json component that is not supported is an
 * error that names it; nothing is skipped silently. "truncation" and "padding"
 * are training aids and are not applied.
 *
 * Ownership: a cria_tokenizer is made by a load function and released with
 * cria_tokenizer_free. Pointers that it hands out live as long as it does.
 * Threads: a loaded cria_tokenizer is immutable; any number of threads may use
 * it at the same time. A cria_decoder is plain memory that belongs to one
 * stream of tokens.
 *
 * Text is UTF-8. Bytes that are not valid UTF-8 never make encoding fail: a
 * byte-level tokenizer encodes them byte by byte, so that decoding gives the
 * same bytes back; one with byte fallback uses its byte tokens; any other maps
 * them to the unknown token or, if it has none, drops them. (Python's
 * transformers never meets such bytes: its strings are valid Unicode.)
 * SentencePiece models see U+FFFD instead, as the library does.
 *
 *   cria_tokenizer *tokenizer;
 *   if (cria_tokenizer_load("tokenizer.json", &tokenizer, &error))
 *     return report(error.message);
 *   int32_t ids[512];
 *   size_t count;
 *   cria_tokenizer_encode(tokenizer, text, strlen(text),
 *                         CRIA_ENCODE_ADD_SPECIAL, ids, 512, &count, &error);
 */
#ifndef CRIA_TEXT_H
#define CRIA_TEXT_H

#include "cria/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cria_tokenizer cria_tokenizer;

/* Reads a tokenizer.json. On failure *tokenizer is null and the error names
 * the file, the key and what is supported. */
cria_status cria_tokenizer_load(const char *path, cria_tokenizer **tokenizer,
                                cria_error *error);

/* The same from memory, which may be released afterwards. `name` stands for
 * the file name in messages; it may be null. */
cria_status cria_tokenizer_load_json(const void *data, size_t size,
                                     const char *name,
                                     cria_tokenizer **tokenizer,
                                     cria_error *error);

/* A tokenizer.model does not say whether a prompt starts with BOS or ends with
 * EOS: the model's configuration does. */
typedef struct cria_sentencepiece_options {
  int add_bos; /* CRIA_ENCODE_ADD_SPECIAL puts the BOS token first */
  int add_eos; /* and the EOS token last */
} cria_sentencepiece_options;

/* `options` may be null: BOS is added where the model has one, EOS is not. */
cria_status cria_tokenizer_load_sentencepiece(
    const char *path, const cria_sentencepiece_options *options,
    cria_tokenizer **tokenizer, cria_error *error);
cria_status cria_tokenizer_load_sentencepiece_memory(
    const void *data, size_t size, const char *name,
    const cria_sentencepiece_options *options, cria_tokenizer **tokenizer,
    cria_error *error);

/* Null is allowed. */
void cria_tokenizer_free(cria_tokenizer *tokenizer);

/* Add what the tokenizer puts around a prompt (BOS, EOS). */
#define CRIA_ENCODE_ADD_SPECIAL 1u
/* Treat the text of special tokens ("<|im_end|>") as ordinary text. Use it for
 * text that a user typed; leave it out for text from a chat template. */
#define CRIA_ENCODE_PLAIN_TEXT 2u

/* Encodes `size` bytes. Writes at most `capacity` ids and sets *count to the
 * number of ids of the whole text; when that is more than `capacity` the
 * result is CRIA_OUT_OF_RANGE, so a first call with ids = NULL and
 * capacity = 0 measures. */
cria_status cria_tokenizer_encode(const cria_tokenizer *tokenizer,
                                  const char *text, size_t size, unsigned flags,
                                  int32_t *ids, size_t capacity, size_t *count,
                                  cria_error *error);

/* One more than the largest token id. */
int32_t cria_tokenizer_vocab_size(const cria_tokenizer *tokenizer);

/* The id of the BOS token, or -1. tokenizer.json has no field for it: it is
 * read from a key of cria's own, "cria": {"bos_id": 1, "eos_ids": [2, 3]}, in
 * the object "model" or at the top. (Hugging Face's reader tolerates it in the
 * former only, so that is where cria's importers write it.) */
int32_t cria_tokenizer_bos_id(const cria_tokenizer *tokenizer);

/* Token ids that end a generation; *count is 0 where the file names none. */
const int32_t *cria_tokenizer_eos_ids(const cria_tokenizer *tokenizer,
                                      size_t *count);
int cria_tokenizer_is_eos(const cria_tokenizer *tokenizer, int32_t id);

/* 1 for control tokens, whose text a decoder skips by default. */
int cria_tokenizer_is_special(const cria_tokenizer *tokenizer, int32_t id);

/* The token as the vocabulary spells it ("\u0120the", "<0x0A>"). An id
 * without a token, or outside the vocabulary, gives NULL. */
const char *cria_tokenizer_token_text(const cria_tokenizer *tokenizer,
                                      int32_t id, size_t *size);

/* The id of a token spelled exactly so, or -1. */
int32_t cria_tokenizer_token_id(const cria_tokenizer *tokenizer,
                                const char *text, size_t size);

/* The bytes that the token stands for anywhere but at the start of a text.
 * They need not be valid UTF-8 on their own. NULL as above. */
const uint8_t *cria_tokenizer_token_bytes(const cria_tokenizer *tokenizer,
                                          int32_t id, size_t *size);

/* The state of one decoded stream. Initialise it with cria_decoder_init, do
 * not touch its fields, copy it freely, drop it without cleanup. */
typedef struct cria_decoder {
  uint8_t pending[4]; /* bytes of an unfinished UTF-8 sequence */
  uint8_t pending_size;
  uint8_t started;
  uint16_t reserved;
  uint32_t leading_strips;
  uint32_t flags;
} cria_decoder;

/* Write the text of special tokens too. */
#define CRIA_DECODE_SPECIAL 1u

void cria_decoder_init(const cria_tokenizer *tokenizer, unsigned flags,
                       cria_decoder *decoder);

/* The most bytes that one cria_decoder_push or _finish writes. */
size_t cria_decoder_max_bytes(const cria_tokenizer *tokenizer);

/* Adds one token and writes the text that is complete now, always valid UTF-8.
 * An unfinished sequence is held back until it is complete; a broken one is
 * written as U+FFFD, one per maximal broken part. *size is the number of bytes
 * written (no NUL is added). With too little capacity the result is
 * CRIA_OUT_OF_RANGE, *size is what is needed, and the state is unchanged. */
cria_status cria_decoder_push(const cria_tokenizer *tokenizer,
                              cria_decoder *decoder, int32_t id, char *text,
                              size_t capacity, size_t *size, cria_error *error);

/* Ends the stream: what is still held back is broken. */
cria_status cria_decoder_finish(cria_decoder *decoder, char *text,
                                size_t capacity, size_t *size,
                                cria_error *error);

/* Decodes a whole sequence. *size and capacity as in cria_tokenizer_encode. */
cria_status cria_tokenizer_decode(const cria_tokenizer *tokenizer,
                                  const int32_t *ids, size_t count,
                                  unsigned flags, char *text, size_t capacity,
                                  size_t *size, cria_error *error);

#ifdef __cplusplus
}
#endif
#endif /* CRIA_TEXT_H */
