# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs the linear, rows and embed kernels against numpy.

Each ISA that the machine has, and "generic", is compiled from one module of
functions. Kernels of AMX tiles run on any machine, their instructions replaced
by amx_emulation.c. Asserted: results agree with numpy within a stated
tolerance, and bit for bit between ISAs, between cuts of the kernels and between
batches.

usage: kernel_numeric.py [--keep DIR] [--isa ISA]... [--only SUBSTRING]
"""

import argparse
import ctypes
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

import kernel_reference as ref

LOWERING = [
    "--canonicalize", "--cse", "--convert-vector-to-scf",
    "--expand-strided-metadata", "--lower-affine", "--convert-scf-to-cf",
    "--convert-math-to-llvm", "--convert-math-to-libm",
    "--convert-vector-to-llvm", "--finalize-memref-to-llvm",
    "--convert-arith-to-llvm", "--convert-cf-to-llvm",
    "--convert-func-to-llvm", "--reconcile-unrealized-casts",
]

# isa of cria-lower-dot4: (CPU flags it needs, clang flags)
ISAS = {
    "generic": (set(), []),
    "sse2": ({"sse2"}, []),
    "avx2": ({"avx2", "fma", "f16c"}, ["-march=x86-64-v3"]),
    "avxvnni": ({"avx2", "fma", "f16c", "avx_vnni"},
                ["-march=x86-64-v3", "-mavxvnni"]),
    "avx512vnni": ({"avx512f", "avx512bw", "avx512dq", "avx512vl",
                    "avx512_vnni"}, ["-march=x86-64-v4", "-mavx512vnni"]),
}

# Tiles as vectors, and the instructions as calls to amx_emulation.c.
AMX_EMULATION = os.path.join(os.path.dirname(__file__), "amx_emulation.c")
AMX_WRAPPERS = """
declare void @amx_load(ptr, i16, i16, ptr, i64)
declare void @amx_zero(ptr, i16, i16)
declare void @amx_tdpbsud(ptr, i16, i16, i16, ptr, ptr)
declare void @amx_tdpbf16ps(ptr, i16, i16, i16, ptr, ptr)
declare void @amx_store(i16, i16, ptr, i64, ptr)
define internal <1024 x i8> @tileloadd64(i16 %m, i16 %n, ptr %p, i64 %stride) alwaysinline {
  %t = alloca <1024 x i8>
  call void @amx_load(ptr %t, i16 %m, i16 %n, ptr %p, i64 %stride)
  %r = load <1024 x i8>, ptr %t
  ret <1024 x i8> %r
}
define internal <1024 x i8> @tilezero(i16 %m, i16 %n) alwaysinline {
  %t = alloca <1024 x i8>
  call void @amx_zero(ptr %t, i16 %m, i16 %n)
  %r = load <1024 x i8>, ptr %t
  ret <1024 x i8> %r
}
define internal <1024 x i8> @tdpbsud(i16 %m, i16 %n, i16 %k, <1024 x i8> %c, <1024 x i8> %a, <1024 x i8> %b) alwaysinline {
  %tc = alloca <1024 x i8>
  %ta = alloca <1024 x i8>
  %tb = alloca <1024 x i8>
  store <1024 x i8> %c, ptr %tc
  store <1024 x i8> %a, ptr %ta
  store <1024 x i8> %b, ptr %tb
  call void @amx_tdpbsud(ptr %tc, i16 %m, i16 %n, i16 %k, ptr %ta, ptr %tb)
  %r = load <1024 x i8>, ptr %tc
  ret <1024 x i8> %r
}
define internal <1024 x i8> @tdpbf16ps(i16 %m, i16 %n, i16 %k, <1024 x i8> %c, <1024 x i8> %a, <1024 x i8> %b) alwaysinline {
  %tc = alloca <1024 x i8>
  %ta = alloca <1024 x i8>
  %tb = alloca <1024 x i8>
  store <1024 x i8> %c, ptr %tc
  store <1024 x i8> %a, ptr %ta
  store <1024 x i8> %b, ptr %tb
  call void @amx_tdpbf16ps(ptr %tc, i16 %m, i16 %n, i16 %k, ptr %ta, ptr %tb)
  %r = load <1024 x i8>, ptr %tc
  ret <1024 x i8> %r
}
define internal void @tilestored64(i16 %m, i16 %n, ptr %p, i64 %stride, <1024 x i8> %c) alwaysinline {
  %t = alloca <1024 x i8>
  store <1024 x i8> %c, ptr %t
  call void @amx_store(i16 %m, i16 %n, ptr %p, i64 %stride, ptr %t)
  ret void
}
"""


def emulate_amx(path, product):
    """Rewrites the LLVM IR in `path`; fails where it has no such products."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if f"@llvm.x86.{product}.internal" not in text:
        fail(f"{path}: no tile instructions")
    text = re.sub(r"^declare .*x86_amx.*\n", "", text, flags=re.M)
    text = re.sub(r"@llvm\.x86\.(\w+)\.internal", r"@\1", text)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("x86_amx", "<1024 x i8>") + AMX_WRAPPERS)


