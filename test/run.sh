#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
set -euo pipefail

usage() {
  cat <<'EOF'
Builds what is missing and runs every test.

Usage: test/run.sh [GROUP]...

GROUPs, all of them by default:
  unit   the GoogleTests, through ctest
  lit    the lit tests: every stage and end to end
  fuzz   10,000 inputs for each reader of files, under ASan and UBSan

Installs missing Debian packages (as root or with sudo) and, for the Python
side, a virtual environment of 5 GB in ${XDG_CACHE_HOME:-~/.cache}/cria.
CRIA_PYTHON=PROGRAM uses another Python as it is; tests that need a module it
lacks are skipped. Logs are in build/log. The last line is
"N passed, N failed, N skipped".

Example:
  test/run.sh lit
EOF
}

# shellcheck source=test/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

groups=()
for argument; do
  case $argument in
  -h | --help)
    usage
    exit 0
    ;;
  unit | lit | fuzz) groups+=("$argument") ;;
  *) fail "unknown argument $argument; expected unit, lit, fuzz or --help" ;;
  esac
done
[ ${#groups[@]} -gt 0 ] || groups=(unit lit fuzz)
wants() { [[ " ${groups[*]} " == *" $1 "* ]]; }

jobs=$(nproc)
results=()
LOG=$BUILD/log
mkdir -p "$LOG"
rm -f "$LOG"/*.xml "$LOG"/*.json

if wants lit; then
  PACKAGES+=("${CROSS_PACKAGES[@]}")
fi
install_packages

# While the compiler works, the network may.
python=$(python_path)
python_job=
if wants lit && [ -z "${CRIA_PYTHON:-}" ]; then
  (install_python) </dev/null >"$LOG/python.txt" 2>&1 &
  python_job=$!
  trap 'kill "$python_job" 2>/dev/null || true' EXIT
fi

if wants unit || wants lit; then
  # A Python of one's own may have it; CMake looks.
  halide=()
  if [ -z "${CRIA_PYTHON:-}" ]; then
    if folder=$(install_halide 2>"$LOG/halide.txt"); then
      halide=(-DCRIA_HALIDE="$folder")
    else
      warn "Halide could not be installed (log/halide.txt): its tests are skipped"
    fi
  fi
  say "building in build/"
  configure "$BUILD" -DCRIA_BUILD_TESTS=ON -DCRIA_PYTHON="$python" "${halide[@]}"
  compile "$BUILD"
fi
if wants fuzz; then
  say "building the fuzz targets in build/fuzz/"
  configure "$BUILD/fuzz" -DCRIA_BUILD_TESTS=ON -DCRIA_SANITIZE=ON
  compile "$BUILD/fuzz" fuzz-targets
fi

# ctest NAME FOLDER [ARGUMENT]...: what failed goes to the terminal.
run_ctest() {
  local name=$1 folder=$2
  shift 2
  results+=("$LOG/$name.xml")
  if ! ctest --test-dir "$folder" -j "$jobs" --output-on-failure --timeout 300 \
    --output-junit "$LOG/$name.xml" "$@" </dev/null >"$LOG/$name.txt" 2>&1; then
    grep -vE '^ *(Start +[0-9]+:|[0-9]+/[0-9]+ Test .* (Passed|\*\*\*Skipped) )' \
      "$LOG/$name.txt" || true
  fi
}

if wants unit; then
  say "GoogleTests"
  run_ctest unit "$BUILD" -E '^(lit$|fuzz_|sanitizer_)'
fi

if wants lit; then
  if [ -n "$python_job" ]; then
    wait "$python_job" || {
      tail -n 5 "$LOG/python.txt" >&2
      warn "the tests' Python modules could not be installed (log/python.txt): tests that need them are skipped"
      rm -rf "$(dirname "$(dirname "$python")")"
      export CRIA_PYTHON=python3
    }
    trap - EXIT
  fi
  say "lit"
  lit=$(sed -n 's/^LLVM_EXTERNAL_LIT:[^=]*=//p' "$BUILD/CMakeCache.txt")
  results+=("$LOG/lit.json")
  "$lit" -q -v -j "$jobs" -o "$LOG/lit.json" "$BUILD/test" </dev/null || true
fi

if wants fuzz; then
  say "fuzz"
  run_ctest fuzz "$BUILD/fuzz" -R '^(fuzz_|sanitizer_)'
fi

python3 "$ROOT/test/summary.py" "${results[@]}"
