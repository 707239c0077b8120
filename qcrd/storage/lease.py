"""Leases: exclusive access to a folder that expires if its holder dies, also on storage shared by many hosts.

A lease is a numbered file or object. The process that exclusively creates the next number holds the lease, so
exactly one of several competing processes wins. The highest number counts, so a holder that was suspended
while another process took over detects it. Exclusive creation is all that the storage must support: `flock`
is unreliable on some shared file systems, filelock's soft lease exchanges names, which NFS refuses, and
object storage has neither.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import psutil

from qcrd.errors import StoreError

log = logging.getLogger(__name__)

EXPIRY = 60.0  # seconds without a heartbeat after which a holder on another machine counts as dead
POLL = 0.5  # seconds between two attempts of a waiting process
SAY = 60.0  # seconds between two log messages of a waiting process

_FREE = ".free"  # suffix of the file's name after release


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a lease, as recorded in the lease's file."""

    host: str
    pid: int
    since: str  # local time on its host
    machine: str  # identifies the boot and the PID namespace in which `pid` is valid

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class LeaseLost(StoreError):
    """Another process has taken over the lease of this one."""


class LeaseStore(Protocol):
    """Storage for the numbered files of a lease. Failures raise OSError."""

    beats: int  # heartbeats per expiry time

    def __str__(self) -> str:
        """The leased folder, for messages."""

    def names(self) -> list[str]:
        """Names of all files; empty if the store does not exist yet."""

    def create(self, name: str, text: str) -> None:
        """Create a file exclusively: of concurrent calls one succeeds, the others raise FileExistsError."""

    def look(self, name: str) -> tuple[str, str]:
        """The file's text, and a value that changes with every heartbeat.

        Raises:
            FileNotFoundError: if the file does not exist.
        """

    def beat(self, name: str) -> None:
        """Send a heartbeat; may re-create a file that was deleted."""

    def rename(self, name: str, new: str) -> None:
        """Rename a file; must work on a full disk."""

    def remove(self, name: str) -> None:
        """Delete a file if it exists."""


class FolderLeases:
    """Numbered files in a folder; a `LeaseStore`."""

    beats = 12

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return str(self.path.parent)

    def names(self) -> list[str]:
        """Names of all files."""
        with suppress(FileNotFoundError):
            return os.listdir(self.path)
        return []

    def create(self, name: str, text: str) -> None:
        """Create a file exclusively."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / name, "x") as file:
            file.write(text)

    def look(self, name: str) -> tuple[str, str]:
        """The file's text and its modification time."""
        # Opening the file queries the server; a mere stat may be answered from a cache.
        with open(self.path / name) as file:
            return file.read(), str(os.fstat(file.fileno()).st_mtime_ns)

    def beat(self, name: str) -> None:
        """Send a heartbeat."""
        os.utime(self.path / name)

    def rename(self, name: str, new: str) -> None:
        """Rename a file."""
        (self.path / name).rename(self.path / new)

    def remove(self, name: str) -> None:
        """Delete a file if it exists."""
        (self.path / name).unlink(missing_ok=True)