def cpu_flags():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("flags"):
                    return set(line.split(":")[1].split())
    except OSError:
        pass
    return set()


class Library:
    """The functions of one module, compiled for one ISA; `tiles` is that of
    cria.dot_tile and dot_tile2, if the shape has them, and `dot2` that of
    cria.dot2."""

    def __init__(self, source, isa, shape, tiles, folder, dot2=""):
        name = f"{isa}-{shape.replace(' ', '-')}-{tiles}{dot2}"
        stem = os.path.join(folder, name)
        with open(stem + ".in.mlir", "w", encoding="utf-8") as file:
            file.write(source)
        command = ["cria-opt", stem + ".in.mlir", "-o", stem + ".mlir",
                   f"--cria-vectorize-linear={shape}",
                   "--cria-vectorize-rows" + ("=dot2" if dot2 else ""),
                   "--cria-vectorize-embed",
                   "--cria-resolve-weights"]
        if tiles:
            command.append(f"--cria-lower-dot-tile=isa={tiles}")
        if dot2:
            command.append(f"--cria-lower-dot2=isa={dot2}")
        command += [f"--cria-lower-dot4=isa={isa}",
                    f"--cria-lower-dot2-i16=isa={isa}"]
        if isa in ("generic", "sse2"):
            command.append("--cria-expand-f16")
        if isa == "sse2":
            command.append("--cria-expand-fma")
        subprocess.run(command + LOWERING, check=True)
        # Params have no LLVM form; they have done their duty.
        with open(stem + ".mlir", encoding="utf-8") as file:
            lines = [line for line in file if "cria.param" not in line]
        with open(stem + ".mlir", "w", encoding="utf-8") as file:
            file.writelines(lines)
        subprocess.run(["mlir-translate", "--mlir-to-llvmir", stem + ".mlir",
                        "-o", stem + ".ll"], check=True)
        sources = [stem + ".ll"]
        if tiles == "amx":
            emulate_amx(stem + ".ll", "tdpbf16ps" if dot2 else "tdpbsud")
            sources.append(AMX_EMULATION)
        # Optimised they are in e2e/: here compiling takes longer than running.
        subprocess.run(["clang", "-O0", "-fPIC", "-shared", "-w", *sources,
                        "-o", stem + ".so", "-lm"] + ISAS[isa][1] +
                       (["-mavx512bf16"] if dot2 == "avx512bf16" else []),
                       check=True)
        self.lib = ctypes.CDLL(stem + ".so")

    def call(self, name, args):
        converted, alive = [], []
        for arg in args:
            if isinstance(arg, (int, np.integer)):
                converted.append(ctypes.c_int64(arg))
                continue
            view = ref.descriptor(arg)
            alive.append(view)
            converted.append(ctypes.byref(view))
        getattr(self.lib, "_mlir_ciface_" + name)(*converted)


class Case:
    """A function in MLIR and how to call and check it.

    make(rng, n) gives the function's arguments for n tokens, of which
    `per_token` positions have n rows and `outs` positions are written.
    expect(args) gives, for each of outs, the wanted array and the bound on
    the absolute error (0: exact); or check(args, outs) gives a message, or
    None where all is well.
    """

    def __init__(self, name, text, make, expect, outs, per_token, batches,
                 check=None):
        self.name, self.text, self.make = name, text, make
        self.outs, self.per_token, self.batches = outs, per_token, batches
        self.check = check or (lambda args, outs: compare(expect(args), outs))


