# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Imports many models by one process a thread, cria-import-test --each."""

import subprocess
import threading


class Importer:

    def __init__(self):
        self.own, self.started = threading.local(), []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.started:
            process.stdin.close()
            process.wait()

    def run(self, path):
        """The exit code that an import alone has, the module, the message."""
        process = getattr(self.own, "process", None)
        if not process:
            process = self.own.process = subprocess.Popen(
                ["cria-import-test", "--each"], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE)
            self.started.append(process)
        process.stdin.write(f"{path}\n".encode())
        process.stdin.flush()
        answer = process.stdout.readline().split()
        if len(answer) != 3:
            self.own.process = None
            return process.wait(), "", "cria-import-test has crashed"
        code, *sizes = map(int, answer)
        return code, *(process.stdout.read(size).decode() for size in sizes)
