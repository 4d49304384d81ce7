# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""No key of GGUF's metadata that changes the mathematics is ever ignored.

    gguf_keys.py WORK_DIR [FAMILY ...]

Takes each key under the architecture's prefix in the files of random_llama.py,
gives it other values, adds keys of other architectures, and imports the model
again. A value must make another module or an error that names a key or a
tensor.
"""

import concurrent.futures
import os
import re
import shutil
import sys
import tempfile

import random_llama
import reference
from importer import Importer

# What architectures have, with a value that would matter.
ADDED = {
    "a_new_trick": 1, "attention.causal": False, "attention.clamp_kqv": 8.0,
    "attention.max_alibi_bias": 8.0, "attention.scale": 0.4,
    "attention.sliding_window": 5, "attn_logit_softcapping": 3.0,
    "embedding_scale": 2.0, "expert_count": 2, "final_logit_softcapping": 3.0,
    "logit_scale": 0.5, "residual_scale": 0.5, "rope.freq_base": 77.0,
    "rope.freq_base_swa": 77.0, "rope.dimension_count": 4,
    "rope.scaling.attn_factor": 2.0, "rope.scaling.factor": 2.0,
    "rope.scaling.type": "yarn", "use_parallel_residual": True,
}  # yapf: disable

# The tensors say this, and converters have written it wrong.
BY_TENSORS = {"stablelm.use_parallel_residual": True}


def others(value):
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value // 2] if value else [7]
    if isinstance(value, float):
        return [value * 0.5, value + 0.25]
    return ["other"]


def add(writer, key, value):
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)


def import_with(importer, work, arch, values, tensors):
    """The exit code, the module without its name, and the message."""
    import gguf
    with tempfile.TemporaryDirectory(dir=work) as folder:
        path = os.path.join(folder, "model.gguf")
        writer = gguf.GGUFWriter(path, arch)
        for key, value in values.items():
            add(writer, key, value)
        for name, data in tensors.items():
            writer.add_tensor(name, data)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        code, module, message = importer.run(path)
    return code, re.sub(r'cria\.(name|source) = "[^"]*"', "", module), message


def check_family(case, work, pool, importer, seen):
    """Faults; none where a file with the same keys was there before."""
    import gguf
    folder = os.path.join(work, case.name)
    random_llama.write_family(case, folder)
    path = os.path.join(folder, "model.gguf")
    reference.write_family_gguf(folder, path, case.gguf)
    reader = gguf.GGUFReader(path)
    prefix = case.gguf + "."
    values = {key: field.contents() for key, field in reader.fields.items()
              if key.startswith(prefix)}
    if tuple(values) in seen:
        return []
    seen.add(tuple(values))
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    code, module, message = import_with(importer, work, case.gguf, values,
                                        tensors)
    if code:
        return [f"{case.name}: {message}"]
    changes = [(key, other) for key, value in values.items()
               for other in others(value)]
    changes += [(prefix + key, value) for key, value in ADDED.items()
                if prefix + key not in values]
    results = pool.map(
        lambda change: import_with(importer, work, case.gguf,
                                   {**values, change[0]: change[1]}, tensors),
        changes)
    counts, faults = {"used": 0, "refused": 0}, []
    for (key, value), (code, other, message) in zip(changes, results):
        if code == 0 and other != module:
            counts["used"] += 1
        elif code == 1 and re.search("key '|tensor '", message):
            counts["refused"] += 1
        elif code == 0:
            if BY_TENSORS.get(key) != value:
                faults.append(f"{case.name}: {key} = {value!r} is ignored")
        else:
            faults.append(f"{case.name}: {key} = {value!r}: exit code {code}, "
                          f"{message.strip()[-300:]}")
    print(case.name + ":", ", ".join(f"{n} {k}" for k, n in counts.items()))
    return faults


def main():
    work, wanted = os.path.abspath(sys.argv[1]), sys.argv[2:]
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    seen, faults = set(), []
    with (Importer() as importer,
          concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool):
        for case in random_llama.FAMILIES:
            if case.gguf and (not wanted or case.name in wanted):
                faults += check_family(case, work, pool, importer, seen)
    if faults:
        sys.exit("FAILED:\n" + "\n".join(faults))
    shutil.rmtree(work)


main()
