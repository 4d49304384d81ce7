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
and in norms, and what tensor cores round in attention (`close`; attention.py
has that alone).
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
    # With attention that rounds nothing, so that `close` is tight.
    "q6": ["--quantize", "q6", "--kv-type", "f32"],
    "f16": ["--quantize", "f16", "--kv-type", "f32"],
    "q8-i8": ["--quantize", "q8", "--kv-type", "i8"],
    "mixed": ["--quantize", "q4,attn=bf16,down=q8"],
    "fast": ["--quantize", "bf16", "--numerics", "fast"],
    "fast-q4": ["--numerics", "fast"],
    "fast-q8": ["--quantize", "q8", "--numerics", "fast"],
    "fast-gqa": ["--quantize", "bf16", "--numerics", "fast"],
}
GQA = os.path.join(HERE, "Inputs", "gqa.mlir")
OTHER_MODELS = {"mixed": GQA, "fast-gqa": GQA}


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
declare void @fake_load_matrices(i32, ptr)
declare void @fake_words(i32, ptr)

define i32 @cria_gpu_pack_f16(float %low, float %high) {
  %l = fptrunc float %low to half
  %h = fptrunc float %high to half
  %lb = bitcast half %l to i16
  %hb = bitcast half %h to i16
  %lw = zext i16 %lb to i32
  %hw = zext i16 %hb to i32
  %up = shl i32 %hw, 16
  %word = or i32 %lw, %up
  ret i32 %word
}

; To nearest, even where two are, of numbers.
define i32 @cria_gpu_pack_bf16(float %low, float %high) {
  %lw = bitcast float %low to i32
  %hw = bitcast float %high to i32
  %lo = lshr i32 %lw, 16
  %ho = lshr i32 %hw, 16
  %lodd = and i32 %lo, 1
  %hodd = and i32 %ho, 1
  %lup = add i32 %lodd, 32767
  %hup = add i32 %hodd, 32767
  %lr = add i32 %lw, %lup
  %hr = add i32 %hw, %hup
  %l = lshr i32 %lr, 16
  %h = and i32 %hr, -65536
  %word = or i32 %l, %h
  ret i32 %word
}
"""


def shim(name, results, operands, callee, kind, count=4):
    """@name of `operands`, which are in memory for @callee and then give way to
    the results."""
    struct = "{ " + ", ".join([results] * count) + " }"
    text = (f"define {struct} @cria_gpu_{name}("
            + ", ".join(f"{t} %{i}" for i, t in enumerate(operands))
            + ") {\n  %memory = alloca [10 x i32]\n")
    for i, t in enumerate(operands):
        text += (f"  %p{i} = getelementptr i32, ptr %memory, i32 {i}\n"
                 f"  store {t} %{i}, ptr %p{i}\n")
    return text + (f"  call void @{callee}(i32 {kind}, ptr %memory)\n"
                   f"  %d = load {struct}, ptr %memory\n  ret {struct} %d\n}}\n")


for _kind, (_name, _type) in enumerate(
        [("u8s8", "i32"), ("bf16", "float"), ("f16", "float")]):
    SHIMS += shim("mma_" + _name, _type, ["i32"] * 6 + [_type] * 4, "fake_mma",
                  _kind)
for _count in [2, 4]:
    SHIMS += shim(f"words{_count}", "i32", ["i64"], "fake_words", _count, _count)
for _kind, _name in enumerate(["load_matrices", "load_transposed"]):
    SHIMS += shim(_name + "_at", "i32", ["i32"], "fake_load_matrices", _kind)
    SHIMS += f"""
