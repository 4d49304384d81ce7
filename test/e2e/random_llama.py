# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small random Llamas through cria, against PyTorch.

    random_llama.py plain|optimised WORK_DIR [CASE ...]

Each case is a model of its own, written by reference.py as a Hugging Face
folder or as a GGUF file, and a number of random tokens. The plain code must
give transformers' logits to 1e-4 of the row's largest. The optimised code has
f16 in the KV cache and, where the weights are quantised, int8 activations:
its bounds are wider, and stand with the cases.
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys

import numpy as np
import reference

# Sizes that no vector, block or tile divides, and 3 heads for each kv head.
ODD = "--hidden 72 --heads 6 --kv-heads 2 --ffn 100 --vocab 131"
# Whole blocks of 32 in every row, otherwise odd: 3 blocks and 5 blocks.
BLOCKS = "--hidden 96 --heads 6 --kv-heads 2 --ffn 160 --vocab 131"


def scaled(text):
    return ["--rope-scaling", text]


class Case:
    """Bounds: `rel` of |difference| to the row's largest, or mean `kl`.

    Optimised code takes long to compile: what `plain_only` cases have, another
    case has as well, in company.
    """

    def __init__(self, name, flags, tokens, gguf=None, rel=3e-3, kl=1e-6,
                 plain_only=False):
        self.name, self.tokens, self.gguf = name, tokens, gguf
        self.flags = flags if isinstance(flags, list) else flags.split()
        self.rel, self.kl, self.plain_only = rel, kl, plain_only


CASES = [
    Case("odd", ODD, 70, plain_only=True),
    Case("mha-bf16-linear",
         ("--hidden 60 --heads 5 --kv-heads 5 --ffn 36 --vocab 50 --tie"
          " --dtype bfloat16").split() + scaled(
              '{"rope_type": "linear", "factor": 4.0}'), 33),
    Case("mqa-head-dim",
         "--hidden 49 --heads 7 --kv-heads 1 --head-dim 10 --ffn 52 --vocab 97",
         33, plain_only=True),
    Case("f16-biases-yarn",
         (ODD + " --dtype float16 --bias --mlp-bias --max-positions 512"
          " --config-style v5").split() + scaled(
              '{"rope_type": "yarn", "factor": 4.0,'
              ' "original_max_position_embeddings": 128}'), 300),
    Case("theta-eps", ODD + " --rope-theta 500000 --eps 1e-2", 40,
         plain_only=True),
    Case("llama3", (ODD + " --max-positions 2048").split() + scaled(
        '{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,'
        ' "high_freq_factor": 4.0, "original_max_position_embeddings": 256}'),
        1100),
    Case("dynamic", (ODD + " --max-positions 256").split() + scaled(
        '{"rope_type": "dynamic", "factor": 2.0}'), 256, plain_only=True),
    Case("gguf-f32", BLOCKS, 40, "f32", plain_only=True),
    Case("gguf-f16", ODD + " --tie", 40, "f16", plain_only=True),
    Case("gguf-bf16", BLOCKS, 40, "bf16", plain_only=True),
    Case("gguf-llama3", (ODD + " --max-positions 512").split() + scaled(
        '{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,'
        ' "high_freq_factor": 4.0, "original_max_position_embeddings": 64}'),
        280, "f32", plain_only=True),
    Case("gguf-q8_0", BLOCKS, 40, "q8_0", None, 1e-3),
    Case("gguf-q4_0", BLOCKS + " --tie", 40, "q4_0", None, 1e-3),
    Case("gguf-q4_1", BLOCKS + " --bias --max-positions 512", 300, "q4_1",
         None, 1e-3),
    # The rows of 72 are f16, those of 160 q4_1: types differ within a layer.
    Case("gguf-mixed",
         "--hidden 72 --heads 6 --kv-heads 2 --ffn 160 --vocab 131", 40,
         "q4_1", None, 1e-3),
]  # yapf: disable


def run_reference(*arguments):
    sys.argv = ["reference.py", *arguments]
    reference.main()


def cria(*arguments):
    result = subprocess.run(["cria", *arguments], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        raise RuntimeError(f"cria {' '.join(arguments)[:200]}: exit code "
                           f"{result.returncode}\n{result.stdout[-2000:]}")


def write_model(case, folder):
    model = os.path.join(folder, "model")
    run_reference("random-llama", model, "--seed", str(len(case.name)),
                  *case.flags)
    if case.gguf:
        file = os.path.join(folder, "model.gguf")
        run_reference("gguf", model, "-o", file, "--type", case.gguf)
        model = file
    vocab = int(case.flags[case.flags.index("--vocab") + 1])
    tokens = np.random.default_rng(case.tokens).integers(0, vocab, case.tokens)
    return model, ",".join(map(str, tokens))


def run_cria(line, model, tokens, folder):
    compiled = os.path.join(folder, "compiled")
    cria("compile", model, "-o", compiled,
         *(["--plain"] if line == "plain" else []))
    output = os.path.join(folder, "logits.npy")
    cria("logits", compiled, "--tokens", tokens, "-o", output)
    return np.load(output).astype(np.float64)


def check(line, case, want, have):
    """What the case measures, and None or what is wrong."""
    if want.shape != have.shape:
        return "", f"shape {have.shape}, expected {want.shape}"
    if not np.isfinite(have).all():
        row = np.argwhere(~np.isfinite(have))[0][0]
        return "", f"a logit of row {row} is not finite"
    rows = np.abs(want - have).max(axis=1) / np.abs(want).max(axis=1)
    p, q = reference.log_softmax(want), reference.log_softmax(have)
    kl = (np.exp(p) * (p - q)).sum(axis=1).mean()
    text = (f"rel {rows.max():.2e} at row {rows.argmax()} of {len(rows)}, "
            f"mean KL {kl:.2e}")
    rel, most = (1e-4, None) if line == "plain" else (case.rel, case.kl)
    if rel is not None and not rows.max() <= rel:
        return text, f"rel is above {rel:g}"
    if most is not None and not kl <= most:
        return text, f"KL is above {most:g}"
    return text, None


def main():
    line, work, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
    shutil.rmtree(work, ignore_errors=True)
    import torch
    torch.set_num_threads(1)
    cases = [c for c in CASES if (c.name in wanted if wanted else
                                  line == "plain" or not c.plain_only)]
    jobs, broken = [], []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for case in cases:
            folder = os.path.join(work, case.name)
            os.makedirs(folder)
            model, tokens = write_model(case, folder)
            job = pool.submit(run_cria, line, model, tokens, folder)
            judge = os.path.join(folder, "reference.npy")
            run_reference("logits", model, "--tokens", tokens, "-o", judge)
            jobs.append((case, np.load(judge).astype(np.float64), job))
        for case, want, job in jobs:
            try:
                text, fault = check(line, case, want, job.result())
            except RuntimeError as error:
                text, fault = "", str(error)
            print(f"{case.name}: {text}" + (f" FAILED: {fault}" if fault else ""))
            if fault:
                broken.append(case.name)
    if broken:
        sys.exit("FAILED: " + ", ".join(broken))
    shutil.rmtree(work)


main()
