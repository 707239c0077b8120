"""A background thread that pushes periodically, with exponential back-off while pushes fail."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """Result of one push."""

    sent: int  # metric events and artifacts that reached the server in this push
    pending: int  # metric events and artifacts in the journals that have not reached the server yet
    error: str | None  # one line; None if the push succeeded
    made: int = 0  # created runs
    moved: int = 0  # runs moved under the grid's run, which was recreated
    students: int = 0  # students logged as models

    def summary(self) -> str:
        """Human-readable summary of what was sent."""
        counts = {"runs created": self.made, "runs moved under the grid's": self.moved}
        counts |= {"students": self.students}
        return ", ".join([f"{self.sent} events sent", *(f"{n} {label}" for label, n in counts.items() if n)])


class Feeder:
    """Calls `push` every `interval` seconds in a background thread.

    After an error the interval doubles, up to `limit` seconds. `say` is called with one line when pushes
    start to fail and one when they succeed again.
    """

    def __init__(
        self,
        push: Callable[[], Report],
        interval: float = 10.0,
        limit: float = 60.0,
        say: Callable[[str], None] = logger.warning,
    ):
        self._push = push
        self._interval = interval
        self._limit = limit
        self._say = say
        self._failing = False
        self._stopping = threading.Event()
        self._last: Report | None = None
        # daemon: a server that hangs must not keep the process alive
        self._thread = threading.Thread(target=self._run, name="qcrd-tracking", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> Report | None:
        """Push once more and stop; returns the last push's report, or None after `timeout` seconds.

        Events that were not sent stay in the journals for a later push.
        """
        self._stopping.set()
        self._thread.join(timeout)
        return None if self._thread.is_alive() else self._last

    def _run(self) -> None:
        wait = self._interval
        while not self._stopping.is_set():
            wait = self._interval if self._push_once() else min(2 * wait, self._limit)
            self._stopping.wait(wait)
        self._push_once()

    def _push_once(self) -> bool:
        report = self._last = self._push()
        if report.error and not self._failing:
            self._say(f"MLflow does not answer; training continues, the rest is sent later: {report.error}")
        if self._failing and not report.error:
            self._say(f"MLflow answers again, {report.sent} pending events sent")
        self._failing = bool(report.error)
        return not report.error
