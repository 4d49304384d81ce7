# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linears by wgmma, run on the CPU: see emulation.py.

    wgmma.py WORK_DIR CASE...

The emulated products of four warps and those of one add up alike, so a prompt's
logits must have the same bits with both; a GPU's need not. They must not depend
on the order in which threads run. Without one of the waits and fences that
stages are handed over by, logits must be others, or the emulation must stop.
"""

import os
import random
import subprocess
import sys

import emulation

CASES = {"small": emulation.MODEL, "gqa": emulation.GQA}

# What kernels can lack: the wait for what a stage gets; that for who has done
# with it; the arrival of those; the fence between copies of threads and
# products; the wait for products.
CALL = r"\n *call void @cria_gpu_"
FAULTS = [
    ("full", CALL + r"mbarrier_wait\(i32 %\d+, i32 %\d+\)(?=\n *call void "
     r"@cria_gpu_fence_async)", ""),
    ("empty", CALL + r"mbarrier_wait\(i32 %\d+, i32 %\d+\)(?!\n *call void "
     r"@cria_gpu_fence_async)", ""),
    ("arrival", CALL + r"mbarrier_arrive\(i32 %\d+\)", ""),
    ("fence", r"(mbarrier_wait\(i32 %\d+, i32 %\d+\))" + CALL
     + r"fence_async\(\)", r"\1"),
    ("products", r"call void @fake_wgmma_wait\(.*", ""),
]


def check(name, work, fake):
    folder = os.path.join(work, name)
    flags = ["--seed", "5", "--context", "512", "--quantize", "bf16",
             "--numerics", "fast"]
    emulation.run("cria-compile", CASES[name], *flags, "--target",
                  "native,sm_90a", "-o", folder, stdout=subprocess.DEVNULL)
    inner = os.path.join(folder, "gpu")
    text = emulation.lower_kernels(inner, CASES[name], flags, "sm_90a",
                                   "gpu-wgmma")
    source = random.Random(7)
    # More than a tile has, and not a multiple of 8.
    tokens = ",".join(str(source.randrange(256)) for _ in range(139))

    def gpu(order, library):
        return emulation.logits(
            folder, os.path.join(folder, "gpu.npy"), tokens, "cuda",
            {"LD_LIBRARY_PATH": fake, "FAKE_CUDA_ORDER": order,
             "FAKE_CUDA_KERNELS": library})

    one = emulation.build_kernels(
        inner, "one", emulation.lower_kernels(inner, CASES[name], flags))
    wanted = gpu("forward", one)
    kernels = emulation.build_kernels(inner, "kernels", text)
    for order in ["forward", "reverse", "1"]:
        assert gpu(order, kernels) == wanted, f"{name}: {order}: other bits"
    print(f"{name}: same bits")
    for kind, pattern, left in FAULTS if name == "gqa" else []:
        library = emulation.build_kernels(
            inner, kind, emulation.mutant(text, pattern, left))
        for order in ["forward", "reverse", "1"]:
            try:
                if gpu(order, library) != wanted:
                    break
            except subprocess.CalledProcessError as error:
                assert error.returncode == 70, error
                break
        else:
            raise AssertionError(f"{name}: {kind}: nothing is missed")


def main():
    work, cases = sys.argv[1], sys.argv[2:]
    fake = emulation.build_fake(os.path.join(work, "driver"))
    for name in cases:
        check(name, work, fake)


if __name__ == "__main__":
    main()
