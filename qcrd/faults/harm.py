"""The faults that `qcrd bench soak` injects: into processes, into files, into MLflow."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from qcrd.storage import journal
from qcrd.storage.home import RECORD, Home
from qcrd.tracking.server import Server

PAUSE = 5.0  # seconds that something hangs, is locked or away


def belonging(home: Home) -> list[psutil.Process]:
    """Every process that works in this home, orphans too: they have it in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            own = process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
            if own and process.environ().get("QCRD_HOME") == str(home.root):
                found.append(process)
    return found


def _nothing() -> threading.Thread:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    return thread


@dataclass
class Harm:
    """Does harm to a grid that runs in `home`, and to its MLflow.

    Each method says what it did, or None where there was nothing to hit.
    """

    home: Home
    mlflow: Server
    draw: random.Random
    _mlflow: threading.Thread = field(default_factory=_nothing, init=False)

    def anything(self) -> str | None:
        """One of those that a running grid has to bear."""
        return self.draw.choice(
            (
                self.kill_worker,
                self.kill_worker,  # the commonest: preempted, out of memory
                self.freeze_worker,
                self.flip_bit,
                self.cut_checkpoint,
                self.kill_mlflow,
                self.freeze_mlflow,
                self.lock_mlflow,
            )
        )()

    def anything_at_rest(self) -> str | None:
        """One of those that strike files while nobody works: a crash of the machine, a bad disk."""
        return self.draw.choice((self.tear_journal, self.tear_record, self.flip_bit, self.flip_sample))()

    def kill_worker(self) -> str | None:
        """SIGKILL for a cell's or a discriminator's process."""
        return self._to_worker("worker killed", lambda worker: worker.kill())

    def freeze_worker(self) -> str | None:
        """One that hangs for a while."""
        return self._to_worker("worker frozen", lambda worker: _for_a_while(worker.suspend, worker.resume))

    def kill_raylet(self) -> str | None:
        """The whole of Ray, as seen by its driver."""
        raylets = [p for p in belonging(self.home) if _title(p).endswith("/raylet")]
        if not raylets:
            return None
        raylets[0].kill()
        return "raylet killed"

    def _to_worker(self, what: str, act: Callable[[psutil.Process], object]) -> str | None:
        workers = [p for p in belonging(self.home) if _title(p).startswith("ray::ImplicitFunc")]
        workers += [p for p in belonging(self.home) if _title(p).startswith("ray::_pretrain")]
        with contextlib.suppress(IndexError, psutil.NoSuchProcess):
            act(self.draw.choice(workers))
            return what
        return None

    def flip_bit(self) -> str | None:
        """In a checkpoint."""
        return self._to_file("checkpoint's bit flipped", self._checkpoints(), self._flip)

    def cut_checkpoint(self) -> str | None:
        """To half its length."""
        return self._to_file("checkpoint cut", self._checkpoints(), _halve)

    def tear_journal(self) -> str | None:
        """In the middle of the last line of an unfinished cell's."""
        unfinished = [
            f
            for f in self.home.root.glob(f"cells/*/{journal.FILE}")
            if not f.with_name(RECORD).exists() and f.stat().st_size > 10
        ]
        return self._to_file("journal torn", unfinished, lambda f: os.truncate(f, f.stat().st_size - 5))

    def tear_record(self) -> str | None:
        """Of a finished cell, which so is unfinished again."""
        return self._to_file("record torn", list(self.home.root.glob(f"cells/*/{RECORD}")), _halve)

    def flip_sample(self) -> str | None:
        """In a file of the teacher's answers."""
        return self._to_file("sample's bit flipped", list(self.home.samples.glob("*/*.parquet")), self._flip)

    def _checkpoints(self) -> list[Path]:
        kinds = ("checkpoint-*.safetensors", "best-*.safetensors")
        return [path for kind in kinds for path in self.home.root.glob(f"cells/*/{kind}")]

    def _flip(self, path: Path) -> None:
        with path.open("r+b") as file:
            place = self.draw.randrange(path.stat().st_size)
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1 << self.draw.randrange(8)]))

    def _to_file(self, what: str, files: list[Path], act: Callable[[Path], object]) -> str | None:
        with contextlib.suppress(IndexError, FileNotFoundError, ValueError):
            act(self.draw.choice(sorted(files)))
            return what
        return None

    def kill_mlflow(self) -> str | None:
        """And start it again after a while."""

        def act() -> None:
            self.mlflow.kill()
            time.sleep(PAUSE)
            self.mlflow.start()

        return self._to_mlflow("MLflow killed", act)

    def freeze_mlflow(self) -> str | None:
        """It takes calls and does not answer."""

        def act() -> None:
            self.mlflow.signal(signal.SIGSTOP)
            time.sleep(PAUSE)
            self.mlflow.signal(signal.SIGCONT)

        return self._to_mlflow("MLflow frozen", act)

    def lock_mlflow(self) -> str | None:
        """Its database, as a backup does."""

        def act() -> None:
            with contextlib.suppress(sqlite3.OperationalError), _locked(self.mlflow.database):
                time.sleep(PAUSE)

        return self._to_mlflow("MLflow's database locked", act)

    def _to_mlflow(self, what: str, act: Callable[[], object]) -> str | None:
        """One at a time, and beside the others: it takes a while to come back."""
        if self._mlflow.is_alive():
            return None
        self._mlflow = threading.Thread(target=act)
        self._mlflow.start()
        return what

    def end(self) -> None:
        """Wait until MLflow is there again."""
        self._mlflow.join()


def _for_a_while(begin: Callable[[], object], end: Callable[[], object]) -> None:
    begin()

    def wake() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            end()

    threading.Timer(PAUSE, wake).start()


@contextlib.contextmanager
def _locked(database: Path) -> Iterator[None]:
    connection = sqlite3.connect(database, timeout=1)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.rollback()
    finally:
        connection.close()


def _halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _title(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return str(process.cmdline()[0])
    return ""
