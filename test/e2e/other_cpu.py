# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Makes the code in a compiled folder ask for CPU features nobody has.

    other_cpu.py FOLDER

They stand in cria_model (runtime/include/cria/abi.h) before the shapes,
which model.h repeats.
"""

import os
import re
import struct
import sys

with open(os.path.join(sys.argv[1], "model.h"), encoding="utf-8") as file:
    macros = dict(re.findall(r"#define MODEL_(\w+) (\d+)$", file.read(), re.M))
names = ("VOCAB", "WIDTH", "LAYERS", "HEADS", "KV_HEADS", "HEAD_DIM", "FFN")
shapes = struct.pack("<7q", *(int(macros[name]) for name in names))
path = os.path.join(sys.argv[1], "model.so")
with open(path, "rb") as file:
    data = bytearray(file.read())
if data.count(shapes) != 1:
    sys.exit(f"{path}: {data.count(shapes)} places look like cria_model")
at = data.index(shapes) - 8
struct.pack_into("<Q", data, at, 2**63 - 1)
with open(path, "wb") as file:
    file.write(data)
