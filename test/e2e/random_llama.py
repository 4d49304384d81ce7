# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small random models through cria, against PyTorch.

    random_llama.py plain|optimised WORK_DIR [--families] [CASE ...]

Each case is a model of its own and a number of random tokens: a Llama, written
by reference.py as a Hugging Face folder or as a GGUF file, or with --families
one of any family, made and written by transformers. The plain code must
give transformers' logits to 1e-4 of the row's largest. The optimised code has
f16 in the KV cache and, where the weights are quantised, int8 activations:
its bounds are wider, and stand with the cases.
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys

import numpy as np
import reference

# Sizes that no vector, block or tile divides, and 3 heads for each kv head.
ODD = "--hidden 72 --heads 6 --kv-heads 2 --ffn 100 --vocab 131"
# Whole blocks of 32 in every row, otherwise odd: 3 blocks and 5 blocks.
BLOCKS = "--hidden 96 --heads 6 --kv-heads 2 --ffn 160 --vocab 131"


def scaled(text):
    return ["--rope-scaling", text]


class Case:
    """Bounds: `rel` of |difference| to the row's largest, or mean `kl`.

    Optimised code takes long to compile: what `plain_only` cases have, another
    case has as well, in company.
    """

    def __init__(self, name, flags, tokens, gguf=None, rel=3e-3, kl=1e-6,
                 plain_only=False):
        self.name, self.tokens, self.gguf = name, tokens, gguf
        self.flags = flags if isinstance(flags, list) else flags.split()
        self.rel, self.kl, self.plain_only = rel, kl, plain_only


CASES = [
    Case("odd", ODD, 70, plain_only=True),
    Case("mha-bf16-linear",
         ("--hidden 60 --heads 5 --kv-heads 5 --ffn 36 --vocab 50 --tie"
          " --dtype bfloat16").split() + scaled(
              '{"rope_type": "linear", "factor": 4.0}'), 33),
    Case("mqa-head-dim",
         "--hidden 49 --heads 7 --kv-heads 1 --head-dim 10 --ffn 52 --vocab 97",
         33, plain_only=True),
    Case("f16-biases-yarn",
         (ODD + " --dtype float16 --bias --mlp-bias --max-positions 512"
          " --config-style v5").split() + scaled(
              '{"rope_type": "yarn", "factor": 4.0,'
              ' "original_max_position_embeddings": 128}'), 300),
    Case("theta-eps", ODD + " --rope-theta 500000 --eps 1e-2", 40,
         plain_only=True),
    Case("llama3", (ODD + " --max-positions 2048").split() + scaled(
        '{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,'
        ' "high_freq_factor": 4.0, "original_max_position_embeddings": 256}'),
        1100),
    Case("dynamic", (ODD + " --max-positions 256").split() + scaled(
        '{"rope_type": "dynamic", "factor": 2.0}'), 256, plain_only=True),
    Case("gguf-f32", BLOCKS, 40, "f32", plain_only=True),
    Case("gguf-f16", ODD + " --tie", 40, "f16", plain_only=True),
    Case("gguf-bf16", BLOCKS, 40, "bf16", plain_only=True),
    Case("gguf-llama3", (ODD + " --max-positions 512").split() + scaled(
        '{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,'
        ' "high_freq_factor": 4.0, "original_max_position_embeddings": 64}'),
        280, "f32", plain_only=True),
    Case("gguf-q8_0", BLOCKS, 40, "q8_0", None, 1e-3),
    Case("gguf-q4_0", BLOCKS + " --tie", 40, "q4_0", None, 1e-3),
    Case("gguf-q4_1", BLOCKS + " --bias --max-positions 512", 300, "q4_1",
         None, 1e-3),
    # The rows of 72 are f16, those of 160 q4_1: types differ within a layer.
    Case("gguf-mixed",
         "--hidden 72 --heads 6 --kv-heads 2 --ffn 160 --vocab 131", 40,
         "q4_1", None, 1e-3),
]  # yapf: disable


