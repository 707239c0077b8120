"""Object storage that speaks S3 on loopback, and a home on each of several machines before it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import fsspec

BUCKET = "qcrd"


class ObjectStorage:
    """A server (moto) in a process of its own, which can be frozen.

    It answers one request after the other: moto's conditional write is not atomic among threads, S3's is.
    """

    def __init__(self, port: int):
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "made up",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def served() -> Iterator[ObjectStorage]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    storage = ObjectStorage(port)
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.2)
        yield storage
    finally:
        storage.end()


def names(url: str) -> set[str]:
    """Of all that a bucket's folder has."""
    fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
    return {key.removeprefix(f"{root}/") for key in fs.find(root)}


def files(url: str) -> dict[str, bytes]:
    """The same with their content, where nobody writes meanwhile."""
    fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
    return {name: fs.cat_file(f"{root}/{name}") for name in names(url)}


def below(folder: Path) -> dict[str, bytes]:
    """All files of a folder of this machine, by name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def make_bucket() -> None:
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)


def _serve(port: int) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", port, DomainDispatcherApplication(create_backend_app), threaded=False)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
