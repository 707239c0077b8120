"""Ways of doing the same thing, timed by turns, because a machine's speed changes while it is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

Way = Callable[[int], object]
"""Does it once; told the number of the round, so that each round can take other questions."""


@dataclass(frozen=True, slots=True)
class Timed:
    """What one way took."""

    seconds: list[float]  # a figure for each round
    flops: int  # of its matrix products, counted while it warmed up

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.seconds)


def by_turns(ways: Mapping[str, Way], rounds: int, say: Callable[[str], None]) -> dict[str, Timed]:
    """Run every way once to warm up and to count, then all by turns.

    Args:
        ways: by name.
        rounds: how often each is timed.
        say: what a person is told.
    """
    flops: dict[str, int] = {}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for name, way in ways.items():
        with FlopCounterMode(display=False) as counter:
            way(0)
        flops[name] = counter.get_total_flops()
        say(f"{name}: warm, {flops[name] / 1e12:.3f} TFLOP")
    for number in range(1, rounds + 1):
        for name, way in ways.items():
            seconds[name].append(_timed(way, number))
            say(f"round {number} of {rounds}: {name} {seconds[name][-1]:.3f} s")
    return {name: Timed(seconds[name], flops[name]) for name in ways}


def ratio(over: Timed, under: Timed) -> float:
    """Median over the rounds of one way's seconds divided by another's in the same round."""
    return median(a / b for a, b in zip(over.seconds, under.seconds, strict=True))


def _timed(way: Way, number: int) -> float:
    _wait()
    begun = time.perf_counter()
    way(number)
    _wait()
    return time.perf_counter() - begun


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