define {{ i32, i32, i32, i32 }} @cria_gpu_{_name}(i32 %place, i32 %further) {{
  %at = add i32 %place, %further
  %words = call {{ i32, i32, i32, i32 }} @cria_gpu_{_name}_at(i32 %at)
  ret {{ i32, i32, i32, i32 }} %words
}}
"""


# What kernels can lack: the syncs of a group; those of the block between its
# threads' copies and their readers; the waits for the copies.
MUTATIONS = [
    ("unsynced", r"\n *call void @cria_gpu_sync\(\)", ""),
    ("unshared", r"(call void @cria_gpu_copy_wait\(i32 \d\))\n *"
     r"call void @cria_gpu_team_sync\(\)", r"\1"),
    ("unwaited", r"\n *call void @cria_gpu_copy_wait\(i32 [1-9]\)", ""),
]


def run(*command, **more):
    return subprocess.run(command, check=True, text=True, timeout=900, **more)


def compiler(variable, default):
    return shlex.split(os.environ.get(variable, default))


def build_fake(folder):
    """A folder for LD_LIBRARY_PATH."""
    os.makedirs(folder, exist_ok=True)
    library = os.path.join(folder, "libcuda.so.1")
    run(*compiler("CXX", "c++"), "-std=c++17", "-Wall", "-Wextra", "-Werror",
        "-O2", "-fPIC", "-shared", os.path.join(HERE, "fake_cuda.cpp"),
        os.path.join(HERE, "fake_gpu.cpp"), "-o", library, "-ldl")
    return folder


def wide_shims(text):
    """What the functions that `text` declares for wgmma do, by their names."""
    shims = ""
    for struct, name, callee, types in re.findall(
            r"declare (\{.*\}) @(cria_gpu_wgmma_(fence|wait|bf16)_\w+)\((.*)\)",
            text):
        types = types.split(", ")
        shims += (f"define {struct} @{name}("
                  + ", ".join(f"{t} %{i}" for i, t in enumerate(types))
                  + f") {{\n  %memory = alloca [{len(types)} x i32]\n")
        for i, t in enumerate(types):
            shims += (f"  %p{i} = getelementptr i32, ptr %memory, i32 {i}\n"
                      f"  store {t} %{i}, ptr %p{i}\n")
        count = struct.count(",") + 1
        if callee == "bf16":
            shims += f"  call void @fake_wgmma(i32 {count}, ptr %memory)\n"
        elif callee == "wait":
            shims += f"  call void @fake_wgmma_wait(i32 {count}, ptr %memory)\n"
        shims += (f"  %d = load {struct}, ptr %memory\n"
                  f"  ret {struct} %d\n}}\n")
    return shims and ("declare void @fake_wgmma(i32, ptr)\n"
                      "declare void @fake_wgmma_wait(i32, ptr)\n" + shims)


def compile_model(folder, source, flags, target="sm_90", file="gpu"):
    """Into `folder`; returns LLVM IR of the GPU's kernels for the CPU."""
    inner = os.path.join(folder, "gpu")
    run("cria-compile", source, *flags, "--target", "native," + target,
        "--dump-ir", inner, "-o", folder, stdout=subprocess.DEVNULL)
    lowered = run("cria-opt", os.path.join(inner, f"06-vector-{file}.mlir"),
                  *LOWERING, stdout=subprocess.PIPE).stdout
    text = run("mlir-translate", "--mlir-to-llvmir", input=lowered,
               stdout=subprocess.PIPE).stdout
    text = text.replace("define hidden void @model_forward",
                        "define void @model_forward")
    wide = wide_shims(text)
    return re.sub(r"declare .*@cria_gpu_(mma_|load_|pack_|words[24]|"
                  r"wgmma_[fwb]).*\n", "", text) + SHIMS + wide


def on_tensor_cores(text):
    """Whether the attention of these kernels is."""
    return re.search(r"= call .*@cria_gpu_load_transposed\(", text) is not None


def build_kernels(folder, name, text):
    """A library of the kernels."""
    source = os.path.join(folder, name + ".ll")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    library = os.path.join(folder, name + ".so")
    # Nothing contracts or reorders: LLVM is told by what the IR says. Not
    # optimised, because what takes the time are fake_gpu.cpp's functions.
    run("llc", "-O0", "-relocation-model=pic", "-filetype=obj", source,
        "-o", source + ".o", "-mcpu=x86-64-v3")
    run(*compiler("CC", "cc"), "-shared", source + ".o", "-lm", "-o", library)
    return library


def mutant(text, pattern, replacement=""):
    """The kernels with a fault at all places of a pattern."""
    text, count = re.subn(pattern, replacement, text)
    assert count > 0, pattern
    return text


def logits(artifact, output, tokens, device, environment=None, *more):
    run("cria", "logits", artifact, "--tokens", tokens, "-o", output,
        "--device", device, *more, env={**os.environ, **(environment or {})})
    with open(output, "rb") as file:
        return file.read()


def array(file):
    return numpy.lib.format.read_array(io.BytesIO(file))


