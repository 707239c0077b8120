"""Ways of doing the same thing, timed by turns, because a machine's speed changes while it is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch

Timed = dict[str, list[float]]
"""Seconds of each way, a figure for each round."""


def by_turns(ways: Mapping[str, Callable[[], object]], rounds: int, say: Callable[[str], None]) -> Timed:
    """Run every way once to warm up, then all by turns.

    Args:
        ways: by name.
        rounds: how often each is timed.
        say: what a person is told.
    """
    found: Timed = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            seconds = _timed(way)
            if number:
                found[name].append(seconds)
            say(f"{f'round {number}' if number else 'warm-up'}: {name} {seconds:.3f} s")
    return found


def ratio(timed: Timed, over: str, under: str) -> float:
    """Median over the rounds of one way's time divided by another's in the same round."""
    return median(a / b for a, b in zip(timed[over], timed[under], strict=True))


def _timed(way: Callable[[], object]) -> float:
    _wait()
    begun = time.perf_counter()
    way()
    _wait()
    return time.perf_counter() - begun


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
