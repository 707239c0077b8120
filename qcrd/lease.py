"""Who may work on a folder now: a lease that a dead holder loses, also on file systems that many hosts share.

A lease is a numbered file. Whoever creates the next number exclusively holds the folder, so of any number
of processes that go for it one wins; the highest number counts, so a holder that slept while another took
over is found out. Nothing else is asked of the file system: `flock` is unreliable on some shared ones, and
filelock's soft lease takes over by exchanging names, which NFS and its like refuse.
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

import psutil

from qcrd.errors import StoreError

log = logging.getLogger(__name__)

EXPIRY = 60.0  # seconds without a heartbeat after which a holder elsewhere counts as dead
BEATS = 12  # heartbeats in that time
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


class Lease:
    """The right to write in a folder, held by one process at a time.

    A holder is dead at once if its process ran on this machine and is gone; else when its heartbeat has
    not moved for `expiry` seconds of the waiter's own steady clock, so that no two clocks are compared.

    Attributes:
        folder: where the numbered files are.
    """

    def __init__(self, folder: Path, *, expiry: float = EXPIRY):
        self.folder = folder
        self.expiry = expiry
        self._number: int | None = None  # of the file that is ours
        self._stop = threading.Event()
        self._seen: tuple[str, int] | None = None  # file and heartbeat at the last look
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
            raise StoreError(f"cannot write to {self.folder}: {error}") from error
        return True

    def check(self) -> None:
        """Make sure that the lease is still ours.

        Raises:
            StoreError: if it was never taken, or was taken over while this process slept.
        """
        if self._number is None:
            raise StoreError(f"{self.folder.parent} may be changed only by who holds its lease")
        with suppress(FileNotFoundError):
            os.utime(self._path(self._number))  # asks the server, where a listing may come from a cache
            if self._highest()[0] == self._number:
                return
        raise StoreError(
            f"this process gave no sign of life for {self.expiry:.0f} s and another went on in its place "
            f"({self.holder() or 'done by now'}); nothing was written to {self.folder.parent}; run it again"
        )

    def release(self) -> None:
        """Give the lease back."""
        self._stop.set()
        number, self._number = self._number, None
        if number is not None:
            with suppress(OSError):  # gone if it was taken over
                self._path(number).rename(self.folder / f"{number}{_FREE}")  # works on a full disk too

    def __enter__(self) -> Lease:
        """Take the lease, however long that takes."""
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.release()

    def holder(self) -> Holder | None:
        """Who holds the lease; None where it is free or its holder is known to be dead."""
        _, path = self._highest()
        holder = _read(path) if path and path.suffix != _FREE else None
        return holder if holder and not _gone(holder) else None

    def _take(self) -> bool:
        number, path = self._highest()
        if path and path.suffix != _FREE and not self._dead(path):
            return False
        ours = self._path(number + 1)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with open(ours, "x") as file:
                file.write(json.dumps(asdict(_this_process())))
        except FileExistsError:
            return False
        if self._highest() != (number + 1, ours):
            # We looked long ago: others have taken that number since, and cleared it away.
            ours.unlink(missing_ok=True)
            return False
        for lower, file in self._files():
            if lower <= number:
                file.unlink(missing_ok=True)
        self._number, self._stop = number + 1, threading.Event()
        threading.Thread(target=_beat, args=(ours, self.expiry / BEATS, self._stop), daemon=True).start()
        return True

    def _dead(self, path: Path) -> bool:
        """Whether the holder of the lease in `path` is, as far as can be seen from here."""
        try:
            with open(path) as file:  # opening asks the server, where a mere stat may come from a cache
                seen = (path.name, os.fstat(file.fileno()).st_mtime_ns)
        except FileNotFoundError:  # given back just now
            return False
        now = time.monotonic()
        if seen != self._seen:
            self._seen, self._still = seen, 0.0
        else:
            # While this process hung, it did not watch: a server that was away must not make all look dead.
            self._still += min(now - self._looked, 4 * POLL)
        self._looked = now
        holder = _read(path)
        if self._still >= self.expiry or (holder and _gone(holder)):
            log.warning(
                "%s: going on in the place of %s, which is dead", self.folder.parent, holder or "another"
            )
            return True
        if now - self._said >= SAY:
            self._said = now
            log.warning("%s is in use; waiting for %s", self.folder.parent, holder or "another process")
        return False

    def _files(self) -> list[tuple[int, Path]]:
        paths = [self.folder / name for name in os.listdir(self.folder)]
        return [(int(path.stem), path) for path in paths if path.stem.isdecimal()]

    def _highest(self) -> tuple[int, Path | None]:
        with suppress(FileNotFoundError):
            return max(self._files(), default=(0, None))
        return 0, None

    def _path(self, number: int) -> Path:
        return self.folder / str(number)


def _read(path: Path) -> Holder | None:
    """Who wrote the file; None where it is being written or gone."""
    with suppress(OSError, ValueError, TypeError):
        return Holder(**json.loads(path.read_text()))
    return None


def _beat(path: Path, every: float, stop: threading.Event) -> None:
    while not stop.wait(every):
        with suppress(OSError):  # what it means is seen when something is to be written
            os.utime(path)


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
        return psutil.Process(holder.pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
