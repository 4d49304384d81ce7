# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Nothing in a config.json that changes the mathematics is ever ignored.

    config_keys.py WORK_DIR [FAMILY ...]

Takes each key of the config class of every family, gives it other values, and
imports the model again. What cria may do with a value:

    used      the module is another
    refused   an error that names a key (or a tensor that does not fit)
    harmless  the module is the same, and so are transformers' logits

Anything else is a key that cria ignores though it matters.
"""

import concurrent.futures
import copy
import json
import os
import re
import shutil
import sys
import tempfile

import numpy as np
import random_llama
from importer import Importer

# The same sums in another order, whose bits differ on some CPUs.
SAME_BUT_ROUNDED = {"reorder_and_upcast_attn"}
TOKENS = np.random.default_rng(5).integers(0, 131, 60)


def others(value):
    """Values to try instead of this one."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, float):
        return [value * 0.5 + 0.25]
    if isinstance(value, str):
        return ["other"]
    if isinstance(value, list):
        return [value[::-1], value[:-1]]
    if value is None:
        return [True, 3]
    return [None, 7]


def variants(config, path=()):
    """Configs that differ from `config` in one key, with its path."""
    for key, value in config.items():
        if key in ("architectures", "model_type", "transformers_version"):
            continue
        if isinstance(value, dict) and value and not key.endswith("label"):
            for inner, changed in variants(value, path + (key,)):
                yield inner, {**config, key: changed}
        for new in others(value):
            yield path + (key,), {**config, key: new}


class Judge:
    """transformers' logits from a config, with the weights of the family."""

    def __init__(self, folder):
        from transformers import AutoConfig, AutoModelForCausalLM
        self.make_config = AutoConfig.for_model
        self.make_model = AutoModelForCausalLM.from_config
        model = AutoModelForCausalLM.from_pretrained(
            folder, attn_implementation="eager")
        self.state = model.state_dict()
        self.want = self.run(model)

    def run(self, model):
        import torch
        with torch.no_grad():
            return model.eval()(torch.tensor(TOKENS)[None], use_cache=False).logits

    def is_same(self, key, config):
        import torch
        config = copy.deepcopy(config)
        try:
            made = self.make_config(config.pop("model_type"), **config)
            model = self.make_model(made, attn_implementation="eager",
                                    dtype=torch.float32)
            model.load_state_dict(self.state)
            logits = self.run(model)
            if key in SAME_BUT_ROUNDED:
                error = (logits - self.want).abs().max()
                return bool(error <= 1e-5 * self.want.abs().max())
            return torch.equal(logits, self.want)
        except Exception:  # not a value that transformers can do anything with
            return True


def run_import(importer, folder):
    code, module, message = importer.run(folder)
    # The module's name is the folder's.
    return code, re.sub(r'cria\.(name|source) = "[^"]*"', "", module), message


def import_changed(importer, base, config):
    with tempfile.TemporaryDirectory(dir=os.path.dirname(base)) as folder:
        os.symlink(os.path.join(base, "model.safetensors"),
                   os.path.join(folder, "model.safetensors"))
        with open(os.path.join(folder, "config.json"), "w",
                  encoding="utf-8") as file:
            json.dump(config, file)
        return run_import(importer, folder)


def check_family(case, work, pool, importer):
    base = os.path.join(work, case.name)
    random_llama.write_family(case, base)
    with open(os.path.join(base, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    code, module, message = run_import(importer, base)
    if code:
        return [f"{case.name}: {message}"]
    judge = Judge(base)
    changes = [*variants(config), (("a_new_trick",), {**config, "a_new_trick": 1})]
    results = pool.map(
        lambda change: import_changed(importer, base, change[1]), changes)
    counts, faults = {"used": 0, "refused": 0, "harmless": 0}, []
    for (path, changed), (code, other, message) in zip(changes, results):
        value = changed
        for part in path:
            value = value[part]
        if code == 0 and other != module:
            counts["used"] += 1
        elif code == 0:
            counts["harmless"] += 1
            if path[0] == "a_new_trick" or not judge.is_same(
                    path[0], changed):
                faults.append(f"{case.name}: {'.'.join(path)} = {value!r} is "
                              "ignored")
        elif code == 1 and re.search("key '|tensor '", message):
            counts["refused"] += 1
        else:
            faults.append(f"{case.name}: {'.'.join(path)} = {value!r}: exit "
                          f"code {code}, {message.strip()[-300:]}")
    print(case.name + ":", ", ".join(f"{n} {k}" for k, n in counts.items()))
    return faults


def main():
    work, wanted = os.path.abspath(sys.argv[1]), sys.argv[2:]
    shutil.rmtree(work, ignore_errors=True)
    import torch
    torch.set_num_threads(1)
    seen, faults = set(), []
    with (Importer() as importer,
          concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool):
        for case in random_llama.FAMILIES:
            if case.name in wanted or (not wanted and
                                       case.model_type not in seen):
                seen.add(case.model_type)
                faults += check_family(case, work, pool, importer)
    if faults:
        sys.exit("FAILED:\n" + "\n".join(faults))
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
