# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random models in published shapes: a GGUF file that llama.cpp and cria read
alike, with the keys and tensors of the architecture and no tokenizer.

A shape whose file would be large has fewer layers than the published model,
`of_layers`; widths, heads and vocabulary are always the published ones.
"""

import os

SHAPES = {
    "1b": dict(
        layers=16, width=2048, heads=32, kv_heads=8, ffn=8192, vocab=49152, context=8192
    ),
    "135m": dict(
        layers=30, width=576, heads=9, kv_heads=3, ffn=1536, vocab=49152, context=8192
    ),
    # Double RMSNorm, GeGLU, both soft caps, every second layer in a window.
    "gemma-2-2b": dict(
        architecture="gemma2",
        layers=8,
        of_layers=26,
        width=2304,
        heads=8,
        kv_heads=4,
        head_dim=256,
        ffn=9216,
        vocab=256000,
        context=8192,
        window=4096,
    ),
    # RMSNorm of every head of Q and K, heads wider than width / heads.
    "qwen3-0.6b": dict(
        architecture="qwen3",
        layers=28,
        width=1024,
        heads=16,
        kv_heads=8,
        head_dim=128,
        ffn=3072,
        vocab=151936,
        context=40960,
        rope_base=1e6,
    ),
    # LayerNorm, learned positions, biases everywhere, GELU.
    "gpt2": dict(
        architecture="gpt2",
        layers=12,
        width=768,
        heads=12,
        kv_heads=12,
        ffn=3072,
        vocab=50257,
        context=1024,
    ),
    # LayerNorm, parallel blocks with one norm, one K and V head, GELU.
    "falcon-7b": dict(
        architecture="falcon",
        layers=4,
        of_layers=32,
        width=4544,
        heads=71,
        kv_heads=1,
        ffn=18176,
        vocab=65024,
        context=2048,
    ),
}

FAMILIES = ["gemma-2-2b", "qwen3-0.6b", "gpt2", "falcon-7b"]


def full_name(shape):
    """The shape, and what of it was left out."""
    sizes = SHAPES[shape]
    if "of_layers" not in sizes:
        return shape
    return f"{shape}, {sizes['layers']} of {sizes['of_layers']} layers"


class RandomFile:
    """A GGUF file of random Q4_0 matrices and f32 vectors."""

    def __init__(self, path, architecture):
        import gguf
        import numpy as np

        self.gguf, self.np = gguf, np
        self.writer = gguf.GGUFWriter(path, architecture)
        self.generator = np.random.default_rng(42)

    def matrix(self, name, rows, columns):
        # A block: an f16 scale, then 32 nibbles, which stand for -8 to 7.
        # 4.6 is their standard deviation: rows get a norm of about 1.
        np, count = self.np, columns // 32
        blocks = np.empty((rows, count, 18), np.uint8)
        blocks[:, :, 2:] = self.generator.integers(0, 256, (rows, count, 16), np.uint8)
        scales = self.generator.uniform(0.5, 1.5, (rows, count, 1))
        scales /= columns**0.5 * 4.6
        blocks[:, :, :2] = scales.astype(np.float16).view(np.uint8)
        self.writer.add_tensor(
            name + ".weight",
            blocks.reshape(rows, -1),
            raw_dtype=self.gguf.GGMLQuantizationType.Q4_0,
        )

    def floats(self, name, *shape):
        values = self.generator.normal(0, 0.02, shape)
        self.writer.add_tensor(name, values.astype(self.np.float32))

    def linear(self, name, rows, columns, bias):
        self.matrix(name, rows, columns)
        if bias:
            self.floats(name + ".bias", rows)

    def norm(self, name, width, bias):
        self.writer.add_tensor(name + ".weight", self.np.ones(width, self.np.float32))
        if bias:
            self.floats(name + ".bias", width)

    def close(self):
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()


def write_keys(file, shape, architecture, head_dim):
    writer = file.writer
    writer.add_name("random")
    writer.add_block_count(shape["layers"])
    writer.add_context_length(shape["context"])
    writer.add_embedding_length(shape["width"])
    writer.add_feed_forward_length(shape["ffn"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    if architecture in ("gpt2", "falcon"):
        writer.add_layer_norm_eps(1e-5)
    else:
        writer.add_layer_norm_rms_eps(1e-5)
    if architecture != "gpt2":
        writer.add_rope_dimension_count(head_dim)
        writer.add_rope_freq_base(shape.get("rope_base", 10000.0))
    if head_dim * shape["heads"] != shape["width"]:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if architecture == "gemma2":
        writer.add_sliding_window(shape["window"])
        writer.add_attn_logit_softcapping(50.0)
        writer.add_final_logit_softcapping(30.0)
    if architecture == "falcon":
        writer.add_tensor_data_layout("jploski")
    writer.add_vocab_size(shape["vocab"])
    writer.add_file_type(file.gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_tokenizer_model("no_vocab")


def write_layer(file, prefix, shape, architecture, head_dim):
    width, ffn = shape["width"], shape["ffn"]
    q, kv = head_dim * shape["heads"], head_dim * shape["kv_heads"]
    biased = architecture == "gpt2"
    layer_norm = architecture in ("gpt2", "falcon")

    def norm(name, size=width):
        file.norm(prefix + name, size, layer_norm)

    def linear(name, rows, columns):
        file.linear(prefix + name, rows, columns, biased)

    norm("attn_norm")
    if architecture != "falcon":
        norm("ffn_norm")
    if architecture == "gemma2":
        norm("post_attention_norm")
        norm("post_ffw_norm")
    if architecture == "qwen3":
        norm("attn_q_norm", head_dim)
        norm("attn_k_norm", head_dim)
    if layer_norm:
        linear("attn_qkv", q + 2 * kv, width)
    else:
        linear("attn_q", q, width)
        linear("attn_k", kv, width)
        linear("attn_v", kv, width)
        linear("ffn_gate", ffn, width)
    linear("attn_output", width, q)
    linear("ffn_up", ffn, width)
    linear("ffn_down", width, ffn)


def write_random(name, target, layers=None):
    """The head is the embedding, as in all of the published models. With
    `layers`, so many instead of the shape's own."""
    shape = dict(SHAPES[name])
    if layers:
        shape["layers"] = layers
    architecture = shape.get("architecture", "llama")
    head_dim = shape.get("head_dim", shape["width"] // shape["heads"])
    file = RandomFile(target + ".part", architecture)
    write_keys(file, shape, architecture, head_dim)
    file.matrix("token_embd", shape["vocab"], shape["width"])
    if architecture == "gpt2":
        file.floats("position_embd.weight", shape["context"], shape["width"])
    file.norm("output_norm", shape["width"], architecture in ("gpt2", "falcon"))
    for layer in range(shape["layers"]):
        write_layer(file, f"blk.{layer}.", shape, architecture, head_dim)
    file.close()
    os.replace(target + ".part", target)
