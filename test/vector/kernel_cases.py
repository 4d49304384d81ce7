# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The functions that kernel_numeric.py compiles, with numpy's answer."""

import math

import numpy as np

import kernel_reference as ref

PARAMS = """
cria.param @stack stacked : !cria.weight<3x80x100, q4, block = 32, min, n16k4>
cria.param @rows : !cria.weight<7x48, q8, block = 32, none, rows>
"""

BATCHES = (1, 3, 8, 13)
LINEAR_BATCHES = BATCHES + (16, 31, 67)  # tiles of 16 tokens, blocks of 64
FLOATS = ("f32", "f16", "bf16")
LAYOUT = {"f32": "n16", "f16": "n16", "bf16": "n16k2"}


class Acts:
    """Activations of a linear over `weight`: types, operands, values."""

    def __init__(self, weight, wide=False):
        self.k, self.is_float = weight.k, weight.element in FLOATS
        self.wide = wide
        kb = ref.ceil_div(self.k, 32)
        self.zero_point = None
        if weight.offset == "zero_point":
            self.zero_point = ref.ZERO[weight.element]
        self.halves = weight.element == "q6"
        if self.is_float:
            self.types = [f"memref<?x{self.k}xf32>"]
        else:
            sums = "f32" if self.zero_point is None else "i32"
            self.types = [f"memref<?x{(16 if wide else 8) * kb}xi32>",
                          f"memref<?x{kb}xf32>",
                          f"memref<?x{(1 + self.halves) * kb}x{sums}>"]

    def make(self, rng, n):
        """The arrays, and the values that they stand for."""
        x = rng.standard_normal((n, self.k)).astype(np.float32)
        if self.is_float:
            return [x], x.astype(np.float64)
        words, d, sums, values = ref.quantise(x, self.zero_point, self.wide,
                                              self.halves)
        return [words, d, sums], values


def bound(values, dense, extra=1.0):
    """Error bound of a sum over K in f32: a few ulps of the sum of sizes."""
    return 4e-6 * (np.abs(values) @ np.abs(dense).T) * extra + 1e-6


def arguments(types, first=0):
    return ", ".join(f"%a{i + first}: {t}" for i, t in enumerate(types))


def linear_text(name, acts, weights, tail_types, op_tail, region):
    count = len(acts.types)
    names = ", ".join(f"%a{i}" for i in range(count))
    wnames = ", ".join(f"%w{i}" for i in range(len(weights)))
    wargs = ", ".join(f"%w{i}: {t}" for i, t in enumerate(weights))
    return f"""
func.func @{name}({arguments(acts.types)}, {wargs}, {tail_types})
    attributes {{llvm.emit_c_interface}} {{
  cria.fused_linear acts({names} : {", ".join(acts.types)})
    weights({wnames} : {", ".join(weights)}) {op_tail} {{
{region}
  }}
  return
}}
"""


def plain_linear(Case, name, n_rows, k, element, offset="none", dynamic=False,
                 wide=False):
    weight = ref.Weight(np.random.default_rng(k), n_rows, k, element, offset,
                        LAYOUT.get(element, "n16k4"))
    acts = Acts(weight, wide)
    out = f"memref<?x{'?' if dynamic else n_rows}xf32>"
    text = linear_text(
        name, acts, [weight.type("?" if dynamic else None)], f"%y: {out}",
        f"outs(%y : {out}) attributes {{extra_kinds = [], out = #cria<out rows>}}",
        "  ^bb0(%acc: vector<16xf32>):\n    cria.yield %acc : vector<16xf32>")
    count = len(acts.types)
    state = {}

    def make(rng, n):
        arrays, state["values"] = acts.make(rng, n)
        return arrays + weight.parts + [np.full((n, n_rows), 7, np.float32)]

    def expect(args):
        return [(state["values"] @ weight.dense.T,
                 bound(state["values"], weight.dense))]

    last = count + len(weight.parts)
    return Case(name, text, make, expect, [last], [*range(count), last], LINEAR_BATCHES)


