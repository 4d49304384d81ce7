# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compares the plain lowering of every model op with PyTorch.

Writes small functions, lowers them with cria-opt --cria-plain, links them into
a shared object and calls it. Data is random, seeded and ragged; references
are computed in float64. Prints the largest error of each case and fails if
one is over its bound.

  plain_numeric.py [--cc CC] GROUP     groups: ops rope attention weights model
"""

import argparse
import sys

import numpy as np
import torch
import torch.nn.functional as F

sys.dont_write_bytecode = True  # beside the sources
from plain_harness import (  # noqa: E402
    FAILURES, RNG, TYPES, cache_types, check, check_equal, f64, from_bits,
    function, normal, pack, rows, run_cases, to_bits, weight_type)

PAGE = 64


# --- ops ----------------------------------------------------------------------


def row_case(name, width, body, arguments, reference, bound=2e-6, scale=1.0):
    """An op on rows, for several n. arguments: name -> fixed array; "x", "z"
    and so on of `body` are random rows, named by the keys whose value is None.
    """
    args = [(key, rows(width) if value is None else
             "tensor<%sx%s>" % ("x".join(map(str, value.shape)), "f32"))
            for key, value in arguments.items()]
    text = function(name, args, rows(width), body)

    def test(module):
        for n in (1, 3, 7):
            values = {key: normal(n, width, dev=scale) if value is None
                      else value for key, value in arguments.items()}
            out = np.full((n, width), np.nan, np.float32)
            module.call(name, *values.values(), out)
            want = reference(*(f64(v) for v in values.values()))
            check(f"{name} n={n}", out, want, bound)
    return text, test


def norm_cases():
    w, b, h = normal(60), normal(60), normal(12)
    t, v, u = rows(60), "tensor<60xf32>", "tensor<12xf32>"
    eps = "eps = 1.0e-03 : f32"

    def rms(x, w=None):
        y = x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-3)
        return y if w is None else y * w

    def layer(x, w, b=None):
        return F.layer_norm(x, (60,), w, b, 1e-3)

    def heads(x, w):
        return rms(x.reshape(len(x), 5, 12), w).reshape(len(x), 60)
    scale = 0.1  # so that eps matters
    return [
        row_case("norm_rms", 60,
                 f"%y = cria.norm rms %x weight %w {{{eps}}} : {t}, weight {v}",
                 {"x": None, "w": w}, rms, scale=scale),
        row_case("norm_rms_bare", 60, f"%y = cria.norm rms %x {{{eps}}} : {t}",
                 {"x": None}, rms, scale=scale),
        row_case("norm_plus_one", 60,
                 f"%y = cria.norm rms %x weight %w {{{eps}, plus_one}} : {t}, "
                 f"weight {v}", {"x": None, "w": w},
                 lambda x, w: rms(x, 1 + w), scale=scale),
        row_case("norm_layer", 60,
                 f"%y = cria.norm layer %x weight %w bias %b {{{eps}}} : {t}, "
                 f"weight {v}, bias {v}", {"x": None, "w": w, "b": b}, layer,
                 scale=scale),
        row_case("norm_layer_no_bias", 60,
                 f"%y = cria.norm layer %x weight %w {{{eps}}} : {t}, weight "
                 f"{v}", {"x": None, "w": w}, layer, scale=scale),
        row_case("norm_per_head", 60,
                 f"%y = cria.norm per_head %x weight %w {{{eps}}} : {t}, "
                 f"weight {u}", {"x": None, "w": h}, heads, scale=scale),
        row_case("norm_per_head_plus_one", 60,
                 f"%y = cria.norm per_head %x weight %w {{{eps}, plus_one}} : "
                 f"{t}, weight {u}", {"x": None, "w": h},
                 lambda x, w: heads(x, 1 + w), scale=scale),
    ]


def elementwise_cases():
    t = rows(37)
    kinds = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu,
             "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
             "relu2": lambda x: F.relu(x) ** 2}
    cases = []
    for kind, torch_kind in kinds.items():
        cases.append(row_case(
            f"activation_{kind}", 37, f"%y = cria.activation {kind} %x : {t}",
            {"x": None}, torch_kind, scale=3.0))
        cases.append(row_case(
            f"glu_{kind}", 37, f"%y = cria.glu {kind} %x, %z : {t}",
            {"x": None, "z": None},
            lambda x, z, kind=torch_kind: kind(x) * z, scale=3.0))
    cases.append(row_case(
        "softcap", 37, f"%y = cria.softcap %x {{cap = 3.0e+01 : f32}} : {t}",
        {"x": None}, lambda x: 30 * torch.tanh(x / 30), scale=40.0))
    cases.append(row_case(
        "add", 37, f"%y = cria.add %x, %z : {t}", {"x": None, "z": None},
        lambda x, z: x + z, bound=1e-7))
    cases.append(row_case(
        "scale", 37, f"%y = cria.scale %x {{factor = 0.125 : f32}} : {t}",
        {"x": None}, lambda x: 0.125 * x, bound=0))
    return cases


def indexed_cases():
    table = normal(50, 38)
    i = "tensor<?xi32>"
    t, p = rows(38), np.array([49, 0, 7, 7, 31], np.int32)

    def learned(module):
        x, out = normal(5, 38), np.full((5, 38), np.nan, np.float32)
        module.call("learned", x, p, table, out)
        check_equal("position learned", out, x + table[p])

    def sinusoidal(module):
        x, out = normal(5, 38), np.full((5, 38), np.nan, np.float32)
        at = np.array([0, 1, 5, 40, 700], np.int32)
        module.call("sinusoidal", x, at, out)
        angle = at[:, None] / 10000 ** (np.arange(0, 38, 2) / 38)
        want = x.astype(np.float64)
        want[:, 0::2] += np.sin(angle)
        want[:, 1::2] += np.cos(angle)
        check("position sinusoidal", out, want, 2e-5)

    def select(module):
        x = normal(60, 38)
        for at in (p, p[:0]):
            out = np.full((len(at), 38), np.nan, np.float32)
            module.call("select", x, at, out)
            check_equal(f"select_rows of {len(at)}", out, x[at])
    return [
        (function("learned", [("x", t), ("p", i), ("t", "tensor<50x38xf32>")],
                  t, f"%y = cria.position learned %x, %p table %t : {t}, {i}, "
                  "tensor<50x38xf32>"), learned),
        (function("sinusoidal", [("x", t), ("p", i)], t,
                  f"%y = cria.position sinusoidal %x, %p : {t}, {i}"),
         sinusoidal),
        (function("select", [("x", t), ("r", i)], t,
                  f"%y = cria.select_rows %x, %r : {t}, {i} -> {t}"), select),
    ]


# --- rope ---------------------------------------------------------------------


def rope_reference(kind, settings, head_dim, dims, length):
    """Frequencies and attention factor of transformers for one length."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    parameters = {"rope_type": kind, "rope_theta": 5000.0,
                  "partial_rotary_factor": dims / head_dim, **settings}
    config = LlamaConfig(hidden_size=3 * head_dim, num_attention_heads=3,
                         head_dim=head_dim, rope_parameters=parameters,
                         max_position_embeddings=settings.get("max", 64))
    if kind == "default":
        return 1 / 5000.0 ** (torch.arange(0, dims, 2).float() / dims), 1.0
    return ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=length)


