"""An MLflow server of one's own: on loopback, in a folder, for as long as it is wanted."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from qcrd.errors import QcrdError

START_LIMIT = 180.0  # seconds; 13 on a quiet machine
_ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers."""

    uri: str
    process: subprocess.Popen

    def cpu_seconds(self) -> float:
        """CPU time of all its processes so far."""
        first = psutil.Process(self.process.pid)
        spent = 0.0
        for process in (first, *first.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                spent += sum(process.cpu_times()[:2])
        return spent


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Server]:
    """A server whose store is in `folder`; it ends with the context.

    Raises:
        QcrdError: where it does not answer in time; its log says why.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(f"http://127.0.0.1:{port}", process)
    try:
        _await(server, log)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the group: the server and its worker
        process.wait()


def _await(server: Server, log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot see loopback
    deadline = time.monotonic() + START_LIMIT
    while server.process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, urllib.error.URLError):
            direct.open(f"{server.uri}/health", timeout=10).close()
            return
        time.sleep(0.2)
    raise QcrdError(f"the MLflow server does not answer at {server.uri}; its log: {log.read_text()[-500:]}")
