#!/usr/bin/env bash
# What each machine of a cluster does when Ray's launcher (`ray up`) sets it up and starts it.
set -euo pipefail

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=${QCRD_VENV:-$project/.venv}
python=$venv/bin/python
unset PYTHONDONTWRITEBYTECODE

fail() { printf 'node.sh: %s\n' "$*" >&2; exit 2; }

usage() {
  cat <<'END'
Prepares and starts a machine of a cluster; the files for `ray up` beside this one call it.

  cluster/node.sh mount SOURCE   mount the shared folder (NFS, as HOST:/PATH) where QCRD_HOME lies
  cluster/node.sh setup          make .venv
  cluster/node.sh head           start MLflow (on loopback) and Ray's head, of which jobs are children
  cluster/node.sh worker         join the head at RAY_HEAD_IP

Variables
  QCRD_HOME             on storage that all machines share, the same path on each; with QCRD_STORE on any disk
  QCRD_STORE            a bucket instead of shared storage, such as s3://BUCKET/FOLDER (docs/clusters.md)
  QCRD_WAIT_FOR_GPUS    GPUs that a grid waits for before it begins (a cluster that starts its GPUs on demand)
  MLFLOW_TRACKING_URI   an MLflow server of yours, instead of one on the head
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

# Ray's processes give their jobs what is exported here.
start() {
  local name
  [[ -x $python ]] || fail "$venv is not set up: cluster/node.sh setup"
  export QCRD_HOME=${QCRD_HOME:?node.sh: set QCRD_HOME} PATH=$venv/bin:$PATH
  export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
  [[ -s $RAY_AUTH_TOKEN_PATH ]] ||
    fail "$RAY_AUTH_TOKEN_PATH is missing; make it on your own machine (cluster/remote.sh) and call ray up again"
  chmod 600 "$RAY_AUTH_TOKEN_PATH"
  # A shell of another cluster's would send Ray there.
  for name in RAY_ADDRESS RAY_API_SERVER_ADDRESS; do unset "$name"; done
  # Ray lets every account write into its folder.
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
  # The pages and the jobs are reached through a tunnel alone. The launcher leaves a file for Ray's autoscaler.
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
