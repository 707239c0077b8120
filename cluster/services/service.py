"""The record of a running service, and its location."""

import contextlib
import json
import os
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from credentials import Credentials

HOME = Path(os.environ.get("QCRD_HOME") or Path.home() / ".qcrd").expanduser().absolute()
STATE = HOME / "local"
SECRETS = Credentials(STATE)
HOST = "127.0.0.1"
MARK = "QCRD_SERVICE"
"""Environment variable that all child processes of a service inherit. Its value is new at each start, so it
distinguishes them from another process that was later given the same pid."""


@dataclass(frozen=True)
class Service:
    """The record of one running service."""

    name: str
    pid: int
    mark: str
    ports: dict[str, int]
    project: str
    scratch: str
    """Private parent of Ray's folder, which Ray makes accessible to all accounts. In /tmp, because paths of
    Unix sockets are limited to 107 bytes."""

    @property
    def log(self) -> Path:
        """File with the output of the service."""
        return STATE / f"{self.name}.log"

    @property
    def session(self) -> Path:
        """Ray's folder."""
        return Path(self.scratch) / "ray"

    @property
    def url(self) -> str:
        """Address of the web page: Ray's dashboard or MLflow."""
        return f"http://{HOST}:{self.ports['dashboard' if self.name == 'ray' else 'http']}"

    def save(self) -> None:
        """Write the record atomically."""
        draft = STATE / f".{self.name}.json"
        draft.write_text(json.dumps(asdict(self), indent=2))
        draft.chmod(0o600)
        draft.rename(STATE / f"{self.name}.json")

    def alive(self) -> bool:
        """Whether the recorded process still runs, and its pid was not reused."""
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(self.pid)
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == self.mark
        return False

    def answers(self) -> bool:
        """Whether all ports respond and a request with the token or password succeeds."""
        page = "/api/jobs/" if self.name == "ray" else "/api/2.0/mlflow/experiments/search?max_results=1"
        with contextlib.suppress(OSError, ValueError):
            for port in self.ports.values():
                socket.create_connection((HOST, port), timeout=10).close()
            self.fetch(page)
            # Ray writes this file last, when its node has joined; jobs read the head's address from it.
            return self.name != "ray" or (self.session / "ray_current_cluster").exists()
        return False

    def fetch(self, page: str) -> bytes:
        """GET a page of the service.

        Raises:
            OSError: if the request fails.
        """
        headers = SECRETS.header(self.name)
        request = urllib.request.Request(self.url + page, headers=headers)  # noqa: S310 - http on loopback
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as reply:
            return reply.read()


def load(name: str) -> Service | None:
    """The record of a service, or None if there is no readable one."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Service(**json.loads((STATE / f"{name}.json").read_text()))
    return None


def processes(service: Service) -> Iterator[psutil.Process]:
    """All running processes of a service: those with its mark, and those of its session that have replaced
    their environment by a process title, as Ray's workers do."""
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            environment = process.environ()
            titled = not environment and os.getsid(pid) == service.pid
            if titled or environment.get(MARK) == service.mark:
                yield process
