# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What compare.py measures: cria, its peers, and the read loop.

A peer has a name, the type of its weights, a setting, the bytes that a token
reads of weights and of every cached token, and measure(work): tokens per
second, or None where it cannot do the work.
"""

import copy
import ctypes
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Work:
    """`tokens` at once (prefill) or one by one (decode), after `depth`, for
    `batch` sequences side by side; or `kind` start: from nothing to the first
    token."""

    def __init__(self, kind, tokens, depth=0, batch=1):
        self.kind, self.tokens = kind, tokens
        self.depth, self.batch = depth, batch
        self.name = f"{kind} {tokens}"
        if batch > 1:
            self.name += f" × {batch}"
        if depth:
            self.name += f" at {depth}"

    def bytes_per_token(self, peer):
        """What a decode reads."""
        cached = self.depth + self.tokens / 2
        return peer.bytes / self.batch + peer.kv_bytes * cached

    def bytes_per_step(self, peer):
        return self.batch * self.bytes_per_token(peer)


def counted(count, noun):
    return f"{count} {noun}" + ("" if count == 1 else "s")


class RawRead:
    """The read loop of read_speed.c over up to `size` bytes."""

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
        self.gigabytes_a_second = 10
        self.measure(size)

    def measure(self, size):
        """GB/s over `size` bytes, 0.3 s long: what is read again and again
        may come from a cache, and more of a little than of a lot."""
        size = min(int(size), self.size)
        passes = max(4, int(0.3e9 * self.gigabytes_a_second / size))
        seconds = self.library.read_speed_seconds(
            self.memory, size, self.threads, passes
        )
        if seconds <= 0:
            sys.exit(f"compare.py: {self.threads} reading threads did not start")
        self.gigabytes_a_second = size * passes / seconds / 1e9
        return self.gigabytes_a_second


class Cria:
    """`cria bench`, one process for each measurement."""

    name, setting = "cria", ""

    def __init__(self, program, model, weights, threads, folder):
        self.program, self.weights, self.threads = program, weights, threads
        self.model, self.full_threads = model, threads
        self.folder = os.path.join(folder, "cria-" + os.path.basename(model))
        start = time.monotonic()
        # Always anew: what an older build left behind is not what is measured.
        shutil.rmtree(self.folder, ignore_errors=True)
        self.call("compile", model, "-o", self.folder)
        self.compile_seconds = time.monotonic() - start
        facts = json.loads(self.call("inspect", self.folder, "--json"))
        self.bytes = facts["bytes_per_token"]
        self.kv_bytes = facts["bytes_per_cached_token"]
        self.context, self.facts = facts["context"], facts
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

    def with_threads(self, threads):
        """The same compiled model with another number of threads."""
        other = copy.copy(self)
        other.threads, other.setting = threads, counted(threads, "thread")
        return other

    def start(self):
        """Milliseconds from the start of a process to the first token."""
        start = time.perf_counter()
        self.call(
            *("logits", self.folder, "--tokens", "1", "-o", os.devnull),
            *("-t", str(self.threads)),
        )
        return 1e3 * (time.perf_counter() - start)

    def memory(self):
        """The most bytes that a process holds: 512 tokens, then 8 more."""
        return in_a_process(
            "memory",
            *(self.program, "bench", self.folder, "-p", "512", "-n", "8", "-r", "1"),
            *("-t", str(self.threads)),
        )

    def measure(self, work):
        counts = (work.tokens, 0) if work.kind == "prefill" else (0, work.tokens)
        entry = json.loads(
            self.call(
                "bench",
                self.folder,
                *("-p", str(counts[0]), "-n", str(counts[1]), "-r", "1"),
                *("-t", str(self.threads), "-d", str(work.depth)),
                *("-b", str(work.batch), "--json"),
            )
        )[0]
        return entry[work.kind + "_tps"]


class LlamaModel:
    """One model file, loaded once and shared by the contexts on it."""

    quiet = None

    def __init__(self, path):
        import llama_cpp

        self.api, self.path = llama_cpp, path
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
        """`context`: positions of one sequence."""
        self.model, self.weights, self.bytes = model, weights, model.bytes
        self.kv_bytes, self.flash, self.threads = kv_bytes, flash, threads
        self.setting = "flash attention " + ("on" if flash else "off")
        self.context = self.make_context(context, 1)
        self.filled = 0
        self.random = random.Random(42)
        self.details = {"system": model.api.llama_print_system_info().decode()}
        self.warm = set()

    def make_context(self, positions, sequences):
        api = self.model.api
        parameters = api.llama_context_default_params()
        parameters.n_ctx = positions * sequences
        parameters.n_seq_max = sequences
        parameters.n_batch = parameters.n_ubatch = 512
        parameters.n_threads = parameters.n_threads_batch = self.threads
        parameters.flash_attn_type = 1 if self.flash else 0
        context = api.llama_init_from_model(self.model.handle, parameters)
        if not context:
            sys.exit(f"compare.py: llama.cpp makes no context with {self.setting}")
        return context

    def decode(self, context, batch):
        status = self.model.api.llama_decode(context, batch)
        if status:
            sys.exit(f"compare.py: llama_decode failed with {status}")
        self.model.api.llama_synchronize(context)

    def feed(self, count):
        """`count` random tokens, with the logits of the last."""
        while count > 0:
            now = min(count, 512)
            tokens = (ctypes.c_int32 * now)(
                *(self.random.randrange(self.model.vocab) for _ in range(now))
            )
            batch = self.model.api.llama_batch_get_one(tokens, now)
            self.decode(self.context, batch)
            count -= now

    def truncate(self, depth):
        api = self.model.api
        memory = api.llama_get_memory(self.context)
        if not api.llama_memory_seq_rm(memory, -1, depth, -1):
            sys.exit(f"compare.py: llama.cpp does not truncate to {depth}")

    def fill(self, depth):
        """Leaves `depth` tokens in the cache, and adds what is missing."""
        if self.filled < depth:
            self.truncate(self.filled)
            self.feed(depth - self.filled)
            self.filled = depth
        self.truncate(depth)

    def measure_batch(self, work):
        """One token of each sequence a step, from empty caches."""
        api, warm_up = self.model.api, 4
        positions = -(-(warm_up + work.tokens) // 256) * 256
        context = self.make_context(positions, work.batch)
        batch = api.llama_batch_init(work.batch, 0, 1)
        batch.n_tokens = work.batch
        start = 0.0
        for step in range(warm_up + work.tokens):
            if step == warm_up:
                start = time.perf_counter()
            for i in range(work.batch):
                batch.token[i] = self.random.randrange(self.model.vocab)
                batch.pos[i] = step
                batch.n_seq_id[i] = 1
                batch.seq_id[i][0] = i
                batch.logits[i] = 1
            self.decode(context, batch)
        seconds = time.perf_counter() - start
        api.llama_batch_free(batch)
        api.llama_free(context)
        return work.tokens * work.batch / seconds

    def measure(self, work):
        if work.batch > 1:
            return self.measure_batch(work)
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

    def start(self):
        """As Cria.start, but from the call that loads the model on: Python's
        own start is not llama.cpp's. In a process of its own."""
        return in_a_process("llama", *self.arguments("1"))[0]

    def memory(self):
        return in_a_process("llama", *self.arguments("512"))[1]

    def arguments(self, tokens):
        return self.model.path, str(self.threads), str(int(self.flash)), tokens


def resident_bytes(key):
    with open("/proc/self/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    return 0


def llama_process(path, threads, flash, tokens):
    """Milliseconds, and the most bytes that loading and running added."""
    import llama_cpp  # noqa: F401  before the clock starts

    held = resident_bytes("VmRSS")
    start = time.perf_counter()
    model = LlamaModel(path)
    peer = Llama(model, "", flash == "1", int(threads), 1024, 0)
    peer.feed(int(tokens))
    milliseconds = 1e3 * (time.perf_counter() - start)
    return milliseconds, resident_bytes("VmHWM") - held


def memory_process(*command):
    """Here and not in compare.py: a child starts with its parent's peak."""
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


PROCESSES = {"llama": llama_process, "memory": memory_process}


def in_a_process(name, *arguments):
    result = subprocess.run(
        [sys.executable, __file__, name, *arguments],
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(result.stdout)


if __name__ == "__main__":
    print(json.dumps(PROCESSES[sys.argv[1]](*sys.argv[2:])))
