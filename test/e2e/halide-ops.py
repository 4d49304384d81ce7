# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""For halide-ops.test: random small models whose rows, heads and attention are
Halide's, against cria's own kernels (bit for bit) and the plain lowering.

    halide-ops.py DIR [FAMILY [KV_TYPE]]
"""

import json
import os
import random
import shutil
import subprocess
import sys

import numpy as np
from safetensors.numpy import save_file

# Over a chunk of 256 positions, in calls that end within pages.
TOKENS = ",".join(str(1 + 37 * i % 90) for i in range(330))
FAMILIES = {
    "LlamaForCausalLM": "llama",
    "Qwen3ForCausalLM": "qwen3",  # a norm of each head: cria.head_rows
    "Olmo2ForCausalLM": "olmo2",  # norms behind blocks: rows that accumulate
    "StableLmForCausalLM": "stablelm",  # LayerNorm
}
KV_TYPES = ("f16", "f32", "bf16", "i8")


def run(*command):
    subprocess.run(command, check=True)


def make(folder, architecture, rng):
    family = FAMILIES[architecture]
    kv_heads = rng.choice((1, 2))
    heads = kv_heads * rng.choice((1, 2, 3, 5))
    width, head_dim = 32 * rng.randint(1, 4), 16 * rng.randint(1, 4)
    ffn = 32 * rng.randint(2, 5)
    config = {
        "architectures": [architecture], "model_type": family,
        "intermediate_size": ffn, "num_hidden_layers": 2, "vocab_size": 128,
        "hidden_act": "silu", "max_position_embeddings": 1024,
        "rope_theta": 10000.0, "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }  # yapf: disable
    if family in ("llama", "qwen3"):
        config["head_dim"] = head_dim
    else:
        heads *= 2
        kv_heads *= 2
        width = heads * head_dim
    if family == "stablelm":
        config |= {"layer_norm_eps": 1e-5, "partial_rotary_factor": 0.5,
                   "use_qkv_bias": False, "use_parallel_residual": False,
                   "qk_layernorm": False}  # yapf: disable
    else:
        config |= {"rms_norm_eps": 1e-5, "attention_bias": False}
    config |= {"hidden_size": width, "num_attention_heads": heads,
               "num_key_value_heads": kv_heads}  # yapf: disable
    q, kv = heads * head_dim, kv_heads * head_dim
    shapes = {"model.embed_tokens.weight": (128, width),
              "lm_head.weight": (128, width), "model.norm.weight": (width,)}
    norms = (("post_attention_layernorm", "post_feedforward_layernorm")
             if family == "olmo2" else
             ("input_layernorm", "post_attention_layernorm"))  # yapf: disable
    if family == "stablelm":
        shapes["model.norm.bias"] = (width,)
    for i in range(2):
        layer = f"model.layers.{i}."
        for name, shape in {"self_attn.q_proj": (q, width),
                            "self_attn.k_proj": (kv, width),
                            "self_attn.v_proj": (kv, width),
                            "self_attn.o_proj": (width, q),
                            "mlp.gate_proj": (ffn, width),
                            "mlp.up_proj": (ffn, width),
                            "mlp.down_proj": (width, ffn)}.items():
            shapes[f"{layer}{name}.weight"] = shape
        for name in norms:
            shapes[f"{layer}{name}.weight"] = (width,)
            if family == "stablelm":
                shapes[f"{layer}{name}.bias"] = (width,)
        if family in ("qwen3", "olmo2"):
            whole = family == "olmo2"
            shapes[f"{layer}self_attn.q_norm.weight"] = (q if whole else
                                                         head_dim,)
            shapes[f"{layer}self_attn.k_norm.weight"] = (kv if whole else
                                                         head_dim,)
    numbers = np.random.default_rng(rng.randint(0, 1 << 30))
    os.makedirs(folder)
    save_file({name: numbers.standard_normal(shape).astype(np.float32) / 3
               for name, shape in shapes.items()},
              os.path.join(folder, "model.safetensors"))  # yapf: disable
    with open(os.path.join(folder, "config.json"), "w",
              encoding="utf-8") as file:
        json.dump(config, file)


def record(module, path, kv_type):
    """A record that gives Halide all that is not a linear."""
    run("cria-compile", module, "--start-after", "dialect", "--kv-type",
        kv_type, "--tuning-space", path + ".space")
    with open(path + ".space", encoding="utf-8") as file:
        found = json.load(file)
    ops = []
    for op in found["ops"]:
        if "rows" in op["knobs"] or "provider" not in op["knobs"]:
            continue
        # Where there are autoscheduled kernels, by turns with those by hand.
        offered = [each["value"] for each in op["knobs"]["provider"]
                   if each["value"] != "cria"]
        ops.append({key: op[key] for key in ("op", "version", "shape")} |
                   {"winner": {"provider": offered[len(ops) % len(offered)]}})
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"cria_tune": 1, "target": found["target"], "ops": ops}, file)
    return sorted({op["op"] for op in ops})


def logits(model, split):
    path = model + ".npy"
    run("cria", "logits", model, "--tokens", TOKENS, "--batch-split", split,
        "-t", "3", "-o", path)
    return np.load(path)


def check(work, architecture, kv_type, rng):
    source, own, other, plain = (
        os.path.join(work, name) for name in ("model", "own", "other", "plain"))
    for folder in (source, own, other, plain):
        shutil.rmtree(folder, ignore_errors=True)
    make(source, architecture, rng)
    flags = ("--kv-type", kv_type, "--quiet")
    weights = "keep" if kv_type == "f32" else rng.choice(("q4", "q8"))
    compiled = ("cria", "compile", source, "--quantize", weights, *flags)
    run(*compiled, "-o", own)
    path = os.path.join(work, "record.json")
    bound = record(os.path.join(own, "model.mlir"), path, kv_type)
    run(*compiled, "--tune", path, "-o", other)
    with open(os.path.join(other, "model.o"), "rb") as file:
        code = file.read()
    wanted = ["halide_rows", "halide_attention_chunk", "halide_attention_step"]
    if FAMILIES[architecture] == "qwen3":
        wanted.append("halide_head_rows")
    for kernel in wanted:
        assert kernel.encode() in code, (architecture, kernel, bound)
    for split in ("321", "97"):
        expected, found = logits(own, split), logits(other, split)
        assert np.isfinite(expected).all()
        assert found.tobytes() == expected.tobytes(), (architecture, kv_type,
                                                       split)
    if weights == "keep":
        run(*compiled, "--plain", "-o", plain)
        error = np.abs(logits(plain, "321") - found).max()
        assert error < 1e-3 * np.abs(found).max(), (architecture, error)
    print("same bits:", architecture, kv_type, weights, ", ".join(bound))


def main(work, family="", kv_type=""):
    rng = random.Random(11)
    for i, architecture in enumerate(FAMILIES):
        for each in KV_TYPES if kv_type else KV_TYPES[i:i + 1]:
            if family in architecture and kv_type in each:
                check(work, architecture, each, rng)


if __name__ == "__main__":
    main(*sys.argv[1:])
