# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The family whose config.json names every choice (CANONICAL-CONFIG.md): the
tensors of its models, for tests that make random ones."""

BASE = dict(
    model_type="cria", architectures=["CriaForCausalLM"], vocab_size=131,
    hidden_size=72, intermediate_size=100, num_hidden_layers=2,
    num_attention_heads=6, num_key_value_heads=2, head_dim=12,
    max_position_embeddings=1100, norm="rms", norm_eps=1e-5,
    activation="silu", positions="rope")  # yapf: disable


def shapes(c):
    """The tensors of a config's model and their shapes."""
    d, ffn, hd = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv = c["num_attention_heads"] * hd, c["num_key_value_heads"] * hd
    out = {"embedding.weight": (c["vocab_size"], d)}

    def norm(name, size=d):
        if c["norm"] == "batch":
            for end in ("weight", "bias", "running_mean", "running_var"):
                out[f"{name}.{end}"] = (size,)
            return
        if c.get("norm_weight", True):
            out[name + ".weight"] = (size,)
        if c.get("norm_bias"):
            out[name + ".bias"] = (size,)

    def linear(name, n, k, bias):
        out[name + ".weight"] = (n, k)
        if c.get(bias):
            out[name + ".bias"] = (n,)

    if c["positions"] == "learned":
        out["positions.weight"] = (c["max_position_embeddings"], d)
    if c["positions"] == "relative":
        out["relative_attention_bias.weight"] = (
            c["relative_attention_num_buckets"], c["num_attention_heads"])
    if c.get("embedding_norm"):
        norm("embedding_norm")
    place = c.get("norm_placement", "before")
    for i in range(c["num_hidden_layers"]):
        layer = f"layers.{i}."
        if place in ("before", "both"):
            norm(layer + "attention_norm")
            if c.get("block") != "parallel":
                norm(layer + "feed_forward_norm")
        if place != "before":
            norm(layer + "attention_post_norm")
            norm(layer + "feed_forward_post_norm")
        for name, size in (("q", q), ("k", kv), ("v", kv)):
            linear(f"{layer}attention.{name}", size, d, "attention_bias")
        linear(layer + "attention.output", d, q, "attention_output_bias")
        if c.get("attention_sinks"):
            out[layer + "attention.sinks"] = (c["num_attention_heads"],)
        for name, size in (("q_norm", q), ("k_norm", kv)):
            if c.get("qk_norm", "none") != "none":
                norm(layer + "attention." + name,
                     hd if c["qk_norm"] == "head" else size)
        for name in ("gate", "up") if c.get("gated", True) else ("up",):
            linear(f"{layer}feed_forward.{name}", ffn, d, "mlp_bias")
        linear(layer + "feed_forward.down", d, ffn, "mlp_bias")
    if c.get("final_norm", True):
        norm("norm")
    if not c.get("tie_word_embeddings"):
        out["head.weight"] = (c["vocab_size"], d)
    if c.get("head_bias"):
        out["head.bias"] = (c["vocab_size"],)
    return out
