# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The judge of the end-to-end tests: a Llama computed by PyTorch.

  random-llama  writes a small random model as a Hugging Face folder
  logits        writes the logits of a prompt, float32, by transformers
  compare       measures one logits file against another and applies bounds
  gguf          writes a Hugging Face folder as a GGUF file

Needs torch and transformers; GGUF files need the gguf package as well.
"""

import argparse
import json
import math
import os
import sys

import numpy as np


def fail(message):
    sys.exit(f"reference.py: {message}")


def read_json(folder, name, needed=True):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        if needed:
            fail(f"{path}: no such file")
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


# --- random-llama -----------------------------------------------------------


def random_llama(args):
    import torch
    from safetensors.torch import save_file
    head_dim = args.head_dim or args.hidden // args.heads
    if not args.head_dim and args.hidden % args.heads:
        fail(f"--hidden {args.hidden} is not a multiple of --heads "
             f"{args.heads}: give --head-dim")
    if head_dim % 2:
        fail(f"head_dim {head_dim} is odd: rope needs an even one")
    if args.heads % args.kv_heads:
        fail(f"--heads {args.heads} is not a multiple of --kv-heads "
             f"{args.kv_heads}")
    # By default scores and logits have a deviation above 1. With the usual
    # 0.02 attention is almost uniform, and a wrong rope would hardly show.
    std = args.std if args.std is not None else 1.25 / math.sqrt(args.hidden)
    gen = torch.Generator().manual_seed(args.seed)
    tensors = {}

    def add(name, *shape, mean=0.0, dev=std):
        value = mean + dev * torch.randn(*shape, generator=gen)
        tensors[name] = value.to(getattr(torch, args.dtype))

    def linear(name, rows, cols, bias):
        add(name + ".weight", rows, cols)
        if bias:
            add(name + ".bias", rows, dev=0.3)

    add("model.embed_tokens.weight", args.vocab, args.hidden)
    for layer in range(args.layers):
        prefix = f"model.layers.{layer}."
        q, kv = args.heads * head_dim, args.kv_heads * head_dim
        attn, mlp = prefix + "self_attn.", prefix + "mlp."
        linear(attn + "q_proj", q, args.hidden, args.bias)
        linear(attn + "k_proj", kv, args.hidden, args.bias)
        linear(attn + "v_proj", kv, args.hidden, args.bias)
        linear(attn + "o_proj", args.hidden, q, args.bias)
        linear(mlp + "gate_proj", args.ffn, args.hidden, args.mlp_bias)
        linear(mlp + "up_proj", args.ffn, args.hidden, args.mlp_bias)
        linear(mlp + "down_proj", args.hidden, args.ffn, args.mlp_bias)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            add(prefix + norm + ".weight", args.hidden, mean=1.0, dev=0.25)
    add("model.norm.weight", args.hidden, mean=1.0, dev=0.25)
    if not args.tie:
        add("lm_head.weight", args.vocab, args.hidden)

    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "vocab_size": args.vocab, "hidden_size": args.hidden,
        "intermediate_size": args.ffn, "num_hidden_layers": args.layers,
        "num_attention_heads": args.heads,
        "num_key_value_heads": args.kv_heads, "hidden_act": "silu",
        "max_position_embeddings": args.max_positions,
        "rms_norm_eps": args.eps, "attention_bias": args.bias,
        "mlp_bias": args.mlp_bias, "tie_word_embeddings": args.tie,
        "bos_token_id": 1, "eos_token_id": 2,
    }
    if args.head_dim:
        config["head_dim"] = args.head_dim
    # Both spellings are in the wild: rope_theta and rope_scaling are the
    # classic one, rope_parameters and dtype that of transformers 5.
    if args.config_style == "classic":
        config["rope_theta"] = args.rope_theta
        config["rope_scaling"] = args.rope_scaling
        config["torch_dtype"] = args.dtype
    else:
        config["rope_parameters"] = {
            "rope_type": "default", **(args.rope_scaling or {}),
            "rope_theta": args.rope_theta}
        config["dtype"] = args.dtype
    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, "config.json"), "w",
              encoding="utf-8") as file:
        json.dump(config, file, indent=2)
        file.write("\n")
    save_file(tensors, os.path.join(args.out, "model.safetensors"),
              metadata={"format": "pt"})


# --- Loading and logits -----------------------------------------------------


def permute(value, heads):
    """Rows of Q or K from pairs (i, i + d/2) to pairs (2i, 2i + 1).

    GGUF files of the llama architecture hold them so; Hugging Face does not.
    """
    rows = value.shape[0]
    return (value.reshape(heads, 2, rows // heads // 2, *value.shape[1:])
            .swapaxes(1, 2).reshape(value.shape))


def unpermute(value, heads):
    rows = value.shape[0]
    return (value.reshape(heads, rows // heads // 2, 2, *value.shape[1:])
            .swapaxes(1, 2).reshape(value.shape))


NAMES = [  # the parts of a layer: Hugging Face, GGUF
    ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"),
    ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"), ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm")]


def gguf_name(name):
    """The GGUF name of a Hugging Face tensor."""
    whole = {"model.embed_tokens.weight": "token_embd.weight",
             "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}
    if name in whole:
        return whole[name]
    _, _, layer, rest = name.split(".", 3)
    part, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{dict(NAMES)[part]}.{kind}"


def load_gguf(path):
    """A float32 LlamaForCausalLM with the dequantised weights of the file.

    transformers can read GGUF too, but it passes over rope_freqs.weight.
    """
    import gguf
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    reader = gguf.GGUFReader(path)

    def key(name, default=None):
        field = reader.get_field(name)
        if field is None and default is None:
            fail(f"{path}: no key {name}")
        return default if field is None else field.contents()

    arch = key("general.architecture")
    if arch != "llama":
        fail(f"{path}: general.architecture is {arch}, expected llama")
    tensors = {t.name: t for t in reader.tensors}
    heads = key("llama.attention.head_count")
    kv_heads = key("llama.attention.head_count_kv", heads)
    hidden = key("llama.embedding_length")
    head_dim = key("llama.attention.key_length", hidden // heads)
    rope = {"rope_type": "default",
            "rope_theta": key("llama.rope.freq_base", 10000.0)}
    scaling = key("llama.rope.scaling.type", "none")
    if scaling == "linear":
        rope.update(rope_type="linear",
                    factor=key("llama.rope.scaling.factor"))
    elif scaling != "none":
        fail(f"{path}: llama.rope.scaling.type is {scaling}, expected none or "
             "linear")
    config = LlamaConfig(
        vocab_size=int(tensors["token_embd.weight"].shape[1]),
        hidden_size=hidden, num_hidden_layers=key("llama.block_count"),
        intermediate_size=key("llama.feed_forward_length"),
        num_attention_heads=heads, num_key_value_heads=kv_heads,
        head_dim=head_dim, rope_parameters=rope,
        rms_norm_eps=key("llama.attention.layer_norm_rms_epsilon"),
        max_position_embeddings=key("llama.context_length"),
        attention_bias="blk.0.attn_q.bias" in tensors,
        mlp_bias="blk.0.ffn_up.bias" in tensors,
        tie_word_embeddings="output.weight" not in tensors,
        attn_implementation="eager")
    model = LlamaForCausalLM(config).float().eval()
    state = {}
    for name in model.state_dict():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        tensor = tensors.pop(gguf_name(name), None)
        if tensor is None:
            fail(f"{path}: no tensor {gguf_name(name)}")
        value = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if ".q_proj." in name or ".k_proj." in name:
            value = unpermute(value, heads if ".q_proj." in name else kv_heads)
        state[name] = torch.from_numpy(np.array(value, dtype=np.float32))
    freqs = tensors.pop("rope_freqs.weight", None)
    if tensors:
        fail(f"{path}: unexpected tensor {sorted(tensors)[0]}")
    if config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    if freqs is not None:
        model.model.rotary_emb.inv_freq /= torch.from_numpy(
            np.array(freqs.data, dtype=np.float32))
    return model


def load(path):
    """A float32 model with eager attention, from a folder or a GGUF file."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging
    logging.disable_progress_bar()
    if os.path.isfile(path):
        return load_gguf(path)
    config = read_json(path, "config.json")  # a folder without one is no model
    # transformers' eager attention adds Falcon's ALiBi twice: it is in the
    # mask already.
    kind = "sdpa" if config.get("alibi") else "eager"
    model, info = AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, attn_implementation=kind,
        local_files_only=True, output_loading_info=True)
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(what):
            fail(f"{path}: {what.replace('_', ' ')}: {sorted(info[what])}")
    exact_alibi(model)
    return model.eval()


