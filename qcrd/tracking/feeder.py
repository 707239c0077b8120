"""A thread that pushes again and again, and waits longer while pushing fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """Outcome of one push."""

    sent: int  # metric events and artifacts that reached the server in this push
    pending: int  # those in the journals that have not reached it yet
    error: str | None  # why not, in one line; None where the server took everything
    made: int = 0  # runs that the server did not have
    moved: int = 0  # runs that now hang under the grid's, whose own was made anew
    students: int = 0  # logged as models

    def said(self) -> str:
        """What was sent, for people."""
        counts = {"runs made": self.made, "runs moved under the grid's": self.moved}
        counts |= {"students": self.students}
        return ", ".join([f"{self.sent} events sent", *(f"{n} {what}" for what, n in counts.items() if n)])


class Feeder:
    """Calls `push` every `interval` seconds in the background.

    After an error the wait doubles up to `limit` seconds. `say` gets one line when pushing begins to
    fail and one when it works again, however long that takes.
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
        # a daemon, so that a server that hangs cannot keep the process alive
        self._thread = threading.Thread(target=self._run, name="qcrd-tracking", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> Report | None:
        """Push once more and end; returns the last push's report, None where `timeout` seconds ran out.

        What was not sent stays in the journals for a later push.
        """
        self._stopping.set()
        self._thread.join(timeout)
        return None if self._thread.is_alive() else self._last

    def _run(self) -> None:
        wait = self._interval
        while not self._stopping.is_set():
            wait = self._interval if self._once() else min(2 * wait, self._limit)
            self._stopping.wait(wait)
        self._once()

    def _once(self) -> bool:
        report = self._last = self._push()
        if report.error and not self._failing:
            self._say(f"MLflow does not answer, training goes on and the rest is sent later: {report.error}")
        if self._failing and not report.error:
            self._say(f"MLflow is back, {report.sent} waiting events sent")
        self._failing = bool(report.error)
        return not report.error