def epilogue_linear(Case, name, n_rows, k, element, offset):
    """old + acc * gate[i, j] + bias[j]."""
    weight = ref.Weight(np.random.default_rng(k + 1), n_rows, k, element, offset,
                        LAYOUT.get(element, "n16k4"))
    acts = Acts(weight)
    out = f"memref<?x{n_rows}xf32>"
    text = linear_text(
        name, acts, [weight.type()],
        f"%g: {out}, %bias: memref<{n_rows}xf32>, %y: {out}",
        f"extras(%g, %bias : {out}, memref<{n_rows}xf32>) outs(%y : {out}) "
        "attributes {accumulate, extra_kinds = [#cria<extra elementwise>, "
        "#cria<extra bias>], out = #cria<out rows>}",
        """  ^bb0(%acc: vector<16xf32>, %gate: vector<16xf32>, %b: vector<16xf32>, %old: vector<16xf32>):
    %0 = math.fma %acc, %gate, %b : vector<16xf32>
    %1 = arith.addf %old, %0 : vector<16xf32>
    cria.yield %1 : vector<16xf32>""")
    count = len(acts.types) + len(weight.parts)
    state = {}

    def make(rng, n):
        arrays, state["values"] = acts.make(rng, n)
        extra = [rng.standard_normal(shape).astype(np.float32)
                 for shape in ((n, n_rows), (n_rows,), (n, n_rows))]
        return arrays + weight.parts + extra

    def expect(args):
        gate, bias, old = args[count:]
        values = state["values"]
        return [(old + values @ weight.dense.T * gate.astype(np.float64) + bias,
                 bound(values, weight.dense, np.abs(gate)) + 1e-5)]

    return Case(name, text, make, expect, [count + 2],
                [*range(len(acts.types)), count, count + 2], LINEAR_BATCHES)


def activation(kind, x):
    if kind == "relu":
        return np.maximum(x, 0)
    if kind == "silu":
        return x / (1 + np.exp(-x))
    if kind == "gelu":
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi)
                                  * (x + 0.044715 * x ** 3)))


def glu_linear(Case, name, n_rows, k, element, offset, kind):
    rng = np.random.default_rng(k + 2)
    layout = LAYOUT.get(element, "n16k4")
    gate, up = (ref.Weight(rng, n_rows, k, element, offset, layout)
                for _ in range(2))
    acts = Acts(gate)
    out = f"memref<?x{n_rows}xf32>"
    text = linear_text(
        name, acts, [gate.type(), up.type()], f"%y: {out}",
        f"outs(%y : {out}) attributes {{extra_kinds = [], out = #cria<out rows>}}",
        f"""  ^bb0(%g: vector<16xf32>, %u: vector<16xf32>):
    %s = arith.constant dense<0.01> : vector<16xf32>
    %0 = arith.mulf %g, %s : vector<16xf32>
    %1 = cria.activation {kind} %0 : vector<16xf32>
    %2 = arith.mulf %1, %u : vector<16xf32>
    cria.yield %2 : vector<16xf32>""")
    parts = gate.parts + up.parts
    count = len(acts.types)
    state = {}

    def make(rng, n):
        arrays, state["values"] = acts.make(rng, n)
        return arrays + parts + [np.zeros((n, n_rows), np.float32)]

    def expect(args):
        values = state["values"]
        g = 0.01 * (values @ gate.dense.T)
        u = values @ up.dense.T
        slack = (bound(values, up.dense, np.abs(activation(kind, g)) + 1)
                 + bound(values, gate.dense, 0.02 * (np.abs(u) + 1)))
        return [(activation(kind, g) * u, slack)]

    last = count + len(parts)
    return Case(name, text, make, expect, [last], [*range(count), last], LINEAR_BATCHES)


