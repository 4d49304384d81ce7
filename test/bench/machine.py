# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a machine is, and how busy others keep it."""

import os
import platform
import time

FLAGS = (
    "avx2 avx_vnni avx512f avx512_vnni avx512_bf16 avx512_fp16 gfni "
    "amx_tile amx_int8 amx_bf16 asimddp i8mm bf16"
).split()

# Cores taken by others above which a figure is called disturbed.
QUIET = 0.15


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


