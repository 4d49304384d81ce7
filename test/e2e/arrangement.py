# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes blocks of the literature as .mlir descriptions with random weights.

    describe(norm="layer", block="parallel", ...) -> the text of a module

Every choice is a keyword; the defaults are a Llama. A module computes what
cria's importers would describe for a model that made these choices.
"""

import math

DEFAULTS = {
    "width": 64, "layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 16,
    "ffn": 96, "vocab": 131, "context": 640, "weight": "q8",
    "norm": "rms",            # rms, layer, layer_bias, bare (rms, no weight),
    "plus_one": False,        # plus_one: 1 + w
    "placement": "pre",       # pre, post (GPT-1), after (OLMo 2), double
    "block": "serial",        # serial, parallel (one norm), parallel2 (two)
    "sum_order": "left",      # x + o + d of a parallel block: left, right
    "ffn_kind": "glu",        # glu, plain
    "activation": "silu",
    "attn_bias": (),          # of q, k, v, o
    "ffn_bias": False, "head_bias": False,
    "positions": "rope",      # rope, learned, sinusoidal, none
    "rope_dims": None, "pairs": "half",
    "qk_norm": None,          # head, heads (each its own weight), row
    "clip_qkv": None,
    "softcap": None, "final_softcap": None, "window": None, "sinks": False,
    "slopes": None,           # ALiBi: one factor a head
    "relative": None,         # T5: (buckets, max_distance)
    "embed_scale": None, "embed_norm": False, "logit_scale": None,
    "residual_scale": None, "scale": None,
    "kinds": ({},),           # overrides of the kinds of layers, in turn
}  # yapf: disable


def alibi_slopes(heads, most=8.0):
    """Press et al. 2022, section 3, as its authors extend it to other numbers
    of heads than powers of two."""
    power = 2**math.ceil(math.log2(heads))
    slopes = [2.0**(-most * i / power) for i in range(1, power + 1)]
    if power != heads:
        slopes = (slopes[1::2] + slopes[::2])[:heads]
    return slopes


class Writer:

    def __init__(self, options):
        self.o = options
        self.params, self.lines, self.count = [], [], 0

    def new(self):
        self.count += 1
        return f"%t{self.count}"

    def emit(self, text, result=True):
        name = self.new() if result else ""
        self.lines.append("    " + (f"{name} = " if result else "") + text)
        return name

    # Types.
    def rows(self, columns):
        return f"tensor<?x{columns}xf32>"

    def weight(self, n, k, layers=None, element=None):
        element = element or self.o["weight"]
        shape = (f"{layers}x" if layers else "") + f"{n}x{k}"
        quant = {"q8": "q8, block = 32, none", "q4": "q4, block = 32, min",
                 "q4z": "q4, block = 32, zero_point"}.get(element, element)
        return f"!cria.weight<{shape}, {quant}, rows>"

    # Params and what reads them. `at` is the layer's index or None.
    def load(self, name, type, stacked, at):
        mark = " stacked" if at else ""
        self.params.append(f"  cria.param @{name}{mark} : {stacked}")
        return self.emit(f"cria.load @{name}" + (f"[{at}]" if at else "") +
                         f" : {type}")

    def vector(self, name, size, at, layers):
        stacked = f"{layers}x" if at else ""
        return self.load(name, f"tensor<{size}xf32>",
                         f"tensor<{stacked}{size}xf32>", at)

    def matrix(self, name, n, k, at, layers, element=None):
        return self.load(name, self.weight(n, k, element=element),
                         self.weight(n, k, layers if at else None, element), at)

    # Ops.
    def norm(self, x, d, name, at=None, layers=0, kind=None, size=None,
             head_dim=None):
        o = self.o
        kind = kind or o["norm"]
        word = {"layer": "layer", "layer_bias": "layer", "rms": "rms",
                "bare": "rms", "per_head": "per_head",
                "layer_per_head": "layer_per_head"}[kind]
        text, types = f"cria.norm {word} {x}", self.rows(d)
        if kind != "bare":
            w = self.vector(name, size or d, at, layers)
            text += f" weight {w}"
            types += f", weight tensor<{size or d}xf32>"
        if kind == "layer_bias":
            text += f" bias {self.vector(name + '_b', d, at, layers)}"
            types += f", bias tensor<{d}xf32>"
        plus = ", plus_one" if o["plus_one"] and kind != "bare" else ""
        if head_dim:
            plus += f", head_dim = {head_dim} : i64"
        return self.emit(f"{text} {{eps = 1.0e-05 : f32{plus}}} : {types}")

    def linear(self, x, name, n, k, bias=False, at=None, layers=0, element=None,
               weight=None):
        w = weight or self.matrix(name, n, k, at, layers, element)
        text, types = f"cria.linear {x}, {w}", (
            f"{self.rows(k)}, {self.weight(n, k, element=element)}")
        if bias:
            text += f" bias {self.vector(name + '_bias', n, at, layers)}"
            types += f", tensor<{n}xf32>"
        return self.emit(f"{text} : {types} -> {self.rows(n)}")

    def add(self, a, b, d):
        return self.emit(f"cria.add {a}, {b} : {self.rows(d)}")

    def scale(self, x, factor, d):
        if factor is None:
            return x
        return self.emit(
            f"cria.scale {x} {{factor = {factor:e} : f32}} : {self.rows(d)}")


def attention(w, n, kind, layers, keys, values):
    o, d, heads, kv, hd = w.o, w.o["width"], w.o["heads"], w.o["kv_heads"], w.o["head_dim"]
    q, k = heads * hd, kv * hd
    sides = {}
    for name, size in (("q", q), ("k", k), ("v", k)):
        sides[name] = w.linear(n, f"attn_{name}{kind}", size, d,
                               name in o["attn_bias"], "%at", layers)
        if o["clip_qkv"]:
            sides[name] = w.emit(f"cria.clip {sides[name]} {{bound = "
                                 f"{o['clip_qkv']:e} : f32}} : {w.rows(size)}")
    for name, size in (("q", q), ("k", k)):
        if o["qk_norm"]:
            word, weight, head_dim = {
                "row": ("rms", size, None), "head": ("per_head", hd, None),
                "heads": ("layer_per_head", size, hd)}[o["qk_norm"]]
            sides[name] = w.norm(sides[name], size, f"{name}_norm{kind}", "%at",
                                 layers, word, weight, head_dim)
        if o["positions"] == "rope":
            sides[name] = w.emit(
                f"cria.rope {sides[name]}, %pos {{rope = #cria.rope<pairs = "
                f"{o['pairs']}, base = 1.0e+04, dims = {o['rope_dims'] or hd}>, "
                f"head_dim = {hd} : i64}} : {w.rows(size)}, tensor<?xi32>")
    k2 = w.emit(f"cria.kv_append key {sides['k']} into %k[%layer] at %slots : "
                f"{w.rows(k)}, {keys}, tensor<?xi32>")
    v2 = w.emit(f"cria.kv_append value {sides['v']} into %v[%layer] at %slots :"
                f" {w.rows(k)}, {values}, tensor<?xi32>")
    extra, types, attrs = "", "", ""
    if o["sinks"]:
        extra = f" sinks {w.vector('sinks' + kind, heads, '%at', layers)}"
        types = f", tensor<{heads}xf32>"
    if o["relative"]:
        extra += f" bias(%bias : tensor<{heads}x{o['relative'][1] + 1}xf32>)"
    if o["slopes"]:
        attrs += (", slopes = array<f32: " +
                  ", ".join(f"{s:.9e}" for s in o["slopes"]) + ">")
    if o["window"]:
        attrs += f", window = {o['window']} : i64"
    if o["softcap"]:
        attrs += f", softcap = {o['softcap']:e} : f32"
    scale = o["scale"] or hd**-0.5
    a = w.emit(
        f"cria.attention {sides['q']}, {k2}, {v2}[%layer] positions %pos "
        f"sequences %seq tables %tables{extra} {{heads = {heads} : i64, "
        f"kv_heads = {kv} : i64, head_dim = {hd} : i64, scale = {scale:.9e} "
        f": f32{attrs}}} : {w.rows(q)}, {keys}, {values}, tensor<?xi32>, "
        f"tensor<?xi32>, tensor<?x?xi32>{types}")
    return w.linear(a, f"attn_o{kind}", d, q, "o" in o["attn_bias"], "%at",
                    layers), k2, v2


def feed_forward(w, n, kind, layers):
    o, d, ffn = w.o, w.o["width"], w.o["ffn"]
    bias = o["ffn_bias"]
    up = w.linear(n, "up" + kind, ffn, d, bias, "%at", layers)
    if o["ffn_kind"] == "glu":
        gate = w.linear(n, "gate" + kind, ffn, d, bias, "%at", layers)
        h = w.emit(f"cria.glu {o['activation']} {gate}, {up} : {w.rows(ffn)}")
    else:
        h = w.emit(f"cria.activation {o['activation']} {up} : {w.rows(ffn)}")
    return w.linear(h, "down" + kind, d, ffn, bias, "%at", layers)


def layer(w, kind, layers, keys, values):
    """The body of a kind of layer; returns its results."""
    o, d = w.o, w.o["width"]

    def norm(x, name):
        return w.norm(x, d, name + kind, "%at", layers)

    x, place = "%x", o["placement"]
    if o["block"] != "serial":
        n = norm(x, "attn_norm")
        a, k2, v2 = attention(w, n, kind, layers, keys, values)
        f = feed_forward(
            w, norm(x, "ffn_norm") if o["block"] == "parallel2" else n, kind,
            layers)
        if o["sum_order"] == "left":
            return w.add(w.add(x, a, d), f, d), k2, v2
        return w.add(w.add(a, f, d), x, d), k2, v2
    n = norm(x, "attn_norm") if place in ("pre", "double") else x
    a, k2, v2 = attention(w, n, kind, layers, keys, values)
    if place in ("after", "double"):
        a = norm(a, "attn_post_norm")
    x = w.add(x, w.scale(a, o["residual_scale"], d), d)
    if place == "post":
        x = norm(x, "attn_norm")
    n = norm(x, "ffn_norm") if place in ("pre", "double") else x
    f = feed_forward(w, n, kind, layers)
    if place in ("after", "double"):
        f = norm(f, "ffn_post_norm")
    x = w.add(x, w.scale(f, o["residual_scale"], d), d)
    if place == "post":
        x = norm(x, "ffn_norm")
    return x, k2, v2


def describe(**choices):
    o = dict(DEFAULTS)
    unknown = set(choices) - set(o)
    assert not unknown, unknown
    o.update(choices)
    w = Writer(o)
    d, heads, kv, hd = o["width"], o["heads"], o["kv_heads"], o["head_dim"]
    total, period = o["layers"], len(o["kinds"])
    assert total % period == 0
    layers = total // period
    keys = f"tensor<{total}x?x{kv}x4x{hd}x16xf32>"
    values = f"tensor<{total}x?x{kv}x64x{hd}xf32>"
    relative = (f"tensor<{heads}x{o['relative'][1] + 1}xf32>"
                if o["relative"] else None)
    functions = []
    for number, overrides in enumerate(o["kinds"]):
        w.o = dict(o, **overrides)
        w.lines = []
        kind = f"_{number}" if number else ""
        x, k2, v2 = layer(w, kind, layers, keys, values)
        arguments = (
            f"%at: index, %layer: index, %x: {w.rows(d)}, %pos: tensor<?xi32>, "
            f"%seq: tensor<?xi32>, %slots: tensor<?xi32>, %tables: tensor<?x?xi32>,"
            f" %k: {keys}, %v: {values}")
        if relative:
            arguments += f", %bias: {relative}"
        functions.append(
            f"  func.func private @layer{kind}({arguments}) -> ({w.rows(d)}, "
            f"{keys}, {values}) {{\n" + "\n".join(w.lines) +
            f"\n    return {x}, {k2}, {v2} : {w.rows(d)}, {keys}, {values}\n  }}")
    w.o, w.lines = o, []
    vocab, element = o["vocab"], "q8" if o["weight"] in ("q4", "q4z") else o["weight"]
    we = w.matrix("token_embd", vocab, d, None, 0, element)
    x = w.emit(f"cria.embed %tokens, {we} : tensor<?xi32>, "
               f"{w.weight(vocab, d, element=element)} -> {w.rows(d)}")
    x = w.scale(x, o["embed_scale"], d)
    if o["positions"] in ("learned", "sinusoidal"):
        table = types = ""
        if o["positions"] == "learned":
            w.params.append(f"  cria.param @position_embd : tensor<{o['context']}x{d}xf32>")
            t = w.emit(f"cria.load @position_embd : tensor<{o['context']}x{d}xf32>")
            table, types = f" table {t}", f", tensor<{o['context']}x{d}xf32>"
        x = w.emit(f"cria.position {o['positions']} {x}, %pos{table} : "
                   f"{w.rows(d)}, tensor<?xi32>{types}")
    if o["embed_norm"]:
        x = w.norm(x, d, "embed_norm")
    bias = bias_type = ""
    if relative:
        buckets, distance = o["relative"]
        w.params.append(f"  cria.param @relative : tensor<{buckets}x{heads}xf32>")
        t = w.emit(f"cria.load @relative : tensor<{buckets}x{heads}xf32>")
        bias = ", " + w.emit(f"cria.relative_bias {t} {{max_distance = {distance}"
                             f" : i64}} : tensor<{buckets}x{heads}xf32> -> {relative}")
        bias_type = f", {relative}"
    results = f"{w.rows(d)}, {keys}, {values}"
    w.lines += [
        "    %c0 = arith.constant 0 : index", "    %c1 = arith.constant 1 : index",
        f"    %cl = arith.constant {layers} : index",
        f"    %cp = arith.constant {period} : index",
        f"    %r:3 = scf.for %i = %c0 to %cl step %c1 iter_args(%x0 = {x}, "
        f"%k0 = %k, %v0 = %v) -> ({results}) {{",
        "      %l0 = arith.muli %i, %cp : index"
    ]
    state = ["%x0", "%k0", "%v0"]
    for number in range(period):
        kind = f"_{number}" if number else ""
        if number:
            w.lines.append(f"      %l{number} = arith.addi %l{number - 1}, %c1 : index")
        w.lines.append(
            f"      %y{number}:3 = func.call @layer{kind}(%i, %l{number}, {state[0]},"
            f" %pos, %seq, %slots, %tables, {state[1]}, {state[2]}{bias}) : (index, "
            f"index, {w.rows(d)}, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, "
            f"tensor<?x?xi32>, {keys}, {values}{bias_type}) -> ({results})")
        state = [f"%y{number}#{i}" for i in range(3)]
    w.lines += [f"      scf.yield {', '.join(state)} : {results}", "    }"]
    s = w.emit(f"cria.select_rows %r#0, %outputs : {w.rows(d)}, tensor<?xi32> "
               f"-> {w.rows(d)}")
    if o["placement"] != "post":
        s = w.norm(s, d, "output_norm")
    y = w.linear(s, "output", vocab, d, o["head_bias"], element=element,
                 weight=we)
    y = w.scale(y, o["logit_scale"], vocab)
    if o["final_softcap"]:
        y = w.emit(f"cria.softcap {y} {{cap = {o['final_softcap']:e} : f32}} : "
                   f"{w.rows(vocab)}")
    lists = ", ".join(f'%{name}: tensor<?xi32> {{cria.arg = "{arg}"}}'
                      for name, arg in (("tokens", "tokens"), ("pos", "positions"),
                                        ("seq", "sequences"), ("slots", "slots")))
    return f"""module attributes {{
  cria.name = "arrangement", cria.vocab = {vocab} : i64, cria.width = {d} : i64,
  cria.layers = {total} : i64, cria.heads = {heads} : i64, cria.kv_heads = {kv} : i64,
  cria.head_dim = {hd} : i64, cria.ffn = {o['ffn']} : i64, cria.context = {o['context']} : i64,
  cria.max_batch = 512 : i64, cria.seed = 7 : i64
}} {{
""" + "\n".join(w.params) + "\n" + "\n".join(functions) + f"""
  func.func @forward({lists}, %tables: tensor<?x?xi32> {{cria.arg = "tables"}}, %outputs: tensor<?xi32> {{cria.arg = "outputs"}}, %k: {keys} {{cria.arg = "keys"}}, %v: {values} {{cria.arg = "values"}}) -> ({w.rows(vocab)}, {keys}, {values}) attributes {{cria.entry}} {{
""" + "\n".join(w.lines) + f"""
    return {y}, %r#1, %r#2 : {w.rows(vocab)}, {keys}, {values}
  }}
}}
"""
