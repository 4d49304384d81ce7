# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Weights, activations and memref descriptors in numpy, for the kernel tests."""

import ctypes

import numpy as np

BLOCK, LANES = 32, 16
ZERO = {"q4": 8, "q6": 32, "q8": 128}


def descriptor(array):
    """The C struct of a strided memref over `array`, offset 0."""
    rank = array.ndim

    class Memref(ctypes.Structure):
        _fields_ = [("allocated", ctypes.c_void_p), ("aligned", ctypes.c_void_p),
                    ("offset", ctypes.c_int64),
                    ("sizes", ctypes.c_int64 * rank),
                    ("strides", ctypes.c_int64 * rank)]

    view = Memref()
    view.allocated = view.aligned = array.ctypes.data
    view.offset = 0
    view.sizes[:] = array.shape
    view.strides[:] = [s // array.itemsize for s in array.strides]
    view.keep = array
    return view


def to_bf16(x):
    """f32 to the bits of bf16, to nearest even (no NaN here)."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def as_float(array):
    """float64; uint16 arrays hold bf16."""
    if array.dtype == np.uint16:
        array = from_bf16(array)
    return array.astype(np.float64)


def ceil_div(a, b):
    return -(-a // b)


class Weight:
    """A random N x K weight: `type`, its packed `parts` and `dense` values."""

    def __init__(self, rng, n, k, element, offset="none", layout="n16k4",
                 stack=None):
        self.n, self.k = n, k
        self.element, self.offset, self.layout = element, offset, layout
        layers = [self._layer(rng) for _ in range(stack or 1)]
        self.dense = np.stack([dense for dense, _ in layers])
        self.parts = [np.ascontiguousarray(np.stack(part))
                      for part in zip(*[parts for _, parts in layers])]
        if stack is None:
            self.dense = self.dense[0]
            self.parts = [part[0] for part in self.parts]

    def type(self, n=None, stack=None):
        quant = ""
        if self.element in ZERO:
            block = 16 if self.element == "q6" else 32
            quant = f", block = {block}, {self.offset}"
        shape = f"{self.n if n is None else n}x{self.k}"
        if stack:
            shape = f"{stack}x{shape}"
        return f"!cria.weight<{shape}, {self.element}{quant}, {self.layout}>"

    def _layer(self, rng):
        n, k = self.n, self.k
        if self.element in ("f32", "f16", "bf16"):
            return self._float_layer(rng)
        kb = ceil_div(k, BLOCK)
        top = 2 * ZERO[self.element]
        zero = top // 2 if self.offset == "zero_point" else 0
        codes = rng.integers(0, top, (n, kb * BLOCK))
        if self.offset == "none":
            codes -= 128
        # Past K: codes that decode to 0.
        codes[:, k:] = zero
        if self.element == "q6":
            scales = rng.uniform(0.005, 0.02, (n, ceil_div(k, 256)))
            scales = scales.astype(np.float16)
            sub = rng.integers(-128, 128, (n, kb, 2)).astype(np.int8)
            wide = np.repeat(scales.astype(np.float64), 16, 1)[:, :2 * kb]
            wide = np.repeat(wide * sub.reshape(n, -1), 16, 1)
            return (wide * (codes - zero))[:, :k], [
                self._pack_codes(codes), self._pack_blocks(scales),
                self._pack_halves(sub)]
        scales = rng.uniform(0.5, 2, (n, kb)).astype(np.float16)
        mins = rng.uniform(-20, 0, (n, kb)).astype(np.float16)
        wide = np.repeat(scales.astype(np.float64), BLOCK, 1)
        dense = wide * (codes - zero)
        if self.offset == "min":
            dense += np.repeat(mins.astype(np.float64), BLOCK, 1)
        parts = [self._pack_codes(codes), self._pack_blocks(scales)]
        if self.offset == "min":
            parts.append(self._pack_blocks(mins))
        return dense[:, :k], parts

    def _float_layer(self, rng):
        n, k = self.n, self.k
        dense = rng.standard_normal((n, k)).astype(np.float32)
        if self.element == "f16":
            stored = dense.astype(np.float16)
            dense = stored.astype(np.float64)
        elif self.element == "bf16":
            stored = to_bf16(dense)
            dense = from_bf16(stored).astype(np.float64)
        else:
            stored = dense
        if self.layout == "rows":
            return dense, [stored]
        nb, step = ceil_div(n, LANES), 2 if self.layout == "n16k2" else 1
        kb = ceil_div(k, step)
        padded = np.zeros((nb * LANES, kb * step), stored.dtype)
        padded[:n, :k] = stored
        packed = padded.reshape(nb, LANES, kb, step).transpose(0, 2, 1, 3)
        return dense, [packed if step == 2 else packed[..., 0]]

    def _pack_codes(self, codes):
        n, width = codes.shape
        kb = width // BLOCK
        if self.layout == "rows":
            if self.element != "q8":
                blocks = codes.reshape(n, kb, 2, 16) & 15
                low = blocks[:, :, 0] | blocks[:, :, 1] << 4
                if self.element == "q6":
                    pairs = codes.reshape(n, kb, 4, 8) >> 4
                    low = np.concatenate(
                        [low, sum(pairs[:, :, j] << 2 * j for j in range(4))], 2)
                return low.astype(np.uint8)
            bias = 128 if self.offset == "zero_point" else 0
            return (codes - bias).astype(np.int64).astype(np.uint8).reshape(
                n, kb, BLOCK)
        nb = ceil_div(n, LANES)
        zero = ZERO[self.element] if self.offset == "zero_point" else 0
        padded = np.full((nb * LANES, width), zero)
        padded[:n] = codes
        # [nb][lane][kb][group of 4][4] to [nb][kb][group][lane][4]
        groups = padded.reshape(nb, LANES, kb, 8, 4).transpose(0, 2, 3, 1, 4)
        if self.element != "q8":
            low = groups & 15
            high = groups >> 4
            low = low[:, :, :4] | low[:, :, 4:] << 4
            if self.element == "q6":
                pairs = [sum(high[:, :, odd + 2 * j] << 2 * j for j in range(4))
                         for odd in (0, 1)]
                low = np.concatenate([low, np.stack(pairs, 2)], 2)
            groups = low
        return groups.astype(np.uint8)

    def _pack_halves(self, values):
        """[n][kb][2] to [nb][kb][2][lane]."""
        if self.layout == "rows":
            return values
        n, kb, _ = values.shape
        nb = ceil_div(n, LANES)
        padded = np.zeros((nb * LANES, kb, 2), np.int8)
        padded[:n] = values
        return padded.reshape(nb, LANES, kb, 2).transpose(0, 2, 3, 1)

    def _pack_blocks(self, values):
        if self.layout == "rows":
            return values
        n, kb = values.shape
        nb = ceil_div(n, LANES)
        padded = np.zeros((nb * LANES, kb), np.float16)
        padded[:n] = values
        return padded.reshape(nb, LANES, kb).transpose(0, 2, 1)


def quantise(x, zero_point=None, wide=False, halves=False):
    """codes (i32 words), scales and sums as cria.rows makes them, wide ones
    of 16 bits, sums per half of a block; and the rows that they stand for."""
    most = np.float32(32512 if wide else 127)
    n, k = x.shape
    kb = ceil_div(k, BLOCK)
    padded = np.zeros((n, kb * BLOCK), np.float32)
    padded[:, :k] = x
    blocks = padded.reshape(n, kb, BLOCK)
    amax = np.abs(blocks).max(2)
    d = amax / most
    with np.errstate(divide="ignore"):
        inverse = np.where(amax < 2.0 ** -100, np.float32(0),
                           most / amax).astype(np.float32)
    codes = np.rint(blocks * inverse[:, :, None]).astype(np.int32)
    total = codes.sum(2, dtype=np.int32)
    if halves:
        total = codes.reshape(n, 2 * kb, 16).sum(2, dtype=np.int32)
    if zero_point is None:
        sums = (d * total.astype(np.float32)).astype(np.float32)
    else:
        sums = (-zero_point * total).astype(np.int32)
    parts = [codes]
    if wide:
        high = (codes + 128) >> 8
        parts = [high, codes - 256 * high]
    words = np.concatenate(parts, 2).astype(np.int8).reshape(n, -1).view(np.int32)
    values = codes.astype(np.float64) * d[:, :, None].astype(np.float64)
    return words, d, sums, values.reshape(n, kb * BLOCK)[:, :k]


def norm(x, kind, eps, weight=None, bias=None, plus_one=False, size=None):
    """In float64."""
    x = x.astype(np.float64)
    shape = x.shape
    if kind == "per_head":
        x = x.reshape(-1, size)
    if kind == "layer":
        x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)
    if weight is not None:
        x = x * (weight.astype(np.float64) + (1 if plus_one else 0))
    if bias is not None:
        x = x + bias
    return x.reshape(shape)
