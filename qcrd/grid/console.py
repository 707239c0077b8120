"""Console output of a running grid: few plain lines, suitable for the log of a batch job."""

from __future__ import annotations

import time


def say(line: str) -> None:
    """Print a line and flush."""
    print(line, flush=True)


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


class SamplingProgress:
    """Prints the progress of sampling; a progress function for `draw`.

    Args:
        seconds: minimum time between two lines.
        who: prefix of the lines.
    """

    def __init__(self, seconds: float = 5.0, who: str = "teacher"):
        self.seconds, self.who = seconds, who
        self.last = 0.0
        self.rate = 0.0  # samples per second, latest value

    def __call__(self, stored: int, total: int, rate: float) -> None:
        """Print a line if enough time has passed, or if sampling is complete."""
        now = time.monotonic()
        self.rate = rate
        if stored < total and now - self.last < self.seconds:
            return
        self.last = now
        remaining = (
            f", {rate:.0f}/s, {duration((total - stored) / rate)} left" if rate and stored < total else ""
        )
        say(f"{self.who}: {stored} of {total} samples{remaining}")