def rotate(x, positions, kind, settings, heads, head_dim, dims, pairs):
    y = x.astype(np.float64).reshape(len(x), heads, head_dim).copy()
    for i, p in enumerate(positions):
        freq, factor = rope_reference(kind, settings, head_dim, dims,
                                      int(p) + 1)
        freq = freq.numpy().astype(np.float32)
        angle = (np.float32(p) * freq).astype(np.float64)
        cos, sin = factor * np.cos(angle), factor * np.sin(angle)
        if pairs == "half":
            first, second = slice(0, dims // 2), slice(dims // 2, dims)
        else:
            first, second = slice(0, dims, 2), slice(1, dims, 2)
        u, v = y[i, :, first].copy(), y[i, :, second].copy()
        y[i, :, first], y[i, :, second] = u * cos - v * sin, u * sin + v * cos
    return y.reshape(len(x), -1)


def rope_cases():
    heads, head_dim = 3, 20
    positions = np.array([0, 1, 5, 63, 64, 65, 200, 1000], np.int32)
    t, i = rows(heads * head_dim), "tensor<?xi32>"
    short = [1.0 + 0.125 * j for j in range(8)]
    long = [2.0 + 0.5 * j for j in range(8)]
    numbers = {  # name: dims, transformers' name and settings, the attribute
        "none": (20, "default", {}, ""),
        "partial": (16, "default", {}, ""),
        "linear": (16, "linear", {"factor": 2.5},
                   "scaling = linear, factor = 2.5"),
        "ntk": (16, "dynamic", {"factor": 3.0},
                "scaling = ntk, factor = 3.0, original_context = 64"),
        "yarn": (16, "yarn",
                 {"factor": 4.0, "original_max_position_embeddings": 64,
                  "beta_fast": 16.0, "beta_slow": 2.0},
                 "scaling = yarn, factor = 4.0, original_context = 64, "
                 "beta_fast = 16.0, beta_slow = 2.0"),
        "yarn_smooth": (16, "yarn",
                        {"factor": 4.0, "truncate": False,
                         "original_max_position_embeddings": 64,
                         "attention_factor": 1.25},
                        "scaling = yarn, factor = 4.0, original_context = 64, "
                        "attention_factor = 1.25, truncate = false"),
        "llama3": (16, "llama3",
                   {"factor": 8.0, "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 64},
                   "scaling = llama3, factor = 8.0, original_context = 64, "
                   "low_freq_factor = 1.0, high_freq_factor = 4.0"),
        "longrope": (16, "longrope",
                     {"short_factor": short, "long_factor": long,
                      "original_max_position_embeddings": 64, "max": 256},
                     "scaling = longrope, original_context = 64, max_context "
                     f"= 256, short_factors = {short}, long_factors = {long}"),
    }
    cases = []
    for name, (dims, kind, settings, attribute) in numbers.items():
        for pairs in ("half", "interleaved"):
            label = f"rope_{name}_{pairs}"
            comma = ", " if attribute else ""
            text = function(
                label, [("x", t), ("p", i)], t,
                f"%y = cria.rope %x, %p {{head_dim = {head_dim} : i64, rope = "
                f"#cria.rope<pairs = {pairs}, base = 5.0e+03, dims = {dims}"
                f"{comma}{attribute}>}} : {t}, {i}")

            def test(module, label=label, dims=dims, kind=kind,
                     settings=settings, pairs=pairs):
                x = normal(len(positions), heads * head_dim)
                out = np.full_like(x, np.nan)
                module.call(label, x, positions, out)
                want = rotate(x, positions, kind, settings, heads, head_dim,
                              dims, pairs)
                # At position 1000 a frequency that differs in its last bit,
                # as with ntk, turns the angle by 1000 * 6e-8.
                check(f"{label} near", out[:-2], want[:-2], 1e-6)
                check(f"{label} far", out[-2:], want[-2:],
                      3e-5 if kind == "dynamic" else 1e-6)
            cases.append((text, test))
    return cases


# --- KV cache and attention ---------------------------------------------------


def append_cases():
    heads, dim, layer = 3, 10, 1
    cases = []
    for kind in TYPES:
        for role, cache_type in zip(("key", "value"),
                                    cache_types(2, heads, dim, kind)):
            name = f"append_{role}_{kind}"
            text = function(
                name, [("x", rows(heads * dim)), ("keys", cache_type),
                       ("s", "tensor<?xi32>")], cache_type,
                "%l = arith.constant 1 : index\n"
                f"%y = cria.kv_append {role} %x into %keys[%l] at %s : "
                f"{rows(heads * dim)}, {cache_type}, tensor<?xi32>",
                result_name="keys")

            def test(module, name=name, role=role, kind=kind):
                shape = (2, 5, heads, 4, dim, 16) if role == "key" else \
                    (2, 5, heads, 64, dim)
                cache = to_bits(normal(*shape), kind)
                want = cache.copy()
                slots = np.array([3 * 64 + 63, 17, 4 * 64, 64 + 16, 15],
                                 np.int32)
                x = normal(len(slots), heads * dim)
                for row, slot in zip(to_bits(x, kind), slots):
                    page, offset = divmod(int(slot), 64)
                    for h in range(heads):
                        for d in range(dim):
                            at = (offset // 16, d, offset % 16) \
                                if role == "key" else (offset, d)
                            want[(layer, page, h, *at)] = row[h * dim + d]
                module.call(name, x, cache, slots)
                check_equal(name, cache, want)
            cases.append((text, test))
    return cases


class Paged:
    """Two layers of caches whose pages lie in random order; every position
    that no sequence covers holds NaN and every unused table entry a page that
    does not exist."""

    def __init__(self, lengths, heads, dim, kind):
        self.kind = kind
        pages = sum(-(-n // PAGE) for n in lengths)
        order = list(RNG.permutation(pages + 2))
        self.tables = np.full((len(lengths), 6), 1 << 28, np.int32)
        nan = to_bits(np.array([np.nan], np.float32), kind)[0]
        self.keys = np.full((2, pages + 2, heads, 4, dim, 16), nan,
                            TYPES[kind])
        self.values = np.full((2, pages + 2, heads, 64, dim), nan, TYPES[kind])
        self.sequences = []
        for s, length in enumerate(lengths):
            k, v = normal(length, heads, dim), normal(length, heads, dim)
            k, v = to_bits(k, kind), to_bits(v, kind)
            for t in range(length):
                if t % PAGE == 0:
                    self.tables[s, t // PAGE] = order.pop()
                page, offset = self.tables[s, t // PAGE], t % PAGE
                self.keys[1, page, :, offset // 16, :, offset % 16] = k[t]
                self.values[1, page, :, offset] = v[t]
            self.sequences.append((from_bits(k, kind), from_bits(v, kind)))


def attention_reference(q, paged, positions, sequences, scale, window=None,
                        softcap=None, sinks=None, slopes=None, bias=None):
    n, heads, dim = q.shape
    out = np.zeros(q.shape)
    for i, (p, s) in enumerate(zip(positions, sequences)):
        low = max(0, p - window + 1) if window else 0
        k, v = (f64(c[low:p + 1]) for c in paged.sequences[s])
        group = heads // k.shape[1]
        k, v = (c.repeat_interleave(group, dim=1) for c in (k, v))
        scores = scale * torch.einsum("hd,thd->ht", f64(q[i]), k)
        if softcap:
            scores = softcap * torch.tanh(scores / softcap)
        distance = p - torch.arange(low, p + 1)
        if slopes is not None:
            scores = scores - f64(slopes)[:, None] * distance
        if bias is not None:
            scores = scores + f64(bias)[:, distance.clamp(max=bias.shape[1] - 1)]
        if sinks is not None:
            scores = torch.cat([scores, f64(sinks)[:, None]], dim=1)
        weights = torch.softmax(scores, dim=1)[:, :len(k)]
        out[i] = torch.einsum("ht,thd->hd", weights, v).numpy()
    return out.reshape(n, heads * dim)


def relative_reference(table, distance):
    """T5Attention._relative_position_bucket of transformers, for a decoder."""
    buckets = table.shape[0]
    exact = buckets // 2
    i = torch.arange(distance + 1)
    large = exact + (torch.log(i.clamp(min=1).double() / exact) /
                     np.log(distance / exact) * (buckets - exact)).long()
    bucket = torch.where(i < exact, i, large.clamp(max=buckets - 1))
    return f64(table)[bucket].T.numpy()


def relative_cases():
    cases = []
    for buckets, heads, distance in ((32, 6, 128), (8, 3, 20), (2, 1, 2),
                                     (7, 4, 300)):
        label = f"relative_bias_{buckets}_{distance}"
        t = f"tensor<{buckets}x{heads}xf32>"
        y = f"tensor<{heads}x{distance + 1}xf32>"
        text = function(label, [("x", t)], y, f"%y = cria.relative_bias %x "
                        f"{{max_distance = {distance} : i64}} : {t} -> {y}")

        def test(module, label=label, buckets=buckets, heads=heads,
                 distance=distance):
            table = normal(buckets, heads)
            out = np.full((heads, distance + 1), np.nan, np.float32)
            module.call(label, table, out)
            check(label, out, relative_reference(table, distance), 0)
        cases.append((text, test))
    return cases


def attention_cases():
    cases = relative_cases()
    i, ii = "tensor<?xi32>", "tensor<?x?xi32>"
    variants = [  # name, heads, kv heads, head_dim, type, extras
        ("mha", 3, 3, 10, "f32", {}), ("gqa", 6, 2, 16, "f32", {}),
        ("mqa", 5, 1, 12, "f16", {}), ("bf16", 6, 2, 16, "bf16", {}),
        ("window", 6, 2, 16, "f16", {"window": 20}),
        ("window_1", 6, 2, 16, "f32", {"window": 1}),
        ("softcap", 6, 2, 16, "f32", {"softcap": 2.0}),
        ("sinks", 6, 2, 16, "f32", {"sinks": True}),
        ("all", 6, 2, 16, "f16", {"window": 65, "softcap": 5.0,
                                  "sinks": True}),
        ("slopes", 6, 2, 16, "f32", {"slopes": True}),
        ("bias", 6, 2, 16, "f16", {"bias": 70, "window": 100}),
        ("distances", 6, 2, 16, "f32", {"bias": 200, "slopes": True,
                                        "softcap": 5.0, "sinks": True}),
    ]
    for name, heads, kv_heads, dim, kind, extras in variants:
        kt, vt = cache_types(2, kv_heads, dim, kind)
        t, st = rows(heads * dim), f"tensor<{heads}xf32>"
        args = [("q", t), ("k", kt), ("v", vt), ("p", i), ("s", i), ("t", ii)]
        attributes = (f"heads = {heads} : i64, kv_heads = {kv_heads} : i64, "
                      f"head_dim = {dim} : i64, scale = 0.75 : f32")
        if "window" in extras:
            attributes += f", window = {extras['window']} : i64"
        if "softcap" in extras:
            attributes += f", softcap = {extras['softcap']} : f32"
        sinks, sinks_type = "", ""
        if "sinks" in extras:
            args.append(("z", st))
            sinks, sinks_type = "sinks %z ", f", {st}"
        if "bias" in extras:
            bt = f"tensor<{heads}x{extras['bias']}xf32>"
            args.append(("b", bt))
            sinks += f"bias(%b : {bt}) "
        slopes = np.float32([0.7 * 0.5**h for h in range(heads)])
        if "slopes" in extras:
            attributes += (", slopes = array<f32: " +
                           ", ".join(f"{s:.9e}" for s in slopes) + ">")
        label = f"attention_{name}"
        text = function(
            label, args, t, "%l = arith.constant 1 : index\n"
            f"%y = cria.attention %q, %k, %v[%l] positions %p sequences %s "
            f"tables %t {sinks}{{{attributes}}} : {t}, {kt}, {vt}, {i}, {i}, "
            f"{ii}{sinks_type}")

        def test(module, label=label, heads=heads, kv_heads=kv_heads, dim=dim,
                 kind=kind, extras=extras, slopes=slopes):
            paged = Paged([130, 1, 64, 65], kv_heads, dim, kind)
            positions = np.array([129, 0, 63, 64, 15, 128, 0], np.int32)
            sequences = np.array([0, 1, 2, 3, 0, 0, 3], np.int32)
            q = normal(len(positions), heads, dim)
            settings = dict(extras)
            extra = []
            if "sinks" in extras:
                settings["sinks"] = normal(heads)
                extra = [settings["sinks"]]
            if "bias" in extras:
                settings["bias"] = normal(heads, extras["bias"])
                extra.append(settings["bias"])
            if "slopes" in extras:
                settings["slopes"] = slopes
            out = np.full((len(positions), heads * dim), np.nan, np.float32)
            module.call(label, q.reshape(len(q), -1), paged.keys, paged.values,
                        positions, sequences, paged.tables, *extra, out)
            want = attention_reference(q, paged, positions, sequences, 0.75,
                                       **settings)
            check(label, out, want, 1e-5)
        cases.append((text, test))
    return cases


# --- weights ------------------------------------------------------------------


WEIGHTS = [
    ("f32", "", "rows"), ("f16", "", "rows"), ("bf16", "", "rows"),
    ("f32", "", "n16"), ("f16", "", "n16"), ("bf16", "", "n16k2"),
    ("q8", "none", "rows"), ("q8", "zero_point", "rows"), ("q8", "min", "rows"),
    ("q4", "zero_point", "rows"), ("q4", "min", "rows"),
    ("q8", "zero_point", "n16k4"), ("q8", "min", "n16k4"),
    ("q4", "zero_point", "n16k4"), ("q4", "min", "n16k4"),
    ("q6", "zero_point", "rows"), ("q6", "zero_point", "n16k4"),
]


def weight_cases():
    n, layers = 37, 3
    i = "tensor<?xi32>"
    params, storage, cases = "", [], []
    for element, offset, layout in WEIGHTS:
        k = 266 if element == "q6" else 75
        label = "_".join(p for p in (element, offset, layout) if p)
        stacked = f"cria.param @{label}_s : " \
            f"{weight_type(n, k, element, offset, layout, layers)}\n"
        single = f"cria.param @{label} : " \
            f"{weight_type(n, k, element, offset, layout)}\n"
        params += single + stacked
        packed = pack(n, k, element, offset, layout)
        slices = [pack(n, k, element, offset, layout) for _ in range(layers)]
        storage += packed[0]
        storage += [np.stack(parts) for parts in zip(*(s[0] for s in slices))]
        wt = weight_type(n, k, element, offset, layout)
        text = function(
            f"linear_{label}", [("x", rows(k)), ("b", f"tensor<{n}xf32>")],
            rows(n), f"%w = cria.load @{label} : {wt}\n"
            f"%y = cria.linear %x, %w bias %b : {rows(k)}, {wt}, "
            f"tensor<{n}xf32> -> {rows(n)}")
        text += function(
            f"stacked_{label}", [("x", rows(k))], rows(n),
            f"%l = arith.constant 2 : index\n"
            f"%w = cria.load @{label}_s[%l] : {wt}\n"
            f"%y = cria.linear %x, %w : {rows(k)}, {wt} -> {rows(n)}")
        text += function(
            f"embed_{label}", [("t", i)], rows(k),
            f"%w = cria.load @{label} : {wt}\n"
            f"%y = cria.embed %t, %w : {i}, {wt} -> {rows(k)}")

        def test(module, label=label, k=k, values=packed[1],
                 last=slices[2][1]):
            for rows_in in (1, 3, 7):
                x, b = normal(rows_in, k), normal(n)
                out = np.full((rows_in, n), np.nan, np.float32)
                module.call(f"linear_{label}", x, b, *storage, out)
                want = f64(x) @ f64(values).T + f64(b)
                check(f"linear {label} n={rows_in}", out, want, 1e-6)
                module.call(f"stacked_{label}", x, *storage, out)
                check(f"stacked linear {label} n={rows_in}", out,
                      f64(x) @ f64(last).T, 1e-6)
            tokens = np.array([36, 0, 17, 16, 17], np.int32)
            out = np.full((5, k), np.nan, np.float32)
            module.call(f"embed_{label}", tokens, *storage, out)
            check(f"embed {label}", out, values[tokens], 1e-7)
        cases.append((text, test))
    cases[0] = (params + cases[0][0], cases[0][1])
    return cases


# --- A whole model ------------------------------------------------------------


def model_text(config, element, offset, layout, cache):
    """A Llama of `config` as the importer would write it: a layer function,
    called in a loop over layers with stacked weights."""
    d, ffn, layers = (config.hidden_size, config.intermediate_size,
                      config.num_hidden_layers)
    heads, kv, dim = (config.num_attention_heads, config.num_key_value_heads,
                      config.head_dim)
    vocab = config.vocab_size
    shapes = {"attn_q": (heads * dim, d), "attn_k": (kv * dim, d),
              "attn_v": (kv * dim, d), "attn_output": (d, heads * dim),
              "ffn_gate": (ffn, d), "ffn_up": (ffn, d), "ffn_down": (d, ffn)}
    types = {name: weight_type(*shape, element, offset, layout)
             for name, shape in shapes.items()}
    head_type = weight_type(vocab, d, element, offset, layout)
    kt, vt = cache_types(layers, kv, dim, cache)
    i, ii, t = "tensor<?xi32>", "tensor<?x?xi32>", rows(d)
    lines = [f"cria.param @token_embd : {head_type}"]
    lines += [f"cria.param @{name} : " +
              weight_type(*shape, element, offset, layout, layers)
              for name, shape in shapes.items()]
    lines += [f"cria.param @{name} stacked : tensor<{layers}x{d}xf32>"
              for name in ("attn_norm", "ffn_norm")]
    lines += [f"cria.param @output_norm : tensor<{d}xf32>"]
    lines += [f"""func.func private @layer(%l: index, %x: {t}, %p: {i}, %s: {i},
    %slots: {i}, %tables: {ii}, %keys: {kt}, %values: {vt})
    -> ({t}, {kt}, {vt}) {{"""]

    def norm(out, x, weight, at=""):
        lines.extend([
            f"  %{weight} = cria.load @{weight}{at} : tensor<{d}xf32>",
            f"  %{out} = cria.norm rms %{x} weight %{weight} {{eps = "
            f"{config.rms_norm_eps:e} : f32}} : {t}, weight tensor<{d}xf32>"])

    def linear(out, x, name):
        n, k = shapes[name]
        lines.extend([
            f"  %{name} = cria.load @{name}[%l] : {types[name]}",
            f"  %{out} = cria.linear %{x}, %{name} : {rows(k)}, "
            f"{types[name]} -> {rows(n)}"])

    def rope(out, x, count):
        theta = config.rope_parameters["rope_theta"]
        lines.append(
            f"  %{out} = cria.rope %{x}, %p {{head_dim = {dim} : i64, rope = "
            f"#cria.rope<pairs = half, base = {theta:e}, dims = {dim}>}} : "
            f"{rows(count * dim)}, {i}")

    norm("a", "x", "attn_norm", "[%l]")
    linear("q", "a", "attn_q")
    linear("k", "a", "attn_k")
    linear("v", "a", "attn_v")
    rope("qr", "q", heads)
    rope("kr", "k", kv)
    q, kvt = rows(heads * dim), rows(kv * dim)
    lines.append(f"""  %k2 = cria.kv_append key %kr into %keys[%l] at %slots : {kvt}, {kt}, {i}
  %v2 = cria.kv_append value %v into %values[%l] at %slots : {kvt}, {vt}, {i}
  %y = cria.attention %qr, %k2, %v2[%l] positions %p sequences %s tables %tables
    {{heads = {heads} : i64, kv_heads = {kv} : i64, head_dim = {dim} : i64,
     scale = {dim ** -0.5:e} : f32}} : {q}, {kt}, {vt}, {i}, {i}, {ii}""")
    linear("o", "y", "attn_output")
    lines.append(f"  %x2 = cria.add %x, %o : {t}")
    norm("b", "x2", "ffn_norm", "[%l]")
    linear("gate", "b", "ffn_gate")
    linear("up", "b", "ffn_up")
    lines.append(f"  %g = cria.glu silu %gate, %up : {rows(ffn)}")
    linear("down", "g", "ffn_down")
    names = ("tokens", "positions", "sequences", "slots")
    args = "".join(f'%{n}: {i} {{cria.arg = "{n}"}}, ' for n in names)
    lines.append(f"""  %x3 = cria.add %x2, %down : {t}
  return %x3, %k2, %v2 : {t}, {kt}, {vt}
}}
func.func @forward({args}%tables: {ii} {{cria.arg = "tables"}},
    %outputs: {i} {{cria.arg = "outputs"}}, %keys: {kt} {{cria.arg = "keys"}},
    %values: {vt} {{cria.arg = "values"}}) -> ({rows(vocab)}, {kt}, {vt})
    attributes {{cria.entry}} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = arith.constant {layers} : index
  %w = cria.load @token_embd : {head_type}
  %e = cria.embed %tokens, %w : {i}, {head_type} -> {t}
  %r:3 = scf.for %l = %c0 to %n step %c1
      iter_args(%x = %e, %k = %keys, %v = %values) -> ({t}, {kt}, {vt}) {{
    %y:3 = func.call @layer(%l, %x, %positions, %sequences, %slots, %tables,
      %k, %v) : (index, {t}, {i}, {i}, {i}, {ii}, {kt}, {vt})
      -> ({t}, {kt}, {vt})
    scf.yield %y#0, %y#1, %y#2 : {t}, {kt}, {vt}
  }}
  %h = cria.select_rows %r#0, %outputs : {t}, {i} -> {t}""")
    norm("z", "h", "output_norm")
    lines.append(f"""  %logits = cria.linear %z, %w : {t}, {head_type} -> {rows(vocab)}
  return %logits, %r#1, %r#2 : {rows(vocab)}, {kt}, {vt}
}}""")
    return "\n".join(lines) + "\n"


def model_cases():
    """Two sequences, fed in ragged chunks, against transformers' Llama."""
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(
        vocab_size=99, hidden_size=72, intermediate_size=100,
        num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
        head_dim=20, rms_norm_eps=1e-5, tie_word_embeddings=True,
        max_position_embeddings=256,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4})
    kinds = ("q4", "min", "n16k4")
    torch_names = {  # in the order of model_text
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj"}
    model = LlamaForCausalLM(config).double().eval()
    state = {}

    def matrix(name, n, k):
        storage, values = pack(n, k, *kinds)
        # min weights are far from zero-mean; bring activations to order 1.
        for part in storage[1:]:
            part *= np.float16(0.125)
        state[name] = f64(values * 0.125)
        return storage

    storage = matrix("model.embed_tokens.weight", 99, 72)
    for name in torch_names.values():
        layers = []
        for layer in range(3):
            key = f"model.layers.{layer}.{name}.weight"
            n, k = model.state_dict()[key].shape
            layers.append(matrix(key, n, k))
        storage += [np.stack(parts) for parts in zip(*layers)]
    for name in ("input_layernorm", "post_attention_layernorm"):
        weights = 1 + normal(3, 72, dev=0.25)
        storage.append(weights)
        for layer in range(3):
            state[f"model.layers.{layer}.{name}.weight"] = f64(weights[layer])
    storage.append(1 + normal(72, dev=0.25))
    state["model.norm.weight"] = f64(storage[-1])
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)

    def test(module):
        lengths = (90, 21)
        tokens = [RNG.integers(0, 99, n) for n in lengths]
        with torch.no_grad():
            want = [model(torch.from_numpy(t)[None]).logits[0].numpy()
                    for t in tokens]
        tables = np.array([[4, 0, 1 << 28], [2, 1 << 28, 1 << 28]], np.int32)
        keys = np.full((3, 5, 2, 4, 20, 16), np.nan, np.float32)
        values = np.full((3, 5, 2, 64, 20), np.nan, np.float32)
        done = [0, 0]
        got = [np.full_like(w, np.nan, dtype=np.float32) for w in want]
        for step in ((60, 0), (1, 7), (10, 13), (19, 1)):
            batch = []
            for s, count in enumerate(step):
                batch += [(s, p) for p in range(done[s], done[s] + count)]
                done[s] += count
            RNG.shuffle(batch)
            sequences, positions = np.array(batch, np.int32).T.copy()
            ids = np.array([tokens[s][p] for s, p in batch], np.int32)
            pages = tables[sequences, positions // 64]
            slots = (pages * 64 + positions % 64).astype(np.int32)
            outputs = np.arange(len(batch), dtype=np.int32)[::-1].copy()
            logits = np.full((len(batch), 99), np.nan, np.float32)
            module.call("forward", ids, positions, sequences, slots, tables,
                        outputs, keys, values, *storage, logits)
            for row, at in zip(logits, outputs):
                s, p = batch[at]
                got[s][p] = row
        for s in range(2):
            check(f"model sequence {s}", got[s], want[s], 2e-5)
    return [(model_text(config, *kinds, "f32"), test)]


def main():
    groups = {
        "ops": lambda: norm_cases() + elementwise_cases() + indexed_cases(),
        "rope": rope_cases,
        "attention": lambda: append_cases() + attention_cases(),
        "weights": weight_cases,
        "model": model_cases,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cc", default="cc", help="C compiler, to link with")
    parser.add_argument("group", choices=groups)
    args = parser.parse_args()
    run_cases(args.cc, groups[args.group]())
    if FAILURES:
        sys.exit(f"{len(FAILURES)} failed: {', '.join(FAILURES)}")


if __name__ == "__main__":
    main()
