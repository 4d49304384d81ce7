# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models that are wrong in one place each, through `cria compile`.

    bad_input.py WORK_DIR

Each must end with exit code 1, a message that has the stated parts (the file,
the key, the value, what would do), and no output folder.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import models

CASES = []


def gguf(name, *parts, sizes=None):
    """A GGUF file, which the decorated function bends; it may return bytes."""

    def add(bend):
        def write(folder):
            file = os.path.join(folder, "model.gguf")
            model = models.Gguf(sizes)
            data = bend(model)
            with open(file, "wb") as out:
                out.write(model.bytes() if data is None else data)
            return file

        CASES.append((name, write, ["model.gguf", *parts]))

    return add


def config(name, *parts, sizes=None, **changes):
    """A Hugging Face folder with changes to its config.json."""

    def write(folder):
        model = os.path.join(folder, "model")
        models.write_hf(model, sizes)
        values = {**models.hf_config(sizes), **changes}
        values = {key: value for key, value in values.items() if value != ...}
        with open(os.path.join(model, "config.json"), "w", encoding="utf-8") as out:
            json.dump(values, out)
        return model

    CASES.append((name, write, ["config.json", *parts]))


def cut(section, share):
    """A file that ends within (share < 1) or right before (0) a section."""

    @gguf(f"cut {'within' if share else 'before'} {section}", "truncated|only \\d+ bytes follow|begins with 'G?G?'.*accepted")
    def _(model):
        out = b""
        for name, data in model.sections().items():
            if name == section:
                return out + data[: int(len(data) * share)]
            out += data


for each in ("magic", "header", "metadata", "tensor table", "tensor data"):
    cut(each, 0.5)
    cut(each, 0)


@gguf("wrong magic", "GGML", "accepted.*gguf")
def _(model):
    model.magic = b"GGML"


@gguf("big-endian version", "big-endian", "little")
def _(model):
    model.version = 3 << 24


@gguf("absurd number of tensors", "tensor", str(2**62))
def _(model):
    model.tensor_count = 2**62


@gguf("absurd number of keys", str(2**63))
def _(model):
    model.value_count = 2**63


@gguf("absurd length of a string", "general.name", str(2**60))
def _(model):
    model.values["general.name"] = (models.STRING, (2**60).to_bytes(8, "little"))


@gguf("absurd length of an array", "x.list", str(2**61))
def _(model):
    raw = models.U32.to_bytes(4, "little") + (2**61).to_bytes(8, "little")
    model.values["x.list"] = (9, raw)


@gguf("unknown type of a value", "x.odd", "99")
def _(model):
    model.values["x.odd"] = (99, bytes(8))


@gguf("offset past the end", "output_norm.weight", str(2**40))
def _(model):
    model.infos["output_norm.weight"][2] = 2**40


@gguf("offset that overflows", "output_norm.weight", str(2**64 - 32))
def _(model):
    model.infos["output_norm.weight"][2] = 2**64 - 32


@gguf("offset out of line", "output_norm.weight", "32")
def _(model):
    model.infos["output_norm.weight"][2] += 4


@gguf("dimensions whose product overflows", "output.weight")
def _(model):
    model.infos["output.weight"][0] = [2**33, 2**33]


@gguf("nine dimensions", "output_norm.weight", "9")
def _(model):
    model.infos["output_norm.weight"][0] = [1] * 8 + [96]


@gguf("unknown tensor type", "blk.1.ffn_up.weight", "77", "[Qq]4_1")
def _(model):
    model.infos["blk.1.ffn_up.weight"][1] = 77


@gguf("wrong shape", "blk.1.attn_k.weight", r"\b16\b", r"\b32\b")
def _(model):
    model.infos["blk.1.attn_k.weight"][0] = [16, 96]


@gguf("tensors over each other", "blk.1.attn_k.weight", "overlap")
def _(model):
    model.infos["blk.1.attn_k.weight"][2] = 0


@gguf("missing tensor", "blk.1.ffn_down.weight")
def _(model):
    del model.infos["blk.1.ffn_down.weight"]


@gguf("unknown architecture", "general.architecture", "mamba", "llama")
def _(model):
    model.values["general.architecture"] = (models.STRING, "mamba")


@gguf("missing key", "llama.attention.head_count")
def _(model):
    del model.values["llama.attention.head_count"]


@gguf("wrong type of a key", "llama.block_count")
def _(model):
    model.values["llama.block_count"] = (models.STRING, "two")


@gguf("absurd number of layers", "block_count|blk.2", "")
def _(model):
    model.values["llama.block_count"] = (models.U32, 2**32 - 1)


@gguf("no layers", "llama.block_count", "0")
def _(model):
    model.values["llama.block_count"] = (models.U32, 0)


@gguf("unknown rope scaling", "llama.rope.scaling.type", "spiral", "linear", "yarn")
def _(model):
    model.values["llama.rope.scaling.type"] = (models.STRING, "spiral")


