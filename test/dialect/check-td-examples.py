# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Parses every ```mlir example of the .td files with cria-opt.

usage: check-td-examples.py FILE.td ...

An example uses values that it does not define. Each stands in a module (a
graph region) before an op that defines them with a type that nothing else
has; the parser then says which type the example wants, and a later round
gives it that one.
"""

import re
import subprocess
import sys

PLACEHOLDER = "!cria.weight<1x1, f32, rows>"


def definitions(path):
    """(name, text of the definition) of every op, attribute and type."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    starts = list(re.finditer(r"^(?:def|class) (\w+)", text, re.M)) + [None]
    for this, following in zip(starts, starts[1:]):
        end = following.start() if following else len(text)
        body = text[this.start() : end]
        if re.match(r"def \w+ : (Cria_(Kernel)?Op|AttrDef|TypeDef)<", body):
            yield this.group(1), body


class Example:
    def __init__(self, name, text, prelude):
        self.name = name
        self.prelude = prelude if "@" in text and "cria.param" not in text else ""
        if re.match(r"\s*[#!]", text):
            items = re.split(r"\n(?=\s*[#!])", text.strip())
            text = "\n".join('"test.use"() {a = %s} : () -> ()' % i for i in items)
        self.text = text
        defined = set()
        for results in re.findall(r"^\s*((?:%\w+(?::\d+)?,?\s*)+)=", text, re.M):
            defined.update(re.findall(r"%\w+", results))
        for arguments in re.findall(r"\^\w+\((.*?)\):", text, re.S):
            defined.update(re.findall(r"(%\w+):", arguments))
        # Name of a value to the types of its results.
        self.values = {}
        for value, index in re.findall(r"(%[a-z]\w*)(?:#(\d+))?", text):
            if value not in defined:
                types = self.values.setdefault(value, [])
                while len(types) <= int(index or 0):
                    types.append(PLACEHOLDER)

    def module(self):
        lines = [self.prelude, self.text]
        for value, types in self.values.items():
            lines.append(
                '%s:%d = "test.def"() : () -> (%s)'
                % (value, len(types), ", ".join(types))
            )
        return "\n".join(lines) + "\n"

    def learn(self, message):
        """Takes a type from the parser's error; False if it says something else."""
        found = re.search(
            r"definition of SSA value '(%\w+)(?:#(\d+))?' has type.*?"
            r"previously used here with type '(.*?)'\n",
            message,
            re.S,
        )
        if not found:
            return False
        value, index, wanted = found.groups()
        types = self.values[value]
        if types[int(index or 0)] == wanted:
            return False
        types[int(index or 0)] = wanted
        return True


def parse(module):
    done = subprocess.run(
        ["cria-opt", "--allow-unregistered-dialect", "-o", "/dev/null"],
        input=module,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode == 0, done.stderr


def main():
    examples, failures, prelude = [], 0, ""
    found = [pair for path in sys.argv[1:] for pair in definitions(path)]
    for name, body in found:
        blocks = re.findall(r"```mlir\n(.*?)```", body, re.S)
        if not blocks:
            print(f"{name}: has no ```mlir example")
            failures += 1
        if name == "Cria_ParamOp":
            prelude = "".join(blocks)
        examples += [(name, block) for block in blocks]
    for name, block in examples:
        example = Example(name, block, prelude)
        good, message = parse(example.module())
        while not good and example.learn(message):
            good, message = parse(example.module())
        if not good:
            print(f"{name}: its example does not parse:\n{message}")
            failures += 1
    print(f"{len(found)} definitions, {len(examples)} examples, {failures} failures")
    return 1 if failures or not examples else 0


if __name__ == "__main__":
    sys.exit(main())