def exact_alibi(model):
    """ALiBi in float32, and with the exponent that the config has.

    transformers rounds Falcon's products of slope and position to bfloat16, at
    position 1000 to multiples of the slope times 4, and passes over an MPT's
    alibi_bias_max, which the models' own code does not.
    """
    if model.config.model_type == "mpt":
        build = model.transformer.build_mpt_alibi_tensor
        most = model.config.attn_config.alibi_bias_max
        model.transformer.build_mpt_alibi_tensor = (
            lambda heads, length, device=None: build(heads, length, most, device))
    elif model.config.model_type == "falcon":
        from transformers.models.bloom.modeling_bloom import _get_alibi_slopes
        from transformers.models.falcon import modeling_falcon

        def build_alibi(mask, heads, dtype):
            slopes = _get_alibi_slopes(heads, mask.device).bfloat16().float()
            positions = mask.cumsum(dim=-1) - 1
            return (slopes[:, None, None] * positions[0]).to(dtype)

        modeling_falcon.build_alibi_tensor = build_alibi


def logits(args):
    import torch
    try:
        tokens = [int(token) for token in args.tokens.split(",")]
    except ValueError:
        fail(f"--tokens {args.tokens}: expected ids like 1,2,3")
    model = load(args.model)
    vocab = model.config.vocab_size
    for token in tokens:
        if not 0 <= token < vocab:
            fail(f"--tokens: id {token} is outside 0..{vocab - 1}")
    torch.set_num_threads(args.threads)
    rows = torch.tensor([tokens])
    positions = torch.arange(len(tokens))[None] + args.position_offset
    with torch.no_grad():
        out = model(input_ids=rows, position_ids=positions,
                    attention_mask=torch.ones_like(rows), use_cache=False)
    np.save(args.output, out.logits[0].float().numpy())


