# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Optimised against plain code of one model, over the prompts of prompts.txt.

    numerics_smollm2.py PROMPTS MODEL --work DIR
        --optimised DIR|MODEL SHARE KL [--optimised ...]

Prints, for each prompt and for all positions together, the mean of
KL(plain || optimised) in nats and the share of positions with the same most
likely token. Exits with 1 where that is below SHARE or the mean above KL. Needs
numpy only.
"""

import argparse
import os
import subprocess
import sys

import numpy as np


def read_prompts(path):
    """Pairs of name and text."""
    prompts = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("=== "):
                prompts.append((line[4:].strip(), []))
            elif prompts:
                prompts[-1][1].append(line)
    return [(name, "".join(lines).rstrip("\n")) for name, lines in prompts]


def cria(*arguments):
    return subprocess.run(
        ["cria", *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def log_softmax(rows):
    rows = rows.astype(np.float64)
    rows -= rows.max(axis=1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))


def read(file):
    logits = np.load(file)
    if not len(logits) or not np.isfinite(logits).all():
        sys.exit(f"{file}: empty, or a logit is not finite")
    return logits


class Judge:
    """The plain code's logits, in double."""

    def __init__(self, plain):
        self.top, self.p = plain.argmax(axis=1), log_softmax(plain)
        self.shares = np.exp(self.p)

    def measure(self, optimised):
        """KL divergence and equality of the top token at each position."""
        if optimised.shape != self.p.shape:
            sys.exit(f"shapes {self.p.shape} and {optimised.shape} differ")
        q = log_softmax(optimised)
        kl = np.einsum("ij,ij->i", self.shares, self.p - q)
        return kl, self.top == optimised.argmax(axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts")
    parser.add_argument("model")
    parser.add_argument(
        "--optimised",
        action="append",
        nargs=3,
        required=True,
        metavar=("DIR", "SHARE", "KL"),
    )
    parser.add_argument("--work", required=True, help="folder for logits")
    args = parser.parse_args()

    os.makedirs(args.work, exist_ok=True)
    files = [os.path.join(args.work, f"{kind}.npy") for kind in ("plain", "fast")]
    shares = {name: float(share) for name, share, _ in args.optimised}
    most = {name: float(kl) for name, _, kl in args.optimised}
    names = list(shares)
    kls, sames = {name: [] for name in names}, {name: [] for name in names}

    def line(name, kl, same):
        print(
            f"{name:10} {len(kl):6} {kl.mean():9.6f} {kl.max():8.4f}"
            f" {100 * same.mean():7.2f}%",
            flush=True,
        )

    print(f"{'prompt':10} {'tokens':>6} {'mean KL':>9} {'max KL':>8} {'same top':>8}")
    for prompt, text in read_prompts(args.prompts):
        tokens = cria("tokenize", args.model, "-p", text)
        count = tokens.count(",") + 1
        if not 8 <= count <= 300:
            sys.exit(f"prompt {prompt} has {count} tokens, expected 8 to 300")
        cria("logits", args.model, "--tokens", tokens, "-o", files[0], "--plain")
        judge = Judge(read(files[0]))
        for name in names:
            cria("logits", name, "--tokens", tokens, "-o", files[1])
            kl, same = judge.measure(read(files[1]))
            line(prompt, kl, same)
            kls[name].append(kl)
            sames[name].append(same)
    for file in files:
        os.remove(file)
    broken = []
    for name in names:
        kl, same = np.concatenate(kls[name]), np.concatenate(sames[name])
        line("all", kl, same)
        if not kl.mean() <= most[name]:
            broken.append(f"{name}: mean KL {kl.mean():.6f} is above {most[name]:g}")
        if not same.mean() >= shares[name]:
            broken.append(
                f"{name}: same top {same.mean():.4f} is below {shares[name]:g}"
            )
    if broken:
        sys.exit("FAILED: " + "; ".join(broken))


main()
