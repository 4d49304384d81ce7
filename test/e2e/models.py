# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small random Llamas written byte by byte, so that a test can bend each byte.

    models.py gguf FILE [--layers N] [--seed S]
    models.py hf FOLDER [--layers N] [--seed S]

The GGUF file has Q8_0 matrices (from Python, of any type in ENCODERS), the
folder bfloat16 ones. Neither has a
tokenizer. Needs numpy only; reference.py is the judge of numbers.
"""

import argparse
import json
import os
import struct

import numpy as np

SIZES = dict(layers=2, hidden=96, heads=6, kv_heads=2, ffn=160, vocab=131,
             context=256)  # yapf: disable
U32, FLOAT, STRING = 4, 6, 8  # and of metadata types


def tensors(sizes, seed):
    """GGUF names to float32 arrays."""
    rng = np.random.default_rng(seed)
    hidden, ffn, vocab = sizes["hidden"], sizes["ffn"], sizes["vocab"]
    head_dim = hidden // sizes["heads"]
    kv = sizes["kv_heads"] * head_dim
    out = {}

    def add(name, *shape):
        value = rng.standard_normal(shape, dtype=np.float32)
        norm = len(shape) == 1
        out[name] = 1 + 0.1 * value if norm else value / np.sqrt(np.float32(hidden))

    add("token_embd.weight", vocab, hidden)
    for layer in range(sizes["layers"]):
        block = f"blk.{layer}."
        add(block + "attn_norm.weight", hidden)
        add(block + "attn_q.weight", hidden, hidden)
        add(block + "attn_k.weight", kv, hidden)
        add(block + "attn_v.weight", kv, hidden)
        add(block + "attn_output.weight", hidden, hidden)
        add(block + "ffn_norm.weight", hidden)
        add(block + "ffn_gate.weight", ffn, hidden)
        add(block + "ffn_up.weight", ffn, hidden)
        add(block + "ffn_down.weight", hidden, ffn)
    add("output_norm.weight", hidden)
    add("output.weight", vocab, hidden)
    return out


def metadata(sizes):
    """GGUF keys to pairs of a type and a value."""
    head_dim = sizes["hidden"] // sizes["heads"]
    return {
        "general.architecture": (STRING, "llama"),
        "general.name": (STRING, "random"),
        "llama.vocab_size": (U32, sizes["vocab"]),
        "llama.context_length": (U32, sizes["context"]),
        "llama.embedding_length": (U32, sizes["hidden"]),
        "llama.block_count": (U32, sizes["layers"]),
        "llama.feed_forward_length": (U32, sizes["ffn"]),
        "llama.attention.head_count": (U32, sizes["heads"]),
        "llama.attention.head_count_kv": (U32, sizes["kv_heads"]),
        "llama.attention.layer_norm_rms_epsilon": (FLOAT, 1e-5),
        "llama.rope.dimension_count": (U32, head_dim),
        "llama.rope.freq_base": (FLOAT, 10000.0),
    }


def q8_0(value):
    blocks = value.reshape(-1, 32)
    scale = (np.abs(blocks).max(axis=1) / 127).astype(np.float16)
    wide = scale.astype(np.float32)[:, None]
    numbers = np.rint(blocks / np.where(wide == 0, 1, wide)).astype(np.int8)
    return b"".join(
        s.tobytes() + n.tobytes() for s, n in zip(scale, numbers)
    )


def pack_nibbles(numbers):
    """Of 32 numbers, 16 bytes: the first half in the low bits."""
    numbers = numbers.astype(np.uint8)
    return numbers[:, :16] | numbers[:, 16:] << 4


def q4_0(value):
    blocks = value.reshape(-1, 32)
    largest = np.take_along_axis(
        blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)
    scale = (largest / -8).astype(np.float16)
    wide = scale.astype(np.float32)
    numbers = np.clip(np.rint(blocks / np.where(wide == 0, 1, wide)) + 8, 0, 15)
    return b"".join(
        s.tobytes() + n.tobytes() for s, n in zip(scale, pack_nibbles(numbers))
    )


def q4_1(value):
    blocks = value.reshape(-1, 32)
    least = blocks.min(axis=1)[:, None].astype(np.float16)
    scale = ((blocks.max(axis=1)[:, None] - least) / 15).astype(np.float16)
    wide = scale.astype(np.float32)
    numbers = np.clip(
        np.rint((blocks - least) / np.where(wide == 0, 1, wide)), 0, 15)
    return b"".join(
        s.tobytes() + m.tobytes() + n.tobytes()
        for s, m, n in zip(scale, least, pack_nibbles(numbers))
    )


def bf16(value):
    bits = np.ascontiguousarray(value, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


# GGUF's number of each tensor type, and what writes it.
ENCODERS = {
    "f32": (0, lambda value: value.tobytes()),
    "f16": (1, lambda value: value.astype(np.float16).tobytes()),
    "q4_0": (2, q4_0),
    "q4_1": (3, q4_1),
    "q8_0": (8, q8_0),
    "bf16": (30, lambda value: bf16(value).tobytes()),
}


class Gguf:
    """A file in the making; every field may be bent before bytes().

    `types`: of matrices, by the part of the name that says their role
    ("attn_q"); q8_0 by default.
    """

    def __init__(self, sizes=None, seed=0, types=None):
        sizes = {**SIZES, **(sizes or {})}
        self.magic, self.version, self.alignment = b"GGUF", 3, 32
        self.values = metadata(sizes)
        self.tensor_count = self.value_count = None  # what there is
        self.infos, self.data = {}, b""  # name: [shape as in numpy, type, offset]
        for name, value in tensors(sizes, seed).items():
            kind = (types or {}).get(name.split(".")[-2], "q8_0")
            number, encode = ENCODERS["f32" if value.ndim == 1 else kind]
            self.infos[name] = [list(value.shape), number, len(self.data)]
            self.data += encode(value)
            self.data += bytes(-len(self.data) % self.alignment)

    def sections(self):
        """The bytes of each section by name."""

        def text(value):
            raw = value.encode()
            return struct.pack("<Q", len(raw)) + raw

        def value(kind, what):
            if isinstance(what, bytes):
                return what
            if kind == STRING:
                return text(what)
            return struct.pack({U32: "<I", FLOAT: "<f"}[kind], what)

        def default(count, things):
            return len(things) if count is None else count

        counts = struct.pack(
            "<IQQ", self.version, default(self.tensor_count, self.infos),
            default(self.value_count, self.values))  # yapf: disable
        values = b"".join(
            text(key) + struct.pack("<I", kind) + value(kind, what)
            for key, (kind, what) in self.values.items()
        )
        infos = b"".join(
            text(name)
            + struct.pack("<I", len(shape))
            + b"".join(struct.pack("<Q", dim) for dim in reversed(shape))
            + struct.pack("<IQ", kind, offset)
            for name, (shape, kind, offset) in self.infos.items()
        )
        front = len(self.magic) + len(counts) + len(values) + len(infos)
        return {
            "magic": self.magic,
            "header": counts,
            "metadata": values,
            "tensor table": infos,
            "padding": bytes(-front % self.alignment),
            "tensor data": self.data,
        }

    def bytes(self):
        return b"".join(self.sections().values())


HF_NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm",
    "output": "lm_head", "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # yapf: disable


def hf_name(name):
    if name.startswith("blk."):
        _, layer, part, _ = name.split(".")
        return f"model.layers.{layer}.{HF_NAMES[part]}.weight"
    return HF_NAMES[name.split(".")[0]] + ".weight"


def hf_config(sizes=None):
    sizes = {**SIZES, **(sizes or {})}
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "vocab_size": sizes["vocab"], "hidden_size": sizes["hidden"],
        "intermediate_size": sizes["ffn"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "num_key_value_heads": sizes["kv_heads"], "hidden_act": "silu",
        "max_position_embeddings": sizes["context"], "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "rope_scaling": None,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16",
        "bos_token_id": 1, "eos_token_id": 2,
    }  # yapf: disable


def write_hf(folder, sizes=None, seed=0):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(hf_config(sizes), file, indent=1)
    header, data = {}, b""
    for name, value in tensors({**SIZES, **(sizes or {})}, seed).items():
        raw = bf16(value).tobytes()
        header[hf_name(name)] = {
            "dtype": "BF16", "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }  # yapf: disable
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["gguf", "hf"])
    parser.add_argument("path")
    parser.add_argument("--layers", type=int, default=SIZES["layers"])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.kind == "hf":
        write_hf(args.path, {"layers": args.layers}, args.seed)
    else:
        with open(args.path, "wb") as file:
            file.write(Gguf({"layers": args.layers}, args.seed).bytes())


if __name__ == "__main__":
    main()
