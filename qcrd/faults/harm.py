"""The faults that `qcrd bench soak` injects into processes, files and MLflow."""

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

PAUSE = 5.0  # seconds that a process is frozen or stopped, or a database locked


def belonging(home: Home) -> list[psutil.Process]:
    """Every process that uses this home, orphans included, found by QCRD_HOME in its environment."""
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            own = process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
            if own and process.environ().get("QCRD_HOME") == str(home.root):
                processes.append(process)
    return processes


def _finished_thread() -> threading.Thread:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    return thread


@dataclass
class Harm:
    """Injects faults into a grid that runs in `home`, and into its MLflow server.

    Each method returns a description of the fault, or None if there was no target.
    """

    home: Home
    mlflow: Server
    draw: random.Random
    _mlflow: threading.Thread = field(default_factory=_finished_thread, init=False)

    def anything(self) -> str | None:
        """Inject a random fault that a running grid must tolerate."""
        return self.draw.choice(
            (
                self.kill_worker,
                self.kill_worker,  # twice, as the most common fault: preemption, out of memory
                self.freeze_worker,
                self.flip_bit,
                self.cut_checkpoint,
                self.kill_mlflow,
                self.freeze_mlflow,
                self.lock_mlflow,
            )
        )()

    def anything_at_rest(self) -> str | None:
        """Damage a random file while no driver runs, as after a machine crash or a disk error."""
        return self.draw.choice((self.tear_journal, self.tear_record, self.flip_bit, self.flip_sample))()

    def kill_worker(self) -> str | None:
        """Kill a cell's or a discriminator's process with SIGKILL."""
        return self._to_worker("worker killed", lambda worker: worker.kill())

    def freeze_worker(self) -> str | None:
        """Suspend a cell's or a discriminator's process for `PAUSE` seconds."""
        return self._to_worker("worker frozen", lambda worker: _for_a_while(worker.suspend, worker.resume))

    def kill_raylet(self) -> str | None:
        """Kill the raylet; to the driver, all of Ray is gone."""
        raylets = [p for p in belonging(self.home) if _title(p).endswith("/raylet")]
        if not raylets:
            return None
        raylets[0].kill()
        return "raylet killed"

    def _to_worker(self, description: str, act: Callable[[psutil.Process], object]) -> str | None:
        workers = [p for p in belonging(self.home) if _title(p).startswith("ray::ImplicitFunc")]
        workers += [p for p in belonging(self.home) if _title(p).startswith("ray::_pretrain")]
        with contextlib.suppress(IndexError, psutil.NoSuchProcess):
            act(self.draw.choice(workers))
            return description
        return None

    def flip_bit(self) -> str | None:
        """Flip a random bit of a checkpoint."""
        return self._to_file("checkpoint's bit flipped", self._checkpoints(), self._flip)

    def cut_checkpoint(self) -> str | None:
        """Truncate a checkpoint to half its length."""
        return self._to_file("checkpoint cut", self._checkpoints(), _halve)

    def tear_journal(self) -> str | None:
        """Truncate the journal of an unfinished cell in the middle of its last line."""
        unfinished = [
            f
            for f in self.home.root.glob(f"cells/*/{journal.FILE}")
            if not f.with_name(RECORD).exists() and f.stat().st_size > 10
        ]
        return self._to_file("journal torn", unfinished, lambda f: os.truncate(f, f.stat().st_size - 5))

    def tear_record(self) -> str | None:
        """Truncate the record of a finished cell, which makes the cell unfinished."""
        return self._to_file("record torn", list(self.home.root.glob(f"cells/*/{RECORD}")), _halve)

    def flip_sample(self) -> str | None:
        """Flip a random bit of a file with teacher's answers."""
        return self._to_file("sample's bit flipped", list(self.home.samples.glob("*/*.parquet")), self._flip)

    def _checkpoints(self) -> list[Path]:
        kinds = ("checkpoint-*.safetensors", "snapshot-*.safetensors", "best-*.safetensors")
        return [path for kind in kinds for path in self.home.root.glob(f"cells/*/{kind}")]

    def _flip(self, path: Path) -> None:
        with path.open("r+b") as file:
            offset = self.draw.randrange(path.stat().st_size)
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1 << self.draw.randrange(8)]))

    def _to_file(self, description: str, files: list[Path], act: Callable[[Path], object]) -> str | None:
        with contextlib.suppress(IndexError, FileNotFoundError, ValueError):
            act(self.draw.choice(sorted(files)))
            return description
        return None

    def kill_mlflow(self) -> str | None:
        """Kill the MLflow server and restart it after `PAUSE` seconds."""

        def act() -> None:
            self.mlflow.kill()
            time.sleep(PAUSE)
            self.mlflow.start()

        return self._to_mlflow("MLflow killed", act)

    def freeze_mlflow(self) -> str | None:
        """Suspend the MLflow server: it accepts connections and does not answer."""

        def act() -> None:
            self.mlflow.signal(signal.SIGSTOP)
            time.sleep(PAUSE)
            self.mlflow.signal(signal.SIGCONT)

        return self._to_mlflow("MLflow frozen", act)

    def lock_mlflow(self) -> str | None:
        """Lock the MLflow database, as a backup does."""

        def act() -> None:
            with contextlib.suppress(sqlite3.OperationalError), _locked(self.mlflow.database):
                time.sleep(PAUSE)

        return self._to_mlflow("MLflow's database locked", act)

    def _to_mlflow(self, description: str, act: Callable[[], object]) -> str | None:
        """Inject the fault in a background thread, unless another MLflow fault is still active."""
        if self._mlflow.is_alive():
            return None
        self._mlflow = threading.Thread(target=act)
        self._mlflow.start()
        return description

    def end(self) -> None:
        """Wait until the last MLflow fault is over."""
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
