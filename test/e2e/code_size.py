# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compares two ELF objects: code_size.py SMALL.o LARGE.o

The code (executable sections) and the whole file must have the same size but
for 1 %: a constant takes more bytes when it is large.
"""

import os
import struct
import sys

EXECUTABLE = 4  # SHF_EXECINSTR


def code_bytes(path):
    with open(path, "rb") as file:
        data = file.read()
    (start,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    total = 0
    for index in range(count):
        flags, _, _, length = struct.unpack_from("<4Q", data, start + index * size + 8)
        total += length if flags & EXECUTABLE else 0
    return total


small, large = sys.argv[1:]
code = [code_bytes(path) for path in (small, large)]
whole = [os.path.getsize(path) for path in (small, large)]
print(f"code: {code[0]} and {code[1]} bytes, files: {whole[0]} and {whole[1]}")
if not code[0]:
    sys.exit(f"{small}: no code")
for what, (least, most) in (("code", code), ("file", whole)):
    if not least <= 1.01 * most or not most <= 1.01 * least:
        sys.exit(f"the {what} differs by more than 1 %")
