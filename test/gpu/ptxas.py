# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What NVIDIA's assembler says of the PTX, for each GPU that it knows.

    ptxas.py WORK_DIR CASE...

CASE is one of emulation.py's, or of those of the shape of an 8B model below,
for fewer GPUs. Fails where registers are spilled, where a
function is missing, and where ptxas may contract operations or flush what is
subnormal, as the bits would not be the CPU's then. Prints registers and times.
"""

import os
import re
import subprocess
import sys

import emulation

TARGETS = ["sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100"]
# One of each set of instructions that kernels use, and of registers.
FEW = ["sm_80", "sm_90", "sm_100"]

LARGE = {
    "8b-q4": ["--quantize", "q4"],
    "8b-q8": ["--quantize", "q8"],
    "8b-bf16": ["--quantize", "bf16"],
    "8b-f16-q6": ["--quantize", "f16,head=q6,ffn=q6"],
}


def check_text(text):
    for pattern, why in [
            (r"\.extern \.func", "a function is missing"),
            (r"^\s*(add|sub|mul)\.f(32|64)\b", "ptxas may contract it"),
            (r"\.(ftz|approx)\b", "not exact"),
            (r"^\s*(ld|st)\.[bsuf]\d+", "its memory is not known")]:
        found = re.search(pattern, text, re.MULTILINE)
        assert not found, f"{found.group(0)}: {why}"


def check(folder, case, model, flags, targets):
    emulation.run(
        "cria-compile", model, "--seed", "5", "--context", "512", *flags,
        "--target", ",".join(["native", *targets]), "--emit", "asm",
        "-o", folder, stdout=subprocess.DEVNULL)
    for target in targets:
        path = os.path.join(folder, f"model-{target}.ptx")
        with open(path, encoding="utf-8") as file:
            check_text(file.read())
        said = emulation.run(
            "ptxas", f"-arch={target}", "-v", path, "-o", os.devnull,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
        spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", said)
        registers = re.findall(r"Used (\d+) registers", said)
        assert len(registers) == 2 and len(spills) == 4, said
        print(f"{case} {target}: {' and '.join(registers)} registers,"
              f" {'+'.join(spills)} bytes spilled")
        assert set(spills) == {"0"}, said
        # Of wgmma: what is not begun before what came before it has ended.
        assert "serialized" not in said, said


def main():
    work, cases = sys.argv[1], sys.argv[2:]
    for case in cases:
        if case in LARGE:
            check(os.path.join(work, case), case,
                  os.path.join(emulation.HERE, "Inputs", "llama-8b.mlir"),
                  LARGE[case], ["sm_80", "sm_90"])
            continue
        targets = TARGETS if case == cases[0] else FEW
        if case.startswith("fast"):
            targets = ["sm_80", "sm_90a"] if case == "fast" else ["sm_90a"]
        check(os.path.join(work, case), case, emulation.model(case),
              emulation.CASES[case], targets)


if __name__ == "__main__":
    main()