# --- compare ----------------------------------------------------------------


def log_softmax(rows):
    rows = rows - rows.max(axis=1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))


def compare(args):
    bounds = (args.max_abs, args.max_rel, args.max_kl, args.max_p99_kl,
              args.min_same_top)
    if all(bound is None for bound in bounds) and not args.report:
        fail("compare: give at least one bound, or --report")
    a, b = (np.load(path).astype(np.float64) for path in (args.a, args.b))
    if a.ndim != 2 or a.shape != b.shape or a.size == 0:
        fail(f"compare: shapes {a.shape} and {b.shape}, expected the same "
             "[n, vocab] twice")
    for path, value in ((args.a, a), (args.b, b)):
        bad = np.argwhere(~np.isfinite(value))
        if len(bad):
            row, col = bad[0]
            fail(f"compare: {path}: {value[row, col]} at row {row}, column "
                 f"{col} ({len(bad)} such values)")
    error = np.abs(a - b)
    scale = np.maximum(np.abs(a).max(axis=1), np.finfo(np.float64).tiny)
    log_a, log_b = log_softmax(a), log_softmax(b)
    kl = (np.exp(log_a) * (log_a - log_b)).sum(axis=1)
    measures = [
        ("max abs error", error.max(), args.max_abs, 1),
        ("max rel error", (error.max(axis=1) / scale).max(), args.max_rel, 1),
        ("mean KL", kl.mean(), args.max_kl, 1),
        ("p99 KL", np.percentile(kl, 99), args.max_p99_kl, 1),
        ("same top", (a.argmax(axis=1) == b.argmax(axis=1)).mean(),
         args.min_same_top, -1)]
    print(f"rows {a.shape[0]}, columns {a.shape[1]}, worst row "
          f"{int((error.max(axis=1) / scale).argmax())}")
    broken = []
    for name, value, bound, sign in measures:
        print(f"{name}: {value:.6g}")
        if bound is not None and not sign * value <= sign * bound:
            broken.append(f"{name} {value:.6g} is "
                          f"{'above' if sign > 0 else 'below'} {bound:g}")
    if broken:
        print("FAILED: " + "; ".join(broken))
        sys.exit(1)


# --- gguf -------------------------------------------------------------------


