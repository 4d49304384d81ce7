# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`cria compile --kv-heads` on models whose heads are equal within groups.

    kv_heads.py WORK_DIR

Their logits must stay as they are, to 1e-4 of a row's largest.
"""

import os
import subprocess
import sys

import numpy as np
import random_llama
import torch
from safetensors.torch import load_file, save_file

# Kv heads 0 to 2 equal, and 3 to 5.
HEADS, GROUP = 6, 3
OLMO = {**random_llama.SIZES, "num_key_value_heads": HEADS}
CASES = [
    random_llama.Family("llama-biases", "llama", 70, **OLMO,
                        attention_bias=True),
    random_llama.Family("olmo2-row-norm", "olmo2", 70, **OLMO, pad_token_id=1,
                        eos_token_id=2),
    random_llama.Family("bloom-fused", "bloom", 70, hidden_size=72,
                        n_head=HEADS, n_layer=2),
    random_llama.Family("gpt2-transposed", "gpt2", 70, **random_llama.GPT,
                        bos_token_id=1, eos_token_id=2),
]  # yapf: disable


def repeat_heads(value):
    """Each head, along axis 0, becomes the first one of its group."""
    heads = value.view(HEADS, -1, *value.shape[1:])
    return heads[::GROUP].repeat_interleave(GROUP, 0).reshape(value.shape)


def make_equal(name, value):
    if any(part in name for part in (".k_proj.", ".v_proj.", ".k_norm.")):
        return repeat_heads(value)
    if ".query_key_value." in name:  # of each head a query, a key, a value
        parts = value.view(HEADS, 3, -1, *value.shape[1:]).clone()
        for i in (1, 2):
            parts[:, i] = parts[::GROUP, i].repeat_interleave(GROUP, 0)
        return parts.reshape(value.shape)
    if ".c_attn." in name:  # [inputs, outputs]
        q, k, v = value.movedim(-1, 0).chunk(3)
        parts = torch.cat([q, repeat_heads(k), repeat_heads(v)])
        return parts.movedim(0, -1).contiguous()
    return value


def logits(model, tokens, folder, *flags):
    run = lambda *words: subprocess.run(["cria", *words], check=True, text=True,
                                        stdout=subprocess.PIPE).stdout
    text = run("compile", model, "-o", folder, "--plain", *flags)
    run("logits", folder, "--tokens", tokens, "-o", folder + ".npy")
    return np.load(folder + ".npy"), text


def main():
    for case in CASES:
        folder = os.path.join(sys.argv[1], case.name)
        os.makedirs(folder)
        model, _, tokens = random_llama.write_model(case, folder)
        file = os.path.join(model, "model.safetensors")
        tensors = {n: make_equal(n, v) for n, v in load_file(file).items()}
        save_file(tensors, file, metadata={"format": "pt"})
        want, _ = logits(model, tokens, folder + "/mha")
        have, text = logits(model, tokens, folder + "/gqa", "--kv-heads",
                            str(HEADS // GROUP))
        rel = (np.abs(want - have).max(axis=1) / np.abs(want).max(axis=1)).max()
        print(f"{case.name}: rel {rel:.2e}", *text.splitlines()[-3:], sep="; ")
        if not rel <= 1e-4:
            sys.exit(f"FAILED: {case.name}: {rel} is above 1e-4")


main()
