# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Positions 0 to past 8000, and past what a model was trained with.

    positions.py WORK_DIR [CASE ...]

Tiny models of transformers, all their logits: the plain code to 1e-4 of a
row's largest, the optimised code, fed in ragged pieces, to a mean KL of 0.005,
each for the whole and for the last tokens alone.

transformers is fed in pieces through its cache too, which saves memory. Where
its frequencies depend on the length of a call (dynamic NTK, longrope) the
pieces are chosen such that each token sees those of its own length, as when
text is generated; with --rope-length one call for all is the judge.
"""

import os
import shutil
import sys

import canonical
import numpy as np
import random_llama
import reference
from random_llama import Family, cria, rope

PAST = 8200
# Time goes with heads, and positions are the same for each: one case has more.
SIZES = dict(hidden_size=32, num_attention_heads=2, num_key_value_heads=1,
             intermediate_size=48, num_hidden_layers=1,
             max_position_embeddings=8192)  # yapf: disable
HEADS = dict(hidden_size=64, num_attention_heads=4, num_key_value_heads=2)
ALTERNATING = ["sliding_attention", "full_attention"]
LONG = dict(rope_type="longrope",
            short_factor=[1, 1.02, 1.05, 1.1, 1.2, 1.3, 1.4, 1.5],
            long_factor=[1, 1.2, 1.5, 2, 3, 4, 6, 8])


CANONICAL = dict(hidden_size=32, num_attention_heads=2, head_dim=16,
                 intermediate_size=48, num_hidden_layers=1,
                 max_position_embeddings=1024)


class Case(Family):
    """`flags` are of cria compile, `pieces` the ends of transformers' calls."""

    def __init__(self, name, model_type, tokens=PAST, flags="", pieces=None,
                 kl=5e-3, **config):
        super().__init__(name, model_type, tokens, kl=kl, **config)
        self.compile_flags = flags.split()
        self.pieces = pieces or [*range(1000, tokens, 1000), tokens]


def llama(name, *arguments, scaling, context=8192, **more):
    return Case(name, "llama", *arguments, rope_parameters=rope(**scaling),
                **{**SIZES, "max_position_embeddings": context, **more})


CASES = [
    llama("default", scaling={}, flags=f"--context {PAST}", **HEADS),
    llama("linear", scaling=dict(rope_type="linear", factor=4.0),
          flags=f"--context {PAST}"),
    llama("dynamic", scaling=dict(rope_type="dynamic", factor=2.0),
          context=8150, flags=f"--context {PAST}",
          pieces=[*range(1000, 8150, 1000), *range(8150, PAST + 1)]),
    llama("dynamic-length", scaling=dict(rope_type="dynamic", factor=2.0),
          context=2048, flags=f"--context {PAST} --rope-length {PAST}",
          pieces=[PAST]),
    llama("yarn", scaling=dict(rope_type="yarn", factor=8.0,
                               original_max_position_embeddings=1024),
          flags=f"--context {PAST}"),
    llama("llama3", scaling=dict(rope_type="llama3", factor=8.0,
                                 low_freq_factor=1.0, high_freq_factor=4.0,
                                 original_max_position_embeddings=1024),
          flags=f"--context {PAST}"),
    Case("longrope", "phi3", **SIZES, pad_token_id=0, eos_token_id=2,
         original_max_position_embeddings=1024, rope_parameters=rope(**LONG),
         flags=f"--context {PAST}",
         pieces=[1024, *range(2000, PAST, 1000), PAST]),
    Case("longrope-length", "phi3", **SIZES, pad_token_id=0, eos_token_id=2,
         original_max_position_embeddings=1024, rope_parameters=rope(**LONG),
         flags=f"--context {PAST} --rope-length {PAST}", pieces=[PAST]),
    Case("windows", "gemma2", **{**SIZES, "num_hidden_layers": 2},
         head_dim=16, query_pre_attn_scalar=20, sliding_window=1001,
         attn_logit_softcapping=3.0, final_logit_softcapping=2.0,
         layer_types=ALTERNATING, pad_token_id=0, flags=f"--context {PAST}"),
    # Slopes are a head's own.
    Case("alibi", "bloom", hidden_size=48, n_head=3, n_layer=1,
         flags=f"--context {PAST}"),
    Case("alibi-i16", "bloom", hidden_size=48, n_head=3, n_layer=1,
         flags=f"--context {PAST} --kv-type i16"),
    canonical.Case("sinusoidal", PAST, positions="sinusoidal", **CANONICAL),
    canonical.Case("relative", PAST, positions="relative",
                   relative_attention_num_buckets=32,
                   relative_attention_max_distance=9000, **CANONICAL),
    canonical.Case("relative-i8", PAST, positions="relative",
                   relative_attention_num_buckets=32,
                   relative_attention_max_distance=128, **CANONICAL),
    Case("learned", "gpt2", 8192, n_embd=32, n_head=2, n_layer=1,
         n_positions=8192, bos_token_id=1, eos_token_id=2),
]  # yapf: disable


