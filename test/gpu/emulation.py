# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The code for GPUs, run on the CPU under a driver that is none.

    emulation.py WORK_DIR CASE...

Each case is a model with random weights, compiled for this machine and for a
GPU. The GPU's kernels are lowered to the CPU from the IR that the PTX is made
from, fake_cuda.cpp stands in for libcuda.so.1 and runs them, and `cria logits
--device cuda` must give the same bits in pieces and all at once, beside other
sequences, and in whatever order the threads of a group run. That the last one
sees what it should is tried too: without their syncs the kernels must give
other logits. They are those of `--device cpu` but for the order of sums over K
and in norms (`close`).
"""

import io
import os
import re
import shlex
import subprocess
import sys

import random

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MODEL = os.path.join(ROOT, "examples", "description.mlir")

CASES = {
    # name: flags of the compiler
    "q4": [],
    "float": ["--quantize", "f32,attn=bf16,down=f16", "--kv-type", "bf16"],
    "q6": ["--quantize", "q6"],
    "q8-i8": ["--quantize", "q8", "--kv-type", "i8"],
    "mixed": ["--quantize", "q4,attn=bf16,down=q8"],
}
OTHER_MODELS = {"mixed": os.path.join(HERE, "Inputs", "gqa.mlir")}


def model(case):
    return OTHER_MODELS.get(case, MODEL)


LOWERING = [
    "--cria-distribute-lanes",
    "--cria-emit-entry=gpu=true describe=false target=gpu",
    "--canonicalize", "--cse", "--convert-vector-to-scf",
    "--expand-strided-metadata", "--lower-affine", "--convert-scf-to-cf",
    "--convert-vector-to-llvm", "--arith-expand=include-bf16=true",
    "--convert-math-to-llvm", "--convert-index-to-llvm",
    "--finalize-memref-to-llvm", "--convert-arith-to-llvm",
    "--convert-ub-to-llvm", "--convert-cf-to-llvm", "--convert-func-to-llvm",
    "--reconcile-unrealized-casts",
]


# What returns several values has no C ABI: fake_cuda.cpp takes the memory that
# they are in.
SHIMS = """
declare void @fake_mma(i32, ptr)
"""
for _name, _kind, _type in [("u8s8", 0, "i32"), ("bf16", 1, "float")]:
    _operands = ["i32"] * 6 + [_type] * 4
    _struct = "{ " + ", ".join([_type] * 4) + " }"
    SHIMS += (f"define {_struct} @cria_gpu_mma_{_name}("
              + ", ".join(f"{t} %{i}" for i, t in enumerate(_operands))
              + ") {\n  %memory = alloca [10 x i32]\n")
    for _i, _t in enumerate(_operands):
        SHIMS += (f"  %p{_i} = getelementptr i32, ptr %memory, i32 {_i}\n"
                  f"  store {_t} %{_i}, ptr %p{_i}\n")
    SHIMS += (f"  call void @fake_mma(i32 {_kind}, ptr %memory)\n"
              f"  %d = load {_struct}, ptr %memory\n  ret {_struct} %d\n}}\n")


def run(*command, **more):
    return subprocess.run(command, check=True, text=True, timeout=900, **more)


def compiler(variable, default):
    return shlex.split(os.environ.get(variable, default))


def build_fake(folder):
    """A folder for LD_LIBRARY_PATH."""
    os.makedirs(folder, exist_ok=True)
    library = os.path.join(folder, "libcuda.so.1")
    run(*compiler("CXX", "c++"), "-std=c++17", "-Wall", "-Wextra", "-Werror",
        "-O1", "-fPIC", "-shared", os.path.join(HERE, "fake_cuda.cpp"),
        "-o", library, "-ldl")
    return folder


def build_kernels(folder, source, flags, mutate):
    """Libraries of the GPU's kernels for the CPU, and without their syncs."""
    run("cria-compile", source, *flags, "--target", "native,sm_90",
        "--stop-after", "vector", "-o", folder, stdout=subprocess.DEVNULL)
    lowered = run("cria-opt", os.path.join(folder, "06-vector-gpu.mlir"),
                  *LOWERING, stdout=subprocess.PIPE).stdout
    text = run("mlir-translate", "--mlir-to-llvmir", input=lowered,
               stdout=subprocess.PIPE).stdout
    text = text.replace("define hidden void @model_forward",
                        "define void @model_forward")
    text = re.sub(r"declare .*@cria_gpu_mma_.*\n", "", text) + SHIMS
    libraries = []
    for name in ["kernels", "unsynced"][: 1 + mutate]:
        if name == "unsynced":
            text, count = re.subn(r"\n *call void @cria_gpu_sync\(\)", "", text)
            assert count > 0
        source = os.path.join(folder, name + ".ll")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        libraries.append(os.path.join(folder, name + ".so"))
        # Nothing contracts or reorders: LLVM is told by what the IR says.
        run("llc", "-O1", "-relocation-model=pic", "-filetype=obj", source,
            "-o", source + ".o", "-mcpu=x86-64-v3")
        run(*compiler("CC", "cc"), "-shared", source + ".o", "-lm",
            "-o", libraries[-1])
    return libraries


