# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes the table of ggml_blocks_test.cpp: what the gguf package makes of the
bytes that blockBytes() there makes. Needs gguf."""

import re

import gguf
import numpy as np

# Where the f16 factors of scales and minima are.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2],
    "Q6_K": [208], "IQ4_NL": [0],
}  # yapf: disable

for name, halves in HALVES.items():
    kind = gguf.GGMLQuantizationType[name]
    size, length = gguf.GGML_QUANT_SIZES[kind]
    i = np.arange(length)
    block = ((i * i * 31 + i * 7 + int(kind)) & 255).astype(np.uint8)
    for at, bits in zip(halves, (0xAE66, 0x3155)):  # about -0.1 and 0.17
        block[at], block[at + 1] = bits & 255, bits >> 8
    values = gguf.quants.dequantize(block[None], kind)[0]
    words = values.view(np.uint32)
    digest = 2166136261  # FNV-1a of words, turned so that high bits count
    for word in words:
        digest = (digest << 7 | digest >> 25) & 0xFFFFFFFF
        digest = (digest ^ int(word)) * 16777619 & 0xFFFFFFFF
    print(f"    {{DType::{name}, {length}, {{{', '.join(map(str, halves))}}}, "
          f"0x{digest:08x},")
    picked = [re.sub(r"\.?0+p", "p", float(values[at]).hex())
              for at in (0, 17, size // 2 + 3, size - 1)]
    print("     {" + ", ".join(text + "f" for text in picked) + "}},")
