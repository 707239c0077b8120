"""What a person sees while a grid runs: plain lines, few of them, fit for a job's log."""

from __future__ import annotations

import time


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 3 min 20 s, 2 h 5 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


class Sampling:
    """Progress of drawing; a `draw` progress function."""

    def __init__(self, seconds: float = 5.0, who: str = "teacher"):
        self.seconds, self.who = seconds, who
        self.last = 0.0
        self.rate = 0.0  # samples per second, the last that was seen

    def __call__(self, there: int, wanted: int, rate: float) -> None:
        """Say it if it is time, and at the end."""
        now = time.monotonic()
        self.rate = rate
        if there < wanted and now - self.last < self.seconds:
            return
        self.last = now
        left = f", {rate:.0f}/s, {duration((wanted - there) / rate)} left" if rate and there < wanted else ""
        say(f"{self.who}: {there} of {wanted} samples{left}")
