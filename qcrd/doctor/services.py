"""Checks of Ray and MLflow: whether they answer, and refuse unauthorised callers."""

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

JOIN_LIMIT = 60.0  # seconds to join a cluster as a driver
_UP = '`cluster/local.sh up`, then eval "$(cluster/local.sh env)"'


def ray() -> Iterator[Check]:
    """Join the cluster of RAY_ADDRESS as a driver, and call its Jobs API with and without token."""
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        yield ok("Ray", "RAY_ADDRESS is not set: a run starts its own Ray on loopback")
    else:
        yield from _token()
        yield _joined(address)
    page = os.environ.get("RAY_API_SERVER_ADDRESS", "")
    if page.startswith("http"):
        yield jobs(page, token())


def token() -> str | None:
    """The token that Ray's clients send, looked up in the same places as Ray does."""
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return token
    try:
        return _token_file().read_text().strip() or None
    except OSError:
        return None


def jobs(page: str, token: str | None) -> Check:
    """Check that the Jobs API requires our token: any accepted caller can run programs.

    Args:
        page: address of Ray's dashboard.
        token: the token that clients on this machine send.
    """
    url = f"{page.rstrip('/')}/api/jobs/"
    answer = web.status(url, {"Authorization": f"Bearer {token}"} if token else {})
    if isinstance(answer, str):
        return error("Ray's jobs", f"{page}: {answer}", _UP)
    if answer in (401, 403):
        return error(
            "Ray's jobs",
            f"{page} refuses our token" if token else f"{page} requires a token, and none is set",
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE with the cluster's token",
        )
    if answer != 200:
        return error("Ray's jobs", f"{page} answers {answer}", "is it Ray's dashboard? see its log")
    if web.status(url) == 200:
        found = f"{page} lets every caller run programs"
        return error("Ray's jobs", found, "start Ray with RAY_AUTH_MODE=token, as `cluster/local.sh up` does")
    return ok("Ray's jobs", f"{page} accepts our token and refuses callers without it")


def mlflow(uri: str | None) -> Iterator[Check]:
    """Check that the tracking server accepts our runs and refuses callers without credentials."""
    if not uri:
        yield ok("MLflow", "MLFLOW_TRACKING_URI is not set: journals stay local until `qcrd sync`")
        return
    if not uri.startswith("http"):
        yield ok("MLflow", f"{uri}: a local store without a server; file permissions control access")
        return
    answer = web.status(f"{uri.rstrip('/')}/health")
    if answer != 200:
        why = answer if isinstance(answer, str) else f"answers {answer}"
        yield warning(
            "MLflow", f"{uri}: {why}", f"{_UP}; nothing is lost meanwhile, `qcrd sync GRID` sends it later"
        )
        return
    from qcrd.tracking.mlflow.client import refusal

    if refused := refusal(uri):
        yield warning(
            "MLflow",
            f"{uri}: {refused}",
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (`cluster/local.sh env` exports them); "
            "nothing is lost meanwhile, `qcrd sync GRID` sends it later",
        )
    elif open_to_all(uri):
        who = "every account of this machine" if web.loopback(uri) else "every host that can reach it"
        yield warning(
            "MLflow",
            f"{uri} accepts callers without credentials: {who} can change and delete runs",
            "start it with --app-name basic-auth, as `cluster/local.sh up` does",
        )
    else:
        yield ok("MLflow", f"{uri} accepts our runs and refuses callers without credentials")


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
            "RAY_AUTH_MODE is not set: Ray's clients then send no token to RAY_ADDRESS",
            "export RAY_AUTH_MODE=token (or disabled, on a cluster without tokens)",
        )


def cluster() -> list[Node] | str | None:
    """The nodes of RAY_ADDRESS' cluster, or the reason why it cannot be joined; None without RAY_ADDRESS."""
    address = os.environ.get("RAY_ADDRESS")
    return _nodes(address) if address else None


@lru_cache(maxsize=1)
def _nodes(address: str) -> list[Node] | str:
    """The nodes of the cluster at RAY_ADDRESS, or the reason why it cannot be joined.

    Joins in a child process: joining may hang, and Ray reads its environment variables on import.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=web.LIMIT).close()
        except OSError as trouble:
            return str(trouble)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "qcrd.grid.cluster.probe"],
            capture_output=True,
            text=True,
            timeout=JOIN_LIMIT,
        )
    except subprocess.TimeoutExpired:
        return f"does not answer within {JOIN_LIMIT:g} s"
    try:
        return [Node(*each) for each in json.loads(result.stdout.splitlines()[-1])]
    except (IndexError, TypeError, ValueError):
        return (result.stderr.strip().splitlines() or ["no reason given"])[-1]


def _joined(address: str) -> Check:
    nodes = _nodes(address)
    if isinstance(nodes, str):
        remedy = (
            f"{_UP}; the cluster requires its versions of Ray and Python, and its token. Without RAY_ADDRESS "
            "a run starts its own Ray"
        )
        return error("Ray", f"{address}: {nodes}", remedy)
    cpus, gpus = (sum(each) for each in zip(*nodes, strict=True))
    count = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    return ok("Ray", f"{address}: {cpus:g} CPUs, {gpus:g} GPUs on {count}")
