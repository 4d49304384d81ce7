# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles cria.fused_attention and compares it with float64 numpy, bit by
bit between a batch and its tokens one by one and with what
cria.attention_partials and cria.attention_merge make together, and (with
--bench) with the speed at which memory can be read. With --halves, compares
what groups of tokens give in f16. Caches of i16 are compared with float64 that
rounds queries and p to codes as cria.fused_attention has it, and, less closely,
with float64 that does not."""

import argparse
import ctypes
import os
import subprocess
import sys
import time

import numpy as np

PAGE, LANES, CHUNK = 64, 16, 256
LOWER = ["--cria-vectorize-attention", "--cria-vectorize-attention-merge",
         "--cria-vectorize-rope-table", "--cria-expand-math", "--cria-lower-dot2-i16",
         "--canonicalize", "--cse",
         "--convert-vector-to-scf", "--convert-scf-to-cf",
         "--expand-strided-metadata", "--lower-affine",
         "--convert-vector-to-llvm", "--finalize-memref-to-llvm",
         "--convert-math-to-llvm", "--convert-arith-to-llvm",
         "--convert-index-to-llvm", "--convert-cf-to-llvm",
         "--convert-func-to-llvm", "--reconcile-unrealized-casts"]


def compile_module(text, name, args, cflags=None, first=(), level="-O0"):
    """The shared library that cria-opt, mlir-translate and clang make of it."""
    cflags = args.cflags if cflags is None else cflags
    base = os.path.join(args.tmp, name)
    with open(base + ".mlir", "w", encoding="utf-8") as file:
        file.write(text)
    lowered = subprocess.run([args.cria_opt, base + ".mlir", *first, *LOWER],
                             check=True, stdout=subprocess.PIPE).stdout
    translated = subprocess.run([args.mlir_translate, "--mlir-to-llvmir"],
                                input=lowered, check=True,
                                stdout=subprocess.PIPE).stdout
    with open(base + ".ll", "wb") as file:
        file.write(translated)
    library = base + ".so"
    # Compiling would take longer than the kernels do; e2e/ has them optimised.
    subprocess.run([args.clang, level, *cflags.split(), "-shared", "-fPIC",
                    "-Wno-override-module", base + ".ll", "-o", library,
                    "-lm"], check=True)
    return ctypes.CDLL(library)


def descriptor(array):
    """The C form of a memref of any strides."""
    rank = array.ndim

    class Memref(ctypes.Structure):
        _fields_ = [("allocated", ctypes.c_void_p),
                    ("aligned", ctypes.c_void_p), ("offset", ctypes.c_int64),
                    ("sizes", ctypes.c_int64 * rank),
                    ("strides", ctypes.c_int64 * rank)]
    strides = [s // array.itemsize for s in array.strides]
    return Memref(array.ctypes.data, array.ctypes.data, 0,
                  (ctypes.c_int64 * rank)(*array.shape),
                  (ctypes.c_int64 * rank)(*strides))


def to_storage(values, element):
    if element == "bf16":
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        return ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return values.astype({"f32": np.float32, "f16": np.float16}[element])


CODES = {"i8": (np.int8, 127), "i16": (np.int16, 8191)}


def to_codes(values, element):
    """Codes, and the scale of each vector."""
    code, largest = CODES[element]
    most = np.abs(values).max(axis=-1, keepdims=True)
    codes = np.rint(values * (np.float32(largest) / most)).astype(code)
    return codes, (most / np.float32(largest)).astype(np.float32)


def to_pages(codes, scales, role):
    """Caches of codes: those of each page and head, then 64 scales. Of i16 two
    elements of a key lie side by side, and two positions of a value."""
    lead, code = codes.shape[:3], codes.dtype
    if code == np.int16 and role == "key":  # block, d, lane
        codes = codes.reshape(*lead, 4, -1, 2, LANES).swapaxes(-1, -2)
    elif code == np.int16:
        codes = codes.reshape(*lead, 32, 2, -1).swapaxes(-1, -2)
    return np.concatenate([codes.reshape(*lead, -1),
                           scales.view(code).reshape(*lead, -1)], axis=3)


def round_to_codes(values, count):
    """Integers and their step: cria.fused_attention. In float32, and with sums
    in the kernel's order, as one code of a query is 1e-4 of a score."""
    values = values.astype(np.float32)
    lanes = np.abs(np.pad(values, (0, -len(values) % LANES)))
    total = np.zeros(LANES, np.float32)
    for vector in lanes.reshape(-1, LANES):
        total = total + vector
    while len(total) > 1:
        total = total[:len(total) // 2] + total[len(total) // 2:]
    bound = (1 - 1e-5) * ((2**31 - 1) // 8191) - count / 2 - 1
    step = np.maximum(lanes.max() * np.float32(1 / 32767),
                      total[0] * np.float32(1 / bound))
    inverse = np.float32(1) / step
    return np.rint(values.astype(np.float64) * inverse), step


def from_storage(values, element):
    if element == "bf16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)


class Case:
    def __init__(self, name, heads, kv_heads, head_dim, element="f16",
                 window=None, softcap=None, sinks=False, sliced=False,
                 contexts=((0, 5), (300, 3), (1100, 9), (61, 8), (255, 2)),
                 layers=2, seed=1):
        self.name, self.heads, self.kv_heads = name, heads, kv_heads
        self.head_dim, self.element, self.window = head_dim, element, window
        self.softcap, self.sinks, self.sliced = softcap, sinks, sliced
        # (first position, tokens) of each sequence of the batch.
        self.contexts, self.layers = contexts, layers
        # 1 / sqrt(head_dim) rounded to float32, as the attribute holds it.
        self.scale = float(np.float32(head_dim ** -0.5))
        rng = np.random.default_rng(seed)
        lengths = [p + n for p, n in contexts]
        counts = [-(-length // PAGE) for length in lengths]
        pages = sum(counts) + 3
        order = rng.permutation(pages)
        self.tables = np.full((len(contexts), max(counts) + 1), 1 << 20,
                              np.int32)
        kv = 2 * kv_heads if sliced else kv_heads
        kshape = (layers, pages, kv, PAGE // LANES, head_dim, LANES)
        vshape = (layers, pages, kv, PAGE, head_dim)
        nan = np.full(1, np.nan, np.float32)
        quantized = element in CODES
        nothing = (CODES[element][0](77) if quantized
                   else to_storage(nan, element)[0])
        keys, values = np.full(kshape, nothing), np.full(vshape, nothing)
        # Of caches of codes: unwritten ones are NaN.
        kscales = np.full((layers, pages, kv, PAGE), np.nan, np.float32)
        vscales = kscales.copy()
        self.k, self.v = [], []
        self.vcodes, self.vscales = [], []
        self.pages = []
        used = 0
        kv0 = 1 if sliced else 0
        self.layer = layers - 1
        for s, (length, count) in enumerate(zip(lengths, counts)):
            mine = order[used:used + count]
            used += count
            self.pages.append(mine)
            self.tables[s, :count] = mine
            k, v = (rng.standard_normal((length, kv_heads, head_dim),
                                        np.float32) for _ in range(2))
            if quantized:
                (k, kscale), (v, vscale) = (to_codes(x, element)
                                            for x in (k, v))
                self.vcodes.append(v)
                self.vscales.append(vscale[:, :, 0])
            else:
                k, v = to_storage(k, element), to_storage(v, element)
            for t in range(length):
                page, slot = mine[t // PAGE], t % PAGE
                keys[self.layer, page, kv0:kv0 + kv_heads, slot // LANES, :,
                     slot % LANES] = k[t]
                values[self.layer, page, kv0:kv0 + kv_heads, slot] = v[t]
                if quantized:
                    kscales[self.layer, page, kv0:kv0 + kv_heads,
                            slot] = kscale[t, :, 0]
                    vscales[self.layer, page, kv0:kv0 + kv_heads,
                            slot] = vscale[t, :, 0]
            self.k.append(k * kscale if quantized else from_storage(k, element))
            self.v.append(v * vscale if quantized else from_storage(v, element))
        if quantized:
            keys = to_pages(keys, kscales, "key")
            values = to_pages(values, vscales, "value")
        self.keys = keys[:, :, kv0:kv0 + kv_heads]
        self.values = values[:, :, kv0:kv0 + kv_heads]
        self.positions = np.concatenate(
            [np.arange(p, p + n) for p, n in contexts]).astype(np.int32)
        self.sequences = np.concatenate(
            [np.full(n, s) for s, (_, n) in enumerate(contexts)]
        ).astype(np.int32)
        self.n = len(self.positions)
        width = heads * head_dim
        extra = 48 if sliced else 0
        self.q = (3 * rng.standard_normal((self.n, width + extra),
                                          np.float32))[:, extra:]
        self.sink = rng.standard_normal(heads).astype(np.float32) * 2

    def module(self):
        d = self.head_dim
        dyn = "strided<[?, ?, ?, ?, ?, 1], offset: ?>"
        keys = (f"memref<{self.layers}x?x{self.kv_heads}x4x{d}x16x"
                f"{self.element}, {dyn}>")
        values = (f"memref<{self.layers}x?x{self.kv_heads}x64x{d}x"
                  f"{self.element}, {dyn.replace('?, ', '', 1)}>")
        if self.element in CODES:
            size = d + 4 // CODES[self.element][0]().itemsize
            page = f"{self.layers}x?x{self.kv_heads}x{64 * size}x{self.element}"
            keys = f"memref<{page}, strided<[?, ?, ?, 1], offset: ?>>"
            values = keys
        rows = f"memref<?x{self.heads * d}xf32, strided<[?, 1], offset: ?>>"
        shape = [f"heads = {self.heads} : i64", f"head_dim = {d} : i64"]
        if self.window:
            shape.append(f"window = {self.window} : i64")
        attrs = shape + [f"kv_heads = {self.kv_heads} : i64",
                         f"scale = {self.scale:.9e} : f32"]
        if self.softcap:
            attrs.append(f"softcap = {self.softcap:.9e} : f32")
        sink_type = f"memref<{self.heads}xf32>"
        sinks = f"sinks(%sink : {sink_type})" if self.sinks else ""
        parts = f"memref<?x{self.heads}x{self.chunks()}x{d + 32}xf32>"
        inputs = f"""ins(%q, %k, %v, %p, %s, %t : {rows}, {keys}, {values},
      memref<?xi32>, memref<?xi32>, memref<?x?xi32>)"""
        return f"""
func.func @attention(%q: {rows}, %k: {keys}, %v: {values}, %p: memref<?xi32>,
    %s: memref<?xi32>, %t: memref<?x?xi32>, %sink: {sink_type}, %layer: index,
    %o: {rows}) attributes {{llvm.emit_c_interface, cria.version = "prefill"}} {{
  cria.fused_attention {inputs} {sinks}
    layer %layer outs(%o : {rows}) {{{", ".join(attrs)}}}
  return
}}
func.func @split(%q: {rows}, %k: {keys}, %v: {values}, %p: memref<?xi32>,
    %s: memref<?xi32>, %t: memref<?x?xi32>, %sink: {sink_type}, %layer: index,
    %parts: {parts}, %o: {rows}) attributes {{llvm.emit_c_interface}} {{
  %first = arith.constant 0 : index
  cria.attention_partials {inputs}
    layer %layer first %first outs(%parts : {parts}) {{{", ".join(attrs)}}}
  cria.attention_merge ins(%parts, %p : {parts}, memref<?xi32>) {sinks}
    outs(%o : {rows}) {{{", ".join(shape)}}}
  return
}}
"""

    def chunks(self):
        """Most that a token can see."""
        return max(p + n for p, n in self.contexts) // CHUNK + 1

    def run_split(self, library):
        out = np.full((self.n, self.q.shape[1]), np.nan, np.float32)
        parts = np.full((self.n, self.heads, self.chunks(),
                         self.head_dim + 32), np.nan, np.float32)
        arrays = (self.q, self.keys, self.values, self.positions,
                  self.sequences, self.tables, self.sink, parts, out)
        *inputs, parts, result = [ctypes.byref(descriptor(a)) for a in arrays]
        library._mlir_ciface_split(*inputs, ctypes.c_int64(self.layer), parts,
                                   result)
        return out

    def run(self, library, rows):
        """The result of the given rows of the batch, as one call."""
        rows = np.asarray(rows)
        out = np.full((len(rows), self.q.shape[1]), np.nan, np.float32)
        q = np.empty((len(rows), self.q.shape[1] + 16), np.float32)[:, 16:]
        q[:] = self.q[rows]
        self.call(library, q, out, self.positions[rows], self.sequences[rows])
        return out

    def call(self, library, q, out, positions, sequences):
        self.prepare(library, q, out, positions, sequences)(self.layer)

    def prepare(self, library, q, out, positions, sequences):
        """A call that only lacks the layer."""
        arrays = (q, self.keys, self.values, positions, sequences,
                  self.tables, self.sink, out)
        *parts, result = [ctypes.byref(descriptor(a)) for a in arrays]

        def call(layer, alive=arrays):
            library._mlir_ciface_attention(*parts, ctypes.c_int64(layer),
                                           result)
            return alive
        return call

    def reference(self, codes=False):
        """With `codes`, queries and p are rounded as with a cache of i16."""
        d, ratio = self.head_dim, self.heads // self.kv_heads
        out = np.zeros((self.n, self.heads, d))
        for i in range(self.n):
            p, s = int(self.positions[i]), int(self.sequences[i])
            low = max(0, p - self.window + 1) if self.window else 0
            q = self.q[i].reshape(self.heads, d).astype(np.float64)
            for h in range(self.heads):
                k = self.k[s][low:p + 1, h // ratio].astype(np.float64)
                v = self.v[s][low:p + 1, h // ratio].astype(np.float64)
                query = q[h]
                if codes:
                    rounded, step = round_to_codes(query, d)
                    query = rounded * step
                score = self.scale * (k @ query)
                if self.softcap:
                    score = self.softcap * np.tanh(score / self.softcap)
                top = score.max()
                if self.sinks:
                    top = max(top, self.sink[h])
                e = np.exp(score - top)
                total = e.sum()
                if self.sinks:
                    total += np.exp(self.sink[h] - top)
                out[i, h] = (self.round_chunks(score, top, s, h // ratio, low)
                             if codes else e @ v) / total
        return out.reshape(self.n, -1)


    def round_chunks(self, score, top, s, head, low):
        """The sum of p v, in chunks whose p times the scale are codes."""
        out = np.zeros(self.head_dim)
        end = low + len(score)
        for begin in range(low // CHUNK * CHUNK, end, CHUNK):
            part = slice(max(begin, low), min(begin + CHUNK, end))
            mine = score[part.start - low:part.stop - low]
            highest = mine.max()
            p = np.exp(mine - highest) * self.vscales[s][part, head]
            rounded, step = round_to_codes(p, CHUNK)
            out += (np.exp(highest - top) * step
                    * (rounded @ self.vcodes[s][part, head]))
        return out


CASES = [
    Case("mha", 2, 2, 32),
    Case("gqa3", 9, 3, 64),
    Case("gqa4_bf16", 8, 2, 128, "bf16"),
    Case("gqa3_i8", 9, 3, 64, "i8"),
    Case("head_dim_20_i8", 6, 2, 20, "i8", sliced=True),
    Case("window_i8", 6, 2, 32, "i8", window=100),
    Case("mha_i16", 2, 2, 128, "i16"),
    Case("gqa3_i16", 9, 3, 64, "i16"),
    Case("mqa9_i16", 9, 1, 96, "i16", sinks=True),
    Case("head_dim_14_i16", 2, 1, 14, "i16"),
    Case("head_dim_20_i16", 6, 2, 20, "i16", sliced=True),
    Case("head_dim_80_i16", 4, 2, 80, "i16", window=256),
    Case("head_dim_256_i16", 4, 2, 256, "i16", softcap=50.0),
    Case("window_i16", 6, 2, 32, "i16", window=100),
    Case("window_small_i16", 3, 1, 32, "i16", window=3),
    Case("prefill_i16", 9, 3, 64, "i16", contexts=((0, 150), (250, 40))),
    Case("mqa8_f32", 8, 1, 16, "f32"),
    Case("mqa9", 9, 1, 32),
    Case("head_dim_80", 4, 2, 80),
    Case("head_dim_96", 4, 4, 96, window=100),
    Case("head_dim_256", 4, 2, 256, softcap=50.0),
    Case("head_dim_20", 6, 2, 20),
    Case("head_dim_14", 2, 1, 14, "f32"),
    Case("sliced", 6, 2, 32, sliced=True),
    Case("window", 6, 2, 32, window=100),
    Case("window_small", 3, 1, 32, window=3),
    Case("window_chunk", 4, 1, 64, window=256, sinks=True),
    Case("softcap", 6, 2, 32, softcap=5.0),
    Case("sinks", 6, 2, 32, sinks=True),
    # Consecutive positions, but of different sequences.
    Case("neighbours", 4, 2, 32, contexts=((8, 1), (9, 1), (10, 1), (11, 1))),
    Case("prefill", 9, 3, 64, contexts=((0, 150), (250, 40))),
]


def check(case, args):
    library = compile_module(case.module(), case.name, args)
    got = case.run(library, range(case.n))
    want = case.reference()
    # Scores are sums of head_dim products of about 3, in float32.
    error = np.abs(got - want).max()
    most = 2e-5
    if case.element == "i16":
        if not error < 3e-3:
            return f"differs from float64 by {error:.3g}, more than 3e-3"
        error = np.abs(got - case.reference(codes=True)).max()
        # Where last bits of p make other codes, 2^-15 of a value follows each.
        most = 1e-4
    if not error < most:
        return f"differs from float64 by {error:.3g}, more than {most}"
    if case.run_split(library).tobytes() != got.tobytes():
        return "partials and their merge give other bits"
    for rows in ([i] for i in range(case.n)):
        if case.run(library, rows).tobytes() != got[rows].tobytes():
            return f"token {rows[0]} alone is not what it is in the batch"
    rest = range(1, case.n)
    if case.run(library, rest).tobytes() != got[1:].tobytes():
        return "the batch without its first token is not what it was"
    if args.other_cflags:
        text, name = case.module(), case.name + "_other"
        other = compile_module(text, name, args, args.other_cflags,
                               ["--cria-vectorize-attention=accumulators=6",
                                "--cria-lower-dot2-i16=isa=sse2"])
        if case.run(other, range(case.n)).tobytes() != got.tobytes():
            return f"{args.other_cflags} gives other bits"
    return None


def check_halves(case, args):
    library = compile_module(case.module(), case.name + "_halves", args,
                             first=["--cria-vectorize-attention=halves=true"])
    exact = case.run(compile_module(case.module(), case.name, args),
                     range(case.n))
    got = case.run(library, range(case.n))
    # Scores of up to 16 with 11 bits after each of head_dim additions.
    error = np.abs(got - case.reference())
    if not (error.max() < 0.1 and error.mean() < 2e-3):
        return (f"differs from float64 by {error.mean():.3g} in the mean, "
                f"{error.max():.3g} at most; allowed are 2e-3 and 0.1")
    takes = (case.element == "f16" and case.head_dim % 32 == 0
             and case.name != "neighbours")
    if takes == (got.tobytes() == exact.tobytes()):
        return "has the bits of f32" if takes else "is not computed in f32"
    return None


def check_window_chunks(args):
    """Chunks begin at multiples of 256 under a window too. So a window gives
    the bits of no window over keys that score far below the others before it:
    their exp is 0, and so is the factor of a chunk of them alone."""
    window = 300
    case = Case("window_chunks", 2, 2, 16, "f32", window=window,
                contexts=((699, 1), (1023, 1), (420, 1), (555, 1)))
    got = case.run(compile_module(case.module(), case.name, args),
                   range(case.n))
    case.window, case.name = None, case.name + "_none"
    for s, position in enumerate(case.positions):
        for h in range(case.kv_heads):
            q = case.q[s].reshape(case.heads, -1)[h]
            far = -1000 / case.scale * q / (q @ q)
            for t in range(position + 1 - window):
                case.keys[case.layer, case.pages[s][t // PAGE], h,
                          t % PAGE // LANES, :, t % LANES] = far
    want = case.run(compile_module(case.module(), case.name, args),
                    range(case.n))
    if got.tobytes() != want.tobytes():
        return "a window moves the chunks"
    return None


READ = """
func.func @read(%m: memref<?xf32>) -> f32 attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %step = arith.constant 128 : index
  %n = memref.dim %m, %c0 : memref<?xf32>
  %zero = arith.constant dense<0.0> : vector<128xf32>
  %sum = scf.for %i = %c0 to %n step %step iter_args(%a = %zero)
      -> vector<128xf32> {
    %x = vector.load %m[%i] : memref<?xf32>, vector<128xf32>
    %b = arith.addf %a, %x : vector<128xf32>
    scf.yield %b : vector<128xf32>
  }
  %r = vector.reduction <add>, %sum : vector<128xf32> into f32
  return %r : f32
}
"""


def best_time(function, repeats=30):
    """Least CPU seconds of the thread: other load only counts while it slows
    the memory or the core."""
    best = float("inf")
    for _ in range(repeats):
        begin = time.thread_time()
        function()
        best = min(best, time.thread_time() - begin)
    return best


def bench(args):
    """Decode at two depths in bytes/s, and prefill, as one thread does it."""
    source = np.ones(1 << 26, np.float32)
    library = compile_module(READ, "read", args, level="-O3")
    seconds = best_time(lambda: library._mlir_ciface_read(
        ctypes.byref(descriptor(source))))
    print(f"reading memory: {source.nbytes / seconds / 1e9:.1f} GB/s")
    case = Case("bench", 9, 3, 64, args.bench, layers=60,
                contexts=((4095, 1),))
    library = compile_module(case.module(), "bench", args, level="-O3", first=[
        "--cria-vectorize-attention", f"--cria-lower-dot2-i16=isa={args.isa}"])
    for layer in range(case.layers):
        case.keys[layer] = case.keys[case.layer]
        case.values[layer] = case.values[case.layer]
    layers = case.layers

    def decode(depth):
        q = np.ascontiguousarray(case.q[:1])
        call = case.prepare(library, q, np.empty_like(q),
                            np.array([depth - 1], np.int32),
                            case.sequences[:1])
        for layer in range(layers):
            call(layer)

    for depth in (16, 512, 4096):
        seconds = best_time(lambda: decode(depth))
        size = depth * 3 * 64 * 2 * case.keys.itemsize * layers
        print(f"decode at {depth}: {seconds / layers * 1e6:.0f} us a layer, "
              f"{size / seconds / 1e9:.1f} GB/s")
    n = 512
    q = np.random.default_rng(0).standard_normal((n, 576), np.float32)
    out = np.empty_like(q)
    zeros = np.zeros(n, np.int32)
    for start in (0, 3584):
        positions = np.arange(start, start + n, dtype=np.int32)
        seconds = best_time(
            lambda: case.call(library, q, out, positions, zeros), 10)
        flops = 4 * 9 * 64 * (start * n + n * (n + 1) / 2)
        print(f"prefill of {n} at {start}: {seconds / n * 1e6:.2f} us a token "
              f"and layer, {flops / seconds / 1e9:.0f} GFLOP/s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cria-opt", default="cria-opt")
    parser.add_argument("--mlir-translate", default="mlir-translate")
    parser.add_argument("--clang", default="clang")
    parser.add_argument("--cflags", default="-march=native")
    parser.add_argument("--other-cflags", help="another machine, which must "
                        "give the same bits")
    parser.add_argument("--tmp", default=".", help="folder for what is built")
    parser.add_argument("--case", help="only this case")
    parser.add_argument("--halves", action="store_true",
                        help="groups of tokens in f16")
    parser.add_argument("--bench", metavar="ELEMENT", help="of the cache")
    parser.add_argument("--isa", default="generic",
                        help="of cria-lower-dot2-i16, with --bench")
    args = parser.parse_args()
    os.makedirs(args.tmp, exist_ok=True)
    if args.bench:
        return bench(args)
    failed = 0
    for case in CASES:
        if args.case and case.name != args.case:
            continue
        # Of caches that are not f16, which stay as they are, one is enough.
        if args.halves and case.element != "f16" and case.name != "gqa4_bf16":
            continue
        message = (check_halves if args.halves else check)(case, args)
        failed += message is not None
        print(f"{case.name}: {message or 'ok'}")
    if not args.case and not args.halves:
        message = check_window_chunks(args)
        failed += message is not None
        print(f"window_chunks: {message or 'ok'}")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
