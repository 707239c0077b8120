"""The journal: a cell's local event log in JSON lines, appended to as events happen.

Cells write events only to this file. The MLflow mirror and the progress display read it, so that no external
service can block, slow down or lose a training run. A cell that resumes truncates its journal to the position
in its checkpoint, because it will write the later events again.
"""

from __future__ import annotations

import json
import math
import os
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcrd.errors import StoreError
from qcrd.storage.files import unwritable

FILE = "journal.jsonl"  # file name in a cell's or a grid's folder
STATUSES = ("running", "done", "failed", "diverged", "stopped")


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics measured at one step."""

    step: int  # optimiser steps taken
    values: dict[str, float]  # may contain NaN and infinities
    time: int  # milliseconds since the epoch


@dataclass(frozen=True, slots=True)
class Status:
    """Status of the cell; the last status event is the current one."""

    status: str  # one of STATUSES
    message: str
    time: int  # milliseconds since the epoch


@dataclass(frozen=True, slots=True)
class Params:
    """Settings that are only known at run time, such as the device."""

    values: dict[str, Any]  # flat: name to None, bool, int, float or str
    time: int  # milliseconds since the epoch


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file to keep with the run."""

    path: str  # relative to the journal's folder
    time: int  # milliseconds since the epoch


Event = Metrics | Status | Params | Artifact

_KINDS = {"metrics": Metrics, "status": Status, "params": Params, "artifact": Artifact}
_FORMS = {"step": int, "values": dict, "status": str, "message": str, "path": str, "time": int}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class Journal:
    """Appends events to a file; each event is passed to the operating system before the call returns.

    Only one process may write to a file. Opening it removes an incomplete last line of an earlier writer.
    """

    def __init__(self, path: str | Path, guard: Callable[[], None] = lambda: None):
        """Open the journal, creating it if necessary.

        Args:
            path: the file.
            guard: called before each write; raises if this process may no longer write.

        Raises:
            StoreError: if the file cannot be written; all writing methods raise it too.
        """
        self.path = Path(path)
        self._guard = guard
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a write that failed on a full disk must not be repeated when the file is closed.
            self._file = open(self.path, "a+b", buffering=0)  # noqa: SIM115 - open as long as the journal is
            self._drop_torn_line()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def metrics(self, step: int, /, **values: float) -> None:
        """Record metrics measured after `step` optimiser steps; values are converted by `float`.

        Whether to record must depend on the step, never on the clock: a resumed cell must write the same
        metrics and artifacts in the same order again, because readers identify events by their position.
        """
        self._append(Metrics(int(step), {name: float(value) for name, value in values.items()}, _now()))

    def status(self, status: str, message: str = "") -> None:
        """Record the status of the cell.

        Raises:
            ValueError: if `status` is not in `STATUSES`.
        """
        if status not in STATUSES:
            raise ValueError(f"status is {status!r}; allowed: {', '.join(STATUSES)}")
        self._append(Status(status, message, _now()))

    def params(self, **values: Any) -> None:
        """Record settings determined at run time; values are None, bool, int, float or str."""
        self._append(Params(values, _now()))

    def artifact(self, path: str | Path) -> None:
        """Record a file of the cell, by its path, absolute or relative to the journal's folder.

        Raises:
            ValueError: if the file is outside that folder.
        """
        folder = self.path.parent.resolve()
        absolute = (folder / path).resolve()
        if not absolute.is_relative_to(folder):
            raise ValueError(f"artifact {path} is outside the cell's folder {folder}; copy it there first")
        self._append(Artifact(absolute.relative_to(folder).as_posix(), _now()))

    def position(self) -> int:
        """Flush to disk and return the file's size in bytes, so that a checkpoint can refer to it."""
        self._guard()
        self.sync()
        return self._file.seek(0, os.SEEK_END)

    def truncate(self, position: int) -> None:
        """Remove everything after `position`, an earlier result of `position()`.

        Raises:
            StoreError: if the journal is shorter, or no line ends at that position.
        """
        self._guard()
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, min(position, size) - 1))
        if not 0 <= position <= size or (position and self._file.read(1) != b"\n"):
            raise StoreError(
                f"{self.path}: cannot rewind to byte {position} of {size}, no line ends there; checkpoint "
                "and journal are not of the same run, remove the cell's folder to start it afresh"
            )
        self._file.truncate(position)

    def sync(self) -> None:
        """Flush everything written to disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, event: Event) -> None:
        self._guard()
        line, end = _encode(event), self._file.seek(0, os.SEEK_END)
        try:
            while line:  # a full disk may accept only part of it
                line = line[self._file.write(line) :]
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(end)  # needs no space, so it works on a full disk
            raise unwritable(self.path, error) from error

    def _drop_torn_line(self) -> None:
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        content = self._file.read()
        complete = content.rfind(b"\n") + 1
        if complete < size:
            self._file.truncate(complete)


def read(path: str | Path, start_line: int = 0) -> list[Event]:
    """Read the events of a journal from line `start_line` (0-based) on; empty if there is no file.

    An incomplete last line, which is still being written, is skipped. Other unreadable lines are skipped with
    a warning.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    events = []
    for number, line in enumerate(lines[start_line:], start=start_line + 1):
        try:
            events.append(_decode(line))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            warnings.warn(f"{path}:{number}: unreadable line left out", stacklevel=2)
    return events


class Tail:
    """A journal's events, cached until the file changes."""

    def __init__(self, path: Path):
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._settled: tuple[int, int] | None = None
        self._events: list[Event] = []

    def events(self) -> list[Event]:
        """All events so far; empty if there is no file."""
        stamp = self._stamp()
        if stamp is not None and self._seen != stamp:
            self._events, self._seen = read(self._path), stamp
        return self._events

    def settle(self) -> None:
        """Drop the cached events once they are processed, to bound memory with thousands of journals."""
        if self._seen is not None:
            self._events, self._settled, self._seen = [], self._seen, None

    @property
    def settled(self) -> bool:
        """Whether the file has not changed since `settle`."""
        return self._settled is not None and self._settled == self._stamp()

    def _stamp(self) -> tuple[int, int] | None:
        with suppress(FileNotFoundError):
            stat = self._path.stat()
            return stat.st_size, stat.st_mtime_ns
        return None


def _encode(event: Event) -> bytes:
    record: dict[str, Any] = {"kind": _NAMES[type(event)]}
    record |= {name: getattr(event, name) for name in event.__slots__}
    if isinstance(event, Metrics):
        # JSON has no NaN and infinities, so they are written as strings.
        record["values"] = {k: v if math.isfinite(v) else str(v) for k, v in event.values.items()}
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _decode(line: bytes) -> Event:
    record = json.loads(line)
    if not isinstance(record, dict):
        raise TypeError("not an event")
    kind = _KINDS[record.pop("kind")]
    if kind is Metrics:
        record["values"] = {name: float(value) for name, value in dict(record["values"]).items()}
    event: Event = kind(**record)
    if not all(isinstance(getattr(event, name), _FORMS[name]) for name in event.__slots__):
        raise TypeError("a field of another type")
    if isinstance(event, Status) and event.status not in STATUSES:
        raise ValueError("no status")
    return event


def _now() -> int:
    return time.time_ns() // 1_000_000
