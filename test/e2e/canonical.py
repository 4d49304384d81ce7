# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The family whose config.json names every choice (CANONICAL-CONFIG.md).

    canonical.py plain|optimised|keys WORK_DIR [CASE ...]

plain, optimised: logits against the PyTorch code below, which is written from
the papers and knows nothing of cria: to 1e-4 of a row's largest, and a mean KL
of 0.005, with no op of a layer left without a kernel. keys: every key of the
configs changed; it is used (another module), refused, or one of training.
"""

import json
import math
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import random_llama
import torch
import torch.nn.functional as F
from canonical_models import BASE, shapes
from importer import Importer


class Case:

    def __init__(self, name, tokens=1030, kl=5e-3, **config):
        self.name, self.tokens, self.rel, self.kl = name, tokens, None, kl
        self.config = {**BASE, **config}


CASES = [
    # Xiao et al. 2023, with So et al.'s squared ReLU and windows in between.
    Case("sinks", attention_sinks=True, activation="relu2", gated=False,
         sliding_window=101, rope_interleaved=True, rope_theta=500.0,
         layer_types=["sliding_attention", "full_attention"]),
    # Raffel et al. 2020: no scale of scores, one table of biases; ReGLU.
    Case("relative", positions="relative", activation="relu",
         attention_scale=0.3, relative_attention_num_buckets=16,
         relative_attention_max_distance=100),
    # Ioffe and Szegedy 2015 before each linear.
    Case("batch", norm="batch", positions="learned", activation="gelu",
         gated=False, tie_word_embeddings=True, attention_bias=True,
         mlp_bias=True),
    Case("batch-both", norm="batch", norm_placement="both",
         positions="sinusoidal", activation="gelu_pytorch_tanh", residual_scale=0.7,
         attention_output_bias=True, head_bias=True),
    # Vaswani et al. 2017, decoder only.
    Case("post", norm="layer", norm_bias=True, norm_placement="after",
         final_norm=False, positions="sinusoidal", activation="relu",
         gated=False, embedding_scale=math.sqrt(72), attention_bias=True,
         qk_norm="row",
         attention_output_bias=True, mlp_bias=True),
    # Two norms of a parallel block, ALiBi, caps.
    Case("parallel", norm="layer", norm_weight=False, positions="alibi",
         block="parallel_two_norms", activation="gelu_pytorch_tanh",
         clip_qkv=1.5,
         attn_logit_softcapping=4.0, final_logit_softcapping=5.0,
         logit_scale=0.7, embedding_norm=True, dropout=0.1),
    Case("heads", norm="layer", norm_bias=True, qk_norm="head", clip_qkv=2.0,
         partial_rotary_factor=0.34),
    Case("branch", norm_placement="branch", qk_norm="row",
         rope_scaling={"rope_type": "linear", "factor": 2.0},
         partial_rotary_factor=0.34, norm_plus_one=True),
]  # yapf: disable

TRAINING = ("dropout", "weight_decay", "label_smoothing", "z_loss",
            "architectures", "model_type")


def write(case, folder):
    from safetensors.torch import save_file
    gen = torch.Generator().manual_seed(len(case.name))
    tensors = {}
    for name, shape in shapes(case.config).items():
        random = torch.randn(shape, generator=gen)
        if len(shape) > 1:
            small = 0.5 if name.startswith(("positions", "relative")) else 1.25
            tensors[name] = small * random * (
                1 if "relative" in name else case.config["hidden_size"]**-0.5)
        elif name.endswith("running_var"):
            tensors[name] = 1 + random.square()
        elif name.endswith("sinks"):
            tensors[name] = 2 * random
        else:
            zero = name.endswith(("bias", "running_mean")) or case.config.get(
                "norm_plus_one")
            tensors[name] = (0 if zero else 1) + 0.25 * random
    os.makedirs(folder, exist_ok=True)
    save_file(tensors, os.path.join(folder, "model.safetensors"))
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(case.config, file)


# --- the judge ----------------------------------------------------------------

ACTIVATIONS = {
    "relu": torch.relu, "relu2": lambda x: torch.relu(x).square(),
    "gelu": F.gelu, "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}  # yapf: disable


def alibi_slopes(heads):
    """Press et al. 2022, as their code has it for other numbers than powers."""
    def of_power(n):
        return [2.0**(-8.0 * (i + 1) / n) for i in range(n)]
    near = 2**math.floor(math.log2(heads))
    return of_power(near) + of_power(2 * near)[::2][:heads - near]


def relative_bucket(distance, buckets, most):
    """T5's code for attention to the past only."""
    exact = buckets // 2
    large = exact + (torch.log(distance.clamp(min=1).float() / exact) /
                     math.log(most / exact) * (buckets - exact)).long()
    return torch.where(distance < exact, distance,
                       large.clamp(max=buckets - 1))


