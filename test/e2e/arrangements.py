# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Blocks of the literature: the optimised code against the plain lowering.

    arrangements.py WORK_DIR [CASE ...]

Each case is a description with random weights (arrangement.py) whose choices
go together in some family. Its tokens are fed in pieces, next to other
sequences, so that most rows find keys and values in the cache. The logits are
compared with the plain lowering's, and bit for bit with those of one piece on
one thread. No op of a layer may be left to its plain lowering.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import reference
from arrangement import alibi_slopes, describe

# What a forward pass does once, and copies rows only.
ONCE = {"cria.select_rows"}

GPT = dict(norm="layer_bias", ffn_kind="plain", activation="gelu_tanh",
           attn_bias="qkvo", ffn_bias=True, positions="learned", kv_heads=4)

CASES = {
    "gpt1": dict(GPT, placement="post", weight="q4"),
    "gpt2": dict(GPT, weight="q4z"),
    "gptj": dict(norm="layer_bias", block="parallel", sum_order="right",
                 ffn_kind="plain", activation="gelu_tanh", ffn_bias=True,
                 pairs="interleaved", rope_dims=32, head_dim=80, head_bias=True,
                 kv_heads=1),
    "neox": dict(norm="layer_bias", block="parallel2", ffn_kind="plain",
                 activation="gelu", attn_bias="qkvo", ffn_bias=True,
                 rope_dims=4, head_dim=20),
    # Clips, then rope in the epilogues, and pieces of 16 of heads of 80.
    "olmo": dict(norm="layer", clip_qkv=0.5, head_dim=80, weight="q4"),
    "stablelm2": dict(norm="layer", block="parallel", qk_norm="heads",
                      rope_dims=4, head_dim=20, clip_qkv=2.0),
    "olmo2": dict(placement="after", qk_norm="row", weight="q4"),
    "gemma2": dict(placement="double", plus_one=True, activation="gelu_tanh",
                   embed_scale=8.0, softcap=5.0, final_softcap=3.0, head_dim=256,
                   kinds=({"window": 20}, {})),
    "qwen3-nope": dict(qk_norm="head", head_dim=20, weight="f16",
                       kinds=({}, {"positions": "none"})),
    "bloom": dict(positions="none", norm="layer_bias", embed_norm=True,
                  slopes=alibi_slopes(6), heads=6, kv_heads=2,
                  ffn_kind="plain", activation="relu2"),
    "t5": dict(positions="none", relative=(32, 128), ffn_bias=True,
               activation="relu", sinks=True, norm="bare"),
    "granite": dict(embed_scale=12.0, residual_scale=0.22, logit_scale=0.125,
                    scale=0.03, positions="sinusoidal", norm="layer", head_dim=96),
}  # yapf: disable

# More than one page and one chunk of attention.
TOKENS = 300
SPLITS = ["-t 2 --batch-split 7 --beside 2", "-t 3 --batch-split 64"]


def run(*command):
    result = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]}: exit code "
                           f"{result.returncode}\n{result.stdout[-2000:]}")
    return result.stdout


def unfused(model):
    """Ops of layers that no kernel takes."""
    remarks = run("cria-opt", model, "--cria-stage-dialect", "--cria-stage-fuse",
                  "--remarks-filter-missed=cria-fuse", "-o", os.devnull)
    return sorted(set(re.findall(r"Remark=(cria\.\w+)", remarks)) - ONCE)


def check(name, work):
    """What the case measures, and None or what is wrong."""
    model = os.path.join(work, name + ".mlir")
    with open(model, "w", encoding="utf-8") as file:
        file.write(describe(**CASES[name]))
    if left := unfused(model):
        return "", f"no kernel takes {', '.join(left)}"
    tokens = np.random.default_rng(len(name)).integers(0, 131, TOKENS)
    output = os.path.join(work, name + ".npy")

    def logits(folder, flags):
        run("cria", "logits", folder, "--tokens", ",".join(map(str, tokens)),
            "-o", output, *flags.split())
        return np.load(output)

    fast, plain = (os.path.join(work, name + end) for end in ("", "-plain"))
    run("cria", "compile", model, "-o", fast)
    run("cria", "compile", model, "-o", plain, "--plain")
    have = logits(fast, f"-t 1 --batch-split {TOKENS}")
    want = logits(plain, "").astype(np.float64)
    if not np.isfinite(have).all():
        return "", "a logit is not finite"
    rows = np.abs(want - have).max(axis=1) / np.abs(want).max(axis=1)
    p, q = (reference.log_softmax(x.astype(np.float64)) for x in (want, have))
    kl = (np.exp(p) * (p - q)).sum(axis=1).mean()
    text = f"rel {rows.max():.2e}, mean KL {kl:.2e}"
    if not kl <= 1e-3 or not rows.max() <= 0.1:
        return text, "too far from the plain lowering"
    for flags in SPLITS:
        if logits(fast, flags).tobytes() != have.tobytes():
            return text, f"{flags} gives other bits"
    return text, None


def main():
    work, wanted = sys.argv[1], sys.argv[2:] or list(CASES)
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    broken = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {name: pool.submit(check, name, work) for name in wanted}
        for name, job in jobs.items():
            try:
                text, fault = job.result()
            except RuntimeError as error:
                text, fault = "", str(error)
            print(f"{name}: {text}" + (f" FAILED: {fault}" if fault else ""))
            if fault:
                broken.append(name)
    if broken:
        sys.exit("FAILED: " + ", ".join(broken))
    shutil.rmtree(work)


main()