def exact_dynamic():
    """transformers' formula of dynamic NTK in double, rounded once: in float32,
    as transformers has it, it is 1e-4 of the logits off at position 8000."""
    import torch
    from transformers import modeling_rope_utils

    def frequencies(config, device=None, seq_len=None, **_):
        most = config.max_position_embeddings
        factor, dims = config.rope_parameters["factor"], config.head_dim
        length = max(int(seq_len or 0), most)
        base = config.rope_parameters["rope_theta"] * (
            factor * length / most - (factor - 1))**(dims / (dims - 2))
        exponents = torch.arange(0, dims, 2).double() / dims
        return (base**-exponents).float(), 1.0

    modeling_rope_utils.ROPE_INIT_FUNCTIONS["dynamic"] = frequencies


def judge(case, folder, tokens):
    import torch
    if isinstance(case, canonical.Case):
        return canonical.Judge(folder).logits(tokens)
    model = reference.load(folder)
    cache, rows, begin = None, [], 0
    row = torch.tensor([tokens])
    if len(case.pieces) == 1:
        model.set_attn_implementation("sdpa")
    with torch.no_grad():
        for end in case.pieces:
            out = model(input_ids=row[:, begin:end], past_key_values=cache,
                        attention_mask=torch.ones(1, end, dtype=torch.long),
                        use_cache=True)
            cache, begin = out.past_key_values, end
            rows.append(out.logits[0].double().numpy())
    return np.concatenate(rows)


def run_line(line, case, model, flags, tokens):
    compiled, output = model + "-" + line, model + ".npy"
    cria("compile", model, "-o", compiled, *flags,
         *(["--plain"] if line == "plain" else []))
    cria("logits", compiled, "--tokens", ",".join(map(str, tokens)), "-o",
         output, *(["--batch-split", "333"] if line != "plain" else []))
    return np.load(output).astype(np.float64)


def check(case, work):
    folder = os.path.join(work, case.name)
    model = os.path.join(folder, "model")
    element = next((e for e in ("i8", "i16") if case.name.endswith("-" + e)), "")
    if isinstance(case, canonical.Case):
        canonical.write(case, model)
        flags = ["--context", str(PAST)]
        flags += ["--kv-type", element] if element else []
    else:
        random_llama.write_family(case, model)
        flags = case.compile_flags
    tokens = np.random.default_rng(3).integers(0, 131, case.tokens).tolist()
    want = judge(case, model, tokens)
    faults = []
    # Codes are a choice of the optimised line.
    for line in ["plain", "optimised"][bool(element):]:
        have = run_line(line, case, model, flags, tokens)
        text, fault = random_llama.check(line, case, want, have)
        last, fault_last = random_llama.check(line, case, want[-40:],
                                              have[-40:])
        print(f"{case.name}, {line}: {text}; last 40: {last}", flush=True)
        faults += [f"{case.name}, {line}: {f}" for f in (fault, fault_last)
                   if f]  # yapf: disable
    shutil.rmtree(folder)
    return faults


def main():
    work, wanted = sys.argv[1], sys.argv[2:]
    shutil.rmtree(work, ignore_errors=True)
    exact_dynamic()
    faults = []
    names = [case.name for case in CASES]
    for case in CASES:
        if case.name in wanted or not wanted:
            faults += check(case, work)
    if unknown := set(wanted) - set(names):
        sys.exit(f"no case {unknown}; there are {', '.join(names)}")
    if faults:
        sys.exit("FAILED:\n" + "\n".join(faults))


if __name__ == "__main__":
    main()