def fail(message):
    print("FAIL " + message)
    sys.exit(1)


def copies(args):
    return [a.copy() if isinstance(a, np.ndarray) else a for a in args]


def compare(wanted, results):
    for got, (want, bound) in zip(results, wanted):
        got, want = ref.as_float(got), ref.as_float(want)
        worst = np.abs(got - want) - bound
        if not (worst <= 0).all():
            where = np.unravel_index(np.argmax(worst), worst.shape)
            return f"at {where} got {got[where]}, numpy says {want[where]}"
    return None


def run_case(case, libraries, exact=True):
    """`exact`: all libraries give the same bits."""
    for n in case.batches:
        rng = np.random.default_rng(sum(case.name.encode()) * 100 + n)
        args = case.make(rng, n)
        results = {}
        for label, library in libraries.items():
            mine = copies(args)
            library.call(case.name, mine)
            results[label] = [mine[i] for i in case.outs]
            message = case.check(copies(args), results[label])
            if message:
                fail(f"{case.name} n={n} {label}: {message}")
        first = next(iter(results))
        for label, got in results.items() if exact else ():
            for a, b in zip(results[first], got):
                if a.tobytes() != b.tobytes():
                    fail(f"{case.name} n={n}: {first} and {label} differ in "
                         "some bits")
        if not case.per_token:
            continue
        # The same tokens one at a time.
        label, library = list(libraries.items())[-1]
        mine = copies(args)
        for i in range(n):
            library.call(case.name, [a[i:i + 1] if j in case.per_token else a
                                     for j, a in enumerate(mine)])
        for j, got in zip(case.outs, results[label]):
            if mine[j].tobytes() != got.tobytes():
                fail(f"{case.name} n={n} {label}: a batch and single tokens "
                     "differ in some bits")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", help="folder for the compiled modules")
    parser.add_argument("--isa", action="append")
    parser.add_argument("--only", default="")
    options = parser.parse_args()

    import kernel_cases
    cases = [c for c in kernel_cases.all_cases(Case) if options.only in c.name]
    source = kernel_cases.PARAMS + "".join(case.text for case in cases)
    flags = cpu_flags()
    isas = options.isa or [i for i, (needs, _) in ISAS.items()
                           if needs <= flags]
    # Vectors of 16 in pieces of 4 take the longest; sse2 has them.
    if "avx2" in isas:
        ISAS["generic"] = ISAS["avx2"]
    with tempfile.TemporaryDirectory() as folder:
        folder = options.keep or folder
        os.makedirs(folder, exist_ok=True)
        wanted = [(isa, "tokens=4", "") for isa in isas]
        blocks = "tokens=12 panels=2 block-tokens=6"
        wanted += [(isas[-1], "tokens=6", ""), (isas[-1], blocks, ""),
                   (isas[-1], "tokens=4 words", ""),
                   (isas[-1], "panels=2 block-tokens=1 words", ""),
                   (isas[-1], blocks + " dot-tile", "generic"),
                   (isas[-1], blocks + " dot-tile", "amx")]
        libraries = {f"{isa} {shape} {tiles}": Library(source, isa, shape, tiles,
                                                       folder)
                     for isa, shape, tiles in wanted}
        for case in cases:
            run_case(case, libraries)
        # Products of bf16, which are the target's own.
        fast = [c for c in kernel_cases.fast_cases(Case)
                if options.only in c.name]
        source = "".join(case.text for case in fast)
        wanted = [(isas[0], "tokens=4 dot2", "", "generic"),
                  (isas[-1], blocks + " dot2 dot-tile2", "generic", "generic"),
                  (isas[-1], blocks + " dot2 dot-tile2", "amx", "generic")]
        if isas[-1] == "avx512vnni" and "avx512_bf16" in flags:
            wanted += [(isas[-1], blocks + " dot2", "", "avx512bf16")]
        libraries = {" ".join(names): Library(source, *names[:3], folder,
                                              names[3])
                     for names in wanted}
        for case in fast:
            run_case(case, libraries, exact=False)
    print(f"PASS {len(cases)} kernels on {' '.join(isas)}, and in tiles")


if __name__ == "__main__":
    main()
