# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes a Hugging Face folder with one small layer and 131072 tokens of width
2048 in bfloat16, all zero, in a sparse file: large_embedding.py FOLDER"""

import json
import struct
import sys

folder = sys.argv[1]
width, ffn, vocab = 2048, 256, 131072
config = dict(
    architectures=["LlamaForCausalLM"],
    model_type="llama",
    hidden_size=width,
    intermediate_size=ffn,
    num_hidden_layers=1,
    num_attention_heads=32,
    num_key_value_heads=8,
    vocab_size=vocab,
    rms_norm_eps=1e-5,
    max_position_embeddings=256,
    rope_theta=10000.0,
    hidden_act="silu",
    tie_word_embeddings=True,
)
layer = "model.layers.0."
shapes = {
    "model.embed_tokens.weight": [vocab, width],
    layer + "self_attn.q_proj.weight": [width, width],
    layer + "self_attn.k_proj.weight": [width // 4, width],
    layer + "self_attn.v_proj.weight": [width // 4, width],
    layer + "self_attn.o_proj.weight": [width, width],
    layer + "mlp.gate_proj.weight": [ffn, width],
    layer + "mlp.up_proj.weight": [ffn, width],
    layer + "mlp.down_proj.weight": [width, ffn],
    layer + "input_layernorm.weight": [width],
    layer + "post_attention_layernorm.weight": [width],
    "model.norm.weight": [width],
}
header, end = {}, 0
for name, shape in shapes.items():
    begin = end
    size = 2
    for extent in shape:
        size *= extent
    end += size
    header[name] = dict(dtype="BF16", shape=shape, data_offsets=[begin, end])
text = json.dumps(header).encode()
with open(folder + "/model.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text)
    file.truncate(8 + len(text) + end)
with open(folder + "/config.json", "w") as file:
    json.dump(config, file)