def close(found, wanted, rounds):
    """Whether logits differ as sums do in another order. Where that makes a
    code of an activation another one, all that follows is off by as much as a
    code is; one token of 32 at least must be spared, unless attention `rounds`
    what the CPU does not."""
    rows = [array(found), array(wanted)]
    error = numpy.abs(rows[0] - rows[1]).max(axis=1) / numpy.abs(rows[1]).max()
    print(f"off by {numpy.quantile(error, 1 / 32):.1e} and {error.max():.1e}")
    return (error.max() < 2e-2
            and (rounds or numpy.quantile(error, 1 / 32) < 1e-4))


def check(name, work, fake, mutate):
    folder = os.path.join(work, name)
    flags = ["--seed", "5", "--context", "512", *CASES[name]]
    text = compile_model(folder, model(name), flags)
    inner = os.path.join(folder, "gpu")
    kernels = build_kernels(inner, "kernels", text)
    source = random.Random(7)
    tokens = ",".join(str(source.randrange(256)) for _ in range(300))
    short = ",".join(tokens.split(",")[:41])

    def gpu(tokens, order, library, *more):
        return logits(folder, os.path.join(folder, "gpu.npy"), tokens, "cuda",
                      {"LD_LIBRARY_PATH": fake, "FAKE_CUDA_ORDER": order,
                       "FAKE_CUDA_KERNELS": library}, *more)

    def cpu(tokens):
        return logits(folder, os.path.join(folder, "cpu.npy"), tokens, "cpu")

    expected, first = cpu(short), gpu(short, "forward", kernels)
    rounds = on_tensor_cores(text)
    assert close(first, expected, rounds), f"{name}: not the logits of the CPU"
    # One case tries all orders.
    for order in ["forward", "reverse", "1", "2"][:: 1 if mutate else 3]:
        for split in [[], ["--batch-split", "3"]]:
            found = gpu(short, order, kernels, *split)
            assert found == first, f"{name}: {order} {split}: other bits"
    if name == "q8-i8":
        # Past several pages, and a chunk of attention.
        long_first = gpu(tokens, "forward", kernels)
        assert close(long_first, cpu(tokens), rounds), f"{name}: not the CPU's"
        assert gpu(tokens, "3", kernels, "--batch-split", "37") == long_first
    # Several sequences in one batch.
    begin = ",".join(tokens.split(",")[:21])
    found = gpu(begin, "4", kernels, "--batch-split", "1", "--beside", "2")
    assert (array(found) == array(first)[:21]).all(), f"{name}: beside others"
    # As few tokens as the prefill version takes, and the batch version's.
    few = ",".join(tokens.split(",")[:65])
    wanted = gpu(few, "1", kernels)
    assert gpu(few, "2", kernels, "--batch-split", "33") == wanted, \
        f"{name}: few"
    for kind, pattern, left in MUTATIONS if mutate else []:
        library = build_kernels(inner, kind, mutant(text, pattern, left))
        found = [gpu(few, order, library) for order in ["forward", "reverse"]]
        assert found != [wanted, wanted], f"{name}: {kind}: nothing is missed"
    print(f"{name}: same bits")


def check_fast(name, work, fake):
    """Prompts with rounded activations: other bits than those of decode steps,
    near those of a CPU, and the same in any order of threads."""
    folder = os.path.join(work, name)
    flags = ["--seed", "5", "--context", "512", *CASES[name]]
    text = compile_model(folder, model(name), flags)
    kernels = build_kernels(os.path.join(folder, "gpu"), "kernels", text)
    tokens = ",".join(str(7 * i % 256) for i in range(65))

    def found(order, *split):
        return array(logits(folder, os.path.join(folder, "gpu.npy"), tokens,
                            "cuda", {"LD_LIBRARY_PATH": fake,
                                     "FAKE_CUDA_ORDER": order,
                                     "FAKE_CUDA_KERNELS": kernels}, *split))

    rounded, exact = found("forward"), found("forward", "--batch-split", "33")
    assert (found("2") == rounded).all(), f"{name}: other bits"
    error = numpy.abs(rounded - exact).max() / numpy.abs(exact).max()
    print(f"{name}: {error:.1e} from what is not rounded")
    assert 1e-4 < error < 2e-2


def main():
    work, cases = sys.argv[1], sys.argv[2:]
    fake = build_fake(os.path.join(work, "driver"))
    for name in cases:
        if name == "fast":
            check_fast(name, work, fake)
            continue
        check(name, work, fake, mutate=name == "q8-i8")


if __name__ == "__main__":
    main()