class Family(Case):
    """`config` is of transformers' config class for the model_type.

    With `gguf` cria reads a GGUF file of this architecture, and transformers
    the folder that it was made from.
    """

    def __init__(self, name, model_type, tokens=1030, rel=None, kl=5e-3,
                 plain_only=False, gguf=None, **config):
        super().__init__(name, [], tokens, gguf, rel, kl, plain_only)
        self.model_type, self.config = model_type, {"vocab_size": 131, **config}


# As in ODD, and more positions than 1000.
SIZES = dict(hidden_size=72, num_attention_heads=6, num_key_value_heads=2,
             intermediate_size=100, num_hidden_layers=2,
             max_position_embeddings=1100)  # yapf: disable
MHA = {k: v for k, v in SIZES.items() if k != "num_key_value_heads"}
ALTERNATING = ["sliding_attention", "full_attention"] * 2
GPT = dict(n_embd=72, n_head=6, n_layer=2, n_positions=1100)


def rope(theta=10000.0, **more):
    return {"rope_type": "default", "rope_theta": theta, **more}


FAMILIES = [
    Family("llama", "llama", **SIZES, attention_bias=True, mlp_bias=True,
           plain_only=True),
    # Heads of Phi 2 and StableLM 3B, of Phi 3 mini, of Gemma.
    *(Family(f"head-{size}", "llama", 150, **{
        **SIZES, "num_attention_heads": 2, "num_key_value_heads": 1},
        head_dim=size) for size in (80, 96, 256)),
    Family("mistral", "mistral", **SIZES, head_dim=10, sliding_window=37,
           plain_only=True),
    Family("smollm3", "smollm3", **{**SIZES, "num_hidden_layers": 4},
           no_rope_layers=[1, 0, 1, 1], pad_token_id=0, bos_token_id=1,
           eos_token_id=2),
    Family("granite", "granite", **SIZES, embedding_multiplier=3.0,
           logits_scaling=2.5, residual_multiplier=0.6,
           attention_multiplier=0.4),
    Family("qwen2", "qwen2", **SIZES, plain_only=True),
    Family("qwen2-windows", "qwen2", **{**SIZES, "num_hidden_layers": 3},
           use_sliding_window=True, sliding_window=21, max_window_layers=1,
           tie_word_embeddings=True, plain_only=True),
    Family("qwen3", "qwen3", **SIZES, head_dim=14),
    Family("gemma", "gemma", **SIZES, head_dim=16, pad_token_id=0,
           plain_only=True),
    Family("gemma2", "gemma2", **{**SIZES, "num_hidden_layers": 4},
           head_dim=14, query_pre_attn_scalar=20, sliding_window=45,
           attn_logit_softcapping=3.0, final_logit_softcapping=2.0,
           layer_types=ALTERNATING, pad_token_id=0),
    Family("gemma3", "gemma3_text", **{**SIZES, "num_hidden_layers": 4},
           head_dim=14, query_pre_attn_scalar=20, sliding_window=45,
           layer_types=ALTERNATING, pad_token_id=0,
           rope_parameters={
               "sliding_attention": rope(),
               "full_attention": rope(1e6, rope_type="linear", factor=8.0)}),
    Family("phi", "phi", **SIZES,
           rope_parameters=rope(partial_rotary_factor=0.5)),
    Family("phi-qk-norm", "phi", **SIZES, qk_layernorm=True,
           rope_parameters=rope(partial_rotary_factor=0.5)),
    Family("phi3", "phi3", **SIZES, pad_token_id=0, eos_token_id=2,
           sliding_window=99,
           rope_parameters=rope(partial_rotary_factor=0.5),
           plain_only=True),
    Family("phi3-longrope", "phi3", 40,
           **{**SIZES, "max_position_embeddings": 2048}, pad_token_id=0, eos_token_id=2,
           original_max_position_embeddings=64,
           rope_parameters=rope(rope_type="longrope", short_factor=[
               1, 1.1, 1.3, 1.6, 2, 2.5], long_factor=[
               1, 2, 4, 8, 16, 32]), plain_only=True),
    Family("gpt2", "gpt2", **GPT, bos_token_id=1, eos_token_id=2),
    Family("gpt2-ffn", "gpt2", **GPT, n_inner=100, bos_token_id=1,
           eos_token_id=2, activation_function="relu",
           tie_word_embeddings=False, plain_only=True),
    Family("gptj", "gptj", **GPT, rotary_dim=8, bos_token_id=1,
           eos_token_id=2),
    Family("gpt-neox", "gpt_neox", **MHA,
           rope_parameters=rope(partial_rotary_factor=0.5)),
    Family("gpt-neox-serial", "gpt_neox", **MHA, use_parallel_residual=False,
           attention_bias=False, hidden_act="gelu_new",
           rope_parameters=rope(25000.0, partial_rotary_factor=1.0),
           plain_only=True),
    Family("falcon-mqa", "falcon", hidden_size=72, num_attention_heads=6,
           num_hidden_layers=2, bos_token_id=1, eos_token_id=2),
    Family("falcon-new", "falcon", hidden_size=72, num_attention_heads=6,
           num_hidden_layers=2, bos_token_id=1, eos_token_id=2,
           num_kv_heads=2, new_decoder_architecture=True, ffn_hidden_size=100,
           bias=True),
    Family("falcon-new-one-norm", "falcon", hidden_size=72,
           num_attention_heads=6, num_hidden_layers=2, bos_token_id=1,
           eos_token_id=2, num_kv_heads=3, new_decoder_architecture=True,
           num_ln_in_parallel_attn=1, plain_only=True),
    Family("falcon-serial", "falcon", hidden_size=72, num_attention_heads=6,
           num_hidden_layers=2, bos_token_id=1, eos_token_id=2, bias=True,
           multi_query=False, parallel_attn=False, plain_only=True),
    Family("falcon-alibi", "falcon", hidden_size=72, num_attention_heads=6,
           num_hidden_layers=2, bos_token_id=1, eos_token_id=2, alibi=True,
           bias=True, multi_query=False, parallel_attn=False,
           plain_only=True),
    Family("bloom", "bloom", hidden_size=72, n_head=6, n_layer=2),
    Family("mpt", "mpt", d_model=60, n_heads=5, n_layers=2, max_seq_len=1100,
           attn_config=dict(softmax_scale=0.3, alibi_bias_max=16,
                            clip_qkv=1.25)),
    Family("mpt-usual", "mpt", d_model=72, n_heads=8, n_layers=2,
           max_seq_len=1100, attn_config=dict(attn_pdrop=0),
           plain_only=True),
    Family("olmo", "olmo", **SIZES, pad_token_id=1, eos_token_id=2,
           plain_only=True),
    Family("olmo-clip", "olmo", **SIZES, pad_token_id=1, eos_token_id=2,
           clip_qkv=1.25),
    Family("olmo-clip-0", "olmo", **SIZES, pad_token_id=1, eos_token_id=2,
           clip_qkv=0.0, plain_only=True),
    Family("olmo2", "olmo2", **SIZES, pad_token_id=1, eos_token_id=2),
    Family("stablelm", "stablelm", **SIZES, use_qkv_bias=True,
           rope_parameters=rope(partial_rotary_factor=0.5), plain_only=True),
    Family("stablelm-parallel", "stablelm", **SIZES,
           use_parallel_residual=True,
           rope_parameters=rope(partial_rotary_factor=0.5), plain_only=True),
    Family("stablelm-qk-norm", "stablelm", **SIZES, qk_layernorm=True,
           use_parallel_residual=True,
           rope_parameters=rope(partial_rotary_factor=0.5)),
    Family("cohere", "cohere", **SIZES, logit_scale=0.7, bos_token_id=1,
           eos_token_id=2),
    Family("cohere-qk-norm", "cohere", **SIZES, use_qk_norm=True,
           bos_token_id=1, eos_token_id=2, plain_only=True),
    Family("cohere2", "cohere2", **{**SIZES, "num_hidden_layers": 4},
           logit_scale=0.7, sliding_window=45, layer_types=ALTERNATING,
           bos_token_id=1, eos_token_id=2, plain_only=True),
]  # yapf: disable


