# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small random Llamas in GGUF files whose matrices have given types.

    gguf_types.py write FILE TYPE [...]     a layer of each type in turn, the
                                            embedding of the first, the head
                                            of the last
    gguf_types.py check FILE WORK_DIR PLAIN_REL [KL]
        compiles the file in the plain line, and with KL also in the optimised
        one; compares with transformers on the numbers that the gguf package
        decodes: the plain one by |difference| to the row's largest, the
        optimised one by mean KL. What cria says of the plain one goes to
        WORK_DIR/plain.txt and WORK_DIR/plain.json

A type is one of ggml_blocks.LAYOUT, or the name of a mixture: q4_k_m is Q4_K
with Q6_K for the values, the down projection and the head, as llama.cpp mixes
them in half of the layers.
"""

import os
import subprocess
import sys

import ggml_blocks
import models
import numpy as np
import reference

SIZES = dict(hidden=256, heads=4, kv_heads=2, ffn=512, vocab=150, context=256)
MORE = {"attn_v", "ffn_down", "output"}


def type_of(word, role):
    if word == "q4_k_m":
        return "q6_k" if role in MORE else "q4_k"
    return word


def write(path, words):
    sizes = {**SIZES, "layers": len(words)}
    # The numbers of the Q8_0 file go; its names, shapes and metadata stay.
    file = models.Gguf(sizes)
    old, file.data = file.data, b""
    for seed, (name, info) in enumerate(file.infos.items()):
        shape, kind, offset = info
        if len(shape) == 1:
            data = old[offset:offset + 4 * shape[0]]
        else:
            parts = name.split(".")
            word = (words[int(parts[1])] if parts[0] == "blk" else
                    words[0] if parts[0] == "token_embd" else words[-1])
            word = type_of(word, parts[-2])
            data = ggml_blocks.random_blocks(
                word, *shape, shape[1]**-0.5, seed).tobytes()
            kind = int(ggml_blocks.ggml_type(word))
        info[1:] = kind, len(file.data)
        file.data += data + bytes(-len(data) % file.alignment)
    with open(path, "wb") as out:
        out.write(file.bytes())


def check(path, work, plain_rel, most_kl=None):
    os.makedirs(work, exist_ok=True)
    tokens = ",".join(map(str, np.random.default_rng(1).integers(
        0, SIZES["vocab"], 60)))
    judge = os.path.join(work, "reference.npy")
    sys.argv = ["", "logits", path, "--tokens", tokens, "-o", judge]
    reference.main()
    want = np.load(judge).astype(np.float64)
    have = {}
    for line in ("plain", "optimised") if most_kl else ("plain",):
        folder = os.path.join(work, line)
        with open(folder + ".txt", "w", encoding="utf-8") as said:
            subprocess.run(["cria", "compile", path, "-o", folder,
                            "--quantize-report", folder + ".json",
                            *(["--plain"] if line == "plain" else [])],
                           check=True, stdout=said)
        subprocess.run(["cria", "logits", folder, "--tokens", tokens, "-o",
                        folder + ".npy"], check=True)
        have[line] = np.load(folder + ".npy").astype(np.float64)

    def kl(want, have):
        p, q = reference.log_softmax(want), reference.log_softmax(have)
        return (np.exp(p) * (p - q)).sum(axis=1).mean()

    rel = (np.abs(want - have["plain"]).max(axis=1)
           / np.abs(want).max(axis=1)).max()
    print(f"plain rel {rel:.2e}, KL {kl(want, have['plain']):.2e}")
    if not rel <= plain_rel:
        sys.exit(f"FAILED: plain rel is above {plain_rel:g}")
    if not most_kl:
        return
    divergence = kl(want, have["optimised"])
    print(f"optimised KL {divergence:.2e}, "
          f"to plain {kl(have['plain'], have['optimised']):.2e}")
    if not divergence <= most_kl:
        sys.exit(f"FAILED: KL is above {most_kl:g}")


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], sys.argv[3:])
    else:
        check(sys.argv[2], sys.argv[3], *map(float, sys.argv[4:]))
