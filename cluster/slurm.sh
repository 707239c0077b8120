#!/usr/bin/env bash
#SBATCH --job-name=qcrd
#SBATCH --nodes=1
#SBATCH --exclusive
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A-%a.log
# Runs a grid in a Slurm allocation. Submit it in the project's folder, with QCRD_HOME on shared storage:
#   sbatch --nodes=2 --gpus-per-node=8 cluster/slurm.sh grids/table1.yaml
#   sbatch --array=0-2 --gpus-per-node=8 cluster/slurm.sh grids/table1.yaml grids/table2.yaml grids/table5.yaml
# Two minutes before the time limit the job stops and requeues itself; the next job resumes the grid. It needs whole
# nodes (--exclusive), because stopping Ray on a node stops every Ray process of the account there.
set -euo pipefail

fail() { printf 'slurm.sh: %s\n' "$*" >&2; exit 2; }

[[ -n ${SLURM_JOB_ID:-} ]] || fail "not a Slurm job; use: sbatch cluster/slurm.sh grids/quickstart.yaml"
cd "$SLURM_SUBMIT_DIR" # Slurm runs a copy of this script in another folder
venv=${QCRD_VENV:-$PWD/.venv}
[[ -f cluster/slurm.sh ]] || fail "submit it from the project's folder, not from $PWD"
[[ -x $venv/bin/python ]] || fail "$venv is not set up: cluster/local.sh setup, on a node with GPUs"
grids=("$@")
grid=${grids[${SLURM_ARRAY_TASK_ID:-0}]:-}
[[ -f $grid ]] || fail "no grid number ${SLURM_ARRAY_TASK_ID:-0} among: ${grids[*]:-none}"

export PATH=$venv/bin:$PATH QCRD_HOME=${QCRD_HOME:-$HOME/.qcrd}
unset PYTHONDONTWRITEBYTECODE RAY_API_SERVER_ADDRESS
nodes=$SLURM_JOB_NUM_NODES
port=$((20000 + SLURM_JOB_ID % 20000))
if ((nodes == 1)); then
  address=127.0.0.1:$port
  export RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 # Ray then listens on loopback only
else
  # Slurm runs this on the first node, Ray's head. Use its IP address: its name may resolve to 127.0.1.1.
  address=${QCRD_HEAD_IP:-$(hostname --all-ip-addresses | cut -d ' ' -f 1)}:$port
fi
export RAY_ADDRESS=$address RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
export RAY_TMPDIR=/tmp/qcrd-$UID-$SLURM_JOB_ID # Ray makes its folder writable for all accounts

# One token for all jobs of this home. The hard link is atomic, so two jobs may start at the same time.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$QCRD_HOME/local/ray_token
if [[ ! -s $RAY_AUTH_TOKEN_PATH ]]; then
  (umask 077 && mkdir -p "$QCRD_HOME/local")
  draft=$(mktemp "$QCRD_HOME/local/.ray_token.XXXXXX")
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$draft"
  ln "$draft" "$RAY_AUTH_TOKEN_PATH" 2>/dev/null || true
  rm "$draft"
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
again='' step=''
trap 'again=yes; kill -TERM "$(cat "$scratch/driver" || echo "$step")" || true' USR1 # close to the time limit
trap 'kill -TERM "$(cat "$scratch/driver" || echo "$step")" || true' TERM             # scancel: do not requeue

# Every node runs Ray. The head also runs the grid and writes its process id for the traps above.
# shellcheck disable=SC2016  # expanded by the inner shells
srun --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 --cpu-bind=none --kill-on-bad-exit=0 \
  bash -c '(umask 077 && mkdir -p "$RAY_TMPDIR") && ray symmetric-run "$@"; code=$?; rm -rf "$RAY_TMPDIR"; exit $code' \
  node --address "$address" --min-nodes "$nodes" --include-dashboard=false --disable-usage-stats -- \
  bash -c 'echo $$ >"$0"; exec "$@"' "$scratch/driver" python -m qcrd run "$grid" &
step=$!
code=0
while kill -0 "$step" 2>/dev/null; do # a signal interrupts `wait`
  code=0
  wait "$step" || code=$?
done
if [[ -n $again && $code -ne 0 ]]; then
  echo "stopped before the time limit; the job is queued again"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
