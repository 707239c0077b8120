"""Console output of a running grid: plain lines in a log, and in a terminal also a live status below them."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

Lines = Callable[[], list[str]]
"""The current status in a few lines; called again and again, so times in it go on."""

SILENCE = 10.0  # seconds without a line after which a log gets the status, in the first minutes
LATER_SILENCE = 60.0  # and afterwards, so that the log of a long grid stays readable
FIRST_MINUTES = 600.0
BAR = 20  # characters of a progress bar
REFRESHES = 2.0  # of a terminal's status, per second


def say(line: str) -> None:
    """Print a line and flush; in a terminal above the live status."""
    _screen.say(line)


def live() -> bool:
    """Whether a terminal shows a live status now."""
    return _screen.is_live()


@contextmanager
def status(lines: Lines) -> Iterator[None]:
    """Context with a status that is shown while it lasts.

    A terminal shows it below all other lines and refreshes it. Elsewhere it is printed after some seconds in
    which nothing else was. An inner status replaces an outer one for its duration.
    """
    outer = _screen.show(lines)
    try:
        yield
    finally:
        _screen.show(outer)


def phase(text: str) -> AbstractContextManager[None]:
    """Context with a text and the seconds since it began as its status."""
    begun = time.monotonic()
    return status(lambda: [f"{text}: {duration(time.monotonic() - begun)}"])


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 cell, 2 cells."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Seconds as text: 45 s, 3 min 20 s, 2 h 5 min, 375 h."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{hours:,} h {minutes} min" if minutes and hours < 100 else f"{hours:,} h"


def bar(done: float, total: float, text: str) -> str:
    """A text with a progress bar before it in a terminal; logs get the text alone."""
    if not live():
        return text
    full = round(BAR * min(1.0, done / total)) if total else 0
    return f"{'━' * full}{'╌' * (BAR - full)} {text}"


class SamplingProgress:
    """Reports the progress of sampling; a progress function for `draw`.

    Args:
        seconds: minimum time between two lines.
        who: prefix of the lines.
    """

    def __init__(self, seconds: float = 5.0, who: str = "teacher"):
        self.seconds, self.who = seconds, who
        self.begun = time.monotonic()
        self.last = 0.0
        self.stored = self.total = 0
        self.rate = 0.0  # samples per second, latest value

    def __call__(self, stored: int, total: int, rate: float) -> None:
        """Print a line if enough time has passed, or if sampling is complete; a live status has it anyway."""
        now = time.monotonic()
        self.stored, self.total, self.rate = stored, total, rate
        if stored < total and (now - self.last < self.seconds or live()):
            return
        self.last = now
        say(f"{self.who}: {self._text()}")

    def lines(self) -> list[str]:
        """The status: a bar, the samples, and the time since the beginning."""
        elapsed = duration(time.monotonic() - self.begun)
        return [f"{self.who}: {bar(self.stored, self.total, self._text())}, {elapsed} so far"]

    def _text(self) -> str:
        left, rate = self.total - self.stored, self.rate
        remaining = f", {rate:.0f}/s, {duration(left / rate)} left" if rate and left else ""
        return f"{self.stored} of {self.total} samples{remaining}"


class _Screen:
    """What this process shows: printed lines, and at most one status."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._lines: Lines | None = None
        self._live: Live | None = None
        self._heart: threading.Thread | None = None
        self._begun = self._last = time.monotonic()

    def say(self, line: str) -> None:
        with self._lock:
            self._last = time.monotonic()
            if self._live is None:
                print(line, flush=True)
            else:
                self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def is_live(self) -> bool:
        return self._live is not None

    def show(self, lines: Lines | None) -> Lines | None:
        """Replace the status; returns the one before."""
        with self._lock:
            before, self._lines = self._lines, lines
            if before is None:
                self._last = time.monotonic()
            if lines is None:
                self._end_live()
            elif _terminal():
                self._start_live()
            elif self._heart is None:
                self._begun = time.monotonic()
                self._heart = threading.Thread(target=self._beat, daemon=True, name="status")
                self._heart.start()
            return before

    def _start_live(self) -> None:
        from rich.console import Console
        from rich.live import Live

        if self._live is None:
            self._live = Live(
                console=Console(),
                get_renderable=self._render,
                refresh_per_second=REFRESHES,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
            atexit.register(self._end_live)

    def _end_live(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()
            atexit.unregister(self._end_live)

    def _render(self) -> RenderableType:
        from rich.text import Text

        lines = self._lines
        return Text("\n".join(lines() if lines else []), no_wrap=True, overflow="ellipsis")

    def _beat(self) -> None:
        """Print the status whenever nothing was printed for a while; ends with the status."""
        while True:
            time.sleep(min(1.0, SILENCE / 2))
            with self._lock:
                if self._lines is None:
                    self._heart = None
                    return
                now = time.monotonic()
                silence = SILENCE if now - self._begun < FIRST_MINUTES else LATER_SILENCE
                if now - self._last >= silence:
                    for line in self._lines():
                        self.say("  " + line)


def _terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


_screen = _Screen()
