# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the tests of Halide's kernels need: random small models compiled with
and without them, whose logits are equal bit for bit.

    halide.py record MODULE TARGET RECORD [PROVIDER [KNOB=VALUE ...]]
                            a tuning record that gives PROVIDER to all linears
    halide.py bind IN OUT   the module after the stage tile, all of it bound
    halide.py linears DIR [PROVIDER [TYPES ...]]
                            linears of ragged sizes, a model for each TYPES of
                            --quantize
    halide.py epilogues DIR every activation, gated and not; biases, scales
    halide.py others DIR [FAMILY [KV_TYPE]]
                            rows, heads and attention, in four arrangements
    halide.py targets DIR TARGET,...
                            all ops, each clone of one artifact
    halide.py parallel DIR  kernels with parallel loops
"""

import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys

TYPES = ("f32", "bf16", "f16", "q8", "q4", "q4_0", "q6")
KV_TYPES = ("f16", "f32", "bf16", "i8")
CUTS = ((), ("block-tokens=6", "rows=48"), ("tokens=3", "panels=1"),
        ("tokens=7", "panels=2", "rows=96"))
FAMILIES = {
    "llama": {},
    "qwen3": {"qk_norm": "head"},  # cria.head_rows
    # Norms behind blocks: rows that accumulate.
    "olmo2": {"norm_placement": "branch", "qk_norm": "row"},
    "stablelm": {"norm": "layer", "norm_bias": True,
                 "partial_rotary_factor": 0.5},
}  # yapf: disable
# The names of HalideEpilogue.cpp.
ACTIVATIONS = {"silu": "silu", "gelu": "gelu", "gelu_pytorch_tanh": "gelutanh",
               "relu": "relu", "relu2": "relusquared"}  # yapf: disable


def run(*command):
    subprocess.run(command, check=True)


def make(folder, rng, size=0.25, **choices):
    """A random model of the canonical family; `size` is that of its matrices."""
    import numpy as np
    from canonical_models import BASE, shapes
    from safetensors.numpy import save_file

    config = BASE | {key: each for key, each in choices.items()
                     if each is not None}
    numbers = np.random.default_rng(rng.randint(0, 1 << 30))
    tensors = {}
    for name, shape in shapes(config).items():
        value = numbers.standard_normal(shape) * (size if len(shape) > 1 else
                                                  0.25)
        isScale = len(shape) == 1 and name.endswith("weight")
        tensors[name] = (isScale + value).astype(np.float32)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    save_file(tensors, os.path.join(folder, "model.safetensors"))
    with open(os.path.join(folder, "config.json"), "w",
              encoding="utf-8") as file:
        json.dump(config, file)


def ragged(rng, kind):
    """Sizes that no vector, block or tile divides; but bf16 has pairs."""
    kv_heads = rng.choice((1, 2, 3))
    step = 2 if kind == "bf16" else 1
    return {"num_key_value_heads": kv_heads,
            "num_attention_heads": kv_heads * rng.choice((1, 3)),
            "head_dim": 2 * rng.randint(4, 24),
            "hidden_size": rng.randrange(34, 110, step),
            "intermediate_size": rng.randrange(34, 170, step),
            "vocab_size": rng.randint(91, 140),
            "attention_bias": rng.random() < 0.5}  # yapf: disable


def even(rng):
    """Sizes that the kernels of rows, heads and attention take."""
    kv_heads = rng.choice((1, 2))
    return {"num_key_value_heads": kv_heads,
            "num_attention_heads": kv_heads * rng.choice((1, 2, 3, 5)),
            "head_dim": 16 * rng.randint(1, 4),
            "hidden_size": 32 * rng.randint(1, 4),
            "intermediate_size": 32 * rng.randint(2, 5)}  # yapf: disable


def write_record(module, path, flags, winner):
    """`winner` of an op and its number is its schedule, or nothing."""
    space = path + ".space"
    run("cria-compile", module, "--start-after", "dialect", "--tuning-space",
        space, *flags)
    with open(space, encoding="utf-8") as file:
        found = json.load(file)
    ops = []
    for op in found["ops"]:
        if chosen := winner(op, len(ops)):
            ops.append({key: op[key] for key in ("op", "version", "shape")} |
                       {"winner": chosen})
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"cria_tune": 1, "target": found["target"], "ops": ops}, file)
    return sorted({op["op"] for op in ops})


def record(module, target, path, provider="halide", *knobs):
    values = dict(knob.split("=") for knob in knobs)
    chosen = {"provider": provider} | {k: int(v) for k, v in values.items()}
    write_record(module, path, ("--target", target),
                 lambda op, _: "attention" not in op["op"] and chosen)


def record_others(module, path, *flags):
    """All that is not a linear: where there are autoscheduled kernels, by
    turns with those by hand."""

    def winner(op, number):
        if "rows" in op["knobs"] or "provider" not in op["knobs"]:
            return None
        offered = [each["value"] for each in op["knobs"]["provider"]
                   if each["value"] != "cria"]
        return {"provider": offered[number % len(offered)]}

    return write_record(module, path, flags, winner)


def bind(source, path):
    """Gives Halide every op of a module before the stage vector."""
    schedule = 'cria.schedule = {provider = "halide"}'
    lines = []
    with open(source, encoding="utf-8") as file:
        for line in file:
            if re.search(r"cria\.(rows|head_rows|fused_|attention_)", line):
                before = line
                if "attributes {" in line:
                    line = line.replace("attributes {",
                                        f"attributes {{{schedule}, ")
                elif line.endswith(") {\n"):
                    line = line[:-2] + f"attributes {{{schedule}}} {{\n"
                else:
                    line = line.replace(") {", f") {{{schedule}, ")
                assert line != before, line
            lines.append(line)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(lines)


def logits(model, split, count=90, *flags):
    """Of `count` tokens in calls of `split`."""
    tokens = ",".join(str(1 + 37 * i % 90) for i in range(count))
    path = model + ".npy"
    run("cria", "logits", model, "--tokens", tokens, "--batch-split", str(split),
        "-t", "3", "-o", path, *flags)
    with open(path, "rb") as file:
        return file.read()


def compile_model(source, kind, place, *flags):
    shutil.rmtree(place, ignore_errors=True)
    run("cria", "compile", source, "--quantize", kind, "-o", place, "--quiet",
        *flags)


def kernels(model):
    with open(os.path.join(model, "model.o"), "rb") as file:
        return file.read()


def linears(work, provider="halide", *kinds):
    rng = random.Random(7)
    source, own, other = (os.path.join(work, name)
                          for name in ("model", "own", "other"))
    path = os.path.join(work, "record.json")
    for kind in kinds or TYPES:
        make(source, rng, **ragged(rng, kind))
        compile_model(source, kind, own)
        cut = rng.choice(CUTS)
        record(os.path.join(own, "model.mlir"), "native", path, provider, *cut)
        compile_model(source, kind, other, "--tune", path)
        assert b"halide_linear" in kernels(other), (kind, provider)
        # A prefill of more than a block of tokens, one of a few.
        assert logits(own, 85) == logits(other, 85), (kind, provider, cut)


def epilogues(work):
    rng = random.Random(5)
    source, own, other = (os.path.join(work, name)
                          for name in ("model", "own", "other"))
    path = os.path.join(work, "record.json")
    for i, (name, gated) in enumerate(
            itertools.product(ACTIVATIONS, (True, False))):
        kind = TYPES[i % len(TYPES)]
        # Also where exp, tanh and erf are at their ends.
        make(source, rng, size=(0.1, 0.5, 2)[i % 3], num_hidden_layers=1,
             activation=name, gated=gated, mlp_bias=i % 2 == 0,
             attention_output_bias=i % 3 == 0, head_bias=i % 3 == 1,
             residual_scale=(1, 0.7)[i % 2], logit_scale=(0.3, 1)[i % 2],
             final_logit_softcapping=(None, 5.0)[i % 2],
             **ragged(rng, kind))
        compile_model(source, kind, own)
        write_record(os.path.join(own, "model.mlir"), path, (), lambda op, _:
                     "rows" in op["knobs"] and {"provider": "halide"})
        compile_model(source, kind, other, "--tune", path)
        assert ACTIVATIONS[name].encode() in kernels(other), name
        for split, count in ((67, 80), (1, 5)):
            assert logits(own, split, count) == logits(other, split, count), (
                name, gated, kind, split)


def others(work, family="", kv_type=""):
    rng = random.Random(11)
    source, own, other, plain = (
        os.path.join(work, name) for name in ("model", "own", "other", "plain"))
    path = os.path.join(work, "record.json")
    for i, name in enumerate(FAMILIES):
        for kv in KV_TYPES if kv_type else KV_TYPES[i:i + 1]:
            if family not in name or kv_type not in kv:
                continue
            make(source, rng, 0.33, **FAMILIES[name], **even(rng))
            flags = ("--kv-type", kv)
            weights = "f32" if kv == "f32" else rng.choice(("q4", "q8"))
            compile_model(source, weights, own, *flags)
            bound = record_others(os.path.join(own, "model.mlir"), path, *flags)
            compile_model(source, weights, other, "--tune", path, *flags)
            wanted = ["rows", "attention_chunk", "attention_step"]
            if name == "qwen3":
                wanted.append("head_rows")
            for kernel in wanted:
                assert f"halide_{kernel}".encode() in kernels(other), (name,
                                                                      bound)
            # Over a chunk of 256 positions, in calls that end within pages.
            for split in (321, 97):
                assert logits(own, split, 330) == logits(other, split, 330), (
                    name, kv, split)
            if weights == "f32":
                agree(other, source, plain, *flags)


def agree(model, source, plain, *flags):
    """With the plain lowering, to a thousandth of the largest logit."""
    import numpy as np
    compile_model(source, "f32", plain, "--plain", *flags)
    files = (place + ".npy" for place in (model, plain))
    logits(plain, 321, 330)
    have, want = map(np.load, files)
    assert np.isfinite(want).all()
    assert np.abs(have - want).max() < 1e-3 * np.abs(want).max()


def targets(work, names):
    rng = random.Random(13)
    source, own, tiled, other = (os.path.join(work, name) for name in
                                 ("model", "own", "tiled", "other"))
    make(source, rng, **FAMILIES["qwen3"], **even(rng))
    kinds = "q8,q=q4,k=q4_0,v=bf16,gate=f16,up=f16,down=q6,head=f32"
    compile_model(source, kinds, own)
    compile_model(source, kinds, tiled, "--target", names, "--stop-after",
                  "tile")
    bound = os.path.join(work, "bound.mlir")
    bind(os.path.join(tiled, "04-tile.mlir"), bound)
    run("cria-compile", bound, "--start-after", "tile", "--target", names, "-o",
        other, "--quiet")
    shutil.copy(os.path.join(own, "model.safetensors"), other)
    want = logits(own, 67, 80)
    facts = subprocess.check_output(["cria", "inspect", other, "--json"])
    for clone in json.loads(facts)["clones"]:
        if clone["can_run"]:
            name = clone["target"]
            assert logits(other, 67, 80, "--clone", name) == want, name
            print("same bits:", name)


def parallel(work):
    """Parallel loops in kernels, which schedules for more threads have."""
    source, own, other = (os.path.join(work, name)
                          for name in ("loops", "loops-own", "loops-other"))
    rng = random.Random(3)
    make(source, rng, **ragged(rng, "bf16"))
    compile_model(source, "bf16", own)
    module = os.path.join(own, "model.mlir")
    path = os.path.join(work, "loops.json")
    record(module, "native", path, "halide-mullapudi2016")
    run("cria-compile", module, "--start-after", "dialect", "--tune", path,
        "--stop-after", "vector", "-o", other, "--quiet")
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
    assert b"_par_for_" in kernels(made), "no loop is parallel"
    shutil.copy(os.path.join(own, "model.safetensors"), made)
    assert logits(made, 85) == logits(own, 85)


if __name__ == "__main__":
    command = sys.argv[1]
    {"record": record, "bind": bind, "linears": linears,
     "epilogues": epilogues, "others": others, "targets": targets,
     "parallel": parallel}[command](*sys.argv[2:])