@gguf("odd head_dim", "16|32", "9|rope")
def _(model):
    model.values["llama.rope.dimension_count"] = (models.U32, 9)


@gguf("heads not a multiple of kv heads", "head_count_kv", "4", "6")
def _(model):
    model.values["llama.attention.head_count_kv"] = (models.U32, 4)


@gguf("infinite epsilon", "layer_norm_rms_epsilon", "inf")
def _(model):
    model.values["llama.attention.layer_norm_rms_epsilon"] = (
        models.FLOAT, float("inf"))  # yapf: disable


config("unknown architecture", "architectures|model_type", "Mamba", "LlamaFor",
       architectures=["MambaForCausalLM"], model_type="mamba")  # yapf: disable
config("unknown rope scaling", "rope_type", "spiral", "llama3", "yarn",
       rope_scaling={"rope_type": "spiral", "factor": 2.0})  # yapf: disable
config("rope scaling without its factor", "factor", "linear|rope_scaling",
       rope_scaling={"rope_type": "linear"})  # yapf: disable
config("odd head_dim under rope", "head_dim", "15", "even", head_dim=15)
config("heads not a multiple of kv heads", "num_key_value_heads", "4", "6",
       num_key_value_heads=4)  # yapf: disable
config("no kv heads", "num_key_value_heads", "0", num_key_value_heads=0)
config("unknown activation", "hidden_act", "sine", "silu", hidden_act="sine")
config("missing key", "hidden_size", hidden_size=...)
config("text where a number stands", "vocab_size", "many", vocab_size="many")
config("absurd number", "vocab_size", vocab_size=10**30)
config("negative number", "intermediate_size", "-160", intermediate_size=-160)
config("fraction", "num_hidden_layers", "1.5", num_hidden_layers=1.5)


def folder_case(name, *parts):
    def add(bend):
        def write(folder):
            model = os.path.join(folder, "model")
            models.write_hf(model)
            bend(model)
            return model

        CASES.append((name, write, list(parts)))

    return add


def change(model, name, edit):
    path = os.path.join(model, name)
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(edit(data))


@folder_case("config.json that is no JSON", "config.json", "line|column|offset|byte")
def _(model):
    change(model, "config.json", lambda data: data[:-20])


@folder_case("deep JSON", "config.json", "nest|deep")
def _(model):
    change(model, "config.json", lambda data: b"[" * 10**6)


@folder_case("no weights", "model", "safetensors")
def _(model):
    os.remove(os.path.join(model, "model.safetensors"))


@folder_case("safetensors cut in the header", "model.safetensors", "truncated|ends")
def _(model):
    change(model, "model.safetensors", lambda data: data[:100])


@folder_case("safetensors cut in the data", "model.safetensors",
             "end|truncated")  # yapf: disable
def _(model):
    change(model, "model.safetensors", lambda data: data[:-64])


@folder_case("safetensors with an absurd header", "model.safetensors", str(2**62))
def _(model):
    change(model, "model.safetensors",
           lambda data: (2**62).to_bytes(8, "little") + data[8:])  # yapf: disable


@folder_case("safetensors of an unknown type", "model.safetensors", "F8_E8",
             "BF16")  # yapf: disable
def _(model):
    change(model, "model.safetensors",
           lambda data: data.replace(b'"dtype": "BF16"', b'"dtype":"F8_E8"', 1))  # yapf: disable


def main():
    work = sys.argv[1]
    show = len(sys.argv) > 2
    shutil.rmtree(work, ignore_errors=True)
    broken = 0
    for name, write, parts in CASES:
        folder = os.path.join(work, re.sub(r"\W", "-", name))
        os.makedirs(folder)
        model = write(folder)
        out = os.path.join(folder, "out")
        result = subprocess.run(["cria", "compile", model, "-o", out],
                                text=True, errors="replace", timeout=60,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)  # yapf: disable
        faults = []
        if result.returncode != 1:
            faults.append(f"exit code {result.returncode}, expected 1")
        if result.stdout:
            faults.append(f"stdout has {result.stdout[:200]!r}")
        if not result.stderr.startswith("cria: error: "):
            faults.append("stderr does not begin with 'cria: error: '")
        faults += [f"stderr lacks {part}" for part in parts
                   if not re.search(part, result.stderr)]  # yapf: disable
        if os.path.exists(out):
            faults.append(f"{out} was left behind: {os.listdir(out)}")
        if faults or show:
            print(f"{'FAILED' if faults else 'ok'}: {name}: {'; '.join(faults)}\n"
                  f"{result.stderr[:1000]}")  # yapf: disable
        broken += bool(faults)
        shutil.rmtree(folder)
    print(f"{len(CASES) - broken} of {len(CASES)} refused as they should be")
    sys.exit(broken > 0)


main()
