# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs every clone of a compiled folder and compares the logits.

    clones.py FOLDER TOKENS

with TOKENS a list, or how many of them there are to be: "x290".
Those that this processor can run must give the same file, bit for bit; of the
others the refusal must name what is missing.
"""

import json
import os
import subprocess
import sys

folder, tokens = sys.argv[1:]
if tokens.startswith("x"):
    tokens = ",".join(str(1 + 7 * i % 999) for i in range(int(tokens[1:])))
facts = json.loads(subprocess.check_output(["cria", "inspect", folder, "--json"]))
able = [clone for clone in facts["clones"] if clone["can_run"]]
if not able or not able[0]["chosen"] or facts["target"] != able[0]["target"]:
    sys.exit(f"the first clone that can run here is not the chosen one: {facts['clones']}")
files = set()
for clone in facts["clones"]:
    path = os.path.join(folder, clone["target"] + ".npy")
    run = subprocess.run(
        ["cria", "logits", folder, "--tokens", tokens, "--clone", clone["target"], "-o", path],
        stderr=subprocess.PIPE,
        text=True,
    )
    if clone["can_run"]:
        if run.returncode:
            sys.exit(run.stderr)
        with open(path, "rb") as file:
            files.add(file.read())
        print(f"ran: {clone['target']}")
    elif run.returncode != 1 or "clones that can run here: " not in run.stderr:
        sys.exit(f"{clone['target']}: not refused as it should be: {run.stderr}")
    else:
        print(f"SKIPPED, refused: {run.stderr.strip()}")
if len(files) != 1:
    sys.exit(f"{len(able)} clones gave {len(files)} different files")
print(f"{len(able)} of {len(facts['clones'])} clones give the same bits")
