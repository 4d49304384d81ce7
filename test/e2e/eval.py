# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compares `cria eval --json` with figures computed by NumPy.

    eval.py DIR OTHER_DIR TEXT WORK_DIR

For DIR alone, against OTHER_DIR and against its own plain lowering.
"""

import json
import math
import subprocess
import sys

import numpy as np

WINDOW, SKIP, COUNT = 100, 3, 250


def cria(*arguments):
    done = subprocess.run(["cria", *arguments], stdout=subprocess.PIPE,
                          check=True)  # yapf: disable
    return done.stdout.decode()


def main():
    model, other, text, work = sys.argv[1:]
    with open(text, encoding="utf-8") as file:
        ids = cria("tokenize", model, "-p", file.read()).split(",")
    ids = [int(i) for i in ids]
    with open(f"{model}/tokenizer.json", encoding="utf-8") as file:
        bos = json.load(file)["model"].get("cria", {}).get("bos_id", -1)
    head = [bos] if ids[0] == bos else []
    ids = ids[len(head):][:COUNT]
    step = WINDOW - len(head)
    windows = [head + ids[i : i + step] for i in range(0, len(ids), step)]

    def log_softmax(folder, *flags):
        rows, squares = [], []
        for window in windows:
            cria("logits", folder, "--tokens", ",".join(map(str, window)),
                 "-o", f"{work}/l.npy", *flags)  # yapf: disable
            logits = np.load(f"{work}/l.npy").astype(np.float64)[SKIP:-1]
            top = logits.max(axis=1, keepdims=True)
            log_z = top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
            rows.append(logits - log_z)
            squares.append(log_z[:, 0] ** 2)
        return np.concatenate(rows), np.concatenate(squares)

    following = np.concatenate([w[SKIP + 1 :] for w in windows]).astype(int)
    mine, squares = log_softmax(model)
    nll = -mine[np.arange(len(following)), following]

    def check(found, name, want):
        if not math.isclose(found[name], want, rel_tol=1e-6, abs_tol=1e-9):
            sys.exit(f"{name}: eval says {found[name]}, NumPy {want}")

    basics = [model, "--text", text, "--window", str(WINDOW), "--json",
              "--skip", str(SKIP), "--tokens", str(COUNT)]  # yapf: disable
    for flags, reference in (
        ([], None),
        (["--against", other], log_softmax(other)[0]),
        (["--against-plain"], log_softmax(model, "--plain")[0]),
    ):
        found = json.loads(cria("eval", *basics, *flags))
        check(found, "tokens", len(following))
        check(found, "perplexity", math.exp(nll.mean()))
        check(found, "perplexity_error",
              math.exp(nll.mean()) * nll.std(ddof=1) / math.sqrt(len(nll)))
        check(found, "z", squares.mean())
        if reference is None:
            assert "kl_mean" not in found
            continue
        kl = (np.exp(reference) * (reference - mine)).sum(axis=1)
        if not kl.max() > 0:
            sys.exit("the reference gives the same logits: nothing was tested")
        check(found, "kl_mean", kl.mean())
        check(found, "kl_max", kl.max())
        check(found, "kl_p99", np.sort(kl)[math.ceil(0.99 * len(kl)) - 1])
        check(found, "same_top",
              (reference.argmax(1) == mine.argmax(1)).mean())
        check(found, "reference_perplexity",
              math.exp(-reference[np.arange(len(following)), following].mean()))
        check(found, "tokens", sum(p["tokens"] for p in found["positions"]))
        print(f"{flags[0]}: mean KL {found['kl_mean']:.2g}")


if __name__ == "__main__":
    main()
