#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Is the guided search of `cria tune` as good as trying everything?

    tuning.py                    the shapes of SmolLM2-135M, GPT-2 and a 1B
                                 Llama, a few layers of each, random weights
    tuning.py --shapes 1b -r 20  one of them, with more rounds at the end

For each shape, `cria tune` and `cria tune --exhaustive` look for the fastest
schedules by themselves. Then the model is compiled three ways, as it is and
with either record, and measured by turns: ratios are taken within a round, and
the medians printed.

Wanted: the guided record within 5 % of the exhaustive one, found in a tenth of
its time. Exit status 1 if a shape misses that.

The exhaustive search takes 5 to 20 minutes a shape. Run it on an idle machine.
Needs: a built cria, and pip install gguf numpy.
"""

import argparse
import filecmp
import json
import os
import statistics
import subprocess
import sys
import time

from machine import machine
from shapes import SHAPES, write_random

LAYERS = 2
WAYS = ["untuned", "guided", "exhaustive"]


def call(arguments, quiet=False):
    print("+ " + " ".join(arguments), file=sys.stderr, flush=True)
    result = subprocess.run(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        text=True,
    )
    if result.returncode:
        sys.exit(f"tuning.py: {' '.join(arguments)} failed ({result.returncode})")
    return result.stdout


def search(options, folder, way):
    """The record's file, and the seconds that the search took."""
    record = os.path.join(folder, way + ".json")
    more = ["--exhaustive"] if way == "exhaustive" else ["--time-budget", options.budget]
    common = ["-p", str(options.prompt), "-n", str(options.count), "-t", str(options.threads),
              "--providers", options.providers]
    call([options.cria, "tune", os.path.join(folder, "untuned"), "-o", record]
         + common + more)
    with open(record) as file:
        return record, json.load(file)["seconds"]


def rates(options, model):
    """Tokens per second of a prefill and of a decode."""
    [report] = json.loads(call(
        [options.cria, "bench", model, "-p", str(options.prompt), "-n", "32",
         "-r", "3", "-t", str(options.threads), "--json"], quiet=True))
    return [report["prefill_tps"], report["decode_tps"]]


def share_weights(first, other):
    """One file for all: how the page cache lays out a copy makes 5 %."""
    weights = [os.path.join(each, "model.safetensors") for each in (first, other)]
    if os.path.samefile(*weights):
        return
    if not filecmp.cmp(*weights, shallow=False):
        sys.exit(f"tuning.py: {weights[1]} differs from {weights[0]}: a record "
                 "must not change weights")
    os.remove(weights[1])
    os.link(*weights)


def measure(options, shape):
    folder = os.path.join(options.work, shape)
    os.makedirs(folder, exist_ok=True)
    model = os.path.join(folder, "model.gguf")
    write_random(shape, model, LAYERS)
    seconds = {}
    for way in WAYS:
        arguments = [options.cria, "compile", model, "--context", "1024",
                     "-o", os.path.join(folder, way)]
        if way != "untuned":
            record, seconds[way] = search(options, folder, way)
            arguments += ["--tune", record]
        call(arguments, quiet=True)
        share_weights(os.path.join(folder, WAYS[0]), os.path.join(folder, way))
    rounds = []
    for number in range(options.rounds):
        order = WAYS[number % 3:] + WAYS[:number % 3]
        taken = {way: rates(options, os.path.join(folder, way)) for way in order}
        rounds.append([taken[way] for way in WAYS])

    def ratio(way, base, phase):
        return statistics.median(each[way][phase] / each[base][phase] for each in rounds)

    row = {"shape": shape, "guided_seconds": seconds["guided"],
           "exhaustive_seconds": seconds["exhaustive"]}
    for phase, name in enumerate(["prefill", "decode"]):
        row[name] = {"guided_to_untuned": ratio(1, 0, phase),
                     "exhaustive_to_untuned": ratio(2, 0, phase),
                     "guided_to_exhaustive": ratio(1, 2, phase)}
    row["holds"] = (
        10 * row["guided_seconds"] <= row["exhaustive_seconds"]
        and min(row[name]["guided_to_exhaustive"] for name in ("prefill", "decode")) >= 0.95
    )
    return row


def table(rows):
    lines = [
        "| shape | guided s | exhaustive s | share | prefill: guided, exhaustive to untuned"
        " | decode: the same | guided to exhaustive |",
        "| :-- | --: | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        prefill, decode = row["prefill"], row["decode"]
        lines.append(
            f"| {row['shape']} | {row['guided_seconds']:.0f}"
            f" | {row['exhaustive_seconds']:.0f}"
            f" | {100 * row['guided_seconds'] / row['exhaustive_seconds']:.0f} %"
            f" | {prefill['guided_to_untuned']:.3f}, {prefill['exhaustive_to_untuned']:.3f}"
            f" | {decode['guided_to_untuned']:.3f}, {decode['exhaustive_to_untuned']:.3f}"
            f" | {prefill['guided_to_exhaustive']:.3f}, {decode['guided_to_exhaustive']:.3f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cria", default="build/bin/cria", help="default: %(default)s")
    parser.add_argument("--shapes", default="135m,gpt2,1b",
                        help="of " + ", ".join(SHAPES) + "; default: %(default)s")
    parser.add_argument("--work", default="tuning-work",
                        help="folder for models and records; default: %(default)s")
    parser.add_argument("--budget", default="60s",
                        help="most time of the guided search; default: %(default)s")
    parser.add_argument("--providers", default="cria",
                        help="whose kernels race, as of cria tune; each other "
                        "provider doubles the combinations; default: %(default)s")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-p", "--prompt", type=int, default=128)
    parser.add_argument("-n", "--count", type=int, default=8)
    parser.add_argument("-r", "--rounds", type=int, default=12,
                        help="of the comparison at the end; default: %(default)s")
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    names = options.shapes.split(",")
    for name in names:
        if name not in SHAPES:
            parser.error(f"--shapes {name}: accepted are {', '.join(SHAPES)}")
    if options.rounds < 1:
        parser.error(f"-r {options.rounds}: at least 1")
    started, rows = time.time(), []
    for name in names:
        rows.append(measure(options, name))
        print(table(rows[-1:]), file=sys.stderr, flush=True)
    print(table(rows))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": machine(), "seconds": time.time() - started,
                       "rows": rows}, file, indent=1)
            file.write("\n")
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
