# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What `cria bench --roofline --json --html` says, against the model.

    roofline.py BENCH_JSON INSPECT_JSON WEIGHTS PAGE

for a bench of -p 40 -n 6 -d 3 -t 1,2. Needs no package.
"""

import json
import struct
import sys
import xml.etree.ElementTree as ElementTree

PROMPT, COUNT, DEPTH = 40, 6, 3
SVG = "{http://www.w3.org/1999/xhtml}svg"


def check(condition, *what):
    if not condition:
        sys.exit("roofline.py: " + " ".join(str(each) for each in what))


def close(a, b):
    return abs(a - b) <= 1e-6 * max(abs(a), abs(b), 1e-12)


def arrays(path):
    """Bytes of each array of a safetensors file."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return {
        name: entry["data_offsets"][1] - entry["data_offsets"][0]
        for name, entry in header.items()
    }


def check_limits(run, phase):
    """Floors are what the limits say; the ops make up the whole."""
    limits = run["limits"]
    total = phase["start_and_join_seconds"]
    for op in phase["ops"]:
        total += op["seconds"]
        if op["kind"] == "barrier":
            continue
        times = {
            "memory": op["memory_bytes"] / limits["read_bytes_per_second"],
            "cache": op["activation_bytes"] / limits["cache_bytes_per_second"],
        }
        for unit in ("int8", "f32"):
            rate = limits[unit + "_operations_per_second"]
            times[unit] = op["operations"] / rate
        check(close(op["floor_seconds"], times[op["limit"]]), op)
        check(times["memory"] <= 1.000001 * op["floor_seconds"], op)
        check(times["cache"] <= 1.000001 * op["floor_seconds"], op)
    check(close(total, phase["seconds"]), "parts", total, "of", phase["seconds"])


def check_calls(phase, layers):
    calls = {op["name"]: op["calls"] for op in phase["ops"]}
    for name in ("attention", "ffn_down", "attn_q", "ffn_gate+ffn_up"):
        check(calls[name] == layers, name, calls[name])
    check(calls["embed"] == 1, "embed", calls["embed"])
    check(set(calls.values()) <= {1, layers}, calls)
    check(any(op["kind"] == "barrier" for op in phase["ops"]), "no barrier")


def check_weights(phase, weights):
    """Every weight is read once a step, an embedding only by the head."""
    counted = sum(
        op["memory_bytes"]
        for op in phase["ops"]
        if op["kind"] in ("linear", "rows")
    )
    total = sum(weights.values())
    table = sum(
        size for name, size in weights.items() if name.startswith("token_embd")
    )
    tied = not any(name.startswith("output.") for name in weights)
    want = total if tied else total - table
    check(counted == want, "weights:", counted, "of", want)


def check_attention(phase, model, first, step, count):
    """`count` steps of `step` tokens from position `first` on, their mean."""
    (attention,) = [op for op in phase["ops"] if op["kind"] == "attention"]
    ends = [first + step * (i + 1) for i in range(count)]
    held = sum(ends) / count
    attended = sum(range(first + 1, ends[-1] + 1)) / count
    check(close(attention["memory_bytes"], model["kv_bytes_per_token"] * held),
          attention)  # yapf: disable
    check(close(attention["operations"],
                model["flops_per_cached_token"] * attended), attention)  # yapf: disable


def check_linears(phase, model, tokens):
    """Two operations a weight and token, the head for one token a step; codes
    of 16 bits count twice."""
    shapes = {
        "attn_q": model["width"] * model["heads"] * model["head_dim"],
        "ffn_gate+ffn_up": 2 * model["width"] * model["ffn"],
    }
    for op in phase["ops"]:
        if op["name"] in shapes:
            once = 2 * shapes[op["name"]] * model["layers"] * tokens
            check(op["operations"] in (once, 2 * once), op, once)


def check_page(path, runs):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    namespace = "http://www.w3.org/1999/xhtml"
    for word in ("http:", "https:", "//", "url(", "<script", "@import", " src="):
        check(word not in text.replace(namespace, ""), "the page has", word)
    root = ElementTree.fromstring(text)
    plots = [svg for svg in root.iter(SVG) if svg.get("role") == "img"]
    phases = [run[name] for run in runs for name in ("prefill", "decode")]
    check(len(plots) == len(phases), len(plots), "plots")
    for plot, phase in zip(plots, phases):
        texts = ["".join(each.itertext()) for each in plot.iter()]
        for op in phase["ops"]:
            if op["kind"] in ("linear", "attention"):
                check(any(t.startswith(op["name"] + " ") for t in texts),
                      "no label for", op["name"])  # yapf: disable


def main():
    with open(sys.argv[1]) as file:
        runs = json.load(file)
    with open(sys.argv[2]) as file:
        model = json.load(file)
    weights = arrays(sys.argv[3])
    check([run["threads"] for run in runs] == [1, 2], "threads")
    for run in runs:
        for phase in (run["prefill"], run["decode"]):
            check_limits(run, phase)
            check_calls(phase, model["layers"])
            check_weights(phase, weights)
        check_attention(run["prefill"], model, DEPTH, PROMPT, 1)
        check_attention(run["decode"], model, DEPTH, 1, COUNT)
        check_linears(run["prefill"], model, PROMPT)
        check_linears(run["decode"], model, 1)
    check_page(sys.argv[4], runs)


main()
