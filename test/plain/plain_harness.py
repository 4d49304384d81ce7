# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What plain_numeric.py compiles, calls and packs with.

The packing of weights is written from the table in CriaTypes.td, one element
at a time, and shares nothing with the compiler's packer.
"""

import ctypes
import os
import platform
import subprocess
import sys
import tempfile

import numpy as np
import torch

LOWER = ["--cria-plain", "--arith-expand=include-bf16=true",
         "--expand-strided-metadata", "--lower-affine", "--convert-scf-to-cf",
         "--convert-to-llvm", "--reconcile-unrealized-casts"]


# --- Compiling and calling ----------------------------------------------------


class Module:
    """Functions in MLIR, compiled to a shared object."""

    def __init__(self, text, cc):
        with tempfile.TemporaryDirectory() as folder:
            def path(name):
                return os.path.join(folder, name)

            def run(*command):
                try:
                    done = subprocess.run(command, capture_output=True,
                                          text=True)
                except FileNotFoundError:
                    sys.exit(f"{command[0]}: not on PATH")
                if done.returncode:
                    sys.exit(f"{' '.join(command)}\n{done.stderr[:4000]}")

            with open(path("in.mlir"), "w", encoding="utf-8") as file:
                file.write(text)
            run("cria-opt", *LOWER, path("in.mlir"), "-o", path("low.mlir"))
            run("mlir-translate", "--mlir-to-llvmir", path("low.mlir"), "-o",
                path("a.ll"))
            # Without a target opt would not vectorise.
            run("opt", "-O2", f"-mtriple={platform.machine()}-linux-gnu",
                path("a.ll"), "-o", path("a.bc"))
            run("llc", "-O2", "-filetype=obj", "-relocation-model=pic",
                path("a.bc"), "-o", path("a.o"))
            run(*cc.split(), "-shared", path("a.o"), "-lm", "-o",
                path("a.so"))
            self.library = ctypes.CDLL(path("a.so"))

    def call(self, name, *arrays):
        """Calls with one memref an array, spelled out as scalars."""
        args = []
        for array in arrays:
            assert array.flags.c_contiguous
            pointer = ctypes.c_void_p(array.ctypes.data)
            strides = [s // array.itemsize for s in array.strides]
            args += [pointer, pointer, ctypes.c_int64(0)]
            args += [ctypes.c_int64(v) for v in (*array.shape, *strides)]
        function = getattr(self.library, name)
        function.restype = None
        function(*args)


FAILURES = []


def check(name, got, want, bound):
    """The largest error relative to the largest reference magnitude."""
    want = np.asarray(want, dtype=np.float64)
    got = np.asarray(got, dtype=np.float64)
    assert got.shape == want.shape, (name, got.shape, want.shape)
    error = np.abs(got - want).max() / max(np.abs(want).max(), 1e-30)
    good = error <= bound  # false for NaN
    print(f"{name}: {error:.3g} (bound {bound:.3g}) {'ok' if good else 'BAD'}")
    if not good:
        FAILURES.append(name)


def check_equal(name, got, want):
    good = got.tobytes() == want.tobytes()
    print(f"{name}: {'equal' if good else 'DIFFERENT'}")
    if not good:
        FAILURES.append(name)


RNG = np.random.default_rng(7)


def normal(*shape, dev=1.0):
    return (dev * RNG.standard_normal(shape)).astype(np.float32)


def f64(array):
    return torch.from_numpy(np.asarray(array, dtype=np.float64))


def rows(width):
    return f"tensor<?x{width}xf32>"


def function(name, args, result, body, result_name="logits"):
    """args: (name, type); the body returns %y."""
    listed = ", ".join(f'%{n}: {t} {{cria.arg = "{n}"}}' for n, t in args)
    return (f'func.func @{name}({listed}) -> ({result} {{cria.arg = '
            f'"{result_name}"}}) attributes {{cria.entry}} {{\n{body}\n'
            f"  return %y : {result}\n}}\n")


def run_cases(cc, cases):
    """cases: (MLIR text, function that takes the compiled module)."""
    module = Module("".join(text for text, _ in cases), cc)
    for _, test in cases:
        test(module)


# --- Storage of floats, caches and weights ------------------------------------


TYPES = {"f32": np.float32, "f16": np.float16, "bf16": np.uint16}


def to_bits(array, kind):
    """float32 to the storage of `kind`, rounded to nearest even."""
    if kind == "bf16":
        return torch.from_numpy(array).bfloat16().view(torch.int16).numpy() \
            .view(np.uint16)
    return array.astype(TYPES[kind])


def from_bits(array, kind):
    if kind == "bf16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32)


def cache_types(layers, heads, dim, kind):
    return (f"tensor<{layers}x?x{heads}x4x{dim}x16x{kind}>",
            f"tensor<{layers}x?x{heads}x64x{dim}x{kind}>")


def weight_type(n, k, element, offset, layout, layers=None):
    shape = f"{layers}x{n}x{k}" if layers else f"{n}x{k}"
    size = {"q4": 32, "q6": 16, "q8": 32}.get(element)
    block = f", block = {size}, {offset}" if size else ""
    return f"!cria.weight<{shape}, {element}{block}, {layout}>"


def garbage(shape, dtype):
    """Padding must not matter, so it holds anything but zeros."""
    if dtype == np.float32 or dtype == np.float16:
        return np.full(shape, np.nan, dtype)
    return RNG.integers(1, 255, shape).astype(dtype)


def pack_q6(n, k, layout):
    blocks, supers, groups = -(-k // 32), -(-k // 256), -(-n // 16)
    codes = RNG.integers(0, 64, (n, k))
    scales = normal(n, supers, dev=0.01).astype(np.float16)
    subscales = RNG.integers(-128, 128, (n, blocks, 2)).astype(np.int8)
    values = np.zeros((n, k))
    rows_layout = layout == "rows"
    out = garbage((n, blocks, 24) if rows_layout else
                  (groups, blocks, 6, 16, 4), np.uint8)

    def put(row, block, byte, shift, bits, value):
        at = (row, block, byte) if rows_layout else \
            (row // 16, block, byte // 4, row % 16, byte % 4)
        mask = ((1 << bits) - 1) << shift
        out[at] = (int(out[at]) & ~mask & 255) | value << shift

    for r in range(n):
        for c in range(k):
            block, within = divmod(c, 32)
            code = int(codes[r, c])
            values[r, c] = (float(scales[r, c // 256])
                            * int(subscales[r, block, within // 16]) * (code - 32))
            put(r, block, within % 16, within // 16 * 4, 4, code & 15)
            put(r, block, 16 + within % 8, within // 8 * 2, 2, code >> 4)
    storage = [out.view(np.int8), scales, subscales]
    if not rows_layout:
        for i, part in enumerate((scales, subscales.reshape(n, -1)), 1):
            lanes = garbage((groups, part.shape[1], 16), part.dtype)
            for r in range(n):
                lanes[r // 16, :, r % 16] = part[r]
            storage[i] = lanes
        storage[2] = storage[2].reshape(groups, blocks, 2, 16)
    return storage, values


def pack(n, k, element, offset, layout):
    """A random weight: its storage, and its values as float64. Written from
    the table in CriaTypes.td, one element at a time."""
    if element in TYPES:
        stored = to_bits(normal(n, k), element)
        if layout == "rows":
            return [stored], from_bits(stored, element).astype(np.float64)
        shape = (-(-n // 16), k, 16) if layout == "n16" else \
            (-(-n // 16), -(-k // 2), 16, 2)
        out = garbage(shape, stored.dtype)
        for r in range(n):
            for c in range(k):
                at = (r // 16, c, r % 16) if layout == "n16" else \
                    (r // 16, c // 2, r % 16, c % 2)
                out[at] = stored[r, c]
        return [out], from_bits(stored, element).astype(np.float64)

    if element == "q6":
        return pack_q6(n, k, layout)
    bits = 4 if element == "q4" else 8
    blocks, groups = -(-k // 32), -(-n // 16)
    # none has signed codes; the others unsigned ones.
    codes = RNG.integers(0, 1 << bits, (n, k))
    if offset == "none":
        codes -= 1 << (bits - 1)
    zero = 1 << (bits - 1) if offset == "zero_point" else 0
    scales = (normal(n, blocks, dev=0.1)).astype(np.float16)
    mins = normal(n, blocks).astype(np.float16)
    per_code = np.arange(k) // 32
    values = scales[:, per_code].astype(np.float64) * (codes - zero)
    if offset == "min":
        values = values + mins[:, per_code]

    rows_layout = layout == "rows"
    width = 32 if bits == 8 else 16
    out = garbage((n, blocks, width) if rows_layout else
                  (groups, blocks, width // 4, 16, 4), np.uint8)
    for r in range(n):
        for c in range(k):
            block, within = divmod(c, 32)
            code = int(codes[r, c])
            if bits == 8:
                if rows_layout and offset == "zero_point":
                    code -= 128
                at = (r, block, within) if rows_layout else \
                    (r // 16, block, within // 4, r % 16, c % 4)
                out[at] = code & 255
                continue
            high = within >= 16
            within -= 16 if high else 0
            at = (r, block, within) if rows_layout else \
                (r // 16, block, within // 4, r % 16, c % 4)
            old = int(out[at])
            out[at] = (old & 15) | (code << 4) if high else \
                (old & 240) | code
    storage = [out.view(np.int8)]
    for part in [scales] + ([mins] if offset == "min" else []):
        if rows_layout:
            storage.append(part)
            continue
        lanes = garbage((groups, blocks, 16), np.float16)
        for r in range(n):
            lanes[r // 16, :, r % 16] = part[r]
        storage.append(lanes)
    return storage, values
