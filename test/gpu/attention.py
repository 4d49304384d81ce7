# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The attention of tensor cores, run on the CPU: see emulation.py.

    attention.py WORK_DIR CASE...
    attention.py WORK_DIR ptxas HEAD_DIM...

Models of one layer with an attention and little else. Their logits must be the
CPU's but for the rounding of queries and of p to the cache's type, and the same
bits however the tokens are cut into batches, down to steps of 4 tokens and less
at the end, and in whatever order threads run. Without a wait for copies, or the
sync behind it, they must be others. With ptxas, says what its assembler makes
of them for every GPU.
"""

import os
import random
import subprocess
import sys

import numpy

import emulation

TOKENS = 300  # five pages, and more than a chunk of 256


def model(heads, kv_heads, head_dim, kind, more="", operands="", types="",
          params=""):
    """The text of a model. Scores are large enough for p to be uneven."""
    q, k, width = heads * head_dim, kv_heads * head_dim, 32
    keys = f"tensor<1x?x{kv_heads}x4x{head_dim}x16x{kind}>"
    values = f"tensor<1x?x{kv_heads}x64x{head_dim}x{kind}>"
    ints = "tensor<?xi32>"

    def weight(rows, columns, layers=""):
        return f"!cria.weight<{layers}{rows}x{columns}, q8, block = 32, none, rows>"

    def linear(x, w, rows, columns):
        return (f"cria.linear {x}, {w} : tensor<?x{columns}xf32>, "
                f"{weight(rows, columns)} -> tensor<?x{rows}xf32>")

    loads = {"sinks": f"tensor<{heads}xf32>", "bias": f"tensor<{heads}x90xf32>"}
    return f"""
