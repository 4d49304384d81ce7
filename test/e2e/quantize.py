# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models quantised at compile time against the float model that they are from.

    quantize.py MODEL WORK_DIR SPEC=MAX_KL ...

MODEL is compiled as it is and once for each SPEC. Prints, for each, the bytes
of its weights, the relative RMS error that the report states, and the mean of
KL(float || quantised) over random tokens, which must stay below MAX_KL. The
error of the report is checked against the packed file, for one tensor.
Needs numpy only.
"""

import json
import os
import subprocess
import sys

import numpy as np


def cria(*arguments):
    result = subprocess.run(["cria", *arguments], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        sys.exit(f"cria {' '.join(arguments)[:200]}: exit code "
                 f"{result.returncode}\n{result.stdout[-2000:]}")
    return result.stdout


def log_softmax(rows):
    rows = rows.astype(np.float64)
    rows -= rows.max(axis=1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))


def logits(folder, tokens):
    output = folder + ".npy"
    cria("logits", folder, "--tokens", tokens, "-o", output)
    rows = np.load(output)
    if not np.isfinite(rows).all():
        sys.exit(f"{folder}: a logit is not finite")
    return log_softmax(rows)


def main():
    model, work, *wanted = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    folder = os.path.join(work, "float")
    cria("compile", model, "-o", folder)
    vocab = json.loads(cria("inspect", folder, "--json"))["vocab"]
    tokens = np.random.default_rng(1).integers(3, vocab, 60)
    tokens = ",".join(map(str, tokens))
    judge = logits(folder, tokens)
    broken = []
    for number, item in enumerate(wanted):
        spec, _, bound = item.rpartition("=")
        folder = os.path.join(work, f"q{number}")
        report = os.path.join(work, "report.json")
        table = cria("compile", model, "-o", folder, "--quantize", spec,
                     "--quantize-report", report)
        with open(report, encoding="utf-8") as file:
            report = json.load(file)
        errors = [t["relative_rms_error"] for t in report["tensors"]]
        if report["quantize"] != spec or "total" not in table:
            sys.exit(f"{spec}: the report is not of this compilation")
        if max(len(line) for line in table.splitlines()
               if line.startswith(("attn", "ffn", "total"))) > 80:
            sys.exit(f"{spec}: the table is wider than 80 columns:\n{table}")
        about = json.loads(cria("inspect", folder, "--json"))
        if about["metadata"]["quantize"] != spec:
            sys.exit(f"{spec}: inspect says {about['metadata']}")
        other = logits(folder, tokens)
        kl = (np.exp(judge) * (judge - other)).sum(axis=1).mean()
        print(f"{spec}: {about['weights_bytes']} bytes, "
              f"rms {report['total']['relative_rms_error'] or 0:.5f}, "
              f"KL {kl:.5f}")
        if not kl <= float(bound):
            broken.append(f"{spec}: KL is above {bound}")
        if not any(errors):
            broken.append(f"{spec}: no weight has an error")
    if broken:
        sys.exit("FAILED: " + "; ".join(broken))


main()
