# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What halide.test and halide-absent.test need.

    halide.py record MODULE TARGET RECORD [PROVIDER [KNOB=VALUE ...]]
                          a tuning record that gives PROVIDER to all linears
    halide.py bind IN OUT the module after the stage tile, with the same
    halide.py bits DIR [PROVIDER [TYPE,...]]
                          random models of ragged sizes, with and without
    halide.py parallel DIR
                          kernels with parallel loops
"""

import json
import os
import random
import shutil
import subprocess
import sys

TOKENS = ",".join(str(1 + 37 * i % 90) for i in range(90))
TYPES = ("f32", "bf16", "f16", "q8", "q4", "q4_0", "q6")
CUTS = ((), ("block-tokens=6", "rows=48"), ("tokens=3", "panels=1"),
        ("tokens=7", "panels=2", "rows=96"))


def run(*command):
    subprocess.run(command, check=True)


def record(module, target, path, provider="halide", *knobs):
    space = path + ".space"
    run("cria-compile", module, "--start-after", "dialect", "--target", target,
        "--tuning-space", space)
    with open(space, encoding="utf-8") as file:
        found = json.load(file)
    winner = {"provider": provider}
    for knob in knobs:
        name, value = knob.split("=")
        winner[name] = int(value)
    ops = [{key: op[key] for key in ("op", "version", "shape")} |
           {"winner": winner} for op in found["ops"]
           if "attention" not in op["op"]]  # yapf: disable
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"cria_tune": 1, "target": found["target"], "ops": ops}, file)


def bind(source, path):
    with open(source, encoding="utf-8") as file:
        text = file.read()
    bound = text.replace(
        "extra_kinds = ",
        'cria.schedule = {provider = "halide"}, extra_kinds = ')
    assert bound != text
    with open(path, "w", encoding="utf-8") as file:
        file.write(bound)


def make(folder, rng):
    """A Llama of random odd sizes and weights."""
    import numpy as np
    from safetensors.numpy import save_file

    kv_heads = rng.choice((1, 2, 3))
    heads, head_dim = kv_heads * rng.choice((1, 3)), 2 * rng.randint(4, 24)
    width, ffn = rng.randint(33, 110), rng.randint(33, 170)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "hidden_size": width, "intermediate_size": ffn,
        "num_hidden_layers": 2, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "head_dim": head_dim,
        "vocab_size": rng.randint(91, 140), "hidden_act": "silu",
        "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "tie_word_embeddings": False,
        "torch_dtype": "float32", "attention_bias": rng.random() < 0.5,
    }  # yapf: disable
    q, kv = heads * head_dim, kv_heads * head_dim
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], width),
              "lm_head.weight": (config["vocab_size"], width),
              "model.norm.weight": (width,)}  # yapf: disable
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        for name, shape in {"self_attn.q_proj": (q, width),
                            "self_attn.k_proj": (kv, width),
                            "self_attn.v_proj": (kv, width),
                            "self_attn.o_proj": (width, q),
                            "mlp.gate_proj": (ffn, width),
                            "mlp.up_proj": (ffn, width),
                            "mlp.down_proj": (width, ffn)}.items():  # yapf: disable
            shapes[f"{layer}{name}.weight"] = shape
            if name.startswith("self_attn") and config["attention_bias"]:
                shapes[f"{layer}{name}.bias"] = shape[:1]
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{layer}{name}.weight"] = (width,)
    numbers = np.random.default_rng(rng.randint(0, 1 << 30))
    os.makedirs(folder)
    save_file({name: numbers.standard_normal(shape).astype(np.float32) / 4
               for name, shape in shapes.items()},
              os.path.join(folder, "model.safetensors"))  # yapf: disable
    with open(os.path.join(folder, "config.json"), "w",
              encoding="utf-8") as file:  # yapf: disable
        json.dump(config, file)


def logits(model, path):
    # A prefill of more than a block of tokens, one of a few, and a decode.
    run("cria", "logits", model, "--tokens", TOKENS, "--batch-split", "85", "-t",
        "3", "-o", path)  # yapf: disable
    with open(path, "rb") as file:
        return file.read()


def compile_model(source, kind, place, *flags):
    shutil.rmtree(place, ignore_errors=True)
    run("cria", "compile", source, "--quantize", kind, "-o", place, "--quiet",
        *flags)  # yapf: disable


def bits(work, provider="halide", kinds=",".join(TYPES)):
    rng = random.Random(7)
    for kind in kinds.split(","):
        source = os.path.join(work, kind)
        make(source, rng)
        own = os.path.join(work, "own")
        compile_model(source, kind, own)
        expected = logits(own, os.path.join(work, "own.npy"))
        path, other = os.path.join(work, "record.json"), os.path.join(work, "cut")
        cut = rng.choice(CUTS)
        record(os.path.join(own, "model.mlir"), "native", path, provider, *cut)
        compile_model(source, kind, other, "--tune", path)
        with open(os.path.join(other, "model.o"), "rb") as file:
            assert b"halide_linear" in file.read(), (kind, provider)
        found = logits(other, os.path.join(work, "cut.npy"))
        assert found == expected, (kind, provider, cut)
        shutil.rmtree(source)


def parallel(work):
    """Parallel loops in kernels, which schedules for more threads have."""
    source, own, other = (os.path.join(work, name)
                          for name in ("loops", "loops-own", "loops-other"))
    make(source, random.Random(3))
    compile_model(source, "bf16", own)
    module = os.path.join(own, "model.mlir")
    path = os.path.join(work, "loops.json")
    record(module, "native", path, "halide-mullapudi2016")
    run("cria-compile", module, "--start-after", "dialect", "--tune", path,
        "--stop-after", "vector", "-o", other, "--quiet")  # yapf: disable
    vector = os.path.join(other, "06-vector.mlir")
    with open(vector, encoding="utf-8") as file:
        text = file.read()
    more = text.replace("autoscheduler.parallelism = 1",
                        "autoscheduler.parallelism = 16")
    assert more != text
    with open(vector, "w", encoding="utf-8") as file:
        file.write(more)
    made = os.path.join(work, "loops-made")
    run("cria-compile", vector, "--start-after", "vector", "-o", made, "--quiet")
    with open(os.path.join(made, "model.o"), "rb") as file:
        assert b"_par_for_" in file.read(), "no loop is parallel"
    shutil.copy(os.path.join(own, "model.safetensors"), made)
    assert (logits(made, os.path.join(work, "loops-made.npy")) ==
            logits(own, os.path.join(work, "loops-own.npy")))


if __name__ == "__main__":
    {"record": record, "bind": bind, "bits": bits,
     "parallel": parallel}[sys.argv[1]](*sys.argv[2:])
