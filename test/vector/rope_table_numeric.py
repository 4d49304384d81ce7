# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles cria.rope_table for every scaling and compares its cosines and
sines, to a float32 ulp, with float64 numpy on the formulas of transformers;
and, where transformers can be imported, those formulas with transformers."""

import argparse
import ctypes
import math
import os
import sys

import numpy as np

from attention_numeric import compile_module, descriptor

F = np.float32
POSITIONS = np.array([0, 1, 2, 3, 17, 63, 64, 1000, 2047, 2048, 2049, 4095,
                      4096, 8191, 60000, 131071, 999999], np.int32)


def power(base, dims):
    exponent = np.arange(0, dims, 2).astype(F) / F(dims)
    return (np.float64(F(base)) ** exponent.astype(np.float64)).astype(F)


def frequencies(rope, length):
    """(float32 frequencies, factor) for a sequence of that length."""
    dims, base = rope["dims"], rope["base"]
    scaling, factor = rope.get("scaling", "none"), rope.get("factor", 1.0)
    original = rope.get("original_context", 0)
    inverse = F(1) / power(base, dims)
    attention = rope.get("attention_factor", 0)
    if scaling == "none":
        return inverse, 1.0
    if scaling == "linear":
        return inverse / F(factor), 1.0
    if scaling == "ntk":
        stretch = factor * max(length, original) / original - (factor - 1)
        return F(1) / power(base * stretch ** (dims / (dims - 2)), dims), 1.0
    if scaling == "llama3":
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        wave = 2 * math.pi / inverse.astype(np.float64)
        smooth = (original / wave - low) / (high - low)
        mixed = (1 - smooth) * inverse / factor + smooth * inverse
        return np.where(wave > original / low, inverse / factor, np.where(
            wave < original / high, inverse, mixed)).astype(F), 1.0
    if scaling == "yarn":
        def dim(turns):
            return (dims * math.log(original / (turns * 2 * math.pi))
                    / (2 * math.log(base)))
        low, high = dim(rope.get("beta_fast", 32)), dim(rope.get("beta_slow", 1))
        if rope.get("truncate", True):
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, dims - 1)
        if low == high:
            high += 0.001
        ramp = np.clip((np.arange(dims // 2) - low) / (high - low), 0, 1)
        p = power(base, dims).astype(np.float64)
        if not attention:
            attention = 0.1 * math.log(factor) + 1 if factor > 1 else 1.0
        return (ramp / (factor * p) + (1 - ramp) / p).astype(F), attention
    factors = rope["long_factors" if length > original else "short_factors"]
    if not attention:
        ratio = rope["max_context"] / original
        attention = math.sqrt(1 + math.log(ratio) / math.log(original)) \
            if ratio > 1 else 1.0
    return F(1) / (np.array(factors, F) * power(base, dims)), attention


def transformers_frequencies(rope, head_dim, length):
    """The same by transformers, or None."""
    try:
        from transformers import LlamaConfig, logging
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    except ImportError:
        return None
    logging.set_verbosity_error()
    scaling = rope.get("scaling", "none")
    if scaling == "none":
        return None
    names = {"ntk": "dynamic"}
    parameters = {
        "rope_type": names.get(scaling, scaling), "rope_theta": rope["base"],
        "partial_rotary_factor": rope["dims"] / head_dim}
    for key, theirs in (
            ("factor", "factor"), ("beta_fast", "beta_fast"),
            ("beta_slow", "beta_slow"), ("truncate", "truncate"),
            ("low_freq_factor", "low_freq_factor"),
            ("high_freq_factor", "high_freq_factor"),
            ("attention_factor", "attention_factor"),
            ("short_factors", "short_factor"), ("long_factors", "long_factor"),
            ("original_context", "original_max_position_embeddings")):
        if key in rope:
            parameters[theirs] = rope[key]
    longest = rope.get("max_context") or rope.get("original_context") or 2048
    config = LlamaConfig(
        hidden_size=4 * head_dim, num_attention_heads=4, head_dim=head_dim,
        max_position_embeddings=longest, rope_parameters=parameters)
    inverse, attention = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](
        config, "cpu", seq_len=length)
    return inverse.numpy(), attention


def attribute(rope):
    def text(value):
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, float):
            return f"{value:.17e}"
        if isinstance(value, list):
            return "[" + ", ".join(f"{v:.17e}" for v in value) + "]"
        return str(value)
    return "#cria.rope<pairs = interleaved, " + ", ".join(
        f"{k} = {text(v)}" for k, v in rope.items()) + ">"


def short_and_long(pairs):
    rng = np.random.default_rng(3)
    return (sorted(1 + rng.random(pairs)), sorted(1 + 40 * rng.random(pairs)))


SHORT, LONG = short_and_long(48)
CASES = {
    "none": (64, dict(base=1e4, dims=64)),
    "partial": (80, dict(base=1e4, dims=20)),
    "tail": (22, dict(base=1e4, dims=20)),
    "linear": (128, dict(base=1e4, dims=128, scaling="linear", factor=4.0)),
    "ntk": (64, dict(base=1e4, dims=64, scaling="ntk", factor=8.0,
                     original_context=2048)),
    "ntk_partial": (64, dict(base=1e4, dims=40, scaling="ntk", factor=2.0,
                             original_context=2048)),
    "yarn": (64, dict(base=1e6, dims=64, scaling="yarn", factor=4.0,
                      original_context=32768)),
    "yarn_all": (32, dict(base=1.5e5, dims=32, scaling="yarn", factor=32.0,
                          original_context=4096, beta_fast=16.0, beta_slow=2.0,
                          attention_factor=1.25, truncate=False)),
    "llama3": (128, dict(base=5e5, dims=128, scaling="llama3", factor=8.0,
                         original_context=8192, low_freq_factor=1.0,
                         high_freq_factor=4.0)),
    "longrope": (96, dict(base=1e4, dims=96, scaling="longrope",
                          original_context=4096, max_context=131072,
                          short_factors=[float(x) for x in SHORT],
                          long_factors=[float(x) for x in LONG])),
}


def check(name, head_dim, rope, args):
    text = f"""
