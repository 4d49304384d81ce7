# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every constraint label of the .td files has a case in an invalid*.mlir, and
every label in a verifier's message is documented in a .td file.

usage: check-labels.py DIALECT_DIR TEST_DIR
"""

import pathlib
import re
import sys

LABEL = re.compile(r"\b([a-z0-9_]+_[act]\d+):")


def labels(folder, pattern):
    return {
        label
        for path in pathlib.Path(folder).glob(pattern)
        for label in LABEL.findall(path.read_text(encoding="utf-8"))
    }


documented = labels(sys.argv[1], "*.td")
verified = labels(sys.argv[1], "*.cpp") | labels(sys.argv[1], "*.h")
tested = labels(sys.argv[2], "invalid*.mlir")
# A label that is handed to a helper stands in the source without a colon.
named = {
    label
    for path in pathlib.Path(sys.argv[1]).glob("*.[ch]*")
    for label in re.findall(r'"([a-z0-9_]+_[act]\d+)"', path.read_text())
}
for label in sorted(documented - tested):
    print(f"{label}: no case in {sys.argv[2]}/invalid*.mlir")
for label in sorted((verified | named) - documented):
    print(f"{label}: in a verifier, in no .td")
print(f"{len(documented)} labels")
sys.exit(
    not documented
    or bool(documented - tested)
    or bool((verified | named) - documented)
)
