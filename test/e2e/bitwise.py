# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Logits are equal bit for bit, however the work is split.

    bitwise.py WORK_DIR TOKENS DIR|MODEL

Feeds TOKENS tokens in one piece on one thread, and compares other numbers of
threads, pieces and sequences with that. Needs no package.
"""

import os
import random
import shutil
import subprocess
import sys

VARIANTS = [
    "-t 2",
    "-t 3",
    "-t 1 --batch-split 1",
    "-t 4 --batch-split 1",
    "-t 4 --batch-split 3",
    "-t 2 --batch-split 7",
    "-t 1 --batch-split 64",
    "-t 1 --beside 3",
    "-t 2 --beside 3",
    "-t 2 --beside 3 --batch-split 7",
]


def main():
    work, count, model = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    rng = random.Random(1)
    tokens = ",".join(str(rng.randrange(1, 1000)) for _ in range(count))
    file = os.path.join(work, "logits.npy")

    def logits(flags):
        subprocess.run(["cria", "logits", model, "--tokens", tokens, "-o", file,
                        *flags.split()], check=True)  # yapf: disable
        with open(file, "rb") as data:
            return data.read()

    want = logits(f"-t 1 --batch-split {count}")
    different = [flags for flags in VARIANTS if logits(flags) != want]
    print(f"{len(VARIANTS) - len(different)} of {len(VARIANTS)} equal")
    shutil.rmtree(work)
    if different:
        sys.exit("differ from one thread and one piece: " + "; ".join(different))


main()