func.func @table(%p: memref<?xi32>, %o: memref<?x2x{head_dim}xf32>)
    attributes {{llvm.emit_c_interface}} {{
  cria.rope_table ins(%p : memref<?xi32>)
    outs(%o : memref<?x2x{head_dim}xf32>) {{rope = {attribute(rope)}}}
  return
}}
"""
    library = compile_module(text, "rope_" + name, args)
    table = np.full((len(POSITIONS), 2, head_dim), np.nan, np.float32)
    library._mlir_ciface_table(ctypes.byref(descriptor(POSITIONS)),
                               ctypes.byref(descriptor(table)))
    dims = rope["dims"]
    for position, (cosine, sine) in zip(POSITIONS, table):
        length = int(position) + 1
        inverse, factor = frequencies(rope, length)
        theirs = transformers_frequencies(rope, head_dim, length)
        if theirs is not None:
            ratio = np.abs(theirs[0] / inverse - 1).max()
            # pow and the steps after it round differently by a few ulp.
            if not ratio < 1e-6 or abs(theirs[1] / factor - 1) > 1e-6:
                return f"transformers has other frequencies: {ratio:.3g}"
        angle = (F(position) * inverse).astype(np.float64)
        # These take the formula's steps in another precision: some ulp of the
        # frequency, which move the angle by as much of itself.
        loose = 2 ** -21 if rope.get("scaling") in ("ntk", "llama3", "yarn") \
            else 0
        bound = factor * (1.5e-7 + loose * angle)
        for got, want, sign in ((cosine, np.cos(angle), 1),
                                (sine, np.sin(angle), -1)):
            want = factor * want
            if not (np.abs(got[1:dims:2] - want) <= bound).all():
                return f"differs at position {position}: " \
                    f"{np.abs(got[1:dims:2] - want).max():.3g}"
            if not (got[0:dims:2] == sign * got[1:dims:2]).all():
                return f"even and odd lanes disagree at position {position}"
        if (cosine[dims:] != 1).any() or (sine[dims:] != 0).any():
            return "elements past rope.dims are turned"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cria-opt", default="cria-opt")
    parser.add_argument("--mlir-translate", default="mlir-translate")
    parser.add_argument("--clang", default="clang")
    parser.add_argument("--cflags", default="-march=native")
    parser.add_argument("--tmp", default=".", help="folder for what is built")
    args = parser.parse_args()
    os.makedirs(args.tmp, exist_ok=True)
    failed = 0
    for name, (head_dim, rope) in CASES.items():
        message = check(name, head_dim, rope, args)
        failed += message is not None
        print(f"{name}: {message or 'ok'}")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