def cache_linear(Case, name, role, heads, head_dim, element, k):
    """A linear with rope in its epilogue that appends to a KV cache."""
    weight = ref.Weight(np.random.default_rng(k + 3), heads * head_dim, k, "q4",
                        "min")
    acts = Acts(weight)
    layers, pages, layer = 2, 5, 1
    shape = ((layers, pages, heads, 4, head_dim, 16) if role == "key"
             else (layers, pages, heads, 64, head_dim))
    cache = "memref<" + "x".join(
        "?" if i == 1 else str(s) for i, s in enumerate(shape)) + f"x{element}>"
    rope = f"memref<?x2x{head_dim}xf32>"
    swap = [i ^ 1 for i in range(16)]
    text = linear_text(
        name, acts, [weight.type()],
        f"%t: {rope}, %l: index, %s: memref<?xi32>, %y: {cache}",
        f"extras(%t : {rope}) layer %l slots %s : memref<?xi32> "
        f"outs(%y : {cache}) attributes {{extra_kinds = [#cria<extra rope>], "
        f"out = #cria<out {role}>}}",
        f"""  ^bb0(%acc: vector<16xf32>, %cos: vector<16xf32>, %sin: vector<16xf32>):
    %0 = vector.shuffle %acc, %acc {swap} : vector<16xf32>, vector<16xf32>
    %1 = arith.mulf %acc, %cos : vector<16xf32>
    %2 = math.fma %0, %sin, %1 : vector<16xf32>
    cria.yield %2 : vector<16xf32>""")
    count = len(acts.types) + len(weight.parts)
    dtype = {"f32": np.float32, "f16": np.float16, "bf16": np.uint16}[element]
    state = {}

    def make(rng, n):
        arrays, state["values"] = acts.make(rng, n)
        table = rng.uniform(-1, 1, (n, 2, head_dim)).astype(np.float32)
        slots = rng.permutation(pages * 64)[:n].astype(np.int32)
        return arrays + weight.parts + [table, layer, slots,
                                        np.zeros(shape, dtype)]

    def expect(args):
        table, _, slots, old = args[count:]
        x = (state["values"] @ weight.dense.T).reshape(-1, heads, head_dim)
        swapped = x.reshape(-1, heads, head_dim // 2, 2)[..., ::-1].reshape(x.shape)
        y = x * table[:, None, 0] + swapped * table[:, None, 1]
        want, slack = np.zeros(shape), np.zeros(shape)
        relative = {"f32": 2 ** -20, "f16": 2 ** -10, "bf16": 2 ** -7}[element]
        error = (2 * bound(state["values"], weight.dense).reshape(x.shape)
                 + np.abs(y) * relative + 1e-4)
        for i, slot in enumerate(slots):
            page, position = divmod(int(slot), 64)
            for target, source in ((want, y[i]), (slack, error[i])):
                if role == "key":
                    target[layer, page, :, position // 16, :, position % 16] = source
                else:
                    target[layer, page, :, position] = source
        return [(want, slack)]

    return Case(name, text, make, expect, [count + 3],
                [*range(len(acts.types)), count, count + 2], LINEAR_BATCHES)


def sliced_linear(Case):
    """Layer and slices of a param; the last slice of unknown size."""
    name, n_rows, k, tile = "sliced", 80, 100, 48
    weight = ref.Weight(np.random.default_rng(9), n_rows, k, "q4", "min", stack=3)
    rows_param = ref.Weight(np.random.default_rng(10), 7, 48, "q8", "none", "rows")
    acts = Acts(weight)
    args = ", ".join(f"%a{i}" for i in range(3))
    view = "memref<?x?xf32, strided<[80, 1], offset: ?>>"
    text = f"""
func.func @{name}({arguments(acts.types)}, %layer: index, %y: memref<?x{n_rows}xf32>)
    attributes {{llvm.emit_c_interface}} {{
  %c0 = arith.constant 0 : index
  %step = arith.constant {tile} : index
  %end = arith.constant {n_rows} : index
  %n = memref.dim %y, %c0 : memref<?x{n_rows}xf32>
  %w = cria.load @stack[%layer] : {weight.type()}
  scf.for %j = %c0 to %end step %step {{
    %left = arith.subi %end, %j : index
    %size = arith.minui %left, %step : index
    %t = cria.weight_slice %w[%j] : {weight.type()} to {weight.type("?")}
    %v = memref.subview %y[0, %j] [%n, %size] [1, 1] : memref<?x{n_rows}xf32> to {view}
    cria.fused_linear acts({args} : {", ".join(acts.types)}) weights(%t : {weight.type("?")})
      outs(%v : {view}) attributes {{extra_kinds = [], out = #cria<out rows>}} {{
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }}
  }}
  return
}}
"""
    state = {}

    def make(rng, n):
        arrays, state["values"] = acts.make(rng, n)
        return (arrays + [2, np.zeros((n, n_rows), np.float32)] + weight.parts
                + rows_param.parts)

    def expect(_):
        dense = weight.dense[2]
        return [(state["values"] @ dense.T, bound(state["values"], dense))]

    return Case(name, text, make, expect, [4], [0, 1, 2, 4], LINEAR_BATCHES)


def rows(Case, name, k, kind=None, zero_point=None, quantised=True,
         weight=False, bias=False, plus_one=False, head=None, halves=False):
    kb = ref.ceil_div(k, 32)
    size = head or k
    eps = 1e-5
    params = ["%g"] * bool(weight) + ["%b"] * bool(bias)
    ptype = f"memref<{size}xf32>"
    outs = [f"memref<?x{k}xf32>"]
    attributes = ""
    if quantised:
        sums = "f32" if zero_point is None else "i32"
        outs = [f"memref<?x{8 * kb}xi32>", f"memref<?x{kb}xf32>",
                f"memref<?x{(1 + halves) * kb}x{sums}>"]
        if zero_point is not None:
            attributes = f"attributes {{zero_point = {zero_point} : i64}} "
    region, result = "", "%row"
    if kind:
        operands = " weight %rg" * weight + " bias %rb" * bias
        types = (f", weight tensor<{size}xf32>" * weight
                 + f", bias tensor<{size}xf32>" * bias)
        plus = ", plus_one" if plus_one else ""
        region = (f"    %0 = cria.norm {kind} %row{operands} {{eps = {eps:e} : f32{plus}}}"
                  f" : tensor<1x{k}xf32>{types}\n")
        result = "%0"
    params_text = ""
    if params:
        params_text = (f"params({', '.join(params)} : "
                       f"{', '.join([ptype] * len(params))}) ")
    region_args = "".join(f", %r{p[1]}: tensor<{size}xf32>" for p in params)
    names = [f"%o{i}" for i in range(len(outs))]
    args = [f"%x: memref<?x{k}xf32>"] + [f"{p}: {ptype}" for p in params]
    args += [f"{a}: {t}" for a, t in zip(names, outs)]
    text = f"""
func.func @{name}({", ".join(args)}) attributes {{llvm.emit_c_interface}} {{
  cria.rows ins(%x : memref<?x{k}xf32>) {params_text}
    outs({", ".join(names)} : {", ".join(outs)}) {attributes}{{
  ^bb0(%row: tensor<1x{k}xf32>{region_args}):
{region}    cria.yield {result} : tensor<1x{k}xf32>
  }}
  return
}}
"""
    first = 1 + len(params)

    def make(rng, n):
        x = (rng.standard_normal((n, k)) * 3 + 0.5).astype(np.float32)
        x[0, :32] = 0
        x[n // 2, : k // 2] *= 1e-3
        values = [x] + [rng.standard_normal(size).astype(np.float32)
                        for _ in params]
        if quantised:
            sums = np.float32 if zero_point is None else np.int32
            return values + [np.zeros((n, 8 * kb), np.int32),
                             np.zeros((n, kb), np.float32),
                             np.zeros((n, (1 + halves) * kb), sums)]
        return values + [np.zeros((n, k), np.float32)]

    def wanted_rows(args):
        if not kind:
            return args[0]
        extra = dict(zip([p[1] for p in params], args[1:first]))
        return ref.norm(args[0], kind, eps, extra.get("g"), extra.get("b"),
                        plus_one, size)

    def expect(args):
        y = wanted_rows(args)
        if not quantised:
            return [(y, np.abs(y) * 1e-6 + 1e-6)]
        # Without a norm nothing is rounded before: exact.
        words, d, sums, _ = ref.quantise(y, zero_point, halves=halves)
        return [(words, 0), (d, 0), (sums, 0)]

    def check(args, outs):
        """After a norm a code may fall on the other side of a tie: codes and
        sums are checked through what they stand for."""
        words, d, sums = outs
        codes = words.view(np.int8).reshape(-1, kb, 32).astype(np.float64)
        values = (codes * d[:, :, None]).reshape(-1, kb * 32)
        if values[:, k:].any():
            return "codes past K are not 0"
        wanted = wanted_rows(args)
        limit = np.repeat(d, 32, 1)[:, :k] * 0.501 + 1e-6
        if not (np.abs(values[:, :k] - wanted) <= limit).all():
            return "codes are off by more than half a step"
        padded = np.zeros((len(wanted), kb * 32))
        padded[:, :k] = np.abs(wanted)
        step = padded.reshape(-1, kb, 32).max(2) / 127
        if not np.allclose(d, step, rtol=1e-5, atol=1e-9):
            return "scales are off"
        total = codes.sum(2)
        want = d * total if zero_point is None else -zero_point * total
        return None if np.allclose(sums, want, rtol=1e-6) else "sums are off"

    indices = range(first, first + len(outs))
    return Case(name, text, make, expect, indices, [0, *indices], (1, 3, 8),
                check if quantised and kind else None)


def embed(Case, name, n_rows, k, element, offset="none", layout="rows"):
    weight = ref.Weight(np.random.default_rng(k + 5), n_rows, k, element, offset,
                        layout)
    text = f"""
func.func @{name}(%t: memref<?xi32>, %w: {weight.type()}, %y: memref<?x{k}xf32>)
    attributes {{llvm.emit_c_interface}} {{
  cria.embed_rows ins(%t, %w : memref<?xi32>, {weight.type()}) outs(%y : memref<?x{k}xf32>)
  return
}}
"""
    last = 1 + len(weight.parts)

    def make(rng, n):
        tokens = rng.integers(0, n_rows, n).astype(np.int32)
        tokens[-1] = n_rows - 1
        return [tokens] + weight.parts + [np.full((n, k), 9, np.float32)]

    def expect(args):
        want = weight.dense[args[0]]
        return [(want, np.abs(want) * 1e-6 + 1e-6)]

    return Case(name, text, make, expect, [last], [0, last], (1, 5))


def conversion(Case, name, source, target, inputs):
    """arith.extf or arith.truncf on 16 lanes, against numpy's cast. NaNs need
    only be NaNs here; run_case compares their bits between ISAs."""
    op = "extf" if source == "f16" else "truncf"
    text = f"""
func.func @{name}(%x: memref<?x{source}>, %y: memref<?x{target}>) attributes {{llvm.emit_c_interface}} {{
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %n = memref.dim %x, %c0 : memref<?x{source}>
  scf.for %i = %c0 to %n step %c16 {{
    %v = vector.load %x[%i] : memref<?x{source}>, vector<16x{source}>
    %w = arith.{op} %v : vector<16x{source}> to vector<16x{target}>
    vector.store %w, %y[%i] : memref<?x{target}>, vector<16x{target}>
  }}
  return
}}
"""
    dtype = np.float32 if target == "f32" else np.float16
    bits = np.uint32 if target == "f32" else np.uint16

    def check(args, outs):
        with np.errstate(over="ignore"):
            want = args[0].astype(dtype)
        wrong = ((outs[0].view(bits) != want.view(bits))
                 & ~(np.isnan(want) & np.isnan(outs[0])))
        if wrong.any():
            i = int(np.argmax(wrong))
            return f"of {args[0][i]!r} got {outs[0][i]!r}, numpy says {want[i]!r}"
        return None

    return Case(name, text, lambda rng, n: [inputs, np.zeros(len(inputs), dtype)],
                None, [1], [], (1,), check)


def halves_to_round():
    """Each f16's f32 value, its neighbours, the ties between two f16, NaNs
    and random bits."""
    exact = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    bits = exact.view(np.uint32)
    near = [bits + np.uint32(d) for d in (0, 1, -1 % 2 ** 32, 0x0FFF, 0x1000, 0x1001)]
    random = np.random.default_rng(3).integers(0, 2 ** 32, 1 << 16, dtype=np.uint32)
    return np.concatenate(near + [random]).astype(np.uint32).view(np.float32)


def dot4_extremes(Case, bits):
    """Chains of eight dot4, at the largest products and at random bytes."""
    name = f"dot4_{bits}"
    v64, v16 = "memref<?x8x64xi8>", "memref<?x16xi32>"
    steps = ""
    for j in range(8):
        steps += f"""
    %j{j} = arith.constant {j} : index
    %p{j} = vector.load %a[%i, %j{j}, %c0] : {v64}, vector<64xi8>
    %q{j} = vector.load %b[%i, %j{j}, %c0] : {v64}, vector<64xi8>
    %r{j + 1} = cria.dot4 %r{j}, %p{j}, %q{j} {{a_bits = {bits} : i64}} : vector<16xi32>, vector<64xi8>, vector<64xi8>"""
    text = f"""
func.func @{name}(%a: {v64}, %b: {v64}, %y: {v16}) attributes {{llvm.emit_c_interface}} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %a, %c0 : {v64}
  scf.for %i = %c0 to %n step %c1 {{
    %r0 = vector.load %y[%i, %c0] : {v16}, vector<16xi32>{steps}
    vector.store %r8, %y[%i, %c0] : {v16}, vector<16xi32>
  }}
  return
}}
"""

    def make(rng, n):
        a = rng.integers(0, 2 ** bits, (n, 8, 64)).astype(np.uint8)
        b = rng.integers(-128, 128, (n, 8, 64)).astype(np.int8)
        a[:3] = 2 ** bits - 1
        b[0], b[1] = -128, 127
        return [a, b, rng.integers(-2 ** 30, 2 ** 30, (n, 16)).astype(np.int32)]

    def expect(args):
        a, b, acc = (x.astype(np.int64) for x in args)
        return [(acc + (a * b).reshape(-1, 8, 16, 4).sum((1, 3)), 0)]

    return Case(name, text, make, expect, [2], [0, 1, 2], (9,))


def all_cases(Case):
    every_half = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    cases = [
        sliced_linear(Case), dot4_extremes(Case, 4), dot4_extremes(Case, 6),
        dot4_extremes(Case, 8),
        conversion(Case, "extend_f16", "f16", "f32", every_half),
        conversion(Case, "truncate_f16", "f32", "f16", halves_to_round()),
    ]
    quantised = [(e, o) for e in ("q4", "q8") for o in ("zero_point", "min")]
    quantised += [("q6", "zero_point")] * 3
    for (element, offset), (n_rows, k) in zip(quantised,
                                              [(64, 96), (96, 576), (20, 36), (64, 64),
                                               (64, 512), (20, 36), (48, 1056)]):
        cases.append(plain_linear(Case, f"{element}_{offset}_{n_rows}x{k}", n_rows, k,
                                  element, offset))
        cases.append(plain_linear(Case, f"wide_{element}_{offset}_{n_rows}x{k}", n_rows,
                                  k, element, offset, wide=True))
    cases.append(plain_linear(Case, "q4_min_dynamic", 20, 68, "q4", "min", True))
    # Rows of more than 1 KB: activations are prefetched.
    cases.append(plain_linear(Case, "q8_long", 48, 1056, "q8", "min"))
    for element, (n_rows, k) in zip(FLOATS, [(64, 36), (20, 96), (96, 97)]):
        cases.append(plain_linear(Case, f"{element}_{n_rows}x{k}", n_rows, k, element))
    cases.append(plain_linear(Case, "bf16_16x1", 16, 1, "bf16"))
    cases += [
        epilogue_linear(Case, "epilogue_q8", 20, 64, "q8", "zero_point"),
        epilogue_linear(Case, "epilogue_bf16", 48, 40, "bf16", "none"),
        glu_linear(Case, "glu_silu", 64, 128, "q4", "min", "silu"),
        glu_linear(Case, "glu_gelu", 36, 64, "q4", "zero_point", "gelu"),
        glu_linear(Case, "glu_q6", 36, 288, "q6", "zero_point", "silu"),
        glu_linear(Case, "glu_gelu_tanh", 32, 40, "f16", "none", "gelu_tanh"),
        glu_linear(Case, "glu_relu", 32, 64, "q8", "min", "relu"),
        cache_linear(Case, "key_f16", "key", 3, 32, "f16", 64),
        cache_linear(Case, "key_f32_straddling", "key", 3, 20, "f32", 64),
        cache_linear(Case, "value_bf16", "value", 2, 48, "bf16", 64),
        cache_linear(Case, "value_f16_straddling", "value", 3, 12, "f16", 36),
        rows(Case, "rows_exact", 96, zero_point=8),
        rows(Case, "rows_exact_halves", 84, zero_point=32, halves=True),
        rows(Case, "rows_exact_tail", 36),
        rows(Case, "rows_exact_long_tail", 59, zero_point=128),
        rows(Case, "rows_rms", 576, kind="rms", weight=True, zero_point=8),
        rows(Case, "rows_rms_tail", 45, kind="rms", weight=True, plus_one=True),
        rows(Case, "rows_layer", 72, kind="layer", weight=True, bias=True),
        rows(Case, "rows_head_quantised", 60, kind="per_head", weight=True,
                     head=20),
        rows(Case, "rows_head", 60, kind="per_head", weight=True, head=20,
             quantised=False, plus_one=True),
        rows(Case, "rows_rms_f32", 40, kind="rms", quantised=False),
        rows(Case, "rows_layer_f32", 50, kind="layer", weight=True, bias=True,
             quantised=False),
    ]
    for layout in ("rows", "n16k4"):
        for element in ("q4", "q8"):
            for offset in ("zero_point", "min"):
                cases.append(embed(Case, f"embed_{layout}_{element}_{offset}", 37, 68,
                                   element, offset, layout))
        cases.append(embed(Case, f"embed_{layout}_q6", 37, 300, "q6", "zero_point",
                           layout))
    cases.append(embed(Case, "embed_rows_q8_none", 9, 40, "q8", "none"))
    for element in FLOATS:
        cases.append(embed(Case, f"embed_rows_{element}", 21, 45, element))
        cases.append(embed(Case, f"embed_lanes_{element}", 21, 45, element, "none",
                           LAYOUT[element]))
    return cases


def pairs(values):
    """bf16 numbers as bits, of rows of values, two in a word; what follows the
    words is not a number."""
    n, k = values.shape
    bits = np.zeros((n, 2 * ref.ceil_div(k, 2)), np.uint32)
    bits[:, :k] = values.view(np.uint32)
    halves = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    words = np.full((n, k), np.nan, np.float32)
    words[:, :halves.shape[1] // 2] = halves.view(np.float32)
    rounded = (halves[:, :k].astype(np.uint32) << 16).view(np.float32)
    return words, rounded


def fast_linear(Case, name, n_rows, k, count=1):
    """One weight, or the sum of two, times rows of pairs."""
    weights = [ref.Weight(np.random.default_rng(k + i), n_rows, k, "bf16", "none",
                          "n16k2") for i in range(count)]
    acts = Acts(weights[0])
    out = f"memref<?x{n_rows}xf32>"
    blocks = ", ".join(f"%acc{i}: vector<16xf32>" for i in range(count))
    last = f"%acc{count - 1}"
    region = f"  ^bb0({blocks}):\n"
    if count == 2:
        region += "    %sum = arith.addf %acc0, %acc1 : vector<16xf32>\n"
        last = "%sum"
    region += f"    cria.yield {last} : vector<16xf32>"
    text = linear_text(
        name, acts, [w.type() for w in weights], f"%y: {out}",
        f"outs(%y : {out}) attributes {{bf16, extra_kinds = [], out = #cria<out rows>}}",
        region)
    state = {}

    def make(rng, n):
        words, state["values"] = pairs(rng.standard_normal((n, k)).astype(np.float32))
        parts = [part for w in weights for part in w.parts]
        return [words] + parts + [np.full((n, n_rows), 7, np.float32)]

    def expect(args):
        values = state["values"].astype(np.float64)
        return [(sum(values @ w.dense.T for w in weights),
                 sum(bound(values, w.dense) for w in weights))]

    return Case(name, text, make, expect, [1 + count], [], LINEAR_BATCHES)


def fast_rows(Case, name, k):
    matrix = f"memref<?x{k}xf32>"
    text = f"""
func.func @{name}(%x: {matrix}, %y: {matrix}) attributes {{llvm.emit_c_interface}} {{
  cria.rows ins(%x : {matrix}) outs(%y : {matrix}) attributes {{bf16}} {{
  ^bb0(%row: tensor<1x{k}xf32>):
    cria.yield %row : tensor<1x{k}xf32>
  }}
  return
}}
"""

    def make(rng, n):
        x = rng.standard_normal((n, k)).astype(np.float32)
        x.view(np.uint32)[0, :2] = 0x3F808000, 0x3F818000  # ties
        return [x, np.zeros((n, k), np.float32)]

    def check(args, outs):
        words = ref.ceil_div(k, 2)
        want = pairs(args[0])[0][:, :words]
        same = want.view(np.uint32) == outs[0][:, :words].view(np.uint32)
        return None if same.all() else f"words differ at {np.argwhere(~same)[0]}"

    return Case(name, text, make, None, [1], [], BATCHES, check)


def fast_cases(Case):
    """Kernels that round as the target likes."""
    return [fast_rows(Case, "fast_rows_64", 64), fast_rows(Case, "fast_rows_37", 37),
            fast_linear(Case, "fast_64x96", 64, 96),
            fast_linear(Case, "fast_20x37", 20, 37),
            fast_linear(Case, "fast_48x1056", 48, 1056),
            fast_linear(Case, "fast_pair_96x600", 96, 600, count=2)]
