# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random blocks of ggml's quantised types.

The bytes of codes and packed scales are random, so that every code and every
bit of a scale occurs; d and dmin are such that the numbers have a given
deviation and a mean near zero. Needs gguf.
"""

import numpy as np

# Where d is in a block, where the factor of the minimum is, and how many times
# d the minimum is that moves the middle code to zero.
LAYOUT = {
    "q4_0": (0, None, 0), "q4_1": (0, 2, -7.5),
    "q5_0": (0, None, 0), "q5_1": (0, 2, -15.5),
    "q8_0": (0, None, 0), "iq4_nl": (0, None, 0),
    "q2_k": (80, 82, 1.5), "q3_k": (108, None, 0),
    "q4_k": (0, 2, 7.5), "q5_k": (0, 2, 15.5), "q6_k": (208, None, 0),
}  # yapf: disable


def ggml_type(name):
    import gguf
    return gguf.GGMLQuantizationType[name.upper()]


def put_half(blocks, at, values):
    blocks[..., at:at + 2] = values.astype("<f2")[..., None].view(np.uint8)


def random_blocks(name, rows, columns, deviation, seed):
    """[rows, bytes of a row] of type `name`."""
    import gguf
    kind = ggml_type(name)
    size, length = gguf.GGML_QUANT_SIZES[kind]
    d_at, min_at, middle = LAYOUT[name]
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (rows, columns // size, length), np.uint8)
    if name == "q8_0":
        blocks[blocks == 0x80] = 0x81  # ggml's quantiser leaves -128 out

    def scale(d):
        put_half(blocks, d_at, d)
        if min_at is not None:
            put_half(blocks, min_at, middle * d)

    # Blocks differ, so that a scale from the wrong place shows.
    vary = rng.uniform(0.75, 1.25, blocks.shape[:2])
    scale(vary)
    found = gguf.quants.dequantize(blocks.reshape(rows, -1), kind).std()
    scale(vary * deviation / found)
    return blocks.reshape(rows, -1)