def rope_factors(config, scaling):
    """llama3 scaling as one divisor for each rope frequency."""
    dim, theta = config.head_dim, config.rope_parameters["rope_theta"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    factor = scaling["factor"]
    context = scaling["original_max_position_embeddings"]
    out = []
    for i in range(0, dim, 2):
        wavelength = 2 * math.pi * theta ** (i / dim)
        if wavelength < context / high:
            out.append(1.0)
        elif wavelength > context / low:
            out.append(factor)
        else:
            smooth = (context / wavelength - low) / (high - low)
            out.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(out, dtype=np.float32)


def pre_tokenizer(spec):
    """llama.cpp's name for a byte-level pre-tokenizer, None if unknown."""
    steps = spec.get("pretokenizers", [spec]) if spec else []
    kinds = [step["type"] for step in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0]["individual_digits"]:
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and r"\p{N}{1,3}" in str(steps[0]):
        return "llama-bpe"
    return None


def add_tokenizer(writer, folder, config, pre):
    import gguf
    tokenizer = read_json(folder, "tokenizer.json")
    settings = read_json(folder, "tokenizer_config.json", needed=False)
    if tokenizer["model"]["type"] != "BPE":
        fail(f"{folder}/tokenizer.json: model type "
             f"{tokenizer['model']['type']}, expected BPE")
    pre = pre or pre_tokenizer(tokenizer.get("pre_tokenizer"))
    if not pre:
        fail(f"{folder}/tokenizer.json: unknown pre_tokenizer: name it by "
             "--pre")
    tokens = [f"[PAD{i}]" for i in range(config.vocab_size)]
    types = [gguf.TokenType.UNUSED] * config.vocab_size
    for token, index in tokenizer["model"]["vocab"].items():
        tokens[index], types[index] = token, gguf.TokenType.NORMAL
    for token in tokenizer.get("added_tokens", []):
        tokens[token["id"]] = token["content"]
        types[token["id"]] = (gguf.TokenType.CONTROL if token["special"]
                              else gguf.TokenType.USER_DEFINED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([merge if isinstance(merge, str) else
                             " ".join(merge)
                             for merge in tokenizer["model"]["merges"]])
    bos, eos = config.bos_token_id, config.eos_token_id
    eos = eos[0] if isinstance(eos, list) else eos
    if bos is not None:
        writer.add_bos_token_id(bos)
        # Some tokenizers say it by a setting, others by their post-processor.
        after = json.dumps(tokenizer.get("post_processor"))
        writer.add_add_bos_token(bool(settings.get(
            "add_bos_token", json.dumps(tokens[bos]) in after)))
    if eos is not None:
        writer.add_eos_token_id(eos)
    if settings.get("chat_template"):
        writer.add_chat_template(settings["chat_template"])


GGUF_TYPES = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"]


def write_gguf_types(args):
    """A file for each type, which takes less than a process for each."""
    output = args.output
    for args.type in args.types.split(","):
        if args.type not in GGUF_TYPES:
            fail(f"--type {args.type}: expected {', '.join(GGUF_TYPES)}")
        args.output = output.replace("{}", args.type)
        write_gguf(args)


def write_gguf(args):
    import gguf
    model = load(args.model)
    config = model.config
    if config.model_type != "llama":
        fail(f"{args.model}: model_type {config.model_type}, expected llama")
    kind = gguf.GGMLQuantizationType[args.type.upper()]
    file_type = gguf.LlamaFileType[
        "ALL_F32" if args.type == "f32" else "MOSTLY_" + args.type.upper()]
    writer = gguf.GGUFWriter(args.output, "llama")
    writer.add_name(os.path.basename(os.path.abspath(args.model)))
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    rope = config.rope_parameters
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", rope_factors(config, rope))
    elif rope["rope_type"] != "default":
        fail(f"{args.model}: rope_type {rope['rope_type']}, expected default, "
             "linear or llama3")
    if os.path.exists(os.path.join(args.model, "tokenizer.json")):
        add_tokenizer(writer, args.model, config, args.pre)
    elif args.no_vocab:
        writer.add_tokenizer_model("no_vocab")

    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        value = tensor.numpy()
        if ".q_proj." in name:
            value = permute(value, config.num_attention_heads)
        elif ".k_proj." in name:
            value = permute(value, config.num_key_value_heads)
        value = np.ascontiguousarray(value)
        to = kind if value.ndim == 2 else gguf.GGMLQuantizationType.F32
        block, _ = gguf.GGML_QUANT_SIZES[to]
        if value.shape[-1] % block:
            to = gguf.GGMLQuantizationType.F16  # the row has no whole blocks
        writer.add_tensor(gguf_name(name), gguf.quants.quantize(value, to),
                          raw_dtype=to)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def long_factors(writer, config, rope):
    """LongRoPE as the converter writes it for Phi 3."""
    original = rope["original_max_position_embeddings"]
    scale = config.max_position_embeddings / original
    attention = rope.get("attention_factor")
    if attention is None:
        attention = (1 + np.log(scale) / np.log(original))**0.5
    writer.add_rope_scaling_orig_ctx_len(original)
    writer.add_rope_scaling_attn_factors(float(attention))
    for which in ("long", "short"):
        writer.add_tensor(f"rope_factors_{which}.weight",
                          np.float32(rope[which + "_factor"]))


def write_family_gguf(folder, path, arch):
    """A folder of one of the later families, in f32, as llama.cpp's converter
    lays it out.

    Its names come from the gguf package; what it does to numbers is here.
    """
    import gguf
    import torch
    model = load(folder)
    config = model.config
    layers = config.num_hidden_layers
    names = gguf.get_tensor_name_map(
        {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[arch], layers)
    def first(*names, otherwise=None):
        found = (getattr(config, name, None) for name in names)
        return next((value for value in found if value is not None), otherwise)

    heads = config.num_attention_heads
    kv_heads = first("num_key_value_heads", "num_kv_heads", otherwise=heads)
    if arch == "falcon" and not config.new_decoder_architecture:
        kv_heads = 1
    head_dim = first("head_dim", otherwise=config.hidden_size // heads)
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(layers)
    writer.add_context_length(first("max_position_embeddings", "max_seq_len",
                                    otherwise=2048))
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(first(
        "intermediate_size", "ffn_hidden_size", otherwise=4 * config.hidden_size))
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    if (eps := first("rms_norm_eps")) is not None:
        writer.add_layer_norm_rms_eps(eps)
    else:
        writer.add_layer_norm_eps(
            first("layer_norm_eps", "layer_norm_epsilon", otherwise=1e-5))
    rope = first("rope_parameters", otherwise={})
    rope = rope.get("full_attention", rope)
    if rope:
        writer.add_rope_freq_base(rope["rope_theta"])
        writer.add_rope_dimension_count(
            int(head_dim * rope.get("partial_rotary_factor", 1)))
        if rope["rope_type"] == "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(rope["factor"])
        if rope["rope_type"] == "longrope":
            long_factors(writer, config, rope)
    if arch in ("phi3", "cohere2"):
        writer.add_sliding_window(config.sliding_window or 0)
    if arch in ("gptneox", "stablelm"):
        writer.add_parallel_residual(config.use_parallel_residual)
    if arch in ("command-r", "cohere2"):
        writer.add_logit_scale(config.logit_scale)
    if arch == "falcon":
        writer.add_tensor_data_layout("jploski")
    if arch in ("gemma2", "gemma3"):
        writer.add_sliding_window(config.sliding_window)
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if arch == "mpt":
        writer.add_max_alibi_bias(float(config.attn_config.alibi_bias_max))
        if config.attn_config.clip_qkv:
            writer.add_clamp_kqv(config.attn_config.clip_qkv)
    if arch == "olmo" and config.clip_qkv:
        writer.add_clamp_kqv(config.clip_qkv)
    if arch == "granite":
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)
    state = model.state_dict()
    if arch == "stablelm" and config.qk_layernorm:
        # One behind the other, of all heads of a layer.
        for layer in range(layers):
            for side, count in (("q", heads), ("k", kv_heads)):
                to = f"model.layers.{layer}.self_attn.{side}_layernorm"
                state[to + ".weight"] = torch.stack(
                    [state.pop(f"{to}.norms.{i}.weight") for i in range(count)])
    for name, tensor in state.items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if arch in ("gptneox", "falcon", "bloom") and ".query_key_value." in name:
            # By kv head: its queries, its key, its value.
            parts = tensor.reshape(kv_heads, heads // kv_heads + 2, head_dim, -1)
            tensor = torch.cat([part.reshape(-1, *tensor.shape[1:]) for part in (
                parts[:, :-2], parts[:, -2], parts[:, -1])])
        if arch == "gpt2" and ".c_" in name and name.endswith(".weight"):
            tensor = tensor.T
        if arch in ("granite", "smollm3", "olmo"):
            if ".q_proj." in name:
                tensor = torch.tensor(permute(tensor.numpy(), heads))
            elif ".k_proj." in name:
                tensor = torch.tensor(permute(tensor.numpy(), kv_heads))
        if arch.startswith("gemma") and "norm." in name:
            tensor = tensor + 1
        if arch == "bloom":
            name = name.removeprefix("transformer.")
        to = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if to is None:
            fail(f"{folder}: GGUF has no name for {name}")
        writer.add_tensor(to, np.ascontiguousarray(tensor.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    sub = commands.add_parser("random-llama", help="write a random model")
    sub.set_defaults(run=random_llama)
    sub.add_argument("out", metavar="OUT_DIR")
    for flag, default in (("seed", 0), ("layers", 2), ("hidden", 72),
                          ("heads", 6), ("kv-heads", 2), ("head-dim", None),
                          ("ffn", 100), ("vocab", 131),
                          ("max-positions", 256)):
        sub.add_argument("--" + flag, type=int, default=default)
    sub.add_argument("--rope-theta", type=float, default=10000.0)
    sub.add_argument("--rope-scaling", type=json.loads, metavar="JSON",
                     help='as in config.json: {"rope_type": "llama3", ...}')
    sub.add_argument("--eps", type=float, default=1e-5)
    sub.add_argument("--tie", action="store_true",
                     help="the output layer is the embedding")
    sub.add_argument("--bias", action="store_true",
                     help="biases on the four attention projections")
    sub.add_argument("--mlp-bias", action="store_true")
    sub.add_argument("--dtype", default="float32",
                     choices=["float32", "bfloat16", "float16"])
    sub.add_argument("--std", type=float,
                     help="of the weights; 1.25 / sqrt(hidden) if not given")
    sub.add_argument("--config-style", default="classic",
                     choices=["classic", "v5"],
                     help="rope_theta and rope_scaling, or rope_parameters")

    sub = commands.add_parser("logits", help="write [n, vocab] logits")
    sub.set_defaults(run=logits)
    sub.add_argument("model", metavar="MODEL", help="a folder or a .gguf file")
    sub.add_argument("--tokens", required=True, metavar="1,2,3")
    sub.add_argument("-o", "--output", required=True, metavar="OUT.npy")
    sub.add_argument("--position-offset", type=int, default=0, metavar="P",
                     help="position of the first token")
    sub.add_argument("--threads", type=int, default=1)

    sub = commands.add_parser("compare", help="measure B against A")
    sub.set_defaults(run=compare)
    sub.add_argument("a", metavar="A.npy", help="the reference")
    sub.add_argument("b", metavar="B.npy")
    for flag, text in (
            ("max-abs", "bound of |a - b|"),
            ("max-rel", "bound of |a - b| / the row's largest |a|"),
            ("max-kl", "bound of the mean KL(A||B), in nats"),
            ("max-p99-kl", "bound of its 99th percentile over rows"),
            ("min-same-top", "least share of rows with the same top token")):
        sub.add_argument("--" + flag, type=float, help=text)
    sub.add_argument("--report", action="store_true",
                     help="print the measures without any bound")

    sub = commands.add_parser("gguf", help="write a folder as GGUF")
    sub.set_defaults(run=write_gguf_types)
    sub.add_argument("model", metavar="MODEL_DIR")
    sub.add_argument("-o", "--output", required=True, metavar="FILE.gguf",
                     help="{} in it stands for the type")
    sub.add_argument("--type", default="f32", dest="types", metavar="T,...",
                     help=f"of the matrices: {', '.join(GGUF_TYPES)}; a "
                     "quantised matrix whose rows are not whole blocks is f16")
    sub.add_argument("--no-vocab", action="store_true",
                     help="without a tokenizer.json, name the tokenizer "
                     "no_vocab: llama.cpp asks for it")
    sub.add_argument("--pre", help="tokenizer.ggml.pre, if not recognised")

    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
