"""A temporary MLflow server on loopback, with its store in a folder."""

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
from pathlib import Path

import psutil

from qcrd.errors import QcrdError

START_LIMIT = 180.0  # seconds; 13 on a quiet machine
_ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class Server:
    """An MLflow server that can be killed and restarted on the same store and address.

    Attributes:
        uri: its address.
        process: the server's process; its workers are in the same process group.
    """

    process: subprocess.Popen[bytes]

    def __init__(self, folder: Path):
        """Choose a free port for a server with its store in `folder`; call `start` to start it."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{port}"
        self.database = folder / "mlflow.db"
        self._log = folder / "server.log"
        self._command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--workers", "1", "--backend-store-uri", f"sqlite:///{self.database}"),
            *("--artifacts-destination", str(folder / "artifacts")),
        ]

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            QcrdError: if it does not answer in time; the message has the end of its log.
        """
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                env={**os.environ, **_ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach loopback
        deadline = time.monotonic() + START_LIMIT
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, urllib.error.URLError):
                direct.open(f"{self.uri}/health", timeout=10).close()
                return
            time.sleep(0.2)
        self.kill()
        raise QcrdError(f"no MLflow server answers at {self.uri}; its log: {self._log.read_text()[-500:]}")

    def signal(self, number: int) -> None:
        """Send a signal to all processes of the server."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def cpu_seconds(self) -> float:
        """Total CPU time of all processes of the server, in seconds."""
        first = psutil.Process(self.process.pid)
        spent = 0.0
        for process in (first, *first.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                spent += sum(process.cpu_times()[:2])
        return spent


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Server]:
    """Context manager that runs a server with its store in `folder`.

    Raises:
        QcrdError: if the server does not start; see `Server.start`.
    """
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