#rope = #cria.rope<pairs = half, base = 1.0e+04, dims = {head_dim}>
module attributes {{
  cria.name = "attention", cria.vocab = 64 : i64, cria.width = {width} : i64,
  cria.layers = 1 : i64, cria.heads = {heads} : i64, cria.kv_heads = {kv_heads} : i64,
  cria.head_dim = {head_dim} : i64, cria.ffn = {width} : i64, cria.context = 512 : i64,
  cria.max_batch = 512 : i64, cria.seed = 7 : i64
}} {{
  cria.param @token_embd : {weight(64, width)}
  cria.param @attn_q stacked : {weight(q, width, "1x")}
  cria.param @attn_k stacked : {weight(k, width, "1x")}
  cria.param @attn_v stacked : {weight(k, width, "1x")}
  cria.param @attn_o stacked : {weight(width, q, "1x")}
  {"".join(f"cria.param @{p} : {loads[p]}" for p in params.split())}
  func.func @forward(%tokens: {ints} {{cria.arg = "tokens"}}, %pos: {ints} {{cria.arg = "positions"}}, %seq: {ints} {{cria.arg = "sequences"}}, %slots: {ints} {{cria.arg = "slots"}}, %tables: tensor<?x?xi32> {{cria.arg = "tables"}}, %outputs: {ints} {{cria.arg = "outputs"}}, %k: {keys} {{cria.arg = "keys"}}, %v: {values} {{cria.arg = "values"}}) -> (tensor<?x64xf32>, {keys}, {values}) attributes {{cria.entry}} {{
    %c0 = arith.constant 0 : index
    %we = cria.load @token_embd : {weight(64, width)}
    %x = cria.embed %tokens, %we : {ints}, {weight(64, width)} -> tensor<?x{width}xf32>
    %wq = cria.load @attn_q[%c0] : {weight(q, width)}
    %wk = cria.load @attn_k[%c0] : {weight(k, width)}
    %wv = cria.load @attn_v[%c0] : {weight(k, width)}
    %wo = cria.load @attn_o[%c0] : {weight(width, q)}
    {"".join(f"%{p} = cria.load @{p} : {loads[p]}" for p in params.split())}
    %q = {linear("%x", "%wq", q, width)}
    %kk = {linear("%x", "%wk", k, width)}
    %vv = {linear("%x", "%wv", k, width)}
    %qr = cria.rope %q, %pos {{rope = #rope, head_dim = {head_dim} : i64}} : tensor<?x{q}xf32>, {ints}
    %kr = cria.rope %kk, %pos {{rope = #rope, head_dim = {head_dim} : i64}} : tensor<?x{k}xf32>, {ints}
    %k2 = cria.kv_append key %kr into %k[%c0] at %slots : tensor<?x{k}xf32>, {keys}, {ints}
    %v2 = cria.kv_append value %vv into %v[%c0] at %slots : tensor<?x{k}xf32>, {values}, {ints}
    %a = cria.attention %qr, %k2, %v2[%c0] positions %pos sequences %seq tables %tables {operands} {{heads = {heads} : i64, kv_heads = {kv_heads} : i64, head_dim = {head_dim} : i64, scale = 2.0 : f32{more}}} : tensor<?x{q}xf32>, {keys}, {values}, {ints}, {ints}, tensor<?x?xi32>{types}
    %o = {linear("%a", "%wo", width, q)}
    %y = cria.add %x, %o : tensor<?x{width}xf32>
    %s = cria.select_rows %y, %outputs : tensor<?x{width}xf32>, {ints} -> tensor<?x{width}xf32>
    %l = {linear("%s", "%we", 64, width)}
    return %l, %k2, %v2 : tensor<?x64xf32>, {keys}, {values}
  }}
}}
"""


CASES = {
    # All 8 warps with 16 rows each; chunks without anything else.
    "f16": ("f16", model(8, 2, 64, "f16")),
    # Rows of 3 heads, rows of columns that are no power of 2, and chunks that
    # some rows of a tile see nothing of.
    "window": ("f16", model(3, 1, 80, "f16",
                            ", window = 100 : i64, softcap = 5.0 : f32")),
    # Two warps a row, and of a token more heads than a product has rows.
    "bf16": ("bf16", model(18, 1, 128, "bf16", ", slopes = array<f32: " +
                           ", ".join(str(0.5 / (i + 1)) for i in range(18))
                           + ">")),
    # Steps of 32 positions.
    "sinks": ("f16", model(2, 1, 256, "f16", "", "sinks %sinks",
                           ", tensor<2xf32>", "sinks")),
    # As a CPU does it: no tensor core multiplies f32.
    "f32": ("f32", model(4, 2, 32, "f32")),
    "bias": ("f16", model(4, 2, 32, "f16", "",
                          "bias(%bias : tensor<4x90xf32>)", "", "bias")),
}


def error(found, wanted):
    rows = [emulation.array(each) for each in [found, wanted]]
    return numpy.abs(rows[0] - rows[1]).max() / numpy.abs(rows[1]).max()


def check(name, work, fake, mutate):
    kind, text = CASES[name]
    folder = os.path.join(work, name)
    inner = os.path.join(folder, "gpu")
    os.makedirs(folder, exist_ok=True)
    source = os.path.join(folder, "model.mlir")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    flags = ["--seed", "5", "--context", "512", "--kv-type", kind]
    kernels = emulation.compile_model(folder, source, flags)
    assert emulation.on_tensor_cores(kernels) == (kind != "f32")
    library = emulation.build_kernels(inner, "kernels", kernels)
    numbers = random.Random(7)
    tokens = [str(numbers.randrange(64)) for _ in range(TOKENS)]

    def gpu(order, library, *more, count=TOKENS):
        return emulation.logits(
            folder, os.path.join(folder, "gpu.npy"), ",".join(tokens[:count]),
            "cuda", {"LD_LIBRARY_PATH": fake, "FAKE_CUDA_ORDER": order,
                     "FAKE_CUDA_KERNELS": library}, *more)

    cpu = emulation.logits(folder, os.path.join(folder, "cpu.npy"),
                           ",".join(tokens), "cpu")
    first = gpu("forward", library)
    off = error(first, cpu)
    print(f"{name}: off by {off:.1e}")
    # q and p are rounded to 11 bits or to 8.
    assert off < {"f32": 2e-5, "f16": 1e-3, "bf16": 4e-3}[kind], (
        f"{name}: not the CPU's")
    # The last batch is of 4 tokens.
    assert gpu("2", library, "--batch-split", "37") == first, (
        f"{name}: other bits")
    # A tile has tokens of one sequence, so that this takes long: past a chunk
    # in one case.
    count = TOKENS if mutate else 80
    beside = gpu("reverse", library, "--batch-split", "59", "--beside", "1",
                 count=count)
    assert (emulation.array(beside) == emulation.array(first)[:count]).all(), (
        f"{name}: other bits beside another sequence")
    if mutate:
        wait = r"call void @cria_gpu_copy_wait\(i32 [1-9]\)"
        sync = r"\n *call void @cria_gpu_team_sync\(\)"
        for fault, pattern, replacement in [
                ("waits", wait, "call void @cria_gpu_copy_wait(i32 6)"),
                ("syncs", f"({wait}){sync}", r"\1")]:
            faulty = emulation.build_kernels(
                inner, fault, emulation.mutant(kernels, pattern, replacement))
            found = [gpu(order, faulty) for order in ["forward", "reverse"]]
            assert found != [first, first], f"{name}: {fault} are not missed"
    print(f"{name}: same bits")


def main():
    work, cases = sys.argv[1], sys.argv[2:]
    if cases[0] == "ptxas":
        import ptxas
        for head_dim in cases[1:]:
            folder = os.path.join(work, head_dim)
            os.makedirs(folder, exist_ok=True)
            source = os.path.join(folder, "model.mlir")
            with open(source, "w", encoding="utf-8") as file:
                file.write(model(8, 2, int(head_dim), "f16"))
            ptxas.check(folder, f"head_dim {head_dim}", source,
                        ["--kv-type", "f16"],
                        ptxas.TARGETS if head_dim == "128" else ptxas.FEW)
        return
    fake = emulation.build_fake(os.path.join(work, "driver"))
    for name in cases:
        check(name, work, fake, mutate=name == "f16")


if __name__ == "__main__":
    main()
