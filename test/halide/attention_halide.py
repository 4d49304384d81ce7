# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Halide's kernels of attention give the bits of cria's: ragged batches of
several sequences, pages in any order, strided caches, every type of cache."""

import argparse
import ctypes
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "vector"))
import attention_numeric as own  # noqa: E402

KERNEL = re.compile(r"llvm\.func @(halide_\w+)\(.*?attributes "
                    r"\{cria\.halide = \{(.*?)params = \{(.*?)\}\}")
TARGET = "host-strict_float-no_runtime-no_asserts-no_bounds_query"


def generate(text, args):
    """Objects of the kernels that a module declares."""
    objects = []
    for symbol, made, params in KERNEL.findall(text):
        assert "contract = false" in made, made
        generator = re.search(r'generator = "(\w+)"', made).group(1)
        values = []
        for param in params.split(", "):
            name, value = param.split(" = ")
            values.append(f"{name}={value.split(' ')[0].strip(chr(34))}")
        subprocess.run([args.generator, "-g", generator, "-f", symbol, "-o",
                        args.tmp, "-n", symbol, "-e", "object",
                        "target=" + TARGET, *values], check=True,
                       stderr=subprocess.DEVNULL)
        objects.append(os.path.join(args.tmp, symbol + ".o"))
    # What the compiler defines.
    source = os.path.join(args.tmp, "prefetch.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write("int cria_prefetch_line(long address) {\n"
                   "  __builtin_prefetch((void *)address);\n"
                   "  return 0;\n}\n")
    return objects + [source]


def compile_halide(case, args):
    text = case.module().replace(
        "{heads =", '{cria.schedule = {provider = "halide"}, heads =')
    base = os.path.join(args.tmp, case.name + "_halide")
    with open(base + ".mlir", "w", encoding="utf-8") as file:
        file.write(text)
    done = subprocess.run([args.cria_opt, base + ".mlir", "--cria-bind-halide",
                           "--cria-lower-halide-calls", *own.LOWER],
                          check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    assert not done.stderr, done.stderr
    text = done.stdout.decode()
    objects = generate(text, args)
    assert len(objects) > 1, "no kernel is Halide's"
    text = re.sub(r" attributes \{cria\.halide.*", "", text)
    done = subprocess.run([args.mlir_translate, "--mlir-to-llvmir"],
                          input=text.encode(), check=True,
                          stdout=subprocess.PIPE)
    with open(base + ".ll", "wb") as file:
        file.write(done.stdout)
    subprocess.run([args.clang, "-O2", "-march=native", "-shared", "-fPIC",
                    "-Wno-override-module", base + ".ll", *objects, "-o",
                    base + ".so", "-lm"], check=True)
    return ctypes.CDLL(base + ".so")


def check(case, args):
    ours = own.compile_module(case.module(), case.name, args)
    theirs = compile_halide(case, args)
    rng = random.Random(1)
    batches = [range(case.n), range(1, case.n), [case.n - 1]]
    batches += [sorted(rng.sample(range(case.n), min(5, case.n)))]
    for rows in batches:
        if case.run(theirs, rows).tobytes() != case.run(ours, rows).tobytes():
            return f"tokens {list(rows)}: other bits than cria's kernel"
    if case.run_split(theirs).tobytes() != case.run(ours,
                                                    range(case.n)).tobytes():
        return "partials and their merge: other bits than cria's kernel"
    return None


def cases():
    # Many tokens: groups of them, what is left over, and pages that end.
    long = ((0, 150), (250, 40), (61, 8), (1020, 7))
    made = [
        own.Case("mha", 2, 2, 32),
        own.Case("gqa3", 9, 3, 64),
        own.Case("gqa3_long", 9, 3, 64, contexts=long),
        own.Case("gqa3_i8", 6, 2, 64, "i8", contexts=long),
        own.Case("mqa1_bf16", 1, 1, 16, "bf16", contexts=long),
        own.Case("gqa4_bf16", 8, 2, 128, "bf16"),
        own.Case("mqa16_f32", 16, 1, 48, "f32", contexts=long),
        own.Case("sliced_i8", 6, 2, 32, "i8", sliced=True),
        own.Case("sliced", 6, 2, 80, sliced=True),
        own.Case("neighbours", 4, 2, 32,
                 contexts=((8, 1), (9, 1), (10, 1), (11, 1))),
    ]  # yapf: disable
    rng = random.Random(5)
    for i in range(4):
        kv_heads = rng.choice((1, 2, 3))
        contexts = [(rng.randint(0, 700), rng.randint(1, 40))
                    for _ in range(rng.randint(1, 5))]
        made.append(own.Case(
            f"random{i}", kv_heads * rng.randint(1, 8), kv_heads,
            16 * rng.randint(1, 8), rng.choice(("f16", "f32", "bf16", "i8")),
            sliced=rng.random() < 0.5, contexts=contexts, seed=i))
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tmp", required=True)
    parser.add_argument("--case")
    args = parser.parse_args()
    args.cria_opt, args.mlir_translate = "cria-opt", "mlir-translate"
    args.clang, args.generator = "clang", "cria-halide-generator"
    args.cflags = "-march=native"
    os.makedirs(args.tmp, exist_ok=True)
    for case in cases():
        if args.case and args.case != case.name:
            continue
        problem = check(case, args)
        if problem:
            sys.exit(f"{case.name}: {problem}")
        print("same bits:", case.name)


if __name__ == "__main__":
    main()
