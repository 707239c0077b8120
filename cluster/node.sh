#!/usr/bin/env bash
# Sets up and starts one machine of a cluster; called by Ray's launcher (`ray up`).
set -euo pipefail

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=${QCRD_VENV:-$project/.venv}
python=$venv/bin/python
unset PYTHONDONTWRITEBYTECODE

fail() { printf 'node.sh: %s\n' "$*" >&2; exit 2; }

usage() {
  cat <<'END'
Sets up and starts one machine of a cluster. The configuration files for `ray up` in this folder call it.

  cluster/node.sh mount SOURCE   mount the shared folder (NFS, HOST:/PATH) that contains QCRD_HOME
  cluster/node.sh setup          create .venv
  cluster/node.sh head           start MLflow (on loopback) and Ray's head, which runs the jobs
  cluster/node.sh worker         join the head at RAY_HEAD_IP

Variables
  QCRD_HOME             on storage that all machines share, at the same path; with QCRD_STORE on any disk
  QCRD_STORE            a bucket instead of shared storage, such as s3://BUCKET/FOLDER (docs/clusters.md)
  QCRD_WAIT_FOR_GPUS    number of GPUs that a grid waits for (clusters that start GPU nodes on demand)
  MLFLOW_TRACKING_URI   an existing MLflow server, instead of one on the head
END
}

mount_shared() {
  local source=${1:?node.sh: mount needs HOST:/PATH} folder
  folder=$(dirname -- "${QCRD_HOME:?node.sh: set QCRD_HOME}")
  mountpoint -q "$folder" && return
  command -v mount.nfs4 >/dev/null || { sudo apt-get update -q && sudo apt-get install -qy nfs-common; }
  sudo mkdir -p "$folder"
  sudo mount -t nfs4 -o nfsvers=4.1,hard,noresvport "$source" "$folder"
  sudo install -d -o "$(id -un)" -m 700 "$QCRD_HOME"
}

# Ray's processes pass the variables exported here on to their jobs.
start() {
  local name
  [[ -x $python ]] || fail "$venv is not set up: cluster/node.sh setup"
  export QCRD_HOME=${QCRD_HOME:?node.sh: set QCRD_HOME} PATH=$venv/bin:$PATH
  export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
  [[ -s $RAY_AUTH_TOKEN_PATH ]] ||
    fail "$RAY_AUTH_TOKEN_PATH is missing; generate it on your own machine (cluster/remote.sh) and run ray up again"
  chmod 600 "$RAY_AUTH_TOKEN_PATH"
  # Variables of another cluster would make Ray connect to it.
  for name in RAY_ADDRESS RAY_API_SERVER_ADDRESS; do unset "$name"; done
  # Ray makes its folder writable for every account, so put it into a private one.
  export RAY_TMPDIR=${RAY_TMPDIR:-/tmp/qcrd-$(id -u)}
  (umask 077 && mkdir -p "$RAY_TMPDIR")
  ulimit -n 65536 2>/dev/null || true
  ray stop --grace-period 30 >/dev/null
  cd "$project"
  ray start --disable-usage-stats "$@"
}

head_node() {
  local exports
  if [[ -z ${MLFLOW_TRACKING_URI:-} ]]; then
    exports=$("$python" cluster/services mlflow)
    eval "$exports"
  fi
  # Dashboard and jobs are reached only through a tunnel. The launcher writes the file for Ray's autoscaler.
  start --head --port=6379 --dashboard-host=127.0.0.1 \
    --autoscaling-config="${RAY_BOOTSTRAP_CONFIG:-$HOME/ray_bootstrap_config.yaml}"
}

cd "$project"
command=${1:-help}
[[ $# -eq 0 ]] || shift
case $command in
  mount) mount_shared "$@" ;;
  setup) cluster/local.sh setup ;;
  head) head_node ;;
  worker) start "--address=${RAY_HEAD_IP:?node.sh: the launcher sets RAY_HEAD_IP}:6379" ;;
  help | --help | -h) usage ;;
  *) usage >&2; fail "unknown command: $command" ;;
esac