def logits(artifact, output, tokens, device, environment=None, *more):
    run("cria", "logits", artifact, "--tokens", tokens, "-o", output,
        "--device", device, *more, env={**os.environ, **(environment or {})})
    with open(output, "rb") as file:
        return file.read()


def close(found, wanted):
    """Whether logits differ as sums do in another order. Where that makes a
    code of an activation another one, all that follows is off by as much as a
    code is; one token of 32 at least must be spared."""
    rows = [numpy.lib.format.read_array(io.BytesIO(each))
            for each in [found, wanted]]
    error = numpy.abs(rows[0] - rows[1]).max(axis=1) / numpy.abs(rows[1]).max()
    print(f"off by {numpy.quantile(error, 1 / 32):.1e} and {error.max():.1e}")
    return numpy.quantile(error, 1 / 32) < 1e-4 and error.max() < 2e-2


def check(name, work, fake, mutate):
    folder = os.path.join(work, name)
    flags = ["--seed", "5", "--context", "512", *CASES[name]]
    run("cria-compile", model(name), *flags, "--target", "native,sm_90",
        "-o", folder, stdout=subprocess.DEVNULL)
    libraries = build_kernels(os.path.join(folder, "gpu"), model(name), flags,
                              mutate)
    kernels = libraries[0]
    source = random.Random(7)
    tokens = ",".join(str(source.randrange(256)) for _ in range(300))
    short = ",".join(tokens.split(",")[:41])

    def gpu(tokens, order, library, *more):
        return logits(folder, os.path.join(folder, "gpu.npy"), tokens, "cuda",
                      {"LD_LIBRARY_PATH": fake, "FAKE_CUDA_ORDER": order,
                       "FAKE_CUDA_KERNELS": library}, *more)

    def cpu(tokens):
        return logits(folder, os.path.join(folder, "cpu.npy"), tokens, "cpu")

    expected, long_expected = cpu(short), cpu(tokens)
    # Past a chunk of attention, and several pages.
    first, long_first = gpu(short, "forward", kernels), gpu(tokens, "forward",
                                                            kernels)
    for found, wanted in [(first, expected), (long_first, long_expected)]:
        assert close(found, wanted), f"{name}: not the logits of the CPU"
    # One case tries all orders.
    for order in ["forward", "reverse", "1", "2"][:: 1 if mutate else 3]:
        for split in [[], ["--batch-split", "3"]]:
            found = gpu(short, order, kernels, *split)
            assert found == first, f"{name}: {order} {split}: other bits"
    # Decode of long texts, whose attention goes by chunks; and of several
    # sequences in one batch.
    assert gpu(tokens, "3", kernels, "--batch-split", "4") == long_first
    assert gpu(short, "4", kernels, "--batch-split", "1",
               "--beside", "2") == first, f"{name}: beside others"
    for library in libraries[1:]:
        found = [gpu(short, order, library) for order in ["forward", "reverse"]]
        assert found != [first, first], f"{name}: syncs are not missed"
    print(f"{name}: same bits")


def main():
    work, cases = sys.argv[1], sys.argv[2:]
    fake = build_fake(os.path.join(work, "driver"))
    for name in cases:
        check(name, work, fake, mutate=name == "q4")


if __name__ == "__main__":
    main()
