# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Holds an artifact of `--numerics fast` against one of exact, and against its
plain lowering.

    numerics_fast.py EXACT_DIR FAST_DIR TEXT WORK_DIR
"""

import json
import subprocess
import sys

import numpy as np

MAX_KL = 0.003


def cria(*arguments):
    done = subprocess.run(["cria", *arguments], stdout=subprocess.PIPE,
                          check=True)  # yapf: disable
    return done.stdout.decode()


def main():
    exact, fast, text, work = sys.argv[1:]

    def logits(folder, count):
        tokens = ",".join(str(7 * i % 500 + 1) for i in range(count))
        cria("logits", folder, "--tokens", tokens, "-o", f"{work}/l.npy")
        return np.load(f"{work}/l.npy")

    if logits(exact, 4).tobytes() != logits(fast, 4).tobytes():
        sys.exit("4 tokens differ from --numerics exact")
    if logits(exact, 40).tobytes() == logits(fast, 40).tobytes():
        sys.exit("40 tokens have the bits of --numerics exact")
    found = json.loads(cria("eval", fast, "--text", text, "-n", "300", "--json",
                            "--against-plain"))  # yapf: disable
    kl = found["kl_mean"]
    print(f"KL {kl}")
    if not 0 < kl <= MAX_KL:
        sys.exit(f"mean KL from the plain lowering is {kl}; at most {MAX_KL}")


if __name__ == "__main__":
    main()
