# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""PyTorch as a peer of compare.py: a Llama with random bf16 weights and a static
KV cache, compiled by Inductor.

The layer is a region that the compiler sees once (nested_compile_region), with
its weights as arguments: compiling takes as long for 30 layers as for one, half
a minute a graph on two cores, and what was compiled stays in the work folder.
Q, K and V are one matrix, gate and up another, as a careful user would have it.
"""

import os
import sys
import time

WARM_UP = 4  # decoded tokens that are not counted


def plain_layer(facts, x, weights, k_cache, v_cache, cos, sin, at, mask):
    import torch
    from torch.nn import functional as f

    heads, kv, head = facts["heads"], facts["kv_heads"], facts["head_dim"]
    norm, qkv, output, ffn_norm, gate_up, down = weights

    def rotate(values):
        low, high = values.chunk(2, -1)
        return values * cos + torch.cat((-high, low), -1) * sin

    batch, tokens, width = x.shape
    hidden = f.linear(f.rms_norm(x, (width,), norm, 1e-5), qkv)
    hidden = hidden.view(batch, tokens, heads + 2 * kv, head).transpose(1, 2)
    q, k, v = hidden.split((heads, kv, kv), 1)
    q, k = rotate(q), rotate(k)
    k_cache.index_copy_(2, at, k)
    v_cache.index_copy_(2, at, v)
    if tokens > 1:  # from an empty cache: there is nothing before
        mixed = f.scaled_dot_product_attention(
            q, k, v, is_causal=True, enable_gqa=True
        )
    else:
        mixed = f.scaled_dot_product_attention(
            q, k_cache, v_cache, attn_mask=mask, enable_gqa=True
        )
    mixed = mixed.transpose(1, 2).reshape(batch, tokens, heads * head)
    x = x + f.linear(mixed, output)
    hidden = f.linear(f.rms_norm(x, (width,), ffn_norm, 1e-5), gate_up)
    gate, up = hidden.chunk(2, -1)
    return x + f.linear(f.silu(gate) * up, down)


class Torch:
    """Tokens per second of a prefill and of a decode from an empty cache."""

    name, setting, weights = "PyTorch", "torch.compile", "BF16"

    def __init__(self, facts, threads, folder):
        os.environ.setdefault(
            "TORCHINDUCTOR_CACHE_DIR", os.path.join(os.path.abspath(folder), "inductor")
        )
        import torch

        torch.set_num_threads(threads)
        torch.manual_seed(42)
        self.torch, self.facts = torch, facts
        width, head = facts["width"], facts["head_dim"]
        q, kv = facts["heads"] * head, facts["kv_heads"] * head

        # Numbers repeat: a billion of them would take longer than a prefill.
        some = torch.randn(1 << 20).bfloat16()

        def matrix(rows, columns):
            size = rows * columns
            values = some.repeat(-(-size // some.numel()))[:size]
            return values.mul_(columns**-0.5).view(rows, columns)

        def norm():
            return torch.ones(width, dtype=torch.bfloat16)

        self.layers = [
            (
                norm(),
                matrix(q + 2 * kv, width),
                matrix(width, q),
                norm(),
                matrix(2 * facts["ffn"], width),
                matrix(width, facts["ffn"]),
            )
            for _ in range(facts["layers"])
        ]
        self.embedding, self.final_norm = matrix(facts["vocab"], width), norm()
        read = [self.embedding, *(each for layer in self.layers for each in layer)]
        self.bytes = sum(each.numel() * each.element_size() for each in read)
        # bf16, two bytes, where cria's cache has the size that it says.
        self.kv_bytes = 2 * 2 * kv * facts["layers"]
        self.details = {"torch": torch.__version__, "compile_seconds": {}}
        self.caches = {}
        # A function of its own: a bound method cannot be marked.
        self.layer = torch.compiler.nested_compile_region(
            lambda *arguments: plain_layer(facts, *arguments)
        )
        self.run = torch.compile(self.forward, dynamic=False, fullgraph=True)

    def forward(self, ids, layers, caches, at, mask):
        torch, facts = self.torch, self.facts
        f = torch.nn.functional
        exponent = torch.arange(0, facts["head_dim"], 2) / facts["head_dim"]
        angles = at[:, None] * 10000.0**-exponent
        angles = torch.cat((angles, angles), -1)
        cos, sin = angles.cos().bfloat16(), angles.sin().bfloat16()
        x = f.embedding(ids, self.embedding)
        for weights, (k_cache, v_cache) in zip(layers, caches):
            x = self.layer(x, weights, k_cache, v_cache, cos, sin, at, mask)
        x = f.rms_norm(x[:, -1], (facts["width"],), self.final_norm, 1e-5)
        return f.linear(x, self.embedding)

    def cache(self, batch, positions):
        if (batch, positions) not in self.caches:
            shape = batch, self.facts["kv_heads"], positions, self.facts["head_dim"]
            self.caches[batch, positions] = [
                tuple(
                    self.torch.zeros(shape, dtype=self.torch.bfloat16) for _ in "kv"
                )
                for _ in self.layers
            ]
        return self.caches[batch, positions]

    def step(self, tokens, position, batch, positions):
        torch = self.torch
        ids = torch.randint(0, self.facts["vocab"], (batch, tokens))
        at = torch.arange(position, position + tokens)
        mask = (torch.arange(positions) <= position)[None]
        self.run(ids, self.layers, self.cache(batch, positions), at, mask)

    def positions(self, work):
        """As long as the work needs: a decode reads the whole of the cache."""
        return -(-(WARM_UP + work.tokens) // 64) * 64

    def prepare(self, work):
        """Compiles what `work` will run."""
        if work.depth or work.name in self.details["compile_seconds"]:
            return
        print(f"PyTorch compiles {work.name}", file=sys.stderr, flush=True)
        tokens = work.tokens if work.kind == "prefill" else 1
        start = time.perf_counter()
        with self.torch.inference_mode():
            self.step(tokens, 0, work.batch, self.positions(work))
        seconds = time.perf_counter() - start
        self.details["compile_seconds"][work.name] = round(seconds, 1)

    def measure(self, work):
        """None for a decode at depth: a static cache is as long as its end,
        and masked, which is not the same work."""
        if work.depth:
            return None
        self.prepare(work)
        positions = self.positions(work)
        with self.torch.inference_mode():
            if work.kind == "prefill":
                self.step(work.tokens, 0, 1, positions)
                start = time.perf_counter()
                self.step(work.tokens, 0, 1, positions)
                return work.tokens / (time.perf_counter() - start)
            for position in range(WARM_UP):
                self.step(1, position, work.batch, positions)
            start = time.perf_counter()
            for position in range(WARM_UP, WARM_UP + work.tokens):
                self.step(1, position, work.batch, positions)
            seconds = time.perf_counter() - start
        return work.tokens * work.batch / seconds
