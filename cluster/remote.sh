#!/usr/bin/env bash
# Export lines with which a laptop's shell submits grids to a cluster elsewhere.
set -euo pipefail

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

usage() {
  cat <<'END'
Lets this shell submit grids to a Ray cluster elsewhere, through a tunnel to its dashboard.

  eval "$(cluster/remote.sh [ADDRESS])"    ADDRESS of the tunnel's end here (default http://127.0.0.1:8265)
  ray job submit grids/ablation.yaml       uploads the project and runs the grid there

Makes the token ~/.ray/auth_token where there is none; the cluster must have the same one. Wants `ray` on PATH
or in .venv: the cluster's version, as `ray[default]`; nothing else of the environment is needed here.
END
}

case ${1:-} in
  help | --help | -h) usage; exit ;;
esac
address=${1:-http://127.0.0.1:8265}
[[ $address == http://* || $address == https://* ]] || {
  echo "remote.sh: $address is no address; allowed: http://127.0.0.1:8265 and the like" >&2
  exit 2
}

token=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
if [[ ! -s $token ]]; then
  (umask 077 && mkdir -p -- "$(dirname -- "$token")" && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$token")
  echo "made the token $token" >&2
fi
chmod 600 "$token" # Ray itself makes it readable for all

say() { printf 'export %s=%q\n' "$1" "$2"; }
say RAY_API_SERVER_ADDRESS "$address"
say RAY_AUTH_MODE token
say RAY_AUTH_TOKEN_PATH "$token"
say RAY_JOB_SUBMIT_HOOK grid_job.submit
say PYTHONPATH "$project/cluster/hook${PYTHONPATH:+:$PYTHONPATH}"
direct=${no_proxy:-${NO_PROXY:-}}
say no_proxy "${direct:+$direct,}127.0.0.1" # a proxy must not see the tunnel
if [[ -x $project/.venv/bin/ray ]]; then say PATH "$project/.venv/bin:$PATH"; fi
