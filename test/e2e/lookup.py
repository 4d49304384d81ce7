# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Lookup speculation changes how fast a text comes, never the text.

    lookup.py [--short] DIR|MODEL COUNT PROMPT_FILE...

Continues each prompt with and without --lookup, greedily and with several
seeds, temperatures, filters, draft lengths and threads, and compares the bytes.
At least one of them must have drafted something right, or nothing was tested.
Needs no package; --short leaves out some combinations.
"""

import itertools
import re
import subprocess
import sys

SAMPLING = [
    "--temp 0",
    "--temp 0 --repeat-penalty 1.1",
    "--temp 0.3 --seed 1",
    "--temp 0.7 --seed 2 --top-k 40",
    "--temp 1.1 --seed 3 --top-p 0.9 --min-p 0.02",
]
LOOKUP = ["-t 1 --lookup", "-t 2 --lookup=3", "-t 2 --lookup 40"]


def main():
    arguments = sys.argv[1:]
    short = arguments[0] == "--short"
    model, count, *files = arguments[short:]
    samplings, lookups = SAMPLING, LOOKUP
    if short:
        samplings, lookups = SAMPLING[::2], LOOKUP[:2]

    def text(prompt, flags):
        done = subprocess.run(
            ["cria", "run", model, "-n", count, "-p", prompt, *flags.split()],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # yapf: disable
        if done.returncode:
            sys.exit(f"{flags}: {done.stderr.decode()}")
        return done.stdout, done.stderr.decode()

    cases = right = 0
    for file, sampling in itertools.product(files, samplings):
        with open(file, encoding="utf-8") as source:
            prompt = source.read()
        want, report = text(prompt, sampling + " -t 2")
        assert "lookup" not in report, report
        for lookup in lookups:
            found, report = text(prompt, f"{sampling} {lookup}")
            if found != want:
                sys.exit(f"{file} {sampling} {lookup}: the text differs\n"
                         f"{want}\n{found}")  # yapf: disable
            cases += 1
            right += int(re.search(r"; (\d+) of \d+ drafted", report)[1])
    if not right:
        sys.exit("no drafted token was right: nothing was tested")
    print(f"{cases} texts equal, {right} drafted tokens in them")


main()
