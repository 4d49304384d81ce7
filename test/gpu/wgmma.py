# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linears by wgmma, run on the CPU: see emulation.py.

    wgmma.py WORK_DIR CASE...

The emulated products of four warps and those of one add up alike, so a prompt's
logits must have the same bits with both where weights are bf16; a GPU's need
not. Weights of codes must give what the bf16 nearest to them do. Logits must not
depend on the order in which threads run. Without one of the waits and fences
that stages are handed over by, they must be others, or the emulation must stop.
"""

import os
import random
import re
import subprocess
import sys

import emulation

# What their weights are is rewritten.
MODELS = {
    "small": (emulation.MODEL, "q4, block = 32, min"),
    "gqa": (emulation.GQA, "q4, block = 32, min"),
    "q8": (emulation.MODEL, "q8, block = 32, none"),
    "q4-zero": (emulation.MODEL, "q4, block = 32, zero_point"),
}

# The orders of threads with weights of bf16, by the shapes that there are.
ORDERS = {"small": ["reverse"], "gqa": ["forward", "reverse", "1"]}

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
    path, weights = MODELS[name]
    folder = os.path.join(work, name)
    os.makedirs(folder, exist_ok=True)
    source = os.path.join(folder, "source.mlir")
    with open(path, encoding="utf-8") as file:
        model = file.read().replace("q4, block = 32, min", weights)
    # One call takes all tokens: few of them would be another version's.
    model = re.sub(r"max_batch = \d+", "max_batch = 256", model)
    with open(source, "w", encoding="utf-8") as file:
        file.write(model)
    numbers = random.Random(7)
    # More than a tile has, and not a multiple of 8.
    tokens = ",".join(str(numbers.randrange(256)) for _ in range(139))

    def kernels(kind, *flags):
        """How to run them, by the order of threads and a library; and their
        text with wgmma."""
        own = os.path.join(folder, kind)
        flags = ["--seed", "5", "--context", "512", "--numerics", "fast", *flags]
        text = emulation.compile_model(own, source, flags, "sm_90a", "gpu-wgmma")

        def gpu(order, library):
            return emulation.logits(
                own, os.path.join(own, "gpu.npy"), tokens, "cuda",
                {"LD_LIBRARY_PATH": fake, "FAKE_CUDA_ORDER": order,
                 "FAKE_CUDA_KERNELS": library})

        return gpu, text, flags

    like, as_floats, _ = kernels("mixed", "--quantize", "attn=bf16,ffn=bf16")
    codes, as_codes, _ = kernels("codes")
    assert as_codes.count("@cria_gpu_wgmma_bf16") > 0
    found = [run("forward", emulation.build_kernels(folder, kind, text))
             for run, kind, text in [(like, "mixed", as_floats),
                                     (codes, "codes", as_codes)]]
    assert found[0] == found[1], f"{name}: codes are other numbers"
    if name not in ORDERS:
        return
    # The embedding is of codes, and is multiplied for logits: these are bf16
    # with wgmma only.
    gpu, text, flags = kernels("floats", "--quantize", "bf16")
    one = emulation.compile_model(os.path.join(folder, "one"), source, flags)
    library = emulation.build_kernels(folder, "wgmma", text)
    wanted = gpu("forward", emulation.build_kernels(folder, "one", one))
    for order in ORDERS[name]:
        assert gpu(order, library) == wanted, f"{name}: {order}: other bits"
    print(f"{name}: same bits")
    for kind, pattern, left in FAULTS if name == "gqa" else []:
        library = emulation.build_kernels(
            folder, kind, emulation.mutant(text, pattern, left))
        for order in ORDERS[name]:
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
