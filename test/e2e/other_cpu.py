# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Makes the code in a compiled folder ask for CPU features nobody has.

    other_cpu.py FOLDER [COUNT]

Its first COUNT clones do, or all. They stand in the table `clones` (cria_clone
of runtime/include/cria/abi.h), which the symbol table of model.so names.
"""

import os
import struct
import sys

path = os.path.join(sys.argv[1], "model.so")
with open(path, "rb") as file:
    data = bytearray(file.read())
(start,) = struct.unpack_from("<Q", data, 40)
size, count = struct.unpack_from("<HH", data, 58)
# name, type, flags, address, offset, size, link, info, align, entry size
sections = [struct.unpack_from("<IIQQQQIIQQ", data, start + i * size) for i in range(count)]
tables = []
for section in sections:
    if section[1] != 2:  # SHT_SYMTAB
        continue
    names = sections[section[6]][4]
    for at in range(section[4], section[4] + section[5], 24):
        name, _, _, index, value, length = struct.unpack_from("<IBBHQQ", data, at)
        end = data.index(0, names + name)
        if data[names + name : end].split(b".")[0] == b"clones":
            home = sections[index]
            tables.append((home[4] + value - home[3], length // 24))
if len(tables) != 1:
    sys.exit(f"{path}: {len(tables)} tables of clones")
((at, clones),) = tables
for i in range(int(sys.argv[2]) if len(sys.argv) > 2 else clones):
    struct.pack_into("<Q", data, at + 24 * i + 8, 2**63 - 1)
with open(path, "wb") as file:
    file.write(data)
