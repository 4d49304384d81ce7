# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""runtime_size.py ARCHIVES LIBRARY LIMIT OBJECT LIMIT

Links the runtime's archives in the folder ARCHIVES into the stripped LIBRARY,
which exports the C API, and compares its size and that of OBJECT with the
limits in bytes.
"""

import os
import subprocess
import sys

folder, library, limit, code, code_limit = sys.argv[1:]
archives = [folder + "/libcria_runtime.a", folder + "/text/libcria_text.a"]
listed = subprocess.run(
    ["nm", "-g", "--defined-only", *archives],
    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
).stdout.split("\n")  # yapf: disable
api = sorted({line.split()[2] for line in listed if " T cria_" in line})
if len(api) < 20:
    sys.exit(f"only {len(api)} functions of the C API found")
version = library + ".map"
with open(version, "w") as file:
    file.write("{ global: cria_*; local: *; };\n")
subprocess.run(
    ["c++", "-shared", "-s", "-o", library, "-Wl,--gc-sections",
     "-Wl,--version-script=" + version, *["-Wl,-u," + name for name in api],
     *archives, "-lsentencepiece", "-lpcre2-8", "-pthread", "-ldl"],
    check=True,
)  # yapf: disable
for path, most in ((library, int(limit)), (code, int(code_limit))):
    size = os.path.getsize(path)
    print(f"{os.path.basename(path)}: {size} bytes of {most}")
    if size > most:
        sys.exit(f"{path} has {size} bytes; at most {most} are wanted")