def sinusoids(count, width):
    # In float32, as models are trained.
    wavelengths = 10000.0**(torch.arange(0, width, 2).double() / width)
    angles = (torch.arange(count)[:, None] / wavelengths.float()).double()
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


class Judge:

    def __init__(self, folder):
        from safetensors.torch import load_file
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            self.c = json.load(file)
        file = os.path.join(folder, "model.safetensors")
        self.t = {name: t.double() for name, t in load_file(file).items()}

    def linear(self, name, x):
        return F.linear(x, self.t[name + ".weight"], self.t.get(name + ".bias"))

    def norm(self, name, x):
        eps, weight = self.c["norm_eps"], self.t.get(name + ".weight")
        bias = self.t.get(name + ".bias")
        if self.c["norm"] == "batch":
            module = torch.nn.BatchNorm1d(x.shape[-1], eps=eps).double().eval()
            module.load_state_dict(
                {end: self.t[f"{name}.{end}"] for end in (
                    "weight", "bias", "running_mean", "running_var")},
                strict=False)
            return module(x)
        if self.c.get("norm_plus_one") and weight is not None:
            weight = 1 + weight
        if self.c["norm"] == "layer":
            return F.layer_norm(x, weight.shape if weight is not None else
                                x.shape[-1:], weight, bias, eps)
        return F.rms_norm(x, x.shape[-1:], weight, eps)

    def heads(self, x, count):
        return x.unflatten(-1, (count, self.c["head_dim"])).transpose(0, 1)

    def rotate(self, x):
        if self.c["positions"] != "rope":
            return x
        dims = int(x.shape[-1] * self.c.get("partial_rotary_factor", 1))
        scaling = self.c.get("rope_scaling") or {}
        turn = self.c.get("rope_theta", 1e4)**(
            -torch.arange(0, dims, 2) / dims) / scaling.get("factor", 1)
        # A product of float32, as models are trained.
        angle = torch.arange(x.shape[1])[:, None] * turn.float()
        cos, sin = angle.double().cos(), angle.double().sin()
        y = x.clone()
        if self.c.get("rope_interleaved"):
            a, b = slice(0, dims, 2), slice(1, dims, 2)
        else:
            a, b = slice(0, dims // 2), slice(dims // 2, dims)
        y[..., a] = x[..., a] * cos - x[..., b] * sin
        y[..., b] = x[..., b] * cos + x[..., a] * sin
        return y

    def attention(self, layer, x, number):
        c, n = self.c, x.shape[0]
        count, kv = c["num_attention_heads"], c["num_key_value_heads"]
        parts = {}
        for name in "qkv":
            y = self.linear(f"{layer}attention.{name}", x)
            if clip := c.get("clip_qkv"):
                y = y.clamp(-clip, clip)
            norm = c.get("qk_norm", "none") if name != "v" else "none"
            if norm == "row":
                y = self.norm(f"{layer}attention.{name}_norm", y)
            y = self.heads(y, count if name == "q" else kv)
            if norm == "head":
                y = self.norm(f"{layer}attention.{name}_norm", y)
            parts[name] = self.rotate(y) if name != "v" else y
        k, v = (parts[s].repeat_interleave(count // kv, 0) for s in "kv")
        scale = c.get("attention_scale") or c["head_dim"]**-0.5
        types = c.get("layer_types") or ["sliding_attention"] * 99
        window = c.get("sliding_window") or n
        if types[number] == "full_attention":
            window = n
        pieces = []
        for begin in range(0, n, 1000):
            rows = torch.arange(begin, min(begin + 1000, n))
            scores = parts["q"][:, rows] @ k.transpose(1, 2) * scale
            if cap := c.get("attn_logit_softcapping"):
                scores = cap * torch.tanh(scores / cap)
            distance = rows[:, None] - torch.arange(n)
            if c["positions"] == "alibi":
                scores -= torch.tensor(alibi_slopes(count)).double()[:, None, None] * distance
            if c["positions"] == "relative":
                buckets = relative_bucket(
                    distance.clamp(min=0), c["relative_attention_num_buckets"],
                    c["relative_attention_max_distance"])
                table = self.t["relative_attention_bias.weight"]
                scores += table[buckets].permute(2, 0, 1)
            scores.masked_fill_((distance < 0) | (distance >= window), -torch.inf)
            if c.get("attention_sinks"):
                sink = self.t[layer + "attention.sinks"][:, None, None]
                scores = torch.cat([scores, sink.expand(-1, len(rows), 1)], -1)
            pieces.append(scores.softmax(-1)[..., :n] @ v)
        mixed = torch.cat(pieces, 1).transpose(0, 1).flatten(1)
        return self.linear(layer + "attention.output", mixed)

    def feed_forward(self, layer, x):
        activation = ACTIVATIONS[self.c["activation"]]
        up = self.linear(layer + "feed_forward.up", x)
        if self.c.get("gated", True):
            up = activation(self.linear(layer + "feed_forward.gate", x)) * up
        else:
            up = activation(up)
        return self.linear(layer + "feed_forward.down", up)

    @torch.no_grad()
    def logits(self, tokens):
        c = self.c
        x = self.t["embedding.weight"][torch.tensor(tokens)]
        x = x * c.get("embedding_scale", 1)
        if c["positions"] == "learned":
            x = x + self.t["positions.weight"][:len(x)]
        if c["positions"] == "sinusoidal":
            x = x + sinusoids(len(x), x.shape[1])
        if c.get("embedding_norm"):
            x = self.norm("embedding_norm", x)
        place, share = c.get("norm_placement", "before"), c.get("residual_scale", 1)
        before, branch = place in ("before", "both"), place in ("branch", "both")
        for i in range(c["num_hidden_layers"]):
            layer = f"layers.{i}."
            def norm(part, y):
                return self.norm(layer + part, y)
            if c.get("block", "serial") != "serial":
                one = norm("attention_norm", x)
                two = (one if c["block"] == "parallel" else
                       norm("feed_forward_norm", x))
                x = x + share * (self.attention(layer, one, i) +
                                 self.feed_forward(layer, two))
                continue
            for part, f in (("attention", lambda y: self.attention(layer, y, i)),
                            ("feed_forward", lambda y: self.feed_forward(layer, y))):
                y = f(norm(part + "_norm", x) if before else x)
                if branch:
                    y = norm(part + "_post_norm", y)
                x = x + share * y
                if place == "after":
                    x = norm(part + "_post_norm", x)
        if c.get("final_norm", True):
            x = self.norm("norm", x)
        weight = self.t.get("head.weight", self.t["embedding.weight"])
        y = F.linear(x, weight, self.t.get("head.bias")) * c.get("logit_scale", 1)
        if cap := c.get("final_logit_softcapping"):
            y = cap * torch.tanh(y / cap)
        return y.numpy()


# --- the tests ----------------------------------------------------------------


def unfused(folder):
    """Ops that no kernel takes, of those that a forward pass does not do once."""
    module = folder + ".mlir"
    with open(module, "w", encoding="utf-8") as file:
        subprocess.run(["cria-compile", folder, "--stop-after", "import"],
                       check=True, stdout=file)
    remarks = subprocess.run(
        ["cria-opt", module, "--cria-stage-dialect", "--cria-stage-fuse",
         "--remarks-filter-missed=cria-fuse", "-o", os.devnull], check=True,
        text=True, capture_output=True)  # yapf: disable
    found = re.findall(r"Remark=(cria\.\w+)", remarks.stdout + remarks.stderr)
    return sorted(set(found) - {"cria.select_rows"})


def compare(line, case, work):
    folder = os.path.join(work, case.name)
    write(case, folder)
    tokens = np.random.default_rng(3).integers(0, 131, case.tokens).tolist()
    have = random_llama.run_cria(line, folder, ",".join(map(str, tokens)), work)
    text, fault = random_llama.check(line, case, Judge(folder).logits(tokens), have)
    if line != "plain" and not fault:
        if left := unfused(folder):
            fault = f"no kernel takes {', '.join(left)}"
    print(f"{case.name}: {text}", flush=True)
    return [f"{case.name}: {fault}"] if fault else []


def check_keys(case, work, importer):
    import config_keys
    folder = os.path.join(work, case.name)
    write(case, folder)
    code, module, message = config_keys.run_import(importer, folder)
    if code:
        return [f"{case.name}: {message}"]
    faults, counts = [], {"used": 0, "refused": 0, "of training": 0}
    changes = [*config_keys.variants(case.config),
               (("a_new_trick",), {**case.config, "a_new_trick": 1})]
    for path, changed in changes:
        code, other, message = config_keys.import_changed(importer, folder,
                                                          changed)
        if code == 0 and other != module:
            counts["used"] += 1
        elif code == 1 and re.search("key '|tensor '", message):
            counts["refused"] += 1
        elif code == 0 and path[0] in TRAINING:
            counts["of training"] += 1
        else:
            faults.append(f"{case.name}: {'.'.join(path)}: exit code {code}, "
                          f"{message.strip()[-300:] or 'ignored'}")
    print(case.name + ":", ", ".join(f"{n} {k}" for k, n in counts.items()))
    return faults


def main():
    line, work, wanted = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3:]
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    faults = []
    with Importer() as importer:
        for case in CASES:
            if case.name in wanted or not wanted:
                faults += (check_keys(case, work, importer) if line == "keys"
                           else compare(line, case, work))
    if faults:
        sys.exit("FAILED:\n" + "\n".join(faults))
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
