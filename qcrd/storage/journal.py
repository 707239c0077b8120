"""A cell's local record of what happened: one JSON object a line, appended as it happens.

Cells write here and nowhere else. Whoever shows runs (an MLflow server, a progress line) reads the
file, so that no outside service can stop, slow or lose a training. A cell that resumes rewinds its
journal to where its checkpoint was taken, because it will write the events after it again.
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

FILE = "journal.jsonl"  # its name in a cell's folder, and in a grid's
STATUSES = ("running", "done", "failed", "diverged", "stopped")


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures measured at one step."""

    step: int  # optimiser steps taken
    values: dict[str, float]  # may hold NaN and infinities
    time: int  # milliseconds since the epoch


@dataclass(frozen=True, slots=True)
class Status:
    """What became of the cell; the last one holds."""

    status: str  # one of STATUSES
    message: str
    time: int  # milliseconds since the epoch


@dataclass(frozen=True, slots=True)
class Params:
    """Settings that are only known once the cell runs, such as the device that it ran on."""

    values: dict[str, Any]  # flat: name to None, bool, int, float or str
    time: int  # milliseconds since the epoch


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file worth keeping beside the run."""

    path: str  # relative to the journal's folder
    time: int  # milliseconds since the epoch


Event = Metrics | Status | Params | Artifact

_KINDS = {"metrics": Metrics, "status": Status, "params": Params, "artifact": Artifact}
_FORMS = {"step": int, "values": dict, "status": str, "message": str, "path": str, "time": int}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class Journal:
    """Appends events to `path`; each is handed to the operating system before the call returns.

    One writer per file. Opening removes a line that an earlier writer left unfinished.
    """

    def __init__(self, path: str | Path, guard: Callable[[], None] = lambda: None):
        """Open the journal, which is made where it is not there.

        Args:
            path: its file.
            guard: called before anything is written; raises unless this process may still do so.

        Raises:
            StoreError: where the file cannot be written; so do all that write to it.
        """
        self.path = Path(path)
        self._guard = guard
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what a full disk refused must not be tried again when the file is closed.
            self._file = open(self.path, "a+b", buffering=0)  # noqa: SIM115 - open as long as the journal is
            self._drop_torn_line()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def metrics(self, step: int, /, **values: float) -> None:
        """Record figures measured after `step` optimiser steps; anything that `float` takes will do.

        When to record must follow from the step, never from the clock: a resumed cell has to write the
        same metrics and artifacts in the same order again, for that is how readers know what they have.
        """
        self._append(Metrics(int(step), {name: float(value) for name, value in values.items()}, _now()))

    def status(self, status: str, message: str = "") -> None:
        """Record what became of the cell.

        Raises:
            ValueError: where `status` is none of `STATUSES`.
        """
        if status not in STATUSES:
            raise ValueError(f"status is {status!r}; allowed: {', '.join(STATUSES)}")
        self._append(Status(status, message, _now()))

    def params(self, **values: Any) -> None:
        """Record settings found at run time: flat names with None, bool, int, float or str."""
        self._append(Params(values, _now()))

    def artifact(self, path: str | Path) -> None:
        """Record a file of the cell, absolute or relative to the journal's folder.

        Raises:
            ValueError: where the file lies outside that folder.
        """
        folder = self.path.parent.resolve()
        absolute = (folder / path).resolve()
        if not absolute.is_relative_to(folder):
            raise ValueError(f"artifact {path} is outside the cell's folder {folder}; copy it there first")
        self._append(Artifact(absolute.relative_to(folder).as_posix(), _now()))

    def position(self) -> int:
        """Bytes written so far, all of them on disk: a checkpoint holding this never points past the end."""
        self._guard()
        self.sync()
        return self._file.seek(0, os.SEEK_END)

    def truncate(self, position: int) -> None:
        """Forget everything after `position`, an earlier answer of `position()`.

        Raises:
            StoreError: where the journal is shorter, or no line ends there.
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
        """Return once everything written is on disk."""
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
            while line:  # a full disk may take a part of it
                line = line[self._file.write(line) :]
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(end)  # takes no room, so it works on a full disk too
            raise unwritable(self.path, error) from error

    def _drop_torn_line(self) -> None:
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        if whole < size:
            self._file.truncate(whole)


def read(path: str | Path, start_line: int = 0) -> list[Event]:
    """The events of a journal from line `start_line` (0-based) on; empty where there is no file.

    A last line without its end is still being written and is left out. Other unreadable lines are
    left out too, with a warning that says where.
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
    """A journal's events, the file being read again only when it has changed."""

    def __init__(self, path: Path):
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._settled: tuple[int, int] | None = None
        self._events: list[Event] = []

    def events(self) -> list[Event]:
        """All events so far; empty where there is no file."""
        now = self._stamp()
        if now is not None and self._seen != now:
            self._events, self._seen = read(self._path), now
        return self._events

    def settle(self) -> None:
        """Let the events go, which thousands of journals would fill the memory with: they are dealt with."""
        if self._seen is not None:
            self._events, self._settled, self._seen = [], self._seen, None

    @property
    def settled(self) -> bool:
        """Whether nothing has come since `settle`."""
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
        # JSON has no NaN; as strings they survive any reader
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
