"""Ray, MLflow and the Hub: whether they answer us, and refuse others."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from qcrd.doctor import web
from qcrd.doctor.access import private
from qcrd.doctor.check import Check, error, ok, warning
from qcrd.grid.cluster.shares import Node

JOIN_LIMIT = 60.0  # seconds to join a cluster as a driver does
_UP = '`cluster/local.sh up`, then eval "$(cluster/local.sh env)"'


def ray() -> Iterator[Check]:
    """The cluster of RAY_ADDRESS, joined as a driver joins it, and its jobs page with and without token."""
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        yield ok("Ray", "RAY_ADDRESS is not set: a run starts a Ray of its own, on loopback")
    else:
        yield from _token()
        yield _joined(address)
    page = os.environ.get("RAY_API_SERVER_ADDRESS", "")
    if page.startswith("http"):
        yield jobs(page, token())


def token() -> str | None:
    """The token that Ray's clients send, found as Ray finds it."""
    if said := os.environ.get("RAY_AUTH_TOKEN"):
        return said
    try:
        return _token_file().read_text().strip() or None
    except OSError:
        return None


def jobs(page: str, token: str | None) -> Check:
    """Whether the Jobs API takes our token and nobody without it: who gets in runs programs.

    Args:
        page: address of Ray's dashboard.
        token: ours.
    """
    url = f"{page.rstrip('/')}/api/jobs/"
    known = web.status(url, {"Authorization": f"Bearer {token}"} if token else {})
    if isinstance(known, str):
        return error("Ray's jobs", f"{page}: {known}", _UP)
    if known in (401, 403):
        return error(
            "Ray's jobs",
            f"{page} refuses our token" if token else f"{page} wants a token, and there is none",
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE with the cluster's token",
        )
    if known != 200:
        return error("Ray's jobs", f"{page} answers {known}", "is it Ray's dashboard? see its log")
    if web.status(url) == 200:
        found = f"{page} lets anybody run programs who reaches it"
        return error("Ray's jobs", found, "start Ray with RAY_AUTH_MODE=token, as `cluster/local.sh up` does")
    return ok("Ray's jobs", f"{page} takes our token and refuses callers without")


def mlflow(uri: str | None) -> Iterator[Check]:
    """The tracking server: whether it takes our runs, and refuses callers without credentials."""
    if not uri:
        yield ok("MLflow", "MLFLOW_TRACKING_URI is not set: journals stay local until `qcrd sync`")
        return
    if not uri.startswith("http"):
        yield ok("MLflow", f"{uri}: no server, whoever may read the file is let in")
        return
    answered = web.status(f"{uri.rstrip('/')}/health")
    if answered != 200:
        why = answered if isinstance(answered, str) else f"answers {answered}"
        yield warning(
            "MLflow", f"{uri}: {why}", f"{_UP}; runs lose nothing meanwhile, `qcrd sync GRID` sends it later"
        )
        return
    from qcrd.tracking.mlflow.client import refusal

    if refused := refusal(uri):
        yield warning(
            "MLflow",
            f"{uri}: {refused}",
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (`cluster/local.sh env` exports them); "
            "runs lose nothing meanwhile, `qcrd sync GRID` sends it later",
        )
    elif open_to_all(uri):
        who = "every account of this machine" if web.loopback(uri) else "everybody who reaches it"
        yield warning(
            "MLflow",
            f"{uri} takes callers without credentials: {who} can change and delete runs",
            "start it with --app-name basic-auth, as `cluster/local.sh up` does",
        )
    else:
        yield ok("MLflow", f"{uri} takes our runs and refuses callers without credentials")


def open_to_all(uri: str) -> bool:
    """Whether an MLflow server lists its experiments to callers without credentials."""
    return web.status(f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1") == 200


def _token_file() -> Path:
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()


def _token() -> Iterator[Check]:
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode == "token":
        if token() is None:
            yield error(
                "Ray's token",
                f"RAY_AUTH_MODE=token, but there is none at {_token_file()}",
                f"{_UP}; or RAY_AUTH_TOKEN_PATH=FILE with the cluster's token",
            )
        elif not os.environ.get("RAY_AUTH_TOKEN"):
            yield private("Ray's token", _token_file())
    elif mode is None:
        yield warning(
            "Ray's token",
            "RAY_AUTH_MODE is not set: with RAY_ADDRESS Ray's clients then send none",
            "export RAY_AUTH_MODE=token (or disabled, on a cluster that wants none)",
        )


def cluster() -> list[Node] | str | None:
    """The nodes of the cluster of RAY_ADDRESS, in words why it cannot be joined, None without one."""
    address = os.environ.get("RAY_ADDRESS")
    return _nodes(address) if address else None


@lru_cache(maxsize=1)
def _nodes(address: str) -> list[Node] | str:
    """The nodes of the cluster at RAY_ADDRESS, or why it cannot be joined.

    Joined in a process of its own: it may hang, and Ray reads its variables when it is imported.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=web.LIMIT).close()
        except OSError as trouble:
            return str(trouble)
    try:
        told = subprocess.run(
            [sys.executable, "-m", "qcrd.grid.reach"], capture_output=True, text=True, timeout=JOIN_LIMIT
        )
    except subprocess.TimeoutExpired:
        return f"does not answer within {JOIN_LIMIT:g} s"
    try:
        return [Node(*each) for each in json.loads(told.stdout.splitlines()[-1])]
    except (IndexError, TypeError, ValueError):
        return (told.stderr.strip().splitlines() or ["no reason given"])[-1]


def _joined(address: str) -> Check:
    have = _nodes(address)
    if isinstance(have, str):
        remedy = (
            f"{_UP}; it wants the same Ray and Python, and its token. Without RAY_ADDRESS a run has its own"
        )
        return error("Ray", f"{address}: {have}", remedy)
    cpus, gpus = (sum(each) for each in zip(*have, strict=True))
    nodes = "1 node" if len(have) == 1 else f"{len(have)} nodes"
    return ok("Ray", f"{address}: {cpus:g} CPUs, {gpus:g} GPUs on {nodes}")
