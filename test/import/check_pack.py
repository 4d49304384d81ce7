# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Decodes packed weights and compares them, bit by bit, with their source.

  check_pack.py MODULE.mlir PACKED.safetensors SOURCE [TYPE=REL ...]

MODULE says which layouts the weights have and which tensors they come from.
SOURCE is a GGUF file (then read by the gguf package) or a folder or file of
safetensors. Tensors of TYPE may differ by a root mean square of at most REL
times their own, and must by a tenth of that or more; only the sign of zeros
may differ where REL is 0. The decoder here follows the table of Weight in CriaTypes.td and
shares no code with the compiler.
"""

import glob
import json
import os
import re
import sys

import numpy as np

DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "u1", "I8": "i1"}


def bf16(raw):
    return (raw.astype(np.uint32) << 16).view(np.float32)


def read_safetensors(path):
    """Name -> array; bf16 arrives as its bits. And the metadata."""
    data = np.memmap(path, np.uint8, "r")
    size = int(data[:8].view("<u8")[0])
    header = json.loads(bytes(data[8:8 + size]))
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + at for at in entry["data_offsets"])
        if entry["dtype"] in DTYPES:
            flat = data[begin:end].view(DTYPES[entry["dtype"]])
            tensors[name] = entry["dtype"], flat.reshape(entry["shape"]), begin
    return tensors, metadata


class Gguf:
    def __init__(self, path):
        import gguf
        self.gguf = gguf
        self.tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}

    def __getitem__(self, name):
        tensor = self.tensors[name]
        value = self.gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        return value.reshape([int(d) for d in reversed(tensor.shape)])


    def type(self, name):
        return self.tensors[name].tensor_type.name


class Safetensors:
    def __init__(self, path):
        files = [path]
        if os.path.isdir(path):
            files = glob.glob(os.path.join(path, "*.safetensors"))
        self.tensors = {}
        for file in files:
            self.tensors.update(read_safetensors(file)[0])

    def __getitem__(self, name):
        dtype, value, _ = self.tensors[name]
        return bf16(value) if dtype == "BF16" else value.astype(np.float32)


def decode(shape, element, offset, layout, parts):
    """The LxNxK numbers that the arrays of a weight stand for, padded."""
    layers, n, k = shape
    groups, blocks = -(-n // 16), -(-k // 32)
    if element in ("f32", "f16", "bf16"):
        value = parts[""]
        value = bf16(value) if element == "bf16" else value.astype(np.float32)
        if layout == "rows":
            return value.reshape(layers, n, k)
        inner = 2 if layout == "n16k2" else 1
        value = value.reshape(layers, groups, -1, 16, inner)
        return value.transpose(0, 1, 3, 2, 4).reshape(layers, groups * 16, -1)

    # Afterwards: codes [L, N', blocks, 32], the others [L, N', blocks].
    def by_row(name, count=blocks):
        value = parts[name].astype(np.float32)
        if layout == "rows":
            return value.reshape(layers, n, count)
        value = value.reshape(layers, groups, count, 16)
        return value.transpose(0, 1, 3, 2).reshape(layers, -1, count)

    codes = parts["codes"]
    if layout == "n16k4":
        # [group][block][vector][row][4] -> [group][row][block][vector][4]
        codes = codes.reshape(layers, groups, blocks, -1, 16, 4)
        codes = codes.transpose(0, 1, 4, 2, 3, 5)
    codes = codes.reshape(layers, -1, blocks,
                          {"q4": 16, "q6": 24, "q8": 32}[element])
    high = codes[..., 16:]
    if element != "q8":
        codes = codes[..., :16]
        codes = np.concatenate([codes & 15, codes >> 4], axis=-1)
    if element == "q6":
        high = [high >> shift & 3 for shift in (0, 2, 4, 6)]
        codes = codes | np.concatenate(high, axis=-1) << 4
        halves = by_row("subscales", 2 * blocks)
        factors = np.repeat(by_row("scales", -(-k // 256)), 16, axis=-1)
        scales = np.repeat(factors[..., :2 * blocks] * halves, 16, axis=-1)
        return scales * (codes.reshape(layers, -1, blocks * 32).astype(np.float32) - 32)
    elif layout == "rows":
        codes = codes.view(np.int8)
    codes = codes.astype(np.int32)
    if offset == "zero_point" and not (element == "q8" and layout == "rows"):
        codes = codes - (8 if element == "q4" else 128)
    value = by_row("scales")[..., None] * codes.astype(np.float32)
    if offset == "min":
        value = value + by_row("mins")[..., None]
    return value.reshape(layers, -1, blocks * 32)


def permuted(value, head_dim, dims):
    """Rows (of a vector: elements) with pairs (i, i + dims/2) side by side."""
    order = list(range(head_dim))
    for i in range(dims // 2):
        order[2 * i], order[2 * i + 1] = i, i + dims // 2
    axis = 0 if value.ndim == 2 else value.ndim - 1
    index = np.arange(value.shape[axis]).reshape(-1, head_dim)[:, order]
    return np.take(value, index.reshape(-1), axis=axis)


def same_bits(a, b):
    return np.array_equal(np.ascontiguousarray(a).view(np.uint32),
                          np.ascontiguousarray(b).view(np.uint32))


PARAM = re.compile(r"cria\.param @(\w+)( stacked)? : "
                   r"(!cria\.weight<([^>]*)>|tensor<([^>]*)>)"
                   r" from \[([^\]]*)\](?: \{(.*)\})?")


def main(module, packed, source, *bounds):
    bounds = dict(bound.split("=") for bound in bounds)
    source = (Gguf if source.endswith(".gguf") else Safetensors)(source)
    arrays, metadata = read_safetensors(packed)
    if "cria.source_hash" not in metadata:
        sys.exit("the packed file has no cria.source_hash")
    for name, (_, _, begin) in arrays.items():
        if not name.startswith("__pad.") and begin % 64:
            sys.exit(f"{name} starts at {begin}, not on 64 bytes")
    count = 0
    with open(module, encoding="utf-8") as file:
        params = PARAM.findall(file.read())
    for name, stacked, _, weight, tensor, sources, attributes in params:
        sources = json.loads("[" + sources + "]")
        attributes = dict(re.findall(r"(\w+) = (\d+)", attributes))
        if weight:
            fields = [field.strip() for field in weight.split(",")]
            shape = [int(size) for size in fields[0].split("x")]
            shape = [1] * (3 - len(shape)) + shape
            offset = fields[3] if len(fields) > 3 else "none"
            parts = {part: arrays[name + "." * bool(part) + part][1]
                     for part in ("", "codes", "scales", "mins", "subscales")
                     if name + "." * bool(part) + part in arrays}
            value = decode(shape, fields[1], offset, fields[-1], parts)
        else:
            value = np.asarray(arrays[name][1])
            value = value if stacked else value[None]
        for layer, tensor_name in enumerate(sources):
            wanted = source[tensor_name]
            if "permute_heads" in attributes:
                wanted = permuted(wanted, int(attributes["permute_heads"]),
                                  int(attributes["permute_dims"]))
            got = value[layer]
            if weight:
                n, k = wanted.shape
                if got[n:].any() or (not offset == "min" and got[:, k:].any()):
                    sys.exit(f"{name}: layer {layer}: padding is not 0")
                got = got[:n, :k]
            bound = bounds and weight and bounds.get(source.type(tensor_name))
            if bound == "0" and np.array_equal(got, wanted):
                pass
            elif bound:
                rel = np.sqrt(((got - wanted)**2).sum() / (wanted**2).sum())
                if not 0.1 * float(bound) <= rel <= float(bound):
                    sys.exit(f"{name}: layer {layer} differs from "
                             f"{tensor_name} by {rel:.2e}, bound {bound}")
            elif not same_bits(got, wanted):
                bad = np.argwhere(got != wanted)
                at = bad[0] if len(bad) else "a sign"
                sys.exit(f"{name}: layer {layer} differs from {tensor_name}, "
                         f"first at {at}")
            count += 1
    print(f"{count} tensors agree")


if __name__ == "__main__":
    main(*sys.argv[1:])
