# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What tune.test and tune-record.test need.

    tune.py check RECORD PAGE     the record's and the page's parts
    tune.py bits DIR WORK_DIR     DIR with random values of all knobs: its bits
    tune.py broken WORK_DIR       records that cannot be used
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import xml.dom.minidom

TOKENS = ",".join(str(1 + 37 * i % 500) for i in range(41))


def check(record, page):
    with open(record, encoding="utf-8") as file:
        found = json.load(file)
    assert found["cria_tune"] == 1 and found["threads"] == 2
    versions = set()
    for op in found["ops"]:
        versions.add(op["version"])
        first, *others = op["candidates"]
        assert first["schedule"] == {}, op
        for each in others:
            assert each["schedule"] and each["rounds"] >= 1, op
            assert each["median_us"] >= 0 and each["spread_us"] >= 0, op
        assert op["winner"] in [each["schedule"] for each in op["candidates"]]
    assert versions == {"decode", "prefill"}
    assert sum(len(op["candidates"]) > 2 for op in found["ops"]) > 4
    with open(page, encoding="utf-8") as file:
        text = file.read()
    assert "<script" not in text and "http" not in text
    charts = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(charts) > 4
    for chart in charts:
        xml.dom.minidom.parseString(chart)


def logits(model, file):
    split = ["--batch-split", "19"]  # a prefill, and decode of what is left
    subprocess.run(["cria", "logits", model, "--tokens", TOKENS, "-t", "2",
                    "-o", file, *split], check=True)  # yapf: disable
    with open(file, "rb") as data:
        return data.read()


def bits(model, work):
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    source = os.path.join(model, "model.mlir")
    space = os.path.join(work, "space.json")
    subprocess.run(["cria-compile", source, "--start-after", "dialect",
                    "--tuning-space", space], check=True)  # yapf: disable
    with open(space, encoding="utf-8") as file:
        found = json.load(file)
    expected = logits(model, os.path.join(work, "untuned.npy"))
    with open(os.path.join(model, "model.so"), "rb") as file:
        untuned = file.read()

    def build(winners, name):
        """A model of these knobs; whether its code is another."""
        ops = [{key: op[key] for key in ("op", "version", "shape")}
               | {"winner": winner}
               for op, winner in zip(found["ops"], winners)]  # yapf: disable
        record = os.path.join(work, name + ".json")
        with open(record, "w", encoding="utf-8") as file:
            json.dump({"cria_tune": 1, "target": found["target"], "ops": ops},
                      file)
        made = os.path.join(work, name)
        subprocess.run(["cria-compile", source, "--start-after", "dialect",
                        "--tune", record, "-o", made, "--quiet"],
                       check=True)  # yapf: disable
        with open(os.path.join(made, "model.so"), "rb") as file:
            return made, file.read() != untuned

    _, differs = build([op["default"] for op in found["ops"]], "default")
    assert not differs, "what the space calls default is not"
    rng = random.Random(5)
    for turn in range(3):
        # What is hopeless also takes long to compile.
        winners = [{name: rng.choice([each["value"] for each in values
                                      if each["predicted"] < 4])
                    for name, values in op["knobs"].items()}
                   for op in found["ops"]]  # yapf: disable
        made, differs = build(winners, str(turn))
        assert differs, "the knobs changed nothing"
        for name in ("model.safetensors", "tokenizer.json"):
            shutil.copy(os.path.join(model, name), made)
        assert logits(made, os.path.join(work, "tuned.npy")) == expected, winners


def broken(work):
    entry = {"op": "attn_q", "version": "decode", "winner": {"rows": 32},
             "shape": "1 x !cria.weight<1x1>"}  # yapf: disable
    good = {"cria_tune": 1, "target": "x86-64-v3", "ops": [entry]}
    # An op of the model beside the one that is stale.
    fits = {"op": "attention", "version": "decode", "winner": {},
            "shape": "2 heads a kv head, head_dim 32, 16-bit cache"}  # yapf: disable
    without = {key: value for key, value in entry.items() if key != "version"}
    records = {
        "good": good,
        "type": good | {"ops": [entry | {"winner": {"rows": "many"}}]},
        "missing": good | {"ops": [without]},
        "format": good | {"cria_tune": 99},
        "knob": good | {"ops": [entry | {"winner": {"rows": 17}}]},
        "provider": good | {"ops": [entry | {"winner": {"provider": "tvm"}}]},
        "word": good | {"ops": [entry | {"winner": {"provider": 1}}]},
        "stranger": good | {"ops": [entry | {"op": "moe_gate"}]},
        "stale": good | {"ops": [entry, fits]},
    }
    for name, record in records.items():
        with open(os.path.join(work, name + ".json"), "w",
                  encoding="utf-8") as file:  # yapf: disable
            json.dump(record, file)
    with open(os.path.join(work, "truncated.json"), "w",
              encoding="utf-8") as file:  # yapf: disable
        file.write(json.dumps(good)[:50])


if __name__ == "__main__":
    {"check": check, "bits": bits, "broken": broken}[sys.argv[1]](*sys.argv[2:])