def write_family(case, folder):
    """A model of transformers with weights that are not its own.

    Initial weights are too small for attention to matter, and have norms that
    are all one and biases that are all zero.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging
    logging.disable_progress_bar()
    config = AutoConfig.for_model(case.model_type, **case.config)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    gen = torch.Generator().manual_seed(len(case.name))
    with torch.no_grad():
        for name, value in sorted(model.named_parameters()):
            random = torch.randn(value.shape, generator=gen)
            # Cohere's norms of heads are matrices.
            if value.ndim > 1 and not name.endswith("_norm.weight"):
                value.copy_(1.25 / config.hidden_size**0.5 * random)
            else:
                value.copy_((0 if name.endswith("bias") else 1) + 0.25 * random)
    model.save_pretrained(folder)


# The architecture of the GGUF file of a case above.
ARCHITECTURES = {
    "smollm3": "smollm3", "granite": "granite", "qwen2": "qwen2",
    "qwen3": "qwen3", "gemma": "gemma", "gemma2": "gemma2",
    "gemma3": "gemma3", "olmo2": "olmo2", "phi": "phi2", "phi3": "phi3",
    "phi3-longrope": "phi3", "gpt2": "gpt2", "gpt-neox": "gptneox",
    "gpt-neox-serial": "gptneox", "falcon-mqa": "falcon",
    "falcon-new": "falcon", "olmo": "olmo", "olmo-clip": "olmo",
    "stablelm": "stablelm", "stablelm-parallel": "stablelm",
    "stablelm-qk-norm": "stablelm", "cohere": "command-r",
    "cohere-qk-norm": "command-r", "cohere2": "cohere2", "bloom": "bloom", "mpt": "mpt",
}  # yapf: disable


def gguf_families():
    """A GGUF file of each family that GGUF has and cria reads."""
    by_name = {case.name: case for case in FAMILIES}
    for name, arch in ARCHITECTURES.items():
        case = by_name[name]
        config = dict(case.config)
        # What the architecture says and the file does not.
        if name == "smollm3":
            config["no_rope_layers"] = [1, 1, 1, 0]
        if name == "gemma2":
            config["query_pre_attn_scalar"] = config["head_dim"]
        if name == "gemma3":
            config["num_hidden_layers"] = 7
            config["layer_types"] = ALTERNATING[:1] * 5 + ALTERNATING[1:3]
            config["query_pre_attn_scalar"] = config["head_dim"]
        if name == "cohere2":
            config["layer_types"] = ALTERNATING[:1] * 3 + ALTERNATING[1:2]
        if name == "gpt-neox-serial":  # whose GELU is that of the 20B model
            config["num_hidden_layers"] = 44
        if arch == "mpt":
            config["attn_config"] = dict(alibi_bias_max=16, clip_qkv=1.25)
        if arch == "falcon":
            config.pop("bias", None)
            config.pop("ffn_hidden_size", None)
        # Long sequences of the same family are above: fewer for 44 layers.
        tokens = 150 if name == "gpt-neox-serial" else case.tokens
        yield Family("gguf-" + name, case.model_type, tokens, plain_only=True,
                     gguf=arch, **config)
    # Beyond the original context, which is the first token only.
    config = dict(by_name["phi3-longrope"].config)
    config["original_max_position_embeddings"] = 1
    config["rope_parameters"] = {
        **config["rope_parameters"], "attention_factor": 1.2}
    yield Family("gguf-phi3-longrope-long", "phi3", plain_only=True,
                 gguf="phi3", **config)


FAMILIES += gguf_families()


def run_reference(*arguments):
    sys.argv = ["reference.py", *arguments]
    reference.main()


def cria(*arguments):
    result = subprocess.run(["cria", *arguments], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        raise RuntimeError(f"cria {' '.join(arguments)[:200]}: exit code "
                           f"{result.returncode}\n{result.stdout[-2000:]}")


def write_model(case, folder):
    model = os.path.join(folder, "model")
    if isinstance(case, Family):
        write_family(case, model)
        rng = np.random.default_rng(case.tokens)
        tokens = rng.integers(0, case.config["vocab_size"], case.tokens)
        file = model
        if case.gguf:
            file = os.path.join(folder, "model.gguf")
            reference.write_family_gguf(model, file, case.gguf)
        return file, model, ",".join(map(str, tokens))
    run_reference("random-llama", model, "--seed", str(len(case.name)),
                  *case.flags)
    if case.gguf:
        file = os.path.join(folder, "model.gguf")
        run_reference("gguf", model, "-o", file, "--type", case.gguf)
        model = file
    vocab = int(case.flags[case.flags.index("--vocab") + 1])
    tokens = np.random.default_rng(case.tokens).integers(0, vocab, case.tokens)
    return model, model, ",".join(map(str, tokens))


def run_cria(line, model, tokens, folder):
    compiled = os.path.join(folder, "compiled")
    cria("compile", model, "-o", compiled,
         *(["--plain"] if line == "plain" else []))
    output = os.path.join(folder, "logits.npy")
    cria("logits", compiled, "--tokens", tokens, "-o", output)
    return np.load(output).astype(np.float64)


def check(line, case, want, have):
    """What the case measures, and None or what is wrong."""
    if want.shape != have.shape:
        return "", f"shape {have.shape}, expected {want.shape}"
    if not np.isfinite(have).all():
        row = np.argwhere(~np.isfinite(have))[0][0]
        return "", f"a logit of row {row} is not finite"
    rows = np.abs(want - have).max(axis=1) / np.abs(want).max(axis=1)
    p, q = reference.log_softmax(want), reference.log_softmax(have)
    kl = (np.exp(p) * (p - q)).sum(axis=1).mean()
    text = (f"rel {rows.max():.2e} at row {rows.argmax()} of {len(rows)}, "
            f"mean KL {kl:.2e}")
    rel, most = (1e-4, None) if line == "plain" else (case.rel, case.kl)
    if rel is not None and not rows.max() <= rel:
        return text, f"rel is above {rel:g}"
    if most is not None and not kl <= most:
        return text, f"KL is above {most:g}"
    return text, None


def main():
    line, work, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
    every = CASES
    if "--families" in wanted:
        wanted.remove("--families")
        every = FAMILIES
    shutil.rmtree(work, ignore_errors=True)
    import torch
    torch.set_num_threads(1)
    cases = [c for c in every if (c.name in wanted if wanted else
                                  line == "plain" or not c.plain_only)]
    jobs, broken = [], []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for case in cases:
            folder = os.path.join(work, case.name)
            os.makedirs(folder)
            file, model, tokens = write_model(case, folder)
            job = pool.submit(run_cria, line, file, tokens, folder)
            judge = os.path.join(folder, "reference.npy")
            run_reference("logits", model, "--tokens", tokens, "-o", judge)
            jobs.append((case, np.load(judge).astype(np.float64), job))
        for case, want, job in jobs:
            try:
                text, fault = check(line, case, want, job.result())
            except RuntimeError as error:
                text, fault = "", str(error)
            print(f"{case.name}: {text}" + (f" FAILED: {fault}" if fault else ""))
            if fault:
                broken.append(case.name)
    if broken:
        sys.exit("FAILED: " + ", ".join(broken))
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
