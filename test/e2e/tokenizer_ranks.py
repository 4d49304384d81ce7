# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Vocabularies by rank, in folders that have no tokenizer.json, against tiktoken.

    tokenizer_ranks.py LIBRARY WORK_DIR

LIBRARY is libcria_text as a shared object. Small vocabularies are trained here
and written as Llama 3's own tokenizer.model (tokens in base64 with their ranks)
and as Mistral's tekken.json, of each the forms that occur; the tokenizer.json
that cria's import makes of them must give the ids and texts of tiktoken, which
the makers of both run.
"""

import base64
import json
import os
import sys

import models as small
import tiktoken
import tokenizer_families as common
from tokenizer_golden import LLAMA3, TEKKEN, added, byte_level, pre, split
from transformers.convert_slow_tokenizer import bytes_to_unicode

BYTES = {character: byte for byte, character in bytes_to_unicode().items()}
LLAMA3_SPECIALS = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>",
    "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>",
    "<|eot_id|>", "<|python_tag|>",
] + [f"<|reserved_special_token_{i}|>" for i in range(3, 248)]  # fmt: skip
TEKKEN_SPECIALS = [
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]",
    "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
]  # fmt: skip
TOOLS = ["<unk>", "<s>", "</s>", "[THINK]", "[/THINK]"]


def tokens_of(pattern, first):
    """Byte strings by rank; the single bytes come first, in the order `first`."""
    family = common.bpe("", pre(split(pattern), byte_level(False)), [])
    vocab = common.train(family)["model"]["vocab"]
    words = [bytes(BYTES[c] for c in word) for word in sorted(vocab, key=vocab.get)]
    return [bytes([byte]) for byte in first] + [word for word in words if len(word) > 1]


def encoding(pattern, tokens, specials, offset=0):
    ranks = {token: offset + rank for rank, token in enumerate(tokens)}
    return tiktoken.Encoding("it", pat_str=pattern, mergeable_ranks=ranks, special_tokens=specials)


def folder_of(path, vocab, bos, eos, files):
    small.write_hf(path, {**common.SIZES, "vocab": vocab})
    with open(os.path.join(path, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    files = {"config.json": {**config, "bos_token_id": bos, "eos_token_id": eos}, **files}
    for name, what in files.items():
        with open(os.path.join(path, name), "w", encoding="utf-8") as file:
            file.write(what if isinstance(what, str) else json.dumps(what))
    return path


def rank_lines(tokens):
    return "".join(f"{base64.b64encode(t).decode()} {rank}\n" for rank, t in enumerate(tokens))


def llama3(work):
    """Bytes in the order of their spellings, as in the published file."""
    tokens = tokens_of(LLAMA3, list(bytes_to_unicode()))
    count = len(tokens)
    usual = {name: count + i for i, name in enumerate(LLAMA3_SPECIALS)}
    files = {"tokenizer.model": rank_lines(tokens)}
    yield "llama3", encoding(LLAMA3, tokens, usual), count, folder_of(
        os.path.join(work, "llama3"), count + 256, count, count + 9, files)  # fmt: skip
    # With names of its own, a gap, and lines as Windows ends them.
    named = {"<|begin|>": count, "<|turn|>": count + 2, "<|end|>": count + 5}
    decoder = {str(i): added(name) for name, i in named.items()}
    files = {
        "tokenizer.model": rank_lines(tokens).replace("\n", "\r\n"),
        "tokenizer_config.json": {"added_tokens_decoder": decoder},
    }
    yield "llama3 with names", encoding(LLAMA3, tokens, named), count, folder_of(
        os.path.join(work, "named"), count + 64, count, count + 5, files)  # fmt: skip


def tekken_file(tokens, pattern, size, specials, **more):
    vocab = [{"rank": rank, "token_bytes": base64.b64encode(token).decode(),
              "token_str": token.decode() if token.isascii() else None}
             for rank, token in enumerate(tokens)]  # fmt: skip
    config = {"pattern": pattern, "num_vocab_tokens": len(tokens), "version": "v3",
              "default_vocab_size": size, "default_num_special_tokens": specials}  # fmt: skip
    return {"config": config, "vocab": vocab, **more}


def tekken(work):
    tokens = tokens_of(TEKKEN, range(256))
    # Not all of the vocabulary is in use, and special tokens without a name are.
    for name, names, more in (
        ("tekken", TEKKEN_SPECIALS, {}),
        ("tekken with names", TOOLS, {"special_tokens": [
            {"rank": i, "token_str": t, "is_control": True} for i, t in enumerate(TOOLS)],
            "image": {"image_patch_size": 14}}),
    ):  # fmt: skip
        count = 32
        specials = {n: i for i, n in enumerate(names)}
        specials.update({f"<SPECIAL_{i}>": i for i in range(len(names), count)})
        used = tokens[:-25]
        file = tekken_file(tokens, TEKKEN, count + len(used), count, **more)
        yield name, encoding(TEKKEN, used, specials, count), 1, folder_of(
            os.path.join(work, name.replace(" ", "-")), count + len(used), 1, 2,
            {"tekken.json": file})  # fmt: skip
    # A pattern of its own is the file's, not the family's.
    file = tekken_file(tokens, LLAMA3, 2 + len(tokens), 2, special_tokens=[
        {"rank": i, "token_str": t} for i, t in enumerate(["<a>", "<b>"])])  # fmt: skip
    yield "tekken with a pattern", encoding(LLAMA3, tokens, {"<a>": 0, "<b>": 1}, 2), 0, folder_of(
        os.path.join(work, "pattern"), 2 + len(tokens), 0, 1, {"tekken.json": file})  # fmt: skip


def check(report, cria, name, reference, bos, folder):
    specials = sorted(reference.special_tokens_set)
    try:
        handle = cria.load(common.imported(folder))
    except ValueError as error:
        report.fail(f"{name}: {error}")
        return
    for text in common.TEXTS + common.text_of(*specials[:12], *specials[-3:]):
        want = reference.encode(text, allowed_special="all")
        report.equal(name, text, cria.encode(handle, text.encode()), [bos] + want)
        ordinary = reference.encode_ordinary(text)
        report.equal(f"{name}, plain text", text,
                     cria.encode(handle, text.encode(), cria.PLAIN_TEXT), ordinary)  # fmt: skip
        report.equal(f"{name}, decoded", text, cria.decode(handle, want), text)
    common.check_broken(report, name, cria, handle)


def refused(report, folder, name, data, message):
    """A file that is wrong is an error that says why."""
    for other in ("tokenizer.model", "tekken.json"):
        if os.path.exists(os.path.join(folder, other)):
            os.remove(os.path.join(folder, other))
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(data if isinstance(data, str) else json.dumps(data))
    try:
        common.imported(folder)
        report.fail(f"accepted, though {message}")
    except ValueError as error:
        report.equal("message", message, message in str(error), True)
        if message not in str(error):
            print(error, file=sys.stderr)


def check_refused(report, work):
    folder = os.path.join(work, "refused")
    tokens = [bytes([byte]) for byte in range(256)] + [b"ab", b"abc"]
    folder_of(folder, 600, 0, 1, {})
    lines = rank_lines(tokens)
    either = "accepted: a SentencePiece model, or tokens and ranks as tiktoken's"
    for data, message in (
        ("hello\n", "line 1 has no space, expected a token in base64 and its rank; " + either),
        (lines + "YWI= 7\n", "line 259 has rank 7, expected 258"),
        (lines + "YWI= 258\n", "the token of rank 258 occurs twice"),
        (lines + "YW! 258\n", "line 259 is 'YW!', expected base64"),
        (lines + "YWI= x\n", "line 259 ends with 'x', expected a rank"),
        (rank_lines(tokens[:255]), "no token is byte 255 alone"),
        (lines + "A" * 1368 + " 258", "line 259 has 1026 bytes, at most 1024 are read"),
    ):
        refused(report, folder, "tokenizer.model", data, message)
    good = tekken_file(tokens, TEKKEN, 288, 30)
    config = good["config"]

    def bent(**changes):
        return {**good, "config": {**config, **changes}}

    for data, message in (
        ("{", "tekken.json"),
        ([], "config is absent"),
        ({**good, "vocab": 3}, "vocab is no list"),
        (bent(pattern=None), "config.pattern is no string"),
        (bent(default_vocab_size=289), "config.default_vocab_size is 289, expected an integer"),
        (bent(default_vocab_size=29), "default_vocab_size is 29, expected at least 30"),
        (bent(default_num_special_tokens=-1), "default_num_special_tokens is -1, expected"),
        (bent(default_num_special_tokens=19, default_vocab_size=277), "there are 20 special tokens, but"),
        ({**good, "vocab": good["vocab"][::-1]}, "vocab[0].token_bytes has rank 257, expected 0"),
        ({**good, "special_tokens": [{"rank": 1, "token_str": "<s>"}]},
         "special_tokens[0].rank is 1, expected 0"),
        ({**good, "special_tokens": [{"rank": 0, "token_str": "a"}]}, "repeats 'a'"),
    ):  # fmt: skip
        refused(report, folder, "tekken.json", data, message)


def main():
    library, work = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    cria, report = common.Cria(library), common.Report()
    for case in (llama3, tekken):
        for name, reference, bos, folder in case(work):
            check(report, cria, name, reference, bos, folder)
    check_refused(report, work)
    print(f"{report.checks} comparisons, {report.failures} differ")
    return report.failures != 0


if __name__ == "__main__":
    sys.exit(main())
