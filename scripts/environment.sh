# Sourced by the commands beside it: goes to the repository's root and makes .venv there, once.
#
# Needs python3 3.11 or newer with venv and pip, nothing else. Afterwards "$PY" is the environment's interpreter.
#   GLYPH_PYTHON=…  use this interpreter as it is and install nothing (an environment of your own)
#   PYTHON=…        make .venv from this interpreter instead of python3

TORCH_RELEASE="torch==2.13.0"
TORCH_CPU_INDEX="https://download.pytorch.org/whl/cpu"

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

has_nvidia_gpu() {
    command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU '
}

# PyPI's torch for Linux is the CUDA build, gigabytes that a machine without a GPU has no use for. Taken alone, without
# dependencies, so that everything else comes from the index that pip is configured for.
install_cpu_torch() {
    say "no NVIDIA GPU found: installing the CPU build of $TORCH_RELEASE"
    if [[ $(uname -s) == Linux ]]; then
        pip_install --timeout 10 --retries 0 --no-deps --index-url "$TORCH_CPU_INDEX" "$TORCH_RELEASE" 2>/dev/null && return
        say "$TORCH_CPU_INDEX is out of reach: taking $TORCH_RELEASE from pip's own index, where it may be the larger CUDA build (that works too)"
    fi
    pip_install "$TORCH_RELEASE"
}

pip_install() {
    "$PY" -m pip --disable-pip-version-check install --quiet --no-input "$@"
}

check_python() {
    command -v "$1" >/dev/null || die "no $1 here; install Python 3.11 or newer, or name one: PYTHON=/path/to/python3"
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
        || die "$1 is $("$1" --version 2>&1); Glyph Serve needs Python 3.11 or newer, name one: PYTHON=/path/to/python3"
    "$1" -c 'import ensurepip, venv' 2>/dev/null \
        || die "$1 lacks venv or ensurepip; on Debian and Ubuntu: apt install python3-venv"
}

# Two marks, written last, so that an interrupted run starts over: what the environment was made with (when that
# changes, it is made anew) and what was installed into it.
ensure_environment() {
    if [[ -n ${GLYPH_PYTHON:-} ]]; then
        PY=$GLYPH_PYTHON
        return
    fi
    local python=${PYTHON:-python3} accelerator=cpu made_with installed
    check_python "$python"
    PY=$ROOT/.venv/bin/python
    if has_nvidia_gpu; then accelerator=cuda; fi
    made_with="$("$python" -c 'import sys; print(sys.version, sys.base_prefix)') $ROOT $accelerator"
    installed=$("$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())' <pyproject.toml)
    if [[ $(cat .venv/made-with 2>/dev/null) != "$made_with" ]]; then
        say "making .venv with $("$python" --version)"
        "$python" -m venv --clear .venv
        if [[ $accelerator == cpu ]]; then install_cpu_torch; fi
        printf '%s\n' "$made_with" >.venv/made-with
    fi
    if [[ $(cat .venv/installed 2>/dev/null) != "$installed" ]]; then
        say "installing Glyph Serve and its tools into .venv (a few minutes the first time)"
        pip_install --editable '.[dev]'
        printf '%s\n' "$installed" >.venv/installed
    fi
}
