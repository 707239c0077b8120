#!/usr/bin/env bash
# Prints export lines with which a local shell submits grids to a remote cluster.
set -euo pipefail

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

usage() {
  cat <<'END'
Lets this shell submit grids to a remote Ray cluster, through a tunnel to its dashboard.

  eval "$(cluster/remote.sh [ADDRESS])"    ADDRESS: local end of the tunnel (default http://127.0.0.1:8265)
  ray job submit grids/ablation.yaml       uploads the project and runs the grid there

Creates the token ~/.ray/auth_token if it does not exist; the cluster must use the same token. Requires `ray` on
PATH or in .venv: the cluster's version of `ray[default]`. Nothing else has to be installed here.
END
}

case ${1:-} in
  help | --help | -h) usage; exit ;;
esac
address=${1:-http://127.0.0.1:8265}
[[ $address == http://* || $address == https://* ]] || {
  echo "remote.sh: $address is no address; allowed: an http or https URL, such as http://127.0.0.1:8265" >&2
  exit 2
}

token=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
if [[ ! -s $token ]]; then
  (umask 077 && mkdir -p -- "$(dirname -- "$token")" && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$token")
  echo "created the token $token" >&2
fi
chmod 600 "$token" # Ray creates it readable for all accounts

say() { printf 'export %s=%q\n' "$1" "$2"; }
say RAY_API_SERVER_ADDRESS "$address"
say RAY_AUTH_MODE token
say RAY_AUTH_TOKEN_PATH "$token"
say RAY_JOB_SUBMIT_HOOK grid_job.submit
say PYTHONPATH "$project/cluster/hook${PYTHONPATH:+:$PYTHONPATH}"
direct=${no_proxy:-${NO_PROXY:-}}
say no_proxy "${direct:+$direct,}127.0.0.1" # do not send requests to the tunnel through a proxy
if [[ -x $project/.venv/bin/ray ]]; then say PATH "$project/.venv/bin:$PATH"; fi
