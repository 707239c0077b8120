"""Who may work on a folder now: a lease that a dead holder loses, also on storage that many hosts share.

A lease is a numbered file or object. Whoever creates the next number exclusively holds the folder, so of any
number of processes that go for it one wins; the highest number counts, so a holder that slept while another
took over is found out. Nothing else is asked of the storage: `flock` is unreliable on some shared file
systems, filelock's soft lease takes over by exchanging names, which NFS and its like refuse, and object
storage has neither.
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

EXPIRY = 60.0  # seconds without a heartbeat after which a holder elsewhere counts as dead
POLL = 0.5  # seconds between two looks of who waits
SAY = 60.0  # seconds after which who waits says again for whom

_FREE = ".free"  # ending of the file's name once it is given back


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, as it wrote itself down."""

    host: str
    pid: int
    since: str  # its local time
    machine: str  # of one boot and one space of process ids; only there does `pid` mean something

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class LeaseLost(StoreError):
    """Another process went on in the place of this one."""


class LeaseStore(Protocol):
    """Where numbered files are. What fails raises an OSError."""

    beats: int  # heartbeats in the time after which a holder counts as dead

    def __str__(self) -> str:
        """What the lease is for, for people."""

    def names(self) -> list[str]:
        """Of all files; none where the place is not there yet."""

    def create(self, name: str, text: str) -> None:
        """Write a file; FileExistsError where there is one: of many that try one succeeds."""

    def look(self, name: str) -> tuple[str, str]:
        """The file's text, and what changes with every heartbeat; FileNotFoundError where it is gone."""

    def beat(self, name: str) -> None:
        """Give a sign of life; may bring back a file that was removed."""

    def rename(self, name: str, new: str) -> None:
        """Also where the disk is full."""

    def remove(self, name: str) -> None:
        """Whether it is there or not."""


class FolderLeases:
    """Numbered files in a folder; a `LeaseStore`."""

    beats = 12

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return str(self.path.parent)

    def names(self) -> list[str]:
        """Of all files."""
        with suppress(FileNotFoundError):
            return os.listdir(self.path)
        return []

    def create(self, name: str, text: str) -> None:
        """Write a file that is not there yet."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / name, "x") as file:
            file.write(text)

    def look(self, name: str) -> tuple[str, str]:
        """Text, and what changes with a heartbeat."""
        # Opening asks the server, where a mere stat may come from a cache.
        with open(self.path / name) as file:
            return file.read(), str(os.fstat(file.fileno()).st_mtime_ns)

    def beat(self, name: str) -> None:
        """Give a sign of life."""
        os.utime(self.path / name)

    def rename(self, name: str, new: str) -> None:
        """Give a file another name."""
        (self.path / name).rename(self.path / new)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self.path / name).unlink(missing_ok=True)


class Lease:
    """The right to write in a folder, held by one process at a time.

    A holder is dead at once if its process ran on this machine and is gone; else when its heartbeat has
    not moved for `expiry` seconds of the waiter's own steady clock, so that no two clocks are compared.

    Attributes:
        store: where the numbered files are.
    """

    def __init__(self, store: LeaseStore | Path, *, expiry: float = EXPIRY):
        self.store: LeaseStore = FolderLeases(store) if isinstance(store, Path) else store
        self.expiry = expiry
        self._number: int | None = None  # of the file that is ours
        self._stop = threading.Event()
        self._seen: tuple[str, str] | None = None  # file and heartbeat at the last look
        self._looked = self._still = 0.0  # when that was, and for how long nothing had moved
        self._said = float("-inf")

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the lease, waiting up to `timeout` seconds (None: as long as it takes) for its holder.

        Returns:
            Whether it is ours.

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
        """Make sure that the lease is still ours.

        Raises:
            StoreError: if it was never taken, or that cannot be seen.
            LeaseLost: if it was taken over while this process slept.
        """
        number = self.number
        try:
            with suppress(FileNotFoundError):
                self.store.beat(str(number))  # asks the server, where a listing may come from a cache
                if self._highest()[0] == number:
                    return
        except OSError as error:
            raise StoreError(f"cannot see who holds the lease of {self.store}: {error}") from error
        raise LeaseLost(
            f"this process gave no sign of life for {self.expiry:.0f} s and another went on in its place "
            f"({self.holder() or 'done by now'}); nothing was written to {self.store}; run it again"
        )

    def release(self) -> None:
        """Give the lease back."""
        self._stop.set()
        number, self._number = self._number, None
        if number is not None:
            with suppress(OSError):  # gone if it was taken over
                self.store.rename(str(number), f"{number}{_FREE}")

    def __enter__(self) -> Lease:
        """Take the lease, however long that takes."""
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.release()

    @property
    def number(self) -> int:
        """Of the file that is ours: how often the lease was ever taken.

        Raises:
            StoreError: while it is not held.
        """
        if self._number is None:
            raise StoreError(f"{self.store} may be changed only by who holds its lease")
        return self._number

    def holder(self) -> Holder | None:
        """Who holds the lease; None where it is free, its holder is known to be dead, or nobody answers."""
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
            # We looked long ago: others have taken that number since, and cleared it away.
            self.store.remove(ours)
            return False
        for lower, other in self._files():
            if lower <= number:
                self.store.remove(other)
        self._number, self._stop = number + 1, threading.Event()
        rhythm = self.expiry / self.store.beats
        threading.Thread(target=_beat, args=(self.store, ours, rhythm, self._stop), daemon=True).start()
        return True

    def _dead(self, name: str) -> bool:
        """Whether the holder of the lease in that file is, as far as can be seen from here."""
        try:
            text, heartbeat = self.store.look(name)
        except FileNotFoundError:  # given back just now
            return False
        now = time.monotonic()
        if (name, heartbeat) != self._seen:
            self._seen, self._still = (name, heartbeat), 0.0
        else:
            # While this process hung, it did not watch: a server that was away must not make all look dead.
            self._still += min(now - self._looked, 4 * POLL)
        self._looked = now
        holder = _read(text)
        if self._still >= self.expiry or (holder and _gone(holder)):
            log.warning("%s: going on in the place of %s, which is dead", self.store, holder or "another")
            return True
        if now - self._said >= SAY:
            self._said = now
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
    """Who wrote the file; None where it is being written."""
    with suppress(ValueError, TypeError):
        return Holder(**json.loads(text))
    return None


def _beat(store: LeaseStore, name: str, every: float, stop: threading.Event) -> None:
    while not stop.wait(every):
        with suppress(OSError):  # what it means is seen when something is to be written
            store.beat(name)


def _this_process() -> Holder:
    now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return Holder(platform.node(), os.getpid(), now, _machine())


def _machine() -> str:
    """This boot and this space of process ids: hosts and containers may share a name."""
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