class Lease:
    """Exclusive access to a folder, held by one process at a time.

    A holder counts as dead if its process ran on this machine and has ended. On another machine it counts as
    dead when its heartbeat has not changed for `expiry` seconds of the waiting process's monotonic clock; no
    two clocks are compared.

    Attributes:
        store: storage of the numbered files.
    """

    def __init__(self, store: LeaseStore | Path, *, expiry: float = EXPIRY):
        self.store: LeaseStore = FolderLeases(store) if isinstance(store, Path) else store
        self.expiry = expiry
        self._number: int | None = None  # number of our file
        self._stop = threading.Event()
        self._seen: tuple[str, str] | None = None  # the holder's file and heartbeat at the last check
        self._checked_at = 0.0  # time of the last check
        self._unchanged = 0.0  # seconds for which the heartbeat has not changed
        self._logged_at = float("-inf")

    def acquire(self, timeout: float | None = None) -> bool:
        """Acquire the lease, waiting up to `timeout` seconds (None: without limit).

        Returns:
            Whether the lease was acquired.

        Raises:
            StoreError: if the folder cannot be written.
        """
        end = None if timeout is None else time.monotonic() + timeout
        try:
            while not self._take():
                if end is not None and time.monotonic() >= end:
                    return False
                time.sleep(POLL if end is None else max(0.0, min(POLL, end - time.monotonic())))
        except OSError as error:
            raise StoreError(f"cannot write to {self.store}: {error}") from error
        return True

    def check(self) -> None:
        """Check that this process still holds the lease.

        Raises:
            StoreError: if the lease was never acquired, or its store cannot be read.
            LeaseLost: if another process took it over.
        """
        number = self.number
        try:
            with suppress(FileNotFoundError):
                self.store.beat(str(number))  # queries the server; a listing alone may be cached
                if self._highest()[0] == number:
                    return
        except OSError as error:
            raise StoreError(f"cannot see who holds the lease of {self.store}: {error}") from error
        raise LeaseLost(
            f"this process gave no sign of life for {self.expiry:.0f} s and another went on in its place "
            f"({self.holder() or 'done by now'}); nothing was written to {self.store}; run it again"
        )

    def release(self) -> None:
        """Release the lease."""
        self._stop.set()
        number, self._number = self._number, None
        if number is not None:
            with suppress(OSError):  # gone if it was taken over
                self.store.rename(str(number), f"{number}{_FREE}")

    def __enter__(self) -> Lease:
        """Acquire the lease, waiting without limit."""
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lease."""
        self.release()

    @property
    def number(self) -> int:
        """Number of our file: how often the lease has been acquired in total.

        Raises:
            StoreError: if the lease is not held.
        """
        if self._number is None:
            raise StoreError(f"{self.store} may be changed only by who holds its lease")
        return self._number

    def holder(self) -> Holder | None:
        """The holder of the lease; None if it is free, its holder is dead, or the store cannot be read."""
        try:
            _, name = self._highest()
        except OSError:
            return None
        holder = self._written(name) if name and not name.endswith(_FREE) else None
        return holder if holder and not _gone(holder) else None

    def _take(self) -> bool:
        number, name = self._highest()
        if name and not name.endswith(_FREE) and not self._dead(name):
            return False
        ours = str(number + 1)
        try:
            self.store.create(ours, json.dumps(asdict(_this_process())))
        except FileExistsError:
            return False
        if self._highest() != (number + 1, ours):
            # The listing was outdated: others have created and deleted that number since.
            self.store.remove(ours)
            return False
        for lower, other in self._files():
            if lower <= number:
                self.store.remove(other)
        self._number, self._stop = number + 1, threading.Event()
        interval = self.expiry / self.store.beats
        threading.Thread(target=_beat, args=(self.store, ours, interval, self._stop), daemon=True).start()
        return True

    def _dead(self, name: str) -> bool:
        """Whether the holder recorded in that file counts as dead."""
        try:
            text, heartbeat = self.store.look(name)
        except FileNotFoundError:  # released just now
            return False
        now = time.monotonic()
        if (name, heartbeat) != self._seen:
            self._seen, self._unchanged = (name, heartbeat), 0.0
        else:
            # Bounded, because this process may itself have hung on an unresponsive server.
            self._unchanged += min(now - self._checked_at, 4 * POLL)
        self._checked_at = now
        holder = _read(text)
        if self._unchanged >= self.expiry or (holder and _gone(holder)):
            log.warning("%s: going on in the place of %s, which is dead", self.store, holder or "another")
            return True
        if now - self._logged_at >= SAY:
            self._logged_at = now
            log.warning("%s is in use; waiting for %s", self.store, holder or "another process")
        return False

    def _files(self) -> list[tuple[int, str]]:
        names = ((name.split(".")[0], name) for name in self.store.names())
        return [(int(stem), name) for stem, name in names if stem.isdecimal()]

    def _highest(self) -> tuple[int, str | None]:
        return max(self._files(), default=(0, None))

    def _written(self, name: str) -> Holder | None:
        with suppress(OSError):
            return _read(self.store.look(name)[0])
        return None


def _read(text: str) -> Holder | None:
    """The holder recorded in the text of a lease's file; None if the file is still being written."""
    with suppress(ValueError, TypeError):
        return Holder(**json.loads(text))
    return None


def _beat(store: LeaseStore, name: str, every: float, stop: threading.Event) -> None:
    while not stop.wait(every):
        with suppress(OSError):  # `check` reports a lost lease before the next write
            store.beat(name)


def _this_process() -> Holder:
    now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return Holder(platform.node(), os.getpid(), now, _machine())


def _machine() -> str:
    """Identifier of this boot and PID namespace; host names are not unique among containers."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.stat('/proc/self/ns/pid').st_ino}"
    return platform.node()


def _gone(holder: Holder) -> bool:
    if holder.machine != _machine():
        return False
    try:
        return bool(psutil.Process(holder.pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
