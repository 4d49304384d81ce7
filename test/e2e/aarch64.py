# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""AArch64 code, run by qemu-aarch64, against this machine's: equal bits.

    aarch64.py WORK_DIR DRIVER MODEL [halide] [TARGET=CPU ...]

Compiles MODEL for this machine and for each TARGET, runs the latter's model.so
with DRIVER (aarch64_driver.c) on qemu's CPU, decode steps and prefill, one
thread and three, and compares all logits with those of `cria logits`.
MODEL "mixed" is a random one with matrices of every type that has a kernel;
"MODEL:TYPE" has a KV cache of that type. With "halide" all of the code for
AArch64 is Halide's that can be.
"""

import os
import random
import shutil
import subprocess
import sys

import halide
import models

ROOT = "/usr/aarch64-linux-gnu"
TYPES = {
    "token_embd": "q8_0", "attn_q": "q4_0", "attn_k": "q4_0",
    "attn_v": "q4_0", "attn_output": "q8_0", "ffn_gate": "q4_1",
    "ffn_up": "q4_1", "ffn_down": "f32", "output": "bf16",
}  # yapf: disable


def compile_halide(model, target, folder):
    """All ops by Halide, which is a matter of the module before they are
    kernels; the weights are this machine's."""
    own, tiled, bound = (os.path.join(os.path.dirname(folder), name)
                         for name in ("own", "tiled", "bound.mlir"))
    commands = [["cria-compile", model, "--target", target, "--stop-after",
                 "tile", "-o", tiled],
                ["cria-compile", bound, "--target", target, "--start-after",
                 "tile", "-o", folder]]  # yapf: disable
    for command in commands:
        if bound in command:
            halide.bind(os.path.join(tiled, "04-tile.mlir"), bound)
        done = subprocess.run([*command, "--quiet"], check=True,
                              stderr=subprocess.PIPE, text=True)
        print(done.stderr, end="")
    with open(os.path.join(folder, "model.o"), "rb") as file:
        code = file.read()
    for kernel in ("linear_codes", "linear_epilogue", "rows", "attention"):
        assert f"halide_{kernel}".encode() in code, kernel
    shutil.copy(os.path.join(own, "model.safetensors"), folder)


def main():
    work, driver, model, *targets = sys.argv[1:]
    is_halide = targets[0] == "halide"
    targets = targets[is_halide:]
    model, _, kv_type = model.partition(":")
    flags = ["--kv-type", kv_type or "f16"]
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    count = 1000
    if model == "mixed":
        model, count = os.path.join(work, "mixed.gguf"), models.SIZES["vocab"]
        with open(model, "wb") as file:
            file.write(models.Gguf(types=TYPES).bytes())
    rng = random.Random(1)
    tokens = ",".join(str(rng.randrange(1, count)) for _ in range(23))

    npy = os.path.join(work, "native.npy")
    own = os.path.join(work, "own")
    subprocess.run(["cria-compile", model, *flags, "-o", own], check=True)
    subprocess.run(["cria", "logits", own, "--tokens", tokens, "-o", npy],
                   check=True)
    with open(npy, "rb") as file:
        data = file.read()
    want = data[10 + int.from_bytes(data[8:10], "little"):]

    different = []
    for target in targets:
        name, cpu = target.split("=")
        folder = os.path.join(work, name)
        if is_halide:
            compile_halide(model, name, folder)
        else:
            subprocess.run(["cria-compile", model, *flags, "--target", name,
                            "-o", folder],
                           check=True, stdout=subprocess.DEVNULL)
        for threads, piece in ((1, 23), (3, 23), (2, 1), (1, 7)):
            have = subprocess.run(
                ["qemu-aarch64", "-L", ROOT, "-cpu", cpu, driver, folder,
                 str(threads), str(piece), tokens],
                check=True, stdout=subprocess.PIPE).stdout  # yapf: disable
            same = have == want
            print(f"{name} on {cpu}, {threads} threads, pieces of {piece}: "
                  + ("equal" if same else "different"))
            if not same:
                different.append(f"{name}: {len(have)} bytes, {len(want)} wanted")
    if different:
        sys.exit("differ from this machine's: " + "; ".join(different))
    shutil.rmtree(work)


main()
